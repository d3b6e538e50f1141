/* transpose: axis i of y is axis perm[i] of x. */
#include "layer/strided.h"
#include "layer/pieces.h"

enum { PERM };

static int
check(const struct lm_node *n, struct loom_error *err)
{
	const struct lm_dims *perm = &n->param[PERM].dims;
	unsigned seen = 0;
	size_t i;

	for (i = 0; i < perm->n; i++)
		seen |= 1u << perm->dim[i].value;
	if (seen != (1u << perm->n) - 1)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): perm must name each of the axes 0 to %zu once", n->name,
		    n->op->name, perm->n - 1);
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_dims *perm = &s->node->param[PERM].dims;
	const struct lm_shape *x = &s->in[0];
	size_t i;

	if (x->rank != perm->n)
		return lm_fail_input(s, 0, err, "%zu axes", perm->n);
	s->out[0] = *x;
	for (i = 0; i < perm->n; i++)
		s->out[0].dim[i] = x->dim[perm->dim[i].value];
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_dims *perm = &c->node->param[PERM].dims;
	struct lm_strided strided = { 0 };
	size_t stride[LOOM_RANK], i;

	(void)err;
	lm_strides(c->in[0].shape, stride);
	for (i = 0; i < perm->n; i++)
		strided.step[i] = stride[perm->dim[i].value];
	lm_strided_copy(c, &strided);
	return 0;
}

const struct lm_layer_ops lm_layer_transpose = {
	.name = "transpose",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "axis i of y is axis perm[i] of x",
	.params = { [PERM] = { "perm", LM_IS_INTS, 0, LOOM_RANK - 1, NULL, 0 } },
	.check = check,
	.shape = shape,
	.pieces = lm_pieces_moved,
	.forward = forward,
};
