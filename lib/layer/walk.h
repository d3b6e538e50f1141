/* walk: an order of elements, and where each lies in operands that have steps of their own. */
#ifndef LAYER_WALK_H
#define LAYER_WALK_H

#include "layer/layer.h"

enum { LM_WALKED = 3 };

struct lm_walk {
	unsigned operands, rank;
	size_t dim[LOOM_RANK];
	size_t step[LM_WALKED][LOOM_RANK]; /* elements between neighbours along each axis */
};

/* One more axis, faster than those before; it becomes one with the last where that goes on. */
void lm_walk_axis(struct lm_walk *, size_t dim, const size_t step[LM_WALKED]);
/* Elements along the fastest axis, and the step of an operand there: 1 and 0 where there is none. */
size_t lm_walk_wide(const struct lm_walk *);
size_t lm_walk_step(const struct lm_walk *, unsigned operand);
/* Where element i of the walk lies. */
size_t lm_walk_place(const struct lm_walk *, unsigned operand, size_t i);

#endif
