/* concat: the inputs one after another along one axis. */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <string.h>

enum { AXIS };

static int
joins(const struct lm_shaping *s, size_t k, unsigned axis, struct loom_error *err)
{
	const struct lm_shape *first = &s->in[0], *x = &s->in[k];
	char text[LM_SHAPE_TEXT];
	unsigned i;
	int same = x->dtype == first->dtype && x->rank == first->rank;

	for (i = 0; same && i < x->rank; i++)
		same = i == axis || x->dim[i] == first->dim[i];
	if (!same)
		return lm_fail_input(s, k, err, "%s but for axis %u", lm_shape_text(text, first),
		    axis);
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	unsigned axis;
	size_t k;

	if (lm_axis(s, 0, s->node->param[AXIS].i, &axis, err) < 0)
		return -1;
	s->out[0] = s->in[0];
	for (k = 1; k < s->node->n_in; k++) {
		if (joins(s, k, axis, err) < 0)
			return -1;
		s->out[0].dim[axis] += s->in[k].dim[axis];
	}
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
	const struct lm_shape *y = c->out[0].shape;
	int64_t a = c->node->param[AXIS].i;
	unsigned axis = (unsigned)(a < 0 ? a + y->rank : a), i;
	size_t outer = 1, wide = block(y, axis), at = 0, narrow, k, r;

	(void)err;
	for (i = 0; i < axis; i++)
		outer *= (size_t)y->dim[i];
	for (k = 0; k < c->node->n_in; k++) {
		narrow = block(c->in[k].shape, axis);
		for (r = 0; r < outer && narrow > 0; r++)
			memcpy((char *)c->out[0].data + r * wide + at,
			    (const char *)c->in[k].data + r * narrow, narrow);
		at += narrow;
	}
	return 0;
}

const struct lm_layer_ops lm_layer_concat = {
	.name = "concat",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = LM_MANY,
	.out_least = 1,
	.out_most = 1,
	.about = "y = the inputs one after another along axis",
	.params = { [AXIS] = { "axis", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 } },
	.shape = shape,
	.pieces = lm_pieces_axis,
	.forward = forward,
};
