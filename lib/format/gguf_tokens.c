/*
 * gguf_tokens: a byte-level BPE tokenizer of Hugging Face as GGUF's keys.  Tokens keep the spelling
 * in which each byte is a character; numbers that no token has are filled up to the network's
 * vocabulary.
 */
#include "format/facts.h"
#include "format/gguf_tokenizer.h"

#include <string.h>

enum kind { NORMAL = 1, CONTROL = 3, USER = 4, UNUSED = 5 }; /* llama.cpp's */

struct token {
	const char *text; /* the JSON's; NULL: there is none */
	enum kind kind;
};

struct tokens {
	struct lm_gguf_writing *w;
	struct lm_tokenizer files;
	struct lm_arena arena;
	struct token *token;
	uint64_t n;
	struct lm_names names;
};

/* ---- the vocabulary ---- */

static int
put_token(struct tokens *t, const char *text, const json_t *id, enum kind kind,
    struct loom_error *err)
{
	char shown[LM_SHOWN];
	json_int_t i = json_integer_value(id);
	struct token *token;

	if (!json_is_integer(id) || i < 0)
		return lm_fail(err, LOOM_EFORMAT, "tokenizer.json: the id of token %s is %s",
		    lm_shown(shown, text), json_is_integer(id) ? "negative" : lm_json_type(id));
	if ((uint64_t)i >= t->n)
		return lm_fail(err, LOOM_ESHAPE,
		    "tokenizer.json: token %s has id %lld, but the network's vocabulary has %llu",
		    lm_shown(shown, text), (long long)i, (unsigned long long)t->n);
	token = &t->token[i];
	if (token->text != NULL && strcmp(token->text, text) != 0)
		return lm_fail(err, LOOM_EFORMAT, "tokenizer.json: two tokens have id %lld",
		    (long long)i);
	token->kind = kind;
	if (token->text != NULL)
		return 0;
	token->text = text;
	if (lm_names_find(&t->names, text) != LM_NO_NAME)
		return lm_fail(err, LOOM_EFORMAT, "tokenizer.json: token %s has two ids",
		    lm_shown(shown, text));
	return lm_names_add(&t->names, &t->arena, text, (size_t)i, err);
}

static int
put_added(struct tokens *t, struct loom_error *err)
{
	json_t *list = json_object_get(t->files.root, "added_tokens"), *item;
	const char *text;
	size_t i;

	json_array_foreach(list, i, item) {
		text = json_string_value(json_object_get(item, "content"));
		if (text == NULL)
			return lm_fail(err, LOOM_EFORMAT,
			    "tokenizer.json: added token %zu has no content", i);
		if (put_token(t, text, json_object_get(item, "id"),
			json_is_true(json_object_get(item, "special")) ? CONTROL : USER, err) < 0)
			return -1;
	}
	return 0;
}

/* What llama.cpp does with such a vocabulary, it does with a byte-level BPE alone. */
static int
check_model(json_t *model, struct loom_error *err)
{
	const char *type = NULL;
	int fallback = 0;

	if (lm_json_string(model, "tokenizer.json: model", "type", 1, &type, err) < 0 ||
	    lm_json_flag(model, "tokenizer.json: model", "byte_fallback", 0, &fallback, err) < 0)
		return -1;
	if (strcmp(type, "BPE") == 0 && !fallback)
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "tokenizer.json: its model is %.40s%s, which does not go into GGUF here: byte-level "
	    "BPE does",
	    type, fallback ? " with byte_fallback" : "");
}

/* llama.cpp leaves text as it is; NFC it leaves out as well, as its own converter has it. */
static int
check_normalizer(const struct lm_tokenizer *f, struct loom_error *err)
{
	json_t *normalizer = json_object_get(f->root, "normalizer");
	const char *type = json_string_value(json_object_get(normalizer, "type"));
	char shown[LM_SHOWN];

	if (normalizer == NULL || json_is_null(normalizer) ||
	    (type != NULL && strcmp(type, "NFC") == 0))
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "tokenizer.json: its normalizer %s has no counterpart in GGUF",
	    lm_shown(shown, type != NULL ? type : "without a type"));
}

static int
read_tokens(struct tokens *t, struct loom_error *err)
{
	json_t *model = NULL, *vocab = NULL, *id;
	const char *text;

	if (lm_json_object(t->files.root, "tokenizer.json", "model", 1, &model, err) < 0 ||
	    check_model(model, err) < 0 || check_normalizer(&t->files, err) < 0 ||
	    lm_json_object(model, "tokenizer.json: model", "vocab", 1, &vocab, err) < 0)
		return -1;
	t->token = lm_arena_alloc(&t->arena, (size_t)t->n, sizeof(*t->token), err);
	if (t->token == NULL)
		return -1;
	json_object_foreach(vocab, text, id)
		if (put_token(t, text, id, NORMAL, err) < 0)
			return -1;
	return put_added(t, err);
}

static int
write_tokens(struct tokens *t, struct loom_error *err)
{
	char fill[32];
	uint64_t i;

	if (lm_gguf_put_array(t->w, "tokenizer.ggml.tokens", LM_GGUF_STRING, t->n, err) < 0)
		return -1;
	for (i = 0; i < t->n; i++) {
		(void)snprintf(fill, sizeof(fill), "[PAD%llu]", (unsigned long long)i);
		if (lm_gguf_put_element_text(t->w,
			t->token[i].text != NULL ? t->token[i].text : fill, err) < 0)
			return -1;
	}
	if (lm_gguf_put_array(t->w, "tokenizer.ggml.token_type", LM_GGUF_I32, t->n, err) < 0)
		return -1;
	for (i = 0; i < t->n; i++)
		if (lm_gguf_put_element_i32(t->w,
			t->token[i].text != NULL ? (int32_t)t->token[i].kind : UNUSED, err) < 0)
			return -1;
	return 0;
}

/* ---- merges ---- */

/* "a b", or ["a", "b"] in newer files. */
static int
write_merge(struct tokens *t, const json_t *merge, size_t i, struct loom_error *err)
{
	const char *a = json_string_value(json_array_get(merge, 0));
	const char *b = json_string_value(json_array_get(merge, 1));
	struct lm_buf pair;
	int r;

	if (json_is_string(merge))
		return lm_gguf_put_element_text(t->w, json_string_value(merge), err);
	if (a == NULL || b == NULL || strchr(a, ' ') != NULL || strchr(b, ' ') != NULL)
		return lm_fail(err, LOOM_EFORMAT,
		    "tokenizer.json: merge %zu is no pair of tokens without spaces", i);
	lm_buf_init(&pair, SIZE_MAX / 4);
	r = lm_buf_printf(&pair, err, "%s %s", a, b);
	if (r == 0)
		r = lm_gguf_put_element_text(t->w, pair.data, err);
	lm_buf_release(&pair);
	return r;
}

static int
write_merges(struct tokens *t, struct loom_error *err)
{
	json_t *model = json_object_get(t->files.root, "model"), *merges, *merge;
	size_t i;

	if (lm_json_array(model, "tokenizer.json: model", "merges", 1, &merges, err) < 0 ||
	    lm_gguf_put_array(t->w, "tokenizer.ggml.merges", LM_GGUF_STRING,
		json_array_size(merges), err) < 0)
		return -1;
	json_array_foreach(merges, i, merge)
		if (write_merge(t, merge, i, err) < 0)
			return -1;
	return 0;
}

/* ---- special tokens ---- */

/* A token's id by its text in tokenizer_config.json, else by number in the others or the model. */
static int
special_id(const struct tokens *t, const char *name, int64_t *id, struct loom_error *err)
{
	json_t *value = json_object_get(t->files.config, name), *number;
	char key[40], shown[LM_SHOWN];
	const char *text;
	size_t found;

	*id = -1;
	if (json_is_object(value))
		value = json_object_get(value, "content");
	text = json_string_value(value);
	if (text != NULL) {
		found = lm_names_find(&t->names, text);
		if (found == LM_NO_NAME)
			return lm_fail(err, LOOM_EFORMAT,
			    "tokenizer_config.json: %s is %s, which is no token", name,
			    lm_shown(shown, text));
		*id = (int64_t)found;
		return 0;
	}
	(void)snprintf(key, sizeof(key), "%s_id", name);
	number = json_object_get(t->files.generation, key);
	if (number == NULL || json_is_null(number))
		number = json_object_get(t->files.model_config, key);
	if (number == NULL || json_is_null(number))
		number = lm_facts_token(t->w->e->model, name);
	if (json_is_array(number))
		number = json_array_get(number, 0);
	if (json_is_integer(number))
		*id = json_integer_value(number);
	return 0;
}

static int
put_special(struct tokens *t, const char *name, const char *key, int64_t id, struct loom_error *err)
{
	char as[40];

	(void)snprintf(as, sizeof(as), "%s_id", name);
	if (lm_json_set(t->w->said, as, json_integer(id), err) < 0)
		return -1;
	return lm_gguf_put_u32(t->w, key, (uint64_t)id, err);
}

static int
write_specials(struct tokens *t, struct loom_error *err)
{
	static const char *const names[][2] = { { "bos_token", "tokenizer.ggml.bos_token_id" },
		{ "eos_token", "tokenizer.ggml.eos_token_id" },
		{ "unk_token", "tokenizer.ggml.unknown_token_id" },
		{ "pad_token", "tokenizer.ggml.padding_token_id" } };
	int64_t id;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (special_id(t, names[i][0], &id, err) < 0)
			return -1;
		if (id >= (int64_t)t->n)
			return lm_fail(err, LOOM_ESHAPE,
			    "%s_id is %lld, but the network's vocabulary has %llu", names[i][0],
			    (long long)id, (unsigned long long)t->n);
		if (id >= 0 && put_special(t, names[i][0], names[i][1], id, err) < 0)
			return -1;
	}
	return 0;
}

/* Does the text's form begin with a token that is not of the text? */
static int
begins_with_special(const struct lm_tokenizer *f)
{
	json_t *post = json_object_get(f->root, "post_processor"), *list, *step;
	json_t *steps = json_object_get(post, "processors");
	size_t i;

	json_array_foreach(steps, i, step)
		if (json_object_get(step, "single") != NULL)
			post = step;
	list = json_object_get(post, "single");
	return json_object_get(json_array_get(list, 0), "SpecialToken") != NULL;
}

static int
write_begin(struct tokens *t, struct loom_error *err)
{
	json_t *flag = json_object_get(t->files.config, "add_bos_token");

	return lm_gguf_put_bool(t->w, "tokenizer.ggml.add_bos_token",
	    json_is_boolean(flag) ? json_is_true(flag) : begins_with_special(&t->files), err);
}

/* One text, or several with names, of which one is the default. */
static int
write_template(struct tokens *t, struct loom_error *err)
{
	json_t *value = json_object_get(t->files.config, "chat_template"), *item;
	const char *text = json_string_value(value), *name;
	size_t i;

	json_array_foreach(value, i, item) {
		name = json_string_value(json_object_get(item, "name"));
		if (name != NULL && strcmp(name, "default") == 0)
			text = json_string_value(json_object_get(item, "template"));
	}
	if (t->files.template != NULL)
		text = t->files.template;
	return text != NULL ? lm_gguf_put_text(t->w, "tokenizer.chat_template", text, err) : 0;
}

/* ---- the whole ---- */

static int
write_all(struct tokens *t, struct loom_error *err)
{
	const char *cut = lm_tokenizer_cut(&t->files, err);

	if (cut == NULL || read_tokens(t, err) < 0 ||
	    lm_gguf_put_text(t->w, "tokenizer.ggml.model", "gpt2", err) < 0 ||
	    lm_gguf_put_text(t->w, "tokenizer.ggml.pre", cut, err) < 0 ||
	    write_tokens(t, err) < 0 || write_merges(t, err) < 0 || write_specials(t, err) < 0 ||
	    write_begin(t, err) < 0)
		return -1;
	return write_template(t, err);
}

/* Positions that the network was made for; 0: no config.json says it. */
static uint64_t
context_of(const struct lm_tokenizer *f)
{
	json_int_t n = json_integer_value(
	    json_object_get(f->model_config, "max_position_embeddings"));

	return n > 0 ? (uint64_t)n : 0;
}

int
lm_gguf_put_tokens(struct lm_gguf_writing *w, uint64_t vocab, uint64_t *context,
    struct loom_error *err)
{
	struct tokens t = { .w = w, .n = vocab };
	int r = lm_tokenizer_open(&t.files, w->e->options->tokenizer, err);

	*context = context_of(&t.files);
	if (r == 0)
		r = write_all(&t, err);
	lm_tokenizer_release(&t.files);
	lm_arena_release(&t.arena);
	return r;
}
