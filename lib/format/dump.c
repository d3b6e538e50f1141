/* dump: what is in a file, for people, for diff and for scripts. */
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/source.h"
#include "format/contents.h"
#include "format/gotext.h"
#include "num/text.h"

/* ---- one line's parts ---- */

/* Text of the file's, which may hold anything: a line stays one. */
static void
put_words(FILE *out, const char *before, const char *s)
{
	(void)fputs(before, out);
	for (; *s != '\0'; s++)
		(void)putc((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s, out);
}

static void
put_named(FILE *out, const char *key, const char *s)
{
	(void)fprintf(out, " %s", key);
	put_words(out, "=", s);
}

/* As many digits as the dtype is worth. */
static void
put_number(FILE *out, const char *key, json_t *value, int wide)
{
	char text[LM_TEXT_SIZE];

	if (value == NULL)
		return;
	if (json_is_integer(value))
		(void)fprintf(out, " %s=%lld", key, (long long)json_integer_value(value));
	else {
		if (wide)
			(void)lm_text_f64(text, json_real_value(value));
		else
			(void)lm_text_f32(text, (float)json_real_value(value));
		(void)fprintf(out, " %s=%s", key, text);
	}
}

static void
put_text(FILE *out, const char *key, json_t *value)
{
	if (value != NULL)
		put_named(out, key, json_string_value(value));
}

/* Names of tensors, "-" where one is absent. */
static void
put_names(FILE *out, const char *key, json_t *list)
{
	json_t *name;
	size_t i;

	(void)fprintf(out, " %s=", key);
	json_array_foreach(list, i, name)
		put_words(out, i > 0 ? "," : "",
		    json_is_string(name) ? json_string_value(name) : "-");
}

/* any: whatever stands before these extents. */
static void
put_shape(FILE *out, json_t *list, int any)
{
	json_t *dim;
	size_t i;

	(void)fputs(any ? json_array_size(list) > 0 ? " [..., " : " [..." : " [", out);
	json_array_foreach(list, i, dim) {
		(void)fputs(i > 0 ? ", " : "", out);
		if (json_is_string(dim))
			put_words(out, "", json_string_value(dim));
		else
			(void)fprintf(out, "%lld", (long long)json_integer_value(dim));
	}
	(void)fputs("]", out);
}

/* Enough of a digest to tell contents apart in a line; the JSON form has all of it. */
static void
put_digest(FILE *out, json_t *digest)
{
	if (digest != NULL)
		(void)fprintf(out, " sha256=%.16s", json_string_value(digest));
}

/* ---- lines ---- */

static void
put_tensor(FILE *out, const char *what, const char *name, const char *slot, json_t *t)
{
	const char *dtype = json_string_value(json_object_get(t, "dtype"));
	int wide = dtype != NULL &&
	    (strcmp(dtype, "float64") == 0 || strncmp(dtype, "int", 3) == 0 ||
		strncmp(dtype, "uint", 4) == 0) &&
	    json_object_get(t, "scale") == NULL;

	(void)fputs(what, out);
	put_words(out, " ", name);
	put_words(out, *slot != '\0' ? "." : "", slot);
	put_text(out, "same", json_object_get(t, "same"));
	if (dtype == NULL) {
		(void)fputs("\n", out);
		return;
	}
	(void)fprintf(out, " %s", dtype);
	put_shape(out, json_object_get(t, "shape"), 0);
	put_number(out, "scale", json_object_get(t, "scale"), 0);
	put_number(out, "min", json_object_get(t, "min"), wide);
	put_number(out, "max", json_object_get(t, "max"), wide);
	put_number(out, "mean", json_object_get(t, "mean"), wide);
	put_number(out, "nan", json_object_get(t, "nan"), 1);
	put_number(out, "inf", json_object_get(t, "inf"), 1);
	put_digest(out, json_object_get(t, "sha256"));
	put_text(out, "source", json_object_get(t, "source"));
	(void)fputs("\n", out);
}

static int
put_params(FILE *out, json_t *params, struct loom_error *err)
{
	struct lm_buf text;
	const char *key;
	json_t *value;
	int r = 0;

	lm_buf_init(&text, SIZE_MAX / 4);
	json_object_foreach(params, key, value) {
		lm_buf_clear(&text);
		r = r < 0 || json_is_string(value) ? r : lm_go_json(&text, value, err);
		put_named(out, key,
		    json_is_string(value) ? json_string_value(value)
			: r < 0		  ? ""
					  : text.data);
	}
	lm_buf_release(&text);
	return r;
}

static int
put_node(FILE *out, json_t *node, struct loom_error *err)
{
	const char *name = json_string_value(json_object_get(node, "name"));
	json_t *made = json_object_get(node, "out"), *tensor;
	size_t i;

	put_words(out, "node ", name);
	put_words(out, " ", json_string_value(json_object_get(node, "op")));
	put_text(out, "cell", json_object_get(node, "cell"));
	put_names(out, "in", json_object_get(node, "in"));
	if (made != NULL)
		put_names(out, "out", made);
	else
		put_named(out, "out", name);
	if (put_params(out, json_object_get(node, "params"), err) < 0)
		return -1;
	(void)fputs("\n", out);
	json_array_foreach(json_object_get(node, "tensors"), i, tensor)
		put_tensor(out, "weight", name, json_string_value(json_object_get(tensor, "slot")),
		    tensor);
	return 0;
}

static void
put_input(FILE *out, json_t *input)
{
	put_words(out, "input ", json_string_value(json_object_get(input, "name")));
	put_words(out, " ", json_string_value(json_object_get(input, "dtype")));
	put_shape(out, json_object_get(input, "shape"), json_object_get(input, "any") != NULL);
	(void)fputs("\n", out);
}

static void
put_lines(FILE *out, const char *what, json_t *list)
{
	json_t *text;
	size_t i;

	json_array_foreach(list, i, text) {
		(void)fputs(what, out);
		put_words(out, " ", json_string_value(text));
		(void)fputs("\n", out);
	}
}

static void
put_head(FILE *out, json_t *contents)
{
	json_t *loom = json_object_get(contents, "loom");

	(void)fprintf(out, "format %s", json_string_value(json_object_get(contents, "format")));
	if (loom != NULL)
		(void)fprintf(out, ", %s", json_string_value(loom));
	(void)fputs("\n", out);
}

/* ---- all of it ---- */

static int
put_contents(FILE *out, json_t *contents, struct loom_error *err)
{
	static const char *const keys[] = { "planet", "model" };
	json_t *item;
	size_t i;

	put_head(out, contents);
	for (i = 0; i < 2; i++) {
		item = json_object_get(contents, keys[i]);
		if (item == NULL)
			continue;
		(void)fputs(keys[i], out);
		put_words(out, " ", json_string_value(item));
		(void)fputs("\n", out);
	}
	json_array_foreach(json_object_get(contents, "inputs"), i, item)
		put_input(out, item);
	json_array_foreach(json_object_get(contents, "nodes"), i, item)
		if (put_node(out, item, err) < 0)
			return -1;
	put_lines(out, "output", json_object_get(contents, "outputs"));
	json_array_foreach(json_object_get(contents, "tensors"), i, item)
		put_tensor(out, "tensor", json_string_value(json_object_get(item, "name")), "",
		    item);
	put_lines(out, "finding:", json_object_get(contents, "findings"));
	return 0;
}

static void
put_check(FILE *out, json_t *contents)
{
	size_t n = json_array_size(json_object_get(contents, "findings"));

	put_head(out, contents);
	put_lines(out, "plain Loom:", json_object_get(contents, "differences"));
	put_lines(out, "finding:", json_object_get(contents, "findings"));
	if (n == 0)
		(void)fputs("sound\n", out);
	else
		(void)fprintf(out, "not sound: %zu finding%s\n", n, n == 1 ? "" : "s");
}

static int
put_json(FILE *out, json_t *contents, struct loom_error *err)
{
	struct lm_buf text;
	int r;

	lm_buf_init(&text, SIZE_MAX / 4);
	r = lm_go_json(&text, contents, err);
	if (r == 0)
		(void)fprintf(out, "%s\n", text.data);
	lm_buf_release(&text);
	return r;
}

static json_t *
read_contents(const char *path, int values, struct loom_error *err)
{
	struct lm_source *source;
	struct stat st;

	if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return lm_contents_directory(path, values, err);
	return lm_source_open(&source, path, err) < 0 ? NULL : lm_contents(source, values, err);
}

int
loom_dump(FILE *out, const char *path, unsigned flags, int *sound, struct loom_error *err)
{
	json_t *contents = read_contents(path, (flags & LOOM_DUMP_HEADER) == 0, err);
	int r = 0;

	*sound = 0;
	if (contents == NULL)
		return -1;
	*sound = json_array_size(json_object_get(contents, "findings")) == 0;
	if ((flags & LOOM_DUMP_JSON) != 0)
		r = lm_json_set(contents, "sound", json_boolean(*sound), err) < 0
		    ? -1
		    : put_json(out, contents, err);
	else if ((flags & LOOM_DUMP_CHECK) != 0)
		put_check(out, contents);
	else
		r = put_contents(out, contents, err);
	json_decref(contents);
	return r;
}
