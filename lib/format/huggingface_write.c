/* huggingface_write: config.json, weights in one file or in shards, and the tokenizer's files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/entity.h"
#include "format/facts.h"
#include "format/flat.h"
#include "format/gguf_tokenizer.h"
#include "format/gotext.h"
#include "format/huggingface.h"
#include "format/quote.h"
#include "num/text.h"

enum { CONTEXT = 2048, PIECE = 1 << 16, LONGEST_NAME = 64 };

static const uint64_t most_bytes = 5000000000; /* of tensors in a file, as save_pretrained has it */

struct writing {
	struct lm_export *e;
	struct lm_decoder d;
	const struct lm_huggingface_family *family;
	struct lm_huggingface_rope rope;
	const struct lm_dtype *dtype; /* that is asked for, or NULL */
	struct lm_tokenizer files;
	int tokenizer; /* there is one */
	struct lm_flat tensors;
	uint64_t most;
};

/* ---- config.json ---- */

/* Python takes a number for real if there is a point or an exponent in it. */
static int
put_real(struct lm_buf *b, double v, struct loom_error *err)
{
	char text[LM_TEXT_SIZE];

	(void)lm_text_f64(text, v);
	return lm_buf_printf(b, err, "%s%s", text, strpbrk(text, ".e") == NULL ? ".0" : "");
}

static int
put_key_real(struct lm_buf *b, const char *key, double v, struct loom_error *err)
{
	if (lm_buf_printf(b, err, "  \"%s\": ", key) < 0 || put_real(b, v, err) < 0)
		return -1;
	return lm_buf_str(b, ",\n", err);
}

static int
put_natural(struct lm_buf *b, const char *key, uint64_t v, struct loom_error *err)
{
	return lm_buf_printf(b, err, "  \"%s\": %llu,\n", key, (unsigned long long)v);
}

static int
put_flag(struct lm_buf *b, const char *key, int v, struct loom_error *err)
{
	return lm_buf_printf(b, err, "  \"%s\": %s,\n", key, v ? "true" : "false");
}

/* What the files beside the tokenizer, or the model, say of a special token, borrowed; NULL: nothing. */
static json_t *
special(const struct writing *w, const char *name)
{
	json_t *text = json_object_get(w->files.config, name), *list, *item, *found;
	char key[32];
	size_t i;

	(void)snprintf(key, sizeof(key), "%s_id", name);
	found = json_object_get(w->files.generation, key);
	if (found == NULL || json_is_null(found))
		found = json_object_get(w->files.model_config, key);
	if (found != NULL && !json_is_null(found))
		return found;
	if (json_is_object(text))
		text = json_object_get(text, "content");
	list = json_object_get(w->files.root, "added_tokens");
	json_array_foreach(list, i, item)
		if (json_is_string(text) && json_equal(json_object_get(item, "content"), text))
			return json_object_get(item, "id");
	return lm_facts_token(w->e->model, name);
}

/* Of padding, which transformers wants to be a row of the table. */
static int
put_padding(struct lm_buf *b, const struct writing *w, struct loom_error *err)
{
	const json_t *id = special(w, "pad_token");

	if (!json_is_integer(id) || json_integer_value(id) < 0 ||
	    (uint64_t)json_integer_value(id) >= w->d.vocab)
		return 0;
	return put_natural(b, "pad_token_id", (uint64_t)json_integer_value(id), err);
}

/* null where it is not known: a model of the Llama family would take 1 and 2 for them. */
static int
put_special(struct lm_buf *b, const struct writing *w, const char *name, struct loom_error *err)
{
	json_t *id = special(w, name);

	if (lm_buf_printf(b, err, "  \"%s_id\": ", name) < 0 ||
	    (id != NULL ? lm_go_json(b, id, err) : lm_buf_str(b, "null", err)) < 0)
		return -1;
	return lm_buf_str(b, ",\n", err);
}

static int
put_member(struct lm_buf *b, const char *key, double v, struct loom_error *err)
{
	return lm_buf_printf(b, err, "    \"%s\": ", key) < 0 || put_real(b, v, err) < 0 ||
		lm_buf_str(b, ",\n", err) < 0
	    ? -1
	    : 0;
}

static int
put_factors(struct lm_buf *b, const char *key, const struct lm_decoder *d, struct loom_error *err)
{
	char text[LM_TEXT_SIZE];
	uint64_t i;

	if (lm_buf_printf(b, err, "    \"%s\": [", key) < 0)
		return -1;
	for (i = 0; i < d->head_dim / 2; i++) {
		(void)lm_text_f32(text, d->factors[i]);
		if (lm_buf_printf(b, err, "%s%s%s", i > 0 ? ", " : "", text,
			strpbrk(text, ".e") == NULL ? ".0" : "") < 0)
			return -1;
	}
	return lm_buf_str(b, "],\n", err);
}

static int
put_llama3(struct lm_buf *b, const struct lm_huggingface_rope *rope, struct loom_error *err)
{
	if (put_member(b, "factor", rope->factor, err) < 0 ||
	    put_member(b, "high_freq_factor", rope->high, err) < 0 ||
	    put_member(b, "low_freq_factor", rope->low, err) < 0)
		return -1;
	return lm_buf_printf(b, err, "    \"original_max_position_embeddings\": %llu,\n",
	    (unsigned long long)rope->original);
}

static int
put_listed(struct lm_buf *b, const struct lm_decoder *d, struct loom_error *err)
{
	if (put_member(b, "attention_factor", 1, err) < 0 ||
	    put_factors(b, "long_factor", d, err) < 0)
		return -1;
	if (lm_buf_printf(b, err, "    \"original_max_position_embeddings\": %llu,\n",
		(unsigned long long)d->context) < 0)
		return -1;
	return put_factors(b, "short_factor", d, err);
}

/* Of transformers 5, or with another key of 4, which wants none where nothing is scaled. */
static int
put_rope(struct lm_buf *b, const struct writing *w, const char *key, struct loom_error *err)
{
	static const char *const types[] = { "default", "llama3", "longrope" };
	int r = lm_buf_printf(b, err, "  \"%s\": {\n", key);

	if (r == 0 && w->rope.type == LM_ROPE_LLAMA3)
		r = put_llama3(b, &w->rope, err);
	else if (r == 0 && w->rope.type == LM_ROPE_LISTED)
		r = put_listed(b, &w->d, err);
	if (r < 0 || put_member(b, "rope_theta", w->d.rope_base, err) < 0)
		return -1;
	return lm_buf_printf(b, err, "    \"rope_type\": \"%s\"\n  },\n", types[w->rope.type]);
}

static const char *
dtype_name(const struct writing *w)
{
	return w->dtype != NULL ? w->dtype->name : "float32";
}

static int
put_first_half(struct lm_buf *b, const struct writing *w, struct loom_error *err)
{
	const struct lm_decoder *d = &w->d;

	if (lm_buf_printf(b, err, "{\n  \"architectures\": [\n    \"%s\"\n  ],\n",
		w->family->architecture) < 0 ||
	    put_flag(b, "attention_bias", d->qkv_bias, err) < 0 ||
	    put_key_real(b, "attention_dropout", 0, err) < 0 ||
	    put_special(b, w, "bos_token", err) < 0 ||
	    lm_buf_printf(b, err, "  \"dtype\": \"%s\",\n", dtype_name(w)) < 0 ||
	    put_special(b, w, "eos_token", err) < 0 ||
	    put_natural(b, "head_dim", d->head_dim, err) < 0)
		return -1;
	if (lm_buf_str(b, "  \"hidden_act\": \"silu\",\n", err) < 0 ||
	    put_natural(b, "hidden_size", d->width, err) < 0 ||
	    put_natural(b, "intermediate_size", d->hidden, err) < 0 ||
	    put_natural(b, "max_position_embeddings", d->context, err) < 0)
		return -1;
	return put_flag(b, "mlp_bias", d->mlp_bias, err);
}

static int
put_second_half(struct lm_buf *b, const struct writing *w, struct loom_error *err)
{
	const struct lm_decoder *d = &w->d;

	if (lm_buf_printf(b, err, "  \"model_type\": \"%s\",\n", w->family->model_type) < 0 ||
	    put_natural(b, "num_attention_heads", d->heads, err) < 0 ||
	    put_natural(b, "num_hidden_layers", d->layers, err) < 0 ||
	    put_natural(b, "num_key_value_heads", d->kv_heads, err) < 0 ||
	    put_padding(b, w, err) < 0 || put_key_real(b, "rms_norm_eps", d->eps, err) < 0 ||
	    put_rope(b, w, "rope_parameters", err) < 0)
		return -1;
	if (w->rope.type != LM_ROPE_DEFAULT && put_rope(b, w, "rope_scaling", err) < 0)
		return -1;
	if (put_key_real(b, "rope_theta", d->rope_base, err) < 0 ||
	    (w->family->family != LM_LLAMA &&
		lm_buf_str(b, "  \"sliding_window\": null,\n", err) < 0) ||
	    put_flag(b, "tie_word_embeddings", d->tied, err) < 0 ||
	    lm_buf_printf(b, err, "  \"torch_dtype\": \"%s\",\n", dtype_name(w)) < 0)
		return -1;
	return lm_buf_printf(b, err, "  \"use_cache\": true,\n  \"vocab_size\": %llu\n}\n",
	    (unsigned long long)d->vocab);
}

/* ---- files ---- */

static int
put_file(struct writing *w, const char *name, const void *bytes, size_t n, struct loom_error *err)
{
	struct lm_sink *sink;
	int r;

	if (lm_place_file(w->e->place, name, &sink, err) < 0)
		return -1;
	r = lm_sink_write(sink, bytes, n, err);
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_sink_free(sink);
	return r;
}

static int
write_config(struct writing *w, struct loom_error *err)
{
	struct lm_buf text;
	int r;

	lm_buf_init(&text, SIZE_MAX / 4);
	r = put_first_half(&text, w, err);
	if (r == 0)
		r = put_second_half(&text, w, err);
	if (r == 0)
		r = put_file(w, LM_HUGGINGFACE_CONFIG, text.data, text.len, err);
	lm_buf_release(&text);
	return r;
}

/* What stops a generation, where no file beside the tokenizer says more of it. */
static int
write_generation(struct writing *w, struct loom_error *err)
{
	json_t *eos = special(w, "eos_token"), *bos = special(w, "bos_token");
	struct lm_buf text;
	int r;

	if (w->files.generation != NULL || eos == NULL)
		return 0;
	lm_buf_init(&text, SIZE_MAX / 4);
	r = lm_buf_str(&text, "{\n", err);
	if (r == 0 && bos != NULL)
		r = put_special(&text, w, "bos_token", err);
	if (r == 0)
		r = lm_buf_str(&text, "  \"eos_token_id\": ", err);
	if (r == 0)
		r = lm_go_json(&text, eos, err);
	if (r == 0)
		r = lm_buf_str(&text, "\n}\n", err);
	if (r == 0)
		r = put_file(w, "generation_config.json", text.data, text.len, err);
	lm_buf_release(&text);
	return r;
}

static int
copy_source(struct writing *w, struct lm_source *from, const char *name, struct loom_error *err)
{
	unsigned char piece[PIECE];
	struct lm_sink *sink;
	size_t got = 1;
	int r = 0;

	if (lm_place_file(w->e->place, name, &sink, err) < 0)
		return -1;
	while (r == 0 && got > 0) {
		r = lm_source_some(from, piece, sizeof(piece), &got, err);
		if (r == 0)
			r = lm_sink_write(sink, piece, got, err);
	}
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_sink_free(sink);
	return r;
}

/* If it is there. */
static int
copy_file(struct writing *w, const char *name, struct loom_error *err)
{
	struct loom_error inner = { 0 };
	const char *slash = strrchr(w->files.path, '/');
	char path[LM_GGUF_PATH + LONGEST_NAME];
	struct lm_source *from;
	int r;

	(void)snprintf(path, sizeof(path), "%.*s%s",
	    slash != NULL ? (int)(slash - w->files.path) + 1 : 0, w->files.path, name);
	if (lm_source_open(&from, strcmp(name, "tokenizer.json") == 0 ? w->files.path : path,
		&inner) < 0)
		return inner.code == LOOM_EIO && inner.sys == ENOENT ? 0 : (*err = inner, -1);
	r = copy_source(w, from, name, err);
	lm_source_free(from);
	return r;
}

static int
copy_tokenizer(struct writing *w, struct loom_error *err)
{
	static const char *const names[] = { "tokenizer.json", "tokenizer_config.json",
		"special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
		"tokenizer.model", "chat_template.jinja", "generation_config.json" };
	size_t i;

	if (!w->tokenizer)
		return 0;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (copy_file(w, names[i], err) < 0)
			return -1;
	return write_generation(w, err);
}

/* ---- weights ---- */

static int
plan_role(struct writing *w, enum lm_decoder_role role, size_t layer, struct loom_error *err)
{
	const struct lm_decoder_place *at = lm_decoder_at(&w->d, role, layer);
	struct lm_outgoing *t = &w->tensors.tensors[w->tensors.n];
	char name[LM_DECODER_NAME];
	const char *kept;

	(void)lm_decoder_name(name, LM_NAMES_HF, role, layer);
	kept = lm_arena_string(w->e->arena, name, err);
	if (kept == NULL || lm_outgoing_slot(t, w->e->arena, kept, at->node, at->slot, err) < 0)
		return -1;
	w->tensors.n++;
	if (w->dtype == NULL || t->dtype != lm_dtype_get(LM_F32))
		return 0;
	return lm_outgoing_as(t, w->dtype, NULL, err);
}

static int
by_name(const void *a, const void *b)
{
	const struct lm_outgoing *x = a, *y = b;

	if (x->dtype->bits != y->dtype->bits)
		return x->dtype->bits > y->dtype->bits ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
plan_tensors(struct writing *w, struct loom_error *err)
{
	size_t layer, layers;
	int role;

	w->tensors.tensors = lm_arena_alloc(w->e->arena, ((size_t)w->d.layers + 1) * LM_ROLES,
	    sizeof(*w->tensors.tensors), err);
	if (w->tensors.tensors == NULL)
		return -1;
	for (role = 0; role < LM_ROLES; role++) {
		if (!lm_decoder_has(&w->d, role))
			continue;
		layers = lm_role_in_blocks(role) ? (size_t)w->d.layers : 1;
		for (layer = 0; layer < layers; layer++)
			if (plan_role(w, role, layer, err) < 0)
				return -1;
	}
	qsort(w->tensors.tensors, w->tensors.n, sizeof(*w->tensors.tensors), by_name);
	return lm_entity_text(w->e->model, &w->tensors.checkpoint, err);
}

/* How many tensors from first on a file takes. */
static size_t
shard(const struct writing *w, size_t first)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = first; i < w->tensors.n; i++) {
		if (i > first && w->tensors.tensors[i].bytes > w->most - bytes)
			break;
		bytes += w->tensors.tensors[i].bytes;
		if (bytes > w->most)
			bytes = w->most;
	}
	return i - first;
}

/* The header of the checkpoint stands in the first. */
static int
write_shard(struct writing *w, const char *name, size_t first, size_t n, struct loom_error *err)
{
	struct lm_flat part = { .tensors = w->tensors.tensors + first, .n = n };
	struct lm_sink *sink;
	int r;

	if (first == 0)
		part.checkpoint = w->tensors.checkpoint;
	if (lm_place_file(w->e->place, name, &sink, err) < 0)
		return -1;
	r = lm_safetensors_write(sink, &part, w->e, err);
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_sink_free(sink);
	return r;
}

struct entry {
	const char *tensor;
	size_t shard;
};

static int
by_tensor(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->tensor, ((const struct entry *)b)->tensor);
}

static const char *
shard_name(char dst[LONGEST_NAME], size_t i, size_t n)
{
	(void)snprintf(dst, LONGEST_NAME, "model-%05zu-of-%05zu.safetensors", i + 1, n);
	return dst;
}

static int
put_index(struct lm_buf *b, const struct writing *w, const struct entry *entries, size_t shards,
    struct loom_error *err)
{
	char name[LONGEST_NAME];
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < w->tensors.n; i++)
		total += w->tensors.tensors[i].bytes;
	if (lm_buf_printf(b, err,
		"{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n  \"weight_map\": {\n",
		(unsigned long long)total) < 0)
		return -1;
	for (i = 0; i < w->tensors.n; i++)
		if (lm_buf_printf(b, err, "    \"%s\": \"%s\"%s\n", entries[i].tensor,
			shard_name(name, entries[i].shard, shards),
			i + 1 < w->tensors.n ? "," : "") < 0)
			return -1;
	return lm_buf_str(b, "  }\n}\n", err);
}

static int
write_shards(struct writing *w, size_t shards, struct loom_error *err)
{
	struct entry *entries = lm_arena_alloc(w->e->arena, w->tensors.n, sizeof(*entries), err);
	char name[LONGEST_NAME];
	struct lm_buf text;
	size_t i, k, first = 0, n;
	int r;

	if (entries == NULL)
		return -1;
	for (i = 0; i < shards; i++, first += n) {
		n = shard(w, first);
		if (write_shard(w, shard_name(name, i, shards), first, n, err) < 0)
			return -1;
		for (k = first; k < first + n; k++)
			entries[k] = (struct entry){ w->tensors.tensors[k].name, i };
	}
	qsort(entries, w->tensors.n, sizeof(*entries), by_tensor);
	lm_buf_init(&text, SIZE_MAX / 4);
	r = put_index(&text, w, entries, shards, err);
	if (r == 0)
		r = put_file(w, LM_HUGGINGFACE_INDEX, text.data, text.len, err);
	lm_buf_release(&text);
	return r;
}

static int
write_weights(struct writing *w, struct loom_error *err)
{
	size_t shards = 0, first;

	if (plan_tensors(w, err) < 0)
		return -1;
	for (first = 0; first < w->tensors.n; first += shard(w, first))
		shards++;
	return shards == 1 ? write_shard(w, LM_HUGGINGFACE_WEIGHTS, 0, w->tensors.n, err)
			   : write_shards(w, shards, err);
}

/* ---- the whole ---- */

/* How many positions it was made for stands in no network. */
static int
settle_context(struct writing *w, struct loom_error *err)
{
	json_t *said = json_object_get(w->files.model_config, "max_position_embeddings");

	if (json_is_integer(said) && json_integer_value(said) > 0) {
		w->d.context = (uint64_t)json_integer_value(said);
		return 0;
	}
	w->d.context = lm_facts_context(w->e->model);
	if (w->d.context > 0)
		return 0;
	w->d.context = CONTEXT;
	if (w->rope.type == LM_ROPE_LLAMA3)
		w->d.context = (uint64_t)((double)w->rope.original * w->rope.factor);
	return lm_buf_printf(w->e->notes, err,
	    "neither the model nor a config.json beside a tokenizer says how many positions the network "
	    "was made for: %llu is written\n",
	    (unsigned long long)w->d.context);
}

static int
prepare(struct writing *w, struct loom_error *err)
{
	struct lm_export *e = w->e;
	const char *why;
	int is = lm_decoder_match(e->model, &w->d, e->arena, &why, err);

	if (is < 0)
		return -1;
	if (is == 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "is no decoder that such a directory could hold: %s; one of transformers leaves by "
		    "way of its own: save_pretrained, then loom-import DIRECTORY",
		    why);
	w->family = lm_huggingface_family(&w->d, err);
	if (w->family == NULL || lm_flat_dtype(e, 1, &w->dtype, err) < 0 ||
	    lm_huggingface_find_rope(&w->rope, &w->d, e->arena, err) < 0)
		return -1;
	if (e->options->tokenizer != NULL) {
		if (lm_tokenizer_open(&w->files, e->options->tokenizer, err) < 0)
			return -1;
		w->tokenizer = 1;
	}
	return settle_context(w, err);
}

int
lm_huggingface_write(struct lm_export *e, uint64_t most, struct loom_error *err)
{
	struct writing w = { .e = e, .most = most };
	int r;

	lm_buf_init(&w.tensors.topology, SIZE_MAX / 4);
	lm_buf_init(&w.tensors.checkpoint, SIZE_MAX / 4);
	r = prepare(&w, err);
	if (r == 0)
		r = write_config(&w, err);
	if (r == 0)
		r = copy_tokenizer(&w, err);
	if (r == 0)
		r = write_weights(&w, err);
	lm_tokenizer_release(&w.files);
	lm_flat_release(&w.tensors);
	return r;
}

int
lm_huggingface_export(struct lm_export *e, struct loom_error *err)
{
	return lm_huggingface_write(e, most_bytes, err);
}
