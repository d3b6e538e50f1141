/* residues_rows: rows as residues, 64 values at a time, with AVX-512 VNNI. */
#ifndef NUM_RESIDUES_ROWS_H
#define NUM_RESIDUES_ROWS_H

#include <immintrin.h>
#include <math.h>

#include "num/residues.h"
#include "num/vec_avx512.h"

enum { LM_RESIDUE_CHUNK = 64 }; /* values, and bytes of a tile's row */

/* Sums over the integers of a row, in lanes. */
struct lm_residue_sums {
	__m512d whole, rest; /* of their squares, and of those of what rounding left */
	__m512i bits;	     /* all of the integers' bits */
};

/* Eight values, of which n or more are there, then zeros. */
static inline __m512d
lm_residue_values(const lm_f32u *v, size_t n)
{
	return n >= 8 ? lm_vec_widen(v) : lm_vec_widen_some(v, n);
}

/* The norm of a row, in any order. */
static inline double
lm_residue_norm(const lm_f32u *v, size_t n)
{
	__m512d sum[4] = { _mm512_setzero_pd(), _mm512_setzero_pd(), _mm512_setzero_pd(),
		_mm512_setzero_pd() };
	__m512d x;
	size_t i;
	int j;

	for (i = 0; i + 32 <= n; i += 32) {
		for (j = 0; j < 4; j++) {
			x = lm_residue_values(v + i + 8 * j, 8);
			sum[j] = _mm512_fmadd_pd(x, x, sum[j]);
		}
	}
	for (; i < n; i += 8) {
		x = lm_residue_values(v + i, n - i);
		sum[0] = _mm512_fmadd_pd(x, x, sum[0]);
	}
	sum[0] = _mm512_add_pd(_mm512_add_pd(sum[0], sum[1]), _mm512_add_pd(sum[2], sum[3]));
	return sqrt(_mm512_reduce_add_pd(sum[0]));
}

/*
 * Eight scaled values, of which n are there, as integers: the low 48 bits of each lane have the
 * integer + 2^47.
 */
static inline __m512i
lm_residue_integers(const lm_f32u *v, size_t n, __m512d scale, struct lm_residue_sums *sums)
{
	const __m512d shift = _mm512_set1_pd(0x1.8p52 + 0x1p47);
	__m512d x = lm_residue_values(v, n), shifted = _mm512_fmadd_pd(x, scale, shift);
	__m512d whole = _mm512_sub_pd(shifted, shift), rest = _mm512_fmsub_pd(x, scale, whole);

	sums->whole = _mm512_fmadd_pd(whole, whole, sums->whole);
	sums->rest = _mm512_fmadd_pd(rest, rest, sums->rest);
	sums->bits = _mm512_or_si512(sums->bits, _mm512_castpd_si512(shifted));
	return _mm512_castpd_si512(shifted);
}

/*
 * v less the multiple of m nearest to it.  v is below 2^18, so the quotient's rounding is off by
 * less than 2^-14 and finds the nearest integer, from which v/m, m being odd, is at least 1/2m
 * away from being equally far as from another.  The integer stands in the low 16 bits.
 */
static inline __m512i
lm_residue_reduced(__m512i v, __m512 inverse, __m512i minus)
{
	const __m512 shift = _mm512_set1_ps(0x1.8p23f);
	__m512 quotient = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), inverse, shift);

	return _mm512_dpwssd_epi32(v, _mm512_castps_si512(quotient), minus);
}

/* Four times 16 integers, as halves, modulo the one at i: 64 bytes in their order. */
static inline __m512i
lm_residues_of(const __m512i low[4], const __m512i high[4], const struct lm_residue_bytes *b, int i)
{
	const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11,
	    15);
	__m512i less = _mm512_set1_epi32(b->less[i]), by_low = _mm512_set1_epi32((int)b->low[i]);
	__m512i by_high = _mm512_set1_epi32((int)b->high[i]), r[4];
	__m512i minus = _mm512_set1_epi32((uint16_t)-lm_moduli[i]);
	__m512 inverse = _mm512_set1_ps(b->inverse[i]);
	int j;

	for (j = 0; j < 4; j++) {
		r[j] = _mm512_dpbusd_epi32(less, low[j], by_low);
		r[j] = _mm512_dpbusd_epi32(r[j], high[j], by_high);
		if (i == 0) /* modulo 256 */
			r[j] = _mm512_srai_epi32(_mm512_slli_epi32(r[j], 24), 24);
		else
			r[j] = lm_residue_reduced(r[j], inverse, minus);
	}
	r[0] = _mm512_packs_epi32(r[0], r[1]);
	r[2] = _mm512_packs_epi32(r[2], r[3]);
	return _mm512_permutexvar_epi32(order, _mm512_packs_epi16(r[0], r[2]));
}

/* 64 values, of which n are there, to 64 bytes for each modulus, apart. */
static inline void
lm_residue_chunk(int8_t *to, size_t apart, const lm_f32u *v, size_t n, double scale, int moduli,
    const struct lm_residue_bytes *bytes, struct lm_residue_sums *sums)
{
	const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26,
	    28, 30);
	const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
	__m512d by = _mm512_set1_pd(scale);
	struct lm_residue_sums s = *sums;
	__m512i low[4], high[4], a, b;
	int i, j;

	for (j = 0; j < 4; j++) {
		size_t at = 16 * (size_t)j, next = at + 8;

		a = lm_residue_integers(v + at, n > at ? n - at : 0, by, &s);
		b = lm_residue_integers(v + next, n > next ? n - next : 0, by, &s);
		low[j] = _mm512_permutex2var_epi32(a, even, b);
		high[j] = _mm512_permutex2var_epi32(a, odd, b);
	}
	*sums = s;
	_mm512_store_si512((void *)to, lm_residues_of(low, high, bytes, 0));
	for (i = 1; i < moduli; i++)
		_mm512_store_si512((void *)(to + (size_t)i * apart),
		    lm_residues_of(low, high, bytes, i));
}

/* The power of two that divides all integers whose bits are these, 47 of each; at most 2^47. */
static inline double
lm_residue_divisor(__m512i bits)
{
	uint64_t all = (uint64_t)_mm512_reduce_or_epi64(bits) | (uint64_t)1 << LM_RESIDUE_BITS;

	return (double)(all & (0 - all));
}

/* What is known of a row of that norm, which was scaled so (lm_residue_scale). */
static inline struct lm_residue_row
lm_residue_row(double norm, double scale, const struct lm_residue_sums *sums)
{
	double rest = sqrt(_mm512_reduce_add_pd(sums->rest)), unit = 1 / scale;

	if (scale == 0)
		return (struct lm_residue_row){ .bad = norm != 0 };
	return (struct lm_residue_row){
		.unit = unit,
		.whole = sqrt(_mm512_reduce_add_pd(sums->whole)) * unit,
		.rest = rest * unit,
		.norm = norm,
		.grid = rest == 0 ? lm_residue_divisor(sums->bits) * unit : 0,
	};
}

#endif
