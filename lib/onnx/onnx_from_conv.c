/* onnx_from_conv: Conv and ConvTranspose, whose filters are constants. */
#include "onnx/onnx_reads.h"
#include "onnx/onnx_windows.h"

#include <inttypes.h>

#include "layer/filters.h"

/* The inputs of a node: x, filters of so many spatial axes, and a bias or NULL. */
struct filters {
	struct lm_onnx_known *x;
	const struct lm_onnx_known *weight, *bias;
	unsigned axes;
	int64_t groups;
};

static int
read_filters(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct filters *f,
    struct loom_error *err)
{
	f->x = lm_onnx_in(r, node, 0);
	f->weight = lm_onnx_in(r, node, 1);
	f->bias = lm_onnx_in(r, node, 2);
	if (f->x == NULL || f->weight == NULL)
		return lm_onnx_refuse(r, node, err, "two or three inputs are expected");
	if (!lm_onnx_is_constant(f->weight) || (f->bias != NULL && !lm_onnx_is_constant(f->bias)))
		return lm_onnx_refuse(r, node, err, "its filters or bias are computed, not stored");
	if (f->weight->tensor->rank < 3 || f->weight->tensor->rank > 2 + LM_SPATIAL)
		return lm_onnx_refuse(r, node, err, "filters of %u axes, 3 to %d are read",
		    f->weight->tensor->rank, 2 + LM_SPATIAL);
	f->axes = f->weight->tensor->rank - 2;
	if (lm_onnx_int(node, "group", 1, &f->groups, err) < 0)
		return -1;
	if (f->groups < 1 || f->weight->tensor->dim[0] % (uint64_t)f->groups != 0)
		return lm_onnx_refuse(r, node, err, "group is %" PRId64 ", the filters have %llu",
		    f->groups, (unsigned long long)f->weight->tensor->dim[0]);
	return 0;
}

static struct lm_node *
begin(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *const op[LM_SPATIAL],
    const struct filters *f, const struct lm_onnx_windows *windows, struct loom_error *err)
{
	struct lm_onnx_known *x = f->x;
	struct lm_node *n = lm_onnx_new_node(r, node, op[f->axes - 1], 1, &x, err);

	if (n == NULL || lm_onnx_set_windows(r, n, windows, err) < 0)
		return NULL;
	lm_onnx_set(n, "groups", f->groups);
	lm_onnx_set(n, "bias", f->bias != NULL);
	return n;
}

static int
finish(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_node *n,
    const struct filters *f, const struct lm_view *order, struct loom_error *err)
{
	if (lm_onnx_put(r, n, WEIGHT, f->weight, order, err) < 0 ||
	    (f->bias != NULL && lm_onnx_put(r, n, BIAS, f->bias, NULL, err) < 0))
		return -1;
	return lm_onnx_done(r, node, n, err);
}

LM_ONNX_READER(conv)
{
	static const char *const op[] = { "conv1", "conv2", "conv3" };
	struct lm_onnx_windows windows;
	struct filters f;
	struct lm_node *n;

	if (read_filters(r, node, &f, err) < 0 ||
	    lm_onnx_read_windows(r, node, f.axes, f.weight->tensor->dim + 2, &windows, err) < 0 ||
	    lm_onnx_read_padding(r, node, f.x, &windows, err) < 0)
		return -1;
	n = begin(r, node, op, &f, &windows, err);
	if (n == NULL)
		return -1;
	lm_onnx_set(n, "in_channels", (int64_t)f.weight->tensor->dim[1] * f.groups);
	lm_onnx_set(n, "out_channels", (int64_t)f.weight->tensor->dim[0]);
	return finish(r, node, n, &f, NULL, err);
}

/* ---- transposed ---- */

/* total too much before padding: half of it is cut off on either side; too little is at the end. */
static void
share(int how, int64_t total, int64_t *low, int64_t *high)
{
	*low = how == LM_ONNX_SAME_UPPER ? total / 2 : total - total / 2;
	if (total < 0)
		*low = 0;
	*high = total - *low;
}

/* Padding that gives the extents output_shape, or with auto_pad SAME the strides' multiples of x. */
static int
pad_to_extents(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct filters *f,
    int how, const int64_t *extents, const int64_t *more, struct lm_onnx_windows *s,
    struct loom_error *err)
{
	int64_t in, whole, out;
	unsigned i;

	for (i = 0; i < s->axes; i++) {
		in = extents == NULL ? 1 : lm_onnx_spatial(f->x, s->axes, i);
		if (in < 1)
			return lm_onnx_refuse(r, node, err,
			    "output_shape, where the extent of spatial axis %u is not fixed; export "
			    "with explicit pads",
			    i);
		out = extents == NULL ? s->stride[i] : extents[i];
		if (in > INT32_MAX || out < 1 || out > INT64_MAX / 4)
			return lm_onnx_refuse(r, node, err, "output_shape has %" PRId64, out);
		whole = (in - 1) * s->stride[i] + more[i] + (s->kernel[i] - 1) * s->dilation[i] + 1;
		share(how, whole - out, &s->low[i], &s->high[i]);
		s->high[i] -= more[i];
	}
	return 0;
}

/* pads and output_padding, or what leads to output_shape. */
static int
read_extents(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct filters *f,
    struct lm_onnx_windows *s, struct loom_error *err)
{
	const int64_t *shape, *list;
	int64_t more[LM_SPATIAL] = { 0 };
	size_t n, n_more;
	unsigned i;
	int how;

	if (lm_onnx_auto_pad(r, node, &how, err) < 0 ||
	    lm_onnx_ints(node, "output_shape", &shape, &n, err) < 0 ||
	    lm_onnx_ints(node, "output_padding", &list, &n_more, err) < 0)
		return -1;
	if ((n > 0 && n < s->axes) || (n_more > 0 && n_more != s->axes))
		return lm_onnx_refuse(r, node, err,
		    "output_shape or output_padding have another rank");
	for (i = 0; i < s->axes && n_more > 0; i++)
		more[i] = list[i];
	if (n > 0 || how == LM_ONNX_SAME_UPPER || how == LM_ONNX_SAME_LOWER)
		return pad_to_extents(r, node, f, how, n > 0 ? shape + (n - s->axes) : NULL, more,
		    s, err);
	if (how == LM_ONNX_NOTSET && lm_onnx_read_pads(r, node, s, err) < 0)
		return -1;
	for (i = 0; i < s->axes; i++)
		s->high[i] -= more[i];
	return 0;
}

LM_ONNX_READER(convtranspose)
{
	static const char *const op[] = { "convtranspose1", "convtranspose2", "convtranspose3" };
	struct lm_onnx_windows windows;
	struct lm_view order;
	struct filters f;
	struct lm_node *n;

	if (read_filters(r, node, &f, err) < 0 ||
	    lm_onnx_read_windows(r, node, f.axes, f.weight->tensor->dim + 2, &windows, err) < 0 ||
	    read_extents(r, node, &f, &windows, err) < 0 ||
	    lm_onnx_view(r, f.weight, &order, err) < 0)
		return -1;
	lm_onnx_filters_by_output(&order, (uint64_t)f.groups);
	n = begin(r, node, op, &f, &windows, err);
	if (n == NULL)
		return -1;
	lm_onnx_set(n, "in_channels", (int64_t)f.weight->tensor->dim[0]);
	lm_onnx_set(n, "out_channels", (int64_t)f.weight->tensor->dim[1] * f.groups);
	return finish(r, node, n, &f, &order, err);
}
