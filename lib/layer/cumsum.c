/*
 * cumsum: along one axis, y_i = x_0 + ... + x_i.  A binary64 sum that begins at +0 runs on and is
 * rounded for each; integers are exact or refused.
 */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <inttypes.h>

enum { AXIS };
enum { GRAIN = 4096 };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	unsigned axis;

	if (s->in[0].dtype != lm_dtype_get(LM_F32) && s->in[0].dtype != lm_dtype_get(LM_I64))
		return lm_fail_input(s, 0, err, "float32 or int64");
	s->out[0] = s->in[0];
	return lm_axis(s, 0, s->node->param[AXIS].i, &axis, err);
}

struct job {
	const struct lm_call *call;
	size_t n, stride; /* values along the axis, elements between neighbours */
	size_t *beyond;	  /* the first row that overflows, one per worker; SIZE_MAX: none */
};

/* Each worker keeps the first row that overflows. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	(void)s;
	(void)err;
	*scratch = sizeof(size_t);
	return 0;
}

static size_t
begins(const struct job *j, size_t row)
{
	return row / j->stride * j->stride * j->n + row % j->stride;
}

static void
real_rows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const float *x = j->call->in[0].data;
	float *y = j->call->out[0].data;
	size_t r, i, at;
	double sum;

	(void)worker;
	for (r = from; r < to; r++)
		for (i = 0, at = begins(j, r), sum = 0; i < j->n; i++, at += j->stride) {
			sum += x[at];
			y[at] = (float)sum;
		}
}

static void
whole_rows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const int64_t *x = j->call->in[0].data;
	int64_t *y = j->call->out[0].data, sum;
	size_t r, i, at;

	for (r = from; r < to; r++)
		for (i = 0, at = begins(j, r), sum = 0; i < j->n; i++, at += j->stride) {
			if (__builtin_add_overflow(sum, x[at], &sum)) {
				j->beyond[worker] = r < j->beyond[worker] ? r : j->beyond[worker];
				break;
			}
			y[at] = sum;
		}
}

/* The two numbers that met; y has what there was before. */
static int
fail_row(const struct job *j, size_t row, struct loom_error *err)
{
	const int64_t *x = j->call->in[0].data, *y = j->call->out[0].data;
	size_t at = begins(j, row), i;
	int64_t sum = x[at];

	for (i = 1; i < j->n && !__builtin_add_overflow(y[at], x[at + j->stride], &sum); i++)
		at += j->stride;
	return lm_fail(err, LOOM_ESHAPE,
	    "layer %s (%s): %" PRId64 " + %" PRId64 " has no int64 result (overflow)",
	    j->call->node->name, j->call->node->op->name, y[at], x[at + j->stride]);
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	int real = x->dtype == lm_dtype_get(LM_F32), w;
	struct job j = { .call = c, .stride = 1, .beyond = c->scratch };
	int64_t axis = c->node->param[AXIS].i;
	size_t row = SIZE_MAX;
	uint64_t count;
	unsigned i, a = (unsigned)(axis < 0 ? axis + x->rank : axis);

	if (lm_shape_count(x, &count) < 0 || count == 0)
		return 0;
	for (i = a + 1; i < x->rank; i++)
		j.stride *= (size_t)x->dim[i];
	j.n = (size_t)x->dim[a];
	for (w = 0; w < lm_pool_jobs(c->pool); w++)
		j.beyond[w] = SIZE_MAX;
	lm_pool_each(c->pool, (size_t)count / j.n, GRAIN / j.n + 1, real ? real_rows : whole_rows,
	    &j);
	for (w = 0; w < lm_pool_jobs(c->pool); w++)
		row = j.beyond[w] < row ? j.beyond[w] : row;
	return row != SIZE_MAX ? fail_row(&j, row, err) : 0;
}

const struct lm_layer_ops lm_layer_cumsum = {
	.name = "cumsum",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = sums along axis up to and with each value; int64 is exact or refused",
	.params = { [AXIS] = { "axis", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 } },
	.shape = shape,
	.plan = plan,
	.pieces = lm_pieces_axis,
	.forward = forward,
};
