/*
 * product: y[m][n] = the exact sum of x[m][k]*w[n][k] over k, plus bias[n], plus bias2[n], rounded
 * once.  All arrays are dense and row-major: x (m,k), w (n,k), y (m,n).
 */
#ifndef NUM_PRODUCT_H
#define NUM_PRODUCT_H

#include "num/exact.h"

struct lm_product {
	size_t m, n, k;
	const lm_f32u *x, *w;
	const lm_f32u *bias;  /* n of them, or NULL */
	const double *w_norm; /* n of them: lm_norm of each row of w */
	float *y;
	const lm_f32u *bias2; /* n more terms of the sums, or NULL */
};

/* The binary64 square root of the sum of squares, in any order: what the proof needs of a row. */
double lm_norm(const lm_f32u *v, size_t n);

/*
 * One rectangle of outputs, rows m0..m1-1, columns n0..n1-1, is computed by a kernel set:
 * kernels->product(p, m0, m1, n0, n1, counts) of num/kernel.h.
 */

#endif
