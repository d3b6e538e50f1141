/* expand: x broadcast to shape, as NumPy does: along axes of extent 1 and new leading ones. */
#include "layer/strided.h"
#include "layer/pieces.h"

enum { SHAPE };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_dims *dims = &s->node->param[SHAPE].dims;
	const struct lm_shape *x = &s->in[0];
	struct lm_shape *y = &s->out[0];
	char wanted[LM_SHAPE_TEXT];
	unsigned i, lead;
	int fits;

	y->dtype = x->dtype;
	y->rank = (unsigned)dims->n;
	for (i = 0; i < y->rank; i++)
		if (lm_dim_eval(&dims->dim[i], s->sizes, &y->dim[i], err) < 0)
			return -1;
	fits = x->rank <= y->rank;
	lead = y->rank - (fits ? x->rank : 0);
	for (i = 0; fits && i < x->rank; i++)
		fits = x->dim[i] == 1 || x->dim[i] == y->dim[lead + i];
	if (!fits)
		return lm_fail_input(s, 0, err, "a shape that broadcasts to %s",
		    lm_shape_text(wanted, y));
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	unsigned lead = c->out[0].shape->rank - x->rank, i;
	struct lm_strided strided = { 0 };
	size_t stride[LOOM_RANK];

	(void)err;
	lm_strides(x, stride);
	for (i = 0; i < x->rank; i++)
		strided.step[lead + i] = x->dim[i] == 1 ? 0 : stride[i];
	lm_strided_copy(c, &strided);
	return 0;
}

const struct lm_layer_ops lm_layer_expand = {
	.name = "expand",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x broadcast to shape",
	.params = { [SHAPE] = { "shape", LM_IS_DIMS, 0, INT64_MAX, NULL, 0 } },
	.shape = shape,
	.pieces = lm_pieces_expand,
	.forward = forward,
};
