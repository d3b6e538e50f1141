/*
 * onnx_from_norm: the norms.  epsilon is read as the shortest decimal that means its float32: see
 * onnx_to.h.  A scale of ones or an offset of zeros that a node Constant holds is none; what is computed
 * comes behind the norm.
 */
#include "onnx/onnx_reads.h"
#include "onnx/onnx_to.h"

#include <inttypes.h>

/* ---- scale and offset ---- */

struct line {
	struct lm_onnx_known *x, *scale, *offset;
	double eps;
};

/* 1: not given, or a filling that changes nothing; 0; -1. */
static int
is_nothing(struct lm_onnx_reading *r, const struct lm_onnx_known *k, double nothing,
    struct loom_error *err)
{
	if (k == NULL)
		return 1;
	return lm_onnx_is_constant(k) && !k->weight ? lm_onnx_all(r, k, nothing, err) : 0;
}

/* What changes nothing is NULL from now on. */
static int
read_line(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct line *l,
    struct loom_error *err)
{
	int no_scale, no_offset;
	float eps;

	l->x = lm_onnx_in(r, node, 0);
	l->scale = lm_onnx_in(r, node, 1);
	l->offset = lm_onnx_in(r, node, 2);
	if (l->x == NULL)
		return lm_onnx_refuse(r, node, err, "an input is expected");
	if (lm_onnx_only(r, node, "stash_type", LM_ONNX_FLOAT, err) < 0)
		return -1;
	no_scale = is_nothing(r, l->scale, 1, err);
	no_offset = is_nothing(r, l->offset, 0, err);
	if (no_scale < 0 || no_offset < 0 || lm_onnx_float(node, "epsilon", 1e-5f, &eps, err) < 0)
		return -1;
	l->eps = lm_onnx_real(eps);
	l->scale = no_scale ? NULL : l->scale;
	l->offset = no_offset ? NULL : l->offset;
	return 0;
}

/* A slot of n values from a constant; one value stands for all of them. */
static int
put_line(struct lm_onnx_reading *r, struct lm_node *n, const char *slot,
    const struct lm_onnx_known *k, uint64_t count, struct loom_error *err)
{
	const struct lm_view repeated = { .rank = 1, .extent = { count } };
	struct lm_view order;

	if (k == NULL)
		return 0;
	if (k->tensor == NULL || k->tensor->count != 1 || count == 1)
		return lm_onnx_put(r, n, (size_t)lm_layer_slot(n->op, slot), k, NULL, err);
	if (lm_onnx_view(r, k, &order, err) < 0)
		return -1;
	order.rank = repeated.rank;
	order.extent[0] = count;
	order.stride[0] = 0;
	return lm_onnx_put(r, n, (size_t)lm_layer_slot(n->op, slot), k, &order, err);
}

static int
put_lines(struct lm_onnx_reading *r, struct lm_node *n, const struct line *l, uint64_t count,
    struct loom_error *err)
{
	lm_onnx_set_real(n, "eps", l->eps);
	lm_onnx_set(n, "scale", l->scale != NULL);
	if (lm_layer_param(n->op, "offset") >= 0)
		lm_onnx_set(n, "offset", l->offset != NULL);
	if (put_line(r, n, "gamma", l->scale, count, err) < 0)
		return -1;
	return lm_layer_slot(n->op, "beta") >= 0 ? put_line(r, n, "beta", l->offset, count, err)
						 : 0;
}

/* ---- over the last axes ---- */

/* The number of values from axis on; 0: it is not fixed. */
static int64_t
values_from(const struct lm_onnx_known *x, int64_t axis)
{
	int64_t n = 1, extent;
	size_t i;

	for (i = (size_t)axis; i < x->dims.n; i++) {
		extent = lm_onnx_fixed(&x->dims.dim[i]);
		if (extent < 1 || n > (1 << 24) / extent)
			return 0;
		n *= extent;
	}
	return n;
}

/* Those that are computed come behind the norm: a is what it gave, l has them. */
static int
apply_computed(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *a,
    const struct line *l, struct loom_error *err)
{
	if (a != NULL && l->scale != NULL)
		a = lm_onnx_plain(r, node, l->offset != NULL ? "scaled" : NULL, "mul", a, l->scale,
		    err);
	if (a != NULL && l->offset != NULL)
		a = lm_onnx_plain(r, node, NULL, "add", a, l->offset, err);
	return a != NULL ? 0 : -1;
}

static int
computed(struct line *l, struct line *later)
{
	*later = (struct line){ 0 };
	if ((l->scale == NULL || lm_onnx_is_constant(l->scale)) &&
	    (l->offset == NULL || lm_onnx_is_constant(l->offset)))
		return 0;
	later->scale = l->scale;
	later->offset = l->offset;
	l->scale = l->offset = NULL;
	return 1;
}

static struct lm_onnx_known *
norm_of_last(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    const struct line *l, int64_t dim, const char *what, struct loom_error *err)
{
	struct lm_onnx_known *x = l->x;
	struct lm_node *n = lm_onnx_begin(r, node, what, op, 1, &x, err);

	if (n == NULL)
		return NULL;
	lm_onnx_set(n, "dim", dim);
	if (put_lines(r, n, l, (uint64_t)dim, err) < 0)
		return NULL;
	return lm_onnx_ended(r, node, what, n, err);
}

/* Several axes become one before, and several again behind. */
static int
norm_of_several(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct line *l, int64_t axis, int64_t dim, struct loom_error *err)
{
	const struct lm_dims dims = l->x->dims;
	struct lm_onnx_known *y;
	struct line later;
	int more = computed(l, &later);

	l->x = lm_onnx_flattened(r, node, "flat", l->x, axis, err);
	y = l->x != NULL ? norm_of_last(r, node, op, l, dim, "norm", err) : NULL;
	y = y != NULL ? lm_onnx_reshaped(r, node, more ? "whole" : NULL, y, &dims, err) : NULL;
	return y != NULL && more ? apply_computed(r, node, y, &later, err) : (y != NULL ? 0 : -1);
}

/* The values of a row, by the axis, or by a scale or offset where the extents are not fixed. */
static int
row_length(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct line *l,
    int64_t axis, int64_t *dim, struct loom_error *err)
{
	const struct lm_onnx_known *by = l->scale != NULL ? l->scale : lm_onnx_in(r, node, 1);

	*dim = l->x->ranked && axis >= 0 ? values_from(l->x, axis) : 0;
	if (*dim == 0 && by != NULL && by->tensor != NULL && by->tensor->count > 1)
		*dim = (int64_t)by->tensor->count;
	if (*dim == 0)
		return lm_onnx_refuse(r, node, err, "how many values a row has is not fixed");
	return 0;
}

static int
norm(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct loom_error *err)
{
	struct lm_onnx_known *y;
	struct line l, later;
	int64_t axis, dim;
	int more;

	if (lm_onnx_int(node, "axis", -1, &axis, err) < 0 || read_line(r, node, &l, err) < 0 ||
	    lm_onnx_axis(r, node, l.x, axis, &axis, err) < 0 ||
	    row_length(r, node, &l, axis, &dim, err) < 0)
		return -1;
	if (l.x->ranked ? axis != (int64_t)l.x->dims.n - 1 : axis != -1) {
		if (!l.x->ranked)
			return lm_onnx_refuse(r, node, err, "axis %" PRId64 " of an unknown rank",
			    axis);
		return norm_of_several(r, node, op, &l, axis, dim, err);
	}
	more = computed(&l, &later);
	y = norm_of_last(r, node, op, &l, dim, more ? "norm" : NULL, err);
	return y != NULL && more ? apply_computed(r, node, y, &later, err) : (y != NULL ? 0 : -1);
}

/* ---- what else LayerNormalization gives ---- */

/* Output k, if anybody reads it; NULL: nobody. */
static const char *
read_output(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t k)
{
	const struct lm_onnx_known *known;

	if (k >= node->n_out || node->out[k][0] == '\0')
		return NULL;
	known = lm_onnx_find(r, node->out[k]);
	return known != NULL && known->users > 0 ? node->out[k] : NULL;
}

/* The mean along the axes from axis on, which stay, called name or (NULL) "OUTPUT/what". */
static struct lm_onnx_known *
mean_from(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    const char *name, struct lm_onnx_known *x, int64_t axis, struct loom_error *err)
{
	struct lm_node *n = lm_onnx_begin(r, node, what, "mean", 1, &x, err);
	int64_t axes[LM_ONNX_RANK];
	size_t count = 0;

	if (n == NULL)
		return NULL;
	for (; axis < (int64_t)x->dims.n && count < LM_ONNX_RANK; axis++)
		axes[count++] = axis;
	lm_onnx_set(n, "keepdims", 1);
	if (lm_onnx_set_list(r, n, "axes", axes, count, err) < 0)
		return NULL;
	if (name == NULL)
		return lm_onnx_ended(r, node, what, n, err);
	return lm_onnx_end_node(r, n, &name, 1, err) == 0 ? lm_onnx_find(r, name) : NULL;
}

/* 1/sqrt(variance + eps). */
static int
inverse_deviation(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct lm_onnx_known *x, struct lm_onnx_known *mean, int64_t axis, const char *name,
    struct loom_error *err)
{
	struct lm_onnx_known *v, *least;
	struct lm_node *n;
	float eps;

	if (lm_onnx_float(node, "epsilon", 1e-5f, &eps, err) < 0 ||
	    lm_onnx_only(r, node, "stash_type", LM_ONNX_FLOAT, err) < 0)
		return -1;
	v = lm_onnx_plain(r, node, "centred", "sub", x, mean, err);
	v = v != NULL ? lm_onnx_plain(r, node, "squares", "mul", v, v, err) : NULL;
	v = mean_from(r, node, "variance", NULL, v, axis, err);
	least = lm_onnx_constant_real(r, node, "eps", eps, err);
	if (v == NULL || least == NULL)
		return -1;
	v = lm_onnx_plain(r, node, "shifted", "add", v, least, err);
	n = lm_onnx_begin(r, node, "deviation", "rsqrt", 1, &v, err);
	return n != NULL ? lm_onnx_end_node(r, n, &name, 1, err) : -1;
}

LM_ONNX_READER(layer_normalization)
{
	const char *mean = read_output(r, node, 1), *deviation = read_output(r, node, 2);
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0), *m;
	int64_t axis;

	if (norm(r, node, "layernorm", err) < 0)
		return -1;
	if (mean == NULL && deviation == NULL)
		return 0;
	if (lm_onnx_int(node, "axis", -1, &axis, err) < 0 ||
	    lm_onnx_axis(r, node, x, axis, &axis, err) < 0)
		return -1;
	if (!x->ranked)
		return lm_onnx_refuse(r, node, err,
		    "the mean along axes whose number is not known");
	m = mean_from(r, node, "mean", mean, x, axis, err);
	if (m == NULL || deviation == NULL)
		return m != NULL ? 0 : -1;
	return inverse_deviation(r, node, x, m, axis, deviation, err);
}

LM_ONNX_READER(rms_normalization)
{
	return norm(r, node, "rmsnorm", err);
}

/* ---- over channels ---- */

/* Channels, as any of the constants or the input has them. */
static int
channels(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct lm_onnx_known *x,
    int64_t *n, struct loom_error *err)
{
	const struct lm_onnx_known *k;
	size_t i;

	*n = x->ranked && x->dims.n > 1 ? lm_onnx_fixed(&x->dims.dim[1]) : -1;
	for (i = 1; *n < 1 && i < node->n_in; i++) {
		k = lm_onnx_in(r, node, i);
		if (k != NULL && k->tensor != NULL && k->tensor->rank == 1)
			*n = (int64_t)k->tensor->count;
	}
	return *n >= 1 ? 0 : lm_onnx_refuse(r, node, err, "its number of channels is not fixed");
}

/* It runs as in training where an attribute, or what is asked of it, says so. */
static int
check_inference(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	int64_t training, is_test, spatial;
	size_t i;

	if (lm_onnx_int(node, "training_mode", 0, &training, err) < 0 ||
	    lm_onnx_int(node, "is_test", r->opset < 7 ? 0 : 1, &is_test, err) < 0 ||
	    lm_onnx_int(node, "spatial", 1, &spatial, err) < 0)
		return -1;
	for (i = 1; i < node->n_out && node->out[i][0] == '\0'; i++)
		;
	if (training || !is_test || i < node->n_out)
		return lm_onnx_refuse(r, node, err,
		    "it takes means over the batch, as in training; export for inference");
	return spatial ? 0 : lm_onnx_refuse(r, node, err, "a mean for every place (spatial 0)");
}

LM_ONNX_READER(batch_normalization)
{
	const struct lm_onnx_known *mean = lm_onnx_in(r, node, 3), *var = lm_onnx_in(r, node, 4);
	struct lm_onnx_known *x;
	struct lm_node *n;
	struct line l;
	int64_t dim;

	if (check_inference(r, node, err) < 0 || read_line(r, node, &l, err) < 0 ||
	    channels(r, node, l.x, &dim, err) < 0)
		return -1;
	if (mean == NULL || var == NULL)
		return lm_onnx_refuse(r, node, err, "five inputs are expected");
	x = l.x;
	n = lm_onnx_new_node(r, node, "batchnorm", 1, &x, err);
	if (n == NULL)
		return -1;
	lm_onnx_set(n, "dim", dim);
	lm_onnx_set(n, "axis", 1);
	if (put_lines(r, n, &l, (uint64_t)dim, err) < 0 ||
	    put_line(r, n, "mean", mean, (uint64_t)dim, err) < 0 ||
	    put_line(r, n, "var", var, (uint64_t)dim, err) < 0)
		return -1;
	return lm_onnx_done(r, node, n, err);
}

static struct lm_node *
by_channels(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct lm_onnx_known *x, int64_t dim, struct loom_error *err)
{
	struct lm_node *n = lm_onnx_new_node(r, node, op, 1, &x, err);

	if (n != NULL)
		lm_onnx_set(n, "channels", dim);
	return n;
}

LM_ONNX_READER(instance_normalization)
{
	struct lm_node *n;
	struct line l;
	int64_t dim;

	if (read_line(r, node, &l, err) < 0 || channels(r, node, l.x, &dim, err) < 0)
		return -1;
	n = by_channels(r, node, "instancenorm", l.x, dim, err);
	if (n == NULL || put_lines(r, n, &l, (uint64_t)dim, err) < 0)
		return -1;
	return lm_onnx_done(r, node, n, err);
}

/* Before opset 21 each group had its scale and offset: that many times over for its channels. */
static int
put_group_line(struct lm_onnx_reading *r, struct lm_node *n, const char *slot,
    const struct lm_onnx_known *k, int64_t groups, int64_t dim, struct loom_error *err)
{
	struct lm_view order;

	if (k == NULL)
		return 0;
	if (r->opset >= 21 || !lm_onnx_is_constant(k) || k->tensor->count != (uint64_t)groups)
		return put_line(r, n, slot, k, (uint64_t)dim, err);
	if (lm_onnx_view(r, k, &order, err) < 0)
		return -1;
	order.rank = 2;
	order.extent[1] = (uint64_t)(dim / groups);
	order.stride[1] = 0;
	return lm_onnx_put(r, n, (size_t)lm_layer_slot(n->op, slot), k, &order, err);
}

LM_ONNX_READER(group_normalization)
{
	int64_t dim, groups;
	struct lm_node *n;
	struct line l;

	if (lm_onnx_int(node, "num_groups", 0, &groups, err) < 0 || read_line(r, node, &l, err) < 0)
		return -1;
	dim = l.x->ranked && l.x->dims.n > 1 ? lm_onnx_fixed(&l.x->dims.dim[1]) : -1;
	if (dim < 1 && r->opset >= 21 && channels(r, node, l.x, &dim, err) < 0)
		return -1;
	if (groups < 1 || dim < 1 || dim % groups != 0)
		return lm_onnx_refuse(r, node, err, "%" PRId64 " groups of %" PRId64 " channels",
		    groups, dim);
	n = by_channels(r, node, "groupnorm", l.x, dim, err);
	if (n == NULL)
		return -1;
	lm_onnx_set(n, "groups", groups);
	lm_onnx_set_real(n, "eps", l.eps);
	lm_onnx_set(n, "scale", l.scale != NULL);
	lm_onnx_set(n, "offset", l.offset != NULL);
	if (put_group_line(r, n, "gamma", l.scale, groups, dim, err) < 0 ||
	    put_group_line(r, n, "beta", l.offset, groups, dim, err) < 0)
		return -1;
	return lm_onnx_done(r, node, n, err);
}
