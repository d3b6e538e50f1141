/* walk: an order of elements, and where each lies in operands that have steps of their own. */
#include "layer/walk.h"

/* Does the axis before step over just what the new one covers? */
static int
goes_on(const struct lm_walk *w, size_t dim, const size_t *step)
{
	unsigned k;

	if (w->rank == 0)
		return 0;
	for (k = 0; k < w->operands; k++)
		if (w->step[k][w->rank - 1] != step[k] * dim)
			return 0;
	return 1;
}

void
lm_walk_axis(struct lm_walk *w, size_t dim, const size_t step[LM_WALKED])
{
	unsigned k;

	if (dim == 1)
		return;
	if (goes_on(w, dim, step))
		w->dim[w->rank - 1] *= dim;
	else
		w->dim[w->rank++] = dim;
	for (k = 0; k < w->operands; k++)
		w->step[k][w->rank - 1] = step[k];
}

size_t
lm_walk_wide(const struct lm_walk *w)
{
	return w->rank > 0 ? w->dim[w->rank - 1] : 1;
}

size_t
lm_walk_step(const struct lm_walk *w, unsigned operand)
{
	return w->rank > 0 ? w->step[operand][w->rank - 1] : 0;
}

size_t
lm_walk_place(const struct lm_walk *w, unsigned operand, size_t i)
{
	size_t at = 0;
	unsigned axis;

	for (axis = w->rank; axis-- > 0; i /= w->dim[axis])
		at += i % w->dim[axis] * w->step[operand][axis];
	return at;
}
