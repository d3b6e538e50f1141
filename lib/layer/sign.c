/* sign: abs, neg and sign of float32 and int64, and not of bool. */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <math.h>

enum { GRAIN = 4096 };

struct row {
	float (*f32)(float);
	int64_t (*i64)(int64_t); /* of any but INT64_MIN, unless whole */
	int whole;		 /* INT64_MIN has a result */
};

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	s->out[0] = s->in[0];
	if (s->in[0].dtype != lm_dtype_get(LM_F32) && s->in[0].dtype != lm_dtype_get(LM_I64))
		return lm_fail_input(s, 0, err, "float32 or int64");
	return 0;
}

static void
part(void *context, int worker, size_t from, size_t to)
{
	const struct lm_call *c = context;
	const struct row *row = c->node->op->row;
	size_t i;

	(void)worker;
	if (c->out[0].shape->dtype == lm_dtype_get(LM_F32)) {
		const float *x = c->in[0].data;
		float *y = c->out[0].data;

		for (i = from; i < to; i++)
			y[i] = row->f32(x[i]);
	} else {
		const int64_t *x = c->in[0].data;
		int64_t *y = c->out[0].data;

		for (i = from; i < to; i++)
			y[i] = row->i64(x[i]);
	}
}

static int
check_whole(const struct lm_call *c, size_t n, struct loom_error *err)
{
	const int64_t *x = c->in[0].data;
	size_t i;

	for (i = 0; i < n; i++)
		if (x[i] == INT64_MIN)
			return lm_fail(err, LOOM_ESHAPE,
			    "layer %s (%s): %" PRId64 " has no int64 result (overflow)",
			    c->node->name, c->node->op->name, x[i]);
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct row *row = c->node->op->row;
	struct lm_call call = *c;
	uint64_t n;

	if (lm_shape_count(c->out[0].shape, &n) < 0)
		return 0;
	if (c->out[0].shape->dtype == lm_dtype_get(LM_I64) && !row->whole &&
	    check_whole(c, (size_t)n, err) < 0)
		return -1;
	lm_pool_each(c->pool, (size_t)n, GRAIN, part, &call);
	return 0;
}

static float
neg_f32(float x)
{
	return -x;
}

/* Of a zero and a NaN: itself. */
static float
sign_f32(float x)
{
	return x > 0 ? 1 : x < 0 ? -1 : x;
}

static int64_t
abs_i64(int64_t x)
{
	return x < 0 ? -x : x;
}

static int64_t
neg_i64(int64_t x)
{
	return -x;
}

static int64_t
sign_i64(int64_t x)
{
	return (x > 0) - (x < 0);
}

#define SIGN(NAME, ABOUT, REAL, WHOLE)                                    \
	static const struct row row_##NAME = { REAL, NAME##_i64, WHOLE }; \
	const struct lm_layer_ops lm_layer_##NAME = {                     \
		.name = #NAME,                                            \
		.cell = -1,                                               \
		.activation = LM_NO_ACTIVATION,                           \
		.in_least = 1,                                            \
		.in_most = 1,                                             \
		.out_least = 1,                                           \
		.out_most = 1,                                            \
		.about = ABOUT,                                           \
		.row = &row_##NAME,                                       \
		.shape = shape,                                           \
		.pieces = lm_pieces_each,                                 \
		.forward = forward,                                       \
	};

SIGN(abs, "y = |x|; an int64 that overflows is refused", fabsf, 0)
SIGN(neg, "y = -x; an int64 that overflows is refused", neg_f32, 0)
SIGN(sign, "y = 1 for x > 0, -1 for x < 0, else x", sign_f32, 1)

/* ---- bool ---- */

static int
not_shape(const struct lm_shaping *s, struct loom_error *err)
{
	s->out[0] = s->in[0];
	if (s->in[0].dtype != lm_dtype_get(LM_BOOL))
		return lm_fail_input(s, 0, err, "bool");
	return 0;
}

static int
not_forward(const struct lm_call *c, struct loom_error *err)
{
	const unsigned char *x = c->in[0].data;
	unsigned char *y = c->out[0].data;
	uint64_t n, i;

	(void)err;
	if (lm_shape_count(c->out[0].shape, &n) < 0)
		return 0;
	for (i = 0; i < n; i++)
		y[i] = x[i] == 0;
	return 0;
}

const struct lm_layer_ops lm_layer_not = {
	.name = "not",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = not x, of bool",
	.shape = not_shape,
	.pieces = lm_pieces_each,
	.forward = not_forward,
};
