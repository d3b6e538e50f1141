/* split: x cut along one axis into as many outputs as sizes. */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <string.h>

enum { AXIS, SIZES };

static int
check(const struct lm_node *n, struct loom_error *err)
{
	size_t sizes = n->param[SIZES].dims.n;

	if (sizes != n->n_out)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): sizes has %zu entries, but the node names %zu outputs", n->name,
		    n->op->name, sizes, n->n_out);
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const union lm_value *p = s->node->param;
	uint64_t left, size;
	unsigned axis;
	size_t k;

	if (lm_axis(s, 0, p[AXIS].i, &axis, err) < 0)
		return -1;
	left = s->in[0].dim[axis];
	for (k = 0; k < s->node->n_out; k++) {
		if (lm_dim_eval(&p[SIZES].dims.dim[k], s->sizes, &size, err) < 0)
			return -1;
		if (size > left)
			return lm_fail_input(s, 0, err,
			    "what sizes add up to along axis %u, at least %" PRIu64, axis,
			    s->in[0].dim[axis] - left + size);
		s->out[k] = s->in[0];
		s->out[k].dim[axis] = size;
		left -= size;
	}
	if (left > 0)
		return lm_fail_input(s, 0, err, "what sizes add up to along axis %u, %" PRIu64,
		    axis, s->in[0].dim[axis] - left);
	return 0;
}

/* Bytes from one step along the axis before `axis` to the next. */
static size_t
block(const struct lm_shape *s, unsigned axis)
{
	size_t n = s->dtype->bits / 8;
	unsigned i;

	for (i = axis; i < s->rank; i++)
		n *= (size_t)s->dim[i];
	return n;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	int64_t a = c->node->param[AXIS].i;
	unsigned axis = (unsigned)(a < 0 ? a + x->rank : a), i;
	size_t outer = 1, wide = block(x, axis), at = 0, narrow, k, r;

	(void)err;
	for (i = 0; i < axis; i++)
		outer *= (size_t)x->dim[i];
	for (k = 0; k < c->node->n_out; k++) {
		narrow = block(c->out[k].shape, axis);
		for (r = 0; r < outer && narrow > 0; r++)
			memcpy((char *)c->out[k].data + r * narrow,
			    (const char *)c->in[0].data + r * wide + at, narrow);
		at += narrow;
	}
	return 0;
}

const struct lm_layer_ops lm_layer_split = {
	.name = "split",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = LOOM_RANK,
	.about = "the parts of x along axis, as many as sizes",
	.params = { [AXIS] = { "axis", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 },
	    [SIZES] = { "sizes", LM_IS_DIMS, 0, INT64_MAX, NULL, 0 } },
	.check = check,
	.shape = shape,
	.pieces = lm_pieces_axis,
	.forward = forward,
};
