/* onnx_to_shapes: reductions, and operations that move values or lay them out otherwise. */
#include <string.h>

#include "onnx/onnx_to.h"

#define WRITER(op)                                                              \
	int lm_onnx_to_##op(struct lm_onnx_writing *, const struct lm_node *,   \
	    struct loom_error *);                                               \
	int lm_onnx_to_##op(struct lm_onnx_writing *w, const struct lm_node *n, \
	    struct loom_error *err)

/* One operator with one integer attribute, which is a parameter. */
static int
with_axis(struct lm_onnx_writing *w, const struct lm_node *n, const char *op, size_t param,
    struct loom_error *err)
{
	struct lm_onnx_node *to = lm_onnx_alone(w, n, op, err);

	return to != NULL ? lm_onnx_add_int(w->to, to, "axis", n->param[param].i, err) : -1;
}

/* One operator whose second input is a list. */
static struct lm_onnx_node *
with_list(struct lm_onnx_writing *w, const struct lm_node *n, const char *op, const char *list,
    struct loom_error *err)
{
	const char *const in[] = { lm_onnx_input(w, n, 0), list };

	return lm_onnx_last(w, n, op, 2, in, err);
}

/* ---- reductions ---- */

enum { AXES, KEEPDIMS };

/* Axes became an input with opset 13 for sums and 18 for the others. */
static int
reduction(struct lm_onnx_writing *w, const struct lm_node *n, const char *op, int64_t since,
    struct loom_error *err)
{
	struct lm_onnx_node *to;

	if (w->opset >= since) {
		to = with_list(w, n, op, lm_onnx_param_list(w, n, AXES, err), err);
	} else {
		to = lm_onnx_alone(w, n, op, err);
		if (lm_onnx_param_ints(w, to, "axes", n, AXES, err) < 0)
			return -1;
	}
	return to != NULL ? lm_onnx_add_int(w->to, to, "keepdims", n->param[KEEPDIMS].i, err) : -1;
}

WRITER(sum)
{
	return reduction(w, n, "ReduceSum", 13, err);
}

WRITER(mean)
{
	return reduction(w, n, "ReduceMean", 18, err);
}

WRITER(max)
{
	return reduction(w, n, "ReduceMax", 18, err);
}

WRITER(min)
{
	return reduction(w, n, "ReduceMin", 18, err);
}

WRITER(argmax)
{
	struct lm_onnx_node *to = lm_onnx_alone(w, n, "ArgMax", err);

	if (to == NULL || lm_onnx_add_int(w->to, to, "axis", n->param[0].i, err) < 0)
		return -1;
	return lm_onnx_add_int(w->to, to, "keepdims", n->param[KEEPDIMS].i, err);
}

WRITER(cumsum)
{
	const char *axis = lm_onnx_whole(w, n, "axis", n->param[0].i, err);

	return with_list(w, n, "CumSum", axis, err) != NULL ? 0 : -1;
}

/* ---- extents as values ---- */

WRITER(arange)
{
	const char *in[3];

	in[0] = lm_onnx_dim(w, n, "start", n->param[0].dims.dim, err);
	in[1] = lm_onnx_dim(w, n, "stop", n->param[1].dims.dim, err);
	in[2] = lm_onnx_whole(w, n, "step", n->param[2].i, err);
	return lm_onnx_last(w, n, "Range", 3, in, err) != NULL ? 0 : -1;
}

WRITER(size)
{
	const char *of = lm_onnx_dim(w, n, "of", n->param[0].dims.dim, err);

	return lm_onnx_last(w, n, "Identity", 1, &of, err) != NULL ? 0 : -1;
}

/* ---- other extents ---- */

/* In ONNX an extent of 0 is otherwise that of the input. */
WRITER(reshape)
{
	const struct lm_dims *dims = &n->param[0].dims;
	struct lm_onnx_node *to = with_list(w, n, "Reshape", lm_onnx_dims(w, n, "shape", dims, err),
	    err);
	int zero = 0;
	size_t i;

	for (i = 0; i < dims->n; i++)
		zero |= dims->dim[i].text == NULL && dims->dim[i].value == 0;
	return to == NULL ? -1 : zero ? lm_onnx_add_int(w->to, to, "allowzero", 1, err) : 0;
}

WRITER(expand)
{
	const char *shape = lm_onnx_dims(w, n, "shape", &n->param[0].dims, err);

	return with_list(w, n, "Expand", shape, err) != NULL ? 0 : -1;
}

/* No axes at all are no list: the operator would take all that have an extent of 1. */
static int
with_axes(struct lm_onnx_writing *w, const struct lm_node *n, const char *op,
    struct loom_error *err)
{
	if (n->param[0].dims.n == 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s (%s): axes is empty, which onnx has no form for", n->name,
		    n->op->name);
	return with_list(w, n, op, lm_onnx_param_list(w, n, 0, err), err) != NULL ? 0 : -1;
}

WRITER(squeeze)
{
	return with_axes(w, n, "Squeeze", err);
}

WRITER(unsqueeze)
{
	return with_axes(w, n, "Unsqueeze", err);
}

/* The extents of x from axis start on, or before axis end. */
static const char *
shape_part(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *key,
    int64_t axis, struct loom_error *err)
{
	const char *x = lm_onnx_input(w, n, 0);
	struct lm_onnx_node *to = lm_onnx_step(w, n, what, "Shape", 1, &x, err);

	return to != NULL && lm_onnx_add_int(w->to, to, key, axis, err) == 0 ? to->out[0] : NULL;
}

/*
 * The operator Flatten makes two axes of all: that is start 1 to the last.  Else the extents before start,
 * one that follows from the others, and those behind end.
 */
WRITER(flatten)
{
	int64_t start = n->param[0].i, end = n->param[1].i, rest = -1;
	struct lm_onnx_node *shape;
	const char *part[3];

	if (start == 1 && end == -1) {
		shape = lm_onnx_alone(w, n, "Flatten", err);
		return shape != NULL ? lm_onnx_add_int(w->to, shape, "axis", 1, err) : -1;
	}
	part[0] = shape_part(w, n, "before", "end", start, err);
	part[1] = lm_onnx_list(w, n, "rest", &rest, 1, err);
	part[2] = end != -1 ? shape_part(w, n, "behind", "start", end + 1, err) : NULL;
	if (end != -1 && part[2] == NULL)
		return -1;
	shape = lm_onnx_step(w, n, "shape", "Concat", end != -1 ? 3 : 2, part, err);
	if (shape == NULL || lm_onnx_add_int(w->to, shape, "axis", 0, err) < 0)
		return -1;
	return with_list(w, n, "Reshape", shape->out[0], err) != NULL ? 0 : -1;
}

/* ---- other places ---- */

WRITER(transpose)
{
	return lm_onnx_param_ints(w, lm_onnx_alone(w, n, "Transpose", err), "perm", n, 0, err);
}

WRITER(concat)
{
	return with_axis(w, n, "Concat", 0, err);
}

WRITER(gather)
{
	return with_axis(w, n, "Gather", 0, err);
}

WRITER(gather_elements)
{
	return with_axis(w, n, "GatherElements", 0, err);
}

WRITER(slice)
{
	const union lm_value *p = n->param;
	const char *in[5];

	in[0] = lm_onnx_input(w, n, 0);
	in[1] = lm_onnx_dims(w, n, "starts", &p[1].dims, err);
	in[2] = lm_onnx_dims(w, n, "stops", &p[2].dims, err);
	in[3] = lm_onnx_param_list(w, n, 0, err);
	in[4] = lm_onnx_param_list(w, n, 3, err);
	return lm_onnx_last(w, n, "Slice", 5, in, err) != NULL ? 0 : -1;
}

WRITER(split)
{
	const char *sizes = lm_onnx_dims(w, n, "sizes", &n->param[1].dims, err);
	struct lm_onnx_node *to = with_list(w, n, "Split", sizes, err);

	return to != NULL ? lm_onnx_add_int(w->to, to, "axis", n->param[0].i, err) : -1;
}
