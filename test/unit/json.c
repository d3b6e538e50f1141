/* The strict JSON reader, typed access, and the way back in Go's form. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "format/gotext.h"

static void
reads_as(const char *text, const char *expected)
{
	struct loom_error err = { 0 };
	struct lm_buf buf;
	json_t *value;

	lm_buf_init(&buf, 1 << 20);
	if (lm_json_parse(&value, text, strlen(text), &err) < 0 ||
	    lm_go_json(&buf, value, &err) < 0) {
		fprintf(stderr, "%s: %s\n", text, err.text);
		assert(0);
	}
	if (strcmp(buf.data, expected) != 0) {
		fprintf(stderr, "%s: expected %s, found %s\n", text, expected, buf.data);
		assert(0);
	}
	json_decref(value);
	lm_buf_release(&buf);
}

static void
refuses(const char *text, size_t n, uint64_t at, const char *message)
{
	struct loom_error err = { 0 };
	json_t *value;

	assert(lm_json_parse(&value, text, n, &err) == -1 && value == NULL);
	if (err.code != LOOM_EFORMAT || !err.placed || err.offset != at ||
	    strcmp(err.text, message) != 0) {
		fprintf(stderr, "%.*s: byte %llu: %s\n", (int)n, text,
		    (unsigned long long)err.offset, err.text);
		assert(0);
	}
}

static void
values(void)
{
	reads_as(" { \"b\" : [ ] , \"a\" : { } , \"c\":[1,-2,true,false,null,\"x\"]\t}\r\n",
	    "{\"b\":[],\"a\":{},\"c\":[1,-2,true,false,null,\"x\"]}");
	reads_as("0", "0");
	reads_as("-0", "-0");
	reads_as("-0.0", "-0");
	reads_as("9223372036854775807", "9223372036854775807");
	reads_as("-9223372036854775808", "-9223372036854775808");
	reads_as("9223372036854775808", "9223372036854776000");
	reads_as("100000000000000000000", "100000000000000000000");
	reads_as("1e21", "1e+21");
	reads_as("1.0", "1");
	reads_as("0.000001", "0.000001");
	reads_as("9.999999e-7", "9.999999e-7");
	reads_as("1E-400", "0");
	reads_as("1.7976931348623157e308", "1.7976931348623157e+308");
	reads_as("5e-324", "5e-324");
}

static void
strings(void)
{
	reads_as("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u00e9\\u20ac\\ud83d\\ude00\"",
	    "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	/* What Loom wrote for a combine_mode in its golden file text-escapes-float32. */
	reads_as("\"a\\u003c\\u0026\\u003e\\\"\\\\\\u0001\\n\xc3\xa9\\u2028z\"",
	    "\"a\\u003c\\u0026\\u003e\\\"\\\\\\u0001\\n\xc3\xa9\\u2028z\"");
	reads_as("\"\xe2\x80\xa7 \xe2\x80\xa9 \x7f\"", "\"\xe2\x80\xa7 \\u2029 \x7f\"");
	reads_as("\"\"", "\"\"");
	reads_as("{\"\":1}", "{\"\":1}");
	reads_as("\"\xef\xbf\xbd\"", "\"\xef\xbf\xbd\"");
}

#define REFUSES(text, at, message) refuses(text, sizeof(text) - 1, at, "JSON: " message)

static void
syntax(void)
{
	REFUSES("", 0, "expected a value, found the end");
	REFUSES("  ", 2, "expected a value, found the end");
	REFUSES("nul", 0, "expected a value, found 'n'");
	REFUSES("[1,]", 3, "expected a value, found ']'");
	REFUSES("[1 2]", 3, "expected ',' or ']', found '2'");
	REFUSES("{\"a\" 1}", 5, "expected ':' after a key, found '1'");
	REFUSES("{\"a\":1,}", 7, "expected a key in quotes, found '}'");
	REFUSES("{\"a\":1", 6, "expected ',' or '}', found the end");
	REFUSES("{a:1}", 1, "expected a key in quotes, found 'a'");
	REFUSES("1 x", 2, "expected the end, found 'x'");
	REFUSES("1\0", 1, "expected the end, found the byte 0x00");
	REFUSES("\xef\xbb\xbf{}", 0, "expected a value, found the byte 0xef");
	REFUSES("{\"a\":1,\"b\":2,\"a\":3}", 13, "the key \"a\" stands twice");
	REFUSES("{\"a\":1,\"\\u0061\":3}", 7, "the key \"a\" stands twice");
	REFUSES("\"abc", 0, "a string without its end");
	REFUSES("\"a\nc\"", 2, "a control character in a string");
	REFUSES("\"a\0c\"", 2, "a control character in a string");
	REFUSES("\"a\\u0000\"", 2, "\\u0000 in a string");
	REFUSES("\"\\x\"", 2, "expected one of \"\\/bfnrtu after \\, found 'x'");
	REFUSES("\"\\u12g4\"", 5, "expected four hexadecimal digits after \\u, found 'g'");
	REFUSES("\"\\ud800\"", 1, "half of a surrogate pair in a string");
	REFUSES("\"\\ude00\\ud83d\"", 1, "half of a surrogate pair in a string");
	REFUSES("\"\xc3\"", 1, "a string that is not UTF-8");
	REFUSES("\"\xc0\xaf\"", 1, "a string that is not UTF-8");
	REFUSES("\"\xed\xa0\x80\"", 1, "a string that is not UTF-8");
	REFUSES("\"\xf4\x90\x80\x80\"", 1, "a string that is not UTF-8");
}

static void
numbers(void)
{
	REFUSES("01", 0, "a number with a leading 0");
	REFUSES("-", 1, "expected a digit, found the end");
	REFUSES("+1", 0, "expected a value, found '+'");
	REFUSES(".5", 0, "expected a value, found '.'");
	REFUSES("1.", 2, "expected a digit after the point, found the end");
	REFUSES("1e", 2, "expected a digit of the exponent, found the end");
	REFUSES("0x10", 1, "expected the end, found 'x'");
	REFUSES("NaN", 0, "expected a value, found 'N'");
	REFUSES("1e400", 0, "a number too large for binary64");
}

static void
depth(void)
{
	char text[200];

	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	text[128] = '\0';
	reads_as(text, text);
	memset(text, '[', 65);
	refuses(text, 65, 64, "JSON: nested deeper than 64");
}

static void
getters(void)
{
	static const char text[] = "{\"s\":\"x\",\"i\":5,\"r\":1.5,\"b\":true,\"n\":null,\"a\":[],"
				   "\"big\":9223372036854775808,\"zero\":-0}";
	static const char *const known[] = { "s", "i", "r", "b", "n", "a", NULL };
	struct loom_error err = { 0 };
	const char *s = "as it was", *key;
	int64_t i = -1;
	double r = 0;
	int b = 0;
	json_t *v, *out = NULL;
	void *state = NULL;

	assert(lm_json_parse(&v, text, strlen(text), &err) == 0);
	assert(lm_json_string(v, "w", "n", 0, &s, &err) == 0 && strcmp(s, "as it was") == 0);
	assert(lm_json_string(v, "w", "s", 1, &s, &err) == 1 && strcmp(s, "x") == 0);
	assert(lm_json_integer(v, "w", "i", 1, 0, 9, &i, &err) == 1 && i == 5);
	assert(lm_json_real(v, "w", "r", 1, &r, &err) == 1 && r == 1.5);
	assert(lm_json_real(v, "w", "i", 1, &r, &err) == 1 && r == 5);
	assert(lm_json_real(v, "w", "zero", 1, &r, &err) == 1 && r == 0 && signbit(r));
	assert(lm_json_flag(v, "w", "b", 1, &b, &err) == 1 && b);
	assert(lm_json_array(v, "w", "a", 1, &out, &err) == 1 && json_is_array(out));
	key = lm_json_unknown(v, known, &state);
	assert(strcmp(key, "big") == 0);
	key = lm_json_unknown(v, known, &state);
	assert(strcmp(key, "zero") == 0 && lm_json_unknown(v, known, &state) == NULL);

#define FAILS(call, message)                                                        \
	do {                                                                        \
		assert((call) == -1);                                               \
		if (strcmp(err.text, message) != 0)                                 \
			fprintf(stderr, "%s\n", err.text);                          \
		assert(strcmp(err.text, message) == 0 && err.code == LOOM_EFORMAT); \
		memset(&err, 0, sizeof(err));                                       \
	} while (0)
	FAILS(lm_json_string(v, "w", "x", 1, &s, &err), "w: \"x\" is missing");
	FAILS(lm_json_string(v, "w", "n", 1, &s, &err), "w: \"n\" is null");
	FAILS(lm_json_string(v, "w", "i", 0, &s, &err), "w: \"i\" is an integer, not a string");
	FAILS(lm_json_integer(v, "w", "r", 1, 0, 9, &i, &err),
	    "w: \"r\" is a real number, not an integer");
	FAILS(lm_json_integer(v, "w", "i", 1, 6, 9, &i, &err), "w: \"i\" is 5, not 6..9");
	FAILS(lm_json_integer(v, "w", "i", 1, 6, 6, &i, &err), "w: \"i\" is 5, not 6");
	FAILS(lm_json_integer(v, "w", "big", 1, 0, 9, &i, &err),
	    "w: \"big\" is 9.2233720368547758e+18, which is no 64-bit integer");
	FAILS(lm_json_integer(v, "w", "zero", 1, 0, 9, &i, &err),
	    "w: \"zero\" is -0, which is no 64-bit integer");
	FAILS(lm_json_real(v, "w", "s", 1, &r, &err), "w: \"s\" is a string, not a number");
	FAILS(lm_json_flag(v, "w", "i", 1, &b, &err), "w: \"i\" is an integer, not true or false");
	FAILS(lm_json_array(v, "w", "b", 1, &out, &err), "w: \"b\" is true, not an array");
	FAILS(lm_json_object(v, "w", "a", 1, &out, &err), "w: \"a\" is an array, not an object");
	FAILS(lm_json_only(v, "w", known, &err),
	    "w: unknown key \"big\" (known: s, i, r, b, n, a)");
	json_decref(v);
}

int
main(void)
{
	values();
	strings();
	syntax();
	numbers();
	depth();
	getters();
	return 0;
}
