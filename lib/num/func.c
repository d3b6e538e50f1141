/* func: functions from binary32 to binary32, one element at a time. */
#include "num/func.h"

#include "num/func_log.h"

#define FUNC(name)                          \
	float lm_##name(float x)            \
	{                                   \
		return lm_##name##_core(x); \
	}

FUNC(exp)
FUNC(tanh)
FUNC(sigmoid)
FUNC(silu)
FUNC(erf)
FUNC(gelu_erf)
FUNC(gelu_tanh)
FUNC(rsqrt)
FUNC(log)
FUNC(log1p)
FUNC(expm1)
FUNC(softplus)

/* On the bits: a comparison may be compiled to an instruction that keeps -0 or drops a NaN. */
float
lm_relu(float x)
{
	uint32_t u = lm_bits32(x);
	int nan = (u & 0x7fffffff) > 0x7f800000;

	return (u >> 31) != 0 && !nan ? 0.0f : x;
}

float
lm_relu2(float x)
{
	float r = lm_relu(x);

	return r * r;
}

float
lm_relu6(float x)
{
	float r = lm_relu(x);

	return r > 6 ? 6 : r;
}

float
lm_leaky_relu(float x, double slope)
{
	return x < 0 ? (float)(x * slope) : x;
}

/* A NaN stays. */
static double
clip_six(double x)
{
	return lm_at_least(lm_at_most(x, 6), 0);
}

float
lm_hard_sigmoid(float x)
{
	return (float)(clip_six((double)x + 3) / 6);
}

float
lm_hard_swish(float x)
{
	return (float)(x * clip_six((double)x + 3) / 6);
}

float
lm_elu(float x, double alpha)
{
	return x > 0 ? x : (float)(alpha * lm_expm1(x));
}

float
lm_selu(float x)
{
	const double scale = 1.0507009873554804934193349852946;
	const double alpha = 1.6732632423543772848170429916717;

	return x > 0 ? (float)(scale * x) : (float)(scale * alpha * lm_expm1(x));
}
