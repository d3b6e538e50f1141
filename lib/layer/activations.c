/* activations: functions of one float32 value with parameters. */
#include "layer/unary.h"

#include "num/simple.h"

static void
apply_leaky_relu(const struct lm_call *c, float *y, const float *x, size_t n)
{
	double slope = c->node->param[0].real;
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = lm_leaky_relu_core(x[i], slope);
}

LM_UNARY(leaky_relu, 5, "y = x < 0 ? x negative_slope : x",
    .params = { { "negative_slope", LM_IS_REAL, 0, 0, NULL, 0 } });

static void
apply_elu(const struct lm_call *c, float *y, const float *x, size_t n)
{
	double alpha = c->node->param[0].real;
	float less_one[LM_UNARY_STRIP];
	size_t i, part;

	for (; n > 0; n -= part, x += part, y += part) {
		part = n < LM_UNARY_STRIP ? n : LM_UNARY_STRIP;
		c->kernels->fn->expm1(less_one, x, part);
		for (i = 0; i < part; i++)
			y[i] = lm_elu_core(x[i], less_one[i], alpha);
	}
}

LM_UNARY(elu, LM_NO_ACTIVATION, "y = x > 0 ? x : alpha (e^x - 1)",
    .params = { { "alpha", LM_IS_REAL, 0, 0, NULL, 0 } });

static const char *const gelu_forms[] = { "none", "tanh", NULL };

static void
apply_gelu(const struct lm_call *c, float *y, const float *x, size_t n)
{
	if (c->node->param[0].i == 0)
		c->kernels->fn->gelu_erf(y, x, n);
	else
		c->kernels->fn->gelu_tanh(y, x, n);
}

LM_UNARY(gelu, 2, "none: y = x (1 + erf(x/sqrt 2))/2; tanh: its tanh form; correctly rounded",
    .params = { { "approximate", LM_IS_ENUM, 0, 1, gelu_forms, 0 } });

enum { BETA, THRESHOLD };

/* Without a threshold, which is a NaN, no comparison holds. */
static void
apply_softplus(const struct lm_call *c, float *y, const float *x, size_t n)
{
	double beta = c->node->param[BETA].real, threshold = c->node->param[THRESHOLD].real;
	float s[LM_UNARY_STRIP];
	size_t i, part;

	for (; n > 0; n -= part, x += part, y += part) {
		part = n < LM_UNARY_STRIP ? n : LM_UNARY_STRIP;
		for (i = 0; i < part; i++)
			s[i] = (float)(x[i] * beta);
		c->kernels->fn->softplus(s, s, part);
		for (i = 0; i < part; i++)
			y[i] = x[i] * beta > threshold ? x[i] : (float)(s[i] / beta);
	}
}

LM_UNARY(softplus, LM_NO_ACTIVATION, "y = x beta > threshold ? x : log(1 + e^(x beta))/beta",
    .params = { [BETA] = { "beta", LM_IS_REAL, 0, 0, NULL, 0 },
	[THRESHOLD] = { "threshold", LM_IS_MAYBE, 0, 0, NULL, 0 } });

enum { MIN, MAX };

/* A bound that is absent is a NaN: nothing lies beyond it.  Where they cross, max wins. */
static void
apply_clip(const struct lm_call *c, float *y, const float *x, size_t n)
{
	float least = (float)c->node->param[MIN].real, most = (float)c->node->param[MAX].real, v;
	size_t i;

	for (i = 0; i < n; i++) {
		v = x[i] < least ? least : x[i];
		y[i] = v > most ? most : v;
	}
}

LM_UNARY(clip, LM_NO_ACTIVATION, "y = min where x < min, max where that is above max, else x",
    .params = { [MIN] = { "min", LM_IS_MAYBE, 0, 0, NULL, 0 },
	[MAX] = { "max", LM_IS_MAYBE, 0, 0, NULL, 0 } });
