/*
 * matmul: z[..., i, j] = sum over k of x[..., i, k] y[..., k, j], one exact sum each; leading axes are
 * broadcast as NumPy does.  A few matrices of y at a time are put into panels.
 */
#include <math.h>

#include "layer/layer.h"
#include "layer/pieces.h"

enum { TOGETHER = 1 << 20 }; /* floats of y that are packed before they are used */
enum { WORK = 1 << 20 };     /* products that are worth a thread */

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
	size_t panels;	     /* of a matrix */
	double *norm;	     /* [matrix][panel][16] */
	float *packed;	     /* [matrix][panel][k][16] */
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
	j.panels = (j.n + LM_PANEL - 1) / LM_PANEL;
	return j;
}

/* Matrices that are packed before they are used. */
static size_t
together(const struct job *j)
{
	size_t n = TOGETHER / (j->panels * LM_PANEL * j->k + 1) + 1;

	return n < j->batch ? n : j->batch;
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct job j = extents(&s->in[0], &s->in[1], &s->out[0]);
	double bytes = ((double)j.n + LM_PANEL) * ((double)j.k * sizeof(float) + sizeof(double));

	if (bytes > (double)(SIZE_MAX / 64))
		return lm_fail(err, LOOM_ENOMEM, "no memory to pack a matrix of %s", s->node->name);
	*scratch = together(&j) * j.panels * LM_PANEL * (sizeof(double) + j.k * sizeof(float));
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

/* Up to 16 columns of a matrix of y become a panel; zeros stand behind the last. */
static void
pack(const struct job *j, const lm_f32u *y, size_t columns, float *to, double *norm)
{
	size_t i, c;

	for (c = 0; c < LM_PANEL; c++)
		norm[c] = 0;
	for (i = 0; i < j->k; i++, y += j->n, to += LM_PANEL) {
		for (c = 0; c < columns; c++) {
			to[c] = y[c];
			norm[c] += (double)y[c] * y[c];
		}
		for (; c < LM_PANEL; c++)
			to[c] = 0;
	}
	for (c = 0; c < LM_PANEL; c++)
		norm[c] = sqrt(norm[c]);
}

/* Panels of the matrices at hand, which stand one after another. */
static void
pack_panels(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const lm_f32u *y = j->call->in[1].data;
	size_t at, first, columns;

	(void)worker;
	for (; from < to; from++) {
		at = from / j->panels;
		first = from % j->panels * LM_PANEL;
		columns = j->n - first < LM_PANEL ? j->n - first : LM_PANEL;
		pack(j, y + matrix(j, j->call->in[1].shape, j->first + at) * j->n * j->k + first,
		    columns, j->packed + from * LM_PANEL * j->k, j->norm + from * LM_PANEL);
	}
}

/* The matrix that one of the products at hand takes, in panels. */
static struct lm_matrix
right(const struct job *j, size_t at)
{
	return (struct lm_matrix){ .n = j->n,
		.k = j->k,
		.panels = j->packed + at * j->panels * LM_PANEL * j->k,
		.stride = LM_PANEL,
		.apart = LM_PANEL * j->k,
		.norm = j->norm + at * j->panels * LM_PANEL };
}

static struct lm_product
product(const struct job *j, size_t at, const struct lm_matrix *w)
{
	const lm_f32u *x = j->call->in[0].data;
	size_t b = j->first + at, of = j->shared ? 0 : matrix(j, j->call->in[0].shape, b);

	return (struct lm_product){ .m = j->m,
		.x = x + of * j->m * j->k,
		.x_step = j->k,
		.w = w,
		.y = (float *)j->call->out[0].data + b * j->m * j->n,
		.y_step = j->n };
}

/* Rows of the products at hand, which stand one after another. */
static void
by_rows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	struct lm_matrix w;
	struct lm_product p;
	size_t row, last;

	for (; from < to; from += last - row) {
		row = from % j->m;
		last = to - from < j->m - row ? row + (to - from) : j->m;
		w = right(j, from / j->m);
		p = product(j, from / j->m, &w);
		j->call->kernels->product(&p, row, last, 0, w.n, lm_call_room(j->call, worker),
		    &j->call->counts[worker]);
	}
}

/* Panels of every product at hand. */
static void
by_columns(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	size_t at, end = to * LM_PANEL < j->n ? to * LM_PANEL : j->n;
	struct lm_matrix w;
	struct lm_product p;

	for (at = 0; at < j->count; at++) {
		w = right(j, at);
		p = product(j, at, &w);
		j->call->kernels->product(&p, 0, p.m, from * LM_PANEL, end,
		    lm_call_room(j->call, worker), &j->call->counts[worker]);
	}
}

static void
multiply(struct job *j)
{
	struct lm_pool *pool = j->call->pool;
	size_t rows = j->count * j->m, panel = LM_PANEL * (j->k + 1);

	lm_pool_each(pool, j->count * j->panels, WORK / panel + 1, pack_panels, j);
	if (rows >= j->panels * 2)
		lm_pool_each(pool, rows, WORK / (j->n * (j->k + 1)) + 1, by_rows, j);
	else
		lm_pool_each(pool, j->panels, WORK / (rows * panel) + 1, by_columns, j);
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
	j.packed = (float *)(j.norm + most * j.panels * LM_PANEL);
	for (; j.first < j.batch; j.first += j.count) {
		j.count = j.batch - j.first < most ? j.batch - j.first : most;
		multiply(&j);
	}
	return 0;
}

/*
 * Positions lie along rows of x or columns of y, while the other has none; or along an axis of
 * both before these.
 */
static int
pieces(const struct lm_pieces *p)
{
	unsigned x = p->in[0].rank - p->in_at[0], y = p->in[1].rank - p->in_at[1];

	if (p->in_at[1] == LM_NOWHERE)
		return !p->varies && x > 1;
	if (p->in_at[0] == LM_NOWHERE)
		return !p->varies && y != 2 && p->in[1].rank > 1;
	return !p->varies && x == y && x > 2;
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
	.pieces = pieces,
	.forward = forward,
};
