/* format: the table of file formats, and which of them a source holds. */
#include "format/format.h"

#include <string.h>

#include "format/foreign.h"

#define FORMAT(name) extern const struct lm_format_ops lm_format_##name;
#include "format/formats.def"
#undef FORMAT

static const struct lm_format_ops *const table[] = {
#define FORMAT(name) &lm_format_##name,
#include "format/formats.def"
#undef FORMAT
};

enum { ROWS = sizeof(table) / sizeof(*table) };

const struct lm_format_ops *
lm_format_at(size_t i)
{
	return i < ROWS ? table[i] : NULL;
}

const struct lm_format_ops *
lm_format_find(const char *name)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}

/* ---- options ---- */

static const struct {
	unsigned bit; /* of LM_TAKES_ */
	const char *name;
} options[] = {
	{ LM_TAKES_OUTPUTS, "--outputs" },
	{ LM_TAKES_TEMPLATE, "--template" },
	{ LM_TAKES_DATA_DIR, "--data-dir" },
	{ LM_TAKES_SUBDIRS, "--allow-subdirs" },
	{ LM_TAKES_SYMLINKS, "--follow-symlinks" },
	{ LM_TAKES_HARDLINKS, "--allow-hardlinks" },
	{ LM_TAKES_DTYPE, "--dtype" },
	{ LM_TAKES_OPSET, "--opset" },
	{ LM_TAKES_TOKENIZER, "--tokenizer" },
};

static int
not_taken(const struct lm_format_ops *format, size_t option, struct loom_error *err)
{
	char names[256] = "";
	size_t i, used = 0, n = 0;

	for (i = 0; i < ROWS && used < sizeof(names); i++)
		if (table[i]->takes & options[option].bit)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
			    n++ > 0 ? ", " : "", table[i]->name);
	return lm_fail(err, LOOM_EARG, "%s is no option of %s: %s %s it", options[option].name,
	    format->name, names, n > 1 ? "take" : "takes");
}

int
lm_format_takes(const struct lm_format_ops *format, unsigned said, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (said & options[i].bit & ~format->takes)
			return not_taken(format, i, err);
	return 0;
}

/* ---- directories ---- */

const struct lm_format_ops *
lm_format_directory(const char *path)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (table[i]->sniff_directory != NULL && table[i]->sniff_directory(path))
			return table[i];
	return NULL;
}

/* "npy, npz, safetensors": what is read of that kind. */
static const char *
readable(char *dst, size_t size, unsigned holds)
{
	size_t i, used = 0;

	dst[0] = '\0';
	for (i = 0; i < ROWS && used < size; i++)
		if ((table[i]->holds & holds) && (table[i]->can & LM_READ))
			used += (size_t)snprintf(dst + used, size - used, "%s%s",
			    used > 0 ? ", " : "", table[i]->name);
	return dst;
}

/* JSON that says what kind of network a Hugging Face directory holds. */
static int
is_config(struct lm_source *s, struct loom_error *err)
{
	static const char *const keys[] = { "\"model_type\"", "\"architectures\"" };
	const unsigned char *head;
	char text[LM_SNIFF + 1];
	size_t len, i;

	if (lm_source_peek(s, &head, LM_SNIFF, &len, err) < 0 || len == 0 || head[0] != '{')
		return 0;
	memcpy(text, head, len);
	text[len] = '\0';
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (strstr(text, keys[i]) != NULL)
			return 1;
	return 0;
}

static int
fail_unknown(struct lm_source *s, unsigned holds, const struct lm_format_ops *other,
    struct loom_error *err)
{
	const char *kind = holds == LM_HOLDS_MODEL ? "network" : "file of tensors";
	char names[256];

	if (other == NULL && (holds & LM_HOLDS_MODEL) && is_config(s, err))
		return lm_source_fail(s, err, LOOM_EFORMAT,
		    "is the config.json of a Hugging Face directory: name the directory");
	if (holds == (LM_HOLDS_MODEL | LM_HOLDS_TENSORS))
		return lm_source_fail(s, err, LOOM_EFORMAT,
		    "neither a checkpoint nor a file of tensors that we read");
	(void)readable(names, sizeof(names), holds);
	if (other != NULL)
		return lm_source_fail(s, err, LOOM_EFORMAT, "is %s, not a %s (expected one of: %s)",
		    other->about, kind, names);
	return lm_source_fail(s, err, LOOM_EFORMAT, "not a %s (expected one of: %s)", kind, names);
}

int
lm_format_of(struct lm_source *s, const struct lm_format_ops **of, struct loom_error *err)
{
	const unsigned char *head;
	int score, most = 0;
	size_t len, i;

	*of = NULL;
	if (lm_source_peek(s, &head, LM_SNIFF, &len, err) < 0)
		return -1;
	if (len == 0)
		return lm_source_fail(s, err, LOOM_ETRUNCATED,
		    "is empty: did the program that writes it fail?");
	for (i = 0; i < ROWS; i++) {
		score = table[i]->sniff != NULL ? table[i]->sniff(head, len) : 0;
		if (score > most) {
			most = score;
			*of = table[i];
		}
	}
	return 0;
}

/* 1 and the failure, where it is a file of another engine that is known. */
static int
is_foreign(struct lm_source *s, struct loom_error *err)
{
	const struct lm_foreign *foreign;
	const unsigned char *head;
	size_t len;

	if (lm_source_peek(s, &head, LM_SNIFF, &len, err) < 0)
		return 1;
	foreign = lm_foreign_file(s, head, len);
	return foreign != NULL && lm_foreign_fail(foreign, lm_source_name(s), err) < 0;
}

const struct lm_format_ops *
lm_format_sniff(struct lm_source *s, unsigned holds, struct loom_error *err)
{
	const struct lm_format_ops *of;

	if (is_foreign(s, err) || lm_format_of(s, &of, err) < 0)
		return NULL;
	if (of != NULL && (of->holds & holds) && (of->can & LM_READ))
		return of;
	(void)fail_unknown(s, holds, of, err);
	return NULL;
}
