/*
 * products: products by every kernel set and from every form of the factors against the fixtures
 * and against the accumulator, on random shapes, at any alignment, in pieces as threads would have
 * them; products that go on from another's sums; how many outputs each stage decides.
 */
#include <math.h>

#include "base/mem.h"
#include "sets.h"
#include "sums.h"

enum { SPARE = 3 }; /* numbers beside a row, which nobody may touch */

static void *room; /* for products of any set */
static size_t checks;

/* How the factors come. */
static const struct form {
	const char *name;
	int rows, panels, beside, tiles; /* beside: values of panels share rows of memory */
} forms[] = {
	{ "rows", 1, 0, 0, 0 },
	{ "rows and panels", 1, 1, 0, 0 },
	{ "panels", 0, 1, 0, 0 },
	{ "panels beside each other", 0, 1, 1, 0 },
	{ "tiles", 0, 1, 0, 1 },
	{ "tiles and rows", 1, 0, 0, 1 },
};

enum { FORMS = sizeof forms / sizeof forms[0] };

/* ---- a product and its memory ---- */

struct job {
	const char *data;
	size_t m, n, k, x_step, w_step, y_step, panels;
	float *x, *w, *whole, *beside, *bias, *bias2, *row_bias, *y;
	double *norm, *x_norm, *scale, *wide;
	uint32_t *want;
	uint64_t *want_wide;
	const lm_f32u *rows; /* w, as products have it */
	struct lm_product p;
};

static void *
zeroed(size_t count, size_t size)
{
	void *p = calloc(count + 16, size);

	assert(p != NULL);
	return p;
}

static void
job_init(struct job *j, size_t m, size_t n, size_t k)
{
	size_t panels = (n + LM_PANEL - 1) / LM_PANEL;

	*j = (struct job){ .m = m, .n = n, .k = k, .panels = panels };
	j->x_step = k + k % 3;
	j->w_step = k + m % 3;
	j->y_step = n + m % SPARE;
	j->x = zeroed(m * j->x_step, sizeof(float));
	j->w = zeroed(n * j->w_step, sizeof(float));
	j->whole = zeroed(lm_panels_size(n, k), sizeof(float));
	j->beside = zeroed(panels * LM_PANEL * k, sizeof(float));
	j->bias = zeroed(n, sizeof(float));
	j->bias2 = zeroed(n, sizeof(float));
	j->row_bias = zeroed(m, sizeof(float));
	j->y = zeroed(m * j->y_step, sizeof(float));
	j->norm = zeroed(panels * LM_PANEL, sizeof(double));
	j->x_norm = zeroed(m, sizeof(double));
	j->scale = zeroed(m, sizeof(double));
	j->wide = zeroed(m * j->y_step, sizeof(double));
	j->want = zeroed(m * n, sizeof(uint32_t));
	j->want_wide = zeroed(m * n, sizeof(uint64_t));
}

static void
job_free(struct job *j)
{
	void *all[] = { j->x, j->w, j->whole, j->beside, j->bias, j->bias2, j->row_bias, j->y,
		j->norm, j->x_norm, j->scale, j->wide, j->want, j->want_wide };
	size_t i;

	for (i = 0; i < sizeof all / sizeof all[0]; i++)
		free(all[i]);
}

/* Everything else follows from x and w. */
static void
job_prepare(struct job *j)
{
	struct lm_matrix m = lm_matrix_of(j->w, j->w_step, j->n, j->k);
	size_t i, c;

	lm_matrix_pack(&m, j->whole, j->norm);
	for (i = 0; i < j->k; i++)
		for (c = 0; c < j->n; c++)
			j->beside[i * j->panels * LM_PANEL + c] = j->w[c * j->w_step + i];
	for (i = 0; i < j->m; i++)
		j->x_norm[i] = lm_norm(j->x + i * j->x_step, j->k);
	j->rows = j->w;
	j->p =
	    (struct lm_product){ .m = j->m, .x = j->x, .x_step = j->x_step, .y_step = j->y_step };
}

static double
scale_of(const struct job *j, size_t r)
{
	return j->p.scale != NULL ? j->p.scale[r * j->p.scale_step] : 1;
}

static int
is_fit(double scale)
{
	return fabs(scale) >= 0x1p-500 && fabs(scale) <= 0x1p500;
}

/* What the accumulator has. */
static void
job_expect(struct job *j)
{
	size_t i, r, c, n;
	float bias[3];

	for (i = 0; i < j->m * j->n; i++) {
		const float *x = j->x + i / j->n * j->x_step, *w = j->w + i % j->n * j->w_step;

		r = i / j->n;
		c = i % j->n;
		n = 0;
		if (j->p.bias != NULL)
			bias[n++] = j->p.bias[c];
		if (j->p.bias2 != NULL)
			bias[n++] = j->p.bias2[c];
		if (j->p.row_bias != NULL)
			bias[n++] = j->p.row_bias[r];
		j->want[i] = shown32(lm_xdot_exact(x, w, j->k, bias, n, scale_of(j, r)));
		if (is_fit(scale_of(j, r)))
			j->want_wide[i] = shown64(
			    lm_xdotw_exact(x, w, j->k, bias, n, scale_of(j, r)));
	}
}

static struct lm_matrix
matrix_of(const struct job *j, const struct form *f)
{
	struct lm_matrix w = lm_matrix_of(f->rows ? j->rows : NULL, j->w_step, j->n, j->k);

	if (!f->panels)
		return w;
	w.panels = f->beside ? j->beside : j->whole;
	w.stride = f->beside ? j->panels * LM_PANEL : LM_PANEL;
	w.apart = f->beside ? LM_PANEL : LM_PANEL * j->k;
	w.norm = j->norm;
	return w;
}

/* In pieces of both factors, as threads would. */
static void
job_run(const struct job *j, const struct lm_kernels *set, size_t pieces, struct lm_counts *counts)
{
	size_t step = (j->n / LM_PANEL / pieces + 1) * LM_PANEL, rows = j->m / pieces + 1, n, m;

	for (n = 0; n < j->n; n += step)
		for (m = 0; m < j->m; m += rows)
			set->product(&j->p, m, j->m - m < rows ? j->m : m + rows, n,
			    j->n - n < step ? j->n : n + step, room, counts);
}

static void
fail(const struct job *j, const struct lm_kernels *set, const struct form *f, size_t i)
{
	fprintf(stderr, "%s, %zu x %zu x %zu, %s, %s: output %zu of row %zu%s\n", j->data, j->m,
	    j->n, j->k, set->name, f->name, i % j->n, i / j->n,
	    j->p.wide != NULL ? ", 32 significant bits" : "");
	exit(1);
}

static void
job_compare(struct job *j, const struct lm_kernels *set, const struct form *f)
{
	size_t i, r, c;

	for (i = 0; i < j->m * j->n; i++) {
		r = i / j->n;
		c = r * j->y_step + i % j->n;
		if (j->p.wide == NULL
			? shown32(j->y[c]) != j->want[i]
			: is_fit(scale_of(j, r)) && shown64(j->wide[c]) != j->want_wide[i])
			fail(j, set, f, i);
		checks++;
	}
	for (r = 0; r < j->m; r++)
		for (c = j->n; c < j->y_step; c++)
			assert(j->p.wide == NULL ? lm_bits32(j->y[r * j->y_step + c]) == 0
						 : lm_bits64(j->wide[r * j->y_step + c]) == 0);
}

/* By every set, from every form, to both kinds of results. */
static void
job_check(struct job *j, size_t pieces, struct lm_counts *counts)
{
	const struct lm_kernels *set;
	struct lm_matrix w;
	double *tiles;
	size_t s, f;

	for (s = 0; (set = lm_kernels_at(s)) != NULL; s++) {
		tiles = zeroed(set->tiles_size(j->m, j->k), sizeof(double));
		set->tile(tiles, j->p.x, j->x_step, j->m, j->k);
		for (f = 0; f < 2 * (size_t)FORMS; f++) {
			w = matrix_of(j, &forms[f % FORMS]);
			j->p.w = &w;
			j->p.tiles = forms[f % FORMS].tiles ? tiles : NULL;
			j->p.x_norm = forms[f % FORMS].tiles ? j->x_norm : NULL;
			j->p.y = f < FORMS ? j->y : NULL;
			j->p.wide = f < FORMS ? NULL : j->wide;
			job_run(j, set, pieces, counts);
			job_compare(j, set, &forms[f % FORMS]);
		}
		free(tiles);
	}
}

/* ---- random shapes ---- */

static float
draw_special(uint64_t *s)
{
	uint32_t kind = draw_bits(s) % 64;

	if (kind == 0)
		return HUGE_VALF;
	if (kind == 1)
		return -HUGE_VALF;
	return kind == 2 ? NAN : draw_gauss(s);
}

static const struct drawn special = { "infinities and NaN", draw_special, draw_special };

static double
draw_scale(uint64_t *seed)
{
	static const double odd[6] = { 0, 0x1p-600, 0x1p600, HUGE_VAL, -0.125, 1 };
	uint32_t kind = draw_bits(seed) % 24;

	return kind < 6 ? odd[kind] : ldexp(1 + draw(seed) * 0.25, -3);
}

/* None, one or two of the biases; a scale for all rows or for each, some of which leave all open. */
static void
draw_steps(struct job *j, uint64_t *seed)
{
	uint32_t kind = draw_bits(seed) % 7;

	j->p.bias = kind > 0 && kind < 5 ? j->bias : NULL;
	j->p.bias2 = kind > 2 && kind < 4 ? j->bias2 : NULL;
	j->p.row_bias = kind > 3 ? j->row_bias : NULL;
	j->p.scale = draw_bits(seed) % 3 == 0 && j->m * j->n < 4000 ? j->scale : NULL;
	j->p.scale_step = draw_bits(seed) % 2;
}

static void
check_shape(uint64_t *seed, const struct drawn *data, size_t m, size_t n, size_t k)
{
	struct job j;
	size_t i;

	job_init(&j, m, n, k);
	j.data = data->name;
	for (i = 0; i < m * j.x_step; i++)
		j.x[i] = data->a(seed);
	for (i = 0; i < n * j.w_step; i++)
		j.w[i] = data->b(seed);
	for (i = 0; i < n; i++) {
		j.bias[i] = data->b(seed);
		j.bias2[i] = draw_bits(seed) % 8 == 0 ? -0.0f : data->a(seed);
	}
	for (i = 0; i < m; i++) {
		j.row_bias[i] = data->a(seed);
		j.scale[i] = draw_scale(seed);
	}
	job_prepare(&j);
	draw_steps(&j, seed);
	job_expect(&j);
	job_check(&j, 1 + draw_bits(seed) % 3, NULL);
	job_free(&j);
}

/* Up to three of the largest tile and one more, and a block's end; few of them are long. */
static void
check_drawn(uint64_t *seed, const struct drawn *data)
{
	size_t m = 1 + draw_bits(seed) % 43, n = 1 + draw_bits(seed) % 49;
	size_t k = draw_bits(seed) % 64;

	if (draw_bits(seed) % 8 == 0) {
		m = 1 + m % 16;
		n = 1 + n % 18;
		k = 500 + draw_bits(seed) % 700;
	}
	check_shape(seed, data, m, n, k);
}

static size_t
check_shapes(void)
{
	uint64_t seed = 99;
	size_t i, n = 0;

	for (i = 0; i <= DRAWN; i++)
		for (n = 0; n < 10; n++)
			check_drawn(&seed, i < DRAWN ? &drawn[i] : &special);
	/* Several bands, groups of blocks and strips of panels. */
	check_shape(&seed, &drawn[0], 143, 33, 1100);
	check_shape(&seed, &drawn[0], 75, 1041, 1030);
	return (DRAWN + 1) * n + 2;
}

/* Off any alignment that binary32 has. */
static void
check_misaligned(void)
{
	enum { M = 17, N = 35, K = 70 };
	static unsigned char bytes[4 * (M + N + 2) * K + 4];
	uint64_t seed = 3;
	struct job j;
	size_t off, i;

	for (off = 1; off < 4; off++) {
		job_init(&j, M, N, K);
		j.data = "misaligned";
		j.x_step = j.w_step = K;
		for (i = 0; i < (M + N) * K; i++)
			*(i < M * K ? j.x + i : j.w + i - M * K) = draw(&seed);
		job_prepare(&j);
		job_expect(&j);
		memcpy(bytes + off, j.x, M * K * sizeof(float));
		memcpy(bytes + off + 4 * M * K, j.w, N * K * sizeof(float));
		j.p.x = (const lm_f32u *)(bytes + off);
		j.rows = (const lm_f32u *)(bytes + off + 4 * M * K);
		job_check(&j, off, NULL);
		job_free(&j);
	}
}

/* ---- the fixtures ---- */

/* Order, cancellation and ties, as numerics_reference.py plants them. */
static void
plant(struct job *j, const char *what)
{
	size_t r, i, h = j->k / 2;

	for (r = 0; r < j->m + j->n; r++) {
		float *row = r < j->m ? j->x + r * j->x_step : j->w + (r - j->m) * j->w_step;
		float sign = r < j->m ? 1 : -1;

		for (i = 0; i < j->k && strcmp(what, "ties") == 0; i++)
			row[i] = (float)floor(row[i] * 0x1p15);
		for (i = 0; i < j->k && strcmp(what, "order") == 0; i += 3) {
			if (r < j->m)
				row[i] = ldexpf(row[i], (int)(37 * (i / 3) % 61));
			row[i + 2] = -sign * row[i];
		}
		if (strcmp(what, "cancel") != 0)
			continue;
		for (i = 0; i < h; i++) {
			if (r < j->m)
				row[i] = ldexpf(row[i], (int)(7 * i % 23));
			row[h + i] = sign * row[i];
		}
		if (r < j->m)
			row[j->k - 1] *= 0x1p-40f;
	}
}

/* The numbers of the line, or drawn ones. */
static void
read_dense(struct job *j, struct vectors *v, int given, size_t biases)
{
	uint64_t seed = given ? 0 : vectors_count(v);
	size_t r, i;

	for (r = 0; r < j->m + j->n; r++)
		for (i = 0; i < j->k; i++)
			(r < j->m ? j->x + r * j->x_step : j->w + (r - j->m) * j->w_step)[i] = given
			    ? (float)vectors_number(v)
			    : draw(&seed);
	for (i = 0; i < biases; i++)
		j->bias[i] = given ? (float)vectors_number(v) : draw(&seed);
	if (!given)
		plant(j, vectors_word(v));
	job_prepare(j);
	j->p.bias = biases > 0 ? j->bias : NULL;
}

/* What the accumulator has is what the fixture has. */
static void
expect_dense(const struct job *j, struct vectors *v, int given)
{
	size_t i, n = j->m * j->n, head = given ? n : n < 4 ? n : 4;
	float *y = zeroed(n, sizeof *y);

	for (i = 0; i < head; i++)
		assert(j->want[i] == (uint32_t)vectors_hex(v));
	for (i = 0; i < n; i++)
		y[i] = lm_from_bits32(j->want[i]);
	if (!given) {
		assert(j->want[n - 1] == (uint32_t)vectors_hex(v));
		assert(hash32(y, n) == vectors_hex(v));
	}
	free(y);
}

static size_t
check_dense(void)
{
	static struct vectors v;
	size_t cases = 0;

	vectors_open(&v, "dense.txt");
	for (; vectors_next(&v); cases++) {
		int given = strcmp(vectors_word(&v), "given") == 0;
		size_t m = vectors_count(&v), n = vectors_count(&v), k = vectors_count(&v);
		size_t biases = vectors_count(&v);
		struct job j;

		job_init(&j, m, n, k);
		j.data = "dense.txt";
		read_dense(&j, &v, given, biases);
		job_expect(&j);
		expect_dense(&j, &v, given);
		job_check(&j, 1 + cases % 3, NULL);
		job_free(&j);
	}
	return cases;
}

/* ---- sums in two products ---- */

/* The last terms go on from the sums of the first ones. */
static void
check_begun_by(struct job *j, const struct lm_kernels *set, const struct form *f, size_t first)
{
	struct lm_matrix w = matrix_of(j, f), before = w, after = w;
	struct lm_product p = j->p, q = j->p;
	double *sums = zeroed(j->m * (j->n + 5), sizeof *sums);

	before.k = first;
	after.k = j->k - first;
	after.panels += first * w.stride;
	if (w.rows != NULL)
		after.rows += first;
	p.w = &before;
	p.sums = sums;
	p.y = NULL;
	p.y_step = j->n + 5;
	set->product(&p, 0, j->m, 0, j->n, room, NULL);
	q.x += first;
	q.w = &after;
	q.begun = &p;
	q.y = j->y;
	q.bias = j->bias;
	set->product(&q, 0, j->m, 0, j->n, room, NULL);
	j->p.wide = NULL;
	job_compare(j, set, f);
	free(sums);
}

static size_t
check_begun(void)
{
	uint64_t seed = 11;
	const struct lm_kernels *set;
	size_t d, i, s, f;

	for (d = 0; d < DRAWN; d++) {
		struct job j;

		job_init(&j, 1 + d * 3, 40 - d, 20 + 60 * d);
		j.data = drawn[d].name;
		for (i = 0; i < j.m * j.x_step; i++)
			j.x[i] = drawn[d].a(&seed);
		for (i = 0; i < j.n * j.w_step; i++)
			j.w[i] = drawn[d].b(&seed);
		job_prepare(&j);
		j.p.bias = j.bias;
		job_expect(&j);
		for (s = 0; (set = lm_kernels_at(s)) != NULL; s++)
			for (f = 1; f < 4; f++)
				check_begun_by(&j, set, &forms[f], draw_bits(&seed) % j.k);
		job_free(&j);
	}
	return d;
}

/* ---- what each stage decides ---- */

/* At most so many of a million outputs may need the second stage. */
static void
check_rate(const struct drawn *data, size_t k, int wide, int grids, double most)
{
	enum { M = 64, N = 192 };
	struct lm_arena arena = { 0 };
	struct loom_error err = { 0 };
	struct lm_counts counts;
	const struct lm_kernels *set;
	struct lm_matrix w;
	uint64_t seed = 5, i;
	struct job j;

	job_init(&j, M, N, k);
	for (i = 0; i < M * j.x_step; i++)
		j.x[i] = data->a(&seed);
	for (i = 0; i < N * j.w_step; i++)
		j.w[i] = data->b(&seed);
	job_prepare(&j);
	for (i = 0; (set = lm_kernels_at(i)) != NULL; i++) {
		counts = (struct lm_counts){ { 0 } };
		w = lm_matrix_of(j.w, j.w_step, N, k);
		assert(lm_matrix_suit(&w, M, set, &arena, &err) == 0);
		assert((w.grid != NULL) == grids);
		w.residues = NULL;
		j.p.w = &w;
		j.p.y = wide ? NULL : j.y;
		j.p.wide = wide ? j.wide : NULL;
		set->product(&j.p, 0, M, 0, N, room, &counts);
		printf("products: %s, K = %zu, %s%s: second stage %.1e, third %.1e\n", data->name,
		    k, set->name, wide ? ", wide" : "", (double)counts.stage[1] / (M * N),
		    (double)counts.stage[2] / (M * N));
		assert(counts.stage[0] + counts.stage[1] == M * N);
		assert((double)counts.stage[1] <= most * M * N);
		assert(grids || k < 512 || counts.stage[1] > 0);
	}
	lm_arena_release(&arena);
	job_free(&j);
}

static void
check_rates(void)
{
	const struct drawn *gauss = &drawn[0], *integers = &drawn[4], *large = &drawn[5];
	const struct drawn *bfloat = &drawn[6];

	check_rate(gauss, 1024, 0, 0, 4e-3);
	check_rate(gauss, 64, 1, 0, 1.1e-2);
	check_rate(gauss, 128, 1, 0, 1.7e-2);
	check_rate(integers, 768, 0, 1, 0);
	check_rate(large, 768, 0, 1, 0);
	check_rate(bfloat, 64, 0, 1, 1e-3);
}

/* Beyond the proof's reach everything is the accumulator's; columns are the same numbers, one further. */
static void
check_long(void)
{
	enum { K = LM_LONGEST_PROOF + 5 };
	static const double norm[LM_PANEL];
	float *v = zeroed(K + LM_PANEL, sizeof *v), y[2];
	struct lm_matrix w = { .n = 2, .k = K, .panels = v, .stride = 1, .norm = norm };
	struct lm_product p = { .m = 1, .x = v, .x_step = K, .w = &w, .y = y, .y_step = 2 };
	const struct lm_kernels *set;
	struct lm_counts counts;
	size_t i;

	for (i = 0; i < K + 1; i++)
		v[i] = 3;
	for (i = 0; (set = lm_kernels_at(i)) != NULL; i++) {
		counts = (struct lm_counts){ { 0 } };
		set->product(&p, 0, 1, 0, 2, room, &counts);
		assert(y[0] == (float)(9.0 * K) && y[1] == y[0]);
		assert(counts.stage[0] == 0 && counts.stage[1] == 0 && counts.stage[2] == 2);
	}
	free(v);
}

int
main(void)
{
	size_t dense, shapes, begun;

	room = aligned_alloc(64, most_room());
	assert(room != NULL);
	dense = check_dense();
	shapes = check_shapes();
	begun = check_begun();
	check_misaligned();
	check_rates();
	check_long();
	assert(dense == 12);
	free(room);
	printf("products: %zu dense layers, %zu shapes, %zu in two parts, %zu checks\n", dense,
	    shapes, begun, checks);
	return 0;
}
