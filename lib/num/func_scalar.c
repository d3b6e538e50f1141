/* func_scalar: functions and rows of the scalar set, in plain C. */
#include "num/functions.h"

#include <math.h>
#include <string.h>

#include "num/func.h"
#include "num/func_log.h"
#include "num/reduce.h"

/*
 * Arrays go through a buffer of fixed length: such a loop becomes vector code also where y is x.
 */
enum { STRIP = 16 };

#define MAP(name)                                                    \
	static void name##_array(float *y, const float *x, size_t n) \
	{                                                            \
		float t[STRIP] = { 0 };                              \
		size_t i, j, left;                                   \
                                                                     \
		for (i = 0; i < n; i += STRIP) {                     \
			left = n - i < STRIP ? n - i : STRIP;        \
			memcpy(t, x + i, left * sizeof *t);          \
			for (j = 0; j < STRIP; j++)                  \
				t[j] = lm_##name##_core(t[j]);       \
			memcpy(y + i, t, left * sizeof *t);          \
		}                                                    \
	}

MAP(exp)
MAP(tanh)
MAP(sigmoid)
MAP(silu)
MAP(erf)
MAP(gelu_erf)
MAP(gelu_tanh)
MAP(rsqrt)
MAP(log)
MAP(log1p)
MAP(expm1)
MAP(softplus)

/* Nothing to gain from strips: each value takes its own way. */
#define EACH_VALUE(name)                                             \
	static void name##_array(float *y, const float *x, size_t n) \
	{                                                            \
		size_t i;                                            \
                                                                     \
		for (i = 0; i < n; i++)                              \
			y[i] = lm_##name(x[i]);                      \
	}

EACH_VALUE(sin)
EACH_VALUE(cos)

static void
exp_less(float *y, const float *x, double m, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = (float)(x[i] - m);
	exp_array(y, y, n);
}

static void
exp_less64(float *y, const double *x, double m, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = (float)(x[i] - m);
	exp_array(y, y, n);
}

static double
max64(const double *x, size_t n)
{
	double m = -HUGE_VAL;
	size_t i;

	for (i = 0; i < n; i++)
		m = x[i] > m ? x[i] : m;
	return m;
}

static double
lane16_squares(const float *x, double mean, size_t n)
{
	double p[16] = { 0 }, d;
	size_t i, j;

	for (i = 0; i < n; i++) {
		d = x[i] - mean;
		p[i % 16] += d * d;
	}
	for (i = 8; i > 0; i /= 2)
		for (j = 0; j < i; j++)
			p[j] += p[j + i];
	return p[0];
}

static void
times(float *y, const float *x, double c, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = (float)(x[i] * c);
}

static void
normalize(float *y, const float *x, double mean, double r, const lm_f32u *gamma,
    const lm_f32u *beta, size_t n)
{
	size_t i;
	double t;

	for (i = 0; i < n; i++) {
		t = (x[i] - mean) * r;
		if (gamma != NULL)
			t = t * gamma[i];
		if (beta != NULL)
			t = t + beta[i];
		y[i] = (float)t;
	}
}

const struct lm_functions lm_functions_scalar = {
	.exp = exp_array,
	.tanh = tanh_array,
	.sigmoid = sigmoid_array,
	.silu = silu_array,
	.erf = erf_array,
	.gelu_erf = gelu_erf_array,
	.gelu_tanh = gelu_tanh_array,
	.rsqrt = rsqrt_array,
	.log = log_array,
	.log1p = log1p_array,
	.expm1 = expm1_array,
	.softplus = softplus_array,
	.sin = sin_array,
	.cos = cos_array,
	.exp_less = exp_less,
	.exp_less64 = exp_less64,
	.max = lm_max,
	.max64 = max64,
	.lane16_f32 = lm_lane16_f32,
	.lane16 = lm_lane16,
	.lane16_squares = lane16_squares,
	.times = times,
	.normalize = normalize,
};
