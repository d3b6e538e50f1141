/* convert: values on their way into a run and out of it. */
#ifndef MODEL_CONVERT_H
#define MODEL_CONVERT_H

#include "layer/shape.h"
#include "num/functions.h"

/*
 * count values at src, packed little-endian of dtype from, into dst as float32, int64 or bool in this
 * machine's order.  To float32 each is rounded once; to integers and flags none may change:
 * LOOM_ESHAPE names the first that would.
 */
int lm_convert(const struct lm_dtype *to, void *dst, const struct lm_dtype *from, const void *src,
    size_t count, struct loom_error *) LOOM_MUST_CHECK;

/* In place, from a run's form to the one that leaves it: one NaN, little-endian. */
void lm_seal(const struct lm_functions *, const struct lm_dtype *, void *data, size_t count);

#endif
