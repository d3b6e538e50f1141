/* slice: along each of axes, every step-th value from start to before stop. */
#include "layer/axes.h"
#include "layer/pieces.h"
#include "layer/strided.h"

#include <inttypes.h>

enum { AXES, STARTS, STOPS, STEPS };

static int
check(const struct lm_node *n, struct loom_error *err)
{
	return lm_axes_lists(n, AXES, STARTS, STEPS, err);
}

/* Entry k: which axis of x, and where it begins and ends. */
static int
range(const struct lm_shaping *s, size_t k, unsigned *axis, unsigned *seen, uint64_t *start,
    uint64_t *stop, struct loom_error *err)
{
	const union lm_value *p = s->node->param;

	if (lm_axes_next(s, &p[AXES].dims, k, axis, seen, err) < 0 ||
	    lm_dim_eval(&p[STARTS].dims.dim[k], s->sizes, start, err) < 0 ||
	    lm_dim_eval(&p[STOPS].dims.dim[k], s->sizes, stop, err) < 0)
		return -1;
	if (*start > *stop)
		return lm_fail_input(s, 0, err,
		    "a start not after its stop along axis %u, not %" PRIu64 " and %" PRIu64, *axis,
		    *start, *stop);
	if (*stop > s->in[0].dim[*axis])
		return lm_fail_input(s, 0, err, "at least %" PRIu64 " values along axis %u", *stop,
		    *axis);
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const union lm_value *p = s->node->param;
	uint64_t start, stop, step;
	unsigned axis, seen = 0;
	size_t k;

	s->out[0] = s->in[0];
	for (k = 0; k < p[AXES].dims.n; k++) {
		if (range(s, k, &axis, &seen, &start, &stop, err) < 0)
			return -1;
		step = (uint64_t)p[STEPS].dims.dim[k].value;
		s->out[0].dim[axis] = (stop - start) / step + ((stop - start) % step != 0);
	}
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const union lm_value *p = c->node->param;
	const struct lm_shape *x = c->in[0].shape;
	struct lm_shaping s = { c->node, x, NULL, c->sizes };
	struct lm_strided strided = { 0 };
	size_t stride[LOOM_RANK] = { 0 }, k;
	uint64_t start, stop;
	unsigned axis, seen = 0;

	lm_strides(x, stride);
	for (axis = 0; axis < x->rank; axis++)
		strided.step[axis] = stride[axis];
	for (k = 0; k < p[AXES].dims.n; k++) {
		if (range(&s, k, &axis, &seen, &start, &stop, err) < 0)
			return -1;
		strided.first += (size_t)start * stride[axis];
		strided.step[axis] *= (size_t)p[STEPS].dims.dim[k].value;
	}
	lm_strided_copy(c, &strided);
	return 0;
}

const struct lm_layer_ops lm_layer_slice = {
	.name = "slice",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = every step-th value from start to before stop along each of axes",
	.params = { [AXES] = { "axes", LM_IS_INTS, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 },
	    [STARTS] = { "starts", LM_IS_DIMS, 0, INT64_MAX, NULL, 0 },
	    [STOPS] = { "stops", LM_IS_DIMS, 0, INT64_MAX, NULL, 0 },
	    [STEPS] = { "steps", LM_IS_INTS, 1, INT64_MAX, NULL, 0 } },
	.check = check,
	.shape = shape,
	.pieces = lm_pieces_axes,
	.forward = forward,
};
