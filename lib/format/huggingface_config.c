/* huggingface_config: the numbers of a decoder; what else in config.json counts is refused. */
#include <math.h>
#include <string.h>

#include "format/huggingface.h"

#define WHERE "config.json"

enum { MOST = 1 << 24, QWEN3_HEAD = 128, FIRST_WINDOW = 28, WINDOW = 4096 };

static const struct lm_huggingface_family families[] = {
	{ "llama", "LlamaForCausalLM", LM_LLAMA, 2048 },
	{ "mistral", "MistralForCausalLM", LM_MISTRAL, 131072 },
	{ "qwen2", "Qwen2ForCausalLM", LM_QWEN2, 32768 },
	{ "qwen3", "Qwen3ForCausalLM", LM_QWEN3, 32768 },
};

enum { FAMILIES = sizeof(families) / sizeof(*families) };

/* ---- what is refused ---- */

/* Keys that mean another network unless they are that; NAN: unless they are null, false or empty. */
static const struct neutral {
	const char *key;
	double is;
	const char *otherwise;
} neutral[] = {
	{ "quantization_config", NAN, "quantised weights" },
	{ "compression_config", NAN, "quantised weights" },
	{ "num_experts", 0, "a mixture of experts" },
	{ "num_local_experts", 0, "a mixture of experts" },
	{ "n_routed_experts", 0, "a mixture of experts" },
	{ "num_experts_per_tok", 0, "a mixture of experts" },
	{ "partial_rotary_factor", 1, "heads that turn in part" },
	{ "rotary_pct", 1, "heads that turn in part" },
	{ "rope_interleaved", 0, "neighbouring elements that turn together" },
	{ "no_rope_layers", NAN, "blocks without rotary positions" },
	{ "alibi", 0, "ALiBi" },
	{ "attention_multiplier", NAN, "a scale of its own in attention" },
	{ "query_pre_attn_scalar", NAN, "a scale of its own in attention" },
	{ "attn_logit_softcapping", 0, "capped scores" },
	{ "final_logit_softcapping", 0, "capped logits" },
	{ "logits_scaling", 1, "scaled logits" },
	{ "logit_scale", 1, "scaled logits" },
	{ "embedding_multiplier", 1, "scaled embeddings" },
	{ "residual_multiplier", 1, "scaled sums" },
	{ "is_causal", 1, "attention that is not causal" },
	{ "use_bidirectional_attention", 0, "attention that is not causal" },
	{ "is_encoder_decoder", 0, "an encoder" },
	{ "add_cross_attention", 0, "an encoder" },
};

static int
is_neutral(const struct neutral *n, const json_t *value)
{
	if (value == NULL || json_is_null(value))
		return 1;
	if (json_is_boolean(value))
		return isnan(n->is) ? !json_is_true(value) : (double)json_is_true(value) == n->is;
	if (json_is_number(value))
		return json_number_value(value) == n->is;
	return isnan(n->is) && !json_is_string(value) && json_array_size(value) == 0 &&
	    json_object_size(value) == 0;
}

static int
check_neutral(json_t *root, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < sizeof(neutral) / sizeof(*neutral); i++)
		if (!is_neutral(&neutral[i], json_object_get(root, neutral[i].key)))
			return lm_fail(err, LOOM_EUNSUPPORTED,
			    WHERE ": \"%s\" means %s, which is not read", neutral[i].key,
			    neutral[i].otherwise);
	return 0;
}

/* ---- which family ---- */

static int
check_architecture(const struct lm_huggingface_family *f, json_t *root, struct loom_error *err)
{
	json_t *list = NULL;
	const char *first;
	char shown[LM_SHOWN];

	if (lm_json_array(root, WHERE, "architectures", 0, &list, err) < 0)
		return -1;
	first = json_string_value(json_array_get(list, 0));
	if (list == NULL || (first != NULL && strcmp(first, f->architecture) == 0))
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    WHERE ": architecture %s is not read: of model_type %s, %s is",
	    first != NULL ? lm_shown(shown, first) : "without a name", f->model_type,
	    f->architecture);
}

static int
fail_family(const char *type, struct loom_error *err)
{
	char names[256] = "", shown[LM_SHOWN];
	size_t i, used = 0;

	for (i = 0; i < FAMILIES && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
		    i > 0 ? ", " : "", families[i].model_type);
	return lm_fail(err, LOOM_EUNSUPPORTED, WHERE ": model_type %s is not one that is read: %s",
	    lm_shown(shown, type), names);
}

static const struct lm_huggingface_family *
read_family(json_t *root, struct loom_error *err)
{
	const char *type = NULL, *act = "silu";
	char shown[LM_SHOWN];
	size_t i;

	if (lm_json_string(root, WHERE, "model_type", 1, &type, err) < 0 ||
	    lm_json_string(root, WHERE, "hidden_act", 0, &act, err) < 0)
		return NULL;
	for (i = 0; i < FAMILIES && strcmp(families[i].model_type, type) != 0; i++)
		continue;
	if (i == FAMILIES) {
		(void)fail_family(type, err);
		return NULL;
	}
	if (strcmp(act, "silu") != 0) {
		(void)lm_fail(err, LOOM_EUNSUPPORTED, WHERE ": \"hidden_act\" is %s, expected silu",
		    lm_shown(shown, act));
		return NULL;
	}
	return check_architecture(&families[i], root, err) < 0 ? NULL : &families[i];
}

/* ---- numbers ---- */

static int
natural(json_t *root, const char *key, int need, int64_t most, uint64_t *out,
    struct loom_error *err)
{
	int64_t value = (int64_t)*out;
	int r = lm_json_integer(root, WHERE, key, need, 1, most, &value, err);

	*out = (uint64_t)value;
	return r;
}

static int
read_extents(struct lm_decoder *d, json_t *root, struct loom_error *err)
{
	if (natural(root, "vocab_size", 1, INT32_MAX, &d->vocab, err) < 0 ||
	    natural(root, "hidden_size", 1, MOST, &d->width, err) < 0 ||
	    natural(root, "intermediate_size", 1, MOST, &d->hidden, err) < 0 ||
	    natural(root, "num_hidden_layers", 1, MOST, &d->layers, err) < 0 ||
	    natural(root, "num_attention_heads", 1, MOST, &d->heads, err) < 0)
		return -1;
	d->kv_heads = d->heads;
	if (natural(root, "num_key_value_heads", 0, MOST, &d->kv_heads, err) < 0)
		return -1;
	return natural(root, "max_position_embeddings", 0, INT32_MAX, &d->context, err) < 0 ? -1
											    : 0;
}

static int
read_head(struct lm_decoder *d, json_t *root, struct loom_error *err)
{
	int said = natural(root, "head_dim", 0, MOST, &d->head_dim, err);

	if (said != 0)
		return said < 0 ? -1 : 0;
	if (d->family == LM_QWEN3) {
		d->head_dim = QWEN3_HEAD;
		return 0;
	}
	if (d->width % d->heads != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    WHERE ": \"hidden_size\" is %llu, expected a multiple of the %llu heads, or "
			  "\"head_dim\"",
		    (unsigned long long)d->width, (unsigned long long)d->heads);
	d->head_dim = d->width / d->heads;
	return 0;
}

/* Only Llama and Qwen3 look at these; the others have what they have. */
static int
read_biases(struct lm_decoder *d, json_t *root, struct loom_error *err)
{
	int attention = 0, mlp = 0;

	if (lm_json_flag(root, WHERE, "attention_bias", 0, &attention, err) < 0 ||
	    lm_json_flag(root, WHERE, "mlp_bias", 0, &mlp, err) < 0)
		return -1;
	if (d->family == LM_LLAMA || d->family == LM_QWEN3)
		d->qkv_bias = d->out_bias = attention;
	if (d->family == LM_LLAMA)
		d->mlp_bias = mlp;
	if (d->family == LM_QWEN2)
		d->qkv_bias = 1;
	d->norms = d->family == LM_QWEN3;
	return 0;
}

/* ---- windows ---- */

static int
no_window(const struct lm_decoder *d, int64_t window, struct loom_error *err)
{
	if (d->context <= (uint64_t)window)
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    WHERE
	    ": \"sliding_window\" is %lld, less than the %llu of \"max_position_embeddings\": "
	    "attention within a window is not read",
	    (long long)window, (unsigned long long)d->context);
}

/* Is one of the layers not what the others are? */
static int
read_layer_types(json_t *root, int *slides, struct loom_error *err)
{
	json_t *list = NULL, *item;
	const char *type;
	char shown[LM_SHOWN];
	size_t i;
	int said = lm_json_array(root, WHERE, "layer_types", 0, &list, err);

	if (said <= 0)
		return said;
	*slides = 0;
	json_array_foreach(list, i, item) {
		type = json_string_value(item);
		if (type != NULL && strcmp(type, "sliding_attention") == 0)
			*slides = 1;
		else if (type == NULL || strcmp(type, "full_attention") != 0)
			return lm_fail(err, LOOM_EUNSUPPORTED,
			    WHERE ": \"layer_types\" has %s, which is not read: full_attention is",
			    type != NULL ? lm_shown(shown, type) : lm_json_type(item));
	}
	return 1;
}

/* A window that no sequence exceeds changes nothing. */
static int
check_window(const struct lm_decoder *d, json_t *root, struct loom_error *err)
{
	int qwen = d->family == LM_QWEN2 || d->family == LM_QWEN3, used = 0, slides = 1;
	int64_t window = d->family == LM_LLAMA ? 0 : WINDOW, first = FIRST_WINDOW;
	json_t *value = json_object_get(root, "sliding_window");

	if (lm_json_integer(root, WHERE, "sliding_window", 0, 0, INT32_MAX, &window, err) < 0 ||
	    lm_json_flag(root, WHERE, "use_sliding_window", 0, &used, err) < 0 ||
	    lm_json_integer(root, WHERE, "max_window_layers", 0, 0, INT32_MAX, &first, err) < 0)
		return -1;
	if (qwen)
		slides = used && (uint64_t)first < d->layers;
	if (read_layer_types(root, &slides, err) < 0)
		return -1;
	if (value != NULL && json_is_null(value))
		window = 0;
	return slides && window > 0 ? no_window(d, window, err) : 0;
}

/* ---- the whole ---- */

static int
read_numbers(struct lm_decoder *d, int *tied, json_t *root, struct lm_arena *arena,
    struct loom_error *err)
{
	struct loom_error inner = { 0 };

	d->eps = 1e-6;
	*tied = -1;
	if (read_extents(d, root, err) < 0 || read_head(d, root, err) < 0 ||
	    read_biases(d, root, err) < 0 || check_window(d, root, err) < 0 ||
	    lm_json_real(root, WHERE, "rms_norm_eps", 0, &d->eps, err) < 0 ||
	    lm_json_flag(root, WHERE, "tie_word_embeddings", 0, tied, err) < 0)
		return -1;
	d->rope_base = 1;
	if (lm_decoder_check(d, &inner) < 0)
		return lm_fail(err, inner.code, WHERE ": %s", inner.text);
	if (lm_huggingface_read_rope(d, root, arena, err) < 0)
		return -1;
	if (lm_decoder_check(d, &inner) < 0)
		return lm_fail(err, inner.code, WHERE ": %s", inner.text);
	return 0;
}

int
lm_huggingface_config(struct lm_decoder *d, int *tied, json_t *root, struct lm_arena *arena,
    struct loom_error *err)
{
	const struct lm_huggingface_family *f;

	if (!json_is_object(root))
		return lm_fail(err, LOOM_EFORMAT, WHERE ": is %s, not an object",
		    lm_json_type(root));
	f = read_family(root, err);
	if (f == NULL || check_neutral(root, err) < 0)
		return -1;
	memset(d, 0, sizeof(*d));
	d->family = f->family;
	d->context = f->context;
	return read_numbers(d, tied, root, arena, err);
}

/* ---- the way back ---- */

/* Llama has biases everywhere in attention or nowhere, and as many heads as divide its width. */
static int
fits(const struct lm_decoder *d, enum lm_decoder_family family)
{
	switch (family) {
	case LM_LLAMA:
		return !d->norms && d->qkv_bias == d->out_bias && d->width % d->heads == 0;
	case LM_MISTRAL:
		return !d->norms && !d->qkv_bias && !d->out_bias && !d->mlp_bias;
	case LM_QWEN2:
		return !d->norms && d->qkv_bias && !d->out_bias && !d->mlp_bias;
	default:
		return d->norms && d->qkv_bias == d->out_bias && !d->mlp_bias;
	}
}

const struct lm_huggingface_family *
lm_huggingface_family(const struct lm_decoder *d, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < FAMILIES; i++)
		if (fits(d, families[i].family))
			return &families[i];
	(void)lm_fail(err, LOOM_EUNSUPPORTED,
	    "no model of transformers has%s%s%s%s together: those that are written are llama, mistral, "
	    "qwen2 and qwen3",
	    d->norms ? " norms of queries and keys," : " no norms of queries and keys,",
	    d->qkv_bias ? " biases of queries, keys and values," : "",
	    d->out_bias ? " a bias behind attention," : "",
	    d->mlp_bias ? " biases in the feed-forward layers," : "");
	return NULL;
}
