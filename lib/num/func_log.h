/*
 * func_log: logarithms and what is near 1, as func_core.h but in twins of binary64: correctly rounded
 * for each of the 2^32 inputs.
 */
#ifndef NUM_FUNC_LOG_H
#define NUM_FUNC_LOG_H

#include "num/twin.h"

#define LM_SQRT_HALF 0x1.6a09e667f3bcdp-1

/* 2^k, |k| < 1023 */
LM_CORE double
lm_two_to(double k)
{
	return lm_from_bits64(((uint64_t)1023 << 52) + (lm_bits64(k + LM_MAGIC) << 52));
}

/* The k of x = 2^k m, m in [sqrt(1/2), sqrt 2), for normal x > 0. */
LM_CORE double
lm_log_exponent(double x)
{
	uint64_t u = lm_bits64(x) + (((uint64_t)1023 << 52) - lm_bits64(LM_SQRT_HALF));

	return lm_from_bits64((u >> 52) | (uint64_t)0x433 << 52) - (0x1p52 + 1023);
}

/*
 * log(2^k (1 + f)), f in [sqrt(1/2) - 1, sqrt 2 - 1], to 2^-56 of its value: k log 2 + 2 atanh s,
 * s = f/(2 + f), with the rest of the division.
 */
LM_CORE struct lm_twin
lm_log_twin(double k, struct lm_twin f)
{
	struct lm_twin d = lm_twin_sum(2, f.high), p, sum;
	double inverse = 1 / d.high, s = f.high * inverse, z = s * s;
	double r = 0x1.0f64e24fe3f21p-3, rest;

	p = lm_twin_product(s, d.high);
	rest = ((f.high - p.high) - p.low) + (f.low - s * (d.low + f.low));
	/* 2 atanh s = 2 s + s^3 r(s^2), to 2^-66.7 */
	r = lm_mul_add(r, z, 0x1.0f5c963e76a8ep-3);
	r = lm_mul_add(r, z, 0x1.3b20adcc8dfa3p-3);
	r = lm_mul_add(r, z, 0x1.745cde2899287p-3);
	r = lm_mul_add(r, z, 0x1.c71c725927115p-3);
	r = lm_mul_add(r, z, 0x1.249249242b1e5p-2);
	r = lm_mul_add(r, z, 0x1.9999999999e01p-2);
	r = lm_mul_add(r, z, 0x1.5555555555555p-1);
	sum = lm_twin_sum(k * LM_LN2_HIGH, 2 * s);
	sum.low += (2 * (rest * inverse) + (s * z) * r) + k * LM_LN2_LOW;
	return sum;
}

/* log x of a normal x > 0 of at most 24 significant bits. */
LM_CORE struct lm_twin
lm_log_parts(double x)
{
	double k = lm_log_exponent(x);
	struct lm_twin f = { x * lm_two_to(-k) - 1, 0 };

	return lm_log_twin(k, f);
}

LM_CORE float
lm_log_core(float v)
{
	double x = v;
	struct lm_twin l = lm_log_parts(x > 0 && x < INFINITY ? x : 1);
	float y = lm_twin_round(l.high, l.low);

	y = x > 0 ? y : NAN;
	y = x == 0 ? -INFINITY : y;
	return x == INFINITY ? INFINITY : y;
}

/*
 * 1 + x = 2^k (1 + f), f = (2^-k x - 1) + 2^-k, or x itself where k is 0.  That is exact up to 2^52; beyond
 * it the logarithm is 36 and more, so that 2^-54 of 1 + f does not matter.
 */
LM_CORE float
lm_log1p_core(float v)
{
	double x = v > -1 && v < INFINITY ? v : 0;
	double k = lm_log_exponent(1 + x), scale = lm_two_to(-k);
	struct lm_twin f = { k == 0 ? x : (scale * x - 1) + scale, 0 }, l = lm_log_twin(k, f);
	float y = copysignf(lm_twin_round(l.high, l.low), v);

	y = v >= -1 ? y : NAN;
	y = v == -1 ? -INFINITY : y;
	return v == INFINITY ? INFINITY : y;
}

/* e^x = (1 + (high + low)) power */
struct lm_wide_power {
	double high, low, power;
};

/*
 * Of x.high + x.low, |x| <= 700: r^3/6 and what follows is small enough for binary64, which leaves
 * 2^-57.
 */
LM_CORE struct lm_wide_power
lm_exp_twin(struct lm_twin x)
{
	double t = x.high * LM_LOG2E + LM_MAGIC, k = t - LM_MAGIC;
	double r = x.high - k * LM_LN2_HIGH, low = x.low - k * LM_LN2_LOW;
	double q = 0x1.ae7f3e733b81fp-41; /* 1/15! */
	struct lm_twin square = lm_twin_product(r, r), sum = lm_twin_sum(r, 0.5 * square.high);
	struct lm_wide_power e;

	q = lm_mul_add(q, r, 0x1.93974a8c07c9dp-37);
	q = lm_mul_add(q, r, 0x1.6124613a86d09p-33);
	q = lm_mul_add(q, r, 0x1.1eed8eff8d898p-29);
	q = lm_mul_add(q, r, 0x1.ae64567f544e4p-26);
	q = lm_mul_add(q, r, 0x1.27e4fb7789f5cp-22);
	q = lm_mul_add(q, r, 0x1.71de3a556c734p-19);
	q = lm_mul_add(q, r, 0x1.a01a01a01a01ap-16);
	q = lm_mul_add(q, r, 0x1.a01a01a01a01ap-13);
	q = lm_mul_add(q, r, 0x1.6c16c16c16c17p-10);
	q = lm_mul_add(q, r, 0x1.1111111111111p-7);
	q = lm_mul_add(q, r, 0x1.5555555555555p-5);
	q = lm_mul_add(q, r, 0x1.5555555555555p-3);
	e.high = sum.high;
	q = (r * square.high) * q;
	e.low = sum.low + (0.5 * square.low + (low + (low * (sum.high + q) + q)));
	e.power = lm_from_bits64(((uint64_t)1023 << 52) + (lm_bits64(t) << 52));
	return e;
}

LM_CORE float
lm_expm1_core(float v)
{
	struct lm_twin x = { lm_at_least(lm_at_most(v, 110), -110), 0 }, one, sum;
	struct lm_wide_power e = lm_exp_twin(x);

	one = e.power > 1 ? lm_twin_sum(e.power, -1) : lm_twin_sum(-1, e.power);
	sum = lm_twin_sum(one.high, e.power * e.high);
	return copysignf(lm_twin_round(sum.high, sum.low + (one.low + e.power * e.low)), v);
}

/* log(1 + e^x) = maximum(x, 0) + log(1 + w), w = e^-|x| */
LM_CORE float
lm_softplus_core(float v)
{
	struct lm_twin x = { -lm_at_most(fabs((double)v), 110), 0 }, w, f, l, sum;
	struct lm_wide_power e = lm_exp_twin(x);
	double k, most = v > 0 ? v : 0;

	w = lm_twin_sum(1, e.high);
	w = lm_twin_sum(w.high * e.power, (w.low + e.low) * e.power);
	k = w.high > 0x1.a8279ap-2 ? 1 : 0; /* sqrt 2 - 1 */
	f = lm_twin_sum(-k, w.high);
	f.high = k == 1 ? 0.5 * f.high : f.high;
	f.low = k == 1 ? 0.5 * (f.low + w.low) : w.low;
	l = lm_log_twin(k, f);
	sum = most > l.high ? lm_twin_sum(most, l.high) : lm_twin_sum(l.high, most);
	return v > 110 ? v : lm_twin_round(sum.high, sum.low + l.low);
}

#endif
