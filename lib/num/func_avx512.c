/*
 * func_avx512: functions and rows with AVX-512 (F, VL, DQ, BW).
 *
 * The functions in most use have a first stage: in binary64 to some 2^-39 of the value, and a test
 * whether that decides the rounding to binary32.  A block in which one value is not decided, or lies
 * where the first stage does not hold, is computed by num/func_core.h.
 */
#include "num/functions.h"

#ifdef __AVX512F__

#include "num/vec_avx512.h"

static void fast_exp(float *y, const float *x, size_t n);

#define LM_EXP fast_exp
#include "num/func.inc"
#include "num/rows.inc"

enum { PARTS = 4, BLOCK = 8 * PARTS };

/* A block of binary64 numbers, each operation on all: so many chains keep the processor busy. */
struct wide {
	__m512d part[PARTS];
};

#define INLINE static inline __attribute__((always_inline))
#define EACH_PART(i) LM_UNROLL for (i = 0; i < PARTS; i++)

#define OPERATION(name, instruction)                                        \
	INLINE struct wide name(struct wide a, struct wide b)               \
	{                                                                   \
		int i;                                                      \
                                                                            \
		EACH_PART(i) a.part[i] = instruction(a.part[i], b.part[i]); \
		return a;                                                   \
	}

OPERATION(plus, _mm512_add_pd)
OPERATION(minus, _mm512_sub_pd)
OPERATION(product, _mm512_mul_pd)
OPERATION(quotient, _mm512_div_pd)
OPERATION(greater, _mm512_max_pd)

/* a b + c, rounded once */
INLINE struct wide
fused(struct wide a, struct wide b, struct wide c)
{
	int i;

	EACH_PART(i) a.part[i] = _mm512_fmadd_pd(a.part[i], b.part[i], c.part[i]);
	return a;
}

/* -(a b) - c, rounded once */
INLINE struct wide
fused_less(struct wide a, struct wide b, struct wide c)
{
	int i;

	EACH_PART(i) a.part[i] = _mm512_fnmsub_pd(a.part[i], b.part[i], c.part[i]);
	return a;
}

INLINE struct wide
number(double v)
{
	struct wide a;
	int i;

	EACH_PART(i) a.part[i] = _mm512_set1_pd(v);
	return a;
}

INLINE struct wide
magnitude(struct wide a)
{
	int i;

	EACH_PART(i) a.part[i] = _mm512_abs_pd(a.part[i]);
	return a;
}

/* ---- the first stages ---- */

#define ROOT_LOG 0x1.62e42fefa39efp-5	  /* log(2)/16 */
#define ROOT_INVERSE 0x1.71547652b82fep+4 /* its inverse */

/* scale 2^(j/16), with j taken off where the shifted integer adds it: exponent and index in one. */
typedef uint64_t roots[16] __attribute__((aligned(64)));

static const roots plain_roots = { 0x3ff0000000000000, 0x3fefb5586cf9890f, 0x3fef72b83c7d517b,
	0x3fef387a6e756238, 0x3fef06fe0a31b715, 0x3feedea64c123422, 0x3feebfdad5362a27,
	0x3feeab07dd485429, 0x3feea09e667f3bcd, 0x3feea11473eb0187, 0x3feeace5422aa0db,
	0x3feec49182a3f090, 0x3feee89f995ad3ad, 0x3fef199bdd85529c, 0x3fef5818dcfba487,
	0x3fefa4afa2a490da };

/* h r and 2^(k/16) of -x/h = k log(2)/16 + r, |x/h| <= 700, h a power of two */
INLINE struct wide
reduced(struct wide x, double h, const uint64_t *root, struct wide *power)
{
	struct wide t = fused(x, number(-ROOT_INVERSE / h), number(LM_MAGIC));
	__m512i low = _mm512_load_si512(root), high = _mm512_load_si512(root + 8), u, p;
	int i;

	EACH_PART(i)
	{
		u = _mm512_castpd_si512(t.part[i]);
		p = _mm512_permutex2var_epi64(low, u, high);
		p = _mm512_add_epi64(p, _mm512_slli_epi64(u, 48));
		power->part[i] = _mm512_castsi512_pd(p);
	}
	return fused_less(minus(t, number(LM_MAGIC)), number(h * ROOT_LOG), x);
}

/* e^(-x/h) = power over/under */
struct exponential {
	struct wide power, over, under;
};

/* e^r = (c + r)/(c - r), c = r coth(r/2), by two terms of c to 2^-41; all times h */
INLINE struct exponential
exponential(struct wide x, double h, const uint64_t *root)
{
	struct exponential e;
	struct wide r = reduced(x, h, root, &e.power), c;

	c = fused(product(r, r), number(0x1.55547aac80038p-3 / h),
	    number(0x1.00000000690e4p+1 * h));
	e.over = plus(c, r);
	e.under = minus(c, r);
	return e;
}

INLINE struct wide
value_exp(struct wide x)
{
	struct exponential e = exponential(x, 1, plain_roots);

	return quotient(e.under, product(e.power, e.over));
}

INLINE struct wide
value_sigmoid(struct wide x)
{
	struct exponential e = exponential(x, 1, plain_roots);

	return quotient(e.under, fused(e.power, e.over, e.under));
}

INLINE struct wide
value_silu(struct wide x)
{
	struct exponential e = exponential(x, 1, plain_roots);

	return quotient(product(x, e.under), fused(e.power, e.over, e.under));
}

/* x n/(n + 2 v^2), n = 1 + 2 v, v = e^-x, and all times the square of the denominator of v */
INLINE struct wide
value_mish(struct wide x)
{
	struct exponential e = exponential(x, 1, plain_roots);
	struct wide v = product(e.power, e.over), two = plus(v, v);
	struct wide n = product(e.under, plus(e.under, two));

	return quotient(product(x, n), fused(two, v, n));
}

/* (1 - e^-2x)/(1 + e^-2x) = ((1 - p) c - (1 + p) r)/((1 + p) c - (1 - p) r), c to one term more */
INLINE struct wide
value_tanh(struct wide x)
{
	struct wide p, r = reduced(x, 0.5, plain_roots, &p), z = product(r, r), c, more, less;

	c = fused(z, number(-0x1.6c16c16c16c17p-6), number(0x1.5555555555555p-2));
	c = fused(z, c, number(1));
	more = plus(number(1), p);
	less = minus(number(1), p);
	return quotient(minus(product(less, c), product(more, r)),
	    minus(product(more, c), product(less, r)));
}

/* x/(1 + e^-(A x + B x^3)) */
INLINE struct wide
value_gelu_tanh(struct wide x)
{
	struct wide w = fused(product(x, x), number(LM_GELU_B), number(LM_GELU_A));
	struct exponential e = exponential(product(x, w), 1, plain_roots);

	return quotient(product(x, e.under), fused(e.power, e.over, e.under));
}

/* ((w - z + c4) w + c5), z = (a + c0) a + c1, w = (a + c2) z + c3: degree 6 by three products */
INLINE struct wide
sixth(struct wide a, const double *c)
{
	struct wide z = fused(plus(a, number(c[0])), a, number(c[1]));
	struct wide w = fused(plus(a, number(c[2])), z, number(c[3]));

	return fused(plus(minus(w, z), number(c[4])), w, number(c[5]));
}

/*
 * maximum(x, 0) - a q(a), a = |x|, where q(a) = erfc(a/sqrt 2)/2 = e^(-a^2/2) lead p(a)/(a s(a) + c),
 * 0 <= a <= 14, to 2^-39.8; lead is in the roots.
 */
INLINE struct wide
value_gelu_erf(struct wide x)
{
	static const roots with_lead = { 0x3fd9884578540d23, 0x3fd9a9a825996223, 0x3fd9d7dabe788bc1,
		0x3fda136e79d9994a, 0x3fda5cfafc84463d, 0x3fdab51ea1fe74b3, 0x3fda8e3f645247a1,
		0x3fda49e4109031a2, 0x3fda0dd780b25162, 0x3fd9da77ddaa7726, 0x3fd9b0277ba20536,
		0x3fd98f4d0939de9c, 0x3fd97853c0e1de3d, 0x3fd96bab9c5f8c12, 0x3fd969c98a9cd30d,
		0x3fd97327a7d892c8 };
	static const double p[] = { 0x1.498f943f29920p+2, 0x1.dc378fc72fe53p+3,
		0x1.d92327b443046p+1, -0x1.0cc6ae302e785p+4, 0x1.4cef36a8d49d4p+5,
		0x1.9fa55689234a5p+8 };
	static const double s[] = { 0x1.eac4dd4413901p+2, 0x1.aa5434f24604dp+4,
		0x1.2d71ac21f1710p+0, -0x1.d00cdaccbc10ep+3, 0x1.a6b0fbe8b932bp+6,
		0x1.6596399c109b8p+11 };
	struct wide a = magnitude(x), over, under;
	struct exponential e = exponential(product(a, a), 2, with_lead);

	over = product(product(sixth(a, p), a), product(e.power, e.over));
	under = product(fused(sixth(a, s), a, number(0x1.20f4dd5e311ffp+11)), e.under);
	return minus(greater(number(0), x), quotient(over, under));
}

/* x/2 + u p(u), u = x^2, |x| <= 3, to 2^-39.6; p in two halves, which run side by side. */
INLINE struct wide
value_gelu_erf_near(struct wide x)
{
	static const double even[] = { 0x1.2179ada88cfe2p-60, 0x1.6bd36d52495cfp-48,
		0x1.50ac3e8a402a2p-38, 0x1.36f96a702e1c0p-29, 0x1.657ae64b0750bp-21,
		0x1.e42abbadad0eap-14, 0x1.46d0424a6f536p-7, 0x1.9884533d356f0p-2 };
	static const double odd[] = { -0x1.ca8ef397d3f68p-54, -0x1.8ab97b8615543p-43,
		-0x1.e76d4232a3545p-34, -0x1.61c9548016f4cp-25, -0x1.3ce71b7e7be26p-17,
		-0x1.37403adfb9393p-10, -0x1.1058377ba4ea1p-4 };
	struct wide u = product(x, x), v = product(u, u), p = number(even[0]), q = number(odd[0]);
	int i;

#pragma GCC unroll 6
	for (i = 1; i < 7; i++) {
		p = fused(p, v, number(even[i]));
		q = fused(q, v, number(odd[i]));
	}
	p = fused(p, v, number(even[7]));
	return fused(u, fused(u, q, p), product(x, number(0.5)));
}

/* ---- blocks ---- */

#define EACH_STRIP(i) LM_UNROLL for (i = 0; i < PARTS / 2; i++)

/*
 * Which of sixteen numbers, in some order, known to 2^-38 of themselves and normal in binary32, are
 * so far from the middle between two of those that they are rounded like what they stand for.
 */
INLINE __mmask16
decided(__m512d low, __m512d high)
{
	const int near = 1 << 16, half = 1 << 28;
	__m512 u = _mm512_mask_moveldup_ps(_mm512_castpd_ps(low), 0xaaaa, _mm512_castpd_ps(high));
	__m512i moved = _mm512_add_epi32(_mm512_castps_si512(u),
	    _mm512_set1_epi32(half + near / 2));

	return _mm512_test_epi32_mask(moved, _mm512_set1_epi32((2 * half - 1) & ~(near - 1)));
}

/* What else makes a block slow; and whether the sign is that of x, which zeros else would lose. */
enum {
	TINY = 1,  /* results that are subnormal, which are rounded elsewhere */
	ABOVE = 2, /* arguments above the range of the first stage */
	SIGNED = 4
};

/* Round and store the block, unless one of its values is not sure. */
INLINE int
stored(float *y, const float *x, const struct wide *v, float most, int how)
{
	__mmask16 sure = 0xffff;
	__m512 r[PARTS / 2], from;
	int i;

	EACH_STRIP(i)
	{
		from = _mm512_loadu_ps(x + i * STRIP);
		r[i] = _mm512_castps256_ps512(_mm512_cvtpd_ps(v->part[2 * i]));
		r[i] = _mm512_insertf32x8(r[i], _mm512_cvtpd_ps(v->part[2 * i + 1]), 1);
		sure = _kand_mask16(sure, decided(v->part[2 * i], v->part[2 * i + 1]));
		if (how & TINY)
			sure = _kandn_mask16(_mm512_fpclass_ps_mask(r[i], 0x20), sure);
		if (how & ABOVE)
			sure = _mm512_mask_cmp_ps_mask(sure, from, _mm512_set1_ps(most),
			    _CMP_LE_OQ);
		if (how & SIGNED)
			r[i] = _mm512_or_ps(r[i], _mm512_and_ps(from, _mm512_set1_ps(-0.0f)));
	}
	if (!_kortestc_mask16_u8(sure, sure))
		return 0;
	EACH_STRIP(i) _mm512_storeu_ps(y + i * STRIP, r[i]);
	return 1;
}

/* From a block of x, less a number, brought into bounds; a NaN stays. */
INLINE struct wide
widened(const float *x, float less, float least, float most)
{
	struct wide v;
	__m512 from;
	int i;

	EACH_STRIP(i)
	{
		from = _mm512_sub_ps(_mm512_loadu_ps(x + i * STRIP), _mm512_set1_ps(less));
		from = _mm512_max_ps(_mm512_set1_ps(least), from);
		from = _mm512_min_ps(_mm512_set1_ps(most), from);
		v.part[2 * i] = _mm512_cvtps_pd(_mm512_castps512_ps256(from));
		v.part[2 * i + 1] = _mm512_cvtps_pd(_mm512_extractf32x8_ps(from, 1));
	}
	return v;
}

/* A block of NAME by value_NAME, where x[i] is brought between LEAST and MOST. */
#define BLOCK_OF(NAME, LEAST, MOST, HOW)                                  \
	INLINE void block_##NAME(float *y, const float *x)                \
	{                                                                 \
		struct wide v = value_##NAME(widened(x, 0, LEAST, MOST)); \
                                                                          \
		if (__builtin_expect(!stored(y, x, &v, MOST, HOW), 0))    \
			map_##NAME(y, x, BLOCK);                          \
	}

/* y[i] = NAME(x[i]) by blocks, the last one filled up. */
#define FAST(NAME)                                                     \
	static void fast_##NAME(float *y, const float *x, size_t n)    \
	{                                                              \
		float rest[BLOCK] = { 0 };                             \
                                                                       \
		for (; n >= BLOCK; n -= BLOCK, x += BLOCK, y += BLOCK) \
			block_##NAME(y, x);                            \
		if (n == 0)                                            \
			return;                                        \
		memcpy(rest, x, n * sizeof *x);                        \
		block_##NAME(rest, rest);                              \
		memcpy(y, rest, n * sizeof *y);                        \
	}

BLOCK_OF(exp, -150, 100, TINY)
BLOCK_OF(tanh, -20, 20, SIGNED)
BLOCK_OF(sigmoid, -150, 100, TINY)
BLOCK_OF(silu, -150, 300, TINY | ABOVE)
BLOCK_OF(mish, -150, 300, ABOVE)
BLOCK_OF(gelu_tanh, -15, 20, TINY | ABOVE)

INLINE int
all_near(const float *x, float most)
{
	__m512 least = _mm512_abs_ps(_mm512_loadu_ps(x));
	__m512 size = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + STRIP)), least);
	__mmask16 near = _mm512_cmp_ps_mask(size, _mm512_set1_ps(most), _CMP_LE_OQ);

	return _kortestc_mask16_u8(near, near);
}

INLINE void
block_gelu_erf(float *y, const float *x)
{
	struct wide v = widened(x, 0, -37, 37);

	v = all_near(x, 3) ? value_gelu_erf_near(v) : value_gelu_erf(v);
	if (__builtin_expect(!stored(y, x, &v, 37, TINY | ABOVE | SIGNED), 0))
		map_gelu_erf(y, x, BLOCK);
}

FAST(exp)
FAST(tanh)
FAST(sigmoid)
FAST(silu)
FAST(mish)
FAST(gelu_erf)
FAST(gelu_tanh)

/* m is a number of binary32, so that rounding x - m at once to binary32 is the same. */
static void
exp_less_block(float *y, const float *x, float m)
{
	struct wide v = value_exp(widened(x, m, -150, 100));
	float t[BLOCK];
	int i;

	if (__builtin_expect(stored(y, x, &v, 0, TINY), 1))
		return;
	for (i = 0; i < BLOCK; i++)
		t[i] = x[i] - m;
	map_exp(y, t, BLOCK);
}

static void
fast_exp_less(float *y, const float *x, double m, size_t n)
{
	if ((float)m == m)
		for (; n >= BLOCK; n -= BLOCK, x += BLOCK, y += BLOCK)
			exp_less_block(y, x, (float)m);
	map_exp_less(y, x, m, n);
}

const struct lm_functions lm_functions_avx512 = {
	.exp = fast_exp,
	.tanh = fast_tanh,
	.sigmoid = fast_sigmoid,
	.silu = fast_silu,
	.mish = fast_mish,
	.erf = map_erf,
	.gelu_erf = fast_gelu_erf,
	.gelu_tanh = fast_gelu_tanh,
	.rsqrt = map_rsqrt,
	.log = map_log,
	.log1p = map_log1p,
	.expm1 = map_expm1,
	.softplus = map_softplus,
	.sin = map_sin,
	.cos = map_cos,
	.exp_less = fast_exp_less,
	.exp_less64 = map_exp_less64,
	LM_ROWS,
};

#endif
