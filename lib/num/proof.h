/* proof: when a binary64 value and a bound on its error decide the rounded result. */
#ifndef NUM_PROOF_H
#define NUM_PROOF_H

#include <math.h>
#include <stddef.h>

#include "num/bytes.h"

#define LM_UNIT 0x1p-53	       /* the unit roundoff of binary64 */
#define LM_SLACK (1 + 0x1p-20) /* covers the roundings of the norms and of the bound itself */

/*
 * How far t = scale*s + bias, computed in binary64 with at most two biases, may be from the exact
 * value: s is a sum of products in which no term passes through more than depth additions, norm is
 * at least (1 - 2^-27) times the sum of their magnitudes.
 *
 * Each of depth additions, the product by scale and two additions of biases may be off by one
 * unit, relative to norm*|scale| plus the biases; so may the subtraction of the bound from t, and
 * the bound's own rounding is worth less than one more.
 */
static inline double
lm_bound(size_t depth, double norm, double scale, double bias)
{
	return ((double)(depth + 6) * LM_UNIT * LM_SLACK) * norm * scale + 4 * LM_UNIT * bias;
}

/* To 32 significant bits, nearest even; v must be exact or rounded to odd. */
static inline double
lm_round32(double v)
{
	uint64_t u = lm_bits64(v);

	if ((u >> 52 & 0x7ff) == 0x7ff)
		return v;
	u += 0xfffff + (u >> 21 & 1);
	return lm_from_bits64(u & ~(uint64_t)0x1fffff);
}

/*
 * Whether all values from lo to hi round alike.  Bits are compared, because -0 and +0 are equal as
 * numbers and differ as results.
 */
static inline int
lm_alike(double lo, double hi, int wide)
{
	if (wide)
		return lm_bits64(lm_round32(lo)) == lm_bits64(lm_round32(hi));
	return lm_bits32((float)lo) == lm_bits32((float)hi);
}

/* The same for t and its bound; an infinity or a NaN anywhere in the sum makes bound one too. */
static inline int
lm_decided(double t, double bound, int wide)
{
	return bound < HUGE_VAL && lm_alike(t - bound, t + bound, wide);
}

/* a + b = sum + error, exactly, in any order of magnitudes. */
static inline void
lm_two_sum(double a, double b, double *sum, double *error)
{
	double s = a + b;
	double z = s - a;

	*error = (a - (s - z)) + (b - z);
	*sum = s;
}

/* a + b rounded to odd: every shorter rounding of that is the rounding of the exact value. */
static inline double
lm_add_to_odd(double a, double b)
{
	double s, e;
	uint64_t u;

	lm_two_sum(a, b, &s, &e);
	u = lm_bits64(s);
	if (e == 0 || (u & 1))
		return s;
	return lm_from_bits64((e > 0) == (s > 0) ? u + 1 : u - 1);
}

#endif
