/*
 * window: windows that slide over the last one to three axes, as convolutions and pools have them.
 * What they are is read from an operation's parameters: kernel, stride, pad_low and pad_high, each
 * a list of one integer per axis, and dilation where there is one.
 */
#ifndef LAYER_WINDOW_H
#define LAYER_WINDOW_H

#include "layer/layer.h"

enum { LM_SPATIAL = 3 };

/* Bounds of the parameters, so that no arithmetic on them overflows. */
#define LM_WINDOW_MOST (1 << 20)

/* One axis: an extent, and the windows on it. */
struct lm_axis_window {
	uint64_t in, out;
	uint64_t kernel, stride, dilation, low, high;
	uint64_t skip; /* places before the first window; then there is no low padding */
};

/* Fewer axes than three stand at the end; those before them have one value and one window. */
struct lm_window {
	struct lm_axis_window axis[LM_SPATIAL];
};

/* The taps of one window along one axis that lie inside: tap first is at place at. */
struct lm_taps {
	size_t first, n, at;
};

/* How many axes the operation's windows have. */
unsigned lm_window_axes(const struct lm_node *);
/*
 * The windows of a node on its first input; with ceil also one that ends beyond the padding, if it
 * begins before the padding does.  A message where there is none.
 */
int lm_window_plan(const struct lm_shaping *, int ceil, struct lm_window *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The same for shapes that were planned. */
void lm_window_read(const struct lm_node *, const struct lm_shape *x, const struct lm_shape *y,
    struct lm_window *);
/* Values of x, and windows, in one channel. */
size_t lm_window_inputs(const struct lm_window *);
size_t lm_window_outputs(const struct lm_window *);
/* From the first tap of a window to its last: how many places. */
uint64_t lm_window_reach(const struct lm_axis_window *);
/* Of the window that begins at start, padding counted; n is 0 where none of it lies inside. */
struct lm_taps lm_window_taps(const struct lm_axis_window *, uint64_t start);
/* Of one channel's windows in row-major order, the one at position. */
void lm_window_at(const struct lm_window *, size_t position, struct lm_taps taps[LM_SPATIAL]);
/* The values of a channel under taps, row-major, into dst; returns how many they are. */
size_t lm_window_gather(const struct lm_window *, const lm_f32u *channel,
    const struct lm_taps taps[LM_SPATIAL], float *dst);

#endif
