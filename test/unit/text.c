/*
 * text: numbers as Go prints them (fixtures/numerics/text.txt), decimal texts as exact fractions
 * round them (parse.txt), what is refused, and that every printed number reads back.
 */
#include <locale.h>
#include <math.h>

#include "num/text.h"
#include "vectors.h"

static void
expect(const char *got, size_t length, const char *want)
{
	if (strcmp(got, want) == 0 && strlen(got) == length)
		return;
	fprintf(stderr, "printed %s (%zu), not %s\n", got, length, want);
	exit(1);
}

static double
parsed(const char *text)
{
	double v = 99;

	assert(lm_text_parse(text, strlen(text), &v) == 0);
	return v;
}

static size_t
check_printing(void)
{
	static struct vectors v;
	char text[LM_TEXT_SIZE];
	size_t cases = 0;

	vectors_open(&v, "text.txt");
	for (; vectors_next(&v); cases++) {
		int narrow = vectors_count(&v) == 32;
		uint64_t u = vectors_hex(&v);
		const char *want = vectors_word(&v);

		if (narrow) {
			expect(text, lm_text_f32(text, lm_from_bits32((uint32_t)u)), want);
			assert(lm_bits32((float)parsed(text)) == u);
		} else {
			expect(text, lm_text_f64(text, lm_from_bits64(u)), want);
			assert(lm_bits64(parsed(text)) == u);
		}
	}
	return cases;
}

static size_t
check_parsing(void)
{
	static struct vectors v;
	size_t cases = 0;

	vectors_open(&v, "parse.txt");
	for (; vectors_next(&v); cases++) {
		const char *text = vectors_word(&v);
		uint64_t want = vectors_hex(&v), got = lm_bits64(parsed(text));

		if (got == want)
			continue;
		fprintf(stderr, "%s reads as %a, not %a\n", text, lm_from_bits64(got),
		    lm_from_bits64(want));
		exit(1);
	}
	return cases;
}

static size_t
check_refusals(void)
{
	static const char *const bad[] = { "", "-", "+", ".", "e1", "1e", "1e+", "1e-", "1.2.3",
		"0x10", "nan", "inf", "1 ", " 1", "--1", "1,5", "1_000", "1e1.5", ".e1", "1f" };
	double v = 5;
	size_t i;

	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert(lm_text_parse(bad[i], strlen(bad[i]), &v) == -1 && v == 5);
	assert(lm_text_parse("12345", 2, &v) == 0 && v == 12);
	return i;
}

/* Random numbers of every size read back, and no shorter text would have. */
static void
check_round_trips(void)
{
	char text[LM_TEXT_SIZE], other[64];
	uint64_t seed = 3, u;
	int i, digits;

	for (i = 0; i < 20000; i++) {
		u = (uint64_t)draw_bits(&seed) << 40 ^ (uint64_t)draw_bits(&seed) << 20 ^
		    draw_bits(&seed);
		if ((u >> 52 & 0x7ff) == 0x7ff)
			continue;
		lm_text_f64(text, lm_from_bits64(u));
		assert(lm_bits64(parsed(text)) == u);
		for (digits = 0; digits < 17; digits++) {
			snprintf(other, sizeof other, "%.*e", digits, lm_from_bits64(u));
			if (lm_bits64(parsed(other)) == u)
				break;
		}
		/* digits + 1 significant ones suffice if rounded to nearest */
		snprintf(other, sizeof other, "%.*e", digits, parsed(text));
		assert(lm_bits64(parsed(other)) == u);
	}
}

/* A locale with a decimal comma changes nothing; where there is none, nothing is shown. */
static const char *
check_locale(void)
{
	static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE" };
	char text[LM_TEXT_SIZE];
	locale_t comma = (locale_t)0;
	size_t i;

	for (i = 0; comma == (locale_t)0 && i < sizeof names / sizeof names[0]; i++)
		comma = newlocale(LC_ALL_MASK, names[i], (locale_t)0);
	if (comma == (locale_t)0)
		return "no locale with a comma here";
	(void)uselocale(comma);
	expect(text, lm_text_f64(text, 1.5), "1.5");
	assert(parsed("1.5") == 1.5);
	(void)uselocale(LC_GLOBAL_LOCALE);
	freelocale(comma);
	return names[i - 1];
}

int
main(void)
{
	size_t printed = check_printing(), read = check_parsing(), refused = check_refusals();

	assert(printed > 1500 && read > 400);
	check_round_trips();
	printf("text: %zu printed, %zu read, %zu refused, %s\n", printed, read, refused,
	    check_locale());
	return 0;
}
