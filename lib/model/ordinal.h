/* ordinal: the place of a floating-point number among all those of its type. */
#ifndef MODEL_ORDINAL_H
#define MODEL_ORDINAL_H

#include "num/dtype.h"

/*
 * The greatest number of steps from a value of a to its partner in b, in the order of the type's
 * numbers; both zeros are one place, an infinity is the step after the greatest finite number.  Of
 * finite values; 0 for a type that is not floating.
 */
uint64_t lm_ordinal_same(const struct lm_dtype *, const unsigned char *a, const unsigned char *b,
    size_t n);
/* The same of values of any type after rounding to this one, to nearest even; 0 where it is NULL. */
uint64_t lm_ordinal_mixed(const struct lm_dtype *, const double *a, const double *b, size_t n);

#endif
