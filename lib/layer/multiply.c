/* multiply: a product on the pool of a call. */
#include "layer/multiply.h"

enum {
	WORK = 1 << 21, /* products that are worth a thread: about 50 microseconds */
	BAND = 14	/* rows that a kernel takes together, at the most */
};

struct cut {
	const struct lm_call *call;
	const struct lm_product *product;
};

static void
by_rows(void *context, int worker, size_t from, size_t to)
{
	const struct cut *c = context;
	size_t m = c->product->m;

	c->call->kernels->product(c->product, from * BAND, to * BAND < m ? to * BAND : m, 0,
	    c->product->w->n, lm_call_room(c->call, worker), &c->call->counts[worker]);
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

void
lm_multiply(const struct lm_call *call, const struct lm_product *p)
{
	struct cut c = { call, p };
	size_t bands = (p->m + BAND - 1) / BAND, panels = (p->w->n + LM_PANEL - 1) / LM_PANEL;
	size_t k = p->w->k + 1;

	if (p->m == 0 || p->w->n == 0)
		return;
	if (bands >= panels)
		lm_pool_each(call->pool, bands, WORK / (BAND * p->w->n * k) + 1, by_rows, &c);
	else
		lm_pool_each(call->pool, panels, WORK / (LM_PANEL * p->m * k) + 1, by_columns, &c);
}
