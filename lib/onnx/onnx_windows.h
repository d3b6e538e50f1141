/* onnx_windows: what Conv, ConvTranspose and the pools say of their windows, both ways. */
#ifndef FORMAT_ONNX_WINDOWS_H
#define FORMAT_ONNX_WINDOWS_H

#include "onnx/onnx_to.h"
#include "layer/window.h"

struct lm_onnx_windows {
	unsigned axes;
	int64_t kernel[LM_SPATIAL], stride[LM_SPATIAL], dilation[LM_SPATIAL];
	int64_t low[LM_SPATIAL], high[LM_SPATIAL];
};

/* A node's; dilation is 1 where the operation has none. */
void lm_onnx_windows_of(const struct lm_node *, struct lm_onnx_windows *);
/* As attributes; dilations only where the operation has them. */
int lm_onnx_add_windows(struct lm_onnx_writing *, struct lm_onnx_node *, const struct lm_node *,
    const struct lm_onnx_windows *, struct loom_error *) LOOM_MUST_CHECK;

/*
 * Those of a file's node on x, all but padding: its attributes, and kernel (NULL: kernel_shape must be
 * there) of so many axes (0: as kernel_shape has).
 */
int lm_onnx_read_windows(struct lm_onnx_reading *, const struct lm_onnx_node *, unsigned axes,
    const uint64_t *kernel, struct lm_onnx_windows *, struct loom_error *) LOOM_MUST_CHECK;
/* What auto_pad says: 0 NOTSET, 1 VALID, 2 SAME_UPPER, 3 SAME_LOWER. */
enum { LM_ONNX_NOTSET, LM_ONNX_VALID, LM_ONNX_SAME_UPPER, LM_ONNX_SAME_LOWER };
int lm_onnx_auto_pad(struct lm_onnx_reading *, const struct lm_onnx_node *, int *how,
    struct loom_error *) LOOM_MUST_CHECK;
/* pads, as the attribute lists them. */
int lm_onnx_read_pads(struct lm_onnx_reading *, const struct lm_onnx_node *,
    struct lm_onnx_windows *, struct loom_error *) LOOM_MUST_CHECK;
/* The same, or what auto_pad makes of the extents of x. */
int lm_onnx_read_padding(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const struct lm_onnx_known *x, struct lm_onnx_windows *, struct loom_error *) LOOM_MUST_CHECK;
/* The extent of x along spatial axis i of axes; -1: it has a name, or is not known. */
int64_t lm_onnx_spatial(const struct lm_onnx_known *x, unsigned axes, unsigned i);
/* Into the parameters of a node of ours. */
int lm_onnx_set_windows(struct lm_onnx_reading *, struct lm_node *, const struct lm_onnx_windows *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Filters of a transposed convolution, [in, out of a group, k...], become [group, out, in of a group, k...]. */
void lm_onnx_filters_by_output(struct lm_view *, uint64_t groups);

#endif
