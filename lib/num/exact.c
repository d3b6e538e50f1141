/* exact: a sum of products of binary32 numbers, rounded once: the three stages for one output. */
#include "num/exact.h"

#include <math.h>

#include "num/accumulator.h"
#include "num/proof.h"

enum {
	LANES = 4,   /* partial sums that run side by side */
	PIECE = 1024 /* terms of a column that are brought side by side at a time */
};

/* hi + lo is within error of the exact value. */
struct pair {
	double hi, lo, error;
};

static void
count(struct lm_counts *counts, int stage)
{
	if (counts != NULL)
		counts->stage[stage]++;
}

static size_t
terms(const struct lm_sum *s)
{
	size_t n = 0;

	for (; s != NULL; s = s->more)
		n += s->k;
	return n;
}

static double
product(const struct lm_sum *s, size_t i)
{
	return (double)s->a[i] * s->b[i * s->b_step];
}

static double
rounded(double v, int wide)
{
	return wide ? lm_round32(v) : (double)(float)v;
}

/*
 * The first stage: a binary64 sum in LANES lanes, and the sum of magnitudes in its bound.
 * Returns whether it decides the result.
 */
static int
decide_plain(const struct lm_sum *s, int wide, double *result)
{
	double t[LANES] = { 0 }, size[LANES] = { 0 };
	double bias = 0, bias_size = 0, total, scale = fabs(s->scale), bound;
	size_t i;

	if (s->k > LM_LONGEST_PROOF || s->nbias > 2 ||
	    (s->scale != 1 && !(scale >= 0x1p-500 && scale <= 0x1p500)))
		return 0;
	for (i = 0; i < s->k; i++) {
		double p = product(s, i);

		t[i % LANES] += p;
		size[i % LANES] += fabs(p);
	}
	for (i = 0; i < s->nbias; i++) {
		bias += s->bias[i];
		bias_size += fabsf(s->bias[i]);
	}
	total = s->scale * ((t[0] + t[1]) + (t[2] + t[3])) + bias;
	bound = lm_bound(s->k / LANES + 3, (size[0] + size[1]) + (size[2] + size[3]), scale,
	    bias_size);
	*result = rounded(total, wide);
	return lm_decided(total, bound, wide);
}

static void
pair_add(struct lm_pairs *p, double v)
{
	double e;

	lm_two_sum(p->high, v, &p->high, &e);
	p->low += e;
	p->size += fabs(e);
	p->errors++;
}

/* What stands in q joins p. */
static void
pair_join(struct lm_pairs *p, const struct lm_pairs *q)
{
	pair_add(p, q->high);
	p->low += q->low;
	p->size += q->size;
	p->errors += q->errors;
}

struct lm_pairs
lm_pairs_plain(const lm_f32u *a, const lm_f32u *b, size_t k)
{
	struct lm_pairs lane[LANES] = { { 0, 0, 0, 0 } };
	size_t i;

	for (i = 0; i < k; i++)
		pair_add(&lane[i % LANES], (double)a[i] * b[i]);
	for (i = 1; i < LANES; i++)
		pair_join(&lane[0], &lane[i]);
	return lane[0];
}

/* The products by two-sums; a column whose values are not side by side goes through a buffer. */
static struct lm_pairs
pairs_of_part(const struct lm_sum *s, lm_pairs_fn *pairs)
{
	struct lm_pairs all = { 0, 0, 0, 0 }, some;
	float column[PIECE];
	size_t from, n, i;

	if (s->b_step == 1)
		return pairs(s->a, s->b, s->k);
	for (from = 0; from < s->k; from += n) {
		n = s->k - from < PIECE ? s->k - from : PIECE;
		for (i = 0; i < n; i++)
			column[i] = s->b[(from + i) * s->b_step];
		some = pairs(s->a + from, column, n);
		pair_join(&all, &some);
	}
	return all;
}

static struct lm_pairs
pairs_of_sum(const struct lm_sum *s)
{
	struct lm_pairs all = pairs_of_part(s, s->pairs), some;
	const struct lm_sum *part;

	for (part = s->more; part != NULL; part = part->more) {
		some = pairs_of_part(part, s->pairs);
		pair_join(&all, &some);
	}
	return all;
}

/*
 * numerics B.4: high and all errors are the exact sum; low differs from the errors' sum by less
 * than the bound.  Where no addition had an error high is exact, which settles the ties of coarse data.
 */
static struct pair
pair_products(const struct lm_sum *s)
{
	struct lm_pairs p = pairs_of_sum(s);

	return (struct pair){ p.high, p.low, (double)(p.errors + 2) * LM_UNIT * LM_SLACK * p.size };
}

/* v in two parts whose products with other such parts are exact. */
static void
halve(double v, double *high, double *low)
{
	double t = v * 0x1.0000002p27;

	*high = t - (t - v);
	*low = v - *high;
}

/* Times c.  0 if the error of the product could underflow. */
static int
pair_scale(struct pair *p, double c)
{
	double h = c * p->hi, size = fabs(c);
	double ch, cl, ph, pl, e, l;

	if (!(size >= 0x1p-500 && size <= 0x1p500 && fabs(h) > 0x1p-900 && fabs(h) < 0x1p900))
		return 0;
	halve(c, &ch, &cl);
	halve(p->hi, &ph, &pl);
	e = ((ch * ph - h) + ch * pl + cl * ph) + cl * pl;
	l = c * p->lo;
	p->error *= size;
	if (l != 0)
		p->error += 4 * LM_UNIT * (fabs(l) + fabs(e));
	p->hi = h;
	p->lo = l + e;
	return 1;
}

static void
pair_bias(struct pair *p, double bias)
{
	double e, l = p->lo;

	lm_two_sum(p->hi, bias, &p->hi, &e);
	p->lo = l + e;
	if (l != 0 && e != 0)
		p->error += 2 * LM_UNIT * fabs(p->lo);
}

/* The second stage: a double-double sum.  An exact zero comes out as +0, since hi begins as +0. */
static int
decide_pair(const struct lm_sum *s, int wide, struct pair p, double *result)
{
	double error, lo, hi;
	size_t i;

	if (s->scale != 1 && !pair_scale(&p, s->scale))
		return 0;
	for (i = 0; i < s->nbias; i++)
		pair_bias(&p, s->bias[i]);
	lm_two_sum(p.hi, p.lo, &p.hi, &p.lo);
	error = p.error > 0 ? p.error * (1 + 0x1p-40) + 4 * LM_UNIT * fabs(p.lo) : 0;
	lo = lm_add_to_odd(p.hi, p.lo - error);
	hi = lm_add_to_odd(p.hi, p.lo + error);
	*result = rounded(lo, wide);
	return lm_alike(lo, hi, wide);
}

/* The third stage: everything, exactly, rounded to odd. */
static double
decide_exactly(const struct lm_sum *s)
{
	struct lm_accumulator acc;
	const struct lm_sum *part;
	size_t i;

	lm_accumulator_init(&acc);
	for (part = s; part != NULL; part = part->more)
		for (i = 0; i < part->k; i++)
			lm_accumulator_add(&acc, product(part, i));
	if (s->scale != 1)
		lm_accumulator_scale(&acc, s->scale);
	for (i = 0; i < s->nbias; i++)
		lm_accumulator_add(&acc, s->bias[i]);
	return lm_accumulator_odd(&acc);
}

/*
 * A sum with an infinity or a NaN among its terms.  Finite products and their sums stay below
 * 2^281, so a plain loop in any order has the right ones, and no others; a finite sum is left out,
 * lest the scale make it overflow.
 */
static double
special(const struct lm_sum *s)
{
	double t = 0, total = 0;
	const struct lm_sum *part;
	size_t i;

	for (part = s; part != NULL; part = part->more)
		for (i = 0; i < part->k; i++)
			t += product(part, i);
	if (!isfinite(t) || !isfinite(s->scale))
		total = t * s->scale;
	for (i = 0; i < s->nbias; i++)
		total += s->bias[i];
	return total;
}

static int
is_special(const struct lm_sum *s, const struct pair *p)
{
	double bias = 0;
	size_t i;

	for (i = 0; i < s->nbias; i++)
		bias += s->bias[i];
	return !isfinite(p->hi) || !isfinite(bias) || !isfinite(s->scale);
}

static double
undecided(const struct lm_sum *s, int wide, struct lm_counts *counts)
{
	struct pair p = pair_products(s);
	double result;

	if (is_special(s, &p)) {
		count(counts, 0);
		return special(s);
	}
	if (terms(s) <= LM_LONGEST_PROOF && decide_pair(s, wide, p, &result)) {
		count(counts, 1);
		return result;
	}
	count(counts, 2);
	return rounded(decide_exactly(s), wide);
}

static double
ladder(const struct lm_sum *s, int wide, struct lm_counts *counts)
{
	double result;

	if (decide_plain(s, wide, &result)) {
		count(counts, 0);
		return result;
	}
	return undecided(s, wide, counts);
}

float
lm_sum_undecided(const struct lm_sum *s, struct lm_counts *counts)
{
	return (float)undecided(s, 0, counts);
}

double
lm_sumw_undecided(const struct lm_sum *s, struct lm_counts *counts)
{
	return undecided(s, 1, counts);
}

float
lm_xdot(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias, double scale,
    struct lm_counts *counts)
{
	struct lm_sum s = { a, b, 1, k, bias, nbias, scale, lm_pairs_plain, NULL };

	return (float)ladder(&s, 0, counts);
}

double
lm_xdotw(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias,
    double scale, struct lm_counts *counts)
{
	struct lm_sum s = { a, b, 1, k, bias, nbias, scale, lm_pairs_plain, NULL };

	return ladder(&s, 1, counts);
}

float
lm_xdot_undecided(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias,
    double scale, lm_pairs_fn *pairs, struct lm_counts *counts)
{
	struct lm_sum s = { a, b, 1, k, bias, nbias, scale, pairs, NULL };

	return lm_sum_undecided(&s, counts);
}

/* The third stage at once, unless there is an infinity or a NaN. */
static double
exactly(const struct lm_sum *s, int wide)
{
	struct pair p = pair_products(s);

	return is_special(s, &p) ? special(s) : rounded(decide_exactly(s), wide);
}

float
lm_xdot_exact(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias,
    double scale)
{
	struct lm_sum s = { a, b, 1, k, bias, nbias, scale, lm_pairs_plain, NULL };

	return (float)exactly(&s, 0);
}

double
lm_xdotw_exact(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias,
    double scale)
{
	struct lm_sum s = { a, b, 1, k, bias, nbias, scale, lm_pairs_plain, NULL };

	return exactly(&s, 1);
}
