/*
 * reduce: what works along rows, by every set of kernels that this machine has, against the
 * definition written as it reads; and softmax of the vectors put together from the pieces.
 */
#include <math.h>

#include "num/kernel.h"
#include "vectors.h"

enum { MOST = 1000, LONGEST = 200 };

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

/* Of many sizes, so that the order of a sum shows; any length, at any multiple of 4 bytes. */
static void
check_lanes(const struct lm_functions *fn)
{
	static float v[LONGEST + 4];
	static double w[LONGEST];
	uint64_t seed = 17;
	size_t n, i;
	double mean, d;
	float *x;

	for (n = 0; n < LONGEST; n++) {
		x = v + n % 4;
		mean = n % 3 == 0 ? 0 : 1.1 * draw(&seed);
		for (i = 0; i < n; i++) {
			x[i] = ldexpf(draw(&seed), (int)(draw_bits(&seed) % 60) - 30);
			d = x[i] - mean;
			w[i] = d * d;
		}
		assert(shown64(fn->lane16(w, n)) == shown64(lanes_as_defined(w, n)));
		assert(shown64(fn->lane16_squares(x, mean, n)) == shown64(lanes_as_defined(w, n)));
		for (i = 0; i < n; i++)
			w[i] = x[i];
		assert(shown64(fn->lane16_f32(x, n)) == shown64(lanes_as_defined(w, n)));
		assert(shown32(fn->max(x, n)) == shown32(max_as_defined(x, n)));
		assert(fn->max64(w, n) == (double)max_as_defined(x, n));
	}
}

/* One greatest value, and NaNs wherever a lane that held it might meet one. */
static void
check_hidden(const struct lm_functions *fn)
{
	enum { N = 4 * 64 };
	float v[N];
	double w[N];
	size_t at, i;

	for (at = 0; at < N; at++) {
		for (i = 0; i < N; i++)
			w[i] = v[i] = i == at ? 2
			    : i % 2 == at % 2 ? lm_from_bits32(0x7fc00000)
					      : 1;
		assert(fn->max(v, N) == 2 && fn->max64(w, N) == 2);
	}
}

/* Infinities, NaNs, and zeros whose sign the order decides. */
static void
check_special(const struct lm_functions *fn)
{
	static const float values[6] = { 0.0f, -0.0f, -HUGE_VALF, -1.0f, HUGE_VALF, -2.5f };
	float v[170];
	double w[170], minus = -0.0;
	uint64_t seed = 23;
	size_t round, n, i;

	for (round = 0; round < 2000; round++) {
		n = draw_bits(&seed) % 170;
		for (i = 0; i < n; i++) {
			v[i] = draw_bits(&seed) % 5 == 0
			    ? lm_from_bits32(0x7fc00000)
			    : values[draw_bits(&seed) % (round % 2 == 0 ? 4 : 6)];
			w[i] = v[i];
		}
		assert(shown32(fn->max(v, n)) == shown32(max_as_defined(v, n)));
		assert(fn->max64(w, n) == (double)max_as_defined(v, n));
		assert(shown64(fn->lane16_f32(v, n)) == shown64(lanes_as_defined(w, n)));
	}
	check_hidden(fn);
	assert(fn->max(v, 0) == -HUGE_VALF && fn->max64(w, 0) == -HUGE_VAL);
	assert(shown64(fn->lane16(&minus, 1)) == 0); /* lanes begin with +0 */
}

/* ---- lines ---- */

struct line {
	float x[LONGEST + 4], y[LONGEST + 4], gamma[LONGEST], beta[LONGEST];
	struct lm_affine each[LONGEST];
	size_t n, at; /* at: where x and y begin */
};

/* (x - mean) r gamma, one operation at a time; volatile keeps the compiler from merging two. */
static double
scaled(float x, double mean, double r, double gamma)
{
	volatile double t = x - mean;

	t = t * r;
	t = t * gamma;
	return t;
}

/* Every third beta takes off what comes before it: what is left are the errors of the steps. */
static void
draw_line(struct line *l, size_t n, uint64_t *seed)
{
	size_t i;

	l->n = n;
	l->at = n % 4;
	for (i = 0; i < n + 4; i++) {
		l->x[i] = 3 * draw(seed);
		l->y[i] = 99;
	}
	l->x[l->at] = n % 7 == 0 ? -0.0f : n % 7 == 1 ? HUGE_VALF : 0x1p-149f;
	l->each[0].mean = draw(seed) / 3.0;
	l->each[0].r = 1 / (1.5 + draw(seed));
	for (i = 0; i < n; i++) {
		float x = l->x[l->at + i];

		l->gamma[i] = n % 9 == 0 ? 0x1p-140f * draw(seed) : draw(seed);
		l->beta[i] = i % 5 == 0 ? -0.0f : draw(seed);
		l->each[i].mean = i == 0 ? l->each[0].mean : draw(seed) / 3.0;
		l->each[i].r = i == 0 ? l->each[0].r : 1 / (1.5 + draw(seed));
		l->each[i].gamma = l->gamma[i] * 1.1;
		l->each[i].beta = l->beta[i];
		if (i % 3 != 0 || x - x != 0)
			continue;
		l->each[i].beta = -scaled(x, l->each[i].mean, l->each[i].r, l->each[i].gamma);
		l->beta[i] = -(float)scaled(x, l->each[0].mean, l->each[0].r, l->gamma[i]);
	}
}

/* In y stands what is expected, and around it nothing. */
static void
expect_line(const struct line *l, const float *want)
{
	size_t i;

	for (i = 0; i < l->n + 4; i++)
		if (i < l->at || i >= l->at + l->n)
			assert(l->y[i] == 99);
		else
			assert(shown32(l->y[i]) == shown32(want[i - l->at]));
}

/* One operation at a time; volatile keeps the compiler from merging two. */
static float
line_as_defined(float x, const struct lm_affine *l, int has_gamma, int has_beta)
{
	volatile double t = x - l->mean;

	t = t * l->r;
	if (has_gamma)
		t = t * l->gamma;
	if (has_beta)
		t = t + l->beta;
	return (float)t;
}

static void
check_normalize(const struct lm_functions *fn, struct line *l, int has_gamma, int has_beta)
{
	struct lm_affine a = l->each[0];
	float want[LONGEST];
	size_t i;

	for (i = 0; i < l->n; i++) {
		a.gamma = l->gamma[i];
		a.beta = l->beta[i];
		want[i] = line_as_defined(l->x[l->at + i], &a, has_gamma, has_beta);
	}
	fn->normalize(l->y + l->at, l->x + l->at, a.mean, a.r, has_gamma ? l->gamma : NULL,
	    has_beta ? l->beta : NULL, l->n);
	expect_line(l, want);
}

static void
check_lines(const struct lm_functions *fn)
{
	static struct line l;
	float want[LONGEST];
	uint64_t seed = 31;
	size_t n, i;
	double c;

	for (n = 0; n < LONGEST; n++) {
		draw_line(&l, n, &seed);
		for (i = 0; i < 4; i++)
			check_normalize(fn, &l, i & 1, i >> 1);
		for (i = 0; i < n; i++)
			want[i] = line_as_defined(l.x[l.at + i], &l.each[i], 1, 1);
		fn->affines(l.y + l.at, l.x + l.at, l.each, n);
		expect_line(&l, want);
		for (i = 0; i < n; i++)
			want[i] = line_as_defined(l.x[l.at + i], &l.each[0], 1, 1);
		fn->affine(l.y + l.at, l.x + l.at, &l.each[0], n);
		expect_line(&l, want);
		c = l.each[0].r;
		for (i = 0; i < n; i++)
			want[i] = (float)(l.x[l.at + i] * c);
		fn->times(l.y + l.at, l.x + l.at, c, n);
		expect_line(&l, want);
		fn->times(l.x + l.at, l.x + l.at, c, n);
		assert(memcmp(l.x + l.at, l.y + l.at, n * sizeof(float)) == 0 || n % 7 == 1);
	}
}

/* ---- softmax ---- */

static void
softmax(const struct lm_functions *fn, float *y, const float *x, size_t n)
{
	fn->exp_less(y, x, fn->max(x, n), n);
	fn->times(y, y, 1 / fn->lane16_f32(y, n), n);
}

static size_t
check_softmax(const struct lm_functions *fn)
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
		softmax(fn, y, x, n);
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
	const struct lm_kernels *k;
	size_t set, cases = 0;

	for (set = 0; (k = lm_kernels_at(set)) != NULL; set++) {
		cases += check_softmax(k->fn);
		check_lanes(k->fn);
		check_special(k->fn);
		check_lines(k->fn);
	}
	assert(cases == 8 * set);
	printf("reduce: %zu softmax rows, %d lengths of each function by %zu sets\n", cases,
	    LONGEST, set);
	return 0;
}
