/*
 * simple: functions of a few operations, as inline code without branches, so that a loop over an
 * array is turned into vector code.  What they compute stands in num/func.h.
 */
#ifndef NUM_SIMPLE_H
#define NUM_SIMPLE_H

#include "num/func_core.h"

/* On the bits: a comparison may be compiled to an instruction that keeps -0 or drops a NaN. */
LM_CORE float
lm_relu_core(float x)
{
	uint32_t u = lm_bits32(x);
	int nan = (u & 0x7fffffff) > 0x7f800000;

	return (u >> 31) != 0 && !nan ? 0.0f : x;
}

LM_CORE float
lm_relu2_core(float x)
{
	float r = lm_relu_core(x);

	return r * r;
}

LM_CORE float
lm_relu6_core(float x)
{
	float r = lm_relu_core(x);

	return r > 6 ? 6 : r;
}

LM_CORE float
lm_leaky_relu_core(float x, double slope)
{
	return x < 0 ? (float)(x * slope) : x;
}

/* A NaN stays. */
LM_CORE double
lm_clip_six(double x)
{
	return lm_at_least(lm_at_most(x, 6), 0);
}

LM_CORE float
lm_hard_sigmoid_core(float x)
{
	return (float)(lm_clip_six((double)x + 3) / 6);
}

LM_CORE float
lm_hard_swish_core(float x)
{
	return (float)(x * lm_clip_six((double)x + 3) / 6);
}

/* Of x and its expm1. */
LM_CORE float
lm_elu_core(float x, float less_one, double alpha)
{
	return x > 0 ? x : (float)(alpha * less_one);
}

LM_CORE float
lm_selu_core(float x, float less_one)
{
	const double scale = 1.0507009873554804934193349852946;
	const double alpha = 1.6732632423543772848170429916717;

	return x > 0 ? (float)(scale * x) : (float)(scale * alpha * less_one);
}

LM_CORE float
lm_reciprocal_core(float x)
{
	return 1 / x;
}

/* x, if it is a whole number by its size; else y with the sign of x, which a zero needs. */
LM_CORE float
lm_rounded(float x, float y)
{
	return fabsf(x) < 0x1p23f ? copysignf(y, x) : x;
}

/* What lies behind the point cut off. */
LM_CORE float
lm_cut(float x)
{
	return (float)(int32_t)(fabsf(x) < 0x1p23f ? x : 0);
}

LM_CORE float
lm_floor_core(float x)
{
	float y = lm_cut(x);

	return lm_rounded(x, y > x ? y - 1 : y);
}

LM_CORE float
lm_ceil_core(float x)
{
	float y = lm_cut(x);

	return lm_rounded(x, y < x ? y + 1 : y);
}

/* Halves to even, as the addition rounds. */
LM_CORE float
lm_round_core(float x)
{
	return lm_rounded(x, (fabsf(x) + 0x1p23f) - 0x1p23f);
}

#endif
