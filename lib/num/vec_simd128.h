/* vec_simd128: binary64 vectors of WebAssembly, by the names of vec_scalar.h. */
#ifndef NUM_VEC_SIMD128_H
#define NUM_VEC_SIMD128_H

#include <wasm_simd128.h>

#include "num/exact.h"

#define LM_LANES 2
#define LM_TILE_ROWS 4
#define LM_TILE_VECS 2

typedef v128_t lm_vec;

static inline lm_vec
lm_vec_set(double v)
{
	return wasm_f64x2_splat(v);
}

static inline lm_vec
lm_vec_load(const double *p)
{
	return wasm_v128_load(p);
}

static inline void
lm_vec_store(double *p, lm_vec v)
{
	wasm_v128_store(p, v);
}

static inline lm_vec
lm_vec_widen(const lm_f32u *p)
{
	return wasm_f64x2_promote_low_f32x4(wasm_v128_load64_zero(p));
}

static inline lm_vec
lm_vec_widen_even(const lm_f32u *p)
{
	return wasm_f64x2_make(p[0], p[2]);
}

static inline lm_vec
lm_vec_widen_some(const lm_f32u *p, size_t n)
{
	return wasm_f64x2_make(n > 0 ? *p : 0, 0);
}

static inline void
lm_vec_narrow(lm_f32u *p, lm_vec v)
{
	wasm_v128_store64_lane(p, wasm_f32x4_demote_f64x2_zero(v), 0);
}

static inline lm_vec
lm_vec_add(lm_vec a, lm_vec b)
{
	return wasm_f64x2_add(a, b);
}

static inline lm_vec
lm_vec_sub(lm_vec a, lm_vec b)
{
	return wasm_f64x2_sub(a, b);
}

static inline lm_vec
lm_vec_mul(lm_vec a, lm_vec b)
{
	return wasm_f64x2_mul(a, b);
}

static inline lm_vec
lm_vec_div(lm_vec a, lm_vec b)
{
	return wasm_f64x2_div(a, b);
}

static inline lm_vec
lm_vec_sqrt(lm_vec a)
{
	return wasm_f64x2_sqrt(a);
}

static inline lm_vec
lm_vec_abs(lm_vec a)
{
	return wasm_f64x2_abs(a);
}

/* pmax(b, a) is b < a ? a : b. */
static inline lm_vec
lm_vec_max(lm_vec a, lm_vec b)
{
	return wasm_f64x2_pmax(b, a);
}

static inline lm_vec
lm_vec_fma(lm_vec a, lm_vec b, lm_vec c)
{
	return wasm_f64x2_add(wasm_f64x2_mul(a, b), c);
}

static inline double
lm_vec_sum(lm_vec v)
{
	return wasm_f64x2_extract_lane(v, 0) + wasm_f64x2_extract_lane(v, 1);
}

static inline lm_vec
lm_vec_sums(const lm_vec *v)
{
	return wasm_f64x2_add(wasm_i64x2_shuffle(v[0], v[1], 0, 2),
	    wasm_i64x2_shuffle(v[0], v[1], 1, 3));
}

static inline lm_vec
lm_vec_round32(lm_vec v)
{
	v128_t odd = wasm_v128_and(wasm_u64x2_shr(v, 21), wasm_i64x2_splat(1));

	v = wasm_i64x2_add(v, wasm_i64x2_add(odd, wasm_i64x2_splat(0xfffff)));
	return wasm_v128_and(v, wasm_i64x2_splat(~(int64_t)0x1fffff));
}

static inline unsigned
lm_vec_alike(lm_vec lo, lm_vec hi)
{
	v128_t l = wasm_f32x4_demote_f64x2_zero(lo), h = wasm_f32x4_demote_f64x2_zero(hi);

	return wasm_i32x4_bitmask(wasm_i32x4_eq(l, h)) & 3;
}

static inline unsigned
lm_vec_alike_wide(lm_vec lo, lm_vec hi)
{
	return wasm_i64x2_bitmask(wasm_i64x2_eq(lm_vec_round32(lo), lm_vec_round32(hi)));
}

static inline unsigned
lm_vec_less(lm_vec a, lm_vec b)
{
	return wasm_i64x2_bitmask(wasm_f64x2_lt(a, b));
}

#endif
