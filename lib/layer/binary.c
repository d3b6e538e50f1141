/* binary: z = f(x, y) with NumPy's broadcasting, for float32 and int64; a row of binary.def each. */
#include "layer/layer.h"

#include <inttypes.h>
#include <string.h>

enum { GRAIN = 4096 };

/* n results from x and y, which advance by dx and dy elements (0 or 1).  Nonzero: overflow. */
struct row {
	void (*f32)(float *z, const float *x, size_t dx, const float *y, size_t dy, size_t n);
	int (*i64)(int64_t *z, const int64_t *x, size_t dx, const int64_t *y, size_t dy, size_t n);
};

static int
extent(const struct lm_shape *s, unsigned rank, unsigned axis, uint64_t *out)
{
	unsigned missing = rank - s->rank;

	*out = axis < missing ? 1 : s->dim[axis - missing];
	return *out != 1;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0], *y = &s->in[1];
	char other[LM_SHAPE_TEXT];
	uint64_t a, b;
	unsigned i;

	if (x->dtype != lm_dtype_get(LM_I64) && lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->dtype != y->dtype)
		return lm_fail_input(s, 1, err, "%s as input 0 has", x->dtype->name);
	s->out[0] = x->rank >= y->rank ? *x : *y;
	for (i = 0; i < s->out[0].rank; i++) {
		(void)extent(x, s->out[0].rank, i, &a);
		(void)extent(y, s->out[0].rank, i, &b);
		if (a != b && a != 1 && b != 1)
			return lm_fail_input(s, 1, err, "a shape that broadcasts with %s",
			    lm_shape_text(other, x));
		s->out[0].dim[i] = a != 1 ? a : b;
	}
	return 0;
}

/* Elements between neighbours along each axis of the result; 0 where the operand is spread. */
static void
strides(const struct lm_shape *s, const struct lm_shape *out, size_t stride[LOOM_RANK])
{
	size_t step = 1;
	uint64_t n;
	unsigned i;

	for (i = out->rank; i-- > 0;) {
		stride[i] = extent(s, out->rank, i, &n) ? step : 0;
		step *= (size_t)n;
	}
}

struct job {
	const struct lm_call *call;
	size_t sx[LOOM_RANK], sy[LOOM_RANK];
	size_t inner;  /* results that lie in one run of the last axis */
	int *overflow; /* one per worker */
};

static size_t
place(const struct lm_shape *out, const size_t stride[LOOM_RANK], size_t line)
{
	size_t at = 0;
	unsigned i;

	for (i = out->rank > 0 ? out->rank - 1 : 0; i-- > 0; line /= (size_t)out->dim[i])
		at += line % (size_t)out->dim[i] * stride[i];
	return at;
}

static void
lines(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_call *c = j->call;
	const struct lm_shape *out = c->out[0].shape;
	const struct row *row = c->node->op->row;
	size_t line, dx, dy, x, y;

	dx = out->rank > 0 ? j->sx[out->rank - 1] : 0;
	dy = out->rank > 0 ? j->sy[out->rank - 1] : 0;
	for (line = from; line < to; line++) {
		x = place(out, j->sx, line);
		y = place(out, j->sy, line);
		if (out->dtype == lm_dtype_get(LM_F32))
			row->f32((float *)c->out[0].data + line * j->inner,
			    (const float *)c->in[0].data + x, dx, (const float *)c->in[1].data + y,
			    dy, j->inner);
		else
			j->overflow[worker] |= row->i64((int64_t *)c->out[0].data + line * j->inner,
			    (const int64_t *)c->in[0].data + x, dx,
			    (const int64_t *)c->in[1].data + y, dy, j->inner);
	}
}

/* A flag per worker for integers that overflow. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	(void)s;
	(void)err;
	*scratch = sizeof(int);
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *out = c->out[0].shape;
	struct job j = { .call = c, .inner = 1, .overflow = c->scratch };
	size_t count = 1;
	unsigned i;
	int w;

	for (i = 0; i < out->rank; i++)
		count *= (size_t)out->dim[i];
	if (count == 0)
		return 0;
	if (out->rank > 0)
		j.inner = (size_t)out->dim[out->rank - 1];
	strides(c->in[0].shape, out, j.sx);
	strides(c->in[1].shape, out, j.sy);
	memset(j.overflow, 0, (size_t)lm_pool_jobs(c->pool) * sizeof(int));
	lm_pool_each(c->pool, count / j.inner, GRAIN / j.inner + 1, lines, &j);
	for (w = 0; w < lm_pool_jobs(c->pool); w++)
		if (j.overflow[w])
			return lm_fail(err, LOOM_ESHAPE,
			    "layer %s (%s): a result is no int64 (overflow, or a quotient that is "
			    "not whole)",
			    c->node->name, c->node->op->name);
	return 0;
}

/* Integers have no rounding here: a quotient is exact or refused. */
static int
exact_quotient(int64_t x, int64_t y, int64_t *z)
{
	*z = 0;
	if (y == 0 || (x == INT64_MIN && y == -1) || x % y != 0)
		return 1;
	*z = x / y;
	return 0;
}

#define BINARY(NAME, ABOUT, REAL, INTEGER)                                                         \
	static void f32_##NAME(float *out, const float *px, size_t dx, const float *py, size_t dy, \
	    size_t n)                                                                              \
	{                                                                                          \
		size_t i;                                                                          \
		for (i = 0; i < n; i++) {                                                          \
			float x = px[i * dx], y = py[i * dy];                                      \
			out[i] = (REAL);                                                           \
		}                                                                                  \
	}                                                                                          \
	static int i64_##NAME(int64_t *out, const int64_t *px, size_t dx, const int64_t *py,       \
	    size_t dy, size_t n)                                                                   \
	{                                                                                          \
		int overflow = 0;                                                                  \
		size_t i;                                                                          \
		for (i = 0; i < n; i++) {                                                          \
			int64_t x = px[i * dx], y = py[i * dy], *z = &out[i];                      \
			overflow |= (INTEGER);                                                     \
		}                                                                                  \
		return overflow;                                                                   \
	}                                                                                          \
	static const struct row row_##NAME = { f32_##NAME, i64_##NAME };                           \
	const struct lm_layer_ops lm_layer_##NAME = {                                              \
		.name = #NAME,                                                                     \
		.cell = -1,                                                                        \
		.activation = LM_NO_ACTIVATION,                                                    \
		.in_least = 2,                                                                     \
		.in_most = 2,                                                                      \
		.out_least = 1,                                                                    \
		.out_most = 1,                                                                     \
		.about = ABOUT ", broadcasting; int64 is exact or refused",                        \
		.row = &row_##NAME,                                                                \
		.shape = shape,                                                                    \
		.plan = plan,                                                                      \
		.forward = forward,                                                                \
	};
#include "layer/binary.def"
#undef BINARY
