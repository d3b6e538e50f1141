/* reshape and flatten: the same values in the same order under other extents. */
#include "layer/layer.h"

#include <inttypes.h>
#include <string.h>

enum { SHAPE };
enum { START, END };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_dims *dims = &s->node->param[SHAPE].dims;
	struct lm_shape *y = &s->out[0];
	char wanted[LM_SHAPE_TEXT];
	uint64_t before, after;
	size_t i;

	y->dtype = s->in[0].dtype;
	y->rank = (unsigned)dims->n;
	for (i = 0; i < dims->n; i++)
		if (lm_dim_eval(&dims->dim[i], s->sizes, &y->dim[i], err) < 0)
			return -1;
	if (lm_shape_count(&s->in[0], &before) < 0 || lm_shape_count(y, &after) < 0 ||
	    before != after)
		return lm_fail_input(s, 0, err, "as many elements as %s has",
		    lm_shape_text(wanted, y));
	return 0;
}

static int
flatten_shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	struct lm_shape *y = &s->out[0];
	unsigned start, end, i;

	if (lm_axis(s, 0, s->node->param[START].i, &start, err) < 0 ||
	    lm_axis(s, 0, s->node->param[END].i, &end, err) < 0)
		return -1;
	if (start > end)
		return lm_fail_input(s, 0, err, "axis %u (start) not after axis %u (end)", start,
		    end);
	*y = *x;
	for (i = start + 1; i < x->rank; i++)
		if (i > end)
			y->dim[i - (end - start)] = x->dim[i];
		else if (lm_mul64(y->dim[start], x->dim[i], &y->dim[start]) < 0)
			return lm_fail_input(s, 0, err, "less than 2^64 elements");
	y->rank = x->rank - (end - start);
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *y = c->out[0].shape;
	uint64_t count, bytes;

	(void)err;
	if (lm_shape_count(y, &count) == 0 && lm_dtype_bytes(y->dtype, count, &bytes) == 0 &&
	    bytes > 0)
		memcpy(c->out[0].data, c->in[0].data, (size_t)bytes);
	return 0;
}

const struct lm_layer_ops lm_layer_reshape = {
	.name = "reshape",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x with the extents shape",
	.params = { [SHAPE] = { "shape", LM_IS_DIMS, 0, INT64_MAX, NULL, 0 } },
	.shape = shape,
	.forward = forward,
};

const struct lm_layer_ops lm_layer_flatten = {
	.name = "flatten",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x with the axes start to end made one",
	.params = { [START] = { "start", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 },
	    [END] = { "end", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 } },
	.shape = flatten_shape,
	.forward = forward,
};
