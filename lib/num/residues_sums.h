/* residues_sums: from the tiles' sums to fractions X/M, and which results they decide. */
#ifndef NUM_RESIDUES_SUMS_H
#define NUM_RESIDUES_SUMS_H

#include "num/proof.h"
#include "num/residues_rows.h"

enum { LM_RESIDUE_TILE = 16, LM_RESIDUE_OUTPUTS = 256 };

/* The rest to the nearest integer. */
static inline __m512d
lm_residue_fraction(__m512d v)
{
	return _mm512_sub_pd(v, _mm512_roundscale_pd(v, _MM_FROUND_TO_NEAREST_INT));
}

/*
 * F of the outputs of a tile from the sums of one block, those of the moduli apart, and from the F
 * of the blocks before; none are before the first.
 */
static inline void
lm_residue_add(double *part, const int32_t *sums, size_t apart, const struct lm_residue_plan *plan,
    int first)
{
	int o, i, j;

	for (o = 0; o < LM_RESIDUE_OUTPUTS; o += 32) {
		__m512d high[4], low[4], c, f;

		for (j = 0; j < 4; j++)
			high[j] = low[j] = _mm512_setzero_pd();
		for (i = 0; i < plan->moduli; i++) {
			const int32_t *sum = sums + (size_t)i * apart + o;

			__m512d h = _mm512_set1_pd(plan->high[i]), l = _mm512_set1_pd(plan->low[i]);

			for (j = 0; j < 4; j++, sum += 8) {
				c = _mm512_cvtepi32_pd(_mm256_load_si256((const void *)sum));
				high[j] = _mm512_fmadd_pd(c, h, high[j]);
				low[j] = _mm512_fmadd_pd(c, l, low[j]);
			}
		}
		for (j = 0; j < 4; j++) {
			f = _mm512_add_pd(lm_residue_fraction(high[j]), low[j]);
			if (!first)
				f = _mm512_add_pd(_mm512_load_pd(part + o + 8 * j), f);
			_mm512_store_pd(part + o + 8 * j, f);
		}
	}
}

/* Columns of a tile; so many are there, the others have zeros. */
struct lm_residue_columns {
	__m512d unit[2], rest[2], norm[2];
	__m512d bias[2], size[2]; /* the sum of the biases, and 4u of their magnitudes */
	__mmask16 there, bad;
};

/* n biases, then zeros, are added. */
static inline void
lm_residue_bias(struct lm_residue_columns *c, const lm_f32u *bias, unsigned n)
{
	__m512d b;
	int j;

	for (j = 0; j < 2; j++, bias += 8, n -= n < 8 ? n : 8) {
		b = lm_residue_values(bias, n);
		c->bias[j] = _mm512_add_pd(c->bias[j], b);
		b = _mm512_mul_pd(_mm512_abs_pd(b), _mm512_set1_pd(4 * LM_UNIT));
		c->size[j] = _mm512_add_pd(c->size[j], b);
	}
}

/* From the column at n, a multiple of 16. */
static inline struct lm_residue_columns
lm_residue_columns(const struct lm_residues *w, const struct lm_product *p, size_t n, size_t n1)
{
	unsigned count = n1 - n < 16 ? (unsigned)(n1 - n) : 16;
	struct lm_residue_columns c;
	int j;

	for (j = 0; j < 2; j++) {
		c.unit[j] = _mm512_loadu_pd(w->unit + n + 8 * j);
		c.rest[j] = _mm512_loadu_pd(w->rest + n + 8 * j);
		c.norm[j] = _mm512_loadu_pd(w->norm + n + 8 * j);
		c.bias[j] = c.size[j] = _mm512_setzero_pd();
	}
	if (p->bias != NULL)
		lm_residue_bias(&c, p->bias + n, count);
	if (p->bias2 != NULL)
		lm_residue_bias(&c, p->bias2 + n, count);
	c.there = (__mmask16)((1u << count) - 1);
	c.bad = _mm_test_epi8_mask(_mm_loadu_si128((const void *)(w->bad + n)), _mm_set1_epi8(-1));
	return c;
}

/*
 * The results of a row from its F, their ends compared as bits; those of which the test decides
 * nothing come back.  error is what F may be off by, in units of u.
 */
static inline unsigned
lm_residue_results(float *y, const double *part, const struct lm_residue_row *row, double error,
    const struct lm_residue_columns *c)
{
	__m512d unit = _mm512_set1_pd(row->unit), whole = _mm512_set1_pd(row->whole);
	__m512d rest = _mm512_set1_pd(row->rest), off = _mm512_set1_pd(error);
	unsigned undecided = c->bad;
	int j;

	for (j = 0; j < 2; j++) {
		__m512d scale = _mm512_mul_pd(unit, c->unit[j]);
		__m512d t = _mm512_fmadd_pd(_mm512_load_pd(part + 8 * j), scale, c->bias[j]);
		__m512d bound = _mm512_fmadd_pd(off, scale, c->size[j]);
		__m256i low, high;

		bound = _mm512_fmadd_pd(rest, c->norm[j], bound);
		bound = _mm512_fmadd_pd(whole, c->rest[j], bound);
		low = _mm256_castps_si256(_mm512_cvtpd_ps(_mm512_sub_pd(t, bound)));
		high = _mm256_castps_si256(_mm512_cvtpd_ps(_mm512_add_pd(t, bound)));
		_mm256_mask_storeu_epi32(y + 8 * j, (__mmask8)(c->there >> 8 * j), low);
		undecided |= (unsigned)_mm256_cmpneq_epi32_mask(low, high) << 8 * j;
	}
	return (row->bad ? 0xffff : undecided) & c->there;
}

#endif
