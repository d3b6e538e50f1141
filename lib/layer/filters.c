/* filters: what convolutions and transposed ones have in common. */
#include "layer/filters.h"

#include <inttypes.h>

int
lm_filters_check(const struct lm_node *n, struct loom_error *err)
{
	int64_t groups = n->param[GROUPS].i;

	if (n->param[IN].i % groups != 0 || n->param[OUT].i % groups != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): groups is %" PRId64
		    ", which does not divide in_channels %" PRId64 " and out_channels %" PRId64,
		    n->name, n->op->name, groups, n->param[IN].i, n->param[OUT].i);
	return 0;
}

void
lm_filters_slot_shape(const struct lm_node *n, size_t slot, struct lm_shape *s)
{
	const struct lm_dims *kernel = &n->param[KERNEL].dims;
	size_t i;

	s->rank = 1;
	s->dim[0] = (uint64_t)n->param[OUT].i;
	if (slot == BIAS)
		return;
	s->dim[s->rank++] = (uint64_t)(n->param[IN].i / n->param[GROUPS].i);
	for (i = 0; i < kernel->n; i++)
		s->dim[s->rank++] = (uint64_t)kernel->dim[i].value;
}
