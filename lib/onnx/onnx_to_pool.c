/*
 * onnx_to_pool: maxpool, avgpool and the global ones.  Ours pass over NaNs, where ONNX Runtime lets them win
 * or not as it comes.
 */
#include "onnx/onnx_frame.h"
#include "onnx/onnx_windows.h"

#include <math.h>

enum { SPATIAL };

static int
add_flag(struct lm_onnx_writing *w, struct lm_onnx_node *to, const char *name,
    const struct lm_node *n, const char *key, struct loom_error *err)
{
	int param = lm_layer_param(n->op, key);

	return param >= 0 ? lm_onnx_add_int(w->to, to, name, n->param[param].i, err) : 0;
}

/* Windows that are cut out of what the operator gives: so many of them along so many axes. */
struct cut {
	size_t n;
	int64_t axes[LM_SPATIAL], ends[LM_SPATIAL];
};

/*
 * Where the window that rounding up would add begins in the padding, ours has none, as PyTorch has none;
 * what ONNX says to that changed, and those that run it differ: the windows that we have are cut out.
 * Along axes whose extents have names that is left to those that run it.
 */
static void
find_cut(const struct lm_onnx_writing *w, const struct lm_node *n, const struct lm_onnx_windows *s,
    struct cut *cut)
{
	int ceil = lm_layer_param(n->op, "ceil"), rank = lm_onnx_input_rank(w, n, 0);
	const uint64_t *x[2];
	int64_t left, windows, in;
	unsigned i;

	cut->n = 0;
	if (!n->param[ceil].i || rank < (int)s->axes)
		return;
	for (i = 0; i < 2; i++)
		x[i] = w->shapes[i][n->in[0]].dim + ((unsigned)rank - s->axes);
	for (i = 0; i < s->axes; i++) {
		in = (int64_t)x[0][i] + s->low[i];
		left = in + s->high[i] - (s->dilation[i] * (s->kernel[i] - 1) + 1);
		windows = left / s->stride[i] + 1;
		if (x[0][i] != x[1][i] || left < 0 || left % s->stride[i] == 0 ||
		    windows * s->stride[i] < in)
			continue;
		cut->axes[cut->n] = 2 + (int64_t)i;
		cut->ends[cut->n++] = windows;
	}
}

/* The last node: y without the windows that ours has not. */
static int
write_cut(struct lm_onnx_writing *w, const struct lm_node *n, const char *y, const struct cut *cut,
    struct loom_error *err)
{
	const int64_t zeros[LM_SPATIAL] = { 0 };
	const char *in[4] = { y, NULL, NULL, NULL };

	in[1] = lm_onnx_list(w, n, "starts", zeros, cut->n, err);
	in[2] = lm_onnx_list(w, n, "ends", cut->ends, cut->n, err);
	in[3] = lm_onnx_list(w, n, "axes", cut->axes, cut->n, err);
	return lm_onnx_last(w, n, "Slice", 4, in, err) != NULL ? 0 : -1;
}

/*
 * Padding is as wide as the kernel at the most where ONNX Runtime is to take it, ours may be as wide as its
 * dilated taps reach: then it is values, -infinity, in what the operator gets.
 */
static const char *
padded_input(struct lm_onnx_writing *w, const struct lm_node *n, const char *x,
    struct lm_onnx_windows *s, struct loom_error *err)
{
	int64_t pads[2 * (LM_SPATIAL + 2)] = { 0 };
	const char *wide, *least;
	unsigned i, any = 0;

	for (i = 0; i < s->axes; i++)
		any |= s->low[i] >= s->kernel[i] || s->high[i] >= s->kernel[i];
	if (!any)
		return x;
	for (i = 0; i < s->axes; i++) {
		pads[2 + i] = s->low[i];
		pads[s->axes + 4 + i] = s->high[i];
		s->low[i] = s->high[i] = 0;
	}
	wide = lm_onnx_list(w, n, "pads", pads, 2 * ((size_t)s->axes + 2), err);
	least = lm_onnx_scalar(w, n, "least", -INFINITY, err);
	return LM_ONNX_MADE(w, n, "padded", "Pad", err, x, wide, least);
}

static int
sliding(struct lm_onnx_writing *w, const struct lm_node *n, const char *name,
    struct loom_error *err)
{
	const char *x = lm_onnx_input(w, n, 0), *y;
	struct lm_onnx_windows s;
	struct lm_onnx_node *at;
	struct cut cut;
	int framed;

	lm_onnx_windows_of(n, &s);
	framed = lm_onnx_input_rank(w, n, 0) != (int)s.axes + 2;
	find_cut(w, n, &s, &cut);
	if (framed && cut.n > 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s (%s): the window that ceil would add begins in the padding, where ONNX "
		    "has one; with one axis for the batch and one for channels it can be cut off",
		    n->name, n->op->name);
	y = framed ? lm_onnx_flat(w, n, x, s.axes, 1, err) : x;
	y = padded_input(w, n, y, &s, err);
	at = framed || cut.n > 0 ? LM_ONNX_STEP(w, n, "pool", name, err, y)
				 : LM_ONNX_LAST(w, n, name, err, y);
	if (at == NULL || lm_onnx_add_windows(w, at, n, &s, err) < 0 ||
	    add_flag(w, at, "ceil_mode", n, "ceil", err) < 0 ||
	    add_flag(w, at, "count_include_pad", n, "count_pad", err) < 0)
		return -1;
	y = at->out[0];
	if (framed)
		return lm_onnx_restore(w, n, x, y, s.axes, err);
	return cut.n > 0 ? write_cut(w, n, y, &cut, err) : 0;
}

static int
global(struct lm_onnx_writing *w, const struct lm_node *n, const char *name, struct loom_error *err)
{
	unsigned axes = (unsigned)n->param[SPATIAL].i;
	const char *x = lm_onnx_input(w, n, 0), *y;

	if (lm_onnx_input_rank(w, n, 0) == (int)axes + 2)
		return LM_ONNX_LAST(w, n, name, err, x) != NULL ? 0 : -1;
	y = lm_onnx_flat(w, n, x, axes, 1, err);
	y = LM_ONNX_MADE(w, n, "pool", name, err, y);
	return lm_onnx_restore(w, n, x, y, axes, err);
}

#define ROW(NAME, WRITE, OPERATOR)                 \
	LM_ONNX_WRITER(NAME)                       \
	{                                          \
		return WRITE(w, n, OPERATOR, err); \
	}
ROW(maxpool1, sliding, "MaxPool")
ROW(maxpool2, sliding, "MaxPool")
ROW(maxpool3, sliding, "MaxPool")
ROW(avgpool1, sliding, "AveragePool")
ROW(avgpool2, sliding, "AveragePool")
ROW(avgpool3, sliding, "AveragePool")
ROW(global_maxpool, global, "GlobalMaxPool")
ROW(global_avgpool, global, "GlobalAveragePool")
#undef ROW
