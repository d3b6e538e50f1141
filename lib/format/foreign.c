/* foreign: files of other engines that are known and not read. */
#include "format/foreign.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "num/bytes.h"

enum { TAIL = 1 << 16 }; /* bytes at the end that hold the names of a small archive's members */

/* ---- archives ---- */

static int
starts(const unsigned char *head, size_t len, const char *with, size_t n)
{
	return len >= n && memcmp(head, with, n) == 0;
}

/* The name of the first member of a ZIP archive, and its length; NULL: it is none. */
static const char *
first_member(const unsigned char *head, size_t len, size_t *n)
{
	if (!starts(head, len, "PK\3\4", 4) || len < 30)
		return NULL;
	*n = lm_get_u16(head + 26);
	return 30 + *n <= len ? (const char *)head + 30 : NULL;
}

static int
ends(const char *name, size_t n, const char *with)
{
	size_t k = strlen(with);

	return name != NULL && n >= k && memcmp(name + n - k, with, k) == 0;
}

/* A member's name as it stands in the directory at the end. */
static int
tail_has(const struct lm_source *s, const char *text)
{
	unsigned char buf[TAIL];
	struct loom_error ignored = { 0 };
	uint64_t size = 0;
	size_t n, i, k = strlen(text);

	if (!lm_source_size(s, &size))
		return 0;
	n = size < TAIL ? (size_t)size : TAIL;
	if (lm_source_at(s, size - n, buf, n, &ignored) < 0)
		return 0;
	for (i = 0; i + k <= n; i++)
		if (memcmp(buf + i, text, k) == 0)
			return 1;
	return 0;
}

static int
look_pytorch(const struct lm_source *s, const unsigned char *head, size_t len)
{
	size_t n = 0;
	const char *name = first_member(head, len, &n);

	(void)s;
	/* Before version 1.6 it was a pickle of this magic number. */
	return ends(name, n, "/data.pkl") || ends(name, n, "/.format_version") ||
	    starts(head, len, "\200\002\212\012\154\374\234\106\371\040\152\250\120\031", 14);
}

static int
look_torchscript(const struct lm_source *s, const unsigned char *head, size_t len)
{
	size_t n = 0;

	return first_member(head, len, &n) != NULL && tail_has(s, "/constants.pkl");
}

static int
look_keras(const struct lm_source *s, const unsigned char *head, size_t len)
{
	size_t n = 0;
	const char *name = first_member(head, len, &n);

	(void)s;
	return name != NULL && n == 13 && memcmp(name, "metadata.json", n) == 0;
}

/* ---- protobuf messages, which have no magic number ---- */

/* Whether text stands within the head. */
static int
mentions(const unsigned char *head, size_t len, const char *text)
{
	size_t n = strlen(text), i;

	for (i = 0; i + n <= len; i++)
		if (memcmp(head + i, text, n) == 0)
			return 1;
	return 0;
}

/* Schema version 1, then a meta graph whose MetaInfoDef lists operations. */
static int
look_savedmodel(const struct lm_source *s, const unsigned char *head, size_t len)
{
	(void)s;
	return starts(head, len, "\010\001\022", 3) && mentions(head, len, "\012") &&
	    (mentions(head, len, "serve") || mentions(head, len, "\n\005Const") ||
		mentions(head, len, "\n\003Add"));
}

/* A small version, then a description that names features. */
static int
look_coreml(const struct lm_source *s, const unsigned char *head, size_t len)
{
	(void)s;
	return len > 4 && head[0] == 010 && head[1] >= 1 && head[1] <= 20 && head[2] == 022 &&
	    (mentions(head, len, "com.github.apple") || mentions(head, len, "coremltools"));
}

/* ProgramDesc: blocks of operations that feed and fetch. */
static int
look_paddle(const struct lm_source *s, const unsigned char *head, size_t len)
{
	(void)s;
	return len > 2 && head[0] == 012 &&
	    (mentions(head, len, "feed") || mentions(head, len, "fetch")) &&
	    (mentions(head, len, "op_callstack") || mentions(head, len, "\"\004feed") ||
		mentions(head, len, "\032\004feed"));
}

/* NetParameter: a name, then layers with a type each. */
static int
look_caffe(const struct lm_source *s, const unsigned char *head, size_t len)
{
	(void)s;
	return len > 2 && head[0] == 012 && mentions(head, len, "\242\006") &&
	    (mentions(head, len, "\022\005Input") || mentions(head, len, "\022\004Data") ||
		mentions(head, len, "\022\013Convolution"));
}

/* ---- others ---- */

/* Versions 0.1 and 0.2, then how many images were seen. */
static int
look_darknet(const struct lm_source *s, const unsigned char *head, size_t len)
{
	(void)s;
	return len >= 20 && lm_get_u32(head) == 0 &&
	    (lm_get_u32(head + 4) == 1 || lm_get_u32(head + 4) == 2) && lm_get_u32(head + 8) <= 5 &&
	    lm_get_u64(head + 12) < (uint64_t)1 << 40;
}

static int
look_openvino(const struct lm_source *s, const unsigned char *head, size_t len)
{
	(void)s;
	return mentions(head, len, "<net name=") && mentions(head, len, "version=\"1");
}

static int
look_mxnet(const struct lm_source *s, const unsigned char *head, size_t len)
{
	(void)s;
	return len > 0 && head[0] == '{' && mentions(head, len, "\"nodes\"") &&
	    mentions(head, len, "\"op\": \"null\"");
}

/* A pickle of protocol 2 to 5, which goes on with a frame or an opcode; a length of 8 bytes does not. */
static int
look_pickle(const struct lm_source *s, const unsigned char *head, size_t len)
{
	static const char opcodes[] = "\225\212\214\210\211}])(cKMJNXq";

	(void)s;
	return len > 8 && head[0] == 0200 && head[1] >= 2 && head[1] <= 5 && head[2] != 0 &&
	    strchr(opcodes, head[2]) != NULL && head[8] != '{';
}

/* ---- the table ---- */

#define MAGIC(name, about, advice, bytes, at) \
	{ #name, about, advice, bytes, sizeof(bytes) - 1, at, NULL, NULL },
#define LOOK(name, about, advice, look) { #name, about, advice, NULL, 0, 0, NULL, look },
#define MEMBER(name, about, advice, file) { #name, about, advice, NULL, 0, 0, file, NULL },
static const struct lm_foreign table[] = {
#include "format/foreign.def"
};
#undef MAGIC
#undef LOOK
#undef MEMBER

const struct lm_foreign *
lm_foreign_at(size_t i)
{
	return i < sizeof(table) / sizeof(*table) ? &table[i] : NULL;
}

const struct lm_foreign *
lm_foreign_file(const struct lm_source *s, const unsigned char *head, size_t len)
{
	const struct lm_foreign *f;
	size_t i;

	for (i = 0; (f = lm_foreign_at(i)) != NULL; i++)
		if ((f->magic != NULL && len >= f->at + f->magic_size &&
			memcmp(head + f->at, f->magic, f->magic_size) == 0) ||
		    (f->look != NULL && f->look(s, head, len)))
			return f;
	return NULL;
}

const struct lm_foreign *
lm_foreign_directory(const char *path)
{
	const struct lm_foreign *f;
	char file[4096];
	size_t i;
	int n;

	for (i = 0; (f = lm_foreign_at(i)) != NULL; i++) {
		n = f->member != NULL ? snprintf(file, sizeof(file), "%s/%s", path, f->member) : -1;
		if (n > 0 && (size_t)n < sizeof(file) && access(file, F_OK) == 0)
			return f;
	}
	return NULL;
}

int
lm_foreign_fail(const struct lm_foreign *f, const char *source, struct loom_error *err)
{
	(void)lm_fail(err, LOOM_EUNSUPPORTED, "is %s, which is not read: %s", f->about, f->advice);
	return lm_fail_in(err, source);
}
