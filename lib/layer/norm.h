/*
 * norm: the end that all norms with a mean have in common.
 *
 *	y = ((x - mean) r) gamma + beta
 *
 * One binary64 operation at a time and in this order, y rounded once.
 */
#ifndef LAYER_NORM_H
#define LAYER_NORM_H

#include "layer/layer.h"

/* Without a gamma it is 1, without a beta -0: neither changes a value. */
struct lm_norm_line {
	double mean, r, gamma, beta;
};

/* n values with one mean, r, gamma and beta. */
void lm_norm_line(float *y, const float *x, size_t n, const struct lm_norm_line *line);

/* 1/sqrt(mean of (x - mean)^2 + eps); square has room for n values. */
double lm_inverse_deviation(const struct lm_kernels *, const float *x, double mean, size_t n,
    double eps, double *square);

/* eps is 0 or more. */
int lm_norm_check(const struct lm_node *, size_t eps, struct loom_error *) LOOM_MUST_CHECK;

#endif
