/*
 * attention: queries of num_heads heads against the keys of num_kv_heads; projections in and out with
 * or without biases, rotary positions or none, causal or not, masked or not.
 */
#include "layer/heads.h"
#include "layer/multiply.h"

#include <math.h>

#include "num/rope.h"

enum {
	MODEL,
	KEY_FEATURES,
	VALUE_FEATURES,
	OUT_FEATURES,
	HEADS,
	KV_HEADS,
	HEAD_DIM,
	VALUE_DIM,
	Q_BIAS,
	K_BIAS,
	V_BIAS,
	O_BIAS,
	CAUSAL,
	ROPE,
	ROPE_BASE,
	SCALE,
	MASK_KIND,
	FILL,
	EMPTY
};
enum { WQ, WK, WV, WO, BQ, BK, BV, BO };
enum { TOGETHER = 1 << 20 }; /* floats of samples that are worked on together */
enum { FARTHEST = 1 << 24 }; /* positions that angles are defined for */

static const char *const ropes[] = { "none", "half", "interleaved", NULL };
static const struct lm_seeing seeing = { CAUSAL, SCALE, MASK_KIND, FILL, EMPTY };

static size_t
size_of(const struct lm_node *n, size_t param)
{
	return (size_t)n->param[param].i;
}

/* ---- parameters ---- */

static int
fail_base(const struct lm_node *n, struct loom_error *err)
{
	double base = n->param[ROPE_BASE].real;
	char found[40] = "null";

	if (!isnan(base))
		(void)snprintf(found, sizeof(found), "%.17g", base);
	return lm_fail(err, LOOM_EFORMAT,
	    "node %s (attention): rope is %s and rope_base is %s, expected %s", n->name,
	    ropes[n->param[ROPE].i], found,
	    n->param[ROPE].i == LM_ROPE_NONE ? "null" : "a number from 1 to 1e300");
}

static int
check_rope(const struct lm_node *n, struct loom_error *err)
{
	double base = n->param[ROPE_BASE].real;

	if (n->param[ROPE].i == LM_ROPE_NONE ? !isnan(base) : !(base >= 1 && base <= 1e300))
		return fail_base(n, err);
	if (n->param[ROPE].i == LM_ROPE_INTERLEAVED && n->param[HEAD_DIM].i % 2 != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (attention): head_dim is %lld, expected an even one, since interleaved "
		    "rope takes pairs",
		    n->name, (long long)n->param[HEAD_DIM].i);
	return 0;
}

static int
check(const struct lm_node *n, struct loom_error *err)
{
	if (n->param[HEADS].i % n->param[KV_HEADS].i != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (attention): num_heads is %lld, expected a multiple of num_kv_heads %lld",
		    n->name, (long long)n->param[HEADS].i, (long long)n->param[KV_HEADS].i);
	if (lm_heads_check(n, &seeing, err) < 0)
		return -1;
	return check_rope(n, err);
}

/* Rows and columns of the projections, and lengths of their biases. */
static void
slot_shape(const struct lm_node *n, size_t slot, struct lm_shape *s)
{
	size_t rows[4] = { size_of(n, HEADS) * size_of(n, HEAD_DIM),
		size_of(n, KV_HEADS) * size_of(n, HEAD_DIM),
		size_of(n, KV_HEADS) * size_of(n, VALUE_DIM), size_of(n, OUT_FEATURES) };
	size_t columns[4] = { size_of(n, MODEL), size_of(n, KEY_FEATURES),
		size_of(n, VALUE_FEATURES), size_of(n, HEADS) * size_of(n, VALUE_DIM) };

	s->rank = slot < BQ ? 2 : 1;
	s->dim[0] = rows[slot % 4];
	if (slot < BQ)
		s->dim[1] = columns[slot];
}

/* ---- shapes ---- */

static int
given(const struct lm_node *n, size_t input)
{
	return n->n_in > input && n->in[input] != LM_ABSENT;
}

/* The input that a role's rows come from: key is query, value is key where it is not given. */
static size_t
input_of(const struct lm_node *n, size_t role)
{
	while (role > LM_QUERY && !given(n, role))
		role--;
	return role;
}

/* Do the leading axes, all but two, equal the query's? */
static int
same_lead(const struct lm_shape *a, const struct lm_shape *b)
{
	unsigned i;

	for (i = 0; i + 2 < a->rank; i++)
		if (a->rank != b->rank || a->dim[i] != b->dim[i])
			return 0;
	return a->rank == b->rank;
}

static int
rows_fit(const struct lm_shaping *s, size_t role, size_t param, struct loom_error *err)
{
	size_t k = input_of(s->node, role);
	const struct lm_shape *x = &s->in[k];

	if (lm_want_f32(s, k, err) < 0)
		return -1;
	if (x->rank < 2 || lm_extent(x, 0) != (uint64_t)s->node->param[param].i)
		return lm_fail_input(s, k, err, "[..., s, %lld], the last %s",
		    (long long)s->node->param[param].i, s->node->op->params[param].key);
	if (!same_lead(x, &s->in[LM_QUERY]))
		return lm_fail_input(s, k, err, "the leading axes of the query");
	return 0;
}

static int
lengths_fit(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_node *n = s->node;
	size_t key = input_of(n, LM_KEY), value = input_of(n, LM_VALUE);
	uint64_t sq = lm_extent(&s->in[LM_QUERY], 1), sk = lm_extent(&s->in[key], 1);

	if (lm_extent(&s->in[value], 1) != sk)
		return lm_fail_input(s, value, err, "%llu positions, as the key has",
		    (unsigned long long)sk);
	if (n->param[CAUSAL].i && sq != sk)
		return lm_fail_input(s, key, err,
		    "%llu positions, as the query has, since it is causal", (unsigned long long)sq);
	if (sq > 0 && sk == 0)
		return lm_fail_input(s, key, err, "at least one position");
	if (n->param[ROPE].i != LM_ROPE_NONE && (sq > FARTHEST || sk > FARTHEST))
		return lm_fail_input(s, sq > FARTHEST ? LM_QUERY : key, err, "at most %d positions",
		    FARTHEST);
	return 0;
}

/* Extents: all of a job that depends on shapes alone. */
static struct lm_heads
extents(const struct lm_node *n, const struct lm_shape *query, const struct lm_shape *key,
    size_t most)
{
	struct lm_heads h = { .query = query,
		.most = most,
		.batch = 1,
		.sq = (size_t)lm_extent(query, 1),
		.sk = (size_t)lm_extent(key, 1),
		.heads = size_of(n, HEADS),
		.kv_heads = size_of(n, KV_HEADS),
		.head_dim = size_of(n, HEAD_DIM),
		.value_dim = size_of(n, VALUE_DIM),
		.rope = (enum lm_rope)n->param[ROPE].i };
	unsigned i;

	for (i = 0; i + 2 < query->rank; i++)
		h.batch *= (size_t)query->dim[i];
	lm_heads_fit(&h);
	return h;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_node *n = s->node;
	struct lm_heads h;

	if (rows_fit(s, LM_QUERY, MODEL, err) < 0 || rows_fit(s, LM_KEY, KEY_FEATURES, err) < 0 ||
	    rows_fit(s, LM_VALUE, VALUE_FEATURES, err) < 0 || lengths_fit(s, err) < 0)
		return -1;
	h = extents(n, &s->in[LM_QUERY], &s->in[input_of(n, LM_KEY)], 0);
	if (lm_heads_mask(s, &seeing, &h, err) < 0)
		return -1;
	s->out[0] = s->in[LM_QUERY];
	s->out[0].dim[s->out[0].rank - 1] = (uint64_t)n->param[OUT_FEATURES].i;
	return 0;
}

/* ---- weights ---- */

static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	struct loom_error none = { 0 };
	struct lm_shape w;
	size_t slot;

	if (lm_prepare_slots(p, err) < 0)
		return -1;
	for (slot = WQ; slot <= WO; slot++) {
		if (lm_slot_shape(p->node, slot, &w, &none) < 0)
			return -1;
		lm_prepare_matrix(p, slot, (size_t)w.dim[0], (size_t)w.dim[1]);
	}
	return 0;
}

/* ---- the plan ---- */

/* Elements of q, k, v and o for one sample. */
static size_t
floats(const struct lm_heads *h)
{
	return (h->sq * h->heads + h->sk * h->kv_heads) * (h->head_dim + h->value_dim);
}

/* Samples that are worked on together: several small ones, so that threads find enough to do. */
static size_t
together(const struct lm_heads *h)
{
	size_t n = TOGETHER / (floats(h) + 1) + 1;

	return n < h->batch ? n : h->batch;
}

/* Bytes before the workers' parts: the keys, the frequencies, then the samples' q, k, v and o. */
static size_t
shared(const struct lm_heads *h)
{
	size_t words = h->head_dim / 2 + (together(h) * floats(h) + 1) / 2;

	return (h->most > 0 ? 0 : together(h) * lm_heads_keys(h)) + words * sizeof(double);
}

static int
plan_heads(const struct lm_shaping *s, const struct lm_heads *h, size_t *scratch,
    struct loom_error *err)
{
	double most = ((double)h->sq * (double)h->heads + (double)h->sk * (double)h->kv_heads) *
	    (double)(2 * (h->head_dim + h->value_dim) + 64);

	if (most > (double)(SIZE_MAX / 64))
		return lm_fail(err, LOOM_ENOMEM, "no memory for the heads of %s", s->node->name);
	*scratch = shared(h) + lm_heads_part(h);
	return 0;
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct lm_heads h = extents(s->node, &s->in[LM_QUERY], &s->in[input_of(s->node, LM_KEY)],
	    0);

	return plan_heads(s, &h, scratch, err);
}

static int
keep(const struct lm_shaping *s, size_t positions, size_t *kept, size_t *scratch,
    struct loom_error *err)
{
	const struct lm_node *n = s->node;
	struct lm_heads h = extents(n, &s->in[LM_QUERY], &s->in[input_of(n, LM_KEY)], positions);

	if (h.rope != LM_ROPE_NONE && positions > FARTHEST)
		return lm_fail(err, LOOM_EARG,
		    "layer %s (attention): rope goes to %d positions, not to %zu", n->name,
		    FARTHEST, positions);
	return plan_heads(s, &h, scratch, err) < 0 ? -1 : lm_heads_kept(&h, n, kept, err);
}

static int
pieces(const struct lm_pieces *p)
{
	return lm_heads_pieces(p, &seeing);
}

static size_t
matrix_rows(const struct lm_shaping *s, size_t slot)
{
	struct lm_heads h = extents(s->node, &s->in[LM_QUERY], &s->in[input_of(s->node, LM_KEY)],
	    0);

	return together(&h) * (slot == WQ || slot == WO ? h.sq : h.sk);
}

/* ---- the run ---- */

static struct lm_heads
heads_of(const struct lm_call *c)
{
	const struct lm_node *n = c->node;
	const struct lm_array *key = &c->in[input_of(n, LM_KEY)];
	struct lm_heads h = extents(n, c->in[LM_QUERY].shape, key->shape, c->positions);
	size_t samples = together(&h);
	char *from = c->scratch;

	h.before = c->before;
	lm_heads_start(&h, c, &seeing);
	if (h.most == 0) {
		h.keys.memory = from;
		from += samples * lm_heads_keys(&h);
	}
	h.frequency = (double *)from;
	h.q = (float *)(h.frequency + h.head_dim / 2);
	h.k = h.q + samples * h.sq * h.heads * h.head_dim;
	h.v = h.k + samples * h.sk * h.kv_heads * h.head_dim;
	h.o = h.v + samples * h.sk * h.kv_heads * h.value_dim;
	h.part = (char *)c->scratch + shared(&h);
	return h;
}

/* y = rows of x times a weight, plus its bias. */
static void
project(const struct lm_call *c, size_t slot, const float *x, size_t rows, float *y)
{
	const struct lm_matrix *w = &c->slot[slot].matrix;
	struct lm_product p = { .m = rows,
		.x = x,
		.x_step = w->k,
		.w = w,
		.bias = c->slot[BQ + (slot - WQ)].f32,
		.y = y,
		.y_step = w->n };

	lm_multiply(c, &p);
}

/* The rows of an input from the first sample at hand on. */
static const float *
rows_of(const struct lm_heads *h, size_t role, size_t positions, size_t features)
{
	const struct lm_node *n = h->call->node;
	const float *x = h->call->in[input_of(n, role)].data;

	return x + h->first * positions * size_of(n, features);
}

static void
run_samples(struct lm_heads *h)
{
	const struct lm_call *c = h->call;
	size_t sq = h->count * h->sq, sk = h->count * h->sk;
	float *y = c->out[0].data;

	project(c, WQ, rows_of(h, LM_QUERY, h->sq, MODEL), sq, h->q);
	project(c, WK, rows_of(h, LM_KEY, h->sk, KEY_FEATURES), sk, h->k);
	project(c, WV, rows_of(h, LM_VALUE, h->sk, VALUE_FEATURES), sk, h->v);
	lm_heads_run(h);
	project(c, WO, h->o, sq, y + h->first * h->sq * size_of(c->node, OUT_FEATURES));
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	struct lm_heads h;
	size_t most;

	if (c->in[LM_QUERY].shape->dim[c->in[LM_QUERY].shape->rank - 2] == 0)
		return 0;
	h = heads_of(c);
	if (lm_heads_seen(&h, &seeing, err) < 0)
		return -1;
	if (h.rope != LM_ROPE_NONE)
		lm_rope_frequencies(h.frequency, h.head_dim, c->node->param[ROPE_BASE].real);
	most = together(&h);
	for (; h.first < h.batch; h.first += h.count) {
		h.count = h.batch - h.first < most ? h.batch - h.first : most;
		run_samples(&h);
	}
	return 0;
}

#define SIZE LM_IS_SIZE, 1, 1 << 24, NULL, 0
#define FLAG LM_IS_FLAG, 0, 1, NULL, 0
#define MATRIX { 0 }, 0, 0, 0, 0 /* slot_shape knows its extents */

const struct lm_layer_ops lm_layer_attention = {
	.name = "attention",
	.cell = 1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = LM_HEADS_INPUTS,
	.out_least = 1,
	.out_most = 1,
	.about = "y = Wo (softmax of scale q k over the keys) v + bo, head by head",
	.params = { [MODEL] = { "d_model", SIZE },
	    [KEY_FEATURES] = { "key_features", SIZE },
	    [VALUE_FEATURES] = { "value_features", SIZE },
	    [OUT_FEATURES] = { "out_features", SIZE },
	    [HEADS] = { "num_heads", SIZE },
	    [KV_HEADS] = { "num_kv_heads", SIZE },
	    [HEAD_DIM] = { "head_dim", SIZE },
	    [VALUE_DIM] = { "value_dim", SIZE },
	    [Q_BIAS] = { "q_bias", FLAG },
	    [K_BIAS] = { "k_bias", FLAG },
	    [V_BIAS] = { "v_bias", FLAG },
	    [O_BIAS] = { "o_bias", FLAG },
	    [CAUSAL] = { "causal", FLAG },
	    [ROPE] = { "rope", LM_IS_ENUM, 0, 2, ropes, 0 },
	    [ROPE_BASE] = { "rope_base", LM_IS_MAYBE, 0, 0, NULL, 0 },
	    [SCALE] = { "scale", LM_IS_MAYBE, 0, 0, NULL, 0 },
	    [MASK_KIND] = { "mask", LM_IS_ENUM, 0, 3, lm_masks, 0 },
	    [FILL] = { "fill", LM_IS_ENUM, 0, 2, lm_fills, 0 },
	    [EMPTY] = { "empty", LM_IS_ENUM, 0, 2, lm_empties, 0 } },
	.slots = { [WQ] = { "Wq", "qd", MATRIX },
	    [WK] = { "Wk", "kd", MATRIX },
	    [WV] = { "Wv", "vd", MATRIX },
	    [WO] = { "Wo", "do", MATRIX },
	    [BQ] = { "bq", "q", { 0 }, 1 + Q_BIAS, 0, 0, 0 },
	    [BK] = { "bk", "k", { 0 }, 1 + K_BIAS, 0, 0, 0 },
	    [BV] = { "bv", "v", { 0 }, 1 + V_BIAS, 0, 0, 0 },
	    [BO] = { "bo", "d", { 0 }, 1 + O_BIAS, 0, 0, 0 } },
	.check = check,
	.slot_shape = slot_shape,
	.shape = shape,
	.prepare = prepare,
	.rows = matrix_rows,
	.plan = plan,
	.pieces = pieces,
	.keep = keep,
	.forward = forward,
};
