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

/* Whether it can be taken by pieces: values of whole bytes, one after another. */
int lm_weight_parts(const struct lm_weight *);
/* n values of it from first on: in memory, or read into room, which has space for them. */
const unsigned char *lm_weight_part(const struct lm_weight *, uint64_t first, uint64_t n,
    unsigned char *room, struct loom_error *);
/* All of its bytes, where it can be taken by pieces and its values are stored as they are. */
int lm_weight_send(const struct lm_weight *, struct lm_sink *, struct loom_error *) LOOM_MUST_CHECK;

#endif
