/*
 * exact: a sum of products of binary32 numbers, rounded once.
 *
 *	T = scale * sum a[i]*b[i] + sum bias[i]
 *
 * as a real number.  Three stages: a binary64 sum with a bound that proves how T rounds; a
 * double-double sum with its own bound; an accumulator that holds T exactly.  The bits of a result
 * depend on no order, width or stage.
 */
#ifndef NUM_EXACT_H
#define NUM_EXACT_H

#include <stddef.h>
#include <stdint.h>

/* binary32 at any alignment: weights are used where a file has them */
typedef float lm_f32u __attribute__((aligned(1)));

/* How many outputs each stage decided.  Sums with an infinity or a NaN count as the first's. */
struct lm_counts {
	uint64_t stage[3];
};

enum { LM_LONGEST_PROOF = 1 << 24 }; /* longer sums are summed exactly: the bounds stop here */

/*
 * T rounded to binary32.  scale 1 means none.  counts is added to, and may be NULL.
 * An exact zero is +0; a result that underflows keeps its sign.
 */
float lm_xdot(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias,
    double scale, struct lm_counts *counts);

/* T rounded to 32 significant bits; 2^-500 <= |scale| <= 2^500. */
double lm_xdotw(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias,
    double scale, struct lm_counts *counts);

/* A sum by two-sums: high plus all errors is exact; low is the errors' rounded sum. */
struct lm_pairs {
	double high, low;
	double size;   /* the sum of the errors' magnitudes */
	size_t errors; /* how many additions may have had one */
};

typedef struct lm_pairs lm_pairs_fn(const lm_f32u *a, const lm_f32u *b, size_t k);
lm_pairs_fn lm_pairs_plain; /* in plain C; kernel sets have faster ones */

/*
 * The terms a[i] * b[i * b_step], as a kernel hands over what its own first stage could not decide: a
 * column of a panel is used where it lies.
 */
struct lm_sum {
	const lm_f32u *a, *b;
	size_t b_step, k;
	const float *bias;
	size_t nbias;
	double scale;
	lm_pairs_fn *pairs;
	const struct lm_sum
	    *more; /* whose terms are of the same sum, or NULL: its factors alone count */
};

/* T from the second stage on. */
float lm_sum_undecided(const struct lm_sum *, struct lm_counts *counts);
double lm_sumw_undecided(const struct lm_sum *, struct lm_counts *counts);

/* The same to binary32 of terms side by side. */
float lm_xdot_undecided(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias,
    size_t nbias, double scale, lm_pairs_fn *pairs, struct lm_counts *counts);

/* The third stage alone: what every other way is tested against. */
float lm_xdot_exact(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias,
    double scale);
double lm_xdotw_exact(const lm_f32u *a, const lm_f32u *b, size_t k, const float *bias, size_t nbias,
    double scale);

#endif
