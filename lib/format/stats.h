/* stats: the least, the greatest and the mean value of a tensor, and how many are no numbers. */
#ifndef FORMAT_STATS_H
#define FORMAT_STATS_H

#include "base/err.h"
#include "base/json.h"
#include "num/dtype.h"

struct lm_stats {
	const struct lm_dtype *dtype;
	float scale;
	uint64_t count, nans, infinities;
	double least, most, sum; /* of the finite values, in their order */
	int64_t low, high;	 /* the same of int64, exactly */
	uint64_t ulow, uhigh;	 /* and of uint64 */
};

/* scale is that of dtypes that have one; 1 where integers are just themselves. */
void lm_stats_init(struct lm_stats *, const struct lm_dtype *, float scale);
/* The next n values, packed; n but for the last call a multiple of 8. */
void lm_stats_add(struct lm_stats *, const unsigned char *, size_t n);
/* "min", "max", "mean" where there are finite values (and a finite sum), "nan" and "inf" where there are such. */
int lm_stats_json(const struct lm_stats *, json_t *object, struct loom_error *) LOOM_MUST_CHECK;

#endif
