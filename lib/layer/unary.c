/* unary: functions of one float32 value without parameters; a row of unary.def each. */
#include "layer/unary.h"

#include <math.h>
#include <string.h>

#include "num/simple.h"

enum { GRAIN = 4096 }; /* elements that are worth a thread */

int
lm_unary_shape(const struct lm_shaping *s, struct loom_error *err)
{
	s->out[0] = s->in[0];
	return lm_want_f32(s, 0, err);
}

static void
part(void *context, int worker, size_t from, size_t to)
{
	const struct lm_call *c = context;
	const struct lm_unary *row = c->node->op->row;
	const float *x = c->in[0].data;
	float *y = c->out[0].data;

	(void)worker;
	row->apply(c, y + from, x + from, to - from);
}

int
lm_unary_forward(const struct lm_call *c, struct loom_error *err)
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
selu(const struct lm_functions *fn, float *y, const float *x, size_t n)
{
	float less_one[LM_UNARY_STRIP];
	size_t i, part;

	for (; n > 0; n -= part, x += part, y += part) {
		part = n < LM_UNARY_STRIP ? n : LM_UNARY_STRIP;
		fn->expm1(less_one, x, part);
		for (i = 0; i < part; i++)
			y[i] = lm_selu_core(x[i], less_one[i]);
	}
}

/* By an expression of v, which is x[i]. */
#define EACH(EXPRESSION)                 \
	for (size_t i = 0; i < n; i++) { \
		float v = x[i];          \
		y[i] = EXPRESSION;       \
	}

#define UNARY(NAME, ACTIVATION, ABOUT, HOW)                                                   \
	static void apply_##NAME(const struct lm_call *c, float *y, const float *x, size_t n) \
	{                                                                                     \
		(void)c;                                                                      \
		HOW;                                                                          \
	}                                                                                     \
	LM_UNARY(NAME, ACTIVATION, ABOUT, .params = { { NULL, LM_IS_INT, 0, 0, NULL, 0 } });
#include "layer/unary.def"
#undef UNARY
