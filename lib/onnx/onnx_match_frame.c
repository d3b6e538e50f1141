/*
 * onnx_match_frame: operations between a Reshape that makes one axis of the leading ones and one that brings
 * them back (onnx_frame.h), and the transposed convolutions that give more than their operator.
 */
#include <math.h>
#include <string.h>

#include "onnx/onnx_match.h"
#include "onnx/onnx_windows.h"
#include "layer/filters.h"

/* ---- parameters ---- */

static int
set_list(struct lm_onnx_proposal *p, const char *key, const int64_t *v, size_t n,
    struct loom_error *err)
{
	struct lm_dim *dim = lm_arena_alloc(p->arena, n + 1, sizeof(*dim), err);
	union lm_value *to = &p->node->param[lm_layer_param(p->node->op, key)];
	size_t i;

	if (dim == NULL)
		return -1;
	for (i = 0; i < n; i++)
		dim[i].value = v[i];
	to->dims.n = n;
	to->dims.dim = dim;
	return 0;
}

/* An attribute of n integers: 1, 0. */
static int
ints_of(const struct lm_onnx_node *node, const char *name, size_t n, const int64_t **v)
{
	struct loom_error quiet = { 0 };
	size_t found;

	return lm_onnx_ints(node, name, v, &found, &quiet) == 0 && found == n;
}

static int64_t
int_of(const struct lm_onnx_node *node, const char *name, int64_t otherwise)
{
	struct loom_error quiet = { 0 };
	int64_t v;

	return node != NULL && lm_onnx_int(node, name, otherwise, &v, &quiet) == 0 ? v : otherwise;
}

static void
set(struct lm_onnx_proposal *p, const char *key, int64_t v)
{
	p->node->param[lm_layer_param(p->node->op, key)].i = v;
}

static void
set_eps(struct lm_onnx_proposal *p, const struct lm_onnx_node *at)
{
	struct loom_error quiet = { 0 };
	float eps = 0;

	if (lm_onnx_float(at, "epsilon", 1e-5f, &eps, &quiet) == 0)
		p->node->param[lm_layer_param(p->node->op, "eps")].real = lm_onnx_real(eps);
}

/* Windows as they are written; 1, 0, -1. */
static int
set_windows(struct lm_onnx_proposal *p, const struct lm_onnx_node *at, const int64_t *low,
    const int64_t *high, struct loom_error *err)
{
	const int64_t *kernel, *strides, *dilations = NULL, *pads;
	size_t axes = lm_window_axes(p->node);
	int dilated = lm_layer_param(p->node->op, "dilation") >= 0;

	if (!ints_of(at, "kernel_shape", axes, &kernel) ||
	    !ints_of(at, "strides", axes, &strides) || !ints_of(at, "pads", 2 * axes, &pads) ||
	    (dilated && !ints_of(at, "dilations", axes, &dilations)))
		return 0;
	if (set_list(p, "kernel", kernel, axes, err) < 0 ||
	    set_list(p, "stride", strides, axes, err) < 0 ||
	    (dilated && set_list(p, "dilation", dilations, axes, err) < 0) ||
	    set_list(p, "pad_low", low != NULL ? low : pads, axes, err) < 0)
		return -1;
	return set_list(p, "pad_high", high != NULL ? high : pads + axes, axes, err) < 0 ? -1 : 1;
}

/* ---- the frame ---- */

/* x is what a Reshape before has made flat, y what one behind makes of it: 1, 0. */
static int
set_frame(struct lm_onnx_proposal *p, const struct lm_onnx_node *at, const char *y)
{
	const struct lm_onnx_node *flat = lm_onnx_before(p->file, at, 0, "Reshape");
	const struct lm_onnx_node *last = lm_onnx_read_by(p->file, y, "Reshape");

	if (flat == NULL || last == NULL)
		return 0;
	p->n_in = p->n_out = 1;
	p->in[0] = lm_onnx_arg(flat, 0);
	p->out[0] = lm_onnx_result(last);
	return 1;
}

/* From which axis on the flat shape has the extents of x. */
static int64_t
flat_from(const struct lm_onnx_proposal *p, const struct lm_onnx_node *at)
{
	const struct lm_onnx_node *flat = lm_onnx_before(p->file, at, 0, "Reshape");
	const struct lm_onnx_node *shape = lm_onnx_before(p->file, flat, 1, "Concat");

	return int_of(lm_onnx_before(p->file, shape, 1, "Shape"), "start", 0);
}

/* ---- convolutions ---- */

static int
set_filters(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    const struct lm_onnx_tensor *w, const struct lm_onnx_tensor *bias)
{
	int64_t groups = int_of(at, "group", 1);

	if (w == NULL || w->rank != lm_window_axes(p->node) + 2 || groups < 1 ||
	    w->dim[0] % (uint64_t)groups != 0)
		return 0;
	set(p, "groups", groups);
	set(p, "bias", bias != NULL);
	return 1;
}

int
lm_onnx_propose_conv(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_tensor *w = lm_onnx_stored(p->file, lm_onnx_arg(at, 1));
	const struct lm_onnx_tensor *bias = lm_onnx_stored(p->file, lm_onnx_arg(at, 2));
	int r;

	if (!set_frame(p, at, lm_onnx_result(at)) || !set_filters(p, at, w, bias))
		return 0;
	r = set_windows(p, at, NULL, NULL, err);
	if (r <= 0)
		return r;
	set(p, "in_channels", (int64_t)w->dim[1] * p->node->param[GROUPS].i);
	set(p, "out_channels", (int64_t)w->dim[0]);
	if (lm_onnx_propose_slot(p, WEIGHT, w, NULL, err) < 0)
		return -1;
	return bias == NULL || lm_onnx_propose_slot(p, BIAS, bias, NULL, err) == 0 ? 1 : -1;
}

/* What is around the operator's result: zeros, then the bias. */
struct around {
	const char *y; /* at the end of it */
	const struct lm_onnx_tensor *bias;
	int64_t low[LM_SPATIAL], high[LM_SPATIAL]; /* pads of ours */
	int padded;
};

/* 1, 0, -1 */
static int
read_around(struct lm_onnx_proposal *p, const struct lm_onnx_node *at, struct around *a,
    struct loom_error *err)
{
	const struct lm_onnx_node *pad = lm_onnx_read_by(p->file, lm_onnx_result(at), "Pad"), *add;
	const struct lm_onnx_tensor *bias;
	size_t axes = lm_window_axes(p->node), n, i;
	int64_t wide[2 * (LM_SPATIAL + 2)] = { 0 };
	const int64_t *pads, *more;
	const char *other;
	int r = 1;

	if (!ints_of(at, "pads", 2 * axes, &pads) || !ints_of(at, "output_padding", axes, &more))
		return 0;
	a->y = lm_onnx_result(at);
	a->bias = lm_onnx_stored(p->file, lm_onnx_arg(at, 2));
	a->padded = pad != NULL;
	if (pad != NULL) {
		r = lm_onnx_stored_integers(p->file, lm_onnx_arg(pad, 1), wide,
		    2 * (LM_SPATIAL + 2), &n, err);
		a->y = lm_onnx_result(pad);
		add = lm_onnx_read_by(p->file, a->y, "Add");
		bias = add != NULL ? lm_onnx_side(p->file, add, &other) : NULL;
		if (bias != NULL && bias->rank == axes + 1) {
			a->bias = bias;
			a->y = lm_onnx_result(add);
		}
	}
	for (i = 0; i < axes; i++) {
		a->low[i] = pads[i] - wide[2 + i];
		a->high[i] = pads[axes + i] - more[i] - wide[axes + 4 + i];
	}
	return r;
}

int
lm_onnx_propose_convtranspose(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_tensor *w = lm_onnx_stored(p->file, lm_onnx_arg(at, 1));
	struct around a = { 0 };
	struct lm_view order;
	int r = read_around(p, at, &a, err);

	if (r <= 0 || !set_filters(p, at, w, a.bias))
		return r < 0 ? -1 : 0;
	if (!set_frame(p, at, a.y)) {
		if (!a.padded)
			return 0;
		p->n_in = p->n_out = 1;
		p->in[0] = lm_onnx_arg(at, 0);
		p->out[0] = a.y;
		p->rank[0] = w->rank;
	}
	r = set_windows(p, at, a.low, a.high, err);
	if (r <= 0)
		return r;
	set(p, "in_channels", (int64_t)w->dim[0]);
	set(p, "out_channels", (int64_t)w->dim[1] * p->node->param[GROUPS].i);
	lm_onnx_order(w, &order);
	lm_onnx_filters_by_output(&order, (uint64_t)p->node->param[GROUPS].i);
	if (lm_onnx_propose_slot(p, WEIGHT, w, &order, err) < 0)
		return -1;
	return a.bias == NULL || lm_onnx_propose_slot(p, BIAS, a.bias, NULL, err) == 0 ? 1 : -1;
}

/* ---- pools ---- */

/* Padding that stands before the operator as values is the node's: 1, 0, -1. */
static int
add_padding(struct lm_onnx_proposal *p, const struct lm_onnx_node *pad, struct loom_error *err)
{
	int64_t pads[2 * (LM_SPATIAL + 2)];
	size_t axes = lm_window_axes(p->node), n;
	int r = lm_onnx_stored_integers(p->file, lm_onnx_arg(pad, 1), pads, 2 * (LM_SPATIAL + 2),
	    &n, err);

	if (r <= 0 || n != 2 * (axes + 2))
		return r < 0 ? -1 : 0;
	if (set_list(p, "pad_low", pads + 2, axes, err) < 0)
		return -1;
	return set_list(p, "pad_high", pads + axes + 4, axes, err) < 0 ? -1 : 1;
}

/* A Pad before the operator that holds -infinity; NULL: there is none. */
static const struct lm_onnx_node *
pad_before(const struct lm_onnx_proposal *p, const struct lm_onnx_node *at)
{
	const struct lm_onnx_node *pad = lm_onnx_before(p->file, at, 0, "Pad");
	struct loom_error quiet = { 0 };
	float least;

	if (pad == NULL || lm_onnx_stored_number(p->file, lm_onnx_arg(pad, 2), &least, &quiet) != 1)
		return NULL;
	return isinf(least) ? pad : NULL;
}

int
lm_onnx_propose_pool(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_node *pad = pad_before(p, at), *first = pad != NULL ? pad : at;
	int r = set_windows(p, at, NULL, NULL, err);

	set(p, "ceil", int_of(at, "ceil_mode", 0));
	if (lm_layer_param(p->node->op, "count_pad") >= 0)
		set(p, "count_pad", int_of(at, "count_include_pad", 0));
	if (r == 1 && pad != NULL)
		r = add_padding(p, pad, err);
	if (r <= 0 || set_frame(p, first, lm_onnx_result(at)) || pad == NULL)
		return r == 1 ? p->n_in > 0 : r;
	p->n_in = p->n_out = 1;
	p->in[0] = lm_onnx_arg(pad, 0);
	p->out[0] = lm_onnx_result(at);
	p->rank[0] = lm_window_axes(p->node) + 2;
	return 1;
}

int
lm_onnx_propose_global_pool(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	(void)err;
	set(p, "spatial", -flat_from(p, at));
	return set_frame(p, at, lm_onnx_result(at));
}

/* ---- resize ---- */

static int
enum_of(struct lm_onnx_proposal *p, const char *key, const struct lm_onnx_node *at,
    const char *name)
{
	int param = lm_layer_param(p->node->op, key);
	const char *const *names = p->node->op->params[param].names;
	struct loom_error quiet = { 0 };
	const char *text;
	int64_t i;

	if (lm_onnx_text(at, name, "", &text, &quiet) < 0)
		return 0;
	for (i = 0; names[i] != NULL; i++)
		if (strcmp(names[i], text) == 0) {
			p->node->param[param].i = i;
			return 1;
		}
	return 0;
}

int
lm_onnx_propose_resize(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_node *sizes = lm_onnx_before(p->file, at, 3, "Concat");
	int64_t size[LM_SPATIAL];
	size_t n;
	int r;

	if (!set_frame(p, at, lm_onnx_result(at)) || sizes == NULL ||
	    !enum_of(p, "mode", at, "mode") ||
	    !enum_of(p, "coordinates", at, "coordinate_transformation_mode"))
		return 0;
	r = lm_onnx_stored_integers(p->file, lm_onnx_arg(sizes, 1), size, LM_SPATIAL, &n, err);
	if (r <= 0)
		return r;
	return set_list(p, "size", size, n, err) < 0 ? -1 : 1;
}

/* ---- norms ---- */

/* How many values an initializer or a node Constant has. */
static int64_t
values_of(const struct lm_onnx_proposal *p, const char *value)
{
	const struct lm_onnx_tensor *t = lm_onnx_stored(p->file, value);
	const struct lm_onnx_node *made = lm_onnx_made_by(p->file, value);
	const struct lm_onnx_attribute *a = NULL;

	if (t == NULL && made != NULL && strcmp(made->op, "Constant") == 0)
		a = lm_onnx_attribute(made, "value");
	if (a != NULL && a->type == LM_ONNX_IS_TENSOR)
		t = a->tensor;
	return t != NULL ? (int64_t)t->count : 0;
}

/* gamma, beta and the like: an initializer is a slot; what a node Constant holds is none. */
static int
set_line(struct lm_onnx_proposal *p, const struct lm_onnx_node *at, size_t in, const char *flag,
    const char *slot, struct loom_error *err)
{
	const struct lm_onnx_tensor *t = lm_onnx_stored(p->file, lm_onnx_arg(at, in));

	if (flag != NULL)
		set(p, flag, t != NULL);
	if (t == NULL)
		return 0;
	return lm_onnx_propose_slot(p, (size_t)lm_layer_slot(p->node->op, slot), t, NULL, err);
}

int
lm_onnx_propose_instancenorm(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	if (!set_frame(p, at, lm_onnx_result(at)))
		return 0;
	set(p, "channels", values_of(p, lm_onnx_arg(at, 1)));
	set_eps(p, at);
	if (set_line(p, at, 1, "scale", "gamma", err) < 0)
		return -1;
	return set_line(p, at, 2, "offset", "beta", err) < 0 ? -1 : 1;
}

int
lm_onnx_propose_batchnorm(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	if (!set_frame(p, at, lm_onnx_result(at)))
		return 0;
	set(p, "dim", values_of(p, lm_onnx_arg(at, 3)));
	set(p, "axis", flat_from(p, at));
	set_eps(p, at);
	if (set_line(p, at, 1, "scale", "gamma", err) < 0 ||
	    set_line(p, at, 2, "offset", "beta", err) < 0 ||
	    set_line(p, at, 3, NULL, "mean", err) < 0)
		return -1;
	return set_line(p, at, 4, NULL, "var", err) < 0 ? -1 : 1;
}

/* Groups as instances, then gamma and beta by channel. */
int
lm_onnx_propose_groupnorm(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_node *grouped = lm_onnx_before(p->file, at, 0, "Reshape"), *y, *next;
	const struct lm_onnx_tensor *t;
	int64_t groups[3], channels[3];
	const char *flags[] = { "scale", "offset" }, *ops[] = { "Mul", "Add" }, *other;
	size_t n, k;

	y = lm_onnx_read_by(p->file, lm_onnx_result(at), "Reshape");
	if (grouped == NULL || y == NULL ||
	    lm_onnx_stored_integers(p->file, lm_onnx_arg(grouped, 1), groups, 3, &n, err) != 1 ||
	    n != 3 ||
	    lm_onnx_stored_integers(p->file, lm_onnx_arg(y, 1), channels, 3, &n, err) != 1 ||
	    n != 3)
		return err->code != 0 ? -1 : 0;
	set(p, "groups", groups[1]);
	set(p, "channels", channels[1]);
	set_eps(p, at);
	for (k = 0; k < 2; k++) {
		next = lm_onnx_read_by(p->file, lm_onnx_result(y), ops[k]);
		t = next != NULL ? lm_onnx_side(p->file, next, &other) : NULL;
		if (t == NULL)
			continue;
		set(p, flags[k], 1);
		if (lm_onnx_propose_slot(p, k, t, NULL, err) < 0)
			return -1;
		y = next;
	}
	return set_frame(p, at, lm_onnx_result(y));
}
