/* request_text: a walk over JSON text by the rules of Go's encoding/json. */
#include "format/request_text.h"

#include <string.h>

#define REPLACEMENT 0xfffd

int
lm_walk_fail(struct lm_walk *w, const char *expected)
{
	unsigned char c;

	if (w->err->code == LOOM_OK) {
		w->err->placed = 1;
		w->err->offset = (uint64_t)(w->at.p - w->text);
	}
	if (w->at.p >= w->at.end)
		return lm_fail(w->err, LOOM_ETRUNCATED, "JSON: expected %s, found the end",
		    expected);
	c = (unsigned char)*w->at.p;
	if (c >= 0x20 && c < 0x7f)
		return lm_fail(w->err, LOOM_EFORMAT, "JSON: expected %s, found '%c'", expected, c);
	return lm_fail(w->err, LOOM_EFORMAT, "JSON: expected %s, found the byte 0x%02x", expected,
	    c);
}

static int
take(struct lm_walk *w, char c)
{
	lm_scan_space(&w->at);
	if (w->at.p >= w->at.end || *w->at.p != c)
		return 0;
	w->at.p++;
	return 1;
}

int
lm_walk_kind(struct lm_walk *w)
{
	char c;

	lm_scan_space(&w->at);
	c = w->at.p < w->at.end ? *w->at.p : '\0';
	if (c == '-' || (c >= '0' && c <= '9'))
		return '0';
	if (c == '\0' || strchr("{[\"tfn", c) == NULL)
		return lm_walk_fail(w, "a value");
	return c;
}

/* ---- strings ---- */

static int
hex4(struct lm_walk *w, uint32_t *out)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *found;
	uint32_t c = 0;
	int i;

	for (i = 0; i < 4; i++, w->at.p++) {
		found = w->at.p < w->at.end && *w->at.p != '\0' ? strchr(digits, *w->at.p) : NULL;
		if (found == NULL)
			return lm_walk_fail(w, "four hexadecimal digits after \\u");
		c = c << 4 | (uint32_t)(found - digits - (found - digits > 15 ? 6 : 0));
	}
	*out = c;
	return 0;
}

/* Of a pair of surrogates both; one alone is replaced, and what follows stands for itself. */
static int
escaped_rune(struct lm_walk *w, uint32_t *c)
{
	const char *after;
	uint32_t low;

	if (hex4(w, c) < 0)
		return -1;
	if (*c < 0xd800 || *c > 0xdfff)
		return 0;
	after = w->at.p;
	if (*c < 0xdc00 && w->at.end - after >= 2 && after[0] == '\\' && after[1] == 'u') {
		w->at.p += 2;
		if (hex4(w, &low) < 0)
			return -1;
		if (low >= 0xdc00 && low <= 0xdfff) {
			*c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
			return 0;
		}
		w->at.p = after;
	}
	*c = REPLACEMENT;
	return 0;
}

static int
escape(struct lm_walk *w, uint32_t *c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	w->at.p++;
	if (w->at.p < w->at.end && *w->at.p == 'u') {
		w->at.p++;
		return escaped_rune(w, c);
	}
	found = w->at.p < w->at.end && *w->at.p != '\0' ? strchr(from, *w->at.p) : NULL;
	if (found == NULL)
		return lm_walk_fail(w, "one of \"\\/bfnrtu after \\");
	*c = (unsigned char)to[found - from];
	w->at.p++;
	return 0;
}

/* A character of UTF-8, without overlong forms and surrogates; a byte that begins none is replaced. */
static uint32_t
plain_rune(struct lm_walk *w)
{
	const unsigned char *p = (const unsigned char *)w->at.p;
	size_t n = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2, i;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = n == 1 ? *p : *p & (0x7fu >> n);

	w->at.p++;
	if (n == 1)
		return c;
	if (*p < 0xc2 || *p > 0xf4 || (size_t)(w->at.end - (const char *)p) < n)
		return REPLACEMENT;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return REPLACEMENT;
	w->at.p += n - 1;
	return c;
}

static int
add_rune(struct lm_buf *buf, uint32_t c, struct loom_error *err)
{
	char s[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;

	s[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c >> 6 * (n - 1));
	for (i = 1; i < n; i++)
		s[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
	return lm_buf_add(buf, s, n, err);
}

/* The next character of a string; 0 at its closing quote. */
static int
next_rune(struct lm_walk *w, uint32_t *c)
{
	if (w->at.p >= w->at.end)
		return lm_walk_fail(w, "the end of a string");
	if (*w->at.p == '"') {
		w->at.p++;
		return 0;
	}
	if ((unsigned char)*w->at.p < 0x20)
		return lm_walk_fail(w, "no control character in a string");
	if (*w->at.p == '\\')
		return escape(w, c) < 0 ? -1 : 1;
	*c = plain_rune(w);
	return 1;
}

int
lm_walk_string(struct lm_walk *w, struct lm_buf *buf, int *nul, struct loom_error *err)
{
	uint32_t c;
	int r;

	*nul = 0;
	lm_buf_clear(buf);
	lm_scan_space(&w->at);
	w->at.p++; /* the opening quote */
	while ((r = next_rune(w, &c)) > 0) {
		*nul |= c == 0;
		if (add_rune(buf, c != 0 ? c : REPLACEMENT, err) < 0)
			return -1;
	}
	return r < 0 ? -1 : lm_buf_add(buf, "", 0, err);
}

static int
skip_string(struct lm_walk *w)
{
	uint32_t c;
	int r;

	w->at.p++;
	while ((r = next_rune(w, &c)) > 0)
		;
	return r;
}

/* ---- containers ---- */

static int
colon(struct lm_walk *w)
{
	return take(w, ':') ? 1 : lm_walk_fail(w, "':' after a key");
}

/* 1 before the next one, 0 after the end.  open and close are the brackets. */
static int
next_one(struct lm_walk *w, size_t *n, char open, char close)
{
	if (*n == 0) {
		(void)take(w, open);
		if (take(w, close))
			return 0;
	} else if (take(w, close))
		return 0;
	else if (!take(w, ','))
		return lm_walk_fail(w, close == '}' ? "',' or '}'" : "',' or ']'");
	++*n;
	lm_scan_space(&w->at);
	return 1;
}

static int
at_key(struct lm_walk *w)
{
	return w->at.p < w->at.end && *w->at.p == '"' ? 1 : lm_walk_fail(w, "a key in quotes");
}

int
lm_walk_member(struct lm_walk *w, size_t *n, struct lm_buf *key)
{
	int r = next_one(w, n, '{', '}'), nul;

	if (r <= 0)
		return r;
	if (at_key(w) < 0 || lm_walk_string(w, key, &nul, w->err) < 0)
		return -1;
	return colon(w);
}

int
lm_walk_item(struct lm_walk *w, size_t *n)
{
	return next_one(w, n, '[', ']');
}

static int
skip_word(struct lm_walk *w, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(w->at.end - w->at.p) < n || memcmp(w->at.p, word, n) != 0)
		return lm_walk_fail(w, "true, false or null");
	w->at.p += n;
	return 0;
}

/* The text at hand began like a number. */
static int
wrong_number(struct lm_walk *w)
{
	const char *p = w->at.p + (*w->at.p == '-');

	if (w->at.end - p >= 2 && p[0] == '0' && p[1] >= '0' && p[1] <= '9')
		return lm_walk_fail(w, "a number without leading zeros");
	return lm_walk_fail(w, "a whole number");
}

static int
skip_scalar(struct lm_walk *w, int kind)
{
	double value;

	switch (kind) {
	case '"':
		return skip_string(w);
	case '0':
		return lm_scan_number(&w->at, &value) < 0 ? wrong_number(w) : 0;
	case 't':
		return skip_word(w, "true");
	case 'f':
		return skip_word(w, "false");
	default:
		return skip_word(w, "null");
	}
}

/* Containers are kept as bits of a stack: deep nesting costs no recursion. */
struct nest {
	unsigned char object[LM_WALK_DEPTH / 8 + 1];
	int depth;
};

static int
enter(struct lm_walk *w, struct nest *nest, int object)
{
	unsigned char bit = (unsigned char)(1 << nest->depth % 8);

	if (nest->depth >= LM_WALK_DEPTH)
		return lm_fail(w->err, LOOM_EFORMAT, "JSON: nested deeper than %d", LM_WALK_DEPTH);
	nest->object[nest->depth / 8] &= (unsigned char)~bit;
	if (object)
		nest->object[nest->depth / 8] |= bit;
	nest->depth++;
	return 0;
}

/* To the next value that is due, leaving the containers that end here: 0 when all have ended. */
static int
advance(struct lm_walk *w, struct nest *nest, size_t n)
{
	int object, r = 0;

	for (; nest->depth > 0; nest->depth--, n = 1) {
		object = nest->object[(nest->depth - 1) / 8] >> (nest->depth - 1) % 8 & 1;
		r = next_one(w, &n, object ? '{' : '[', object ? '}' : ']');
		if (r > 0 && object && (at_key(w) < 0 || skip_string(w) < 0 || colon(w) < 0))
			return -1;
		if (r != 0)
			return r;
	}
	return r;
}

int
lm_walk_skip(struct lm_walk *w)
{
	struct nest nest;
	int kind, r = 1;
	size_t n;

	for (nest.depth = 0; r > 0; r = advance(w, &nest, n)) {
		kind = lm_walk_kind(w);
		n = 1;
		if (kind == '{' || kind == '[') {
			if (enter(w, &nest, kind == '{') < 0)
				return -1;
			n = 0;
		} else if (kind < 0 || skip_scalar(w, kind) < 0)
			return -1;
	}
	return r;
}

int
lm_walk_end(struct lm_walk *w)
{
	lm_scan_space(&w->at);
	return w->at.p < w->at.end ? lm_walk_fail(w, "nothing after the value") : 0;
}
