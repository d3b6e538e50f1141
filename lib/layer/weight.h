/* weight: the bytes of a slot as they would be by themselves. */
#ifndef LAYER_WEIGHT_H
#define LAYER_WEIGHT_H

#include "layer/layer.h"

/* Its values are in memory, or in a file where they can be read. */
static inline int
lm_weight_there(const struct lm_weight *w)
{
	return w->data != NULL || w->view != NULL;
}

/*
 * bytes of them, packed from the first bit on, what is left of the last byte 0: where the slot lies so
 * in memory, else a copy in the arena.  NULL on failure.
 */
const unsigned char *lm_weight_bytes(const struct lm_weight *, struct lm_arena *,
    struct loom_error *);

#endif
