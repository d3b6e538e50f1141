/* vec_avx2: binary64 vectors of AVX2 with FMA, by the names of vec_scalar.h. */
#ifndef NUM_VEC_AVX2_H
#define NUM_VEC_AVX2_H

#include <immintrin.h>

#include "num/exact.h"

#define LM_LANES 4
#define LM_TILE_ROWS 6
#define LM_TILE_VECS 2

typedef __m256d lm_vec;

static inline lm_vec
lm_vec_set(double v)
{
	return _mm256_set1_pd(v);
}

static inline lm_vec
lm_vec_load(const double *p)
{
	return _mm256_loadu_pd(p);
}

static inline void
lm_vec_store(double *p, lm_vec v)
{
	_mm256_storeu_pd(p, v);
}

static inline lm_vec
lm_vec_widen(const lm_f32u *p)
{
	return _mm256_cvtps_pd(_mm_loadu_ps((const void *)p));
}

static inline lm_vec
lm_vec_widen_even(const lm_f32u *p)
{
	__m128 a = _mm_loadu_ps((const void *)p), b = _mm_loadu_ps((const void *)(p + 3));

	return _mm256_cvtps_pd(_mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 2, 0)));
}

static inline lm_vec
lm_vec_widen_some(const lm_f32u *p, size_t n)
{
	__m128i lane = _mm_setr_epi32(0, 1, 2, 3);

	return _mm256_cvtps_pd(
	    _mm_maskload_ps((const void *)p, _mm_cmpgt_epi32(_mm_set1_epi32((int)n), lane)));
}

static inline void
lm_vec_narrow(lm_f32u *p, lm_vec v)
{
	_mm_storeu_ps((void *)p, _mm256_cvtpd_ps(v));
}

static inline lm_vec
lm_vec_add(lm_vec a, lm_vec b)
{
	return _mm256_add_pd(a, b);
}

static inline lm_vec
lm_vec_sub(lm_vec a, lm_vec b)
{
	return _mm256_sub_pd(a, b);
}

static inline lm_vec
lm_vec_mul(lm_vec a, lm_vec b)
{
	return _mm256_mul_pd(a, b);
}

static inline lm_vec
lm_vec_div(lm_vec a, lm_vec b)
{
	return _mm256_div_pd(a, b);
}

static inline lm_vec
lm_vec_sqrt(lm_vec a)
{
	return _mm256_sqrt_pd(a);
}

static inline lm_vec
lm_vec_abs(lm_vec a)
{
	return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a);
}

static inline lm_vec
lm_vec_max(lm_vec a, lm_vec b)
{
	return _mm256_max_pd(a, b);
}

static inline lm_vec
lm_vec_fma(lm_vec a, lm_vec b, lm_vec c)
{
	return _mm256_fmadd_pd(a, b, c);
}

static inline double
lm_vec_sum(lm_vec v)
{
	__m128d s = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

static inline lm_vec
lm_vec_sums(const lm_vec *v)
{
	__m256d a = _mm256_hadd_pd(v[0], v[1]), b = _mm256_hadd_pd(v[2], v[3]);

	return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20),
	    _mm256_permute2f128_pd(a, b, 0x31));
}

static inline lm_vec
lm_vec_round32(lm_vec v)
{
	__m256i u = _mm256_castpd_si256(v);
	__m256i odd = _mm256_and_si256(_mm256_srli_epi64(u, 21), _mm256_set1_epi64x(1));

	u = _mm256_add_epi64(u, _mm256_add_epi64(odd, _mm256_set1_epi64x(0xfffff)));
	return _mm256_castsi256_pd(_mm256_and_si256(u, _mm256_set1_epi64x(~0x1fffff)));
}

static inline unsigned
lm_vec_alike(lm_vec lo, lm_vec hi)
{
	__m128i l = _mm_castps_si128(_mm256_cvtpd_ps(lo));
	__m128i h = _mm_castps_si128(_mm256_cvtpd_ps(hi));

	return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(l, h)));
}

static inline unsigned
lm_vec_alike_wide(lm_vec lo, lm_vec hi)
{
	__m256i l = _mm256_castpd_si256(lm_vec_round32(lo));
	__m256i h = _mm256_castpd_si256(lm_vec_round32(hi));

	return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(l, h)));
}

static inline unsigned
lm_vec_less(lm_vec a, lm_vec b)
{
	return (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LT_OQ));
}

#endif
