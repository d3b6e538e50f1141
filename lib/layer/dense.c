/* dense: y[..., o] = sum over i of x[..., i] W[o, i] + b[o], over the last axis of any rank. */
#include "layer/layer.h"

enum { IN, OUT, BIASED };
enum { WEIGHT, BIAS };
enum { BAND = 16 }; /* outputs that one thread takes at the least */

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_node *n = s->node;
	const struct lm_shape *x = &s->in[0];

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < 1 || x->dim[x->rank - 1] != (uint64_t)n->param[IN].i)
		return lm_fail_input(s, 0, err, "a last axis of %lld", (long long)n->param[IN].i);
	s->out[0] = *x;
	s->out[0].dim[x->rank - 1] = (uint64_t)n->param[OUT].i;
	return 0;
}

/* The proof of a sum wants the norm of each row of W. */
static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	size_t in = (size_t)p->node->param[IN].i, out = (size_t)p->node->param[OUT].i, o;
	double *norm;

	if (lm_prepare_slots(p, err) < 0)
		return -1;
	norm = lm_arena_alloc(p->arena, out, sizeof(*norm), err);
	if (norm == NULL)
		return -1;
	for (o = 0; o < out; o++)
		norm[o] = lm_norm(p->slot[WEIGHT].f32 + o * in, in);
	p->slot[WEIGHT].norm = norm;
	return 0;
}

struct job {
	const struct lm_call *call;
	struct lm_product product;
	int by_rows;
};

static void
band(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_product *p = &j->product;
	struct lm_counts *counts = &j->call->counts[worker];

	if (j->by_rows)
		j->call->kernels->product(p, from, to, 0, p->n, counts);
	else
		j->call->kernels->product(p, 0, p->m, from, to, counts);
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_node *n = c->node;
	const struct lm_shape *x = c->in[0].shape;
	struct job j = { .call = c };
	unsigned i;

	(void)err;
	j.product.k = (size_t)n->param[IN].i;
	j.product.n = (size_t)n->param[OUT].i;
	j.product.m = 1;
	for (i = 0; i + 1 < x->rank; i++)
		j.product.m *= (size_t)x->dim[i];
	j.product.x = c->in[0].data;
	j.product.w = c->slot[WEIGHT].f32;
	j.product.w_norm = c->slot[WEIGHT].norm;
	j.product.bias = c->slot[BIAS].f32;
	j.product.y = c->out[0].data;
	j.by_rows = j.product.m >= j.product.n;
	if (j.product.m > 0)
		lm_pool_each(c->pool, j.by_rows ? j.product.m : j.product.n, BAND, band, &j);
	return 0;
}

const struct lm_layer_ops lm_layer_dense = {
	.name = "dense",
	.cell = 0,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y[..., o] = sum over i of x[..., i] weight[o, i] + bias[o]",
	.params = { [IN] = { "in_features", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [OUT] = { "out_features", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [BIASED] = { "bias", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [WEIGHT] = { "weight", "oi", { OUT, IN }, 0, 0, 0, 0 },
	    [BIAS] = { "bias", "o", { OUT }, 1 + BIASED, 0, 0, 0 } },
	.shape = shape,
	.prepare = prepare,
	.forward = forward,
};
