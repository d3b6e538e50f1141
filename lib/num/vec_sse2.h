/* vec_sse2: binary64 vectors of SSE2, by the names of vec_scalar.h. */
#ifndef NUM_VEC_SSE2_H
#define NUM_VEC_SSE2_H

#include <emmintrin.h>

#include "num/exact.h"

#define LM_LANES 2
#define LM_TILE_ROWS 4
#define LM_TILE_VECS 2

typedef __m128d lm_vec;

static inline lm_vec
lm_vec_set(double v)
{
	return _mm_set1_pd(v);
}

static inline lm_vec
lm_vec_load(const double *p)
{
	return _mm_loadu_pd(p);
}

static inline void
lm_vec_store(double *p, lm_vec v)
{
	_mm_storeu_pd(p, v);
}

static inline lm_vec
lm_vec_widen(const lm_f32u *p)
{
	return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const void *)p)));
}

static inline lm_vec
lm_vec_widen_even(const lm_f32u *p)
{
	return _mm_set_pd(p[2], p[0]);
}

static inline lm_vec
lm_vec_widen_some(const lm_f32u *p, size_t n)
{
	return _mm_cvtps_pd(_mm_set_ss(n > 0 ? *p : 0));
}

static inline void
lm_vec_narrow(lm_f32u *p, lm_vec v)
{
	_mm_storel_epi64((void *)p, _mm_castps_si128(_mm_cvtpd_ps(v)));
}

static inline lm_vec
lm_vec_add(lm_vec a, lm_vec b)
{
	return _mm_add_pd(a, b);
}

static inline lm_vec
lm_vec_sub(lm_vec a, lm_vec b)
{
	return _mm_sub_pd(a, b);
}

static inline lm_vec
lm_vec_mul(lm_vec a, lm_vec b)
{
	return _mm_mul_pd(a, b);
}

static inline lm_vec
lm_vec_div(lm_vec a, lm_vec b)
{
	return _mm_div_pd(a, b);
}

static inline lm_vec
lm_vec_sqrt(lm_vec a)
{
	return _mm_sqrt_pd(a);
}

static inline lm_vec
lm_vec_abs(lm_vec a)
{
	return _mm_andnot_pd(_mm_set1_pd(-0.0), a);
}

static inline lm_vec
lm_vec_max(lm_vec a, lm_vec b)
{
	return _mm_max_pd(a, b);
}

static inline lm_vec
lm_vec_fma(lm_vec a, lm_vec b, lm_vec c)
{
	return _mm_add_pd(_mm_mul_pd(a, b), c);
}

static inline double
lm_vec_sum(lm_vec v)
{
	return _mm_cvtsd_f64(_mm_add_sd(v, _mm_unpackhi_pd(v, v)));
}

static inline lm_vec
lm_vec_sums(const lm_vec *v)
{
	return _mm_add_pd(_mm_unpacklo_pd(v[0], v[1]), _mm_unpackhi_pd(v[0], v[1]));
}

static inline lm_vec
lm_vec_round32(lm_vec v)
{
	__m128i u = _mm_castpd_si128(v);
	__m128i odd = _mm_and_si128(_mm_srli_epi64(u, 21), _mm_set1_epi64x(1));

	u = _mm_add_epi64(u, _mm_add_epi64(odd, _mm_set1_epi64x(0xfffff)));
	return _mm_castsi128_pd(_mm_and_si128(u, _mm_set1_epi64x(~0x1fffff)));
}

static inline unsigned
lm_vec_alike(lm_vec lo, lm_vec hi)
{
	__m128i l = _mm_castps_si128(_mm_cvtpd_ps(lo)), h = _mm_castps_si128(_mm_cvtpd_ps(hi));

	return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(l, h))) & 3;
}

static inline unsigned
lm_vec_alike_wide(lm_vec lo, lm_vec hi)
{
	__m128i l = _mm_castpd_si128(lm_vec_round32(lo)), h = _mm_castpd_si128(lm_vec_round32(hi));
	__m128i same = _mm_cmpeq_epi32(l, h); /* both halves of a lane must be */

	same = _mm_and_si128(same, _mm_shuffle_epi32(same, _MM_SHUFFLE(2, 3, 0, 1)));
	return (unsigned)_mm_movemask_pd(_mm_castsi128_pd(same));
}

static inline unsigned
lm_vec_less(lm_vec a, lm_vec b)
{
	return (unsigned)_mm_movemask_pd(_mm_cmplt_pd(a, b));
}

#endif
