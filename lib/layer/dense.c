/* dense: y[..., o] = sum over i of x[..., i] W[o, i] + b[o], over the last axis of any rank. */
#include "layer/multiply.h"
#include "layer/pieces.h"

enum { IN, OUT, BIASED };
enum { WEIGHT, BIAS };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_node *n = s->node;
	const struct lm_shape *x = &s->in[0];

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < 1 || x->dim[x->rank - 1] != (uint64_t)n->param[IN].i)
		return lm_fail_input(s, 0, err, "a last axis of %lld", (long long)n->param[IN].i);
	s->out[0] = *x;
	s->out[0].dim[x->rank - 1] = (uint64_t)n->param[OUT].i;
	return 0;
}

static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	if (lm_prepare_slots(p, err) < 0)
		return -1;
	lm_prepare_matrix(p, WEIGHT, (size_t)p->node->param[OUT].i, (size_t)p->node->param[IN].i);
	return 0;
}

static size_t
rows(const struct lm_shaping *s, size_t slot)
{
	(void)slot;
	return lm_count_rows(&s->in[0]);
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_node *n = c->node;
	struct lm_product p = { .m = lm_count_rows(c->in[0].shape),
		.x = c->in[0].data,
		.x_step = (size_t)n->param[IN].i,
		.w = &c->slot[WEIGHT].matrix,
		.bias = c->slot[BIAS].f32,
		.y = c->out[0].data,
		.y_step = (size_t)n->param[OUT].i };

	(void)err;
	lm_multiply(c, &p);
	return 0;
}

const struct lm_layer_ops lm_layer_dense = {
	.name = "dense",
	.cell = 0,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y[..., o] = sum over i of x[..., i] weight[o, i] + bias[o]",
	.params = { [IN] = { "in_features", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [OUT] = { "out_features", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [BIASED] = { "bias", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [WEIGHT] = { "weight", "oi", { OUT, IN }, 0, 0, 0, 0 },
	    [BIAS] = { "bias", "o", { OUT }, 1 + BIASED, 0, 0, 0 } },
	.shape = shape,
	.prepare = prepare,
	.rows = rows,
	.pieces = lm_pieces_rows,
	.forward = forward,
};
