/*
 * measure: how far two arrays are apart, block by block.  Blocks are a part of the definition: sums are
 * taken within a block in four interleaved partial sums, and over blocks in order with their rounding
 * errors kept, so that no result depends on how the values were read or on the number of threads.
 */
#ifndef MODEL_MEASURE_H
#define MODEL_MEASURE_H

#include "num/dtype.h"

enum { LM_BLOCK = 65536 }; /* values; every block but the last has so many */

enum lm_sum { LM_SUM_ABS, LM_SUM_DD, LM_SUM_AA, LM_SUM_BB, LM_SUM_AB, LM_SUMS };

struct lm_measuring {
	const struct lm_dtype *a, *b; /* not coded ones */
	int equal_nan;
	double limit, rtol; /* if rtol > 0, values with |a-b| > limit + rtol*|b| are beyond */
};

struct lm_measure {
	uint64_t values;
	uint64_t unlike; /* pairs that are not the same value with the same sign of zero */
	uint64_t beyond;
	uint64_t no_difference;	   /* pairs with a NaN or with unequal infinities */
	uint64_t no_difference_at; /* the first of them */
	uint64_t alike;		   /* pairs of the same infinity, or of NaNs where these agree */
	double max_abs;
	uint64_t max_abs_at;		    /* the first place of the greatest difference */
	double max_rel;			    /* where b is not zero */
	uint64_t max_ulp;		    /* of floating-point pairs */
	double max_b;			    /* of finite values */
	double sum[LM_SUMS], rest[LM_SUMS]; /* sums, and what rounding took from them */
};

/* n <= LM_BLOCK packed little-endian values of either side; places count from 0. */
void lm_measure_block(const struct lm_measuring *, const unsigned char *a, const unsigned char *b,
    size_t n, struct lm_measure *);
/* Add a block that starts at that place; blocks come in order. */
void lm_measure_add(struct lm_measure *total, const struct lm_measure *block, uint64_t first);
/* The greatest |v| of the finite ones. */
double lm_measure_greatest(const struct lm_dtype *, const unsigned char *v, size_t n);

/* The type in whose units distances are counted: the narrower one, NULL where neither is floating. */
const struct lm_dtype *lm_measure_unit(const struct lm_dtype *a, const struct lm_dtype *b);

#endif
