/* onnx_from_learners: of ai.onnx.ml what scikit-learn's linear models and scalers become. */
#include <inttypes.h>
#include <string.h>

#include "onnx/onnx_known.h"

#define READER(name)                                                                        \
	lm_onnx_read_fn lm_onnx_from_##name;                                                \
	int lm_onnx_from_##name(struct lm_onnx_reading *r, const struct lm_onnx_node *node, \
	    struct loom_error *err)

/* A list of floats; *n is 0 where it is not there. */
static int
floats_of(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *key,
    const float **list, size_t *n, struct loom_error *err)
{
	const struct lm_onnx_attribute *a = lm_onnx_attribute(node, key);

	*n = 0;
	*list = NULL;
	if (a == NULL)
		return 0;
	if (a->type != LM_ONNX_IS_FLOATS)
		return lm_onnx_refuse(r, node, err, "%s is not a list of floats", key);
	*list = a->floats;
	*n = a->n;
	return 0;
}

/* The input, as float32; its last axis has *features entries. */
static struct lm_onnx_known *
input_of(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t *features,
    struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0), *y;
	const char *name;
	struct lm_node *n;

	if (x == NULL || !x->ranked || x->dims.n == 0 || x->dims.dim[x->dims.n - 1].text != NULL) {
		(void)lm_onnx_refuse(r, node, err, "how many features its input has is not known");
		return NULL;
	}
	*features = (size_t)x->dims.dim[x->dims.n - 1].value;
	if (x->dtype == lm_dtype_get(LM_F32))
		return x;
	name = lm_onnx_between(r, node, "float", err);
	n = name != NULL ? lm_onnx_new_node(r, node, "cast", 1, &x, err) : NULL;
	if (n == NULL || lm_onnx_end_node(r, n, &name, 1, err) < 0)
		return NULL;
	y = lm_onnx_find(r, name);
	return y;
}

/* One operation on what was made before; what: a name on the way, NULL: it is the node's output. */
static struct lm_onnx_known *
step(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_node *n, size_t out,
    const char *what, struct loom_error *err)
{
	const char *name = what != NULL ? lm_onnx_between(r, node, what, err) : node->out[out];

	if (n == NULL || name == NULL || lm_onnx_end_node(r, n, &name, 1, err) < 0)
		return NULL;
	return lm_onnx_find(r, name);
}

static struct lm_onnx_known *
row_constant(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    const float *list, size_t n, struct loom_error *err)
{
	const char *name = lm_onnx_between(r, node, what, err);
	uint64_t dim = n;
	const struct lm_onnx_tensor *t = lm_onnx_tensor_new(r, LM_ONNX_FLOAT, n > 1, &dim, list,
	    err);

	if (name == NULL || t == NULL || lm_onnx_know_constant(r, name, t, 1, err) < 0)
		return NULL;
	return lm_onnx_find(r, name);
}

static struct lm_onnx_known *
two_sided(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct lm_onnx_known *x, struct lm_onnx_known *y, const char *what, struct loom_error *err)
{
	struct lm_onnx_known *const in[] = { x, y };

	if (x == NULL || y == NULL)
		return NULL;
	return step(r, node, lm_onnx_new_node(r, node, op, 2, in, err), 0, what, err);
}

/* (x - offset) scale, each feature's or one for all. */
READER(scaler)
{
	const float *offset, *scale;
	struct lm_onnx_known *x, *y;
	size_t n_offset, n_scale, features;

	if (floats_of(r, node, "offset", &offset, &n_offset, err) < 0 ||
	    floats_of(r, node, "scale", &scale, &n_scale, err) < 0)
		return -1;
	x = input_of(r, node, &features, err);
	if (x == NULL)
		return -1;
	if ((n_offset != 1 && n_offset != features) || (n_scale != 1 && n_scale != features))
		return lm_onnx_refuse(r, node, err, "%zu offsets and %zu scales for %zu features",
		    n_offset, n_scale, features);
	y = two_sided(r, node, "sub", x, row_constant(r, node, "offset", offset, n_offset, err),
	    "centred", err);
	y = two_sided(r, node, "mul", y, row_constant(r, node, "scale", scale, n_scale, err), NULL,
	    err);
	return y != NULL ? 0 : -1;
}

/* ---- x / norm(x) ---- */

static struct lm_onnx_known *
one_sided(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct lm_onnx_known *x, const char *what, struct loom_error *err)
{
	if (x == NULL)
		return NULL;
	return step(r, node, lm_onnx_new_node(r, node, op, 1, &x, err), 0, what, err);
}

static struct lm_onnx_known *
reduced(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct lm_onnx_known *x, const char *what, struct loom_error *err)
{
	struct lm_node *n = x != NULL ? lm_onnx_new_node(r, node, op, 1, &x, err) : NULL;
	int64_t last = -1;

	if (n == NULL || lm_onnx_set_list(r, n, "axes", &last, 1, err) < 0)
		return NULL;
	lm_onnx_set(n, "keepdims", 1);
	return step(r, node, n, 0, what, err);
}

/* A row of zeros has the norm 0 and is divided by 1. */
static struct lm_onnx_known *
not_zero(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *norm,
    struct loom_error *err)
{
	static const float zero = 0, one = 1;
	struct lm_onnx_known *in[3];

	in[0] = two_sided(r, node, "equal", norm, row_constant(r, node, "zero", &zero, 1, err),
	    "nothing", err);
	in[1] = row_constant(r, node, "one", &one, 1, err);
	in[2] = norm;
	if (in[0] == NULL || in[1] == NULL)
		return NULL;
	return step(r, node, lm_onnx_new_node(r, node, "where", 3, in, err), 0, "divisor", err);
}

READER(normalizer)
{
	struct lm_onnx_known *x, *norm = NULL;
	const char *kind;
	size_t features;

	if (lm_onnx_text(node, "norm", "MAX", &kind, err) < 0)
		return -1;
	x = input_of(r, node, &features, err);
	if (x == NULL)
		return -1;
	if (strcmp(kind, "MAX") == 0)
		norm = reduced(r, node, "max", one_sided(r, node, "abs", x, "abs", err), "norm",
		    err);
	else if (strcmp(kind, "L1") == 0)
		norm = reduced(r, node, "sum", one_sided(r, node, "abs", x, "abs", err), "norm",
		    err);
	else if (strcmp(kind, "L2") == 0)
		norm = one_sided(r, node, "sqrt",
		    reduced(r, node, "sum", two_sided(r, node, "mul", x, x, "square", err), "sum",
			err),
		    "norm", err);
	else
		return lm_onnx_refuse(r, node, err, "norm is %.40s, expected MAX, L1 or L2", kind);
	if (norm != NULL)
		norm = not_zero(r, node, norm, err);
	return two_sided(r, node, "div", x, norm, NULL, err) != NULL ? 0 : -1;
}

/* ---- linear models ---- */

/* x W' + b with targets rows in W. */
static struct lm_node *
linear(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x,
    size_t features, size_t targets, struct loom_error *err)
{
	const float *weight, *bias;
	size_t n_weight, n_bias;
	struct lm_node *n;

	if (floats_of(r, node, "coefficients", &weight, &n_weight, err) < 0 ||
	    floats_of(r, node, "intercepts", &bias, &n_bias, err) < 0)
		return NULL;
	if (targets == 0 || features == 0 || n_weight % features != 0 ||
	    n_weight / features != targets || (n_bias != 0 && n_bias != targets)) {
		(void)lm_onnx_refuse(r, node, err,
		    "%zu coefficients and %zu intercepts for %zu features and %zu results",
		    n_weight, n_bias, features, targets);
		return NULL;
	}
	n = lm_onnx_new_node(r, node, "dense", 1, &x, err);
	if (n == NULL)
		return NULL;
	lm_onnx_set(n, "in_features", (int64_t)features);
	lm_onnx_set(n, "out_features", (int64_t)targets);
	lm_onnx_set(n, "bias", n_bias > 0);
	if (lm_onnx_put_floats(r, n, 0, weight, err) < 0 ||
	    (n_bias > 0 && lm_onnx_put_floats(r, n, 1, bias, err) < 0))
		return NULL;
	return n;
}

READER(linear_regressor)
{
	struct lm_onnx_known *x;
	const char *transform;
	size_t features;
	int64_t targets;
	struct lm_node *n;

	if (lm_onnx_text(node, "post_transform", "NONE", &transform, err) < 0 ||
	    lm_onnx_int(node, "targets", 1, &targets, err) < 0)
		return -1;
	if (strcmp(transform, "NONE") != 0)
		return lm_onnx_refuse(r, node, err, "post_transform is %.40s, expected NONE",
		    transform);
	x = input_of(r, node, &features, err);
	n = x != NULL ? linear(r, node, x, features, targets > 0 ? (size_t)targets : 0, err) : NULL;
	return step(r, node, n, 0, NULL, err) != NULL ? 0 : -1;
}

/* How many classes there are, by their labels. */
static int
count_classes(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t *n,
    struct loom_error *err)
{
	const struct lm_onnx_attribute *a = lm_onnx_attribute(node, "classlabels_ints");

	if (a == NULL || a->n == 0)
		a = lm_onnx_attribute(node, "classlabels_strings");
	*n = a != NULL ? a->n : 0;
	return *n > 0 ? 0 : lm_onnx_refuse(r, node, err, "it has no class labels");
}

/*
 * Probabilities, its second output.  The labels, its first one, are no numbers of the network: a graph
 * that wants them has to be cut.
 */
READER(linear_classifier)
{
	struct lm_onnx_known *x, *y;
	const char *transform, *op;
	size_t features, classes;
	struct lm_node *n;

	if (lm_onnx_text(node, "post_transform", "NONE", &transform, err) < 0 ||
	    count_classes(r, node, &classes, err) < 0)
		return -1;
	if (node->n_out < 2 ||
	    (node->out[0][0] != '\0' && lm_onnx_find(r, node->out[0])->users > 0))
		return lm_onnx_refuse(r, node, err,
		    "its labels are read, which are no numbers of a network");
	op = strcmp(transform, "NONE") == 0	 ? NULL
	    : strcmp(transform, "SOFTMAX") == 0	 ? "softmax"
	    : strcmp(transform, "LOGISTIC") == 0 ? "sigmoid"
						 : "";
	if (op != NULL && op[0] == '\0')
		return lm_onnx_refuse(r, node, err,
		    "post_transform is %.40s, expected NONE, SOFTMAX or LOGISTIC", transform);
	x = input_of(r, node, &features, err);
	n = x != NULL ? linear(r, node, x, features, classes, err) : NULL;
	y = step(r, node, n, 1, op != NULL ? "scores" : NULL, err);
	if (y == NULL || op == NULL)
		return y != NULL ? 0 : -1;
	n = lm_onnx_new_node(r, node, op, 1, &y, err);
	if (n != NULL && strcmp(op, "softmax") == 0)
		lm_onnx_set(n, "axis", -1);
	return step(r, node, n, 1, NULL, err) != NULL ? 0 : -1;
}
