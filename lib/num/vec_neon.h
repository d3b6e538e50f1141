/* vec_neon: binary64 vectors of 64-bit ARM, by the names of vec_scalar.h. */
#ifndef NUM_VEC_NEON_H
#define NUM_VEC_NEON_H

#include <arm_neon.h>

#include "num/exact.h"

#define LM_LANES 2
#define LM_TILE_ROWS 6
#define LM_TILE_VECS 4

typedef float64x2_t lm_vec;

static inline lm_vec
lm_vec_set(double v)
{
	return vdupq_n_f64(v);
}

static inline lm_vec
lm_vec_load(const double *p)
{
	return vld1q_f64(p);
}

static inline void
lm_vec_store(double *p, lm_vec v)
{
	vst1q_f64(p, v);
}

/* By bytes, which have no alignment. */
static inline lm_vec
lm_vec_widen(const lm_f32u *p)
{
	return vcvt_f64_f32(vreinterpret_f32_u8(vld1_u8((const void *)p)));
}

static inline lm_vec
lm_vec_widen_even(const lm_f32u *p)
{
	float32x2_t first = vdup_n_f32(p[0]);

	return vcvt_f64_f32(vset_lane_f32(p[2], first, 1));
}

static inline lm_vec
lm_vec_widen_some(const lm_f32u *p, size_t n)
{
	return vsetq_lane_f64(n > 0 ? *p : 0, vdupq_n_f64(0), 0);
}

static inline void
lm_vec_narrow(lm_f32u *p, lm_vec v)
{
	vst1_u8((void *)p, vreinterpret_u8_f32(vcvt_f32_f64(v)));
}

static inline lm_vec
lm_vec_add(lm_vec a, lm_vec b)
{
	return vaddq_f64(a, b);
}

static inline lm_vec
lm_vec_sub(lm_vec a, lm_vec b)
{
	return vsubq_f64(a, b);
}

static inline lm_vec
lm_vec_mul(lm_vec a, lm_vec b)
{
	return vmulq_f64(a, b);
}

static inline lm_vec
lm_vec_div(lm_vec a, lm_vec b)
{
	return vdivq_f64(a, b);
}

static inline lm_vec
lm_vec_sqrt(lm_vec a)
{
	return vsqrtq_f64(a);
}

static inline lm_vec
lm_vec_abs(lm_vec a)
{
	return vabsq_f64(a);
}

/* The instruction for it makes a NaN of one. */
static inline lm_vec
lm_vec_max(lm_vec a, lm_vec b)
{
	return vbslq_f64(vcgtq_f64(a, b), a, b);
}

static inline lm_vec
lm_vec_fma(lm_vec a, lm_vec b, lm_vec c)
{
	return vfmaq_f64(c, a, b);
}

static inline double
lm_vec_sum(lm_vec v)
{
	return vaddvq_f64(v);
}

static inline lm_vec
lm_vec_sums(const lm_vec *v)
{
	return vpaddq_f64(v[0], v[1]);
}

static inline lm_vec
lm_vec_round32(lm_vec v)
{
	uint64x2_t u = vreinterpretq_u64_f64(v);
	uint64x2_t odd = vandq_u64(vshrq_n_u64(u, 21), vdupq_n_u64(1));

	u = vaddq_u64(u, vaddq_u64(odd, vdupq_n_u64(0xfffff)));
	return vreinterpretq_f64_u64(vandq_u64(u, vdupq_n_u64(~(uint64_t)0x1fffff)));
}

/* A bit for each lane that is all ones. */
static inline unsigned
lm_vec_mask(uint64x2_t m)
{
	return (unsigned)(vgetq_lane_u64(m, 0) & 1) | (unsigned)(vgetq_lane_u64(m, 1) & 2);
}

static inline unsigned
lm_vec_alike(lm_vec lo, lm_vec hi)
{
	uint32x2_t l = vreinterpret_u32_f32(vcvt_f32_f64(lo));
	uint32x2_t h = vreinterpret_u32_f32(vcvt_f32_f64(hi));
	uint32x2_t same = vceq_u32(l, h);

	return (vget_lane_u32(same, 0) & 1) | (vget_lane_u32(same, 1) & 2);
}

static inline unsigned
lm_vec_alike_wide(lm_vec lo, lm_vec hi)
{
	return lm_vec_mask(vceqq_u64(vreinterpretq_u64_f64(lm_vec_round32(lo)),
	    vreinterpretq_u64_f64(lm_vec_round32(hi))));
}

static inline unsigned
lm_vec_less(lm_vec a, lm_vec b)
{
	return lm_vec_mask(vcltq_f64(a, b));
}

#endif
