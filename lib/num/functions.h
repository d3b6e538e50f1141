/*
 * functions: what works element by element or along a row, as a table; each set has the same bits.
 * Arrays may lie at any multiple of 4 bytes; y may be x.
 */
#ifndef NUM_FUNCTIONS_H
#define NUM_FUNCTIONS_H

#include <stddef.h>

#include "num/exact.h"

typedef void lm_map_fn(float *y, const float *x, size_t n);

/* y = (x - mean) * r * gamma + beta; a gamma of 1 and a beta of -0 change no value. */
struct lm_affine {
	double mean, r, gamma, beta;
};

struct lm_functions {
	/* Correctly rounded. */
	lm_map_fn *exp, *tanh, *sigmoid, *silu, *mish, *erf, *gelu_erf, *gelu_tanh, *rsqrt, *log,
	    *log1p, *expm1, *softplus, *sin, *cos;

	/* y = the correctly rounded exp of x - m, rounded to binary64, then to binary32. */
	void (*exp_less)(float *y, const float *x, double m, size_t n);
	void (*exp_less64)(float *y, const double *x, double m, size_t n);

	/*
	 * The greatest element, the first of equal ones; NaNs are passed over; -inf if nothing is left.
	 * max64 gives any of the zeros if it is one.
	 */
	float (*max)(const float *x, size_t n);
	double (*max64)(const double *x, size_t n);
	/* LANE16: p[i mod 16] += x[i], then the lanes are folded 8, 4, 2, 1. */
	double (*lane16_f32)(const float *x, size_t n);
	double (*lane16)(const double *x, size_t n);
	/* LANE16 of the squares of x - mean, each step rounded to binary64. */
	double (*lane16_squares)(const float *x, double mean, size_t n);

	/* y = x * c in binary64, rounded. */
	void (*times)(float *y, const float *x, double c, size_t n);
	/*
	 * y = (x - mean) * r * gamma + beta, each step rounded to binary64, then to binary32; without
	 * gamma or beta, which may be NULL, without that step.
	 */
	void (*normalize)(float *y, const float *x, double mean, double r, const lm_f32u *gamma,
	    const lm_f32u *beta, size_t n);
	/* The same with one line for all, and with a line for each. */
	void (*affine)(float *y, const float *x, const struct lm_affine *line, size_t n);
	void (*affines)(float *y, const float *x, const struct lm_affine *line, size_t n);

	/* y = x, or +0 where x is below 0 or is -0. */
	lm_map_fn *relu;
	/* memory = f * memory + i * g, each step rounded to binary64; h is that rounded to binary32. */
	void (*remember)(double *memory, float *h, const float *i, const float *f, const float *g,
	    size_t n);
	/* y = y * x. */
	void (*gate)(float *y, const float *x, size_t n);
	int (*has_nan)(const float *x, size_t n);
};

extern const struct lm_functions lm_functions_scalar, lm_functions_sse2, lm_functions_avx2,
    lm_functions_avx512, lm_functions_neon, lm_functions_simd128;

#endif
