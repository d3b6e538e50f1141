/*
 * rope: binary64 exp, log, sine and cosine and the tables of angles, bit for bit against the
 * specification's cases; turning of pairs against the formula written as it reads.
 */
#include "num/rope.h"

#include <math.h>

#include "num/angle.h"
#include "vectors.h"

enum { WIDEST = 128 };

static size_t
check_angles(void)
{
	static struct vectors v;
	size_t cases = 0;
	double x, sine, cosine;

	vectors_open(&v, "angle.txt");
	for (; vectors_next(&v); cases++) {
		const char *name = vectors_word(&v);

		x = vectors_number(&v);
		if (strcmp(name, "exp64") == 0) {
			assert(lm_bits64(lm_exp64(x)) == vectors_hex(&v));
		} else if (strcmp(name, "log64") == 0) {
			assert(lm_bits64(lm_log64(x)) == vectors_hex(&v));
		} else {
			lm_sincos64(x, &sine, &cosine);
			assert(lm_bits64(sine) == vectors_hex(&v));
			assert(lm_bits64(cosine) == vectors_hex(&v));
		}
	}
	return cases;
}

static size_t
check_table(void)
{
	static struct vectors v;
	double frequency[WIDEST / 2];
	float cosine[WIDEST / 2], sine[WIDEST / 2];
	size_t cases = 0;

	vectors_open(&v, "rope-table.txt");
	for (; vectors_next(&v); cases++) {
		double base = vectors_number(&v);
		size_t d = vectors_count(&v), i = vectors_count(&v), at = vectors_count(&v);

		assert(d <= WIDEST);
		lm_rope_frequencies(frequency, d, base);
		lm_rope_angles(cosine, sine, frequency, d / 2, at);
		assert(lm_bits64(frequency[i]) == vectors_hex(&v));
		assert(lm_bits64((double)at * frequency[i]) == vectors_hex(&v));
		assert(lm_bits32(cosine[i]) == vectors_hex(&v));
		assert(lm_bits32(sine[i]) == vectors_hex(&v));
	}
	return cases;
}

/* Against the C library, which is good to about one unit: a wrong coefficient is far more. */
static void
check_accuracy(void)
{
	uint64_t seed = 31;
	double x, sine, cosine;
	int i;

	for (i = 0; i < 100000; i++) {
		x = ldexp(draw(&seed), (int)(draw_bits(&seed) % 24));
		lm_sincos64(x, &sine, &cosine);
		assert(fabs(sine - sin(x)) < 0x1p-51 && fabs(cosine - cos(x)) < 0x1p-51);
		x = 700 * draw(&seed);
		assert(fabs(lm_exp64(x) / exp(x) - 1) < 0x1p-51);
		x = ldexp(1 + fabsf(draw(&seed)), (int)(draw_bits(&seed) % 1000) - 500);
		assert(fabs(lm_log64(x) - log(x)) <= 0x1p-51 * fabs(log(x)));
	}
}

/* Every width, odd ones too, both ways to pair. */
static size_t
check_turns(void)
{
	float v[WIDEST], was[WIDEST], c[WIDEST / 2], s[WIDEST / 2];
	uint64_t seed = 32;
	size_t d, i, j, k, turned = 0;
	int interleaved;

	for (d = 1; d <= WIDEST; d++) {
		interleaved = d % 2 == 0 && draw_bits(&seed) % 2 == 0;
		for (i = 0; i < d; i++)
			was[i] = v[i] = draw(&seed);
		for (i = 0; i < d / 2; i++) {
			c[i] = draw(&seed);
			s[i] = draw(&seed);
		}
		lm_rope_turn(v, d, c, s, interleaved);
		for (i = 0; i < d / 2; i++, turned++) {
			j = interleaved ? 2 * i : i;
			k = interleaved ? 2 * i + 1 : i + d / 2;
			assert(v[j] == (float)((double)was[j] * c[i] - (double)was[k] * s[i]));
			assert(v[k] == (float)((double)was[j] * s[i] + (double)was[k] * c[i]));
		}
		assert(d % 2 == 0 || v[d - 1] == was[d - 1]);
	}
	return turned;
}

int
main(void)
{
	size_t angles = check_angles(), table = check_table(), turned;

	assert(angles == 731 && table == 8);
	check_accuracy();
	turned = check_turns();
	printf("rope: %zu angles, %zu entries of tables, %zu pairs\n", angles, table, turned);
	return 0;
}
