/* reference: by the C library where that decides the rounding, else by MPFR. */
#include "reference.h"

#include <math.h>
#include <string.h>

#include "num/bytes.h"
#include "num/func.h"
#include "num/functions.h"

enum { BITS = 320 };

#define HALF_ROOT 0x1.6a09e667f3bcdp-1	/* sqrt(1/2) */
#define TWICE_ROOT 0x1.9884533d43651p+0 /* 2 sqrt(2/pi) */

/* ---- in binary64 ---- */

static double
sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static double
silu(double x)
{
	return x / (1 + exp(-x));
}

static double
mish(double x)
{
	double w = exp(x < 40 ? x : 40), n = w * (w + 2);

	return x / (n + 2) * n;
}

static double
gelu_erf(double x)
{
	return 0.5 * x * erfc(-HALF_ROOT * x);
}

static double
gelu_tanh(double x)
{
	return x / (1 + exp(-TWICE_ROOT * (x + 0.044715 * x * x * x)));
}

static double
rsqrt(double x)
{
	return 1 / sqrt(x);
}

static double
softplus(double x)
{
	return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

/* ---- in 320 bits ---- */

#define BY_MPFR(name)                                      \
	static void exact_##name(mpfr_t y, const mpfr_t x) \
	{                                                  \
		mpfr_##name(y, x, MPFR_RNDN);              \
	}

BY_MPFR(exp)
BY_MPFR(tanh)
BY_MPFR(erf)
BY_MPFR(log)
BY_MPFR(log1p)
BY_MPFR(expm1)
BY_MPFR(sin)
BY_MPFR(cos)

static void
exact_rsqrt(mpfr_t y, const mpfr_t x)
{
	mpfr_rec_sqrt(y, x, MPFR_RNDN);
}

/* over/(1 + e^-x) */
static void
logistic(mpfr_t y, const mpfr_t over, const mpfr_t x)
{
	mpfr_neg(y, x, MPFR_RNDN);
	mpfr_exp(y, y, MPFR_RNDN);
	mpfr_add_ui(y, y, 1, MPFR_RNDN);
	mpfr_div(y, over, y, MPFR_RNDN);
}

static void
exact_sigmoid(mpfr_t y, const mpfr_t x)
{
	mpfr_t one;

	mpfr_init2(one, BITS);
	mpfr_set_ui(one, 1, MPFR_RNDN);
	logistic(y, one, x);
	mpfr_clear(one);
}

static void
exact_silu(mpfr_t y, const mpfr_t x)
{
	logistic(y, x, x);
}

static void
exact_softplus(mpfr_t y, const mpfr_t x)
{
	mpfr_exp(y, x, MPFR_RNDN);
	mpfr_log1p(y, y, MPFR_RNDN);
}

static void
exact_mish(mpfr_t y, const mpfr_t x)
{
	exact_softplus(y, x);
	mpfr_tanh(y, y, MPFR_RNDN);
	mpfr_mul(y, y, x, MPFR_RNDN);
}

/* x erfc(-x/sqrt 2)/2 */
static void
exact_gelu_erf(mpfr_t y, const mpfr_t x)
{
	mpfr_sqrt_ui(y, 2, MPFR_RNDN);
	mpfr_div(y, x, y, MPFR_RNDN);
	mpfr_neg(y, y, MPFR_RNDN);
	mpfr_erfc(y, y, MPFR_RNDN);
	mpfr_mul(y, y, x, MPFR_RNDN);
	mpfr_div_2ui(y, y, 1, MPFR_RNDN);
}

/* x/(1 + e^(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3) */
static void
exact_gelu_tanh(mpfr_t y, const mpfr_t x)
{
	mpfr_t u;

	mpfr_init2(u, BITS);
	mpfr_sqr(u, x, MPFR_RNDN);
	mpfr_mul_ui(u, u, 44715, MPFR_RNDN);
	mpfr_div_ui(u, u, 1000000, MPFR_RNDN);
	mpfr_add_ui(u, u, 1, MPFR_RNDN);
	mpfr_mul(u, u, x, MPFR_RNDN);
	mpfr_const_pi(y, MPFR_RNDN);
	mpfr_ui_div(y, 8, y, MPFR_RNDN);
	mpfr_sqrt(y, y, MPFR_RNDN);
	mpfr_mul(u, u, y, MPFR_RNDN);
	logistic(y, x, u);
	mpfr_clear(u);
}

/* ---- both ---- */

#define ROW(name, near) #name, lm_##name, offsetof(struct lm_functions, name), near, exact_##name

const struct reference references[] = { { ROW(exp, exp) }, { ROW(tanh, tanh) },
	{ ROW(sigmoid, sigmoid) }, { ROW(silu, silu) }, { ROW(mish, mish) }, { ROW(erf, erf) },
	{ ROW(gelu_erf, gelu_erf) }, { ROW(gelu_tanh, gelu_tanh) }, { ROW(rsqrt, rsqrt) },
	{ ROW(log, log) }, { ROW(log1p, log1p) }, { ROW(expm1, expm1) },
	{ ROW(softplus, softplus) }, { ROW(sin, sin) }, { ROW(cos, cos) } };
const size_t references_count = sizeof references / sizeof references[0];

/* |y - the nearest middle|/|y|, where that middle is one of the numbers of 25 bits: y is normal. */
static double
distance(const mpfr_t y)
{
	mpfr_t near, less;
	double d;

	mpfr_init2(near, 25);
	mpfr_init2(less, BITS);
	mpfr_set(near, y, MPFR_RNDN);
	mpfr_sub(less, y, near, MPFR_RNDN);
	mpfr_div(less, less, y, MPFR_RNDN);
	d = fabs(mpfr_get_d(less, MPFR_RNDN));
	mpfr_clear(near);
	mpfr_clear(less);
	return d;
}

static float
by_mpfr(const struct reference *f, float x, double *middle)
{
	mpfr_t from, to;
	float y;

	mpfr_init2(from, 24);
	mpfr_init2(to, BITS);
	mpfr_set_flt(from, x, MPFR_RNDN);
	f->exact(to, from);
	y = mpfr_get_flt(to, MPFR_RNDN);
	if (fabsf(y) >= 0x1p-126f)
		*middle = distance(to);
	mpfr_clear(from);
	mpfr_clear(to);
	return y;
}

/* silu and the gelus are x/2 rounded, by definition, where x is so small that it shows. */
static int
is_half(const struct reference *f, float x)
{
	return fabsf(x) < 0x1p-100f &&
	    (f->exact == exact_silu || f->exact == exact_gelu_erf || f->exact == exact_gelu_tanh);
}

/* x times what goes to 0 at minus infinity, faster than x grows */
static int
vanishes(const struct reference *f, float x)
{
	return x == -INFINITY &&
	    (f->exact == exact_silu || f->exact == exact_mish || f->exact == exact_gelu_erf ||
		f->exact == exact_gelu_tanh);
}

/* Zeros, infinities and NaNs are left to the C library. */
float
reference_of(const struct reference *f, float x, double *middle)
{
	double v = f->near(x);
	float less = (float)(v * (1 - NEAR_ERROR)), more = (float)(v * (1 + NEAR_ERROR));

	if (is_half(f, x))
		return x * 0.5f;
	if (vanishes(f, x))
		return -0.0f;
	if (x == 0 || !isfinite(x) || lm_bits32(less) == lm_bits32(more))
		return (float)v;
	return by_mpfr(f, x, middle);
}
