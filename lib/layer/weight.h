/* weight: the bytes of a slot as they would be by themselves. */
#ifndef FORMAT_WEIGHT_H
#define FORMAT_WEIGHT_H

#include "layer/layer.h"

/*
 * bytes of them, packed from the first bit on, what is left of the last byte 0: where the slot lies so,
 * else a copy in the arena.  NULL on failure.  The weight has data.
 */
const unsigned char *lm_weight_bytes(const struct lm_weight *, struct lm_arena *,
    struct loom_error *);

#endif
