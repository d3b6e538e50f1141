/* onnx_from_elementwise: operators that make values one by one. */
#include <math.h>
#include <string.h>

#include "onnx/onnx_from.h"
#include "onnx/onnx_to.h"

/* ---- one of ours ---- */

/* Before opset 7 a second operand stood along axes that were named, if it was broadcast at all. */
static int
unbroadcast(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int64_t axis,
    struct lm_onnx_known **y, struct loom_error *err)
{
	const struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	int64_t axes[LM_ONNX_RANK], n, i;
	struct lm_onnx_node named = *node;
	const char *name;
	struct lm_node *to;

	n = (int64_t)x->dims.n - axis - (int64_t)(*y)->dims.n;
	if (!x->ranked || !(*y)->ranked || n < 0 || n > LM_ONNX_RANK)
		return lm_onnx_refuse(r, node, err, "where its second input belongs is not known");
	for (i = 0; i < n; i++)
		axes[i] = (int64_t)(*y)->dims.n + i;
	if (n == 0)
		return 0;
	name = lm_onnx_between(r, node, "aligned", err);
	named.name = name;
	to = name != NULL ? lm_onnx_new_node(r, &named, "unsqueeze", 1, y, err) : NULL;
	if (to == NULL || lm_onnx_set_list(r, to, "axes", axes, (size_t)n, err) < 0 ||
	    lm_onnx_end_node(r, to, &name, 1, err) < 0)
		return -1;
	*y = lm_onnx_find(r, name);
	return 0;
}

static int
plain(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct loom_error *err)
{
	struct lm_onnx_known *in[2];
	int64_t axis, broadcast;

	if (r->opset >= 7 || node->n_in != 2 || lm_onnx_attribute(node, "axis") == NULL)
		return lm_onnx_done(r, node, lm_onnx_same(r, node, op, err), err);
	if (lm_onnx_int(node, "axis", 0, &axis, err) < 0 ||
	    lm_onnx_int(node, "broadcast", 0, &broadcast, err) < 0)
		return -1;
	in[0] = lm_onnx_in(r, node, 0);
	in[1] = lm_onnx_in(r, node, 1);
	if (in[0] == NULL || in[1] == NULL)
		return lm_onnx_refuse(r, node, err, "one of its inputs is not given");
	axis += axis < 0 ? (int64_t)in[0]->dims.n : 0;
	if (broadcast && unbroadcast(r, node, axis, &in[1], err) < 0)
		return -1;
	return lm_onnx_done(r, node, lm_onnx_new_node(r, node, op, 2, in, err), err);
}

#define PLAIN(op, theirs, since)                 \
	LM_ONNX_READER(op)                       \
	{                                        \
		return plain(r, node, #op, err); \
	}
#include "onnx/onnx_plain.def"
PLAIN(less, Less, 6)
PLAIN(less_equal, LessOrEqual, 12)
PLAIN(greater, Greater, 6)
PLAIN(greater_equal, GreaterOrEqual, 12)
PLAIN(where, Where, 9)
PLAIN(mish, Mish, 18)
#undef PLAIN

#define RECIPE(name, text)                                            \
	LM_ONNX_READER(name)                                          \
	{                                                             \
		return lm_onnx_from_recipe(r, node, text, NULL, err); \
	}
RECIPE(xor, "not_equal(x, y)")
RECIPE(is_nan, "not_equal(x, x)")
RECIPE(softsign, "abs = abs(x); sum = add(abs, 1); div(x, sum)")

/* ---- with attributes ---- */

/* One of ours with one real parameter, which is the attribute alpha. */
static int
with_alpha(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    const char *param, double otherwise, struct loom_error *err)
{
	struct lm_node *n;
	double alpha;

	if (lm_onnx_real_of(node, "alpha", otherwise, &alpha, err) < 0)
		return -1;
	n = lm_onnx_with(r, node, op, 1, err);
	if (n == NULL)
		return -1;
	lm_onnx_set_real(n, param, alpha);
	return lm_onnx_done(r, node, n, err);
}

LM_ONNX_READER(leaky_relu)
{
	return with_alpha(r, node, "leaky_relu", "negative_slope", 0.01, err);
}

LM_ONNX_READER(elu)
{
	return with_alpha(r, node, "elu", "alpha", 1, err);
}

LM_ONNX_READER(softplus)
{
	struct lm_node *n = lm_onnx_with(r, node, "softplus", 1, err);

	if (n == NULL)
		return -1;
	lm_onnx_set_real(n, "beta", 1);
	lm_onnx_set_real(n, "threshold", NAN);
	return lm_onnx_done(r, node, n, err);
}

/* Its own numbers are those of ours, to 32 bits. */
LM_ONNX_READER(selu)
{
	float alpha, gamma;
	double numbers[2];

	if (lm_onnx_float(node, "alpha", 1.6732632423543772848f, &alpha, err) < 0 ||
	    lm_onnx_float(node, "gamma", 1.0507009873554804934f, &gamma, err) < 0)
		return -1;
	if (alpha == 1.6732632423543772848f && gamma == 1.0507009873554804934f)
		return lm_onnx_done(r, node, lm_onnx_with(r, node, "selu", 1, err), err);
	numbers[0] = alpha;
	numbers[1] = gamma;
	return lm_onnx_from_recipe(r, node,
	    "below = expm1(x); scaled = mul(below, #0); positive = greater(x, 0); "
	    "both = where(positive, x, scaled); mul(both, #1)",
	    numbers, err);
}

LM_ONNX_READER(hard_sigmoid)
{
	float alpha, beta;
	double numbers[2];

	if (lm_onnx_float(node, "alpha", 0.2f, &alpha, err) < 0 ||
	    lm_onnx_float(node, "beta", 0.5f, &beta, err) < 0)
		return -1;
	if (alpha == (float)(1.0 / 6) && beta == 0.5f)
		return lm_onnx_done(r, node, lm_onnx_with(r, node, "hard_sigmoid", 1, err), err);
	numbers[0] = alpha;
	numbers[1] = beta;
	return lm_onnx_from_recipe(r, node,
	    "scaled = mul(x, #0); sum = add(scaled, #1); above = maximum(sum, 0); "
	    "minimum(above, 1)",
	    numbers, err);
}

LM_ONNX_READER(thresholded_relu)
{
	double alpha;

	if (lm_onnx_real_of(node, "alpha", 1, &alpha, err) < 0)
		return -1;
	return lm_onnx_from_recipe(r, node, "above = greater(x, #0); where(above, x, 0)", &alpha,
	    err);
}

/* With alpha 1 it is elu. */
LM_ONNX_READER(celu)
{
	double alpha;

	if (lm_onnx_real_of(node, "alpha", 1, &alpha, err) < 0)
		return -1;
	if (alpha == 1)
		return with_alpha(r, node, "elu", "alpha", 1, err);
	return lm_onnx_from_recipe(r, node,
	    "scaled = div(x, #0); below = expm1(scaled); product = mul(below, #0); "
	    "low = minimum(product, 0); high = maximum(x, 0); add(high, low)",
	    &alpha, err);
}

LM_ONNX_READER(swish)
{
	double alpha;

	if (lm_onnx_real_of(node, "alpha", 1, &alpha, err) < 0)
		return -1;
	if (alpha == 1)
		return lm_onnx_done(r, node, lm_onnx_with(r, node, "silu", 1, err), err);
	return lm_onnx_from_recipe(r, node,
	    "scaled = mul(x, #0); gate = sigmoid(scaled); mul(x, gate)", &alpha, err);
}

LM_ONNX_READER(gelu)
{
	const char *form;
	struct lm_node *n;

	if (lm_onnx_text(node, "approximate", "none", &form, err) < 0)
		return -1;
	if (strcmp(form, "none") != 0 && strcmp(form, "tanh") != 0)
		return lm_onnx_refuse(r, node, err, "approximate is %.40s, expected none or tanh",
		    form);
	n = lm_onnx_with(r, node, "gelu", 1, err);
	if (n == NULL)
		return -1;
	lm_onnx_set(n, "approximate", form[0] == 't');
	return lm_onnx_done(r, node, n, err);
}

LM_ONNX_READER(prelu)
{
	const struct lm_onnx_known *slope = lm_onnx_in(r, node, 1), *x = lm_onnx_in(r, node, 0);
	int64_t shape[LM_ONNX_RANK];
	struct lm_node *n;
	size_t i, rank;

	if (slope == NULL || slope->tensor == NULL)
		return lm_onnx_from_recipe(r, node,
		    "scaled = mul(x, y); below = less(x, 0); where(below, scaled, x)", NULL, err);
	rank = slope->tensor->rank;
	for (i = 0; i < rank; i++)
		shape[i] = (int64_t)slope->tensor->dim[i];
	/* Before opset 7 it stood along the channels. */
	for (; r->opset < 7 && slope->tensor->count > 1 && x != NULL && rank + 1 < x->dims.n;
	     rank++)
		shape[rank] = 1;
	n = lm_onnx_with(r, node, "prelu", 1, err);
	if (n == NULL || lm_onnx_set_list(r, n, "shape", shape, rank, err) < 0 ||
	    lm_onnx_put(r, n, 0, slope, NULL, err) < 0)
		return -1;
	return lm_onnx_done(r, node, n, err);
}

/* ---- bounds ---- */

/* Bounds as attributes, as they were before opset 11: the least and greatest numbers are none. */
static int
clip_by_attributes(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct loom_error *err)
{
	struct lm_node *n;
	double least, most;

	if (lm_onnx_real_of(node, "min", NAN, &least, err) < 0 ||
	    lm_onnx_real_of(node, "max", NAN, &most, err) < 0)
		return -1;
	n = lm_onnx_with(r, node, "clip", 1, err);
	if (n == NULL)
		return -1;
	lm_onnx_set_real(n, "min", (float)least <= -0x1.fffffep127f ? NAN : least);
	lm_onnx_set_real(n, "max", (float)most >= 0x1.fffffep127f ? NAN : most);
	return lm_onnx_done(r, node, n, err);
}

/* What is infinite bounds nothing. */
static int
bound(struct lm_onnx_reading *r, const struct lm_onnx_known *k, double *v, struct loom_error *err)
{
	*v = NAN;
	if (k == NULL)
		return 0;
	if (lm_onnx_number(r, k, v, err) < 0)
		return -1;
	*v = isinf(*v) ? NAN : lm_onnx_real((float)*v);
	return 0;
}

/* Bounds that are computed, or integers. */
static int
clip_by_operations(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct loom_error *err)
{
	int low = lm_onnx_in(r, node, 1) != NULL, high = lm_onnx_in(r, node, 2) != NULL;

	if (low && high)
		return lm_onnx_from_recipe(r, node, "above = maximum(x, y); minimum(above, z)",
		    NULL, err);
	if (!low && !high)
		return lm_onnx_pass_on(r, node, err);
	return lm_onnx_from_recipe(r, node, low ? "maximum(x, y)" : "minimum(x, z)", NULL, err);
}

LM_ONNX_READER(clip)
{
	const struct lm_onnx_known *low = lm_onnx_in(r, node, 1), *high = lm_onnx_in(r, node, 2);
	double least, most;
	struct lm_node *n;

	if (r->opset < 11)
		return clip_by_attributes(r, node, err);
	if (!lm_onnx_is(r, node, 0, lm_dtype_get(LM_F32)) || (low != NULL && low->tensor == NULL) ||
	    (high != NULL && high->tensor == NULL))
		return clip_by_operations(r, node, err);
	if (bound(r, low, &least, err) < 0 || bound(r, high, &most, err) < 0)
		return -1;
	n = lm_onnx_with(r, node, "clip", 1, err);
	if (n == NULL)
		return -1;
	lm_onnx_set_real(n, "min", least);
	lm_onnx_set_real(n, "max", most);
	return lm_onnx_done(r, node, n, err);
}
