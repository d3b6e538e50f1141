/* trial_functions: every function of a set, over inputs of all sizes; and what works along rows. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "num/angle.h"
#include "num/bytes.h"
#include "num/trial.h"

/* ---- one value at a time ---- */

#define MAP(name) #name, offsetof(struct lm_functions, name)

static const struct {
	const char *name;
	size_t at;
} maps[] = { { MAP(exp) }, { MAP(tanh) }, { MAP(sigmoid) }, { MAP(silu) }, { MAP(mish) },
	{ MAP(erf) }, { MAP(gelu_erf) }, { MAP(gelu_tanh) }, { MAP(rsqrt) }, { MAP(log) },
	{ MAP(log1p) }, { MAP(expm1) }, { MAP(softplus) }, { MAP(sin) }, { MAP(cos) } };

enum { MAPS = sizeof maps / sizeof maps[0], STEP = 1048583, SPECIALS = 12 };

static lm_map_fn *
map_of(const struct lm_functions *fn, size_t i)
{
	lm_map_fn *map;

	memcpy(&map, (const char *)fn + maps[i].at, sizeof(map));
	return map;
}

/* Zeros, the least, the greatest and what is no number, then each STEP-th pattern. */
static float
input(size_t i)
{
	static const uint32_t specials[SPECIALS] = { 0, 0x80000000, 1, 0x80000001, 0x007fffff,
		0x00800000, 0x3f800000, 0xbf800000, 0x7f7fffff, 0x7f800000, 0xff800000,
		0x7fc00000 };

	return lm_from_bits32(i < SPECIALS ? specials[i] : (uint32_t)(i - SPECIALS) * STEP);
}

/* Inputs as they come, then in place from an address that no vector is aligned to. */
static int
run_map(struct lm_trial *t, size_t which, struct loom_error *err)
{
	enum { N = SPECIALS + (int)(4294967295u / STEP) };
	lm_map_fn *map = map_of(t->kernels->fn, which);
	float *x = lm_arena_alloc(&t->arena, N + 1, sizeof(*x), err);
	float *y = lm_arena_alloc(&t->arena, N, sizeof(*y), err);
	size_t i, n;

	if (x == NULL || y == NULL)
		return -1;
	lm_trial_name(t, "%s", maps[which].name);
	for (i = 0; i < N; i++)
		x[i + 1] = input(i);
	map(y, x + 1, N);
	lm_trial_f32(t, y, N);
	lm_trial_again(t);
	for (i = 0; i < N; i += n) {
		n = i % 40 < N - i ? i % 40 : N - i;
		n = n > 0 ? n : 1;
		map(x + 1 + i, x + 1 + i, n);
	}
	lm_trial_f32(t, x + 1, N);
	return 0;
}

/* No set has its own of these, but each compiler makes its own of them. */
static int
run_angles(struct lm_trial *t, struct loom_error *err)
{
	uint64_t seed = 1;
	double x, v[4];
	int i;

	(void)err;
	lm_trial_name(t, "angles");
	for (i = 0; i < 1000; i++) {
		x = lm_trial_gauss(&seed);
		v[0] = lm_exp64(150 * x);
		v[1] = lm_log64(fabs(x) + 0x1p-20);
		lm_sincos64(i * 100 * x, &v[2], &v[3]);
		lm_trial_f64(t, v, 4);
	}
	return 0;
}

static int
run_function(struct lm_trial *t, size_t which, struct loom_error *err)
{
	return which < MAPS ? run_map(t, which, err) : run_angles(t, err);
}

const struct lm_trials lm_trial_functions = { MAPS + 1, run_function };

/* ---- along a row ---- */

static const size_t lengths[] = { 0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 47, 64, 100, 1000 };

enum { LENGTHS = sizeof lengths / sizeof lengths[0], LONGEST = 1000 };

struct row {
	const struct lm_functions *fn;
	size_t n;
	float x[LONGEST + 1], y[LONGEST + 1];
	double v[LONGEST];
	float gamma[LONGEST], beta[LONGEST];
	struct lm_affine line[LONGEST];
};

/* Which zero the greatest of binary64 values is, is left open. */
static void
tell_greatest(const struct row *r, struct lm_trial *t)
{
	float most = r->fn->max(r->x + 1, r->n);
	double wide = r->fn->max64(r->v, r->n) + 0.0;

	lm_trial_f32(t, &most, 1);
	lm_trial_f64(t, &wide, 1);
}

static void
tell_lanes(const struct row *r, struct lm_trial *t)
{
	double sums[3] = { r->fn->lane16_f32(r->x + 1, r->n), r->fn->lane16(r->v, r->n),
		r->fn->lane16_squares(r->x + 1, 0x1.3333333333333p-4, r->n) };

	lm_trial_f64(t, sums, 3);
}

/* The value behind the row is told too: it stays as it was. */
static void
tell_steps(struct row *r, struct lm_trial *t)
{
	const struct lm_functions *fn = r->fn;
	size_t n = r->n;
	int way;

	r->y[n] = 7;
	fn->times(r->y, r->x + 1, 0x1.5555555555555p-2, n);
	lm_trial_f32(t, r->y, n + 1);
	for (way = 0; way < 4; way++) {
		fn->normalize(r->y, r->x + 1, 0x1.999999999999ap-4, 0x1.6a09e667f3bcdp-1,
		    way & 1 ? r->gamma : NULL, way & 2 ? r->beta : NULL, n);
		lm_trial_f32(t, r->y, n + 1);
	}
	fn->affine(r->y, r->x + 1, &r->line[n / 2], n);
	lm_trial_f32(t, r->y, n + 1);
	fn->affines(r->y, r->x + 1, r->line, n);
	lm_trial_f32(t, r->y, n + 1);
	fn->exp_less(r->y, r->x + 1, 1.5, n);
	lm_trial_f32(t, r->y, n + 1);
	fn->exp_less64(r->y, r->v, 0x1.3333333333333p+0, n);
	lm_trial_f32(t, r->y, n + 1);
}

static int
run_row(struct lm_trial *t, size_t which, struct loom_error *err)
{
	size_t class = which / LENGTHS, i;
	struct row *r = lm_arena_alloc(&t->arena, 1, sizeof(*r), err);
	uint64_t seed = which + 1;

	if (r == NULL)
		return -1;
	r->fn = t->kernels->fn;
	r->n = lengths[which % LENGTHS];
	lm_trial_name(t, "row of %zu %s numbers", r->n, lm_trial_class(class));
	lm_trial_fill(r->x + 1, r->n, class, &seed);
	lm_trial_fill(r->gamma, r->n, 0, &seed);
	lm_trial_fill(r->beta, r->n, 0, &seed);
	for (i = 0; i < r->n; i++) {
		r->v[i] = (double)r->x[i + 1] * r->gamma[i];
		r->line[i] = (struct lm_affine){ r->beta[i], 0.3, r->gamma[i], r->beta[i] };
	}
	tell_greatest(r, t);
	tell_lanes(r, t);
	tell_steps(r, t);
	return 0;
}

const struct lm_trials lm_trial_rows = { LENGTHS * LM_TRIAL_CLASSES, run_row };
