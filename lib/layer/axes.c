/* axes: lists of axes, of which none is named twice. */
#include "layer/axes.h"

int
lm_axes_twice(const struct lm_node *n, unsigned axis, struct loom_error *err)
{
	return lm_fail(err, LOOM_EFORMAT, "node %s (%s): axes has axis %u twice", n->name,
	    n->op->name, axis);
}

int
lm_axes_next(const struct lm_shaping *s, const struct lm_dims *axes, size_t k, unsigned *axis,
    unsigned *seen, struct loom_error *err)
{
	if (lm_axis(s, 0, axes->dim[k].value, axis, err) < 0)
		return -1;
	if (*seen >> *axis & 1)
		return lm_axes_twice(s->node, *axis, err);
	*seen |= 1u << *axis;
	return 0;
}

int
lm_axes_lists(const struct lm_node *n, size_t axes, size_t first, size_t last,
    struct loom_error *err)
{
	size_t wanted = n->param[axes].dims.n, found, i;

	for (i = first; i <= last; i++) {
		found = n->param[i].dims.n;
		if (found != wanted)
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s (%s): %s has %zu entries, axes has %zu", n->name, n->op->name,
			    n->op->params[i].key, found, wanted);
	}
	return 0;
}
