/*
 * reduce: row reductions against the definition written as it reads, and softmax of the vectors
 * put together from the pieces: max, exp, lanes.
 */
#include <math.h>

#include "num/kernel.h"
#include "num/reduce.h"
#include "vectors.h"

enum { MOST = 1000 };

static double
lanes_as_defined(const double *v, size_t n)
{
	double p[16] = { 0 };
	size_t i, h, j;

	for (i = 0; i < n; i++)
		p[i % 16] = p[i % 16] + v[i];
	for (h = 8; h > 0; h /= 2)
		for (j = 0; j < h; j++)
			p[j] = p[j] + p[j + h];
	return p[0];
}

static float
max_as_defined(const float *v, size_t n)
{
	float m = -HUGE_VALF;
	size_t i;

	for (i = 0; i < n; i++)
		m = v[i] > m ? v[i] : m;
	return m;
}

static void
check_lengths(void)
{
	static float v[200];
	static double w[200];
	uint64_t seed = 17;
	size_t n, i;

	for (n = 0; n < 200; n++) {
		for (i = 0; i < n; i++) {
			v[i] = ldexpf(draw(&seed), (int)(draw_bits(&seed) % 60) - 30);
			w[i] = (double)v[i] * v[i];
		}
		assert(shown64(lm_lane16(w, n)) == shown64(lanes_as_defined(w, n)));
		for (i = 0; i < n; i++)
			w[i] = v[i];
		assert(shown64(lm_lane16_f32(v, n)) == shown64(lanes_as_defined(w, n)));
		assert(shown32(lm_max(v, n)) == shown32(max_as_defined(v, n)));
	}
}

/* Infinities, NaNs, and zeros whose sign the order decides. */
static void
check_special(void)
{
	static const float values[6] = { 0.0f, -0.0f, -HUGE_VALF, -1.0f, HUGE_VALF, -2.5f };
	float v[70];
	double minus = -0.0;
	uint64_t seed = 23;
	size_t round, n, i;

	for (round = 0; round < 2000; round++) {
		n = draw_bits(&seed) % 70;
		for (i = 0; i < n; i++)
			v[i] = draw_bits(&seed) % 5 == 0
			    ? lm_from_bits32(0x7fc00000)
			    : values[draw_bits(&seed) % (round % 2 == 0 ? 4 : 6)];
		assert(shown32(lm_max(v, n)) == shown32(max_as_defined(v, n)));
	}
	assert(lm_max(v, 0) == -HUGE_VALF);
	assert(shown64(lm_lane16(&minus, 1)) == 0); /* lanes begin with +0 */
}

static void
softmax(float *y, const float *x, size_t n)
{
	const struct lm_functions *k = &lm_functions_scalar;
	float m = k->max(x, n);
	double inverse;
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = x[i] - m;
	k->exp(y, y, n);
	inverse = 1 / k->lane16_f32(y, n);
	for (i = 0; i < n; i++)
		y[i] = (float)(y[i] * inverse);
}

static size_t
check_softmax(void)
{
	static struct vectors v;
	static float x[MOST], y[MOST];
	size_t cases = 0;

	vectors_open(&v, "softmax.txt");
	for (; vectors_next(&v); cases++) {
		int given = strcmp(vectors_word(&v), "given") == 0;
		size_t n = vectors_count(&v), i, head = given ? n : n < 4 ? n : 4;
		uint64_t seed = given ? 0 : vectors_count(&v);

		assert(n <= MOST);
		for (i = 0; i < n; i++)
			x[i] = given ? (float)vectors_number(&v) : 8 * draw(&seed);
		softmax(y, x, n);
		for (i = 0; i < head; i++)
			assert(shown32(y[i]) == vectors_hex(&v));
		if (given)
			continue;
		assert(shown32(y[n - 1]) == vectors_hex(&v));
		assert(hash32(y, n) == vectors_hex(&v));
	}
	return cases;
}

int
main(void)
{
	size_t cases = check_softmax();

	assert(cases == 8);
	check_lengths();
	check_special();
	printf("reduce: %zu softmax rows, 200 lengths, 2000 rows of special values\n", cases);
	return 0;
}
