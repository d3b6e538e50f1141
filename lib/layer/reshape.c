/* reshape, flatten, squeeze and unsqueeze: the same values in the same order under other extents. */
#include "layer/axes.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <string.h>

enum { SHAPE };
enum { START, END };
enum { AXES };

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
squeeze_shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_dims *axes = &s->node->param[AXES].dims;
	const struct lm_shape *x = &s->in[0];
	struct lm_shape *y = &s->out[0];
	unsigned axis, i, gone = 0;
	size_t k;

	for (k = 0; k < axes->n; k++) {
		if (lm_axes_next(s, axes, k, &axis, &gone, err) < 0)
			return -1;
		if (x->dim[axis] != 1)
			return lm_fail_input(s, 0, err, "an extent of 1 along axis %u", axis);
	}
	y->dtype = x->dtype;
	y->rank = 0;
	for (i = 0; i < x->rank; i++)
		if ((gone >> i & 1) == 0)
			y->dim[y->rank++] = x->dim[i];
	return 0;
}

/* The places of the new axes, a bit each. */
static int
places(const struct lm_shaping *s, unsigned rank, unsigned *new, struct loom_error *err)
{
	const struct lm_node *n = s->node;
	const struct lm_dims *axes = &n->param[AXES].dims;
	int64_t at;
	size_t k;

	for (k = 0; k < axes->n; k++) {
		at = axes->dim[k].value;
		at += at < 0 ? (int64_t)rank : 0;
		if (at < 0 || at >= (int64_t)rank)
			return lm_fail_input(s, 0, err,
			    "more axes, since axes has %" PRId64 " and the result has %u",
			    axes->dim[k].value, rank);
		if (*new >> at & 1)
			return lm_axes_twice(n, (unsigned)at, err);
		*new |= 1u << at;
	}
	return 0;
}

static int
unsqueeze_shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	struct lm_shape *y = &s->out[0];
	unsigned rank = x->rank + (unsigned)s->node->param[AXES].dims.n, new = 0, i, k = 0;

	if (rank > LOOM_RANK)
		return lm_fail_input(s, 0, err, "at most %u axes",
		    LOOM_RANK - (unsigned)s->node->param[AXES].dims.n);
	if (places(s, rank, &new, err) < 0)
		return -1;
	y->dtype = x->dtype;
	y->rank = rank;
	for (i = 0; i < rank; i++)
		y->dim[i] = new >> i & 1 ? 1 : x->dim[k++];
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
	.pieces = lm_pieces_reshape,
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
	.pieces = lm_pieces_reshape,
	.forward = forward,
};

const struct lm_layer_ops lm_layer_squeeze = {
	.name = "squeeze",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x without axes, whose extents are 1",
	.params = { [AXES] = { "axes", LM_IS_INTS, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 } },
	.shape = squeeze_shape,
	.pieces = lm_pieces_reshape,
	.forward = forward,
};

const struct lm_layer_ops lm_layer_unsqueeze = {
	.name = "unsqueeze",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x with new axes of extent 1, whose places in y are axes",
	.params = { [AXES] = { "axes", LM_IS_INTS, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 } },
	.shape = unsqueeze_shape,
	.pieces = lm_pieces_reshape,
	.forward = forward,
};
