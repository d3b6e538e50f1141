/*
 * broadcast: operands that meet as NumPy's do: their axes are lined up from the last one on, and
 * one that is missing or of extent 1 is spread over what the others have there.
 */
#ifndef LAYER_BROADCAST_H
#define LAYER_BROADCAST_H

#include "layer/walk.h"

/*
 * n results from operands that advance by step elements, 0 or 1 each.  Returns n, or how many come
 * before the first that there is no result for.
 */
typedef size_t lm_line_fn(void *z, const void *const x[LM_WALKED], const size_t step[LM_WALKED],
    size_t n);

/* Rank and extents of the result of all inputs, which are there; its dtype is left alone. */
int lm_broadcast_shape(const struct lm_shaping *, struct lm_shape *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The plan of an operation that calls lm_broadcast. */
int lm_broadcast_plan(const struct lm_shaping *, size_t *scratch, struct loom_error *);
/*
 * Output 0 of a call.  -1 if a result is missing: place is where the operands of the first such
 * result lie, whatever the threads.
 */
int lm_broadcast(const struct lm_call *, lm_line_fn *, size_t place[LM_WALKED]) LOOM_MUST_CHECK;

#endif
