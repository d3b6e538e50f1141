/*
 * gguf_decoder: llama-like decoders from and to GGUF as llama.cpp has them.  The architecture llama
 * turns neighbouring elements of a head where we turn elements that are half a head apart, so the
 * rows of its queries and keys stand in another order within each head.
 */
#include <string.h>

#include "format/facts.h"
#include "format/gguf.h"
#include "format/gotext.h"
#include "num/bytes.h"
#include "num/text.h"

enum { LONGEST_KEY = 100, CONTEXT = 2048 };

#define FACTORS "rope_freqs.weight"
#define FACTS "loom.facts"

/* ---- keys ---- */

/*
 * Of "ARCHITECTURE.": those that change numbers unless they have that value, and those that do not.
 */
static const struct known {
	const char *name;
	int counts;	       /* it must be neutral */
	double neutral;	       /* as a number */
	const char *says;      /* or as text */
	const char *otherwise; /* what it would be */
} known[] = {
	{ "block_count", 0, 0, NULL, NULL },
	{ "context_length", 0, 0, NULL, NULL },
	{ "embedding_length", 0, 0, NULL, NULL },
	{ "feed_forward_length", 0, 0, NULL, NULL },
	{ "vocab_size", 0, 0, NULL, NULL },
	{ "tensor_data_layout", 0, 0, NULL, NULL },
	{ "attention.head_count", 0, 0, NULL, NULL },
	{ "attention.head_count_kv", 0, 0, NULL, NULL },
	{ "attention.key_length", 0, 0, NULL, NULL },
	{ "attention.value_length", 0, 0, NULL, NULL },
	{ "attention.layer_norm_rms_epsilon", 0, 0, NULL, NULL },
	{ "rope.dimension_count", 0, 0, NULL, NULL },
	{ "rope.freq_base", 0, 0, NULL, NULL },
	{ "rope.scaling.original_context_length", 0, 0, NULL, NULL },
	{ "rope.scaling.finetuned", 0, 0, NULL, NULL },
	{ "attention.causal", 1, 1, NULL, "attention that is not causal" },
	{ "attention.sliding_window", 1, 0, NULL, "a sliding window" },
	{ "attention.clamp_kqv", 1, 0, NULL, "clamped projections" },
	{ "attention.max_alibi_bias", 1, 0, NULL, "ALiBi" },
	{ "attention.scale", 1, 0, NULL, "a scale of its own" },
	{ "expert_count", 1, 0, NULL, "a mixture of experts" },
	{ "expert_used_count", 1, 0, NULL, "a mixture of experts" },
	{ "rope.scaling.type", 1, 0, "none", "scaled rotary positions" },
	{ "rope.scaling.factor", 1, 1, NULL, "scaled rotary positions" },
	{ "rope.scale_linear", 1, 1, NULL, "scaled rotary positions" },
	{ "rope.scaling.attn_factor", 1, 1, NULL, "scaled rotary positions" },
	{ "pooling_type", 1, 0, NULL, "pooled positions" },
	{ "use_parallel_residual", 1, 0, NULL, "parallel blocks" },
	{ "attn_logit_softcapping", 1, 0, NULL, "capped scores" },
	{ "final_logit_softcapping", 1, 0, NULL, "capped logits" },
	{ "logit_scale", 1, 1, NULL, "scaled logits" },
	{ "embedding_scale", 1, 1, NULL, "scaled embeddings" },
	{ "residual_scale", 1, 1, NULL, "scaled sums" },
};

enum { KNOWN = sizeof(known) / sizeof(*known) };

static int
neutral(const struct known *k, const struct lm_gguf_value *v)
{
	if (v->type == LM_GGUF_STRING)
		return k->says != NULL && strcmp(v->text, k->says) == 0;
	if (v->type == LM_GGUF_ARRAY)
		return 0;
	return k->says == NULL &&
	    (v->type == LM_GGUF_F32 || v->type == LM_GGUF_F64 ? v->real : (double)v->i) ==
	    k->neutral;
}

static int
check_key(const struct lm_gguf_value *v, const char *name, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	(void)lm_shown(shown, v->key);
	for (i = 0; i < KNOWN && strcmp(known[i].name, name) != 0; i++)
		continue;
	if (i == KNOWN)
		return lm_fail(err, LOOM_EUNSUPPORTED, "key %s is not one that is understood",
		    shown);
	if (known[i].counts && !neutral(&known[i], v))
		return lm_fail(err, LOOM_EUNSUPPORTED, "key %s means %s, which is not read", shown,
		    known[i].otherwise);
	return 0;
}

static int
check_keys(const struct lm_gguf *g, const char *architecture, struct loom_error *err)
{
	size_t n = strlen(architecture), i;
	const char *key;

	for (i = 0; i < g->n_values; i++) {
		key = g->values[i].key;
		if (strncmp(key, architecture, n) == 0 && key[n] == '.' &&
		    check_key(&g->values[i], key + n + 1, err) < 0)
			return -1;
	}
	return 0;
}

static const char *
key_of(char dst[LONGEST_KEY], const char *architecture, const char *name)
{
	(void)snprintf(dst, LONGEST_KEY, "%s.%s", architecture, name);
	return dst;
}

/* ---- reading ---- */

struct reading {
	struct loom_model *model;
	struct lm_gguf *g;
	const char *architecture;
	int turned; /* rows of queries and keys stand in llama's order */
	struct lm_decoder d;
};

static int
natural(const struct reading *r, const char *name, int need, uint64_t *out, struct loom_error *err)
{
	char key[LONGEST_KEY];

	return lm_gguf_natural(r->g, key_of(key, r->architecture, name), need, out, err);
}

static int
real(const struct reading *r, const char *name, int need, double *out, struct loom_error *err)
{
	char key[LONGEST_KEY];

	return lm_gguf_real(r->g, key_of(key, r->architecture, name), need, out, err);
}

static int
read_extents(struct reading *r, struct loom_error *err)
{
	struct lm_decoder *d = &r->d;

	if (natural(r, "block_count", 1, &d->layers, err) < 0 ||
	    natural(r, "embedding_length", 1, &d->width, err) < 0 ||
	    natural(r, "feed_forward_length", 1, &d->hidden, err) < 0 ||
	    natural(r, "attention.head_count", 1, &d->heads, err) < 0 ||
	    natural(r, "context_length", 0, &d->context, err) < 0)
		return -1;
	d->kv_heads = d->heads;
	return natural(r, "attention.head_count_kv", 0, &d->kv_heads, err) < 0 ? -1 : 0;
}

/* How long a head is; all that is said of it must agree. */
static int
read_head(struct reading *r, struct loom_error *err)
{
	struct lm_decoder *d = &r->d;
	uint64_t values, turned;

	if (d->heads > 0)
		d->head_dim = d->width / d->heads;
	if (natural(r, "attention.key_length", 0, &d->head_dim, err) < 0)
		return -1;
	values = turned = d->head_dim;
	if (natural(r, "attention.value_length", 0, &values, err) < 0 ||
	    natural(r, "rope.dimension_count", 0, &turned, err) < 0)
		return -1;
	if (values != d->head_dim)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s.attention.value_length is %llu, expected %llu as the keys have",
		    r->architecture, (unsigned long long)values, (unsigned long long)d->head_dim);
	if (turned != d->head_dim)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s.rope.dimension_count is %llu, expected %llu: whole heads", r->architecture,
		    (unsigned long long)turned, (unsigned long long)d->head_dim);
	return 0;
}

/* What follows from which tensors there are. */
static int
read_kind(struct reading *r, struct loom_error *err)
{
	struct lm_decoder *d = &r->d;
	const struct lm_gguf_tensor *table = lm_gguf_tensor(r->g, "token_embd.weight");

	if (table == NULL || table->shape.rank != 2)
		return lm_fail(err, LOOM_EFORMAT, "tensor token_embd.weight is missing");
	d->vocab = table->shape.dim[0];
	d->tied = lm_gguf_tensor(r->g, "output.weight") == NULL;
	d->qkv_bias = lm_gguf_tensor(r->g, "blk.0.attn_q.bias") != NULL;
	d->out_bias = lm_gguf_tensor(r->g, "blk.0.attn_output.bias") != NULL;
	d->mlp_bias = lm_gguf_tensor(r->g, "blk.0.ffn_gate.bias") != NULL;
	d->family = strcmp(r->architecture, "qwen3") == 0 ? LM_QWEN3
	    : strcmp(r->architecture, "qwen2") == 0	  ? LM_QWEN2
							  : LM_LLAMA;
	d->norms = d->family == LM_QWEN3;
	r->turned = d->family == LM_LLAMA;
	return 0;
}

static int
all_ones(const float *v, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n && v[i] == 1; i++)
		continue;
	return i == n;
}

/* What frequencies are divided by. */
static int
read_factors(struct reading *r, struct loom_error *err)
{
	struct lm_gguf_tensor *t = lm_gguf_tensor(r->g, FACTORS);
	struct lm_shape want = { .rank = 1, .dim = { r->d.head_dim / 2 } };
	struct lm_view view;
	unsigned char *bytes;
	float *factors;

	if (t == NULL || r->d.family != LM_LLAMA)
		return 0;
	bytes = lm_arena_alloc(r->g->arena, (size_t)want.dim[0], 4, err);
	factors = lm_arena_alloc(r->g->arena, (size_t)want.dim[0], sizeof(*factors), err);
	if (bytes == NULL || factors == NULL || lm_gguf_view(t, &want, &view, err) < 0)
		return -1;
	if (t->dtype != lm_dtype_get(LM_F32) || t->quant != NULL)
		return lm_fail(err, LOOM_EFORMAT, "tensor %s is not F32", t->name);
	if (lm_view_read(&view, bytes, err) < 0)
		return -1;
	t->dtype->to_f32(factors, bytes, 0, (size_t)want.dim[0], 1);
	if (!all_ones(factors, want.dim[0]))
		r->d.factors = factors;
	return 0;
}

static int
read_numbers(struct reading *r, struct loom_error *err)
{
	uint64_t vocab;

	r->d.rope_base = 10000;
	if (check_keys(r->g, r->architecture, err) < 0 || read_extents(r, err) < 0 ||
	    read_head(r, err) < 0 || read_kind(r, err) < 0 ||
	    real(r, "attention.layer_norm_rms_epsilon", 1, &r->d.eps, err) < 0 ||
	    real(r, "rope.freq_base", 0, &r->d.rope_base, err) < 0)
		return -1;
	vocab = r->d.vocab;
	if (natural(r, "vocab_size", 0, &vocab, err) < 0)
		return -1;
	if (vocab != r->d.vocab)
		return lm_fail(err, LOOM_EFORMAT,
		    "%s.vocab_size is %llu, but token_embd.weight has %llu rows", r->architecture,
		    (unsigned long long)vocab, (unsigned long long)r->d.vocab);
	return lm_decoder_check(&r->d, err) < 0 ? -1 : read_factors(r, err);
}

/* From (pair, half) within each head to (half, pair). */
static void
turn_back(struct lm_view *view, uint64_t heads)
{
	static const unsigned order[] = { 0, 2, 1, 3 };
	uint64_t half = view->extent[0] / heads / 2;
	uint64_t extent[4] = { heads, half, 2, view->rank > 1 ? view->extent[1] : 1 };

	lm_view_reshape(view, 4, extent);
	lm_view_transpose(view, order);
}

static int
find(void *context, enum lm_decoder_role role, size_t layer, struct lm_view *view,
    const char **source, struct loom_error *err)
{
	const struct reading *r = context;
	char name[LM_DECODER_NAME];
	struct lm_gguf_tensor *t;
	struct lm_shape want;
	uint64_t heads = lm_decoder_heads(&r->d, role);

	t = lm_gguf_tensor(r->g, lm_decoder_name(name, LM_NAMES_GGUF, role, layer));
	if (t == NULL)
		return lm_fail(err, LOOM_EFORMAT, "tensor %s is missing", name);
	lm_decoder_shape(&r->d, role, &want);
	if (lm_gguf_view(t, &want, view, err) < 0)
		return -1;
	if (r->turned && heads > 0)
		turn_back(view, heads);
	*source = t->name;
	return 0;
}

/* ---- what is said beside the network ---- */

/* As the file says it. */
static json_t *
said_facts(const struct reading *r, struct loom_error *err)
{
	static const char *const keys[][2] = { { "tokenizer.ggml.bos_token_id", "bos_token_id" },
		{ "tokenizer.ggml.eos_token_id", "eos_token_id" },
		{ "tokenizer.ggml.padding_token_id", "pad_token_id" } };
	json_t *said = json_object(), *facts = NULL;
	const struct lm_gguf_value *v;
	size_t i;
	int status = said != NULL ? 0 : lm_fail(err, LOOM_ENOMEM, "no memory for JSON");

	for (i = 0; status == 0 && i < sizeof(keys) / sizeof(*keys); i++) {
		v = lm_gguf_find(r->g, keys[i][0]);
		if (v != NULL && (v->type == LM_GGUF_U32 || v->type == LM_GGUF_I32))
			status = lm_json_set(said, keys[i][1], json_integer(v->i), err);
	}
	if (status == 0)
		facts = lm_facts_of(said, r->d.context, err);
	json_decref(said);
	return facts;
}

/* What the model knew that the file was made of, if the file still says what was written then; or NULL. */
static int
known_facts(const struct reading *r, const json_t *said, json_t **before, struct loom_error *err)
{
	const struct lm_gguf_value *v = lm_gguf_find(r->g, FACTS);
	struct loom_error inner = { 0 };
	json_t *kept = NULL, *model;

	*before = NULL;
	if (v == NULL || v->type != LM_GGUF_STRING || r->model->how.blind)
		return 0;
	if (lm_json_parse(&kept, v->text, (size_t)v->n, &inner) < 0) {
		if (inner.code == LOOM_ENOMEM)
			*err = inner;
		return inner.code == LOOM_ENOMEM ? -1 : 0;
	}
	if (!json_equal(json_object_get(kept, "file"), said)) {
		json_decref(kept);
		return 0;
	}
	model = json_object_get(kept, "model");
	*before = lm_facts_of(model, lm_facts_positions(model), err);
	json_decref(kept);
	return *before != NULL ? 0 : -1;
}

static int
keep_facts(struct reading *r, struct loom_error *err)
{
	json_t *said = said_facts(r, err), *before;

	if (said == NULL)
		return -1;
	if (known_facts(r, said, &before, err) < 0) {
		json_decref(said);
		return -1;
	}
	if (before == NULL)
		return lm_facts_keep(r->model, said, err);
	json_decref(said);
	return lm_facts_keep(r->model, before, err);
}

/* Where the file says more than the model, what each says. */
static int
put_facts(struct lm_gguf_writing *w, const struct lm_decoder *d, struct loom_error *err)
{
	json_t *file = lm_facts_of(w->said, d->context, err), *model = lm_facts(w->e->model, err);
	json_t *both = json_object();
	struct lm_buf text;
	int r = file != NULL && model != NULL ? 0 : -1;

	lm_buf_init(&text, 1 << 16);
	if (r == 0 && !json_equal(file, model)) {
		r = lm_json_set(both, "file", json_incref(file), err);
		if (r == 0)
			r = lm_json_set(both, "model", json_incref(model), err);
		if (r == 0)
			r = lm_go_json(&text, both, err);
		if (r == 0)
			r = lm_gguf_put_text(w, FACTS, text.data, err);
	}
	lm_buf_release(&text);
	json_decref(both);
	json_decref(file);
	json_decref(model);
	return r;
}

/* ---- the whole way in ---- */

int
lm_gguf_read_decoder(struct loom_model *m, struct lm_gguf *g, const char *architecture,
    struct loom_error *err)
{
	struct reading r = { .model = m, .g = g, .architecture = architecture };
	char what[40];

	if (read_numbers(&r, err) < 0 || lm_decoder_build(m, &r.d, find, &r, err) < 0)
		return -1;
	(void)snprintf(what, sizeof(what), "a %s decoder", architecture);
	return lm_gguf_all_used(g, what, err) < 0 ? -1 : keep_facts(&r, err);
}

/* ---- writing ---- */

/* The architecture that takes such a decoder; NULL with a message. */
static const char *
architecture_of(const struct lm_decoder *d, struct loom_error *err)
{
	if (!d->norms)
		return d->family == LM_QWEN2 && d->factors == NULL ? "qwen2" : "llama";
	if (d->factors == NULL && !d->out_bias && !d->mlp_bias)
		return "qwen3";
	(void)lm_fail(err, LOOM_EUNSUPPORTED,
	    "GGUF has no architecture for norms of queries and keys together with %s",
	    d->factors != NULL ? "factors of rotary frequencies"
		: d->out_bias  ? "a bias behind the attention"
			       : "biases in the feed-forward layers");
	return NULL;
}

/* A number that stays what it is when a reader takes the shortest text of its binary32. */
static int
check_real(const char *what, double v, struct loom_error *err)
{
	char text[LM_TEXT_SIZE];
	double back;

	if (lm_text_parse(text, lm_text_f32(text, (float)v), &back) == 0 && back == v)
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED, "%s is %.17g, which GGUF would hold as %s", what, v,
	    text);
}

static int
put_natural(struct lm_gguf_writing *w, const char *architecture, const char *name, uint64_t value,
    struct loom_error *err)
{
	char key[LONGEST_KEY];

	return lm_gguf_put_u32(w, key_of(key, architecture, name), value, err);
}

static int
put_numbers(struct lm_gguf_writing *w, const struct lm_decoder *d, const char *a,
    struct loom_error *err)
{
	char key[LONGEST_KEY];

	if (put_natural(w, a, "context_length", d->context, err) < 0 ||
	    put_natural(w, a, "embedding_length", d->width, err) < 0 ||
	    put_natural(w, a, "block_count", d->layers, err) < 0 ||
	    put_natural(w, a, "feed_forward_length", d->hidden, err) < 0 ||
	    put_natural(w, a, "attention.head_count", d->heads, err) < 0 ||
	    put_natural(w, a, "attention.head_count_kv", d->kv_heads, err) < 0)
		return -1;
	if (put_natural(w, a, "attention.key_length", d->head_dim, err) < 0 ||
	    put_natural(w, a, "attention.value_length", d->head_dim, err) < 0 ||
	    put_natural(w, a, "rope.dimension_count", d->head_dim, err) < 0 ||
	    put_natural(w, a, "vocab_size", d->vocab, err) < 0)
		return -1;
	if (lm_gguf_put_f32(w, key_of(key, a, "attention.layer_norm_rms_epsilon"), d->eps, err) < 0)
		return -1;
	return lm_gguf_put_f32(w, key_of(key, a, "rope.freq_base"), d->rope_base, err);
}

/* From (half, pair) within each head to (pair, half). */
static void
turn(struct lm_view *order, uint64_t heads)
{
	static const unsigned axes[] = { 0, 2, 1, 3 };
	uint64_t half = order->extent[0] / heads / 2;
	uint64_t extent[4] = { heads, 2, half, order->rank > 1 ? order->extent[1] : 1 };

	lm_view_reshape(order, 4, extent);
	lm_view_transpose(order, axes);
}

static int
put_role(struct lm_gguf_writing *w, const struct lm_decoder *d, int turned,
    enum lm_decoder_role role, size_t layer, struct loom_error *err)
{
	const struct lm_decoder_place *at = lm_decoder_at(d, role, layer);
	uint64_t heads = lm_decoder_heads(d, role);
	char name[LM_DECODER_NAME];
	struct lm_strand *strand;
	struct lm_shape shape;

	lm_decoder_shape(d, role, &shape);
	strand = lm_gguf_put_slot(w, lm_decoder_name(name, LM_NAMES_GGUF, role, layer), at->node,
	    at->slot, &shape, err);
	if (strand == NULL)
		return -1;
	if (turned && heads > 0)
		turn(&strand->order, heads);
	return 0;
}

/* Roles of one kind, in the order of decoder.def. */
static int
put_roles(struct lm_gguf_writing *w, const struct lm_decoder *d, int turned, int in_blocks,
    size_t layer, struct loom_error *err)
{
	int role;

	for (role = 0; role < LM_ROLES; role++)
		if (lm_role_in_blocks(role) == in_blocks && lm_decoder_has(d, role) &&
		    put_role(w, d, turned, role, layer, err) < 0)
			return -1;
	return 0;
}

/* The first rotary's, which all share. */
static int
put_factors(struct lm_gguf_writing *w, const struct lm_decoder *d, struct loom_error *err)
{
	const struct loom_model *m = w->e->model;
	struct lm_shape shape = { .rank = 1, .dim = { d->head_dim / 2 } };
	size_t i;

	if (d->factors == NULL)
		return 0;
	for (i = 0; strcmp(m->nodes[i]->op->name, "rotary") != 0; i++)
		continue;
	return lm_gguf_put_slot(w, FACTORS, m->nodes[i], 0, &shape, err) != NULL ? 0 : -1;
}

static int
put_tensors(struct lm_gguf_writing *w, const struct lm_decoder *d, int turned,
    struct loom_error *err)
{
	size_t layer;

	if (lm_gguf_put_room(w, (size_t)(d->layers + 1) * LM_ROLES + 1, err) < 0 ||
	    put_roles(w, d, turned, 0, 0, err) < 0 || put_factors(w, d, err) < 0)
		return -1;
	for (layer = 0; layer < d->layers; layer++)
		if (put_roles(w, d, turned, 1, layer, err) < 0)
			return -1;
	return 0;
}

static int
settle_context(struct lm_gguf_writing *w, struct lm_decoder *d, struct loom_error *err)
{
	if (d->context == 0)
		d->context = lm_facts_context(w->e->model);
	if (d->context > 0)
		return 0;
	d->context = CONTEXT;
	return lm_buf_printf(w->e->notes, err,
	    "neither the model nor a config.json beside the tokenizer says how many positions the "
	    "network was made for: %d is written\n",
	    CONTEXT);
}

int
lm_gguf_export_decoder(struct lm_gguf_writing *w, const struct lm_decoder *found,
    struct loom_error *err)
{
	struct lm_decoder d = *found;
	const char *a = architecture_of(&d, err);

	if (a == NULL || check_real("eps of the norms", d.eps, err) < 0 ||
	    check_real("the base of the rotary frequencies", d.rope_base, err) < 0)
		return -1;
	if (w->e->options->tokenizer == NULL)
		return lm_fail(err, LOOM_EARG,
		    "a decoder needs its tokenizer in GGUF: --tokenizer with a tokenizer.json, or "
		    "the directory it is in");
	if (lm_gguf_put_general(w, a, err) < 0 ||
	    put_tensors(w, &d, strcmp(a, "llama") == 0, err) < 0 ||
	    lm_gguf_put_file_type(w, err) < 0 ||
	    lm_gguf_put_tokens(w, d.vocab, &d.context, err) < 0 || settle_context(w, &d, err) < 0 ||
	    put_facts(w, &d, err) < 0 || put_numbers(w, &d, a, err) < 0)
		return -1;
	return lm_gguf_write(w, err);
}
