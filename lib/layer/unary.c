/* unary: functions of one float32 value; a row of unary.def each, and those with parameters here. */
#include "layer/layer.h"

#include <string.h>

#include "num/func.h"

enum { GRAIN = 4096 }; /* elements that are worth a thread */

/* y[0..n-1] from x[0..n-1]; y may be x. */
typedef void apply_fn(const struct lm_call *c, float *y, const float *x, size_t n);

struct row {
	apply_fn *apply;
};

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	s->out[0] = s->in[0];
	return lm_want_f32(s, 0, err);
}

static void
part(void *context, int worker, size_t from, size_t to)
{
	const struct lm_call *c = context;
	const struct row *row = c->node->op->row;
	const float *x = c->in[0].data;
	float *y = c->out[0].data;

	(void)worker;
	row->apply(c, y + from, x + from, to - from);
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	uint64_t n;
	struct lm_call call = *c;

	(void)err;
	if (lm_shape_count(c->out[0].shape, &n) == 0)
		lm_pool_each(c->pool, (size_t)n, GRAIN, part, &call);
	return 0;
}

static void
copy(float *y, const float *x, size_t n)
{
	if (n > 0)
		memmove(y, x, n * sizeof(*y));
}

static void
each(float (*f)(float), float *y, const float *x, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = f(x[i]);
}

#define OPERATION(NAME, ACTIVATION, ABOUT, ...)                      \
	const struct lm_layer_ops lm_layer_##NAME = { .name = #NAME, \
		.cell = -1,                                          \
		.activation = ACTIVATION,                            \
		.in_least = 1,                                       \
		.in_most = 1,                                        \
		.out_least = 1,                                      \
		.out_most = 1,                                       \
		.about = ABOUT,                                      \
		.row = &row_##NAME,                                  \
		.shape = shape,                                      \
		.forward = forward,                                  \
		__VA_ARGS__ }

#define UNARY(NAME, ACTIVATION, ABOUT, HOW)                                                   \
	static void apply_##NAME(const struct lm_call *c, float *y, const float *x, size_t n) \
	{                                                                                     \
		(void)c;                                                                      \
		HOW;                                                                          \
	}                                                                                     \
	static const struct row row_##NAME = { apply_##NAME };                                \
	OPERATION(NAME, ACTIVATION, ABOUT, .params = { { NULL, LM_IS_INT, 0, 0, NULL, 0 } });
#include "layer/unary.def"
#undef UNARY

/* ---- with parameters ---- */

static void
apply_leaky_relu(const struct lm_call *c, float *y, const float *x, size_t n)
{
	double slope = c->node->param[0].real;
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = lm_leaky_relu(x[i], slope);
}

static const struct row row_leaky_relu = { apply_leaky_relu };
OPERATION(leaky_relu, 5, "y = x < 0 ? x negative_slope : x",
    .params = { { "negative_slope", LM_IS_REAL, 0, 0, NULL, 0 } });

static const char *const gelu_forms[] = { "none", "tanh", NULL };

static void
apply_gelu(const struct lm_call *c, float *y, const float *x, size_t n)
{
	if (c->node->param[0].i == 0)
		c->kernels->gelu_erf(y, x, n);
	else
		c->kernels->gelu_tanh(y, x, n);
}

static const struct row row_gelu = { apply_gelu };
OPERATION(gelu, 2, "none: y = x (1 + erf(x/sqrt 2))/2; tanh: its tanh form; correctly rounded",
    .params = { { "approximate", LM_IS_ENUM, 0, 1, gelu_forms, 0 } });
