/*
 * exact: sums of products against the specification's cases and against sums computed with
 * integers (fixtures/numerics), by the ladder, by the accumulator alone and by the kernels; then
 * kernels against the accumulator on random shapes, and how many outputs each stage decides.
 */
#include <math.h>

#include "num/kernel.h"
#include "sums.h"

enum { ROOM = 1 << 20 };

static size_t checks;

static void
fail_sum(const struct terms *t, const char *by, uint64_t got, uint64_t want)
{
	fprintf(stderr, "%s, seed %llu, %zu terms, %s: %llx, not %llx\n", t->name,
	    (unsigned long long)t->seed, t->k, by, (unsigned long long)got,
	    (unsigned long long)want);
	exit(1);
}

static void
expect32(const struct terms *t, const char *by, float got, uint32_t want)
{
	checks++;
	if (shown32(got) != want)
		fail_sum(t, by, shown32(got), want);
}

static void
expect64(const struct terms *t, const char *by, double got, uint64_t want)
{
	checks++;
	if (shown64(got) != want)
		fail_sum(t, by, shown64(got), want);
}

/* The same numbers, one to three bytes off any alignment. */
static const lm_f32u *
misaligned(unsigned char *room, const float *v, size_t n, size_t by)
{
	memcpy(room + by, v, n * sizeof *v);
	return (const lm_f32u *)(room + by);
}

/* The sum as every output of a small product, so that each place of a tile is tried. */
static void
by_kernel(const struct terms *t, const float *bias, size_t nbias, uint32_t want,
    struct lm_counts *counts)
{
	enum { M = 6, N = 5 };
	static float x[M * SUM_MOST], w[N * SUM_MOST];
	static char room[ROOM] __attribute__((aligned(64)));
	float biases[2][N], y[M * N];
	struct lm_matrix right = lm_matrix_of(w, t->k, N, t->k);
	struct lm_product p = { .m = M,
		.x = x,
		.x_step = t->k,
		.w = &right,
		.bias = nbias > 0 ? biases[0] : NULL,
		.bias2 = nbias > 1 ? biases[1] : NULL,
		.y = y,
		.y_step = N };
	size_t i;

	for (i = 0; i < M && t->k > 0; i++)
		memcpy(x + i * t->k, t->a, t->k * sizeof *x);
	for (i = 0; i < N; i++) {
		if (t->k > 0)
			memcpy(w + i * t->k, t->b, t->k * sizeof *w);
		biases[0][i] = nbias > 0 ? bias[0] : 0;
		biases[1][i] = nbias > 1 ? bias[1] : 0;
	}
	lm_kernels_scalar.product(&p, 0, M, 0, N, room, counts);
	for (i = 0; i < M * N; i++)
		expect32(t, "kernel", y[i], want);
}

static void
check_sum(const struct terms *t, const float *bias, size_t nbias, double scale, uint32_t r32,
    uint64_t rw, struct lm_counts *counts)
{
	static unsigned char ra[4 * SUM_MOST + 4], rb[4 * SUM_MOST + 4];
	const lm_f32u *a = misaligned(ra, t->a, t->k, 1 + t->seed % 3);
	const lm_f32u *b = misaligned(rb, t->b, t->k, 1 + t->k % 3);

	expect32(t, "exact", lm_xdot_exact(t->a, t->b, t->k, bias, nbias, scale), r32);
	expect64(t, "exact wide", lm_xdotw_exact(t->a, t->b, t->k, bias, nbias, scale), rw);
	expect32(t, "ladder", lm_xdot(t->a, t->b, t->k, bias, nbias, scale, counts), r32);
	expect64(t, "ladder wide", lm_xdotw(t->a, t->b, t->k, bias, nbias, scale, counts), rw);
	expect32(t, "misaligned", lm_xdot(a, b, t->k, bias, nbias, scale, NULL), r32);
	expect32(t, "from the second stage",
	    lm_xdot_undecided(b, a, t->k, bias, nbias, scale, lm_pairs_plain, counts), r32);
	if (scale == 1 && nbias <= 2)
		by_kernel(t, bias, nbias, r32, counts);
	if (scale == 1 && nbias == 2)
		by_kernel(t, (const float[]){ bias[1], bias[0] }, nbias, r32, counts);
}

/* ---- the specification's cases ---- */

static size_t
check_cases(void)
{
	static struct vectors v;
	static struct terms t = { "exact.txt", 0, 0, { 0 }, { 0 } };
	struct lm_counts counts = { { 0 } };
	float bias[8];

	vectors_open(&v, "exact.txt");
	for (; vectors_next(&v); t.seed++) {
		size_t nbias, i;
		double scale;
		uint32_t r32;
		uint64_t rw;

		t.k = vectors_count(&v);
		nbias = vectors_count(&v);
		assert(t.k <= SUM_MOST && nbias <= 8);
		scale = vectors_number(&v);
		r32 = (uint32_t)vectors_hex(&v);
		rw = vectors_hex(&v);
		for (i = 0; i < t.k; i++)
			t.a[i] = (float)vectors_number(&v);
		for (i = 0; i < t.k; i++)
			t.b[i] = (float)vectors_number(&v);
		for (i = 0; i < nbias; i++)
			bias[i] = (float)vectors_number(&v);
		check_sum(&t, bias, nbias, scale, r32, rw, &counts);
	}
	return t.seed;
}

static size_t
check_sums(void)
{
	static struct vectors v;
	static struct terms t;
	struct lm_counts counts = { { 0 } };
	size_t sums = 0;

	vectors_open(&v, "sums.txt");
	for (; vectors_next(&v); sums++) {
		const char *name = vectors_word(&v);
		uint64_t seed = vectors_count(&v), rw;
		size_t k = vectors_count(&v), nbias, i;
		double scale = vectors_number(&v);
		float bias[8];
		uint32_t r32;

		nbias = vectors_count(&v);
		assert(nbias <= 8);
		r32 = (uint32_t)vectors_hex(&v);
		rw = vectors_hex(&v);
		for (i = 0; i < nbias; i++)
			bias[i] = (float)vectors_number(&v);
		terms_fill(&t, name, seed, k);
		check_sum(&t, bias, nbias, scale, r32, rw, &counts);
	}
	printf("exact: of %zu sums' outputs the stages decided %llu, %llu, %llu\n", sums,
	    (unsigned long long)counts.stage[0], (unsigned long long)counts.stage[1],
	    (unsigned long long)counts.stage[2]);
	/* Without a second stage all these would be the third's. */
	assert(counts.stage[1] > counts.stage[2] && counts.stage[2] > 0);
	return sums;
}

/* ---- products ---- */

struct dense {
	struct lm_product p;
	struct lm_matrix right;
	float *x, *w, *b, *panels;
	double *norms;
	void *room;
};

static void
dense_init(struct dense *d, size_t m, size_t n, size_t k)
{
	d->x = calloc(m * k + 1, sizeof *d->x);
	d->w = calloc(n * k + 1, sizeof *d->w);
	d->b = calloc(n + 1, sizeof *d->b);
	d->norms = calloc(n + LM_PANEL, sizeof *d->norms);
	d->panels = aligned_alloc(64, lm_panels_size(n, k) * sizeof *d->panels + 64);
	d->room = aligned_alloc(64, ROOM);
	d->right = lm_matrix_of(d->w, k, n, k);
	d->p = (struct lm_product){ .m = m,
		.x = d->x,
		.x_step = k,
		.w = &d->right,
		.y = calloc(m * n, sizeof *d->p.y),
		.y_step = n };
	assert(d->panels != NULL && d->room != NULL);
	assert(d->x != NULL && d->w != NULL && d->b != NULL && d->norms != NULL && d->p.y != NULL);
}

static void
dense_free(struct dense *d)
{
	free(d->x);
	free(d->w);
	free(d->b);
	free(d->norms);
	free(d->panels);
	free(d->room);
	free(d->p.y);
}

/* In strips of columns, as threads would. */
static void
dense_run(const struct dense *d, size_t strips, struct lm_counts *counts)
{
	size_t n = d->right.n, step = (n / LM_PANEL / strips + 1) * LM_PANEL, from;

	memset(d->p.y, 0xff, d->p.m * n * sizeof *d->p.y);
	for (from = 0; from < n; from += step)
		lm_kernels_scalar.product(&d->p, 0, d->p.m, from, n - from < step ? n : from + step,
		    d->room, counts);
}

/* Order, cancellation and ties, as numerics_reference.py plants them. */
static void
plant(struct dense *d, const char *what)
{
	size_t m = d->p.m, n = d->right.n, k = d->right.k, r, i, h = k / 2;

	for (r = 0; r < m + n; r++) {
		float *row = r < m ? d->x + r * k : d->w + (r - m) * k;
		float sign = r < m ? 1 : -1;

		for (i = 0; i < k && strcmp(what, "ties") == 0; i++)
			row[i] = (float)floor(row[i] * 0x1p15);
		for (i = 0; i < k && strcmp(what, "order") == 0; i += 3) {
			if (r < m)
				row[i] = ldexpf(row[i], (int)(37 * (i / 3) % 61));
			row[i + 2] = -sign * row[i];
		}
		if (strcmp(what, "cancel") != 0)
			continue;
		for (i = 0; i < h; i++) {
			if (r < m)
				row[i] = ldexpf(row[i], (int)(7 * i % 23));
			row[h + i] = sign * row[i];
		}
		if (r < m)
			row[k - 1] *= 0x1p-40f;
	}
}

static void
check_outputs(struct dense *d, struct vectors *v, int given)
{
	size_t i, n = d->p.m * d->right.n, head = given ? n : n < 4 ? n : 4;

	for (i = 0; i < head; i++)
		assert(shown32(d->p.y[i]) == (uint32_t)vectors_hex(v));
	if (given)
		return;
	assert(shown32(d->p.y[n - 1]) == (uint32_t)vectors_hex(v));
	assert(hash32(d->p.y, n) == vectors_hex(v));
}

/* Fill with the numbers of the line, or draw them. */
static void
dense_read(struct dense *d, struct vectors *v, int given, size_t biases)
{
	size_t i, m = d->p.m, n = d->right.n, k = d->right.k;
	uint64_t seed = given ? 0 : vectors_count(v);

	for (i = 0; i < m * k; i++)
		d->x[i] = given ? (float)vectors_number(v) : draw(&seed);
	for (i = 0; i < n * k; i++)
		d->w[i] = given ? (float)vectors_number(v) : draw(&seed);
	for (i = 0; i < biases; i++)
		d->b[i] = given ? (float)vectors_number(v) : draw(&seed);
	d->p.bias = biases > 0 ? d->b : NULL;
	if (!given)
		plant(d, vectors_word(v));
}

static size_t
check_dense(void)
{
	static struct vectors v;
	static const size_t strips[4] = { 1, 2, 3, 7 };
	size_t cases = 0, i;

	vectors_open(&v, "dense.txt");
	for (; vectors_next(&v); cases++) {
		int given = strcmp(vectors_word(&v), "given") == 0;
		size_t m = vectors_count(&v), n = vectors_count(&v), k = vectors_count(&v);
		size_t biases = vectors_count(&v);
		struct lm_counts counts = { { 0 } };
		struct vectors again;
		struct dense d;

		dense_init(&d, m, n, k);
		dense_read(&d, &v, given, biases);
		for (i = 0; i < 4; i++) {
			memcpy(&again, &v, sizeof v);
			again.rest = again.line + (v.rest - v.line);
			if (i == 2)
				lm_matrix_pack(&d.right, d.panels, d.norms);
			dense_run(&d, strips[i], &counts);
			check_outputs(&d, &again, given);
		}
		assert(counts.stage[0] + counts.stage[1] + counts.stage[2] == 4 * m * n);
		dense_free(&d);
	}
	return cases;
}

/* One product of random shape, its operands off any alignment, against the accumulator. */
static void
check_shape(uint64_t *seed, const struct drawn *data)
{
	size_t m = 1 + draw_bits(seed) % 13, n = 1 + draw_bits(seed) % 13;
	size_t k = draw_bits(seed) % (draw_bits(seed) % 4 == 0 ? 600 : 24);
	size_t off = 1 + draw_bits(seed) % 3, i;
	unsigned char *room = calloc(m * k + n * k + 2 * n + 1, sizeof(float));
	size_t biases = draw_bits(seed) % 3;
	struct dense d;
	float v;

	assert(room != NULL);
	dense_init(&d, m, n, k);
	for (i = 0; i < m * k + n * k + 2 * n; i++) {
		v = (i < m * k ? data->a : data->b)(seed);
		memcpy(room + off + 4 * i, &v, sizeof v);
	}
	d.p.x = (const lm_f32u *)(room + off);
	d.right.rows = d.p.x + m * k;
	d.p.bias = biases > 0 ? d.right.rows + n * k : NULL;
	d.p.bias2 = biases > 1 ? d.p.bias + n : NULL;
	if (draw_bits(seed) % 2 == 0)
		lm_matrix_pack(&d.right, d.panels, d.norms);
	dense_run(&d, 1 + draw_bits(seed) % 7, NULL);
	for (i = 0; i < m * n; i++) {
		const lm_f32u *a = d.p.x + i / n * k, *b = d.right.rows + i % n * k;
		float bias[2] = { biases > 0 ? d.p.bias[i % n] : 0,
			biases > 1 ? d.p.bias2[i % n] : 0 };
		struct terms t = { .name = data->name, .k = k };

		expect32(&t, "product", d.p.y[i], shown32(lm_xdot_exact(a, b, k, bias, biases, 1)));
	}
	dense_free(&d);
	free(room);
}

static size_t
check_shapes(void)
{
	uint64_t seed = 99;
	size_t i, n = 0;

	for (i = 0; i < DRAWN; i++)
		for (n = 0; n < 40; n++)
			check_shape(&seed, &drawn[i]);
	return DRAWN * n;
}

/* ---- what each stage decides ---- */

static void
check_rates(void)
{
	enum { M = 64, N = 512, K = 1024 };
	struct lm_counts counts = { { 0 } };
	uint64_t seed = 5;
	struct dense d;
	size_t i;

	dense_init(&d, M, N, K);
	for (i = 0; i < M * K; i++)
		d.x[i] = draw_gauss(&seed);
	for (i = 0; i < N * K; i++)
		d.w[i] = draw_gauss(&seed);
	dense_run(&d, 1, &counts);
	printf(
	    "exact: Gaussian, K = %d: %llu of %d outputs needed the second stage, %llu the third\n",
	    K, (unsigned long long)counts.stage[1], M * N, (unsigned long long)counts.stage[2]);
	assert(counts.stage[0] + counts.stage[1] == M * N);
	assert(counts.stage[1] >= 1 && counts.stage[1] <= M * N / 1000);
	dense_free(&d);
}

/* Beyond the proofs' reach everything is the accumulator's. */
static void
check_long(void)
{
	struct lm_counts counts = { { 0 } };
	size_t k = LM_LONGEST_PROOF + 5, i;
	float *v = malloc(k * sizeof *v);

	assert(v != NULL);
	for (i = 0; i < k; i++)
		v[i] = 3;
	assert(lm_xdot(v, v, k, NULL, 0, 1, &counts) == (float)(9.0 * (double)k));
	assert(lm_xdotw(v, v, k, NULL, 0, 0.5, &counts) == 4.5 * (double)k);
	assert(counts.stage[0] == 0 && counts.stage[1] == 0 && counts.stage[2] == 2);
	v[k - 1] = HUGE_VALF;
	assert(lm_xdot(v, v, k, NULL, 0, 1, &counts) == HUGE_VALF && counts.stage[0] == 1);
	free(v);
}

int
main(void)
{
	size_t cases = check_cases(), sums = check_sums(), dense = check_dense();
	size_t shapes = check_shapes();

	assert(cases == 91 && sums >= 400 && dense == 12);
	check_rates();
	check_long();
	printf("exact: %zu cases, %zu sums, %zu dense layers, %zu shapes, %zu checks\n", cases,
	    sums, dense, shapes, checks);
	return 0;
}
