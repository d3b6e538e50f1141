/*
 * correlate: exact sums over windows, as convolutions are made of: channels of x against filters,
 * in groups.  Taps in the padding are left out of a sum: an infinite weight does not meet a zero
 * there.
 */
#ifndef LAYER_CORRELATE_H
#define LAYER_CORRELATE_H

#include "layer/window.h"

/* Along an axis window o makes the result at first + o step, of extent. */
struct lm_places {
	size_t first, step, extent;
};

struct lm_correlation {
	struct lm_window window; /* on a channel of x */
	struct lm_places places[LM_SPATIAL];
	size_t samples, groups;
	size_t channels, filters; /* of a group */
	const lm_f32u *w;	  /* [groups * filters][channels][taps] */
	const double *w_norm;	  /* of each filter */
	const lm_f32u *bias;	  /* of each filter, or NULL */
};

/* One result of each window in order: as a convolution has it. */
void lm_places_all(struct lm_correlation *);
/* lm_norm of so many filters of k weights, for w_norm; NULL where there is no memory. */
const double *lm_correlation_norms(struct lm_preparing *, const lm_f32u *w, size_t filters,
    size_t k, struct loom_error *) LOOM_MUST_CHECK;
/* Bytes for a worker, where a sum has k terms at the most and a group so many filters. */
int lm_correlation_plan(size_t k, size_t filters, size_t *scratch,
    struct loom_error *) LOOM_MUST_CHECK;
/* From the call's input to its output. */
void lm_correlate(const struct lm_call *, const struct lm_correlation *);

/* ---- between the two ways that it is done ---- */

struct lm_correlating {
	const struct lm_call *call;
	const struct lm_correlation *c;
	struct lm_window filter; /* a filter as the values of one window */
	size_t k;		 /* terms of a sum, padding counted */
	size_t inputs;		 /* of a channel */
	size_t plane;		 /* results of a filter */
	size_t scratch;		 /* floats per worker; 2 k at the least */
};

/* Where one sample's group of channels begins, and a filter's results. */
const float *lm_correlating_from(const struct lm_correlating *, size_t sample, size_t group);
float *lm_correlating_to(const struct lm_correlating *, size_t sample, size_t filter);
/* A window's values that lie inside, and the weights of filter there; returns how many they are. */
size_t lm_correlating_pairs(const struct lm_correlating *, const float *x, size_t filter,
    const struct lm_taps taps[LM_SPATIAL], float *values, float *weights);
/* Groups of few filters: windows of a row side by side, tap after tap. */
void lm_correlate_rows(const struct lm_correlating *);

#endif
