/*
 * matmul: z[..., i, j] = sum over k of x[..., i, k] y[..., k, j], one exact sum each; leading axes are
 * broadcast as NumPy does.  A few matrices of y at a time are turned, since a product reads rows.
 */
#include "layer/layer.h"

enum { TOGETHER = 1 << 20 }; /* floats of y that are turned before they are used */
enum { WORK = 1 << 16 };     /* products that are worth a thread */
enum { TILE = 16 };	     /* columns that are turned side by side */

/* The axis that is so many from the end; 1 where there is none. */
static uint64_t
extent(const struct lm_shape *s, unsigned from_end)
{
	return s->rank > from_end ? s->dim[s->rank - 1 - from_end] : 1;
}

static int
matrices_fit(const struct lm_shaping *s, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		if (lm_want_f32(s, i, err) < 0)
			return -1;
		if (s->in[i].rank < 2)
			return lm_fail_input(s, i, err, "at least 2 axes");
	}
	if (extent(&s->in[1], 1) != extent(&s->in[0], 0))
		return lm_fail_input(s, 1, err, "[..., %llu, n], as the last axis of input 0",
		    (unsigned long long)extent(&s->in[0], 0));
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0], *y = &s->in[1];
	struct lm_shape *z = &s->out[0];
	char text[LM_SHAPE_TEXT];
	uint64_t a, b;
	unsigned i;

	if (matrices_fit(s, err) < 0)
		return -1;
	*z = x->rank > y->rank ? *x : *y;
	for (i = 2; i < z->rank; i++) {
		a = extent(x, i);
		b = extent(y, i);
		if (a != b && a != 1 && b != 1)
			return lm_fail_input(s, 1, err, "leading axes that broadcast with %s",
			    lm_shape_text(text, x));
		z->dim[z->rank - 1 - i] = a == 1 ? b : a;
	}
	z->dim[z->rank - 2] = extent(x, 1);
	z->dim[z->rank - 1] = extent(y, 0);
	return 0;
}

struct job {
	const struct lm_call *call;
	size_t m, n, k;
	size_t batch;	     /* products */
	size_t first, count; /* those at hand */
	size_t shared;	     /* y has one matrix for all of them */
	float *turned;	     /* [matrix][n][k] */
	double *norm;	     /* [matrix][n] */
};

static int
all_one(const struct lm_shape *s)
{
	unsigned i;

	for (i = 2; i < s->rank; i++)
		if (extent(s, i) != 1)
			return 0;
	return 1;
}

static struct job
extents(const struct lm_shape *x, const struct lm_shape *y, const struct lm_shape *z)
{
	struct job j = { .m = (size_t)extent(x, 1),
		.n = (size_t)extent(y, 0),
		.k = (size_t)extent(x, 0),
		.batch = 1,
		.shared = all_one(y) };
	unsigned i;

	for (i = 2; i < z->rank; i++)
		j.batch *= (size_t)extent(z, i);
	if (j.shared) { /* then x has them all, one below the other */
		j.m *= j.batch;
		j.batch = 1;
	}
	return j;
}

/* Matrices that are turned before they are used. */
static size_t
together(const struct job *j)
{
	size_t n = TOGETHER / (j->n * j->k + 1) + 1;

	return n < j->batch ? n : j->batch;
}

static size_t
floats(const struct job *j)
{
	return together(j) * j->n * j->k;
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct job j = extents(&s->in[0], &s->in[1], &s->out[0]);
	double bytes = (double)j.n * (double)j.k * sizeof(float) + (double)j.n * sizeof(double);

	if (bytes > (double)(SIZE_MAX / 64))
		return lm_fail(err, LOOM_ENOMEM, "no memory to turn a matrix of %s", s->node->name);
	*scratch = together(&j) * j.n * sizeof(double) + floats(&j) * sizeof(float);
	return 0;
}

/* Which of s's matrices product b takes. */
static size_t
matrix(const struct job *j, const struct lm_shape *s, size_t b)
{
	const struct lm_shape *z = j->call->out[0].shape;
	size_t at = 0, stride = 1, index;
	unsigned i;

	for (i = 2; i < z->rank; i++) {
		index = b % (size_t)extent(z, i);
		b /= (size_t)extent(z, i);
		at += extent(s, i) > 1 ? index * stride : 0;
		stride *= (size_t)extent(s, i);
	}
	return at;
}

/* Columns from..to-1 of a matrix of y become rows. */
static void
turn(const struct job *j, const lm_f32u *y, float *t, size_t from, size_t to)
{
	size_t c, i, wide, k;

	for (c = from; c < to; c += TILE) {
		wide = to - c < TILE ? to - c : TILE;
		for (k = 0; k < j->k; k++)
			for (i = 0; i < wide; i++)
				t[(c + i) * j->k + k] = y[k * j->n + c + i];
	}
}

/* Columns of the matrices at hand, which stand one after another. */
static void
turn_columns(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const lm_f32u *y = j->call->in[1].data;
	size_t at, column, last, c;

	(void)worker;
	for (; from < to; from += last - column) {
		at = from / j->n;
		column = from % j->n;
		last = to - from < j->n - column ? column + (to - from) : j->n;
		turn(j, y + matrix(j, j->call->in[1].shape, j->first + at) * j->n * j->k,
		    j->turned + at * j->n * j->k, column, last);
		for (c = column; c < last; c++)
			j->norm[at * j->n + c] = lm_norm(j->turned + (at * j->n + c) * j->k, j->k);
	}
}

static struct lm_product
product(const struct job *j, size_t at)
{
	const lm_f32u *x = j->call->in[0].data;
	size_t b = j->first + at, of = j->shared ? 0 : matrix(j, j->call->in[0].shape, b);

	return (struct lm_product){ .m = j->m,
		.n = j->n,
		.k = j->k,
		.x = x + of * j->m * j->k,
		.w = j->turned + at * j->n * j->k,
		.w_norm = j->norm + at * j->n,
		.y = (float *)j->call->out[0].data + b * j->m * j->n };
}

/* Rows of the products at hand, which stand one after another. */
static void
by_rows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	struct lm_product p;
	size_t row, last;

	for (; from < to; from += last - row) {
		row = from % j->m;
		last = to - from < j->m - row ? row + (to - from) : j->m;
		p = product(j, from / j->m);
		j->call->kernels->product(&p, row, last, 0, p.n, &j->call->counts[worker]);
	}
}

/* Columns of every product at hand. */
static void
by_columns(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	struct lm_product p;
	size_t at;

	for (at = 0; at < j->count; at++) {
		p = product(j, at);
		j->call->kernels->product(&p, 0, p.m, from, to, &j->call->counts[worker]);
	}
}

static void
multiply(struct job *j)
{
	struct lm_pool *pool = j->call->pool;
	size_t rows = j->count * j->m, few = rows < j->n ? rows : j->n;
	size_t grain = WORK / (few * j->k + 1) + 1;

	lm_pool_each(pool, j->count * j->n, WORK / (j->k + 1) + 1, turn_columns, j);
	if (rows >= j->n)
		lm_pool_each(pool, rows, grain, by_rows, j);
	else
		lm_pool_each(pool, j->n, grain, by_columns, j);
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	struct job j = extents(c->in[0].shape, c->in[1].shape, c->out[0].shape);
	size_t most = together(&j);
	uint64_t count;

	(void)err;
	if (lm_shape_count(c->out[0].shape, &count) < 0 || count == 0)
		return 0;
	j.call = c;
	j.norm = c->scratch;
	j.turned = (float *)(j.norm + most * j.n);
	for (; j.first < j.batch; j.first += j.count) {
		j.count = j.batch - j.first < most ? j.batch - j.first : most;
		multiply(&j);
	}
	return 0;
}

const struct lm_layer_ops lm_layer_matmul = {
	.name = "matmul",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 2,
	.in_most = 2,
	.out_least = 1,
	.out_most = 1,
	.about = "z[..., i, j] = sum over k of x[..., i, k] y[..., k, j]",
	.shape = shape,
	.plan = plan,
	.forward = forward,
};
