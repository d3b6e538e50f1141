/* norm: what all norms have in common. */
#ifndef LAYER_NORM_H
#define LAYER_NORM_H

#include "layer/layer.h"

/* 1/sqrt(mean of (x - mean)^2 + eps) */
double lm_inverse_deviation(const struct lm_functions *, const float *x, double mean, size_t n,
    double eps);

/* eps is 0 or more. */
int lm_norm_check(const struct lm_node *, size_t eps, struct loom_error *) LOOM_MUST_CHECK;

#endif
