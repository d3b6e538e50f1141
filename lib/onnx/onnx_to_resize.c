/* onnx_to_resize: resize and pad. */
#include "onnx/onnx_blocks.h"
#include "onnx/onnx_frame.h"

#include <math.h>
#include <string.h>

/* ---- resize ---- */

enum { MODE, SIZE, COORDINATES };
enum { NEAREST, LINEAR };
enum { HALF_PIXEL };

static const char *
named(const struct lm_node *n, size_t param)
{
	return n->op->params[param].names[n->param[param].i];
}

/*
 * Our nearest is the place rounded down: of half pixels that is the middle rounded, halves up.  ONNX
 * Runtime computes places in float32, so that one that is whole to us may be the one before to it.
 */
static int
resize_attributes(struct lm_onnx_writing *w, struct lm_onnx_node *at, const struct lm_node *n,
    struct loom_error *err)
{
	int half = n->param[COORDINATES].i == HALF_PIXEL;

	if (at == NULL || lm_onnx_add_string(w->to, at, "mode", named(n, MODE), err) < 0 ||
	    lm_onnx_add_string(w->to, at, "coordinate_transformation_mode", named(n, COORDINATES),
		err) < 0)
		return -1;
	return n->param[MODE].i == LINEAR ? 0
					  : lm_onnx_add_string(w->to, at, "nearest_mode",
						half ? "round_prefer_ceil" : "floor", err);
}

/* The extents of all axes: those of x before the last ones. */
static const char *
all_sizes(struct lm_onnx_writing *w, const struct lm_node *n, const char *x, struct loom_error *err)
{
	const struct lm_dims *size = &n->param[SIZE].dims;
	struct lm_onnx_node *at = LM_ONNX_STEP(w, n, "kept", "Shape", err, x);
	const char *kept, *last;

	if (at == NULL || lm_onnx_add_int(w->to, at, "end", -(int64_t)size->n, err) < 0)
		return NULL;
	kept = at->out[0];
	last = lm_onnx_dims(w, n, "size", size, err);
	at = LM_ONNX_STEP(w, n, "sizes", "Concat", err, kept, last);
	return at != NULL && lm_onnx_add_int(w->to, at, "axis", 0, err) == 0 ? at->out[0] : NULL;
}

LM_ONNX_WRITER(resize)
{
	unsigned axes = (unsigned)n->param[SIZE].dims.n;
	int framed = lm_onnx_input_rank(w, n, 0) != (int)axes + 2;
	const char *x = lm_onnx_input(w, n, 0), *in[4] = { x, "", "", NULL }, *y;
	struct lm_onnx_node *at;

	if (framed)
		in[0] = lm_onnx_flat(w, n, x, axes, 1, err);
	in[3] = all_sizes(w, n, in[0], err);
	at = framed ? lm_onnx_step(w, n, "resized", "Resize", 4, in, err)
		    : lm_onnx_last(w, n, "Resize", 4, in, err);
	if (resize_attributes(w, at, n, err) < 0)
		return -1;
	y = at->out[0];
	return framed ? lm_onnx_restore(w, n, x, y, axes, err) : 0;
}

/* ---- pad ---- */

enum { AXES, LOW, HIGH, PAD_MODE, VALUE };
enum { CONSTANT, REFLECT, REPLICATE, CIRCULAR };

/* Do places of all axes, whose number is known, tell which were named: from the front, in order, for something? */
static int
is_plain(const struct lm_onnx_writing *w, const struct lm_node *n)
{
	const union lm_value *p = n->param;
	const struct lm_dim *low = p[LOW].dims.dim, *high = p[HIGH].dims.dim;
	int64_t before = -1;
	size_t i;

	if (lm_onnx_input_rank(w, n, 0) <= 0)
		return 0;
	for (i = 0; i < p[AXES].dims.n; i++) {
		if (p[AXES].dims.dim[i].value <= before ||
		    (low[i].text == NULL && low[i].value == 0 && high[i].text == NULL &&
			high[i].value == 0))
			return 0;
		before = p[AXES].dims.dim[i].value;
	}
	return 1;
}

/* low and high of all of x's axes, whose number is known. */
static const char *
all_pads(struct lm_onnx_writing *w, const struct lm_node *n, unsigned rank, struct loom_error *err)
{
	const union lm_value *p = n->param;
	struct lm_dim pads[2 * LOOM_RANK];
	const struct lm_dims all = { 2 * (size_t)rank, pads };
	size_t i, axis;

	memset(pads, 0, sizeof(pads));
	for (i = 0; i < p[AXES].dims.n; i++) {
		axis = (size_t)p[AXES].dims.dim[i].value;
		pads[axis] = p[LOW].dims.dim[i];
		pads[rank + axis] = p[HIGH].dims.dim[i];
	}
	return lm_onnx_dims(w, n, "pads", &all, err);
}

/* One side's places among zeros, for as many axes as x has. */
static const char *
scattered(struct lm_onnx_writing *w, const struct lm_node *n, const char *zeros, const char *axes,
    size_t side, struct loom_error *err)
{
	const char *key = n->op->params[side].key, *places;

	places = lm_onnx_dims(w, n, key, &n->param[side].dims, err);
	return LM_ONNX_MADE(w, n, side == LOW ? "all_low" : "all_high", "ScatterElements", err,
	    zeros, axes, places);
}

/* The same where axes are named from the end, or in another order. */
static const char *
scattered_pads(struct lm_onnx_writing *w, const struct lm_node *n, const char *x,
    struct loom_error *err)
{
	const char *shape, *rank, *axes, *low, *high;
	static const unsigned char zero[8] = { 0 };
	struct lm_onnx_tensor none = { .name = "",
		.type = LM_ONNX_INT64,
		.rank = 1,
		.dim = { 1 },
		.count = 1,
		.data = zero };
	struct lm_onnx_node *at;

	shape = LM_ONNX_MADE(w, n, "shape", "Shape", err, x);
	rank = LM_ONNX_MADE(w, n, "rank", "Shape", err, shape);
	at = LM_ONNX_STEP(w, n, "zeros", "ConstantOfShape", err, rank);
	if (at == NULL || lm_onnx_add_tensor_attribute(w->to, at, "value", &none, err) < 0)
		return NULL;
	shape = at->out[0];
	axes = lm_onnx_param_list(w, n, AXES, err);
	low = scattered(w, n, shape, axes, LOW, err);
	high = scattered(w, n, shape, axes, HIGH, err);
	at = LM_ONNX_STEP(w, n, "pads", "Concat", err, low, high);
	return at != NULL && lm_onnx_add_int(w->to, at, "axis", 0, err) == 0 ? at->out[0] : NULL;
}

/* Of the type that x has; "" where it is the operator's own, 0. */
static const char *
filling(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const struct lm_dtype *dtype = lm_onnx_input_dtype(w, n, 0);
	double v = n->param[VALUE].real;
	unsigned char flag = 1;
	const char *name;

	if (v == 0 && !signbit(v))
		return "";
	if (dtype == lm_dtype_get(LM_I64))
		return lm_onnx_whole(w, n, "value", (int64_t)v, err);
	if (dtype != lm_dtype_get(LM_BOOL))
		return lm_onnx_param_scalar(w, n, VALUE, err);
	name = lm_onnx_inner(w, n, "value", err);
	if (name == NULL ||
	    lm_onnx_add_initializer(w->to, name, LM_ONNX_BOOL, 0, NULL, &flag, NULL, err) < 0)
		return NULL;
	return name;
}

/* Of all axes in any opset: on listed ones, an input since opset 18, optimisations of ONNX Runtime fail. */
static const char *
pads_of(struct lm_onnx_writing *w, const struct lm_node *n, const char *x, struct loom_error *err)
{
	if (is_plain(w, n))
		return all_pads(w, n, (unsigned)lm_onnx_input_rank(w, n, 0), err);
	return scattered_pads(w, n, x, err);
}

/* ---- circular ---- */

/* Do slices tell all parameters: integers, some of each axis not 0, and no value that does not matter? */
static int
tells_pads(const struct lm_node *n)
{
	const struct lm_dims *low = &n->param[LOW].dims, *high = &n->param[HIGH].dims;
	size_t i;

	for (i = 0; i < low->n; i++)
		if (low->dim[i].text != NULL || high->dim[i].text != NULL ||
		    (low->dim[i].value == 0 && high->dim[i].value == 0))
			return 0;
	return low->n > 0 && n->param[VALUE].real == 0 && !signbit(n->param[VALUE].real);
}

/* Of x, from start to before end along an axis. */
static const char *
part_of(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, size_t k,
    const char *x, int64_t start, int64_t end, struct loom_error *err)
{
	int64_t axis = n->param[AXES].dims.dim[k].value;
	char name[48];
	const char *in[4] = { x };

	(void)snprintf(name, sizeof(name), "%s%zu", what, k);
	in[1] = lm_onnx_list(w, n, lm_onnx_word(w, name, "starts", err), &start, 1, err);
	in[2] = lm_onnx_list(w, n, lm_onnx_word(w, name, "ends", err), &end, 1, err);
	in[3] = lm_onnx_list(w, n, lm_onnx_word(w, name, "axes", err), &axis, 1, err);
	return lm_onnx_made(w, n, name, "Slice", 4, in, err);
}

/* Its end before it and its start behind it, one axis after another: wrap is opset 19's, and not everybody's. */
static int
write_circular(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	size_t count = n->param[LOW].dims.n, k, n_in;
	const char *x = lm_onnx_input(w, n, 0), *in[3];
	struct lm_onnx_node *at = NULL;
	int64_t low, high;
	char name[48];

	for (k = 0; k < count; k++) {
		low = n->param[LOW].dims.dim[k].value;
		high = n->param[HIGH].dims.dim[k].value;
		n_in = 0;
		if (low > 0)
			in[n_in++] = part_of(w, n, "before", k, x, -low, INT64_MAX, err);
		in[n_in++] = x;
		if (high > 0)
			in[n_in++] = part_of(w, n, "behind", k, x, 0, high, err);
		(void)snprintf(name, sizeof(name), "around%zu", k);
		at = k + 1 < count ? lm_onnx_step(w, n, name, "Concat", n_in, in, err)
				   : lm_onnx_last(w, n, "Concat", n_in, in, err);
		if (at == NULL ||
		    lm_onnx_add_int(w->to, at, "axis", n->param[AXES].dims.dim[k].value, err) < 0)
			return -1;
		x = at->out[0];
	}
	return 0;
}

LM_ONNX_WRITER(pad)
{
	static const char *const modes[] = { "constant", "reflect", "edge", "wrap" };
	const char *in[3] = { lm_onnx_input(w, n, 0), NULL, NULL };
	int64_t mode = n->param[PAD_MODE].i;
	size_t n_in = 3;
	struct lm_onnx_node *at;

	if (mode == CIRCULAR && tells_pads(n))
		return write_circular(w, n, err);
	if (mode == CIRCULAR && w->opset < 19)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s (%s): mode circular is wrap from opset 19 of ONNX on, not in %lld",
		    n->name, n->op->name, (long long)w->opset);
	in[1] = pads_of(w, n, in[0], err);
	in[2] = filling(w, n, err);
	if (in[2] != NULL && in[2][0] == '\0')
		n_in = 2;
	at = lm_onnx_last(w, n, "Pad", n_in, in, err);
	return at != NULL ? lm_onnx_add_string(w->to, at, "mode", modes[mode], err) : -1;
}
