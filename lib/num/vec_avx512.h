/* vec_avx512: binary64 vectors of AVX-512 (F, VL, DQ, BW), by the names of vec_scalar.h. */
#ifndef NUM_VEC_AVX512_H
#define NUM_VEC_AVX512_H

#include <immintrin.h>

#include "num/exact.h"

#define LM_LANES 8
#define LM_TILE_ROWS 14
#define LM_TILE_VECS 2

typedef __m512d lm_vec;

static inline lm_vec
lm_vec_set(double v)
{
	return _mm512_set1_pd(v);
}

static inline lm_vec
lm_vec_load(const double *p)
{
	return _mm512_loadu_pd(p);
}

static inline void
lm_vec_store(double *p, lm_vec v)
{
	_mm512_storeu_pd(p, v);
}

static inline lm_vec
lm_vec_widen(const lm_f32u *p)
{
	return _mm512_cvtps_pd(_mm256_loadu_ps((const void *)p));
}

static inline lm_vec
lm_vec_widen_even(const lm_f32u *p)
{
	__m256 a = _mm256_loadu_ps((const void *)p), b = _mm256_loadu_ps((const void *)(p + 7));
	__m256i pick = _mm256_setr_epi32(0, 2, 4, 6, 8 + 1, 8 + 3, 8 + 5, 8 + 7);

	return _mm512_cvtps_pd(_mm256_permutex2var_ps(a, pick, b));
}

static inline lm_vec
lm_vec_widen_some(const lm_f32u *p, size_t n)
{
	return _mm512_cvtps_pd(_mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1), (const void *)p));
}

static inline void
lm_vec_narrow(lm_f32u *p, lm_vec v)
{
	_mm256_storeu_ps((void *)p, _mm512_cvtpd_ps(v));
}

static inline lm_vec
lm_vec_add(lm_vec a, lm_vec b)
{
	return _mm512_add_pd(a, b);
}

static inline lm_vec
lm_vec_sub(lm_vec a, lm_vec b)
{
	return _mm512_sub_pd(a, b);
}

static inline lm_vec
lm_vec_mul(lm_vec a, lm_vec b)
{
	return _mm512_mul_pd(a, b);
}

static inline lm_vec
lm_vec_div(lm_vec a, lm_vec b)
{
	return _mm512_div_pd(a, b);
}

static inline lm_vec
lm_vec_sqrt(lm_vec a)
{
	return _mm512_sqrt_pd(a);
}

static inline lm_vec
lm_vec_abs(lm_vec a)
{
	return _mm512_andnot_pd(_mm512_set1_pd(-0.0), a);
}

static inline lm_vec
lm_vec_max(lm_vec a, lm_vec b)
{
	return _mm512_max_pd(a, b);
}

static inline lm_vec
lm_vec_fma(lm_vec a, lm_vec b, lm_vec c)
{
	return _mm512_fmadd_pd(a, b, c);
}

static inline double
lm_vec_sum(lm_vec v)
{
	return _mm512_reduce_add_pd(v);
}

/* Sums of neighbouring quarters of a and then of b. */
static inline lm_vec
lm_vec_add_quarters(lm_vec a, lm_vec b)
{
	return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
}

static inline lm_vec
lm_vec_sums(const lm_vec *v)
{
	lm_vec pair[LM_LANES / 2];
	int i;

	for (i = 0; i < LM_LANES / 2; i++)
		pair[i] = _mm512_add_pd(_mm512_unpacklo_pd(v[2 * i], v[2 * i + 1]),
		    _mm512_unpackhi_pd(v[2 * i], v[2 * i + 1]));
	return lm_vec_add_quarters(lm_vec_add_quarters(pair[0], pair[1]),
	    lm_vec_add_quarters(pair[2], pair[3]));
}

static inline lm_vec
lm_vec_round32(lm_vec v)
{
	__m512i u = _mm512_castpd_si512(v);
	__m512i odd = _mm512_and_si512(_mm512_srli_epi64(u, 21), _mm512_set1_epi64(1));

	u = _mm512_add_epi64(u, _mm512_add_epi64(odd, _mm512_set1_epi64(0xfffff)));
	return _mm512_castsi512_pd(_mm512_and_si512(u, _mm512_set1_epi64(~0x1fffff)));
}

static inline unsigned
lm_vec_alike(lm_vec lo, lm_vec hi)
{
	__m256i l = _mm256_castps_si256(_mm512_cvtpd_ps(lo));
	__m256i h = _mm256_castps_si256(_mm512_cvtpd_ps(hi));

	return _mm256_cmpeq_epi32_mask(l, h);
}

static inline unsigned
lm_vec_alike_wide(lm_vec lo, lm_vec hi)
{
	__m512i l = _mm512_castpd_si512(lm_vec_round32(lo));
	__m512i h = _mm512_castpd_si512(lm_vec_round32(hi));

	return _mm512_cmpeq_epi64_mask(l, h);
}

static inline unsigned
lm_vec_less(lm_vec a, lm_vec b)
{
	return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}

#endif
