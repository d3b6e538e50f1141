/* multiply: a product on the pool of a call. */
#include "layer/multiply.h"

enum {
	WORK = 1 << 21, /* products that are worth a thread: about 50 microseconds */
	BAND = 14,	/* rows that a kernel takes together */
	TILES = 32	/* the same on integer tiles */
};

struct cut {
	const struct lm_call *call;
	const struct lm_product *product;
	size_t band; /* rows that stay together */
};

static void
by_rows(void *context, int worker, size_t from, size_t to)
{
	const struct cut *c = context;
	size_t m = c->product->m, end = to * c->band < m ? to * c->band : m;

	c->call->kernels->product(c->product, from * c->band, end, 0, c->product->w->n,
	    lm_call_room(c->call, worker), &c->call->counts[worker]);
}

static void
by_columns(void *context, int worker, size_t from, size_t to)
{
	const struct cut *c = context;
	size_t n = c->product->w->n;

	c->call->kernels->product(c->product, 0, c->product->m, from * LM_PANEL,
	    to * LM_PANEL < n ? to * LM_PANEL : n, lm_call_room(c->call, worker),
	    &c->call->counts[worker]);
}

size_t
lm_count_rows(const struct lm_shape *x)
{
	size_t m = 1;
	unsigned i;

	for (i = 0; i + 1 < x->rank; i++)
		m *= (size_t)x->dim[i];
	return m;
}

void
lm_multiply(const struct lm_call *call, const struct lm_product *p)
{
	struct cut c = { call, p, p->w->residues != NULL ? TILES : BAND };
	size_t bands = (p->m + c.band - 1) / c.band, panels = (p->w->n + LM_PANEL - 1) / LM_PANEL;
	size_t k = p->w->k + 1;
	/* Whoever takes columns makes residues of all of x. */
	int rows = bands >= panels ||
	    (p->w->residues != NULL && bands >= (size_t)lm_pool_jobs(call->pool));

	if (p->m == 0 || p->w->n == 0)
		return;
	if (rows)
		lm_pool_each(call->pool, bands, WORK / (c.band * p->w->n * k) + 1, by_rows, &c);
	else
		lm_pool_each(call->pool, panels, WORK / (LM_PANEL * p->m * k) + 1, by_columns, &c);
}
