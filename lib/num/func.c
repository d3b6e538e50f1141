/* func: functions from binary32 to binary32, one element at a time. */
#include "num/func.h"

#include "num/func_core.h"

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
lm_leaky_relu(float x, double slope)
{
	return x < 0 ? (float)(x * slope) : x;
}
