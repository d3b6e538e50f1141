/* gguf_tokenizer: tokenizer.json and the files beside it, and how it cuts text. */
#include "format/gguf_tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_FILE = 256 << 20, PIECE = 1 << 16 };

/* ---- files ---- */

static int
read_all(struct lm_source *s, struct lm_buf *buf, struct loom_error *err)
{
	size_t got;

	do {
		if (lm_buf_reserve(buf, PIECE, err) < 0 ||
		    lm_source_some(s, buf->data + buf->len, PIECE, &got, err) < 0)
			return -1;
		buf->len += got;
	} while (got > 0);
	return lm_buf_add(buf, "", 0, err);
}

static int
read_text(struct lm_buf *buf, const char *path, struct loom_error *err)
{
	struct lm_source *s;
	int r;

	lm_buf_init(buf, MOST_FILE);
	if (lm_source_open(&s, path, err) < 0)
		return -1;
	r = read_all(s, buf, err);
	if (r < 0)
		(void)lm_fail_in(err, lm_source_name(s));
	lm_source_free(s);
	return r;
}

static int
read_json(json_t **root, const char *path, struct loom_error *err)
{
	struct lm_buf buf;
	char tail[LM_SHOWN];
	int r = read_text(&buf, path, err);

	if (r == 0)
		r = lm_json_parse(root, buf.data, buf.len, err);
	if (r == 0 && !json_is_object(*root))
		r = lm_fail(err, LOOM_EFORMAT, "is %s, not an object", lm_json_type(*root));
	lm_tail(tail, sizeof(tail), path);
	lm_buf_release(&buf);
	return r < 0 ? lm_fail_in(err, tail) : 0;
}

/* A file beside tokenizer.json. */
static int
beside(const struct lm_tokenizer *t, const char *name, char path[LM_GGUF_PATH])
{
	const char *slash = strrchr(t->path, '/');
	int n = slash != NULL ? (int)(slash - t->path) + 1 : 0;
	struct stat st;

	return snprintf(path, LM_GGUF_PATH, "%.*s%s", n, t->path, name) < LM_GGUF_PATH &&
	    stat(path, &st) == 0;
}

static int
read_beside(const struct lm_tokenizer *t, const char *name, json_t **root, struct loom_error *err)
{
	char path[LM_GGUF_PATH];

	return beside(t, name, path) ? read_json(root, path, err) : 0;
}

static int
read_template(struct lm_tokenizer *t, struct loom_error *err)
{
	char path[LM_GGUF_PATH];
	struct lm_buf buf;

	if (!beside(t, "chat_template.jinja", path))
		return 0;
	if (read_text(&buf, path, err) < 0) {
		lm_buf_release(&buf);
		return -1;
	}
	t->template = buf.data;
	return 0;
}

int
lm_tokenizer_open(struct lm_tokenizer *t, const char *path, struct loom_error *err)
{
	int directory;
	struct stat st;

	memset(t, 0, sizeof(*t));
	directory = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	if (snprintf(t->path, LM_GGUF_PATH, "%s%s", path, directory ? "/tokenizer.json" : "") >=
	    LM_GGUF_PATH)
		return lm_fail(err, LOOM_EARG, "the tokenizer's path is too long");
	if (read_json(&t->root, t->path, err) < 0 ||
	    read_beside(t, "tokenizer_config.json", &t->config, err) < 0 ||
	    read_beside(t, "config.json", &t->model_config, err) < 0 ||
	    read_beside(t, "generation_config.json", &t->generation, err) < 0)
		return -1;
	return read_template(t, err);
}

void
lm_tokenizer_release(struct lm_tokenizer *t)
{
	json_decref(t->root);
	json_decref(t->config);
	json_decref(t->model_config);
	json_decref(t->generation);
	lm_free(t->template);
}

/* ---- how text is cut ---- */

#define WORDS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* What stands before ByteLevel. */
static const struct cut {
	const char *name; /* llama.cpp's */
	const char *type; /* NULL: nothing */
	const char *regex;
} cuts[] = {
	{ "gpt-2", NULL, NULL },
	{ "smollm", "Digits", NULL },
	{ "llama-bpe", "Split", WORDS "\\p{N}{1,3}" REST },
	{ "qwen2", "Split", WORDS "\\p{N}" REST },
};

static int
has_type(json_t *step, const char *type)
{
	const char *found = json_string_value(json_object_get(step, "type"));

	return found != NULL && strcmp(found, type) == 0;
}

static int
is_flag(json_t *step, const char *key, int value, int otherwise)
{
	json_t *flag = json_object_get(step, key);

	return (flag == NULL ? otherwise : json_is_true(flag)) == value;
}

/* Bytes as characters; by its own regex only where nothing cut before. */
static int
is_bytes(json_t *step, int regex)
{
	return has_type(step, "ByteLevel") && is_flag(step, "add_prefix_space", 0, 1) &&
	    is_flag(step, "use_regex", regex, 1);
}

static int
is_cut(json_t *step, const struct cut *c)
{
	json_t *pattern = json_object_get(step, "pattern");
	const char *regex = json_string_value(json_object_get(pattern, "Regex"));
	const char *behavior = json_string_value(json_object_get(step, "behavior"));

	if (!has_type(step, c->type))
		return 0;
	if (c->regex == NULL)
		return is_flag(step, "individual_digits", 1, 0);
	return regex != NULL && strcmp(regex, c->regex) == 0 && behavior != NULL &&
	    strcmp(behavior, "Isolated") == 0 && is_flag(step, "invert", 0, 0);
}

/* "Split, ByteLevel": what there is, for a message. */
static void
steps_text(char *dst, size_t size, json_t *pre)
{
	json_t *list = json_object_get(pre, "pretokenizers"), *step;
	const char *type = json_string_value(json_object_get(pre, "type"));
	char shown[LM_SHOWN];
	size_t i, used = 0;

	(void)snprintf(dst, size, "%s", type != NULL ? lm_shown(shown, type) : "null");
	json_array_foreach(list, i, step) {
		type = json_string_value(json_object_get(step, "type"));
		if (used < size)
			used += (size_t)snprintf(dst + used, size - used, "%s%s", i > 0 ? ", " : "",
			    type != NULL ? lm_shown(shown, type) : "null");
	}
}

const char *
lm_tokenizer_cut(const struct lm_tokenizer *t, struct loom_error *err)
{
	json_t *pre = json_object_get(t->root, "pre_tokenizer");
	json_t *list = json_object_get(pre, "pretokenizers");
	char text[200];
	size_t i;

	if (is_bytes(pre, 1) ||
	    (json_array_size(list) == 1 && is_bytes(json_array_get(list, 0), 1)))
		return cuts[0].name;
	for (i = 1; i < sizeof(cuts) / sizeof(*cuts) && json_array_size(list) == 2; i++)
		if (is_cut(json_array_get(list, 0), &cuts[i]) &&
		    is_bytes(json_array_get(list, 1), cuts[i].regex == NULL))
			return cuts[i].name;
	steps_text(text, sizeof(text), pre);
	(void)lm_fail(err, LOOM_EUNSUPPORTED,
	    "tokenizer.json: its pre_tokenizer (%s) is none of those of gpt-2, smollm, llama-bpe "
	    "and qwen2",
	    text);
	return NULL;
}
