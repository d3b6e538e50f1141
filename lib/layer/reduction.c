/*
 * reduce: one value of all those along some axes, taken in row-major order of these; a row of
 * reduction.def each, and argmax.  Threads cut the results, never a sum.
 */
#include "layer/walk.h"
#include "layer/pieces.h"

#include <string.h>

#include "num/pair.h"

enum { AXES, AXIS = AXES, KEEPDIMS };
enum { GRAIN = 4096 };		/* values that are worth a thread */
enum { NOTE = sizeof(size_t) }; /* of each worker, before the values it gathers */

/* *y from x[0..n-1].  Nonzero: there is no such number. */
typedef int reduce_fn(const struct lm_kernels *, const void *x, size_t n, void *y);

struct row {
	reduce_fn *f32, *i64; /* NULL: not for that dtype */
	int empty;	      /* no values at all will do */
	int index;	      /* one axis, and the result is a place along it */
};

/* ---- shapes ---- */

static int
check(const struct lm_node *n, struct loom_error *err)
{
	if (n->param[AXES].dims.n == 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): axes is empty, expected at least one axis", n->name,
		    n->op->name);
	return 0;
}

/* The axes that go, a bit each. */
static int
reduced(const struct lm_shaping *s, unsigned *bits, struct loom_error *err)
{
	const struct row *row = s->node->op->row;
	const union lm_value *p = s->node->param;
	size_t k, n = row->index ? 1 : p[AXES].dims.n;
	unsigned axis;

	*bits = 0;
	for (k = 0; k < n; k++) {
		if (lm_axis(s, 0, row->index ? p[AXIS].i : p[AXES].dims.dim[k].value, &axis, err) <
		    0)
			return -1;
		if (*bits >> axis & 1)
			return lm_fail(err, LOOM_EFORMAT, "node %s (%s): axes has axis %u twice",
			    s->node->name, s->node->op->name, axis);
		*bits |= 1u << axis;
	}
	return 0;
}

static reduce_fn *
function(const struct row *row, const struct lm_dtype *dtype)
{
	return dtype == lm_dtype_get(LM_F32) ? row->f32
	    : dtype == lm_dtype_get(LM_I64)  ? row->i64
					     : NULL;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	const struct row *row = s->node->op->row;
	struct lm_shape *y = &s->out[0];
	unsigned gone, i;

	if (function(row, x->dtype) == NULL)
		return lm_fail_input(s, 0, err, row->i64 ? "float32 or int64" : "float32");
	if (reduced(s, &gone, err) < 0)
		return -1;
	y->dtype = row->index ? lm_dtype_get(LM_I64) : x->dtype;
	y->rank = 0;
	for (i = 0; i < x->rank; i++) {
		if ((gone >> i & 1) && x->dim[i] == 0 && !row->empty)
			return lm_fail_input(s, 0, err, "at least one value along axis %u", i);
		if (!(gone >> i & 1))
			y->dim[y->rank++] = x->dim[i];
		else if (s->node->param[KEEPDIMS].i)
			y->dim[y->rank++] = 1;
	}
	return 0;
}

/* ---- values ---- */

struct job {
	const struct lm_call *call;
	reduce_fn *function;
	struct lm_walk left, gone; /* places of results, and of what goes into one */
	size_t n, size;		   /* values that go into one, bytes of each */
	size_t each;		   /* bytes of scratch per worker */
};

static void
set_walks(struct job *j, const struct lm_shape *x, unsigned gone)
{
	size_t step[LOOM_RANK][LM_WALKED] = { { 0 } }, next = 1;
	unsigned i;

	j->left.operands = j->gone.operands = 1;
	j->n = 1;
	for (i = x->rank; i-- > 0; next *= (size_t)x->dim[i])
		step[i][0] = next;
	for (i = 0; i < x->rank; i++) {
		lm_walk_axis(gone >> i & 1 ? &j->gone : &j->left, (size_t)x->dim[i], step[i]);
		j->n *= gone >> i & 1 ? (size_t)x->dim[i] : 1;
	}
}

/* Do the values of each result lie in one piece? */
static int
in_one_piece(const struct lm_walk *gone)
{
	return gone->rank == 0 || (gone->rank == 1 && gone->step[0][0] == 1);
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct job j = { .call = NULL };
	unsigned gone;

	*scratch = NOTE;
	if (reduced(s, &gone, err) < 0)
		return -1;
	set_walks(&j, &s->in[0], gone);
	if (in_one_piece(&j.gone))
		return 0;
	if (lm_mul(j.n, sizeof(int64_t), scratch) < 0 || *scratch > SIZE_MAX - NOTE)
		return lm_fail(err, LOOM_ENOMEM, "no memory for a row of %s", s->node->op->name);
	*scratch += NOTE;
	return 0;
}

/* The values from first on, in a row. */
static void
gather(const struct job *j, void *row, const void *first)
{
	size_t wide = lm_walk_wide(&j->gone), step = lm_walk_step(&j->gone, 0), i, k, at;

	for (i = 0; i < j->n; i += wide) {
		at = lm_walk_place(&j->gone, 0, i);
		if (j->size == sizeof(float))
			for (k = 0; k < wide; k++)
				((float *)row)[i + k] = ((const float *)first)[at + k * step];
		else
			for (k = 0; k < wide; k++)
				((int64_t *)row)[i + k] = ((const int64_t *)first)[at + k * step];
	}
}

/* Results from..to-1; a worker notes the first that is no number. */
static void
results(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_array *in = &j->call->in[0], *out = &j->call->out[0];
	char *scratch = (char *)j->call->scratch + (size_t)worker * j->each;
	size_t i, *note = (size_t *)(void *)scratch, size = out->shape->dtype->bits / 8;
	const void *x;

	for (i = from; i < to; i++) {
		x = (const char *)in->data + lm_walk_place(&j->left, 0, i) * j->size;
		if (!in_one_piece(&j->gone)) {
			gather(j, scratch + NOTE, x);
			x = scratch + NOTE;
		}
		if (j->function(j->call->kernels, x, j->n, (char *)out->data + i * size) &&
		    i < *note)
			*note = i;
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	struct lm_shaping s = { c->node, x, NULL, c->sizes };
	struct job j = { .call = c, .size = x->dtype->bits / 8 };
	size_t first = SIZE_MAX, *note;
	uint64_t count;
	unsigned gone;
	int w;

	if (lm_shape_count(c->out[0].shape, &count) < 0 || count == 0 ||
	    reduced(&s, &gone, err) < 0)
		return count == 0 ? 0 : -1;
	j.function = function(c->node->op->row, x->dtype);
	set_walks(&j, x, gone);
	j.each = NOTE + (in_one_piece(&j.gone) ? 0 : j.n * sizeof(int64_t));
	for (w = 0; w < lm_pool_jobs(c->pool); w++)
		*(size_t *)(void *)((char *)c->scratch + (size_t)w * j.each) = SIZE_MAX;
	lm_pool_each(c->pool, (size_t)count, GRAIN / (j.n + 1) + 1, results, &j);
	for (w = 0; w < lm_pool_jobs(c->pool); w++) {
		note = (size_t *)(void *)((char *)c->scratch + (size_t)w * j.each);
		first = *note < first ? *note : first;
	}
	if (first != SIZE_MAX)
		return lm_fail(err, LOOM_ESHAPE, "layer %s (%s): result %zu is no int64 (overflow)",
		    c->node->name, c->node->op->name, first);
	return 0;
}

/* ---- one result ---- */

static int
real_sum(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	*(float *)y = (float)k->fn->lane16_f32(x, n);
	return 0;
}

static int
real_mean(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	*(float *)y = (float)(k->fn->lane16_f32(x, n) / (double)n);
	return 0;
}

/* The sum of any number of integers, whatever they pass through on the way. */
__extension__ typedef __int128 wide;

static int
whole_sum(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	const int64_t *v = x;
	wide sum = 0;
	size_t i;

	(void)k;
	for (i = 0; i < n; i++)
		sum += v[i];
	*(int64_t *)y = (int64_t)sum;
	return sum < INT64_MIN || sum > INT64_MAX;
}

static int
real_max(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	const float *v = x;
	float m = v[0];
	size_t i;

	(void)k;
	for (i = 1; i < n; i++)
		m = lm_maximum(m, v[i]);
	*(float *)y = m;
	return 0;
}

static int
real_min(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	const float *v = x;
	float m = v[0];
	size_t i;

	(void)k;
	for (i = 1; i < n; i++)
		m = lm_minimum(m, v[i]);
	*(float *)y = m;
	return 0;
}

static int
whole_max(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	const int64_t *v = x;
	int64_t m = v[0];
	size_t i;

	(void)k;
	for (i = 1; i < n; i++)
		m = v[i] > m ? v[i] : m;
	*(int64_t *)y = m;
	return 0;
}

static int
whole_min(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	const int64_t *v = x;
	int64_t m = v[0];
	size_t i;

	(void)k;
	for (i = 1; i < n; i++)
		m = v[i] < m ? v[i] : m;
	*(int64_t *)y = m;
	return 0;
}

/* The first NaN, or the first of the greatest. */
static int
real_argmax(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	const float *v = x;
	size_t i, best = 0;

	(void)k;
	for (i = 0; i < n && !(v[best] != v[best]); i++)
		if (v[i] > v[best] || v[i] != v[i])
			best = i;
	*(int64_t *)y = (int64_t)best;
	return 0;
}

static int
whole_argmax(const struct lm_kernels *k, const void *x, size_t n, void *y)
{
	const int64_t *v = x;
	size_t i, best = 0;

	(void)k;
	for (i = 1; i < n; i++)
		if (v[i] > v[best])
			best = i;
	*(int64_t *)y = (int64_t)best;
	return 0;
}

/* ---- rows ---- */

#define REDUCE(NAME, ABOUT, EMPTY, F32, I64)                                                     \
	static const struct row row_##NAME = { F32, I64, EMPTY, 0 };                             \
	const struct lm_layer_ops lm_layer_##NAME = {                                            \
		.name = #NAME,                                                                   \
		.cell = -1,                                                                      \
		.activation = LM_NO_ACTIVATION,                                                  \
		.in_least = 1,                                                                   \
		.in_most = 1,                                                                    \
		.out_least = 1,                                                                  \
		.out_most = 1,                                                                   \
		.about = ABOUT,                                                                  \
		.params = { [AXES] = { "axes", LM_IS_INTS, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 }, \
		    [KEEPDIMS] = { "keepdims", LM_IS_FLAG, 0, 1, NULL, 0 } },                    \
		.row = &row_##NAME,                                                              \
		.check = check,                                                                  \
		.shape = shape,                                                                  \
		.plan = plan,                                                                    \
		.pieces = lm_pieces_axes,                                                        \
		.forward = forward,                                                              \
	};
#include "layer/reduction.def"
#undef REDUCE

static const struct row row_argmax = { real_argmax, whole_argmax, 0, 1 };
const struct lm_layer_ops lm_layer_argmax = {
	.name = "argmax",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = where along axis the greatest value is first; a NaN wins; int64",
	.params = { [AXIS] = { "axis", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 },
	    [KEEPDIMS] = { "keepdims", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.row = &row_argmax,
	.shape = shape,
	.plan = plan,
	.pieces = lm_pieces_axis,
	.forward = forward,
};
