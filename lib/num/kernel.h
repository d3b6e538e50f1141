/*
 * kernel: the inner loops, as a table of functions.  The reference set (kernel_ref.c) is complete
 * and in plain C; a faster set replaces entries and gives the same bits.
 */
#ifndef NUM_KERNEL_H
#define NUM_KERNEL_H

#include <stddef.h>

#include "num/product.h"

struct loom_error;

struct lm_kernels {
	const char *name; /* as LOOM_ISA has it */

	/* Rows m0..m1-1, columns n0..n1-1 of a product.  Allocates nothing; counts may be NULL. */
	void (*product)(const struct lm_product *, size_t m0, size_t m1, size_t n0, size_t n1,
	    struct lm_counts *counts);

	/* Correctly rounded, element by element; y may be x. */
	void (*exp)(float *y, const float *x, size_t n);
	void (*tanh)(float *y, const float *x, size_t n);
	void (*sigmoid)(float *y, const float *x, size_t n);
	void (*silu)(float *y, const float *x, size_t n);
	void (*erf)(float *y, const float *x, size_t n);
	void (*gelu_erf)(float *y, const float *x, size_t n);
	void (*gelu_tanh)(float *y, const float *x, size_t n);
	void (*rsqrt)(float *y, const float *x, size_t n);
	void (*log)(float *y, const float *x, size_t n);
	void (*log1p)(float *y, const float *x, size_t n);
	void (*expm1)(float *y, const float *x, size_t n);
	void (*softplus)(float *y, const float *x, size_t n);
	void (*sin)(float *y, const float *x, size_t n);
	void (*cos)(float *y, const float *x, size_t n);

	/* Along a row, as num/reduce.h. */
	float (*max)(const float *x, size_t n);
	double (*lane16_f32)(const float *x, size_t n);
	double (*lane16)(const double *x, size_t n);
};

extern const struct lm_kernels lm_kernels_ref;

/*
 * The best set for this machine, or the one that the environment variable LOOM_ISA names; NULL
 * with LOOM_EARG if there is no such set.
 */
const struct lm_kernels *lm_kernels_pick(struct loom_error *err);

#endif
