/*
 * exact: sums of products against the specification's cases and against sums computed with
 * integers (fixtures/numerics), by the ladder, by the accumulator alone and by every kernel set.
 */
#include <math.h>

#include "sets.h"
#include "sums.h"

static void *room; /* for products of any set */
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
misaligned(unsigned char *bytes, const float *v, size_t n, size_t by)
{
	memcpy(bytes + by, v, n * sizeof *v);
	return (const lm_f32u *)(bytes + by);
}

enum { M = 6, N = 5 }; /* outputs of a small product, so that each place of a tile is tried */

/* The last terms go on from the sums of the first. */
static void
by_parts(const struct lm_kernels *set, const struct lm_product *p, const struct terms *t,
    uint32_t r32, struct lm_counts *counts)
{
	struct lm_matrix first = *p->w, last = first;
	struct lm_product before = *p, after = *p;
	double sums[M * N];
	int i;

	first.k = t->k / 2;
	last.k -= first.k;
	last.panels += first.k * last.stride;
	before.w = &first;
	before.sums = sums;
	before.y = NULL;
	set->product(&before, 0, M, 0, N, room, counts);
	after.x += first.k;
	after.w = &last;
	after.begun = &before;
	set->product(&after, 0, M, 0, N, room, counts);
	for (i = 0; i < M * N; i++)
		expect32(t, "two parts", after.y[i], r32);
}

/* The sum as every output of p, from each form of the factors, rounded both ways. */
static void
by_set(const struct lm_kernels *set, struct lm_product *p, const struct terms *t, uint32_t r32,
    uint64_t rw, struct lm_counts *counts)
{
	static float y[M * N], panels[LM_PANEL * SUM_MOST];
	static double wide[M * N], norms[LM_PANEL], tiles[M * 2 * SUM_MOST + M * 1024];
	double x_norm[M], grid = lm_grid(t->b, t->k), c = p->scale == NULL ? 1 : fabs(*p->scale);
	struct lm_matrix rows = *p->w, whole = rows;
	int form, i, unfit = !(c >= 0x1p-500 && c <= 0x1p500);

	assert(set->tiles_size(M, t->k) <= sizeof tiles / sizeof *tiles);
	lm_matrix_pack(&whole, panels, norms);
	whole.rows = NULL;
	for (i = 0; i < M; i++)
		x_norm[i] = lm_norm(t->a, t->k);
	for (form = 0; form < 8; form++) {
		p->w = form % 4 == 0 ? &rows : &whole;
		p->tiles = form % 4 == 2 ? tiles : NULL;
		p->x_norm = form % 4 == 2 ? x_norm : NULL;
		whole.grid = form % 4 == 3 ? &grid : NULL;
		if (p->tiles != NULL)
			set->tile(tiles, p->x, p->x_step, M, t->k);
		p->y = form < 4 ? y : NULL;
		p->wide = form < 4 ? NULL : wide;
		set->product(p, 0, M, 0, N, room, counts);
		for (i = 0; i < M * N && form < 4; i++)
			expect32(t, set->name, y[i], r32);
		for (i = 0; i < M * N && form >= 4 && !unfit; i++)
			expect64(t, set->name, wide[i], rw);
	}
	p->y = y;
	p->wide = NULL;
	by_parts(set, p, t, r32, counts);
}

static void
by_kernels(const struct terms *t, const float *bias, size_t nbias, double scale, uint32_t r32,
    uint64_t rw, struct lm_counts *counts)
{
	static float x[M * SUM_MOST], w[N * SUM_MOST];
	float biases[2][N], row_bias[M];
	struct lm_matrix rows = lm_matrix_of(w, t->k, N, t->k);
	const struct lm_kernels *set;
	struct lm_product p;
	size_t i;

	for (i = 0; i < M; i++) {
		memcpy(x + i * t->k, t->a, t->k * sizeof *x);
		row_bias[i] = nbias > 0 ? bias[nbias - 1] : 0;
	}
	for (i = 0; i < N; i++) {
		memcpy(w + i * t->k, t->b, t->k * sizeof *w);
		biases[0][i] = nbias > 0 ? bias[0] : 0;
		biases[1][i] = nbias > 1 ? bias[1] : 0;
	}
	p = (struct lm_product){ .m = M, .x = x, .x_step = t->k, .w = &rows, .y_step = N };
	p.scale = scale != 1 ? &scale : NULL;
	p.bias = nbias > 0 ? biases[0] : NULL;
	p.bias2 = nbias > 1 && t->k % 2 == 0 ? biases[1] : NULL;
	p.row_bias = nbias > 1 && t->k % 2 == 1 ? row_bias : NULL;
	for (i = 0; (set = lm_kernels_at(i)) != NULL; i++) {
		p.w = &rows;
		by_set(set, &p, t, r32, rw, counts);
	}
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
	if (nbias <= 2)
		by_kernels(t, bias, nbias, scale, r32, rw, counts);
	if (nbias == 2)
		by_kernels(t, (const float[]){ bias[1], bias[0] }, nbias, scale, r32, rw, counts);
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
	size_t cases, sums;

	room = aligned_alloc(64, most_room());
	assert(room != NULL);
	cases = check_cases();
	sums = check_sums();
	assert(cases == 91 && sums >= 400);
	check_long();
	free(room);
	printf("exact: %zu cases, %zu sums, %zu checks\n", cases, sums, checks);
	return 0;
}
