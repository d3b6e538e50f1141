/*
 * few: products of few rows by every kernel set and from every form of the right factor, and the
 * second stage of every set, against the accumulator; how many outputs each stage decides.
 */
#include <math.h>

#include "num/accumulator.h"
#include "num/kernel.h"
#include "num/proof.h"
#include "sums.h"

enum { SETS = 8, MOST_M = 9, SPARE = 4 };

/* How a matrix comes. */
static const struct form {
	const char *name;
	int rows, norm, panels;
	int beside; /* panels share rows of memory, as values of a cache do */
	int grids;  /* how coarse the panels are is known */
} forms[] = {
	{ "rows", 1, 0, 0, 0, 0 },
	{ "rows and norms", 1, 1, 0, 0, 0 },
	{ "panels", 0, 1, 1, 0, 0 },
	{ "panels side by side", 0, 1, 1, 1, 0 },
	{ "rows and panels", 1, 1, 1, 0, 0 },
	{ "rows and panels with grids", 1, 1, 1, 0, 1 },
	{ "panels whose norms come along", 0, 0, 1, 0, 0 },
	{ "panels side by side whose norms come along", 0, 0, 1, 1, 0 },
};

enum { FORMS = sizeof forms / sizeof forms[0] };

static struct lm_counts counted[SETS];
static size_t checks;

/* ---- one product ---- */

struct job {
	const char *name; /* of the data */
	size_t m, n, k, step, x_step;
	int wide;
	float *x, *w;	  /* as they are drawn: rows side by side */
	lm_f32u *xs, *ws; /* the same with steps, off any alignment */
	float *panels;
	double *norm, *grid;
	float bias[3][512]; /* two of columns, one of rows */
	int biases[3];	    /* whether they are there */
	double scale[MOST_M];
	int scaled;
	void *memory[7];
};

static void *
keep(struct job *j, int i, size_t size)
{
	j->memory[i] = aligned_alloc(64, (size + 127) / 64 * 64);
	assert(j->memory[i] != NULL);
	memset(j->memory[i], 0, (size + 127) / 64 * 64);
	return j->memory[i];
}

static void
job_init(struct job *j, size_t m, size_t n, size_t k, size_t odd)
{
	size_t panels = lm_panels_size(n, k);

	memset(j, 0, sizeof *j);
	assert(m <= MOST_M && n <= 512);
	j->m = m;
	j->n = n;
	j->k = k;
	j->step = k + odd % 4;
	j->x_step = k + odd % 3;
	j->x = keep(j, 0, m * k * sizeof *j->x);
	j->w = keep(j, 1, n * k * sizeof *j->w);
	j->xs = (lm_f32u *)((char *)keep(j, 2, m * j->x_step * sizeof *j->x + 3) + odd % 4);
	j->ws = (lm_f32u *)((char *)keep(j, 3, n * j->step * sizeof *j->w + 3) + odd / 4 % 4);
	j->panels = keep(j, 4, panels * sizeof *j->panels);
	j->norm = keep(j, 5, (n + LM_PANEL) * sizeof *j->norm);
	j->grid = keep(j, 6, (n + LM_PANEL) * sizeof *j->grid);
}

static void
job_free(struct job *j)
{
	int i;

	for (i = 0; i < 7; i++)
		free(j->memory[i]);
}

/* Bring what was drawn into its places. */
static void
job_place(struct job *j)
{
	size_t r;

	for (r = 0; r < j->m; r++)
		memcpy((void *)(j->xs + r * j->x_step), j->x + r * j->k, j->k * sizeof *j->x);
	for (r = 0; r < j->n; r++)
		memcpy((void *)(j->ws + r * j->step), j->w + r * j->k, j->k * sizeof *j->w);
}

/* Behind the last row of a panel stands anything finite. */
static struct lm_matrix
job_matrix(struct job *j, const struct form *f)
{
	struct lm_matrix w = lm_matrix_of(j->ws, j->step, j->n, j->k);
	size_t width = (j->n + LM_PANEL - 1) / LM_PANEL * LM_PANEL, c, i;
	double grid;

	lm_matrix_pack(&w, j->panels, j->norm);
	w.stride = f->beside ? width : LM_PANEL;
	w.apart = f->beside ? LM_PANEL : LM_PANEL * j->k;
	for (c = 0; c < width; c++)
		for (i = 0; i < j->k; i++)
			j->panels[c / LM_PANEL * w.apart + i * w.stride + c % LM_PANEL] = c < j->n
			    ? j->w[c * j->k + i]
			    : (i % 2 == 0 ? 3e38f : -3e38f);
	if (!f->rows)
		w.rows = NULL;
	if (!f->panels)
		w.panels = NULL;
	if (!f->norm)
		w.norm = NULL;
	for (c = 0; c < j->n && f->grids; c++) {
		grid = lm_grid(j->ws + c * j->step, j->k);
		i = c / LM_PANEL;
		j->grid[i] = c % LM_PANEL == 0 || grid < j->grid[i] ? grid : j->grid[i];
	}
	w.grid = f->grids ? j->grid : NULL;
	return w;
}

static void
fail_at(const struct job *j, const char *set, const struct form *f, size_t r, size_t c,
    uint64_t got, uint64_t want)
{
	fprintf(stderr, "%s, %zux%zux%zu, %s, %s, output %zu %zu: %llx, not %llx\n", j->name, j->m,
	    j->n, j->k, set, f->name, r, c, (unsigned long long)got, (unsigned long long)want);
	exit(1);
}

/* The output by the accumulator, or what its bits must be in y and wide. */
static uint64_t
exact_bits(const struct job *j, size_t r, size_t c)
{
	const float *a = j->x + r * j->k, *b = j->w + c * j->k;
	double scale = j->scaled ? j->scale[r] : 1;
	float bias[3];
	size_t n = 0;
	int i;

	for (i = 0; i < 3; i++)
		if (j->biases[i])
			bias[n++] = j->bias[i][i < 2 ? c : r];
	if (j->wide)
		return shown64(lm_xdotw_exact(a, b, j->k, bias, n, scale));
	return shown32(lm_xdot_exact(a, b, j->k, bias, n, scale));
}

static void
check_outputs(const struct job *j, const char *set, const struct form *f, const float *y,
    const double *wide, const uint64_t *want)
{
	size_t r, c, step = j->n + SPARE;
	uint64_t got;

	for (r = 0; r < j->m; r++)
		for (c = 0; c < j->n; c++) {
			got = j->wide ? shown64(wide[r * step + c]) : shown32(y[r * step + c]);
			checks++;
			if (got != want[r * j->n + c])
				fail_at(j, set, f, r, c, got, want[r * j->n + c]);
		}
	for (r = 0; r < j->m; r++)
		for (c = j->n; c < step; c++)
			assert(y[r * step + c] == 7 && wide[r * step + c] == 7);
}

/* Those that came along are the rows' but for roundings. */
static void
check_norms(const struct job *j, const double *norm)
{
	double want;
	size_t c;

	for (c = 0; c < j->n; c++) {
		want = lm_norm(j->w + c * j->k, j->k);
		assert(
		    isfinite(want) ? fabs(norm[c] - want) <= 0x1p-40 * want : !isfinite(norm[c]));
	}
}

/* In two strips of columns, as threads would. */
static void
run_form(struct job *j, size_t set, const struct form *f, const uint64_t *want)
{
	const struct lm_kernels *kernels = lm_kernels_at(set);
	struct lm_matrix w = job_matrix(j, f);
	int along = !f->rows && !f->norm;
	size_t step = j->n + SPARE, cells = j->m * step, i, half;
	void *room = aligned_alloc(64, (kernels->room + 63) / 64 * 64);
	float *y = malloc(cells * sizeof *y);
	double *wide = malloc(cells * sizeof *wide);
	double norm[512 + LM_PANEL];
	struct lm_product p = { .m = j->m,
		.x = j->xs,
		.x_step = j->x_step,
		.w = &w,
		.bias = j->biases[0] ? j->bias[0] : NULL,
		.bias2 = j->biases[1] ? j->bias[1] : NULL,
		.row_bias = j->biases[2] ? j->bias[2] : NULL,
		.scale = j->scaled ? j->scale : NULL,
		.scale_step = 1,
		.y = j->wide ? NULL : y,
		.wide = j->wide ? wide : NULL,
		.y_step = step,
		.norms = along ? norm : NULL };

	assert(room != NULL && y != NULL && wide != NULL);
	for (i = 0; i < cells; i++)
		y[i] = (float)(wide[i] = 7);
	half = j->n / 2 / LM_PANEL * LM_PANEL;
	kernels->product(&p, 0, j->m, 0, half, room, &counted[set]);
	kernels->product(&p, 0, j->m, half, j->n, room, &counted[set]);
	check_outputs(j, kernels->name, f, y, wide, want);
	if (p.norms != NULL)
		check_norms(j, norm);
	free(room);
	free(y);
	free(wide);
}

static uint64_t *
expected(struct job *j)
{
	uint64_t *want = malloc((j->m * j->n + 1) * sizeof *want);
	size_t i;

	assert(want != NULL);
	job_place(j);
	for (i = 0; i < j->m * j->n; i++)
		want[i] = exact_bits(j, i / j->n, i % j->n);
	return want;
}

/* By all forms that as many rows can come in. */
static void
run_forms(struct job *j, size_t set, const uint64_t *want)
{
	size_t i;

	for (i = 0; i < FORMS; i++)
		if (forms[i].rows || forms[i].norm || j->m == 1)
			run_form(j, set, &forms[i], want);
}

static void
run_all(struct job *j)
{
	uint64_t *want = expected(j);
	size_t set;

	for (set = 0; lm_kernels_at(set) != NULL; set++)
		run_forms(j, set, want);
	free(want);
}

/* ---- the data ---- */

static void
draw_data(struct job *j, const struct drawn *d, uint64_t *seed)
{
	size_t i;

	j->name = d->name;
	for (i = 0; i < j->m * j->k; i++)
		j->x[i] = d->a(seed);
	for (i = 0; i < j->n * j->k; i++)
		j->w[i] = d->b(seed);
}

static void
draw_biases(struct job *j, const struct drawn *d, uint64_t *seed)
{
	size_t i;
	int b;

	for (b = 0; b < 3; b++)
		for (i = 0; i < j->n || i < j->m; i++)
			j->bias[b][i] = d->b(seed);
	for (i = 0; i < j->m; i++)
		j->scale[i] = (double)draw(seed) * 0.37;
}

/* Each case of biases, scale and width in its turn. */
static void
options(struct job *j, size_t i)
{
	static const unsigned char biases[6] = { 0, 1, 3, 4, 5, 0 };
	int b;

	for (b = 0; b < 3; b++)
		j->biases[b] = biases[i % 6] >> b & 1;
	j->scaled = i % 4 >= 2;
	j->wide = i % 5 >= 3;
}

static void
check_shapes(void)
{
	uint64_t seed = 11;
	struct job j;
	size_t i, k, n, m;

	for (i = 0; i < 71 * 3; i++) {
		const struct drawn *d = &drawn[i % DRAWN];

		k = i % 71;
		m = 1 + i % MOST_M;
		n = i % 7 == 0 ? 1 + draw_bits(&seed) % 100 : 1 + draw_bits(&seed) % 20;
		job_init(&j, m, n, k, draw_bits(&seed) % 16);
		draw_data(&j, d, &seed);
		draw_biases(&j, d, &seed);
		options(&j, draw_bits(&seed));
		run_all(&j);
		job_free(&j);
	}
}

/* Lengths about those of blocks. */
static void
check_long(void)
{
	static const size_t ks[] = { 127, 128, 255, 257, 511, 512, 513, 1024, 1030, 2047, 2049,
		2070, 4100 };
	uint64_t seed = 12;
	struct job j;
	size_t i;

	for (i = 0; i < sizeof ks / sizeof ks[0]; i++) {
		job_init(&j, 1 + i % 5, 21, ks[i], draw_bits(&seed) % 16);
		draw_data(&j, &drawn[i % DRAWN], &seed);
		draw_biases(&j, &drawn[i % DRAWN], &seed);
		options(&j, i);
		run_all(&j);
		job_free(&j);
	}
}

/* An infinity or a NaN in one row or column, which all others must not notice. */
static void
check_special(void)
{
	const float kinds[3] = { HUGE_VALF, -HUGE_VALF, lm_from_bits32(0x7fc00000) };
	uint64_t seed = 13;
	struct job j;
	size_t i, at, n, k;

	for (i = 0; i < 60; i++) {
		n = 1 + draw_bits(&seed) % 40;
		k = 1 + draw_bits(&seed) % 40;
		job_init(&j, 1 + i % 5, n, k, i % 16);
		draw_data(&j, &drawn[i % 2 == 0 ? 0 : 10], &seed);
		draw_biases(&j, &drawn[0], &seed);
		options(&j, i);
		j.name = "special";
		if (i % 3 != 0)
			j.w[draw_bits(&seed) % (j.n * j.k)] = kinds[i % 3];
		if (i % 4 != 0)
			j.x[draw_bits(&seed) % (j.m * j.k)] = kinds[i / 3 % 3];
		at = draw_bits(&seed) % j.n;
		if (i % 5 == 0)
			j.bias[0][at] = kinds[i / 5 % 3];
		if (i % 7 == 0)
			j.scale[0] = kinds[i / 7 % 3];
		run_all(&j);
		job_free(&j);
	}
}

enum { BIAS = 1, ROW_BIAS = 2, MINUS = 4, WIDE = 8, TINY = 16 };

/* All rows are the same sum, so that it comes in each place of a tile. */
static void
crafted(const char *name, uint64_t seed, size_t k, size_t m, int how)
{
	static struct terms t;
	struct job j;
	size_t r, i;

	terms_fill(&t, name, seed, k);
	for (i = 0; i < k && (how & MINUS); i++)
		t.b[i] = -t.b[i];
	job_init(&j, m, 21, k, (size_t)seed % 16);
	for (r = 0; r < m; r++)
		memcpy(j.x + r * k, t.a, k * sizeof *j.x);
	for (r = 0; r < j.n; r++)
		memcpy(j.w + r * k, t.b, k * sizeof *j.w);
	j.name = name;
	j.wide = (how & WIDE) != 0;
	for (j.biases[0] = how & BIAS, r = 0; r < j.n; r++)
		j.bias[0][r] = 1 + 0x1p-23f;
	for (j.biases[2] = how & (ROW_BIAS | TINY), r = 0; r < m; r++)
		j.bias[2][r] = how & TINY ? 0x1p-149f : 1 + 0x1p-23f;
	run_all(&j);
	job_free(&j);
}

/*
 * Staircases whose terms meet in one lane, for each number of lanes and of sums side by side that a
 * set may have; then ties that only a bias makes.
 */
static void
check_crafted(void)
{
	static const size_t strides[] = { 1, 2, 4, 8, 16, 32 };
	static const unsigned less[] = { 100, 300, 600, 900, 990 };
	static const size_t lengths[] = { 64, 250, 512, 1024, 2048 };
	size_t s, l, b, m;
	int how;

	for (s = 0; s < 6; s++)
		for (l = 0; l < 5; l++)
			for (b = 0; b < 5; b++) {
				m = 1 + (s + l + b) % 4;
				how = (l + b) % 2 == 0 ? MINUS : 0;
				how |= (s + b) % 2 == 0 ? TINY : 0;
				crafted("stair", strides[s] * 1000 + less[l], lengths[b], m, how);
				crafted("stair2", strides[s] * 1000 + less[l], lengths[b], m, how);
				crafted("stair32", strides[s] * 1000 + less[l], lengths[b], m,
				    how | WIDE);
			}
	for (b = 0; b < 5; b++)
		for (m = 1; m <= 4; m++) {
			crafted("tie", b + 1, lengths[b], m, BIAS);
			crafted("tie", b + 1, lengths[b], m, ROW_BIAS);
			crafted("cancelled", b + m, lengths[b], m, 0);
			crafted("minus", b + 1, lengths[b], m, 0);
		}
}

/* Scales beyond the proofs, against rows and columns of nothing but zeros. */
static void
check_scales(void)
{
	static const double scales[4] = { 0x1p-600, -0x1p600, 0x1p501, 0 };
	uint64_t seed = 15;
	struct job j;
	size_t i, r;

	for (i = 0; i < 8; i++) {
		job_init(&j, 4, 18, 30, i);
		draw_data(&j, &drawn[0], &seed);
		j.name = "scales";
		j.scaled = 1;
		for (r = 0; r < 4; r++)
			j.scale[r] = scales[r];
		memset(j.w + i * 2 * j.k, 0, j.k * sizeof *j.w);
		memset(j.x + i % 4 * j.k, 0, j.k * sizeof *j.x);
		run_all(&j);
		job_free(&j);
	}
}

/*
 * Multiples of one power of two whose sum is beyond binary64: 2^60 + 2^36 + 1, a unit above the middle of
 * two results, which any order of additions rounds to the middle, and so to the lower one.
 */
static void
check_grids(void)
{
	static const float terms[] = { 0x1p30f, 0x1p18f, 1 };
	struct job j;
	size_t i;

	job_init(&j, 4, 19, 64, 1);
	j.name = "multiples that are too many";
	for (i = 0; i < j.m * j.k; i++)
		j.x[i] = i % j.k % 20 == 0 && i % j.k < 60 ? terms[i % j.k / 20] : 0;
	for (i = 0; i < j.n; i++)
		memcpy(j.w + i * j.k, j.x, j.k * sizeof *j.w);
	run_all(&j);
	job_free(&j);
}

/* Scales that bring a sum next to the middle of two results; biases that leave little of it. */
static void
check_ties(void)
{
	uint64_t seed = 14;
	struct job j;
	size_t i, r;
	double sum, middle;
	int trial;

	for (trial = 0; trial < 40; trial++) {
		job_init(&j, 1 + (size_t)trial % 5, 19, 1 + draw_bits(&seed) % 300, 5);
		draw_data(&j, &drawn[0], &seed);
		j.name = "scale ties";
		j.scaled = trial % 2 == 0;
		j.wide = trial % 3 == 0;
		for (r = 0; r < j.m && j.scaled; r++) {
			sum = lm_xdotw_exact(j.x + r * j.k, j.w + r * j.k, j.k, NULL, 0, 1);
			middle = 1 + (draw_bits(&seed) % 1024 + 0.5) * (j.wide ? 0x1p-31 : 0x1p-23);
			j.scale[r] = sum != 0 ? middle / sum : 1;
		}
		j.biases[0] = !j.scaled;
		for (i = 0; i < j.n; i++)
			j.bias[0][i] = -lm_xdot_exact(j.x, j.w + i * j.k, j.k, NULL, 0, 1);
		run_all(&j);
		job_free(&j);
	}
}

/* Few outputs leave the first stage on ordinary data, and none the second. */
static void
check_rates(void)
{
	struct lm_counts before;
	uint64_t seed = 16, all, second, third, *want;
	struct job j;
	size_t i;

	job_init(&j, MOST_M, 512, 1024, 0);
	draw_data(&j, &drawn[0], &seed);
	want = expected(&j);
	for (i = 0; lm_kernels_at(i) != NULL; i++) {
		before = counted[i];
		run_forms(&j, i, want);
		second = counted[i].stage[1] - before.stage[1];
		third = counted[i].stage[2] - before.stage[2];
		all = counted[i].stage[0] - before.stage[0] + second + third;
		printf(
		    "few: %s: of %llu Gaussian sums of 1024 terms %llu needed the second stage\n",
		    lm_kernels_at(i)->name, (unsigned long long)all, (unsigned long long)second);
		assert(all >= j.m * j.n && second <= all / 1000 && third == 0);
	}
	free(want);
	job_free(&j);
}

int
main(void)
{
	const struct lm_kernels *kernels;
	size_t i;

	check_shapes();
	check_long();
	check_special();
	check_crafted();
	check_scales();
	check_ties();
	check_grids();
	check_rates();
	for (i = 0; (kernels = lm_kernels_at(i)) != NULL; i++)
		printf("few: %s: the stages decided %llu, %llu, %llu\n", kernels->name,
		    (unsigned long long)counted[i].stage[0],
		    (unsigned long long)counted[i].stage[1],
		    (unsigned long long)counted[i].stage[2]);
	printf("few: %zu outputs\n", checks);
	return 0;
}
