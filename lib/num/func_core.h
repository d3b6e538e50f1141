/*
 * func_core: the functions of num/func.h as inline code without branches, so that a loop over an
 * array is turned into vector code.
 *
 * Inside, binary64; at the end one rounding to binary32.  The polynomials and the ranges were
 * chosen so that the result is the correctly rounded one for each of the 2^32 inputs, which `make
 * exhaustive` checks.
 */
#ifndef NUM_FUNC_CORE_H
#define NUM_FUNC_CORE_H

#include <math.h>

#include "num/bytes.h"

#define LM_CORE static inline __attribute__((always_inline))

/* LM_UNFUSED is for a file whose bits are those of single steps. */
#if !defined(LM_UNFUSED) && (defined(__FMA__) || defined(__ARM_FEATURE_FMA))
#define LM_FUSED /* the target has fma as an instruction */
#endif

#define LM_MAGIC 0x1.8p52 /* added and subtracted: rounds to an integer */
#define LM_LOG2E 0x1.71547652b82fep+0
#define LM_LN2_HIGH 0x1.62e42fefa3800p-1
#define LM_LN2_LOW 0x1.ef35793c76730p-45

/* e^x = (1 + fraction) * power */
struct lm_power {
	double fraction, power;
};

LM_CORE double
lm_at_most(double x, double most)
{
	return x > most ? most : x; /* a NaN stays */
}

LM_CORE double
lm_at_least(double x, double least)
{
	return x < least ? least : x;
}

/* a*b + c, rounded once where the target can, else twice: the functions are right with either. */
LM_CORE double
lm_mul_add(double a, double b, double c)
{
#ifdef LM_FUSED
	return __builtin_fma(a, b, c);
#else
	return a * b + c;
#endif
}

/* Of x - error, where t = x*log2(e) + LM_MAGIC has the integer part in its low bits. */
LM_CORE struct lm_power
lm_power_of(double x, double t, double error)
{
	double k = t - LM_MAGIC;
	double r = (x - k * LM_LN2_HIGH) - lm_mul_add(k, LM_LN2_LOW, error);
	double q = 0x1.ad7f6b11e2ffep-26;
	struct lm_power e;

	/* e^r = 1 + r + r^2 q(r), |r| <= ln(2)/2, to 2^-57.9 */
	q = lm_mul_add(q, r, 0x1.28ad72d1e1906p-22);
	q = lm_mul_add(q, r, 0x1.71df2554b69fdp-19);
	q = lm_mul_add(q, r, 0x1.a0199a0c61a65p-16);
	q = lm_mul_add(q, r, 0x1.a01a012a5697cp-13);
	q = lm_mul_add(q, r, 0x1.6c16c1842a139p-10);
	q = lm_mul_add(q, r, 0x1.1111111127be9p-7);
	q = lm_mul_add(q, r, 0x1.555555555087cp-5);
	q = lm_mul_add(q, r, 0x1.55555555554fap-3);
	q = lm_mul_add(q, r, 0x1.000000000000ap-1);
	e.fraction = lm_mul_add(r * r, q, r);
	e.power = lm_from_bits64(((uint64_t)1023 << 52) + (lm_bits64(t) << 52));
	return e;
}

LM_CORE struct lm_power
lm_exp_parts(double x)
{
	return lm_power_of(x, lm_mul_add(x, LM_LOG2E, LM_MAGIC), 0);
}

/* e^x, |x| <= 700 */
LM_CORE double
lm_exp_core64(double x)
{
	struct lm_power e = lm_exp_parts(x);

	return (1 + e.fraction) * e.power;
}

LM_CORE float
lm_exp_core(float v)
{
	return (float)lm_exp_core64(lm_at_least(lm_at_most(v, 110), -110));
}

LM_CORE float
lm_tanh_core(float v)
{
	struct lm_power e = lm_exp_parts(2 * lm_at_most(fabs((double)v), 10));
	double t = (e.power - 1) + e.power * e.fraction; /* e^2a - 1 without cancellation */

	return (float)copysign(t / (t + 2), v);
}

LM_CORE float
lm_sigmoid_core(float v)
{
	double x = lm_at_least(lm_at_most(v, 110), -110);
	double u = x * x;
	double far = 1 / (1 + lm_exp_core64(-x));
	/* The nudges below 1/4 stand for terms that binary64 loses: they break exact ties. */
	double c = fabs(x) < 0x1p-12 ? 0x1p-2 - 0x1p-29 : 0x1p-2 - 0x1p-45;
	double near = -0x1.ba1ba1ba1ba1cp-13;

	near = lm_mul_add(near, u, 0x1.1111111111111p-9);
	near = lm_mul_add(near, u, -0x1.5555555555555p-6);
	near = 0.5 + x * (c + u * near);
	return (float)(fabs(x) < 0x1p-6 ? near : far);
}

LM_CORE float
lm_silu_core(float v)
{
	double x = lm_at_least(v, -150);

	return (float)(x / (1 + lm_exp_core64(-lm_at_most(x, 150))));
}

/* x tanh(log(1 + e^x)) = x n/(n + 2), n = w (w + 2), w = e^x */
LM_CORE float
lm_mish_core(float v)
{
	double x = lm_at_least(v, -120), w = lm_exp_core64(lm_at_most(x, 50));
	double n = w * (w + 2);

	return (float)(x * n / (n + 2));
}

/* (1/2) erfc(a/sqrt 2) = lm_phi_tail(a) * e^(-a^2/2), 0 <= a <= 15, to 2^-58.5 */
LM_CORE double
lm_phi_tail(double a)
{
	double t = (a - 7) / (a + 7);
	double p = 0x1.369660fe240b5p-24;

	p = lm_mul_add(p, t, 0x1.660f5039b552dp-22);
	p = lm_mul_add(p, t, -0x1.8ec92777a0ecbp-25);
	p = lm_mul_add(p, t, -0x1.aa9c44fbcc734p-21);
	p = lm_mul_add(p, t, 0x1.20fa035c576d5p-18);
	p = lm_mul_add(p, t, -0x1.f94f535e70171p-18);
	p = lm_mul_add(p, t, -0x1.e0fc578260a8cp-17);
	p = lm_mul_add(p, t, 0x1.2bb0bed7acd63p-13);
	p = lm_mul_add(p, t, -0x1.2952d64e4b941p-11);
	p = lm_mul_add(p, t, 0x1.a7649cc102983p-10);
	p = lm_mul_add(p, t, -0x1.e5bbfd790ed10p-9);
	p = lm_mul_add(p, t, 0x1.d49c8adb8048dp-8);
	p = lm_mul_add(p, t, -0x1.8241778842db6p-7);
	p = lm_mul_add(p, t, 0x1.0f508c8ce68e3p-6);
	p = lm_mul_add(p, t, -0x1.3bd3bef6032d3p-6);
	p = lm_mul_add(p, t, 0x1.14451472cdcbcp-6);
	p = lm_mul_add(p, t, -0x1.98ff1c57efcfap-8);
	p = lm_mul_add(p, t, -0x1.d50fed6a085f2p-7);
	p = lm_mul_add(p, t, 0x1.67b8cb100359ap-5);
	p = lm_mul_add(p, t, -0x1.41af6705130b2p-4);
	p = lm_mul_add(p, t, 0x1.c9e120e488937p-2);
	return p / (1 + a);
}

/* erf a / a as a polynomial in u = a^2, 0 <= a <= 1, to 2^-56.9 */
LM_CORE double
lm_erf_near(double u)
{
	double f = -0x1.abae491fb780bp-31;

	f = lm_mul_add(f, u, 0x1.d71b0f1c4558bp-27);
	f = lm_mul_add(f, u, -0x1.5c0726f07bc84p-23);
	f = lm_mul_add(f, u, 0x1.b97fd3d99a9acp-20);
	f = lm_mul_add(f, u, -0x1.f4ca4d6f3f2b2p-17);
	f = lm_mul_add(f, u, 0x1.f9a2baa8fef49p-14);
	f = lm_mul_add(f, u, -0x1.c02db03dd71efp-11);
	f = lm_mul_add(f, u, 0x1.565bccf92b2fap-8);
	f = lm_mul_add(f, u, -0x1.b82ce311fa93ep-6);
	f = lm_mul_add(f, u, 0x1.ce2f21a040d16p-4);
	f = lm_mul_add(f, u, -0x1.812746b0379bdp-2);
	return lm_mul_add(f, u, 0x1.20dd750429b6dp+0);
}

LM_CORE float
lm_erf_core(float v)
{
	double a = lm_at_most(fabs((double)v), 4);
	double u = a * a;
	double near = a * lm_erf_near(u);
	double far = 1 - 2 * (lm_phi_tail(0x1.6a09e667f3bcdp+0 * a) * lm_exp_core64(-u));

	return (float)copysign(a < 1 ? near : far, v);
}

LM_CORE float
lm_gelu_erf_core(float v)
{
	double x = v;
	double a = lm_at_most(fabs(x), 15);
	double q = lm_phi_tail(a) * lm_exp_core64(-0.5 * (a * a));
	double far = x < 0 ? lm_at_least(x, -15) * q : x * (1 - q);
	double u = a * a;
	double phi = 0x1.e42b0d5216fc8p-14; /* the normal density, in u = x^2 */

	phi = lm_mul_add(phi, u, -0x1.37403f6ba1100p-10);
	phi = lm_mul_add(phi, u, 0x1.46d04297691dap-7);
	phi = lm_mul_add(phi, u, -0x1.1058377e2cee0p-4);
	phi = lm_mul_add(phi, u, 0x1.9884533d43651p-2);
	return (float)copysign(a < 0x1p-5 ? 0.5 * x + u * phi : far, x);
}

/* The upper 26 bits of v: products of two such parts are exact. */
LM_CORE double
lm_top26(double v)
{
	return lm_from_bits64(lm_bits64(v) & ~(uint64_t)0x7ffffff);
}

#define LM_GELU_A 0x1.9884533d43651p+0 /* 2 sqrt(2/pi), and what it leaves out */
#define LM_GELU_A_LOW -0x1.cbc0d30ebfd15p-54
#define LM_GELU_B 0x1.2444f2a4d8b4bp-4 /* 0.044715 times that */
#define LM_GELU_B_LOW -0x1.6c843a29d1c70p-61

/*
 * e^-(A x + B x^3), |x| <= 15.  The exponent is formed as a pair of binary64, because an error of
 * one unit in a large exponent is many units of the result.
 */
LM_CORE double
lm_gelu_tanh_power(double x)
{
	double q = x * x;
	double qh = (double)(float)q, ql = q - qh;
	double bh = lm_top26(LM_GELU_B), bl = LM_GELU_B - bh;
	double ph = qh * bh, pl = (qh * bl + ql * bh) + (ql * bl + q * LM_GELU_B_LOW);
	double wh = LM_GELU_A + ph;
	double wl = (ph > LM_GELU_A ? (ph - wh) + LM_GELU_A : (LM_GELU_A - wh) + ph) +
	    (pl + LM_GELU_A_LOW);
	double w1 = lm_top26(wh), w2 = wh - w1;
	double hi = x * w1, lo = x * w2 + x * wl;
	struct lm_power e = lm_power_of(-hi, lm_mul_add(-hi, LM_LOG2E, LM_MAGIC), lo);

	return (1 + e.fraction) * e.power;
}

LM_CORE float
lm_gelu_tanh_core(float v)
{
	double x = lm_at_least(v, -15);
	double far = x / (1 + lm_gelu_tanh_power(lm_at_most(x, 15)));
	double q = x * x;
	double w = LM_GELU_A + LM_GELU_B * q;
	double u = q * (w * w);
	double near = 0x1.664f4882c10fap-14;

	near = lm_mul_add(near, u, -0x1.ba1ba1ba1ba1cp-11);
	near = lm_mul_add(near, u, 0x1.1111111111111p-7);
	near = lm_mul_add(near, u, -0x1.5555555555555p-4);
	near = 0.5 * x + q * (w * 0.25) * (1 + u * near);
	return (float)copysign(fabs(x) < 0x1p-5 ? near : far, x);
}

LM_CORE float
lm_rsqrt_core(float v)
{
	return (float)(1 / sqrt((double)v));
}

#endif
