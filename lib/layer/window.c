/* window: windows that slide over the last one to three axes. */
#include "layer/window.h"

#include <inttypes.h>

/* Entry i of the list key, or instead where the operation has no such list. */
static uint64_t
entry(const struct lm_node *n, const char *key, unsigned i, uint64_t instead)
{
	int param = lm_layer_param(n->op, key);

	return param >= 0 ? (uint64_t)n->param[param].dims.dim[i].value : instead;
}

unsigned
lm_window_axes(const struct lm_node *n)
{
	return n->op->params[lm_layer_param(n->op, "kernel")].count;
}

void
lm_window_read(const struct lm_node *n, const struct lm_shape *x, const struct lm_shape *y,
    struct lm_window *w)
{
	unsigned axes = lm_window_axes(n), i;
	struct lm_axis_window *a;

	for (i = 0; i < LM_SPATIAL; i++)
		w->axis[i] = (struct lm_axis_window){ 1, 1, 1, 1, 1, 0, 0, 0 };
	for (i = 0; i < axes; i++) {
		a = &w->axis[LM_SPATIAL - axes + i];
		a->in = x->dim[x->rank - axes + i];
		a->out = y->dim[y->rank - axes + i];
		a->kernel = entry(n, "kernel", i, 1);
		a->stride = entry(n, "stride", i, 1);
		a->dilation = entry(n, "dilation", i, 1);
		a->low = entry(n, "pad_low", i, 0);
		a->high = entry(n, "pad_high", i, 0);
	}
}

uint64_t
lm_window_reach(const struct lm_axis_window *a)
{
	return a->dilation * (a->kernel - 1) + 1;
}

static void
count_windows(struct lm_axis_window *a, int ceil)
{
	uint64_t left = a->in + a->low + a->high - lm_window_reach(a);

	a->out = left / a->stride + 1;
	if (ceil && left % a->stride != 0 && a->out * a->stride < a->in + a->low)
		a->out++;
}

int
lm_window_plan(const struct lm_shaping *s, int ceil, struct lm_window *w, struct loom_error *err)
{
	unsigned axes = lm_window_axes(s->node), i, at;
	struct lm_axis_window *a;

	lm_window_read(s->node, &s->in[0], &s->in[0], w);
	for (i = 0; i < axes; i++) {
		a = &w->axis[LM_SPATIAL - axes + i];
		at = s->in[0].rank - axes + i;
		if (a->in == 0)
			return lm_fail_input(s, 0, err, "at least one value along axis %u", at);
		if (a->in > INT64_MAX)
			return lm_fail_input(s, 0, err, "less than 2^63 values along axis %u", at);
		if (a->in + a->low + a->high < lm_window_reach(a))
			return lm_fail_input(s, 0, err,
			    "at least %" PRIu64 " values along axis %u for a window of %" PRIu64,
			    lm_window_reach(a) - a->low - a->high, at, lm_window_reach(a));
		count_windows(a, ceil);
	}
	return 0;
}

size_t
lm_window_inputs(const struct lm_window *w)
{
	return (size_t)(w->axis[0].in * w->axis[1].in * w->axis[2].in);
}

size_t
lm_window_outputs(const struct lm_window *w)
{
	return (size_t)(w->axis[0].out * w->axis[1].out * w->axis[2].out);
}

struct lm_taps
lm_window_taps(const struct lm_axis_window *a, uint64_t start)
{
	uint64_t first = 0, past = 0, end = a->low + a->in;

	if (start < a->low)
		first = (a->low - start + a->dilation - 1) / a->dilation;
	if (start < end)
		past = (end - start - 1) / a->dilation + 1;
	past = past < a->kernel ? past : a->kernel;
	if (first >= past)
		return (struct lm_taps){ 0, 0, 0 };
	return (struct lm_taps){ (size_t)first, (size_t)(past - first),
		(size_t)(start + first * a->dilation - a->low) };
}

void
lm_window_at(const struct lm_window *w, size_t position, struct lm_taps taps[LM_SPATIAL])
{
	const struct lm_axis_window *a;
	unsigned i;

	for (i = LM_SPATIAL; i-- > 0;) {
		a = &w->axis[i];
		taps[i] = lm_window_taps(a, position % a->out * a->stride + a->skip);
		position /= (size_t)a->out;
	}
}

size_t
lm_window_gather(const struct lm_window *w, const lm_f32u *channel,
    const struct lm_taps taps[LM_SPATIAL], float *dst)
{
	const struct lm_axis_window *a = w->axis;
	const lm_f32u *row;
	size_t d, h, i, n = 0, at;

	for (d = 0; d < taps[0].n; d++)
		for (h = 0; h < taps[1].n; h++) {
			at = taps[0].at + d * (size_t)a[0].dilation;
			at = at * (size_t)a[1].in + taps[1].at + h * (size_t)a[1].dilation;
			row = channel + at * (size_t)a[2].in + taps[2].at;
			for (i = 0; i < taps[2].n; i++)
				dst[n++] = row[i * (size_t)a[2].dilation];
		}
	return n;
}
