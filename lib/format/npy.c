/* npy: one array in NumPy's format, versions 1 to 3; a strict parser of its header. */
#include <string.h>

#include "format/tensors.h"
#include "num/bytes.h"

static const char magic[] = "\x93NUMPY";
enum { MAGIC = 6, ALIGN = 64, LONGEST = 10000 };

/* ---- element types ---- */

static const struct row {
	const char code[3];
	enum lm_dtype_id id;
} codes[] = {
	{ "f8", LM_F64 },
	{ "f4", LM_F32 },
	{ "f2", LM_F16 },
	{ "i8", LM_I64 },
	{ "i4", LM_I32 },
	{ "i2", LM_I16 },
	{ "i1", LM_I8 },
	{ "u8", LM_U64 },
	{ "u4", LM_U32 },
	{ "u2", LM_U16 },
	{ "u1", LM_U8 },
	{ "b1", LM_BOOL },
};

enum { CODES = sizeof(codes) / sizeof(*codes) };

/* ---- the header: a Python dictionary of three keys ---- */

struct parser {
	const char *at, *end;
	const char *what;
	struct lm_entry *entry;
	unsigned seen; /* a bit for each key */
	struct loom_error *err;
};

static int
refuse(const struct parser *p, const char *expected)
{
	char found[24];
	size_t n = (size_t)(p->end - p->at);

	n = n < sizeof(found) - 1 ? n : sizeof(found) - 1;
	memcpy(found, p->at, n);
	found[n] = '\0';
	return lm_fail(p->err, LOOM_EFORMAT, "%sin the header: expected %s, found '%s'", p->what,
	    expected, found);
}

static void
blanks(struct parser *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\n'))
		p->at++;
}

/* Take that character and the blanks before it, if it comes next. */
static int
take(struct parser *p, char c)
{
	blanks(p);
	if (p->at == p->end || *p->at != c)
		return 0;
	p->at++;
	return 1;
}

static int
take_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);

	blanks(p);
	if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0)
		return 0;
	p->at += n;
	return 1;
}

/* A quoted string without escapes. */
static int
string(struct parser *p, char *dst, size_t size, const char *expected)
{
	const char *close;
	char quote;

	blanks(p);
	if (p->at == p->end || (*p->at != '\'' && *p->at != '"'))
		return refuse(p, expected);
	quote = *p->at;
	close = memchr(p->at + 1, quote, (size_t)(p->end - p->at - 1));
	if (close == NULL || (size_t)(close - p->at) > size)
		return refuse(p, expected);
	memcpy(dst, p->at + 1, (size_t)(close - p->at - 1));
	dst[close - p->at - 1] = '\0';
	p->at = close + 1;
	return 0;
}

static int
descr(struct parser *p)
{
	static const char types[] = "an element type such as '<f4'";
	char text[16], shown[LM_SHOWN];
	size_t i;

	if (string(p, text, sizeof(text), types) < 0)
		return -1;
	for (i = 0; i < CODES && text[0] != '\0'; i++)
		if (strcmp(text + 1, codes[i].code) == 0)
			break;
	if (text[0] == '\0' || strchr("<>|=", text[0]) == NULL || i == CODES ||
	    (text[0] == '|' && text[2] != '1'))
		return lm_fail(p->err, LOOM_EUNSUPPORTED,
		    "%selement type '%s' is not one that is read: "
		    "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1, with < > | or = before it",
		    p->what, lm_shown(shown, text));
	p->entry->dtype = lm_dtype_get(codes[i].id);
	p->entry->swap = text[0] == '>' && p->entry->dtype->bits > 8;
	return 0;
}

static int
order(struct parser *p)
{
	p->entry->fortran = take_word(p, "True");
	if (!p->entry->fortran && !take_word(p, "False"))
		return refuse(p, "True or False");
	return 0;
}

static int
extent(struct parser *p, uint64_t *value)
{
	const char *first;
	uint64_t v = 0;

	blanks(p);
	for (first = p->at; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
		if (v > (INT64_MAX - 9) / 10)
			return lm_fail(p->err, LOOM_EFORMAT,
			    "%san extent in the header does not fit in 63 bits", p->what);
		v = v * 10 + (uint64_t)(*p->at - '0');
	}
	if (p->at == first)
		return refuse(p, "an extent");
	(void)(p->at < p->end && *p->at == 'L' && p->at++); /* Python 2 wrote long integers so */
	*value = v;
	return 0;
}

static int
shape(struct parser *p)
{
	struct loom_tensor *t = &p->entry->tensor;

	if (!take(p, '('))
		return refuse(p, "a tuple of extents");
	for (t->rank = 0; !take(p, ')');) {
		if (t->rank == LOOM_RANK)
			return lm_fail(p->err, LOOM_EUNSUPPORTED, "%smore than %d axes", p->what,
			    LOOM_RANK);
		if (extent(p, &t->shape[t->rank++]) < 0)
			return -1;
		if (take(p, ','))
			continue;
		if (t->rank == 1 || !take(p, ')'))
			return refuse(p, "a comma");
		break;
	}
	return 0;
}

static int
pair(struct parser *p)
{
	static const struct {
		const char *key;
		int (*value)(struct parser *);
	} keys[] = { { "descr", descr }, { "fortran_order", order }, { "shape", shape } };
	char key[16];
	unsigned i;

	if (string(p, key, sizeof(key), "a key") < 0)
		return -1;
	for (i = 0; i < 3 && strcmp(keys[i].key, key) != 0; i++)
		continue;
	if (i == 3 || (p->seen & 1u << i))
		return lm_fail(p->err, LOOM_EFORMAT, "%skey '%s' %s", p->what, key,
		    i == 3 ? "does not belong in the header" : "stands twice in the header");
	p->seen |= 1u << i;
	if (!take(p, ':'))
		return refuse(p, "a colon");
	return keys[i].value(p);
}

static int
dictionary(struct parser *p)
{
	if (!take(p, '{'))
		return refuse(p, "a dictionary");
	while (!take(p, '}')) {
		if (pair(p) < 0)
			return -1;
		if (!take(p, ',') && (p->at == p->end || *p->at != '}'))
			return refuse(p, "a comma or the end of the dictionary");
	}
	blanks(p);
	if (p->at != p->end)
		return refuse(p, "nothing more");
	if (p->seen != 7)
		return lm_fail(p->err, LOOM_EFORMAT,
		    "%sthe header lacks one of descr, fortran_order and shape", p->what);
	return 0;
}

/* Magic, version and length; *fixed is how many bytes these take. */
static int
prelude(lm_npy_read *get, void *from, const char *what, size_t *fixed, size_t *length,
    struct loom_error *err)
{
	unsigned char head[12];

	if (get(from, head, 8, err) < 0)
		return -1;
	if (memcmp(head, magic, MAGIC) != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "%sis not an .npy: it does not start with "
		    "\\x93NUMPY",
		    what);
	if (head[6] < 1 || head[6] > 3 || head[7] != 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s.npy version %u.%u: expected 1.0, 2.0 or 3.0", what, head[6], head[7]);
	*fixed = head[6] == 1 ? 10 : 12;
	if (get(from, head + 8, *fixed - 8, err) < 0)
		return -1;
	*length = head[6] == 1 ? lm_get_u16(head + 8) : lm_get_u32(head + 8);
	if (*length > LONGEST)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%sa header of %zu bytes: at most %d are read", what, *length, LONGEST);
	return 0;
}

int
lm_npy_header(lm_npy_read *get, void *from, const char *what, struct lm_entry *e,
    struct loom_error *err)
{
	struct parser p = { .what = what, .entry = e, .err = err };
	char text[LONGEST];
	size_t fixed = 0, length = 0;

	if (prelude(get, from, what, &fixed, &length, err) < 0 || get(from, text, length, err) < 0)
		return -1;
	p.at = text;
	p.end = text + length;
	if (length == 0 || p.end[-1] != '\n')
		return lm_fail(err, LOOM_EFORMAT, "%sthe header does not end in a newline", what);
	if (dictionary(&p) < 0 || lm_entry_size(e, what, err) < 0)
		return -1;
	e->offset = fixed + length;
	if (e->tensor.rank < 2)
		e->fortran = 0; /* both orders are the same */
	return 0;
}

/* ---- an array alone ---- */

static int
sniff(const unsigned char *head, size_t len)
{
	return len >= MAGIC && memcmp(head, magic, MAGIC) == 0 ? 100 : 0;
}

static int
from_source(void *from, void *dst, size_t n, struct loom_error *err)
{
	return lm_source_read(from, dst, n, err);
}

static int
index_one(struct loom_tensors *t, struct loom_error *err)
{
	struct lm_entry *e = lm_tensors_add(t, "array", err);
	uint64_t size;

	if (e == NULL || lm_npy_header(from_source, t->source, "", e, err) < 0)
		return -1;
	if (!lm_source_size(t->source, &size))
		return 0;
	if (lm_source_claim(t->source, e->bytes, err) < 0)
		return -1;
	if (size - e->offset > e->bytes)
		return lm_fail(err, LOOM_EFORMAT, "%ju bytes follow the data",
		    (uintmax_t)(size - e->offset - e->bytes));
	return 0;
}

/* ---- writing ---- */

static const char *
code_of(const struct lm_dtype *dtype)
{
	size_t i;

	for (i = 0; i < CODES; i++)
		if (lm_dtype_get(codes[i].id) == dtype)
			return codes[i].code;
	return NULL;
}

/* The dictionary, with the room that NumPy leaves for the first extent to grow to 21 digits. */
static size_t
put_dictionary(char *dst, size_t size, const struct loom_tensor *t, const char *code)
{
	char first[24] = "";
	int n = snprintf(dst, size, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
	    code[1] == '1' ? '|' : '<', code);
	unsigned i;

	for (i = 0; i < t->rank; i++) {
		n += snprintf(dst + n, size - (size_t)n, "%s%ju", i > 0 ? ", " : "",
		    (uintmax_t)t->shape[i]);
		if (i == 0)
			(void)snprintf(first, sizeof(first), "%ju", (uintmax_t)t->shape[i]);
	}
	n += snprintf(dst + n, size - (size_t)n, "%s), }", t->rank == 1 ? "," : "");
	if (t->rank > 0)
		n += snprintf(dst + n, size - (size_t)n, "%*s", 21 - (int)strlen(first), "");
	return (size_t)n;
}

int
lm_npy_make(const struct loom_tensor *t, unsigned char dst[LM_NPY_HEADER], size_t *len,
    struct loom_error *err)
{
	const struct lm_dtype *dtype;
	char shown[LM_SHOWN];
	const char *code;
	uint64_t bytes;
	size_t n, end;

	if (lm_tensor_size(t, &dtype, &bytes, err) < 0)
		return -1;
	code = code_of(dtype);
	if (code == NULL)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "tensor %s is %s, which .npy cannot hold: write safetensors or convert it",
		    lm_shown(shown, t->name), dtype->name);
	n = 10 + put_dictionary((char *)dst + 10, LM_NPY_HEADER - 10, t, code);
	/* Room for the newline, then 1 to 64 blanks: NumPy's own count. */
	end = n + 1 + ALIGN - (n + 1) % ALIGN;
	memset(dst + n, ' ', end - n - 1);
	dst[end - 1] = '\n';
	memcpy(dst, magic, MAGIC);
	dst[6] = 1;
	dst[7] = 0;
	lm_put_u16(dst + 8, (uint16_t)(end - 10));
	*len = end;
	return 0;
}

static int
write_one(struct lm_sink *sink, const struct loom_tensor *t, size_t n, struct loom_error *err)
{
	unsigned char header[LM_NPY_HEADER];
	const struct lm_dtype *dtype;
	uint64_t bytes;
	size_t len;

	if (n != 1)
		return lm_fail(err, LOOM_EARG,
		    "an .npy holds one tensor, not %zu: write npz or safetensors", n);
	if (lm_npy_make(t, header, &len, err) < 0 || lm_tensor_size(t, &dtype, &bytes, err) < 0 ||
	    lm_sink_write(sink, header, len, err) < 0)
		return -1;
	return lm_sink_write(sink, t->data, (size_t)bytes, err);
}

const struct lm_format_ops lm_format_npy = {
	.name = "npy",
	.about = "a NumPy array",
	.holds = LM_HOLDS_TENSORS,
	.can = LM_READ | LM_WRITE | LM_PIPE,
	.sniff = sniff,
	.index = index_one,
	.write_tensors = write_one,
};
