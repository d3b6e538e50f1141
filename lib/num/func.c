/* func: functions from binary32 to binary32, one element at a time. */
#include "num/func.h"

#include "num/func_log.h"
#include "num/simple.h"

#define FUNC(name)                          \
	float lm_##name(float x)            \
	{                                   \
		return lm_##name##_core(x); \
	}

FUNC(exp)
FUNC(tanh)
FUNC(sigmoid)
FUNC(silu)
FUNC(mish)
FUNC(erf)
FUNC(gelu_erf)
FUNC(gelu_tanh)
FUNC(rsqrt)
FUNC(log)
FUNC(log1p)
FUNC(expm1)
FUNC(softplus)

FUNC(relu)
FUNC(relu2)
FUNC(relu6)
FUNC(hard_sigmoid)
FUNC(hard_swish)

float
lm_leaky_relu(float x, double slope)
{
	return lm_leaky_relu_core(x, slope);
}

float
lm_elu(float x, double alpha)
{
	return lm_elu_core(x, lm_expm1(x), alpha);
}

float
lm_selu(float x)
{
	return lm_selu_core(x, lm_expm1(x));
}
