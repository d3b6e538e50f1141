/* onnx_to_conv: conv1 to conv3 and convtranspose1 to convtranspose3. */
#include "onnx/onnx_frame.h"
#include "onnx/onnx_windows.h"

#include "layer/filters.h"

/* What the operator wants as x: all that is before channels and spatial axes is the batch. */
static const char *
batched(struct lm_onnx_writing *w, const struct lm_node *n, int *framed, struct loom_error *err)
{
	const char *x = lm_onnx_input(w, n, 0);
	unsigned axes = lm_window_axes(n);

	*framed = lm_onnx_input_rank(w, n, 0) != (int)axes + 2;
	return *framed ? lm_onnx_flat(w, n, x, axes + 1, 0, err) : x;
}

/* The last node, or one that a frame's end follows. */
static struct lm_onnx_node *
operator_node(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *op,
    size_t n_in, const char *const *in, struct loom_error *err)
{
	return what != NULL ? lm_onnx_step(w, n, what, op, n_in, in, err)
			    : lm_onnx_last(w, n, op, n_in, in, err);
}

static int
conv(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const char *in[3] = { NULL }, *y;
	struct lm_onnx_windows windows;
	struct lm_onnx_node *at;
	int framed;

	in[0] = batched(w, n, &framed, err);
	in[1] = lm_onnx_slot(w, n, WEIGHT, err);
	if (n->param[BIASED].i)
		in[2] = lm_onnx_slot(w, n, BIAS, err);
	at = operator_node(w, n, framed ? "conv" : NULL, "Conv", n->param[BIASED].i ? 3 : 2, in,
	    err);
	lm_onnx_windows_of(n, &windows);
	if (at == NULL || lm_onnx_add_windows(w, at, n, &windows, err) < 0 ||
	    lm_onnx_add_int(w->to, at, "group", n->param[GROUPS].i, err) < 0)
		return -1;
	y = at->out[0];
	return framed ? lm_onnx_restore(w, n, lm_onnx_input(w, n, 0), y, windows.axes + 1, err) : 0;
}

/* ---- transposed ---- */

/*
 * Ours is [out, in of a group, k...], ONNX has [in, out of a group, k...]: where both have the group as an
 * axis of its own, the two behind it change places.
 */
static const char *
filters_by_input(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const struct lm_dims *kernel = &n->param[KERNEL].dims;
	uint64_t groups = (uint64_t)n->param[GROUPS].i, taps = 1;
	uint64_t in = (uint64_t)n->param[IN].i / groups, out = (uint64_t)n->param[OUT].i / groups;
	struct lm_shape shape = { NULL, 2, { in * groups, out } };
	struct lm_view order = { .rank = 3, .extent = { groups, in, out } };
	size_t i;

	for (i = 0; i < kernel->n; i++) {
		order.extent[order.rank++] = (uint64_t)kernel->dim[i].value;
		shape.dim[shape.rank++] = (uint64_t)kernel->dim[i].value;
	}
	for (i = order.rank; i-- > 3; taps *= order.extent[i])
		order.stride[i] = taps;
	order.stride[0] = out * in * taps;
	order.stride[1] = taps;
	order.stride[2] = in * taps;
	return lm_onnx_ordered(w, n, WEIGHT, &shape, &order, err);
}

/*
 * Padding below 0 is more of y. At the end of an axis that is output_padding, as long as it is less than
 * the stride; else zeros are put around what the operator gives, before the bias comes to all of y.
 */
struct surplus {
	int64_t output_padding[LM_SPATIAL];
	int64_t pads[2 * (LM_SPATIAL + 2)]; /* of [batch, channels, ...] */
	int padded;
};

static void
find_surplus(struct lm_onnx_windows *s, struct surplus *more)
{
	unsigned i, rank = s->axes + 2;

	*more = (struct surplus){ .padded = 0 };
	for (i = 0; i < s->axes; i++)
		more->padded |= s->low[i] < 0 || -s->high[i] >= s->stride[i];
	for (i = 0; i < s->axes; i++) {
		if (more->padded) {
			more->pads[2 + i] = s->low[i] < 0 ? -s->low[i] : 0;
			more->pads[rank + 2 + i] = s->high[i] < 0 ? -s->high[i] : 0;
		} else {
			more->output_padding[i] = s->high[i] < 0 ? -s->high[i] : 0;
		}
		s->low[i] = s->low[i] < 0 ? 0 : s->low[i];
		s->high[i] = s->high[i] < 0 ? 0 : s->high[i];
	}
}

/* The bias as [out, 1...]. */
static const char *
bias_by_channel(struct lm_onnx_writing *w, const struct lm_node *n, unsigned axes,
    struct loom_error *err)
{
	struct lm_shape shape = { NULL, 1, { (uint64_t)n->param[OUT].i } };

	while (shape.rank < axes + 1)
		shape.dim[shape.rank++] = 1;
	return lm_onnx_ordered(w, n, BIAS, &shape, NULL, err);
}

/* Zeros around y, then the bias; a frame's end may follow. */
static int
widened(struct lm_onnx_writing *w, const struct lm_node *n, const char *y,
    const struct surplus *more, unsigned axes, int framed, struct loom_error *err)
{
	const char *in[2],
	    *pads = lm_onnx_list(w, n, "pads", more->pads, 2 * (size_t)(axes + 2), err);
	int biased = n->param[BIASED].i != 0;
	struct lm_onnx_node *at;

	in[0] = y;
	in[1] = pads;
	at = operator_node(w, n, biased || framed ? "wide" : NULL, "Pad", 2, in, err);
	if (biased && at != NULL) {
		in[0] = at->out[0];
		in[1] = bias_by_channel(w, n, axes, err);
		at = operator_node(w, n, framed ? "biased" : NULL, "Add", 2, in, err);
	}
	if (at == NULL)
		return -1;
	y = at->out[0];
	return framed ? lm_onnx_restore(w, n, lm_onnx_input(w, n, 0), y, axes + 1, err) : 0;
}

static int
add_attributes(struct lm_onnx_writing *w, struct lm_onnx_node *at, const struct lm_node *n,
    const struct lm_onnx_windows *s, const struct surplus *more, struct loom_error *err)
{
	if (at == NULL || lm_onnx_add_windows(w, at, n, s, err) < 0 ||
	    lm_onnx_add_int(w->to, at, "group", n->param[GROUPS].i, err) < 0)
		return -1;
	return lm_onnx_add_ints(w->to, at, "output_padding", more->output_padding, s->axes, err);
}

static int
convtranspose(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const char *in[3] = { NULL }, *y;
	struct lm_onnx_windows windows;
	struct lm_onnx_node *at;
	struct surplus more;
	int framed, biased;

	lm_onnx_windows_of(n, &windows);
	find_surplus(&windows, &more);
	biased = n->param[BIASED].i && !more.padded;
	in[0] = batched(w, n, &framed, err);
	in[1] = filters_by_input(w, n, err);
	if (biased)
		in[2] = lm_onnx_slot(w, n, BIAS, err);
	at = operator_node(w, n, framed || more.padded ? "conv" : NULL, "ConvTranspose",
	    biased ? 3 : 2, in, err);
	if (add_attributes(w, at, n, &windows, &more, err) < 0)
		return -1;
	y = at->out[0];
	if (more.padded)
		return widened(w, n, y, &more, windows.axes, framed, err);
	return framed ? lm_onnx_restore(w, n, lm_onnx_input(w, n, 0), y, windows.axes + 1, err) : 0;
}

#define ROW(NAME, WRITE)                 \
	LM_ONNX_WRITER(NAME)             \
	{                                \
		return WRITE(w, n, err); \
	}
ROW(conv1, conv)
ROW(conv2, conv)
ROW(conv3, conv)
ROW(convtranspose1, convtranspose)
ROW(convtranspose2, convtranspose)
ROW(convtranspose3, convtranspose)
#undef ROW
