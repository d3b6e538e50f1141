/* scan: numbers of JSON text against the C library's strtod, and what JSON's grammar refuses. */
#include "num/scan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/bytes.h"

/* The text is copied so that its end is the end of the memory: reading past it is seen. */
static int
scan(const char *text, double *value, size_t *used)
{
	size_t n = strlen(text);
	char *copy = malloc(n + (n == 0));
	struct lm_scan s = { copy, copy + n };
	int r;

	assert(copy != NULL);
	memcpy(copy, text, n);
	r = lm_scan_number(&s, value);
	*used = (size_t)(s.p - copy);
	free(copy);
	return r;
}

static void
same_as_strtod(const char *text)
{
	double want = strtod(text, NULL), got;
	size_t used;

	if (scan(text, &got, &used) == 0 && used == strlen(text) &&
	    lm_bits64(got) == lm_bits64(want))
		return;
	fprintf(stderr, "%s: got %a, want %a\n", text, got, want);
	abort();
}

static void
hard_numbers(void)
{
	static const char *const texts[] = { "0", "-0", "0.00012345678901234567",
		"0.00000000000012345678901234567891", "0.0000000000001234567890123456789",
		"0.000000000000000000000000000000", "-0.0000000000000000000000000000001",
		"12345678", "1.2345678", "123456789.12345678", "1234567.12345678901", "0.0", "-0.0",
		"0e5", "0e-99999999999999999999", "1", "-1", "10", "123456789", "9007199254740992",
		"9007199254740993", "9007199254740995",
		"9007199254740993.0000000000000000000000000001", "18014398509481986",
		"18446744073709551615", "18446744073709551616", "9999999999999999999",
		"99999999999999999999", "123456789012345678901234567890", "0.1", "0.2", "0.3",
		"1e22", "1e23", "-1e23", "8e22", "1e-22", "1e-23", "1E5", "1e+5", "1.5e-5",
		"2.2250738585072011e-308", "2.2250738585072014e-308", "4.9406564584124654e-324",
		"2.4703282292062327e-324", "2.4703282292062328e-324", "5e-324", "1e-400", "-1e-400",
		"1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308",
		"1e309", "-1e309", "1e99999999999999999999", "1e-99999999999999999999", "1e64",
		"1e65", "1e-64", "1e-65", "18446744073709551615e64", "18446744073709551615e-64",
		"1e-46", "7.0064923216240853546186479164495806564013097093825788587853e-46",
		"7.0064923216240853546186479164495806564013097093825788587854e-46",
		"1.00000005960464477539062499999999", "1.000000059604644775390625",
		"1.00000005960464477539062500000001", "1.00000017881393432617187499",
		"0.000000000000000000000000000000000000000000000000000000000000000000000000001",
		"3.4028235677973366e38", "3.4028234663852886e38", "6.8249794e-2",
		"1.23456789012345678e-10", "5708990770823839207320493820740630171355185e20",
		"2.50000000000000000000000000000000000000000000000000000000000000000000000000001",
		"1.0000000000000001110223024625156540423631668090820312",
		"1.0000000000000001110223024625156540423631668090820313", "9214843084008499",
		"0.500000000000000166533453693773481063544750213623046875", "6929495644600919.5",
		"3.518437208883201171875e13", "30078505129381147446200",
		"1090544144181609348671888949248", "7.8459735791271921e65" };
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		same_as_strtod(texts[i]);
}

static uint64_t
next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Random bits printed with 1 to 21 digits, and the texts half way to the next number. */
static void
random_numbers(void)
{
	uint64_t state = 42;
	char text[1200];
	double v;
	int i;

	for (i = 0; i < 100000; i++) {
		v = lm_from_bits64(next(&state));
		if (v - v != 0)
			continue;
		snprintf(text, sizeof(text), "%.*e", i % 21, v);
		same_as_strtod(text);
		v = lm_from_bits32((uint32_t)next(&state));
		if (v - v != 0)
			continue;
		snprintf(text, sizeof(text), "%.*g", 1 + i % 21, v);
		same_as_strtod(text);
		snprintf(text, sizeof(text), "%" PRIu64 "e%d", next(&state),
		    (int)(next(&state) % 140) - 70);
		same_as_strtod(text);
	}
	for (i = 0; i < 20000; i++) {
		/* an integer of 54 bits is half way between two numbers of 53 */
		uint64_t half = (next(&state) >> 11 | (uint64_t)1 << 52) * 2 + 1;
		int shift = (int)(next(&state) % 10);

		snprintf(text, sizeof(text), "%" PRIu64, half << shift);
		same_as_strtod(text);
		snprintf(text, sizeof(text), "%.25Lf", (long double)half / (1 << shift));
		same_as_strtod(text);
	}
}

/* A decimal just above the middle of two binary32, whose binary64 is the middle: rounded twice. */
static void
two_roundings(void)
{
	const char text[] = "1.00000017881393432617187500000001]";
	struct lm_scan s = { text, text + strlen(text) };
	float v;
	size_t n;

	assert(lm_scan_floats(&s, &v, 1, &n) == LM_SCAN_END && n == 1);
	assert(v == (float)strtod(text, NULL) && lm_bits32(v) == 0x3f800002);
	assert(lm_bits32(strtof(text, NULL)) == 0x3f800002);
	assert(lm_bits32(strtof("1.00000005960464477539062500000001", NULL)) == 0x3f800001);
	s.p = "1.00000005960464477539062500000001]";
	s.end = s.p + strlen(s.p);
	assert(lm_scan_floats(&s, &v, 1, &n) == LM_SCAN_END && lm_bits32(v) == 0x3f800000);
}

static void
no_numbers(void)
{
	static const char *const texts[] = { "", "-", "+1", "+", ".5", "-.5", "1.", "1.e5", "1e",
		"1e+", "1e-", "01", "00", "-01", "-00.5", "NaN", "nan", "Infinity", "-Infinity",
		"inf", " 1", "e5", "true", "null", "\"1\"", "[", "]", "--1", "x10" };
	double v;
	size_t i, used;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert(scan(texts[i], &v, &used) == -1);
		assert(used == 0);
	}
	/* What is a number up to here; the array around it must refuse the rest. */
	assert(scan("0x10", &v, &used) == 0 && used == 1);
	assert(scan("1.5.5", &v, &used) == 0 && used == 3);
	assert(scan("1f", &v, &used) == 0 && used == 1);
	assert(scan("1_000", &v, &used) == 0 && used == 1);
}

static enum lm_scan_stop
array(const char *text, size_t room, size_t *n, size_t *at)
{
	float values[8];
	struct lm_scan s = { text, text + strlen(text) };
	enum lm_scan_stop stop = lm_scan_floats(&s, values, room, n);
	size_t i;

	for (i = 0; i < *n; i++)
		assert(values[i] == (float)(i + 1));
	*at = (size_t)(s.p - text);
	return stop;
}

static void
arrays(void)
{
	size_t n, at;

	assert(array("1]", 8, &n, &at) == LM_SCAN_END && n == 1 && at == 2);
	assert(array(" 1 ,\t2,\r\n3 ] x", 8, &n, &at) == LM_SCAN_END && n == 3 && at == 12);
	assert(array("1,2,3]", 2, &n, &at) == LM_SCAN_FULL && n == 2 && at == 4);
	assert(array("1,2]", 2, &n, &at) == LM_SCAN_END && n == 2);
	assert(array("1]", 0, &n, &at) == LM_SCAN_FULL && n == 0 && at == 0);
	assert(array("1,null,3]", 8, &n, &at) == LM_SCAN_OTHER && n == 1 && at == 2);
	assert(array("1,]", 8, &n, &at) == LM_SCAN_OTHER && n == 1 && at == 2);
	assert(array("]", 8, &n, &at) == LM_SCAN_OTHER && n == 0 && at == 0);
	assert(array("1,1e400]", 8, &n, &at) == LM_SCAN_OTHER && n == 1 && at == 2);
	assert(array("1,", 8, &n, &at) == LM_SCAN_OTHER && n == 1 && at == 2);
	assert(array("1 2]", 8, &n, &at) == LM_SCAN_BAD && n == 1 && at == 2);
	assert(array("1", 8, &n, &at) == LM_SCAN_BAD && n == 1 && at == 1);
	assert(array("1}", 8, &n, &at) == LM_SCAN_BAD && n == 1);
	assert(array("1x1]", 8, &n, &at) == LM_SCAN_BAD && n == 1);
	assert(array("", 8, &n, &at) == LM_SCAN_OTHER && n == 0);
}

static void
counts(void)
{
	char text[1000];
	struct lm_scan s = { text, text + sizeof(text) };

	memset(text, ',', sizeof(text));
	assert(lm_scan_count(&s) == sizeof(text) + 1);
	text[700] = ']';
	assert(lm_scan_count(&s) == 701);
	s.end = s.p;
	assert(lm_scan_count(&s) == 1);
}

int
main(void)
{
	hard_numbers();
	random_numbers();
	two_roundings();
	no_numbers();
	arrays();
	counts();
	return 0;
}
