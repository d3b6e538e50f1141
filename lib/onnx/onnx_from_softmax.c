/* onnx_from_softmax: Softmax, LogSoftmax and LpNormalization. */
#include "onnx/onnx_reads.h"

#include <inttypes.h>

static struct lm_onnx_known *
along(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct lm_onnx_known *x, int64_t axis, const char *what, struct loom_error *err)
{
	struct lm_node *n = lm_onnx_begin(r, node, what, op, 1, &x, err);

	if (n == NULL)
		return NULL;
	lm_onnx_set(n, "axis", axis);
	return lm_onnx_ended(r, node, what, n, err);
}

/* Are all extents behind an axis 1? */
static int
is_last(const struct lm_onnx_known *x, int64_t axis)
{
	size_t i;

	for (i = (size_t)axis + 1; i < x->dims.n; i++)
		if (lm_onnx_fixed(&x->dims.dim[i]) != 1)
			return 0;
	return 1;
}

/* Before opset 13 it ran over all axes from one on, as if they were one. */
static int
over_axes(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct lm_onnx_known *x, struct loom_error *err)
{
	struct lm_onnx_known *y;
	struct lm_dims dims;
	int64_t axis;

	if (lm_onnx_int(node, "axis", 1, &axis, err) < 0 ||
	    lm_onnx_axis(r, node, x, axis, &axis, err) < 0)
		return -1;
	if (!x->ranked)
		return lm_onnx_refuse(r, node, err,
		    "over all axes from %" PRId64 " on, whose number is not known", axis);
	if (is_last(x, axis))
		return along(r, node, op, x, axis, NULL, err) != NULL ? 0 : -1;
	dims = x->dims;
	y = lm_onnx_flattened(r, node, "flat", x, axis, err);
	y = y != NULL ? along(r, node, op, y, -1, "rows", err) : NULL;
	return y != NULL && lm_onnx_reshaped(r, node, NULL, y, &dims, err) != NULL ? 0 : -1;
}

static int
softmax(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	int64_t axis;

	if (x == NULL)
		return lm_onnx_refuse(r, node, err, "an input is expected");
	if (r->opset < 13)
		return over_axes(r, node, op, x, err);
	if (lm_onnx_int(node, "axis", -1, &axis, err) < 0)
		return -1;
	return along(r, node, op, x, axis, NULL, err) != NULL ? 0 : -1;
}

LM_ONNX_READER(softmax)
{
	return softmax(r, node, "softmax", err);
}

LM_ONNX_READER(log_softmax)
{
	return softmax(r, node, "log_softmax", err);
}

/* ---- x by its length, zeros where that is 0 ---- */

static struct lm_onnx_known *
sum(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x,
    int64_t axis, struct loom_error *err)
{
	struct lm_node *n = lm_onnx_begin(r, node, "sum", "sum", 1, &x, err);

	if (n == NULL || lm_onnx_set_list(r, n, "axes", &axis, 1, err) < 0)
		return NULL;
	lm_onnx_set(n, "keepdims", 1);
	return lm_onnx_ended(r, node, "sum", n, err);
}

LM_ONNX_READER(lp_normalization)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0), *y, *least;
	int64_t axis, p;

	if (lm_onnx_int(node, "axis", -1, &axis, err) < 0 || lm_onnx_int(node, "p", 2, &p, err) < 0)
		return -1;
	if (x == NULL || (p != 1 && p != 2))
		return lm_onnx_refuse(r, node, err, "p is %" PRId64 ", expected 1 or 2", p);
	y = p == 1 ? lm_onnx_plain(r, node, "sizes", "abs", x, NULL, err)
		   : lm_onnx_plain(r, node, "squares", "mul", x, x, err);
	y = sum(r, node, y, axis, err);
	if (y != NULL && p == 2)
		y = lm_onnx_plain(r, node, "length", "sqrt", y, NULL, err);
	least = y != NULL ? lm_onnx_constant_real(r, node, "least", 0x1p-149, err) : NULL;
	y = least != NULL ? lm_onnx_plain(r, node, "divisor", "maximum", y, least, err) : NULL;
	return y != NULL && lm_onnx_plain(r, node, NULL, "div", x, y, err) != NULL ? 0 : -1;
}
