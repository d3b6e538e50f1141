/* onnx_windows: what Conv, ConvTranspose and the pools say of their windows, both ways. */
#include "onnx/onnx_windows.h"

#include <inttypes.h>
#include <string.h>

/* ---- to ONNX ---- */

static void
list_of(const struct lm_node *n, const char *key, int64_t to[LM_SPATIAL], int64_t otherwise)
{
	int param = lm_layer_param(n->op, key);
	unsigned i, axes = lm_window_axes(n);

	for (i = 0; i < axes; i++)
		to[i] = param >= 0 ? n->param[param].dims.dim[i].value : otherwise;
}

void
lm_onnx_windows_of(const struct lm_node *n, struct lm_onnx_windows *s)
{
	memset(s, 0, sizeof(*s));
	s->axes = lm_window_axes(n);
	list_of(n, "kernel", s->kernel, 1);
	list_of(n, "stride", s->stride, 1);
	list_of(n, "dilation", s->dilation, 1);
	list_of(n, "pad_low", s->low, 0);
	list_of(n, "pad_high", s->high, 0);
}

int
lm_onnx_add_windows(struct lm_onnx_writing *w, struct lm_onnx_node *to, const struct lm_node *n,
    const struct lm_onnx_windows *s, struct loom_error *err)
{
	int64_t pads[2 * LM_SPATIAL];
	unsigned i;

	if (to == NULL)
		return -1;
	for (i = 0; i < s->axes; i++) {
		pads[i] = s->low[i];
		pads[s->axes + i] = s->high[i];
	}
	if (lm_layer_param(n->op, "dilation") >= 0 &&
	    lm_onnx_add_ints(w->to, to, "dilations", s->dilation, s->axes, err) < 0)
		return -1;
	if (lm_onnx_add_ints(w->to, to, "kernel_shape", s->kernel, s->axes, err) < 0 ||
	    lm_onnx_add_ints(w->to, to, "pads", pads, 2 * (size_t)s->axes, err) < 0)
		return -1;
	return lm_onnx_add_ints(w->to, to, "strides", s->stride, s->axes, err);
}

/* ---- from ONNX ---- */

/* A list of one entry per axis, or so many times the same where it is not there. */
static int
read_list(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *name,
    unsigned axes, int64_t *to, int64_t otherwise, struct loom_error *err)
{
	const int64_t *list;
	size_t n, i;

	if (lm_onnx_ints(node, name, &list, &n, err) < 0)
		return -1;
	if (n != 0 && n != axes)
		return lm_onnx_refuse(r, node, err, "%s has %zu entries, expected %u", name, n,
		    axes);
	for (i = 0; i < axes; i++) {
		to[i] = n > 0 ? list[i] : otherwise;
		if (to[i] < 0 || to[i] > LM_WINDOW_MOST)
			return lm_onnx_refuse(r, node, err, "%s has %" PRId64 ", expected 0 to %d",
			    name, to[i], LM_WINDOW_MOST);
	}
	return 0;
}

static int
read_kernel(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const uint64_t *kernel,
    struct lm_onnx_windows *s, struct loom_error *err)
{
	const int64_t *list;
	size_t n, i;

	if (lm_onnx_ints(node, "kernel_shape", &list, &n, err) < 0)
		return -1;
	if (s->axes == 0)
		s->axes = (unsigned)(n < LM_SPATIAL + 1 ? n : LM_SPATIAL + 1);
	if (s->axes < 1 || s->axes > LM_SPATIAL)
		return lm_onnx_refuse(r, node, err, "%u spatial axes, 1 to %d are read", s->axes,
		    LM_SPATIAL);
	for (i = 0; i < s->axes; i++) {
		s->kernel[i] = kernel != NULL ? (int64_t)kernel[i] : 0;
		if (kernel != NULL && n == s->axes && list[i] != s->kernel[i])
			return lm_onnx_refuse(r, node, err,
			    "kernel_shape has %" PRId64 " where the weight has %" PRId64, list[i],
			    s->kernel[i]);
	}
	return kernel != NULL ? 0 : read_list(r, node, "kernel_shape", s->axes, s->kernel, 0, err);
}

int
lm_onnx_read_windows(struct lm_onnx_reading *r, const struct lm_onnx_node *node, unsigned axes,
    const uint64_t *kernel, struct lm_onnx_windows *s, struct loom_error *err)
{
	memset(s, 0, sizeof(*s));
	s->axes = axes;
	if (read_kernel(r, node, kernel, s, err) < 0 ||
	    read_list(r, node, "strides", s->axes, s->stride, 1, err) < 0)
		return -1;
	return read_list(r, node, "dilations", s->axes, s->dilation, 1, err);
}

int
lm_onnx_auto_pad(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int *how,
    struct loom_error *err)
{
	static const char *const names[] = { "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER" };
	const char *text;

	if (lm_onnx_text(node, "auto_pad", names[0], &text, err) < 0)
		return -1;
	for (*how = 0; *how < 4; ++*how)
		if (strcmp(text, names[*how]) == 0)
			return 0;
	return lm_onnx_refuse(r, node, err, "auto_pad is %.40s", text);
}

int
lm_onnx_read_pads(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct lm_onnx_windows *s, struct loom_error *err)
{
	int64_t pads[2 * LM_SPATIAL];

	if (read_list(r, node, "pads", 2 * s->axes, pads, 0, err) < 0)
		return -1;
	memcpy(s->low, pads, s->axes * sizeof(*pads));
	memcpy(s->high, pads + s->axes, s->axes * sizeof(*pads));
	return 0;
}

int64_t
lm_onnx_spatial(const struct lm_onnx_known *x, unsigned axes, unsigned i)
{
	const struct lm_dim *d;

	if (!x->ranked || x->dims.n < axes)
		return -1;
	d = &x->dims.dim[x->dims.n - axes + i];
	return d->text == NULL ? d->value : -1;
}

/* As many windows as strides fit into x: what is missing is padding, half of it on either side. */
static int
pad_to_same(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    const struct lm_onnx_known *x, int how, struct lm_onnx_windows *s, struct loom_error *err)
{
	int64_t reach, in, total;
	unsigned i;

	for (i = 0; i < s->axes; i++) {
		reach = (s->kernel[i] - 1) * s->dilation[i] + 1;
		in = s->stride[i] == 1 ? 1 : lm_onnx_spatial(x, s->axes, i);
		if (in < 0)
			return lm_onnx_refuse(r, node, err,
			    "auto_pad with strides, where the extent of spatial axis %u is not "
			    "fixed; export with explicit pads",
			    i);
		total = s->stride[i] < 1 ? 0
					 : (in + s->stride[i] - 1) / s->stride[i] * s->stride[i] -
			s->stride[i] + reach - in;
		total = total > 0 ? total : 0;
		s->low[i] = how == LM_ONNX_SAME_UPPER ? total / 2 : total - total / 2;
		s->high[i] = total - s->low[i];
	}
	return 0;
}

int
lm_onnx_read_padding(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    const struct lm_onnx_known *x, struct lm_onnx_windows *s, struct loom_error *err)
{
	int how;

	if (lm_onnx_auto_pad(r, node, &how, err) < 0)
		return -1;
	if (how == LM_ONNX_NOTSET)
		return lm_onnx_read_pads(r, node, s, err);
	return how == LM_ONNX_VALID ? 0 : pad_to_same(r, node, x, how, s, err);
}

int
lm_onnx_set_windows(struct lm_onnx_reading *r, struct lm_node *n, const struct lm_onnx_windows *s,
    struct loom_error *err)
{
	if (lm_layer_param(n->op, "dilation") >= 0 &&
	    lm_onnx_set_list(r, n, "dilation", s->dilation, s->axes, err) < 0)
		return -1;
	if (lm_onnx_set_list(r, n, "kernel", s->kernel, s->axes, err) < 0 ||
	    lm_onnx_set_list(r, n, "stride", s->stride, s->axes, err) < 0 ||
	    lm_onnx_set_list(r, n, "pad_low", s->low, s->axes, err) < 0)
		return -1;
	return lm_onnx_set_list(r, n, "pad_high", s->high, s->axes, err);
}

void
lm_onnx_filters_by_output(struct lm_view *order, uint64_t groups)
{
	struct lm_view v = *order;
	unsigned i;

	order->rank = v.rank + 1;
	order->extent[0] = groups;
	order->extent[1] = v.extent[1];
	order->extent[2] = v.extent[0] / groups;
	order->stride[0] = (int64_t)order->extent[2] * v.stride[0];
	order->stride[1] = v.stride[1];
	order->stride[2] = v.stride[0];
	for (i = 2; i < v.rank; i++) {
		order->extent[i + 1] = v.extent[i];
		order->stride[i + 1] = v.stride[i];
	}
}
