/* constant: y = value, which the network carries. */
#include "layer/layer.h"

#include <string.h>

enum { SHAPE };
enum { VALUE };

/* Real numbers are float32 in a run however they are stored; extents and flags stay what they are. */
static const struct lm_dtype *
run_dtype(const struct lm_dtype *stored)
{
	if (stored == lm_dtype_get(LM_I64) || stored == lm_dtype_get(LM_BOOL))
		return stored;
	return lm_dtype_get(LM_F32);
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	if (lm_slot_shape(s->node, VALUE, &s->out[0], err) < 0)
		return -1;
	s->out[0].dtype = run_dtype(s->node->weight[VALUE].dtype);
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *y = c->out[0].shape;
	const void *value = c->slot[VALUE].f32 != NULL ? c->slot[VALUE].f32 : c->slot[VALUE].raw;
	uint64_t count, bytes;

	(void)err;
	if (lm_shape_count(y, &count) == 0 && lm_dtype_bytes(y->dtype, count, &bytes) == 0 &&
	    bytes > 0)
		memcpy(c->out[0].data, value, (size_t)bytes);
	return 0;
}

const struct lm_layer_ops lm_layer_constant = {
	.name = "constant",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 0,
	.in_most = 0,
	.out_least = 1,
	.out_most = 1,
	.about = "y = value",
	.params = { [SHAPE] = { "shape", LM_IS_INTS, 0, INT64_MAX, NULL, 0 } },
	.slots = { [VALUE] = { "value", "", { 0 }, 0, 1 + SHAPE, 1, 0 } },
	.shape = shape,
	.forward = forward,
};
