/*
 * scaled_dot_product_attention: query [..., heads, sq, e] against key [..., groups, sk, e] and
 * value [..., groups, sk, v]; head h of the query sees group h groups/heads; no projections.
 */
#include "layer/heads.h"

enum { CAUSAL, SCALE, MASK_KIND, FILL, EMPTY };
enum { TOGETHER = 1 << 22 }; /* bytes of keys that are there at a time */

static const struct lm_seeing seeing = { CAUSAL, SCALE, MASK_KIND, FILL, EMPTY };

static int
check(const struct lm_node *n, struct loom_error *err)
{
	return lm_heads_check(n, &seeing, err);
}

/* ---- shapes ---- */

static int
same_lead(const struct lm_shape *a, const struct lm_shape *b)
{
	unsigned i;

	for (i = 0; i + 3 < a->rank; i++)
		if (a->rank != b->rank || a->dim[i] != b->dim[i])
			return 0;
	return a->rank == b->rank;
}

/* float32 [..., heads, positions, elements] with the query's leading axes. */
static int
heads_fit(const struct lm_shaping *s, size_t input, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[input];

	if (lm_want_f32(s, input, err) < 0)
		return -1;
	if (x->rank < 3 || lm_extent(x, 0) == 0 || lm_extent(x, 2) == 0)
		return lm_fail_input(s, input, err,
		    "[..., heads, positions, elements], a head and an element at least");
	if (!same_lead(x, &s->in[LM_QUERY]))
		return lm_fail_input(s, input, err, "the leading axes of the query");
	return 0;
}

static int
keys_fit(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *q = &s->in[LM_QUERY], *k = &s->in[LM_KEY];
	unsigned long long heads = lm_extent(q, 2), sq = lm_extent(q, 1);

	if (lm_extent(k, 0) != lm_extent(q, 0))
		return lm_fail_input(s, LM_KEY, err, "%llu elements, as the query has",
		    (unsigned long long)lm_extent(q, 0));
	if (heads % lm_extent(k, 2) != 0)
		return lm_fail_input(s, LM_KEY, err, "heads that divide the query's %llu", heads);
	if (s->node->param[CAUSAL].i && lm_extent(k, 1) != sq)
		return lm_fail_input(s, LM_KEY, err,
		    "%llu positions, as the query has, since it is causal", sq);
	if (sq > 0 && lm_extent(k, 1) == 0)
		return lm_fail_input(s, LM_KEY, err, "at least one position");
	return 0;
}

static struct lm_heads
extents(const struct lm_shape *in, size_t most)
{
	struct lm_heads h = { .query = &in[LM_QUERY],
		.most = most,
		.apart = 1,
		.batch = 1,
		.sq = (size_t)lm_extent(&in[LM_QUERY], 1),
		.sk = (size_t)lm_extent(&in[LM_KEY], 1),
		.heads = (size_t)lm_extent(&in[LM_QUERY], 2),
		.kv_heads = (size_t)lm_extent(&in[LM_KEY], 2),
		.head_dim = (size_t)lm_extent(&in[LM_QUERY], 0),
		.value_dim = (size_t)lm_extent(&in[LM_VALUE], 0) };
	unsigned i;

	for (i = 3; i < in[LM_QUERY].rank; i++)
		h.batch *= (size_t)lm_extent(&in[LM_QUERY], i);
	lm_heads_fit(&h);
	return h;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *k = &s->in[LM_KEY], *v = &s->in[LM_VALUE];
	struct lm_heads h;
	size_t i;

	for (i = LM_QUERY; i <= LM_VALUE; i++)
		if (heads_fit(s, i, err) < 0)
			return -1;
	if (keys_fit(s, err) < 0)
		return -1;
	if (lm_extent(v, 1) != lm_extent(k, 1) || lm_extent(v, 2) != lm_extent(k, 2))
		return lm_fail_input(s, LM_VALUE, err,
		    "%llu heads of %llu positions, as the key has",
		    (unsigned long long)lm_extent(k, 2), (unsigned long long)lm_extent(k, 1));
	h = extents(s->in, 0);
	if (lm_heads_mask(s, &seeing, &h, err) < 0)
		return -1;
	s->out[0] = s->in[LM_QUERY];
	s->out[0].dim[s->out[0].rank - 1] = lm_extent(v, 0);
	return 0;
}

/* ---- the plan ---- */

/* Samples that are worked on together. */
static size_t
together(const struct lm_heads *h)
{
	size_t n = TOGETHER / (lm_heads_keys(h) + 1) + 1;

	return n < h->batch ? n : h->batch;
}

/* Bytes before the workers' parts. */
static size_t
shared(const struct lm_heads *h)
{
	return h->most > 0 ? 0 : together(h) * lm_heads_keys(h);
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct lm_heads h = extents(s->in, 0);
	double most = (double)h.sk * (double)(h.kv_heads * (h.head_dim + h.value_dim) + 64);

	if (most > (double)(SIZE_MAX / 64))
		return lm_fail(err, LOOM_ENOMEM, "no memory for the heads of %s", s->node->name);
	*scratch = shared(&h) + lm_heads_part(&h);
	return 0;
}

static int
keep(const struct lm_shaping *s, size_t positions, size_t *kept, size_t *scratch,
    struct loom_error *err)
{
	struct lm_heads h = extents(s->in, positions);

	if (lm_heads_kept(&h, s->node, kept, err) < 0)
		return -1;
	*scratch = lm_heads_part(&h);
	return 0;
}

static int
pieces(const struct lm_pieces *p)
{
	return lm_heads_pieces(p, &seeing);
}

/* ---- the run ---- */

/* The rows of all heads from a sample on.  Nothing writes to inputs: rope, which would, is off. */
static float *
rows_of(const struct lm_array *a, size_t sample)
{
	const struct lm_shape *s = a->shape;

	return (float *)a->data +
	    sample * (size_t)(lm_extent(s, 2) * lm_extent(s, 1) * lm_extent(s, 0));
}

/* Samples from first on are at hand. */
static void
reach(struct lm_heads *h, size_t first, size_t most)
{
	const struct lm_call *c = h->call;

	h->first = first;
	h->count = h->batch - first < most ? h->batch - first : most;
	h->q = rows_of(&c->in[LM_QUERY], first);
	h->k = rows_of(&c->in[LM_KEY], first);
	h->v = rows_of(&c->in[LM_VALUE], first);
	h->o = rows_of(&c->out[0], first);
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	struct lm_shape in[3] = { *c->in[LM_QUERY].shape, *c->in[LM_KEY].shape,
		*c->in[LM_VALUE].shape };
	struct lm_heads h = extents(in, c->positions);
	size_t most = together(&h);

	if (h.sq == 0)
		return 0;
	h.before = c->before;
	lm_heads_start(&h, c, &seeing);
	h.keys.memory = c->scratch;
	h.part = h.keys.memory + shared(&h);
	reach(&h, 0, most);
	if (lm_heads_seen(&h, &seeing, err) < 0)
		return -1;
	for (; h.first < h.batch; reach(&h, h.first + h.count, most))
		lm_heads_run(&h);
	return 0;
}

const struct lm_layer_ops lm_layer_scaled_dot_product_attention = {
	.name = "scaled_dot_product_attention",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 3,
	.in_most = LM_HEADS_INPUTS,
	.out_least = 1,
	.out_most = 1,
	.about = "y = (softmax of scale q k over the keys) v, head by head",
	.params = { [CAUSAL] = { "causal", LM_IS_FLAG, 0, 1, NULL, 0 },
	    [SCALE] = { "scale", LM_IS_MAYBE, 0, 0, NULL, 0 },
	    [MASK_KIND] = { "mask", LM_IS_ENUM, 0, 3, lm_masks, 0 },
	    [FILL] = { "fill", LM_IS_ENUM, 0, 2, lm_fills, 0 },
	    [EMPTY] = { "empty", LM_IS_ENUM, 0, 2, lm_empties, 0 } },
	.check = check,
	.shape = shape,
	.plan = plan,
	.pieces = pieces,
	.keep = keep,
	.forward = forward,
};
