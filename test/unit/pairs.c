/*
 * pairs: the second stage's sums of every kernel set: high, low and their bound against the
 * accumulator, and what is decided by them.
 */
#include <math.h>

#include "num/accumulator.h"
#include "num/kernel.h"
#include "num/proof.h"
#include "sums.h"

static size_t checks;
static struct lm_counts counts;

static void
fail_by(const struct terms *t, const char *set, const char *what)
{
	fprintf(stderr, "%s, seed %llu, %zu terms, %s: %s\n", t->name, (unsigned long long)t->seed,
	    t->k, set, what);
	exit(1);
}

/* What the exact sum has beyond high and low, rounded to odd. */
static double
beyond(const struct terms *t, const struct lm_pairs *p)
{
	struct lm_accumulator acc;
	size_t i;

	lm_accumulator_init(&acc);
	for (i = 0; i < t->k; i++)
		lm_accumulator_add(&acc, (double)t->a[i] * t->b[i]);
	lm_accumulator_add(&acc, -p->high);
	lm_accumulator_add(&acc, -p->low);
	return lm_accumulator_odd(&acc);
}

/* numerics B.4, and that an error's magnitude was counted where there is one. */
static void
check_bound(const struct terms *t, const char *set, lm_pairs_fn *pairs)
{
	static unsigned char ra[4 * SUM_MOST + 4], rb[4 * SUM_MOST + 4];
	struct lm_pairs p;
	double rest, bound;

	memcpy(ra + 1, t->a, t->k * sizeof *t->a);
	memcpy(rb + 3, t->b, t->k * sizeof *t->b);
	p = pairs((const lm_f32u *)(ra + 1), (const lm_f32u *)(rb + 3), t->k);
	rest = fabs(beyond(t, &p));
	bound = (double)(p.errors + 2) * LM_UNIT * LM_SLACK * p.size;
	checks++;
	if (!(rest <= bound))
		fail_by(t, set, "more is lost than the bound says");
	if (fabs(p.low) > p.size * LM_SLACK)
		fail_by(t, set, "the errors' sum is more than that of their magnitudes");
	if (p.errors < t->k || p.errors > t->k + 64)
		fail_by(t, set, "errors are miscounted");
}

static void
check_decisions(const struct terms *t, const char *set, lm_pairs_fn *pairs)
{
	static const double scales[3] = { 1, 0.35, -3.7e9 };
	float bias[2] = { t->k > 0 ? -t->a[0] : 1, 0x1p-20f };
	size_t i, n;

	for (i = 0; i < 6; i++) {
		double scale = scales[i % 3];
		struct lm_sum s = { t->a, t->b, 1, t->k, bias, i / 2, scale, pairs, NULL };

		n = i / 2;
		if (shown32(lm_xdot_undecided(t->a, t->b, t->k, bias, n, scale, pairs, &counts)) !=
		    shown32(lm_xdot_exact(t->a, t->b, t->k, bias, n, scale)))
			fail_by(t, set, "another binary32");
		if (shown64(lm_sumw_undecided(&s, &counts)) !=
		    shown64(lm_xdotw_exact(t->a, t->b, t->k, bias, n, scale)))
			fail_by(t, set, "other 32 bits");
	}
}

/* The sums as numerics B.4 has them, without lanes: the bound is tight for these alone. */
static struct lm_pairs
chain(const lm_f32u *a, const lm_f32u *b, size_t k)
{
	struct lm_pairs p = { 0, 0, 0, k };
	double error;
	size_t i;

	for (i = 0; i < k; i++) {
		lm_two_sum(p.high, (double)a[i] * b[i], &p.high, &error);
		p.low += error;
		p.size += fabs(error);
	}
	return p;
}

static void
check_terms(const char *name, uint64_t seed, size_t k)
{
	static struct terms t;
	const struct lm_kernels *kernels;
	size_t i;

	terms_fill(&t, name, seed, k);
	for (i = 0; (kernels = lm_kernels_at(i)) != NULL; i++) {
		if (strcmp(name, "special") != 0)
			check_bound(&t, kernels->name, kernels->pairs);
		check_decisions(&t, kernels->name, kernels->pairs);
	}
	if (strcmp(name, "special") != 0) {
		check_bound(&t, "plain", lm_pairs_plain);
		check_bound(&t, "one after the other", chain);
	}
	check_decisions(&t, "plain", lm_pairs_plain);
	check_decisions(&t, "one after the other", chain);
}

/* Biases that leave 2^-110, 2^-100 of sums whose low parts are lost to larger ones in between. */
static void
check_lost(lm_pairs_fn *pairs)
{
	const float a[3] = { 0x1p-60f, 0x1p-55f, 0x1p-65f }, b[3] = { 1, 0x1p-55f, 0x1p-65f };
	const float c[3] = { 1, 0x1p-15f, 0x1p-60f }, d[3] = { 1, 0x1p-15f, 0x1p-55f };
	const float one[3] = { 1, -1, -0x1p-60f }, other[3] = { -1, 0x1p-60f, 0x1p-100f };
	const double scale = 1 - 0x1p-30;

	assert(lm_xdot_undecided(a, b, 3, one, 3, 1, pairs, NULL) ==
	    lm_xdot_exact(a, b, 3, one, 3, 1));
	assert(lm_xdot_undecided(c, d, 3, other, 3, scale, pairs, NULL) ==
	    lm_xdot_exact(c, d, 3, other, 3, scale));
}

int
main(void)
{
	static const size_t ks[] = { 100, 255, 1000, 1025, 4096, 5000 };
	static const size_t strides[] = { 1, 2, 4, 8, 16, 32 };
	size_t i, k, less;

	for (k = 0; k <= 70; k++)
		for (i = 0; i < DRAWN; i++)
			check_terms(drawn[i].name, k * 100 + i, k);
	for (k = 0; k < 6; k++)
		for (i = 0; i < DRAWN; i++)
			check_terms(drawn[i].name, k, ks[k]);
	for (i = 0; i < 6; i++)
		for (less = 100; less < 1000; less += 89) {
			check_terms("stair", strides[i] * 1000 + less, 300);
			check_terms("stair2", strides[i] * 1000 + less, 300);
			check_terms("stair2", strides[i] * 1000 + less, 3000);
			check_terms("stair3", strides[i] * 1000 + less, 300);
		}
	for (k = 1; k < 90; k++) {
		check_terms("cancelled", k, k);
		check_terms("special", k, k);
		check_terms("tie", k, k);
		check_terms("minus", 1 + k % 7, k);
	}
	for (i = 0; lm_kernels_at(i) != NULL; i++)
		check_lost(lm_kernels_at(i)->pairs);
	check_lost(lm_pairs_plain);
	printf("pairs: %zu sums, decided by the stages: %llu, %llu, %llu\n", checks,
	    (unsigned long long)counts.stage[0], (unsigned long long)counts.stage[1],
	    (unsigned long long)counts.stage[2]);
	return 0;
}
