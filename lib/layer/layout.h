/* layout: where the values of a slot lie in the array of another engine that they came from. */
#ifndef LAYER_LAYOUT_H
#define LAYER_LAYOUT_H

#include "layer/view.h"

/*
 * Element (i0, i1, ...) of the slot, whose axes are canonical, is element first + sum of i_k stride_k of an
 * array of that shape in C order.
 */
struct lm_layout {
	unsigned rank;
	uint64_t shape[LOOM_RANK];
	uint64_t first;
	unsigned axes;
	int64_t stride[LOOM_RANK];
};

/*
 * All elements lie inside the array, and neighbours along an axis are not one element; else LOOM_EFORMAT,
 * with where before it.  The slot has axes of such extents.
 */
int lm_layout_check(const struct lm_layout *, const uint64_t *extent, const char *where,
    struct loom_error *) LOOM_MUST_CHECK;
/* Elements of the array. */
uint64_t lm_layout_count(const struct lm_layout *);
int lm_layout_same_array(const struct lm_layout *, const struct lm_layout *);
/* Whether the slot is the whole array, in its order. */
int lm_layout_whole(const struct lm_layout *, const uint64_t *extent);
/* Of a view of the whole array: the slot's values.  LOOM_EUNSUPPORTED where they have too many axes. */
int lm_layout_view(const struct lm_layout *, const uint64_t *extent, struct lm_view *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
