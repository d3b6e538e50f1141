/*
 * decoder_match: is a network a llama-like decoder?  Its extents are guessed from the nodes that
 * must be there; then it must be, node for node, the graph that is built from them.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "format/decoder_build.h"
#include "layer/weight.h"

struct matching {
	const struct loom_model *m;
	struct lm_decoder *d;
	struct lm_arena *arena;
	const char **why;
	struct loom_error *err;
};

/* 0: it is none, and that is why. */
static int LM_PRINTF(2, 3) none(struct matching *x, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	*x->why = lm_arena_string(x->arena, text, x->err);
	return *x->why != NULL ? 0 : -1;
}

/* ---- a guess ---- */

/* The n-th node of that operation, from 0; NULL: there are not so many. */
static struct lm_node *
nth(const struct loom_model *m, const char *op, size_t n)
{
	size_t i;

	for (i = 0; i < m->n_nodes; i++)
		if (strcmp(m->nodes[i]->op->name, op) == 0 && n-- == 0)
			return m->nodes[i];
	return NULL;
}

static uint64_t
size_of(struct lm_node *n, const char *key)
{
	return (uint64_t)lm_decoder_param(n, key)->i;
}

/* Entry i of a reshape's extents, 0 where there is none. */
static uint64_t
dim_of(struct lm_node *reshape, size_t i)
{
	const struct lm_dims *dims;

	if (reshape == NULL)
		return 0;
	dims = &lm_decoder_param(reshape, "shape")->dims;
	return i < dims->n && dims->dim[i].value > 0 ? (uint64_t)dims->dim[i].value : 0;
}

static void
guess_whole(struct lm_decoder *d, struct lm_node *attention)
{
	d->heads = size_of(attention, "num_heads");
	d->kv_heads = size_of(attention, "num_kv_heads");
	d->head_dim = size_of(attention, "head_dim");
	d->rope_base = lm_decoder_param(attention, "rope_base")->real;
	d->qkv_bias = (int)size_of(attention, "q_bias");
	d->out_bias = (int)size_of(attention, "o_bias");
}

static int
read_factors(struct matching *x, const struct lm_weight *w, const float **factors)
{
	float *to = lm_arena_alloc(x->arena, (size_t)w->count, sizeof(*to), x->err);
	const unsigned char *from = lm_weight_bytes(w, x->arena, x->err);

	if (to == NULL || from == NULL)
		return -1;
	w->dtype->to_f32(to, from, 0, (size_t)w->count, w->scale);
	*factors = to;
	return 0;
}

static int
guess_parts(struct matching *x, struct lm_node *rotary)
{
	struct lm_decoder *d = x->d;
	struct lm_node *query = nth(x->m, "dense", 0), *out = nth(x->m, "dense", 3);
	struct lm_node *heads = nth(x->m, "reshape", 0);
	size_t after;

	d->heads = dim_of(heads, 2);
	d->head_dim = dim_of(heads, 3);
	d->kv_heads = dim_of(nth(x->m, "reshape", 1), 2);
	d->rope_base = lm_decoder_param(rotary, "base")->real;
	d->qkv_bias = query != NULL && size_of(query, "bias") != 0;
	d->out_bias = out != NULL && size_of(out, "bias") != 0;
	for (after = 0; after + 1 < x->m->n_nodes && x->m->nodes[after] != heads; after++)
		continue;
	d->norms = after + 1 < x->m->n_nodes &&
	    strcmp(x->m->nodes[after + 1]->op->name, "rmsnorm") == 0;
	if (size_of(rotary, "factors") == 0)
		return 1;
	return read_factors(x, &rotary->weight[lm_layer_slot(rotary->op, "factors")], &d->factors) <
		0
	    ? -1
	    : 1;
}

static int
tied(const struct loom_model *m, struct lm_node *embedding)
{
	const struct lm_node *last = m->nodes[m->n_nodes - 1];

	return last->weight[0].same != NULL && last->weight[0].same == &embedding->weight[0];
}

/* 1: it may be one. */
static int
guess(struct matching *x)
{
	const struct loom_model *m = x->m;
	struct lm_decoder *d = x->d;
	struct lm_node *embedding = nth(m, "embedding", 0), *norm = nth(m, "rmsnorm", 0);
	struct lm_node *feed = nth(m, "swiglu", 0), *attention = nth(m, "attention", 0);
	struct lm_node *rotary = nth(m, "rotary", 0);

	if (embedding == NULL || norm == NULL || feed == NULL ||
	    (attention == NULL && rotary == NULL))
		return none(x, "it has no %s",
		    embedding == NULL  ? "embedding"
			: norm == NULL ? "rmsnorm"
			: feed == NULL ? "swiglu"
				       : "attention");
	d->vocab = size_of(embedding, "vocab_size");
	d->width = size_of(embedding, "embedding_dim");
	d->eps = lm_decoder_param(norm, "eps")->real;
	d->hidden = size_of(feed, "hidden_features");
	d->mlp_bias = size_of(feed, "bias") != 0;
	while (nth(m, "swiglu", (size_t)d->layers) != NULL)
		d->layers++;
	d->tied = tied(m, embedding);
	if (attention == NULL)
		return guess_parts(x, rotary);
	guess_whole(d, attention);
	return 1;
}

/* ---- node for node ---- */

static int
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int
same_dims(const struct lm_dims *a, const struct lm_dims *b)
{
	size_t i;

	for (i = 0; a->n == b->n && i < a->n; i++)
		if (!same_text(a->dim[i].text, b->dim[i].text) ||
		    (a->dim[i].text == NULL && a->dim[i].value != b->dim[i].value))
			return 0;
	return a->n == b->n;
}

static int
same_value(const struct lm_param *p, const union lm_value *a, const union lm_value *b)
{
	if (p->kind == LM_IS_INTS || p->kind == LM_IS_DIMS)
		return same_dims(&a->dims, &b->dims);
	if (p->kind == LM_IS_REAL || p->kind == LM_IS_MAYBE)
		return a->real == b->real || (isnan(a->real) && isnan(b->real));
	return a->i == b->i;
}

static const char *
value_text(char dst[LM_SHAPE_TEXT], const struct lm_param *p, const union lm_value *v)
{
	if (p->kind == LM_IS_INTS || p->kind == LM_IS_DIMS)
		return lm_dims_text(dst, &v->dims);
	if (p->kind == LM_IS_ENUM)
		return p->names[v->i];
	if (p->kind == LM_IS_FLAG)
		return v->i ? "true" : "false";
	if ((p->kind == LM_IS_REAL || p->kind == LM_IS_MAYBE) && isnan(v->real))
		return "null";
	if (p->kind == LM_IS_REAL || p->kind == LM_IS_MAYBE)
		(void)snprintf(dst, LM_SHAPE_TEXT, "%.17g", v->real);
	else
		(void)snprintf(dst, LM_SHAPE_TEXT, "%lld", (long long)v->i);
	return dst;
}

static int
compare_params(struct matching *x, const struct lm_node *n, const struct lm_node *want)
{
	char found[LM_SHAPE_TEXT], expected[LM_SHAPE_TEXT], shown[LM_SHOWN];
	const struct lm_param *p;
	size_t i, params = lm_layer_params(n->op);

	for (i = 0; i < params; i++) {
		p = &n->op->params[i];
		if (!same_value(p, &n->param[i], &want->param[i]))
			return none(x, "node %s (%s): %s is %.80s, expected %.80s",
			    lm_shown(shown, n->name), n->op->name, p->key,
			    value_text(found, p, &n->param[i]),
			    value_text(expected, p, &want->param[i]));
	}
	return 1;
}

static int
compare_node(struct matching *x, const struct lm_node *n, const struct lm_node *want)
{
	char shown[LM_SHOWN];
	size_t i;

	if (n->op != want->op)
		return none(x, "node %s (%s): expected %s here, a decoder's %s",
		    lm_shown(shown, n->name), n->op->name, want->op->name, want->name);
	for (i = 0; i < n->n_in || i < want->n_in; i++)
		if (i >= n->n_in || i >= want->n_in || n->in[i] != want->in[i])
			return none(x, "node %s (%s): input %zu is not what a decoder's %s reads",
			    lm_shown(shown, n->name), n->op->name, i, want->name);
	return compare_params(x, n, want);
}

static int
compare(struct matching *x, const struct loom_model *want)
{
	const struct loom_model *m = x->m;
	size_t i;
	int r = 1;

	for (i = 0; i < m->n_nodes && i < want->n_nodes && r == 1; i++)
		r = compare_node(x, m->nodes[i], want->nodes[i]);
	if (r == 1 && m->n_nodes != want->n_nodes)
		return none(x, "it has %zu nodes, expected %zu for %llu blocks", m->n_nodes,
		    want->n_nodes, (unsigned long long)x->d->layers);
	if (r == 1 && (m->n_outputs != 1 || m->outputs[0] != want->outputs[0]))
		return none(x, "its output is not the logits alone");
	return r;
}

/* Each block turns by the same factors. */
static int
compare_factors(struct matching *x)
{
	const float *factors;
	struct lm_node *n;
	char shown[LM_SHOWN];
	size_t i;

	for (i = 1; x->d->factors != NULL && (n = nth(x->m, "rotary", i)) != NULL; i++) {
		if (read_factors(x, &n->weight[lm_layer_slot(n->op, "factors")], &factors) < 0)
			return -1;
		if (memcmp(factors, x->d->factors,
			(size_t)(x->d->head_dim / 2) * sizeof(*factors)) != 0)
			return none(x, "node %s (rotary): its factors are not those of the first",
			    lm_shown(shown, n->name));
	}
	return 1;
}

/* ---- the whole ---- */

static int
input_fits(struct matching *x)
{
	const struct loom_model *m = x->m;
	const struct lm_input *in = m->inputs;
	char shown[LM_SHOWN];
	size_t i;

	if (m->n_inputs != 1)
		return none(x, "it has %zu inputs, expected 1", m->n_inputs);
	if (in->dtype != lm_dtype_get(LM_I64) || in->any || in->dims.n != 2)
		return none(x, "input %s is not int64 [batch, sequence]",
		    lm_shown(shown, in->name));
	for (i = 0; i < 2; i++)
		if (in->dims.dim[i].text == NULL || !lm_dim_is_name(in->dims.dim[i].text))
			return none(x, "input %s: axis %zu is of one size, expected a name",
			    lm_shown(shown, in->name), i);
	return 1;
}

static void
name_family(struct lm_decoder *d)
{
	d->family = d->norms				  ? LM_QWEN3
	    : d->qkv_bias && !d->out_bias && !d->mlp_bias ? LM_QWEN2
							  : LM_LLAMA;
}

/* The places were found in the graph that was built: they are the same nodes of the network. */
static void
settle(struct matching *x, const struct loom_model *built)
{
	size_t n = (size_t)x->d->layers * LM_ROLES, i;
	struct lm_decoder_place *p;

	for (i = 0; i < n; i++) {
		p = &x->d->places[i];
		if (p->node != NULL)
			p->node = x->m->nodes[lm_names_find(&built->node_names, p->node->name)];
	}
}

static int
regenerate(struct matching *x, struct loom_model *built)
{
	const struct lm_input *in = x->m->inputs;
	struct lm_decoder_graph g = { .model = built,
		.d = x->d,
		.input = in->name,
		.batch = in->dims.dim[0].text,
		.sequence = in->dims.dim[1].text };
	int r;

	g.places = lm_arena_alloc(x->arena, (size_t)x->d->layers * LM_ROLES, sizeof(*g.places),
	    x->err);
	if (g.places == NULL || lm_decoder_graph(&g, x->err) < 0)
		return -1;
	x->d->places = g.places;
	r = compare(x, built);
	if (r == 1)
		settle(x, built);
	return r == 1 ? compare_factors(x) : r;
}

int
lm_decoder_match(const struct loom_model *m, struct lm_decoder *d, struct lm_arena *arena,
    const char **why, struct loom_error *err)
{
	struct matching x = { m, d, arena, why, err };
	struct loom_error wrong = { 0 };
	struct loom_model *built;
	int r;

	memset(d, 0, sizeof(*d));
	*why = NULL;
	r = input_fits(&x);
	if (r == 1)
		r = guess(&x);
	if (r == 1 && lm_decoder_check(d, &wrong) < 0)
		r = none(&x, "%s", wrong.text);
	if (r != 1)
		return r;
	name_family(d);
	if (lm_model_new(&built, m->name, err) < 0)
		return -1;
	r = regenerate(&x, built);
	loom_model_free(built);
	return r;
}
