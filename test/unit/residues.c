/*
 * residues: products on int8 tiles against the exact sums.  The tiles' instructions are emulated
 * (tiles.h), everything else runs as it is: so this needs AVX-512 VNNI.  Where there are tiles the
 * same is done with them.
 */
#define _GNU_SOURCE /* as the included file has it */
#include "tiles.h"

#define lm_amx_here emulated_here
#define lm_amx_product emulated_product
#define lm_amx_residues emulated_residues
#include "../../lib/num/kernel_amx.c"
#undef lm_amx_here
#undef lm_amx_product
#undef lm_amx_residues

int lm_amx_here(void);

#include "sums.h"

#ifndef LM_AMX

int
main(void)
{
	printf("residues: SKIPPED, the compiler knows no int8 tiles\n");
	return 0;
}

#else

static struct lm_kernels emulated_set; /* the amx set, but for its tiles */
static const struct lm_kernels *set;
static void *room;
static size_t checks;

/* ---- rows ---- */

/* Whether r is v times the factor, modulo m. */
static int
alike(int r, double v, int factor, int m)
{
	long long left = ((long long)v % m * factor - r) % m;

	return left == 0;
}

/* The product of the other moduli, modulo that at i. */
static int
cofactor(const struct lm_residue_plan *plan, int i)
{
	int j, v = 1;

	for (j = 0; j < plan->moduli; j++)
		if (j != i)
			v = v * lm_moduli[j] % lm_moduli[i];
	return v;
}

/* 64 integers of 1 to 47 bits, or as many halves between two of them. */
static void
check_chunk(uint64_t *seed, int moduli, int w)
{
	static const size_t longest[] = { 512, 4096, LM_RESIDUE_LONGEST };
	struct lm_residue_plan plan = lm_residue_plan(longest[moduli - 10]);
	struct lm_residue_bytes bytes = lm_residue_bytes(&plan, w);
	struct lm_residue_sums sums = { _mm512_setzero_pd(), _mm512_setzero_pd(),
		_mm512_setzero_si512() };
	int8_t to[LM_MODULI][64] __attribute__((aligned(64)));
	double scale = 0x1p22;
	float v[64];
	int i, j;

	for (j = 0; j < 64; j++) {
		v[j] = ldexpf(draw(seed), (int)(draw_bits(seed) % 50) - 25);
		if (draw_bits(seed) % 8 == 0) /* to the bounds */
			v[j] = j % 2 ? 0x1.fffffep24f : -0x1.fffffep24f;
	}
	lm_residue_chunk(to[0], 64, v, 64, scale, moduli, &bytes, &sums);
	for (j = 0; j < 64; j++)
		for (i = 0; i < moduli; i++, checks++)
			assert(alike(w ? to[i][j] * cofactor(&plan, i) : to[i][j],
			    nearbyint(v[j] * scale), 1, lm_moduli[i]));
}

static void
check_chunks(void)
{
	uint64_t seed = 3;
	int i;

	for (i = 0; i < 300; i++)
		check_chunk(&seed, 10 + i % 3, i / 3 % 2);
}

/* ---- products ---- */

struct product {
	struct lm_product p;
	struct lm_matrix w;
	struct lm_arena arena;
	float *x, *rows, *bias, *bias2, *y;
};

static float *
floats(size_t n)
{
	float *v = calloc(n + 16, sizeof *v);

	assert(v != NULL);
	return v;
}

/* Rows lie apart and off any alignment, except those of y. */
static void
product_init(struct product *p, size_t m, size_t n, size_t k)
{
	size_t step = k + 1;

	memset(p, 0, sizeof *p);
	p->x = floats(m * step + 1);
	p->rows = floats(n * step + 1);
	p->bias = floats(n);
	p->bias2 = floats(n);
	p->y = floats(m * (n + 1));
	p->w = lm_matrix_of((const lm_f32u *)((const char *)p->rows + 2), step, n, k);
	p->p.m = m;
	p->p.x = (const lm_f32u *)((const char *)p->x + 1);
	p->p.x_step = step;
	p->p.w = &p->w;
	p->p.y = p->y;
	p->p.y_step = n + 1;
}

static void
product_free(struct product *p)
{
	lm_arena_release(&p->arena);
	free(p->x);
	free(p->rows);
	free(p->bias);
	free(p->bias2);
	free(p->y);
}

static lm_f32u *
product_x(const struct product *p, size_t m)
{
	return (lm_f32u *)((char *)p->x + 1) + m * p->p.x_step;
}

static lm_f32u *
product_w(const struct product *p, size_t n)
{
	return (lm_f32u *)((char *)p->rows + 2) + n * p->w.step;
}

/* Weights to panels alone, of some other stride. */
static void
to_panels(struct product *p)
{
	size_t n = (p->w.n + 15) / 16 * 16;
	float *panels = lm_arena_alloc(&p->arena, lm_panels_size(p->w.n, p->w.k), 4, NULL);
	double *norm = lm_arena_alloc(&p->arena, n, sizeof *norm, NULL);

	assert(panels != NULL && norm != NULL);
	lm_matrix_pack(&p->w, panels, norm);
	p->w.rows = NULL;
}

/* In parts, as threads would. */
static void
product_run(struct product *p, size_t strips, struct lm_counts *counts)
{
	struct loom_error err = { 0 };
	size_t i, n = p->w.n, m = p->p.m, from, to;

	if (p->w.residues == NULL)
		assert(set->residues(&p->w, &p->arena, &err) == 0);
	memset(p->y, 0xff, m * (n + 1) * sizeof *p->y);
	for (i = 0; i < strips; i++) {
		from = i * (n / 16) / strips * 16;
		to = i + 1 == strips ? n : (i + 1) * (n / 16) / strips * 16;
		set->product(&p->p, 0, m / 2, from, to, room, counts);
		set->product(&p->p, m / 2, m, from, to, room, counts);
	}
}

static void
product_check(const struct product *p, const char *what)
{
	size_t m, n, k = p->w.k;

	for (m = 0; m < p->p.m; m++)
		for (n = 0; n < p->w.n; n++, checks++) {
			float bias[2] = { p->p.bias != NULL ? p->p.bias[n] : 0,
				p->p.bias2 != NULL ? p->p.bias2[n] : 0 };
			float want = lm_xdot_exact(product_x(p, m), product_w(p, n), k, bias, 2, 1);
			float got = p->y[m * p->p.y_step + n];

			if (shown32(got) == shown32(want))
				continue;
			fprintf(stderr, "%s: %s, %zu x %zu x %zu, output %zu, %zu: %a, not %a\n",
			    set->name, what, p->p.m, p->w.n, k, m, n, (double)got, (double)want);
			exit(1);
		}
	for (m = 0; m < p->p.m; m++) /* nothing behind a row is touched */
		assert(lm_bits32(p->y[m * p->p.y_step + p->w.n]) == 0xffffffff);
}

static void
fill(struct product *p, value_fn *x, value_fn *w, uint64_t *seed)
{
	size_t i, j;

	for (i = 0; i < p->p.m; i++)
		for (j = 0; j < p->w.k; j++)
			product_x(p, i)[j] = x(seed);
	for (i = 0; i < p->w.n; i++)
		for (j = 0; j < p->w.k; j++)
			product_w(p, i)[j] = w(seed);
}

static void
fill_biases(struct product *p, value_fn *b, uint64_t *seed)
{
	uint32_t kind = draw_bits(seed) % 3;
	size_t i;

	for (i = 0; i < p->w.n; i++) {
		p->bias[i] = b(seed);
		p->bias2[i] = draw_bits(seed) % 2 == 0 ? -p->bias[i] : b(seed);
	}
	p->p.bias = kind > 0 ? p->bias : NULL;
	p->p.bias2 = kind > 1 ? p->bias2 : NULL;
}

/* Factors of a row's values by powers of two, and rows of zeros. */
static void
spread(struct product *p, uint64_t *seed)
{
	size_t i, j;

	for (i = 0; i < p->p.m + p->w.n; i++) {
		lm_f32u *row = i < p->p.m ? product_x(p, i) : product_w(p, i - p->p.m);
		int by = (int)(draw_bits(seed) % 25) - 12;
		int zero = draw_bits(seed) % 16 == 0;

		for (j = 0; j < p->w.k; j++)
			row[j] = zero ? 0 : ldexpf(row[j], by);
	}
}

/* An infinity or a NaN here and there; what stands beside it must be right. */
static void
poison(struct product *p, uint64_t *seed)
{
	static const float kinds[] = { HUGE_VALF, -HUGE_VALF, NAN };
	size_t i;

	for (i = 0; i < 3; i++) {
		product_x(p, draw_bits(seed) % p->p.m)[draw_bits(seed) % p->w.k] = kinds[i];
		product_w(p, draw_bits(seed) % p->w.n)[draw_bits(seed) % p->w.k] = kinds[i];
	}
	p->bias[draw_bits(seed) % p->w.n] = kinds[draw_bits(seed) % 3];
}

struct shape {
	size_t m, n, k;
};

static const struct shape shapes[] = { { 48, 1, 1 }, { 48, 17, 63 }, { 65, 33, 64 }, { 97, 65, 65 },
	{ 48, 97, 512 }, { 97, 49, 513 }, { 64, 193, 100 }, { 50, 15, 1024 }, { 49, 400, 70 },
	{ 60, 31, 1025 } };

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void
check_classes(void)
{
	uint64_t seed = 21;
	size_t c, i;

	for (c = 0; c < DRAWN; c++)
		for (i = 0; i < SHAPES; i++) {
			struct product p;

			product_init(&p, shapes[i].m, shapes[i].n, shapes[i].k);
			fill(&p, drawn[c].a, drawn[c].b, &seed);
			fill_biases(&p, drawn[c].b, &seed);
			if (i % 3 == 1)
				spread(&p, &seed);
			if (i % 4 == 2)
				poison(&p, &seed);
			if (i % 5 == 3)
				to_panels(&p);
			product_run(&p, 1 + i % 3, NULL);
			product_check(&p, drawn[c].name);
			product_free(&p);
		}
}

/* More moduli, more blocks, and more rows than share a pass. */
static void
check_large(void)
{
	static const struct shape large[] = { { 48, 20, 4096 }, { 48, 20, 4097 }, { 48, 5, 9000 },
		{ 48, 3, LM_RESIDUE_LONGEST }, { 2 * ROWS + 70, 18, 66 } };
	uint64_t seed = 4;
	size_t i;

	for (i = 0; i < sizeof large / sizeof large[0]; i++) {
		struct product p;

		product_init(&p, large[i].m, large[i].n, large[i].k);
		fill(&p, draw_gauss, draw_gauss, &seed);
		product_run(&p, 1, NULL);
		product_check(&p, "large");
		product_free(&p);
	}
}

/*
 * Sums beside the middle between two numbers.  On which side is up to a term of x or of w that
 * rounding loses, or to one that is kept; it is larger than what F may be off by, or smaller.  All
 * other terms, where they are wanted, cancel, in different blocks.
 */
static void
check_brink(size_t k, uint64_t seed, int others)
{
	struct product p;
	size_t i, j;

	product_init(&p, 48, 48, k);
	for (i = 0; i < 48; i++) {
		lm_f32u *x = product_x(&p, i), *w = product_w(&p, i);
		int lost = -38 - (int)(draw_bits(&seed) % 20);
		float sign = draw_bits(&seed) % 2 == 0 ? 1 : -1;

		for (j = 6; j + j < k && others; j++) {
			x[j] = x[k - 1 - j] = draw_gauss(&seed) * 0x1p-6f;
			w[j] = draw_gauss(&seed) * 0x1p-6f;
			w[k - 1 - j] = -w[j];
		}
		x[0] = x[3] = x[5] = w[1] = w[2] = 1;
		w[0] = 1 + (float)(draw_bits(&seed) % 1000) * 0x1p-23f;
		x[1] = 0x1p-24f;
		x[2] = i % 3 == 0 ? sign * ldexpf(1, lost) : 0;
		w[3] = i % 3 == 1 ? sign * ldexpf(1, lost) : 0;
		x[4] = i % 4 < 2 ? ldexpf(1, -21 - (int)(i % 8)) : 0;
		w[4] = -sign * ldexpf(1, -21 - (int)(i % 7));
	}
	product_run(&p, 1, NULL);
	product_check(&p, "brink");
	product_free(&p);
}

/* Rows along each other, of norms next below powers of two: X is as large as it may be. */
static void
check_largest(size_t k)
{
	struct product p;
	size_t i, j;

	product_init(&p, 48, 48, k);
	for (i = 0; i < 48; i++)
		for (j = 0; j < k; j++) {
			float v = (float)sqrt((0.99 - 0.012 * (double)(i % 40)) / (double)k);

			product_x(&p, i)[j] = i % 2 == 0 ? v : -v;
			product_w(&p, i)[j] = v;
		}
	product_run(&p, 1, NULL);
	product_check(&p, "largest");
	product_free(&p);
}

/* Classes where each row of x goes with each of w: x has different seeds. */
static void
check_crafted(const char *name, size_t k, uint64_t seed, uint64_t apart, float bias)
{
	static struct terms t;
	struct product p;
	size_t i, j;

	product_init(&p, 64, 33, k);
	for (i = 0; i < 64; i++) {
		terms_fill(&t, name, seed + (i % 40) * apart, k);
		for (j = 0; j < k; j++)
			product_x(&p, i)[j] = ldexpf(i % 2 == 0 ? t.a[j] : -t.a[j], (int)(i % 3));
		for (j = 0; j < k && i < 33; j++)
			product_w(&p, i)[j] = t.b[j];
	}
	for (i = 0; i < 33; i++)
		p.bias[i] = bias;
	if (bias != 0)
		p.p.bias = p.bias;
	product_run(&p, 1, NULL);
	product_check(&p, name);
	product_free(&p);
}

static void
check_all_crafted(void)
{
	static const size_t lengths[] = { 70, 511, 600, 1100, 4500 };
	size_t i, j;

	for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		size_t k = lengths[i];

		check_crafted("cancelled", k, 5, 1, 0);
		check_crafted("cancelled", k, 5, 0, 0);
		check_crafted("special", k, 5, 1, 0);
		check_crafted("stair", k, 1000, 25, 0);
		check_crafted("stair", k, 8000, 25, 0);
		check_crafted("stair2", k, 1000, 25, 0);
		check_crafted("minus", k, 1, 0, 0);
		check_crafted("tie", k, 5, 0, 1 + 0x1p-23f);
		check_crafted("tie", k, 5, 0, -1 - 0x1p-23f);
		for (j = 0; j < 4; j++)
			check_brink(k, 7 + j, j % 2);
		check_largest(k);
	}
}

/* ---- how much is left to the second stage ---- */

/* Gaussian, with all bits of its small values too. */
static float
draw_full(uint64_t *seed)
{
	float v = draw_gauss(seed);

	return v * (1 + draw(seed) * 0x1p-9f);
}

/* At most that share of the outputs; of integers none. */
static void
check_rate(const char *name, value_fn *x, value_fn *w, size_t k, double most)
{
	enum { M = 128, N = 256 };
	struct lm_counts counts = { { 0 } };
	uint64_t seed = 77;
	struct product p;
	double rate;

	product_init(&p, M, N, k);
	fill(&p, x, w, &seed);
	product_run(&p, 1, &counts);
	rate = (double)counts.stage[1] / (M * N);
	printf("residues: %s, K = %zu: %.2g of the outputs needed the second stage\n", name, k,
	    rate);
	assert(counts.stage[0] + counts.stage[1] == M * N && counts.stage[2] == 0);
	assert(rate <= most);
	product_free(&p);
}

static void
check_rates(void)
{
	check_rate("Gaussian", draw_full, draw_full, 256, 4e-3);
	check_rate("Gaussian", draw_full, draw_full, 512, 5e-3);
	check_rate("Gaussian", draw_full, draw_full, 768, 3e-4);
	check_rate("Gaussian", draw_full, draw_full, 1024, 3e-4);
	check_rate("Gaussian", draw_full, draw_full, 4096, 3e-3);
	check_rate("after relu", draw_relu, draw_full, 768, 3e-4);
	check_rate("bfloat", draw_bfloat, draw_bfloat, 768, 3e-3);
	check_rate("8 bits", draw_integer, draw_integer, 768, 0);
	check_rate("16 bits", draw_large, draw_large, 768, 0);
}

/* What has no tiles goes the other set's way: scales, biases of rows, wide results, few rows. */
static void
check_others(void)
{
	uint64_t seed = 11;
	double scale = 0.37, high[40];
	struct product p;
	float row_bias[48] = { 0.25f };
	size_t n;

	product_init(&p, 48, 40, 300);
	fill(&p, draw_gauss, draw_gauss, &seed);
	product_run(&p, 1, NULL);
	p.p.scale = &scale;
	p.p.row_bias = row_bias;
	set->product(&p.p, 0, 48, 0, 40, room, NULL);
	for (n = 0; n < 40; n++, checks++)
		assert(shown32(p.y[n]) ==
		    shown32(lm_xdot_exact(product_x(&p, 0), product_w(&p, n), 300, row_bias, 1,
			scale)));
	p.p.y = NULL;
	p.p.wide = high;
	p.p.row_bias = NULL;
	set->product(&p.p, 0, 1, 0, 40, room, NULL);
	for (n = 0; n < 40; n++, checks++)
		assert(shown64(high[n]) ==
		    shown64(
			lm_xdotw_exact(product_x(&p, 0), product_w(&p, n), 300, NULL, 0, scale)));
	product_free(&p);
}

static void
check_set(const struct lm_kernels *kernels)
{
	set = kernels;
	checks = 0;
	check_classes();
	check_large();
	check_all_crafted();
	check_others();
	check_rates();
	printf("residues: %zu sums on %s tiles\n", checks,
	    kernels == &emulated_set ? "emulated" : "real");
}

int
main(void)
{
	if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512dq") ||
	    !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl")) {
		printf("residues: SKIPPED, this machine has no AVX-512 VNNI\n");
		return 0;
	}
	room = aligned_alloc(64, lm_kernels_amx.room);
	assert(room != NULL);
	emulated_set = lm_kernels_amx;
	emulated_set.product = emulated_product;
	emulated_set.residues = emulated_residues;
	check_chunks();
	check_set(&emulated_set);
	if (lm_amx_here())
		check_set(&lm_kernels_amx);
	else
		printf("residues: on real tiles SKIPPED, this machine or its kernel has none\n");
	free(room);
	return 0;
}

#endif
