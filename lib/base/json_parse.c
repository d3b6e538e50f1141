/* json_parse: the strict reader of JSON text (RFC 8259). */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"

enum { NUMBER = 1100 }; /* the longest exact decimal of a binary64 fits */

struct reader {
	const unsigned char *text, *p, *end;
	int depth;
	struct lm_buf word; /* the string at hand, decoded */
	struct loom_error *err;
};

static json_t *read_value(struct reader *);

static int
fail(struct reader *r, const unsigned char *at, const char *what)
{
	if (r->err->code == LOOM_OK) {
		r->err->placed = 1;
		r->err->offset = (uint64_t)(at - r->text);
	}
	return lm_fail(r->err, LOOM_EFORMAT, "JSON: %s", what);
}

/* What was expected, and what stands there instead. */
static int
unexpected(struct reader *r, const char *expected)
{
	char text[120];

	if (r->p == r->end)
		snprintf(text, sizeof(text), "expected %s, found the end", expected);
	else if (*r->p >= 0x20 && *r->p < 0x7f)
		snprintf(text, sizeof(text), "expected %s, found '%c'", expected, *r->p);
	else
		snprintf(text, sizeof(text), "expected %s, found the byte 0x%02x", expected, *r->p);
	return fail(r, r->p, text);
}

static json_t *
made(struct reader *r, json_t *value)
{
	if (value == NULL)
		(void)lm_fail(r->err, LOOM_ENOMEM, "no memory for JSON");
	return value;
}

static void
skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static int
next_is(struct reader *r, char c)
{
	skip_space(r);
	if (r->p == r->end || *r->p != (unsigned char)c)
		return 0;
	r->p++;
	return 1;
}

/* ---- strings ---- */

static int
add_rune(struct reader *r, uint32_t c)
{
	char s[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;

	s[0] = (char)c;
	if (n > 1)
		s[0] = (char)((0xf00 >> n & 0xff) | c >> 6 * (n - 1));
	for (i = 1; i < n; i++)
		s[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
	return lm_buf_add(&r->word, s, n, r->err);
}

/* The length of the UTF-8 sequence at p, without overlong forms and surrogates; 0: it is none. */
static size_t
utf8_length(const unsigned char *p, const unsigned char *end)
{
	size_t n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2, i;
	uint32_t c;

	if (*p < 0xc2 || *p > 0xf4 || (size_t)(end - p) < n)
		return 0;
	c = *p & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) ||
	    (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return n;
}

static int
hex4(struct reader *r, uint32_t *out)
{
	uint32_t c = 0;
	int i, d;

	for (i = 0; i < 4; i++, r->p++) {
		if (r->p == r->end)
			return unexpected(r, "four hexadecimal digits after \\u");
		d = *r->p >= '0' && *r->p <= '9'   ? *r->p - '0'
		    : *r->p >= 'a' && *r->p <= 'f' ? *r->p - 'a' + 10
		    : *r->p >= 'A' && *r->p <= 'F' ? *r->p - 'A' + 10
						   : -1;
		if (d < 0)
			return unexpected(r, "four hexadecimal digits after \\u");
		c = c << 4 | (uint32_t)d;
	}
	*out = c;
	return 0;
}

static int
read_unicode(struct reader *r)
{
	const unsigned char *at = r->p - 2;
	uint32_t high, low = 0;

	if (hex4(r, &high) < 0)
		return -1;
	if (high == 0)
		return fail(r, at, "\\u0000 in a string");
	if (high < 0xd800 || high > 0xdfff)
		return add_rune(r, high);
	if (high < 0xdc00 && r->end - r->p >= 2 && r->p[0] == '\\' && r->p[1] == 'u') {
		r->p += 2;
		if (hex4(r, &low) < 0)
			return -1;
	}
	if (low < 0xdc00 || low > 0xdfff)
		return fail(r, at, "half of a surrogate pair in a string");
	return add_rune(r, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

static int
read_escape(struct reader *r)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	r->p++;
	if (r->p == r->end)
		return unexpected(r, "a character after \\");
	if (*r->p == 'u') {
		r->p++;
		return read_unicode(r);
	}
	found = *r->p != '\0' ? strchr(from, *r->p) : NULL;
	if (found == NULL)
		return unexpected(r, "one of \"\\/bfnrtu after \\");
	r->p++;
	return lm_buf_add(&r->word, to + (found - from), 1, r->err);
}

/* A run of plain characters. */
static int
read_plain(struct reader *r)
{
	const unsigned char *from = r->p;
	size_t n;

	while (r->p < r->end && *r->p != '"' && *r->p != '\\' && *r->p >= 0x20) {
		n = *r->p < 0x80 ? 1 : utf8_length(r->p, r->end);
		if (n == 0)
			return fail(r, r->p, "a string that is not UTF-8");
		r->p += n;
	}
	return lm_buf_add(&r->word, from, (size_t)(r->p - from), r->err);
}

/* From the opening quote to the closing one, into word. */
static int
read_string(struct reader *r)
{
	const unsigned char *at = r->p++;

	lm_buf_clear(&r->word);
	for (;;) {
		if (read_plain(r) < 0)
			return -1;
		if (r->p == r->end)
			return fail(r, at, "a string without its end");
		if (*r->p == '"')
			break;
		if (*r->p < 0x20)
			return fail(r, r->p, "a control character in a string");
		if (read_escape(r) < 0)
			return -1;
	}
	r->p++;
	return 0;
}

/* ---- numbers ---- */

static size_t
skip_digits(struct reader *r)
{
	const unsigned char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - from);
}

/* Past the number; *real says that it has a fraction or an exponent. */
static int
scan_number(struct reader *r, int *real)
{
	if (*r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0') {
		r->p++;
		if (r->p < r->end && *r->p >= '0' && *r->p <= '9')
			return fail(r, r->p - 1, "a number with a leading 0");
	} else if (skip_digits(r) == 0)
		return unexpected(r, "a digit");
	if (r->p < r->end && *r->p == '.') {
		*real = 1;
		r->p++;
		if (skip_digits(r) == 0)
			return unexpected(r, "a digit after the point");
	}
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
		*real = 1;
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (skip_digits(r) == 0)
			return unexpected(r, "a digit of the exponent");
	}
	return 0;
}

/* The program around us may have set a locale with another decimal point. */
static double
real_value(char *number)
{
	const struct lconv *conv = localeconv();
	char *point = strchr(number, '.');

	if (point != NULL && conv->decimal_point[0] != '\0')
		*point = conv->decimal_point[0];
	return strtod(number, NULL);
}

static json_t *
read_number(struct reader *r)
{
	const unsigned char *at = r->p;
	char number[NUMBER];
	size_t n;
	int real = 0;
	long long integer;
	double value;

	if (scan_number(r, &real) < 0)
		return NULL;
	n = (size_t)(r->p - at);
	if (n >= sizeof(number)) {
		(void)fail(r, at, "a number of more than 1099 characters");
		return NULL;
	}
	memcpy(number, at, n);
	number[n] = '\0';
	errno = 0;
	integer = strtoll(number, NULL, 10);
	if (!real && errno == 0 && !(integer == 0 && number[0] == '-'))
		return made(r, json_integer(integer));
	value = real_value(number);
	if (isinf(value)) {
		(void)fail(r, at, "a number too large for binary64");
		return NULL;
	}
	return made(r, json_real(value));
}

/* ---- arrays, objects, the rest ---- */

static json_t *
read_array(struct reader *r)
{
	json_t *array = made(r, json_array()), *item;

	r->p++;
	if (array == NULL || next_is(r, ']'))
		return array;
	for (;;) {
		item = read_value(r);
		if (item == NULL || lm_json_append(array, item, r->err) < 0)
			break;
		if (next_is(r, ']'))
			return array;
		if (!next_is(r, ',')) {
			(void)unexpected(r, "',' or ']'");
			break;
		}
	}
	json_decref(array);
	return NULL;
}

/* The key into word, and a check that it is new. */
static int
read_key(struct reader *r, const json_t *object)
{
	const unsigned char *at;
	char shown[LM_SHOWN], text[LM_SHOWN + 40];

	skip_space(r);
	at = r->p;
	if (r->p == r->end || *r->p != '"')
		return unexpected(r, "a key in quotes");
	if (read_string(r) < 0)
		return -1;
	if (json_object_get(object, r->word.data) != NULL) {
		snprintf(text, sizeof(text), "the key \"%s\" stands twice",
		    lm_shown(shown, r->word.data));
		return fail(r, at, text);
	}
	return next_is(r, ':') ? 0 : unexpected(r, "':' after a key");
}

/* word is used again by the value, so the key takes its place with a null first. */
static int
read_member(struct reader *r, json_t *object)
{
	json_t *value;
	void *member;

	if (read_key(r, object) < 0 || lm_json_set(object, r->word.data, json_null(), r->err) < 0)
		return -1;
	member = json_object_iter_at(object, r->word.data);
	value = read_value(r);
	if (value == NULL)
		return -1;
	return json_object_iter_set_new(object, member, value);
}

static json_t *
read_object(struct reader *r)
{
	json_t *object = made(r, json_object());

	r->p++;
	if (object == NULL || next_is(r, '}'))
		return object;
	while (read_member(r, object) == 0) {
		if (next_is(r, '}'))
			return object;
		if (!next_is(r, ',')) {
			(void)unexpected(r, "',' or '}'");
			break;
		}
	}
	json_decref(object);
	return NULL;
}

static json_t *
read_word(struct reader *r)
{
	static const struct {
		const char *text;
		json_t *(*make)(void);
	} words[] = { { "true", json_true }, { "false", json_false }, { "null", json_null } };
	size_t i, n;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
		n = strlen(words[i].text);
		if ((size_t)(r->end - r->p) >= n && memcmp(r->p, words[i].text, n) == 0) {
			r->p += n;
			return words[i].make();
		}
	}
	(void)unexpected(r, "a value");
	return NULL;
}

static json_t *
read_nested(struct reader *r, json_t *(*read)(struct reader *))
{
	json_t *value;

	if (r->depth == LM_JSON_DEPTH) {
		(void)fail(r, r->p, "nested deeper than 64");
		return NULL;
	}
	r->depth++;
	value = read(r);
	r->depth--;
	return value;
}

static json_t *
read_value(struct reader *r)
{
	skip_space(r);
	if (r->p == r->end)
		return read_word(r);
	switch (*r->p) {
	case '{':
		return read_nested(r, read_object);
	case '[':
		return read_nested(r, read_array);
	case '"':
		return read_string(r) < 0
		    ? NULL
		    : made(r, json_stringn_nocheck(r->word.data, r->word.len));
	default:
		return *r->p == '-' || (*r->p >= '0' && *r->p <= '9') ? read_number(r)
								      : read_word(r);
	}
}

int
lm_json_parse(json_t **out, const char *text, size_t n, struct loom_error *err)
{
	struct reader r = { .err = err };
	json_t *value;

	*out = NULL;
	r.text = r.p = (const unsigned char *)text;
	r.end = r.text + n;
	lm_buf_init(&r.word, n + 4);
	value = read_value(&r);
	skip_space(&r);
	if (value != NULL && r.p != r.end) {
		(void)unexpected(&r, "the end");
		json_decref(value);
		value = NULL;
	}
	lm_buf_release(&r.word);
	*out = value;
	return value == NULL ? -1 : 0;
}
