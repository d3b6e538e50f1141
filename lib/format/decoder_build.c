/*
 * decoder_build: the graph of a decoder.  Where queries and keys are normalised, or frequencies
 * divided by factors, the attention stands as what it is made of; else it is one node.
 */
#include "format/decoder_build.h"

#include <math.h>
#include <string.h>

#include "num/bytes.h"

/* ---- nodes ---- */

union lm_value *
lm_decoder_param(struct lm_node *n, const char *key)
{
	return &n->param[lm_layer_param(n->op, key)];
}

void
lm_decoder_choose(struct lm_node *n, const char *key, const char *choice)
{
	const struct lm_param *p = &n->op->params[lm_layer_param(n->op, key)];
	int64_t i;

	for (i = 0; p->names[i] != NULL; i++)
		if (strcmp(p->names[i], choice) == 0)
			lm_decoder_param(n, key)->i = i;
}

static void
set_size(struct lm_node *n, const char *key, uint64_t value)
{
	lm_decoder_param(n, key)->i = (int64_t)value;
}

static void
set_real(struct lm_node *n, const char *key, double value)
{
	lm_decoder_param(n, key)->real = value;
}

/* "blocks.2.attention", or just the name outside of blocks; with up to three inputs. */
static struct lm_node *
add(struct lm_decoder_graph *g, int in_block, const char *name, const char *op,
    const char *const in[3], struct loom_error *err)
{
	char full[64];
	struct lm_node *n;
	size_t i;

	(void)snprintf(full, sizeof(full), "blocks.%zu.%s", g->layer, name);
	n = lm_model_add_node(g->model, in_block ? full : name, lm_layer_find(op), err);
	for (i = 0; n != NULL && i < 3 && in[i] != NULL; i++)
		if (lm_node_add_in(g->model, n, in[i], err) < 0)
			return NULL;
	return n;
}

/* ---- weights ---- */

static int
fetch(struct lm_decoder_graph *g, struct lm_node *n, size_t slot, enum lm_decoder_role role,
    struct loom_error *err)
{
	struct lm_view *view = lm_arena_alloc(&g->model->arena, 1, sizeof(*view), err);
	const char *source = NULL;
	struct lm_weight *w = &n->weight[slot];

	if (view == NULL || g->find(g->context, role, g->layer, view, &source, err) < 0 ||
	    lm_node_put(n, slot, view->dtype, 1, err) < 0)
		return -1;
	w->view = view;
	if (source == NULL)
		return 0;
	w->source = lm_arena_string(&g->model->arena, source, err);
	return w->source != NULL ? 0 : -1;
}

/* Where the decoder has it. */
static int
put(struct lm_decoder_graph *g, struct lm_node *n, const char *slot, enum lm_decoder_role role,
    struct loom_error *err)
{
	size_t at = (size_t)lm_layer_slot(n->op, slot);
	struct lm_decoder_place *place;

	if (!lm_decoder_has(g->d, role))
		return 0;
	if (g->places != NULL) {
		place = &g->places[(lm_role_in_blocks(role) ? g->layer : 0) * LM_ROLES + role];
		place->node = n;
		place->slot = at;
	}
	return g->find != NULL ? fetch(g, n, at, role, err) : 0;
}

static void
tie(struct lm_node *n, const char *slot, const struct lm_weight *twin)
{
	struct lm_weight *w = &n->weight[lm_layer_slot(n->op, slot)];

	*w = *twin;
	w->same = twin;
}

/* The factors are stored once. */
static int
put_factors(struct lm_decoder_graph *g, struct lm_node *n, struct loom_error *err)
{
	size_t slot = (size_t)lm_layer_slot(n->op, "factors"), i;
	unsigned char *bytes;

	if (g->find == NULL)
		return 0;
	if (g->factors != NULL) {
		tie(n, "factors", g->factors);
		return 0;
	}
	if (lm_node_put(n, slot, lm_dtype_get(LM_F32), 1, err) < 0)
		return -1;
	bytes = lm_arena_alloc(&g->model->arena, (size_t)n->weight[slot].bytes, 1, err);
	if (bytes == NULL)
		return -1;
	for (i = 0; i < g->d->head_dim / 2; i++)
		lm_put_f32(bytes + 4 * i, g->d->factors[i]);
	n->weight[slot].data = bytes;
	g->factors = &n->weight[slot];
	return 0;
}

/* ---- norms, sums and products ---- */

static const char *
norm(struct lm_decoder_graph *g, int in_block, const char *name, const char *in, uint64_t dim,
    enum lm_decoder_role role, struct loom_error *err)
{
	struct lm_node *n = add(g, in_block, name, "rmsnorm", (const char *[3]){ in }, err);

	if (n == NULL)
		return NULL;
	set_size(n, "dim", dim);
	set_real(n, "eps", g->d->eps);
	set_size(n, "scale", 1);
	return lm_node_check(g->model, n, err) < 0 || put(g, n, "gamma", role, err) < 0 ? NULL
											: n->name;
}

/* The stream goes on with what a part of a block made added to it. */
static int
join(struct lm_decoder_graph *g, const char *name, const char *made, struct loom_error *err)
{
	struct lm_node *n;

	if (made == NULL)
		return -1;
	n = add(g, 1, name, "add", (const char *[3]){ g->stream, made }, err);
	if (n == NULL || lm_node_check(g->model, n, err) < 0)
		return -1;
	g->stream = n->name;
	return 0;
}

static const char *
dense(struct lm_decoder_graph *g, const char *name, const char *in, enum lm_decoder_role role,
    struct loom_error *err)
{
	struct lm_node *n = add(g, 1, name, "dense", (const char *[3]){ in }, err);
	enum lm_decoder_role bias = role + 1; /* in decoder.def, too */
	struct lm_shape s;

	if (n == NULL)
		return NULL;
	lm_decoder_shape(g->d, role, &s);
	set_size(n, "in_features", s.dim[1]);
	set_size(n, "out_features", s.dim[0]);
	set_size(n, "bias", (uint64_t)lm_decoder_has(g->d, bias));
	if (lm_node_check(g->model, n, err) < 0 || put(g, n, "weight", role, err) < 0 ||
	    put(g, n, "bias", bias, err) < 0)
		return NULL;
	return n->name;
}

/* ---- attention as one node ---- */

static int
put_projections(struct lm_decoder_graph *g, struct lm_node *n, struct loom_error *err)
{
	if (put(g, n, "Wq", LM_ROLE_QUERY, err) < 0 || put(g, n, "Wk", LM_ROLE_KEY, err) < 0 ||
	    put(g, n, "Wv", LM_ROLE_VALUE, err) < 0 || put(g, n, "Wo", LM_ROLE_OUT, err) < 0 ||
	    put(g, n, "bq", LM_ROLE_QUERY_BIAS, err) < 0 ||
	    put(g, n, "bk", LM_ROLE_KEY_BIAS, err) < 0)
		return -1;
	if (put(g, n, "bv", LM_ROLE_VALUE_BIAS, err) < 0)
		return -1;
	return put(g, n, "bo", LM_ROLE_OUT_BIAS, err);
}

static void
set_extents(struct lm_node *n, const struct lm_decoder *d)
{
	set_size(n, "d_model", d->width);
	set_size(n, "key_features", d->width);
	set_size(n, "value_features", d->width);
	set_size(n, "out_features", d->width);
	set_size(n, "num_heads", d->heads);
	set_size(n, "num_kv_heads", d->kv_heads);
	set_size(n, "head_dim", d->head_dim);
	set_size(n, "value_dim", d->head_dim);
}

/* What a query sees: itself and all before it. */
static void
set_causal(struct lm_node *n)
{
	set_size(n, "causal", 1);
	set_real(n, "scale", NAN);
	lm_decoder_choose(n, "mask", "none");
	lm_decoder_choose(n, "fill", "-inf");
	lm_decoder_choose(n, "empty", "zero");
}

static const char *
attention(struct lm_decoder_graph *g, const char *in, struct loom_error *err)
{
	struct lm_node *n = add(g, 1, "attention", "attention", (const char *[3]){ in }, err);

	if (n == NULL)
		return NULL;
	set_extents(n, g->d);
	set_size(n, "q_bias", (uint64_t)g->d->qkv_bias);
	set_size(n, "k_bias", (uint64_t)g->d->qkv_bias);
	set_size(n, "v_bias", (uint64_t)g->d->qkv_bias);
	set_size(n, "o_bias", (uint64_t)g->d->out_bias);
	lm_decoder_choose(n, "rope", "half");
	set_real(n, "rope_base", g->d->rope_base);
	set_causal(n);
	if (lm_node_check(g->model, n, err) < 0 || put_projections(g, n, err) < 0)
		return NULL;
	return n->name;
}

/* ---- attention as what it is made of ---- */

static const char *
reshape(struct lm_decoder_graph *g, const char *name, const char *in, const struct lm_dim *dim,
    size_t rank, struct loom_error *err)
{
	struct lm_node *n = add(g, 1, name, "reshape", (const char *[3]){ in }, err);
	struct lm_dim *dims = lm_arena_alloc(&g->model->arena, rank, sizeof(*dims), err);

	if (n == NULL || dims == NULL)
		return NULL;
	memcpy(dims, dim, rank * sizeof(*dims));
	lm_decoder_param(n, "shape")->dims = (struct lm_dims){ rank, dims };
	return lm_node_check(g->model, n, err) < 0 ? NULL : n->name;
}

/* Positions and heads change places. */
static const char *
turn(struct lm_decoder_graph *g, const char *name, const char *in, struct loom_error *err)
{
	static const struct lm_dim order[] = { { NULL, 0 }, { NULL, 2 }, { NULL, 1 }, { NULL, 3 } };
	struct lm_node *n = add(g, 1, name, "transpose", (const char *[3]){ in }, err);

	if (n == NULL)
		return NULL;
	lm_decoder_param(n, "perm")->dims = (struct lm_dims){ 4, order };
	return lm_node_check(g->model, n, err) < 0 ? NULL : n->name;
}

static const char *
rotate(struct lm_decoder_graph *g, const char *name, const char *in, struct loom_error *err)
{
	struct lm_node *n = add(g, 1, name, "rotary", (const char *[3]){ in }, err);

	if (n == NULL)
		return NULL;
	set_size(n, "head_dim", g->d->head_dim);
	lm_decoder_choose(n, "style", "half");
	set_real(n, "base", g->d->rope_base);
	set_size(n, "factors", g->d->factors != NULL);
	if (lm_node_check(g->model, n, err) < 0 ||
	    (g->d->factors != NULL && put_factors(g, n, err) < 0))
		return NULL;
	return n->name;
}

/* What the steps of a query, key or value are called. */
struct steps {
	const char *dense, *heads, *norm, *turned, *rotated;
	enum lm_decoder_role role, norm_role;
	int rotates;
};

static const struct steps steps[] = {
	{ "query", "query.heads", "query.norm", "query.turned", "query.rotated", LM_ROLE_QUERY,
	    LM_ROLE_QUERY_NORM, 1 },
	{ "key", "key.heads", "key.norm", "key.turned", "key.rotated", LM_ROLE_KEY,
	    LM_ROLE_KEY_NORM, 1 },
	{ "value", "value.heads", NULL, "value.turned", NULL, LM_ROLE_VALUE, LM_ROLES, 0 },
};

static const char *
prepare_heads(struct lm_decoder_graph *g, const struct steps *s, const char *in,
    struct loom_error *err)
{
	const struct lm_decoder *d = g->d;
	uint64_t heads = s->role == LM_ROLE_QUERY ? d->heads : d->kv_heads;
	const struct lm_dim dims[] = { { g->batch, 0 }, { g->sequence, 0 },
		{ NULL, (int64_t)heads }, { NULL, (int64_t)d->head_dim } };
	const char *at = dense(g, s->dense, in, s->role, err);

	if (at != NULL)
		at = reshape(g, s->heads, at, dims, 4, err);
	if (at != NULL && s->rotates && d->norms)
		at = norm(g, 1, s->norm, at, d->head_dim, s->norm_role, err);
	if (at != NULL)
		at = turn(g, s->turned, at, err);
	return at != NULL && s->rotates ? rotate(g, s->rotated, at, err) : at;
}

static const char *
parts(struct lm_decoder_graph *g, const char *in, struct loom_error *err)
{
	const struct lm_dim dims[] = { { g->batch, 0 }, { g->sequence, 0 },
		{ NULL, (int64_t)(g->d->heads * g->d->head_dim) } };
	const char *from[3] = { NULL }, *at;
	struct lm_node *n;
	size_t i;

	for (i = 0; i < 3; i++) {
		from[i] = prepare_heads(g, &steps[i], in, err);
		if (from[i] == NULL)
			return NULL;
	}
	n = add(g, 1, "attention", "scaled_dot_product_attention", from, err);
	if (n == NULL)
		return NULL;
	set_causal(n);
	if (lm_node_check(g->model, n, err) < 0)
		return NULL;
	at = turn(g, "attention.turned", n->name, err);
	if (at != NULL)
		at = reshape(g, "attention.rows", at, dims, 3, err);
	return at != NULL ? dense(g, "out", at, LM_ROLE_OUT, err) : NULL;
}

/* ---- a block, and the whole ---- */

static const char *
feed_forward(struct lm_decoder_graph *g, const char *in, struct loom_error *err)
{
	struct lm_node *n = add(g, 1, "feed_forward", "swiglu", (const char *[3]){ in }, err);

	if (n == NULL)
		return NULL;
	set_size(n, "in_features", g->d->width);
	set_size(n, "hidden_features", g->d->hidden);
	lm_decoder_choose(n, "activation", "silu");
	set_size(n, "bias", (uint64_t)g->d->mlp_bias);
	if (lm_node_check(g->model, n, err) < 0 || put(g, n, "Wg", LM_ROLE_GATE, err) < 0 ||
	    put(g, n, "Wu", LM_ROLE_UP, err) < 0 || put(g, n, "Wd", LM_ROLE_DOWN, err) < 0 ||
	    put(g, n, "bg", LM_ROLE_GATE_BIAS, err) < 0 ||
	    put(g, n, "bu", LM_ROLE_UP_BIAS, err) < 0 ||
	    put(g, n, "bd", LM_ROLE_DOWN_BIAS, err) < 0)
		return NULL;
	return n->name;
}

static int
block(struct lm_decoder_graph *g, struct loom_error *err)
{
	int whole = !g->d->norms && g->d->factors == NULL;
	const char *at = norm(g, 1, "attention_norm", g->stream, g->d->width, LM_ROLE_FIRST_NORM,
	    err);

	if (at == NULL ||
	    join(g, "attention_sum", whole ? attention(g, at, err) : parts(g, at, err), err) < 0)
		return -1;
	at = norm(g, 1, "feed_forward_norm", g->stream, g->d->width, LM_ROLE_SECOND_NORM, err);
	return at != NULL ? join(g, "feed_forward_sum", feed_forward(g, at, err), err) : -1;
}

static struct lm_node *
embedding(struct lm_decoder_graph *g, struct loom_error *err)
{
	struct lm_dim *dim = lm_arena_alloc(&g->model->arena, 2, sizeof(*dim), err);
	struct lm_node *n;

	if (dim == NULL)
		return NULL;
	dim[0].text = g->batch;
	dim[1].text = g->sequence;
	if (lm_model_add_input(g->model, g->input, lm_dtype_get(LM_I64), 0,
		(struct lm_dims){ 2, dim }, err) < 0)
		return NULL;
	n = add(g, 0, "embedding", "embedding", (const char *[3]){ g->input }, err);
	if (n == NULL)
		return NULL;
	set_size(n, "vocab_size", g->d->vocab);
	set_size(n, "embedding_dim", g->d->width);
	lm_decoder_choose(n, "outside", "error");
	if (lm_node_check(g->model, n, err) < 0 || put(g, n, "table", LM_ROLE_EMBEDDING, err) < 0)
		return NULL;
	g->stream = n->name;
	return n;
}

static int
logits(struct lm_decoder_graph *g, const struct lm_node *embedding, struct loom_error *err)
{
	const char *at = norm(g, 0, "norm", g->stream, g->d->width, LM_ROLE_LAST_NORM, err);
	struct lm_node *n;

	if (at == NULL)
		return -1;
	n = add(g, 0, "logits", "dense", (const char *[3]){ at }, err);
	if (n == NULL)
		return -1;
	set_size(n, "in_features", g->d->width);
	set_size(n, "out_features", g->d->vocab);
	if (lm_node_check(g->model, n, err) < 0 || put(g, n, "weight", LM_ROLE_LOGITS, err) < 0)
		return -1;
	if (g->d->tied && g->find != NULL)
		tie(n, "weight", &embedding->weight[lm_layer_slot(embedding->op, "table")]);
	return lm_model_add_output(g->model, n->name, err);
}

int
lm_decoder_graph(struct lm_decoder_graph *g, struct loom_error *err)
{
	const struct lm_node *first;

	if (lm_decoder_check(g->d, err) < 0)
		return -1;
	first = embedding(g, err);
	if (first == NULL)
		return -1;
	for (g->layer = 0; g->layer < g->d->layers; g->layer++)
		if (block(g, err) < 0)
			return -1;
	return logits(g, first, err);
}

int
lm_decoder_build(struct loom_model *m, const struct lm_decoder *d, lm_decoder_find *find,
    void *context, struct loom_error *err)
{
	struct lm_decoder_graph g = { .model = m,
		.d = d,
		.input = "input_ids",
		.batch = "batch",
		.sequence = "sequence",
		.find = find,
		.context = context };

	return lm_decoder_graph(&g, err);
}
