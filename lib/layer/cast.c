/* cast: y = x as float32, int64 or bool. */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <math.h>

enum { TO };
enum { GRAIN = 4096 };

static const char *const kinds[] = { "float32", "int64", "bool", NULL };
enum { KINDS = 3 };

static const struct lm_dtype *
kind(size_t i)
{
	static const int id[KINDS] = { LM_F32, LM_I64, LM_BOOL };

	return lm_dtype_get(id[i]);
}

static size_t
kind_of(const struct lm_dtype *dtype)
{
	size_t i;

	for (i = 0; i < KINDS - 1 && kind(i) != dtype; i++)
		;
	return i;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	(void)err;
	s->out[0] = s->in[0];
	s->out[0].dtype = kind((size_t)s->node->param[TO].i);
	return 0;
}

/* n elements of y from n of x. */
typedef void convert_fn(void *y, const void *x, size_t n);

#define CONVERT(NAME, FROM, INTO, HOW)                     \
	static void NAME(void *y, const void *x, size_t n) \
	{                                                  \
		const FROM *from = x;                      \
		INTO *into = y;                            \
		size_t i;                                  \
                                                           \
		for (i = 0; i < n; i++)                    \
			into[i] = HOW;                     \
	}

CONVERT(f32_f32, float, float, from[i])
CONVERT(f32_i64, float, int64_t, (int64_t)from[i])
CONVERT(f32_bool, float, unsigned char, from[i] != 0)
CONVERT(i64_f32, int64_t, float, (float)from[i])
CONVERT(i64_i64, int64_t, int64_t, from[i])
CONVERT(i64_bool, int64_t, unsigned char, from[i] != 0)
CONVERT(bool_f32, unsigned char, float, from[i] != 0)
CONVERT(bool_i64, unsigned char, int64_t, from[i] != 0)
CONVERT(bool_bool, unsigned char, unsigned char, from[i] != 0)

static void
part(void *context, int worker, size_t from, size_t to)
{
	static convert_fn *const convert[KINDS][KINDS] = { { f32_f32, f32_i64, f32_bool },
		{ i64_f32, i64_i64, i64_bool }, { bool_f32, bool_i64, bool_bool } };
	const struct lm_call *c = context;
	const struct lm_dtype *x = c->in[0].shape->dtype, *y = c->out[0].shape->dtype;

	(void)worker;
	convert[kind_of(x)][kind_of(y)]((char *)c->out[0].data + from * (y->bits / 8),
	    (const char *)c->in[0].data + from * (x->bits / 8), to - from);
}

/* The first value that no int64 is near is named, whatever the threads. */
static int
check_values(const struct lm_call *c, size_t n, struct loom_error *err)
{
	const float *x = c->in[0].data;
	size_t i;

	for (i = 0; i < n; i++)
		if (!(x[i] >= -0x1p63f && x[i] < 0x1p63f))
			return lm_fail(err, LOOM_ESHAPE, "layer %s (%s): %.9g is no int64",
			    c->node->name, c->node->op->name, x[i] != x[i] ? NAN : (double)x[i]);
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	struct lm_call call = *c;
	uint64_t n;

	if (lm_shape_count(c->out[0].shape, &n) < 0)
		return 0;
	if (c->in[0].shape->dtype == kind(0) && c->out[0].shape->dtype == kind(1) &&
	    check_values(c, (size_t)n, err) < 0)
		return -1;
	lm_pool_each(c->pool, (size_t)n, GRAIN, part, &call);
	return 0;
}

const struct lm_layer_ops lm_layer_cast = {
	.name = "cast",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x to a dtype; float32 to int64 toward zero, NaN and what overflows refused",
	.params = { [TO] = { "to", LM_IS_ENUM, 0, KINDS - 1, kinds, 0 } },
	.shape = shape,
	.pieces = lm_pieces_each,
	.forward = forward,
};
