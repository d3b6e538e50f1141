/*
 * power: x^y in the cases of the vectors, and a sum over drawn ones that changes with any bit of any
 * result.
 */
#include "num/func.h"
#include "vectors.h"

static size_t
check_cases(void)
{
	static struct vectors v;
	size_t cases = 0;

	vectors_open(&v, "power.txt");
	while (vectors_next(&v)) {
		float x = (float)vectors_number(&v), y = (float)vectors_number(&v);
		uint32_t got = shown32(lm_pow(x, y)), want = (uint32_t)vectors_hex(&v);

		if (got != want) {
			fprintf(stderr, "pow(%a, %a): %08x, not %08x\n", (double)x, (double)y, got,
			    want);
			exit(1);
		}
		cases++;
	}
	return cases;
}

static float
pattern(uint64_t *seed)
{
	uint32_t high = draw_bits(seed) << 8;

	return lm_from_bits32(high ^ draw_bits(seed) >> 16);
}

/* 2^n, |n| < 127 */
static float
two_to(int n)
{
	return lm_from_bits32((uint32_t)(127 + n) << 23);
}

/* As fixtures/numerics/make_functions.py draws them. */
static void
draw_case(const char *kind, uint64_t *seed, float *x, float *y)
{
	if (strcmp(kind, "bits") == 0) {
		*x = pattern(seed);
		*y = pattern(seed);
	} else if (strcmp(kind, "middle") == 0) {
		*x = (float)(draw_bits(seed) + 1);
		*x *= two_to((int)(draw_bits(seed) % 49) - 40);
		*y = draw(seed);
		*y *= two_to((int)(draw_bits(seed) % 9));
	} else if (strcmp(kind, "ones") == 0) {
		*x = 1 + draw(seed) * 0x1p-8f;
		*y = draw(seed);
		*y *= two_to((int)(draw_bits(seed) % 24));
	} else if (strcmp(kind, "steps") == 0) {
		static const float exponents[] = { -1, 0.5f, 2, 3 };

		*x = pattern(seed);
		*y = exponents[draw_bits(seed) % 4];
	} else {
		assert(strcmp(kind, "short") == 0);
		*x = (float)(1 + draw_bits(seed) % 4096);
		*x *= two_to((int)(draw_bits(seed) % 17) - 8);
		*y = ((float)(draw_bits(seed) % 129) - 64) / 8;
	}
}

static size_t
check_sums(void)
{
	static struct vectors v;
	size_t i, n, all = 0;
	char kind[16];
	uint64_t seed, sum;
	float x, y;

	vectors_open(&v, "power-sums.txt");
	while (vectors_next(&v)) {
		snprintf(kind, sizeof kind, "%s", vectors_word(&v));
		seed = vectors_count(&v);
		n = vectors_count(&v);
		sum = 0;
		for (i = 0; i < n; i++) {
			draw_case(kind, &seed, &x, &y);
			sum += shown32(lm_pow(x, y)) * (2 * (uint64_t)i + 1);
		}
		if (sum != vectors_hex(&v)) {
			fprintf(stderr, "%s: the sum over %zu powers is %016llx\n", kind, n,
			    (unsigned long long)sum);
			exit(1);
		}
		all += n;
	}
	return all;
}

int
main(void)
{
	size_t cases = check_cases(), drawn = check_sums();

	assert(cases == 1301 && drawn == 5 * 16384);
	printf("power: %zu cases, %zu drawn\n", cases, drawn);
	return 0;
}
