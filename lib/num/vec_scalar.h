/*
 * vec_scalar: binary64 vectors of one lane, for targets without a set of their own.  Every
 * vec_*.h defines the names below for its instruction set; a file that uses them is compiled with
 * one of these headers and knows a set by LM_LANES and the tile alone.
 *
 * Where a name has an order or a choice of instruction left open, only sums of products may use
 * it: their bound (num/proof.h) covers every order, fused or not.
 */
#ifndef NUM_VEC_SCALAR_H
#define NUM_VEC_SCALAR_H

#include <math.h>

#include "num/exact.h"
#include "num/proof.h"

/* Macros, since #if asks for them. */
#define LM_LANES 1     /* of a vector: divides 16 */
#define LM_TILE_ROWS 4 /* sums that the registers hold: so many rows (14 at most) */
#define LM_TILE_VECS 2 /* of so many vectors; their lanes divide 16 */

typedef double lm_vec;

static inline lm_vec
lm_vec_set(double v)
{
	return v;
}

/* Any multiple of 8 bytes will do as an address. */
static inline lm_vec
lm_vec_load(const double *p)
{
	return *p;
}

static inline void
lm_vec_store(double *p, lm_vec v)
{
	*p = v;
}

/* So many binary32 numbers as there are lanes; nothing behind them is read. */
static inline lm_vec
lm_vec_widen(const lm_f32u *p)
{
	return *p;
}

/* p[0], p[2], p[4]...: nothing behind the last of them is read. */
static inline lm_vec
lm_vec_widen_even(const lm_f32u *p)
{
	return *p;
}

/* The first n of so many, fewer than there are lanes, and zeros; nothing behind them is read. */
static inline lm_vec
lm_vec_widen_some(const lm_f32u *p, size_t n)
{
	return n > 0 ? *p : 0;
}

/* Each lane rounded to binary32. */
static inline void
lm_vec_narrow(lm_f32u *p, lm_vec v)
{
	*p = (float)v;
}

/* One IEEE operation in each lane. */
static inline lm_vec
lm_vec_add(lm_vec a, lm_vec b)
{
	return a + b;
}

static inline lm_vec
lm_vec_sub(lm_vec a, lm_vec b)
{
	return a - b;
}

static inline lm_vec
lm_vec_mul(lm_vec a, lm_vec b)
{
	return a * b;
}

static inline lm_vec
lm_vec_div(lm_vec a, lm_vec b)
{
	return a / b;
}

static inline lm_vec
lm_vec_sqrt(lm_vec a)
{
	return sqrt(a);
}

static inline lm_vec
lm_vec_abs(lm_vec a)
{
	return fabs(a);
}

/* a > b ? a : b, so b where one of them is a NaN. */
static inline lm_vec
lm_vec_max(lm_vec a, lm_vec b)
{
	return a > b ? a : b;
}

/* a*b + c, by one rounding or by two; the same value where the product is exact. */
static inline lm_vec
lm_vec_fma(lm_vec a, lm_vec b, lm_vec c)
{
	return a * b + c;
}

/* The sum of the lanes, in some order. */
static inline double
lm_vec_sum(lm_vec v)
{
	return v;
}

/* Lane i is the sum of the lanes of v[i]. */
static inline lm_vec
lm_vec_sums(const lm_vec *v)
{
	return v[0];
}

/* lm_round32 of each lane; a NaN is one that binary32 numbers led to. */
static inline lm_vec
lm_vec_round32(lm_vec v)
{
	return lm_round32(v);
}

/* Bit i: lane i of both rounds to the same bits of binary32; of 32 significant bits. */
static inline unsigned
lm_vec_alike(lm_vec lo, lm_vec hi)
{
	return (unsigned)lm_alike(lo, hi, 0);
}

static inline unsigned
lm_vec_alike_wide(lm_vec lo, lm_vec hi)
{
	return (unsigned)lm_alike(lo, hi, 1);
}

/* Bit i: lane i of a is less than that of b. */
static inline unsigned
lm_vec_less(lm_vec a, lm_vec b)
{
	return a < b;
}

#endif
