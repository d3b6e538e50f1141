/*
 * softmax: along one axis of n values, y_i = e^(x_i - m) / sum over j of e^(x_j - m), m their maximum;
 * log_softmax: its logarithm, x_i - m less that of the sum.  e is correctly rounded to binary32, the
 * sum runs in 16 binary64 lanes, y is rounded once.
 */
#include "layer/layer.h"
#include "layer/pieces.h"

#include "num/angle.h"

enum { AXIS };
enum { GRAIN = 1024 };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	unsigned axis;

	if (lm_want_f32(s, 0, err) < 0 || lm_axis(s, 0, s->node->param[AXIS].i, &axis, err) < 0)
		return -1;
	if (s->in[0].dim[axis] == 0)
		return lm_fail_input(s, 0, err, "at least one value along axis %u", axis);
	s->out[0] = s->in[0];
	return 0;
}

struct job {
	const struct lm_call *call;
	size_t n, stride; /* values along the axis, elements between neighbours */
	float *row;	  /* one per worker, n each */
};

/* A row each, for e where it is not y that holds it. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	unsigned axis;

	if (lm_axis(s, 0, s->node->param[AXIS].i, &axis, err) < 0)
		return -1;
	*scratch = 0;
	if (lm_mul((size_t)s->in[0].dim[axis], sizeof(float), scratch) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for a row of softmax");
	return 0;
}

/* One row of y from x, both in one piece or, by way of e, with strides; n values. */
typedef void row_fn(const struct lm_functions *, float *y, const float *x, float *e, size_t n,
    size_t stride);

struct row {
	row_fn *row;
};

static float
exponentials(const struct lm_functions *fn, const float *x, float *e, size_t n, size_t stride)
{
	float m;
	size_t i;

	if (stride > 1) {
		for (i = 0; i < n; i++)
			e[i] = x[i * stride];
		x = e;
	}
	m = fn->max(x, n);
	fn->exp_less(e, x, m, n);
	return m;
}

static void
quotients(const struct lm_functions *fn, float *y, const float *x, float *e, size_t n,
    size_t stride)
{
	float *to = stride > 1 ? e : y;
	size_t i;

	(void)exponentials(fn, x, to, n, stride);
	fn->times(to, to, 1.0 / fn->lane16_f32(to, n), n);
	for (i = 0; stride > 1 && i < n; i++)
		y[i * stride] = e[i];
}

/* The sum is at least 1, or a NaN. */
static void
logarithms(const struct lm_functions *fn, float *y, const float *x, float *e, size_t n,
    size_t stride)
{
	float m = exponentials(fn, x, e, n, stride);
	double sum = fn->lane16_f32(e, n), log_sum = sum >= 1 ? lm_log64(sum) : sum;
	size_t i;

	for (i = 0; i < n; i++)
		y[i * stride] = (float)(((double)x[i * stride] - m) - log_sum);
}

static void
rows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct row *row = j->call->node->op->row;
	const float *x = j->call->in[0].data;
	float *y = j->call->out[0].data, *e = j->row + (size_t)worker * j->n;
	size_t r, at;

	for (r = from; r < to; r++) {
		at = r / j->stride * j->stride * j->n + r % j->stride;
		row->row(j->call->kernels->fn, y + at, x + at, e, j->n, j->stride);
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	int64_t axis = c->node->param[AXIS].i;
	struct job j = { .call = c, .stride = 1, .row = c->scratch };
	size_t count = 1;
	unsigned i, a = (unsigned)(axis < 0 ? axis + x->rank : axis);

	(void)err;
	for (i = 0; i < x->rank; i++) {
		count *= (size_t)x->dim[i];
		if (i > a)
			j.stride *= (size_t)x->dim[i];
	}
	j.n = (size_t)x->dim[a];
	lm_pool_each(c->pool, count / j.n, GRAIN / j.n + 1, rows, &j);
	return 0;
}

#define SOFTMAX(NAME, ABOUT, FINISH)                                                              \
	static const struct row row_##NAME = { FINISH };                                          \
	const struct lm_layer_ops lm_layer_##NAME = {                                             \
		.name = #NAME,                                                                    \
		.cell = -1,                                                                       \
		.activation = LM_NO_ACTIVATION,                                                   \
		.in_least = 1,                                                                    \
		.in_most = 1,                                                                     \
		.out_least = 1,                                                                   \
		.out_most = 1,                                                                    \
		.about = ABOUT,                                                                   \
		.params = { [AXIS] = { "axis", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 } }, \
		.row = &row_##NAME,                                                               \
		.shape = shape,                                                                   \
		.plan = plan,                                                                     \
		.pieces = lm_pieces_axis,                                                         \
		.forward = forward,                                                               \
	};

SOFTMAX(softmax, "y = e^(x - max)/sum of e^(x - max) along axis", quotients)
SOFTMAX(log_softmax, "y = (x - max) - log(sum of e^(x - max)) along axis", logarithms)
