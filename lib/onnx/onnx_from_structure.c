/* onnx_from_structure: operators that pass on, are constants, or give values other extents. */
#include <inttypes.h>
#include <string.h>

#include "onnx/onnx_known.h"
#include "num/bytes.h"

#define READER(name)                                                                        \
	lm_onnx_read_fn lm_onnx_from_##name;                                                \
	int lm_onnx_from_##name(struct lm_onnx_reading *r, const struct lm_onnx_node *node, \
	    struct loom_error *err)

/* Input k, or a refusal. */
struct lm_onnx_known *
lm_onnx_need(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t k,
    struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, k);

	if (x == NULL)
		(void)lm_onnx_refuse(r, node, err, "it has no input %zu", k);
	return x;
}

struct lm_onnx_known *
lm_onnx_output(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	struct lm_onnx_known *y = node->n_out > 0 ? lm_onnx_find(r, node->out[0]) : NULL;

	if (y == NULL)
		(void)lm_onnx_refuse(r, node, err, "it has no output");
	return y;
}

int
lm_onnx_need_rank(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    const struct lm_onnx_known *x, struct loom_error *err)
{
	if (x->ranked)
		return 0;
	return lm_onnx_refuse(r, node, err, "how many axes its input %.100s has is not known",
	    x->name);
}

/* ---- passing on ---- */

void
lm_onnx_alias(struct lm_onnx_known *y, const struct lm_onnx_known *x)
{
	struct lm_onnx_known old = *y;

	*y = *x;
	y->name = old.name;
	y->users = old.users;
	y->maker = old.maker;
	y->user = old.user;
	y->is_output = old.is_output;
}

READER(identity)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, 0, err), *y = lm_onnx_output(r, node, err);
	struct lm_node *n;

	if (x == NULL || y == NULL)
		return -1;
	if (x->tensor != NULL || x->value == LM_ABSENT || x->dtype != lm_dtype_get(LM_F32)) {
		lm_onnx_alias(y, x);
		return 0;
	}
	n = lm_onnx_new_node(r, node, "linear", 1, &x, err);
	return n != NULL ? lm_onnx_end_node(r, n, node->out, 1, err) : -1;
}

/* Whether it drops anything: by inputs since opset 12, before that never. */
static int
drops(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int *random,
    struct loom_error *err)
{
	struct lm_onnx_known *ratio = lm_onnx_in(r, node, 1), *training = lm_onnx_in(r, node, 2);
	double on = 0, part = 0.5;

	if (training != NULL && lm_onnx_number(r, training, &on, err) < 0)
		return -1;
	if (ratio != NULL && lm_onnx_number(r, ratio, &part, err) < 0)
		return -1;
	*random = on != 0 && part != 0;
	return 0;
}

/* What trains is refused, since its results are random; the mask is then true everywhere. */
READER(dropout)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, 0, err), *y = lm_onnx_output(r, node, err);
	static const unsigned char yes = 1;
	const struct lm_onnx_tensor *one;
	int random;

	if (x == NULL || y == NULL || drops(r, node, &random, err) < 0)
		return -1;
	if (random)
		return lm_onnx_refuse(r, node, err, "training_mode is on: its results are random");
	lm_onnx_alias(y, x);
	if (node->n_out < 2 || node->out[1][0] == '\0' || lm_onnx_find(r, node->out[1])->users == 0)
		return 0;
	one = lm_onnx_tensor_new(r, LM_ONNX_BOOL, 0, NULL, &yes, err);
	if (one == NULL || lm_onnx_need_rank(r, node, x, err) < 0)
		return -1;
	return lm_onnx_fill(r, node, node->out[1], one, x->dims.dim, x->dims.n, err);
}

/* ---- constants ---- */

static const struct lm_onnx_tensor *
of_attribute(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	const struct lm_onnx_attribute *a = node->n_attributes > 0 ? &node->attributes[0] : NULL;
	uint64_t n = a != NULL ? a->n : 0;

	if (a != NULL && strcmp(a->name, "value") == 0 && a->type == LM_ONNX_IS_TENSOR)
		return a->tensor;
	if (a != NULL && strcmp(a->name, "value_float") == 0 && a->type == LM_ONNX_IS_FLOAT)
		return lm_onnx_tensor_new(r, LM_ONNX_FLOAT, 0, NULL, &a->f, err);
	if (a != NULL && strcmp(a->name, "value_int") == 0 && a->type == LM_ONNX_IS_INT)
		return lm_onnx_tensor_new(r, LM_ONNX_INT64, 0, NULL, &a->i, err);
	if (a != NULL && strcmp(a->name, "value_floats") == 0 && a->type == LM_ONNX_IS_FLOATS)
		return lm_onnx_tensor_new(r, LM_ONNX_FLOAT, 1, &n, a->floats, err);
	if (a != NULL && strcmp(a->name, "value_ints") == 0 && a->type == LM_ONNX_IS_INTS)
		return lm_onnx_tensor_new(r, LM_ONNX_INT64, 1, &n, a->ints, err);
	(void)lm_onnx_refuse(r, node, err,
	    "expected value, value_float(s) or value_int(s), found %.60s",
	    a != NULL ? a->name : "nothing");
	return NULL;
}

READER(constant)
{
	const struct lm_onnx_tensor *t = of_attribute(r, node, err);
	struct lm_onnx_known *y = lm_onnx_output(r, node, err);
	struct lm_node *n;

	if (t == NULL || y == NULL || lm_onnx_know_constant(r, y->name, t, 0, err) < 0)
		return -1;
	if (y->dtype == NULL || r->folding)
		return 0;
	n = lm_onnx_new_node(r, node, "constant", 0, NULL, err);
	return n != NULL ? lm_onnx_constant_node(r, y, n, err) : -1;
}

/* ---- the same values under other extents ---- */

/* Numbers of elements in a trial, by extents that are an integer or an expression. */
static int
extent_in(struct lm_onnx_reading *r, const struct lm_onnx_known *list, const struct lm_dim *dims,
    size_t i, size_t t, int64_t *v)
{
	struct loom_error quiet = { 0 };
	uint64_t extent;

	*v = dims[i].value;
	if (list->tried != NULL && list->tried->small[t] != NULL) {
		*v = (int64_t)lm_get_u64(list->tried->small[t]->data + 8 * i);
		return 0;
	}
	if (dims[i].text == NULL)
		return 0;
	if (lm_dim_eval(&dims[i], &r->trials->sizes[t], &extent, &quiet) < 0)
		return -1;
	*v = (int64_t)extent;
	return 0;
}

/* What is left for the entry that is -1, in a trial; -1 where nothing fits. */
static int
rest_in(struct lm_onnx_reading *r, const struct lm_onnx_known *x, const struct lm_onnx_known *list,
    const struct lm_dim *dims, size_t n, size_t open, size_t t, int64_t *rest)
{
	uint64_t count;
	int64_t v, product = 1;
	size_t i;

	if (lm_shape_count(&x->tried->shape[t], &count) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (i == open)
			continue;
		if (extent_in(r, list, dims, i, t, &v) < 0 || v < 0 ||
		    __builtin_mul_overflow(product, v, &product))
			return -1;
	}
	if (product == 0 || count % (uint64_t)product != 0)
		return -1;
	*rest = (int64_t)(count / (uint64_t)product);
	return 0;
}

static int
settle_open(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    const struct lm_onnx_known *x, const struct lm_onnx_known *list, struct lm_dim *dims, size_t n,
    size_t open, struct loom_error *err)
{
	struct lm_onnx_term near[LOOM_RANK];
	int64_t rest[LM_ONNX_TRIALS] = { 0 };
	size_t t, living = 0;

	for (t = 0; t < r->trials->n; t++) {
		if (!r->trials->alive[t])
			continue;
		if (rest_in(r, x, list, dims, n, open, t, &rest[t]) < 0)
			r->trials->alive[t] = 0;
		else
			living++;
	}
	if (living == 0)
		return lm_onnx_refuse(r, node, err,
		    "no extent in the place of -1 fits its input %.100s", x->name);
	return lm_onnx_fit(r, rest, near, lm_onnx_terms(x, near), &dims[open], err);
}

/* 0 is the input's own extent, unless it is allowed to be 0; -1 is what is left. */
static int
settle(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct lm_onnx_known *x,
    const struct lm_onnx_known *list, struct lm_dim *dims, size_t n, struct loom_error *err)
{
	size_t i, open = LM_ABSENT;
	int64_t zeros;

	if (lm_onnx_int(node, "allowzero", 0, &zeros, err) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (dims[i].text != NULL || dims[i].value > 0)
			continue;
		if (dims[i].value < -1 || (dims[i].value == -1 && open != LM_ABSENT))
			return lm_onnx_refuse(r, node, err, "entry %zu of its shape is %" PRId64, i,
			    dims[i].value);
		if (dims[i].value == -1)
			open = i;
		else if (!zeros && i >= x->dims.n)
			return lm_onnx_refuse(r, node, err,
			    "entry %zu of its shape is 0, and its input has %zu axes", i,
			    x->dims.n);
		else if (!zeros)
			dims[i] = x->dims.dim[i];
	}
	return open != LM_ABSENT ? settle_open(r, node, x, list, dims, n, open, err) : 0;
}

READER(reshape)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, 0, err),
			     *list = lm_onnx_need(r, node, 1, err);
	const struct lm_dim *given;
	struct lm_dim *dims;
	struct lm_node *n;
	size_t rank, value;

	if (x == NULL || list == NULL || lm_onnx_extents(r, list, &given, &rank, err) < 0 ||
	    lm_onnx_value_of(r, x, &value, err) < 0)
		return -1;
	dims = lm_arena_alloc(&r->arena, rank + 1, sizeof(*dims), err);
	if (dims == NULL)
		return -1;
	memcpy(dims, given, rank * sizeof(*dims));
	if (settle(r, node, x, list, dims, rank, err) < 0)
		return -1;
	n = lm_onnx_new_node(r, node, "reshape", 1, &x, err);
	if (n == NULL || lm_onnx_set_dims(r, n, "shape", dims, rank, err) < 0 ||
	    lm_onnx_end_node(r, n, node->out, 1, err) < 0)
		return -1;
	lm_onnx_find(r, node->out[0])->filled = x->filled;
	return 0;
}

/* The product of some extents of x: an integer or an expression. */
static int
product(struct lm_onnx_reading *r, const struct lm_onnx_known *x, size_t from, size_t to,
    struct lm_dim *dim, struct loom_error *err)
{
	struct lm_onnx_term near[LOOM_RANK];
	int64_t v[LM_ONNX_TRIALS] = { 0 };
	size_t t, i;

	for (t = 0; t < r->trials->n; t++)
		for (v[t] = 1, i = from; r->trials->alive[t] && i < to; i++)
			if (__builtin_mul_overflow(v[t], (int64_t)x->tried->shape[t].dim[i], &v[t]))
				v[t] = 0;
	return lm_onnx_fit(r, v, near, lm_onnx_terms(x, near), dim, err);
}

/* Two axes: what is before axis, and the others. */
READER(flatten)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, 0, err);
	struct lm_dim dims[2];
	struct lm_node *n;
	int64_t axis;
	size_t value;

	if (x == NULL || lm_onnx_need_rank(r, node, x, err) < 0 ||
	    lm_onnx_int(node, "axis", 1, &axis, err) < 0 || lm_onnx_value_of(r, x, &value, err) < 0)
		return -1;
	axis += axis < 0 ? (int64_t)x->dims.n : 0;
	if (axis < 0 || axis > (int64_t)x->dims.n)
		return lm_onnx_refuse(r, node, err, "its input has %zu axes and none at %" PRId64,
		    x->dims.n, axis);
	n = lm_onnx_new_node(r, node, axis == 1 && x->dims.n > 1 ? "flatten" : "reshape", 1, &x,
	    err);
	if (n == NULL)
		return -1;
	if (axis == 1 && x->dims.n > 1) {
		lm_onnx_set(n, "start", 1);
		lm_onnx_set(n, "end", -1);
	} else if (product(r, x, 0, (size_t)axis, &dims[0], err) < 0 ||
	    product(r, x, (size_t)axis, x->dims.n, &dims[1], err) < 0 ||
	    lm_onnx_set_dims(r, n, "shape", dims, 2, err) < 0)
		return -1;
	return lm_onnx_end_node(r, n, node->out, 1, err);
}

/* Axes by attribute before opset 13, by input since; none: *n is 0. */
static int
axes_of(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int64_t axes[LOOM_RANK],
    size_t *n, struct loom_error *err)
{
	struct lm_onnx_known *given = lm_onnx_in(r, node, 1);
	const int64_t *list;

	*n = 0;
	if (r->opset >= 13)
		return given != NULL ? lm_onnx_integers(r, given, axes, LOOM_RANK, n, err) : 0;
	if (lm_onnx_ints(node, "axes", &list, n, err) < 0)
		return -1;
	if (*n > LOOM_RANK)
		return lm_onnx_refuse(r, node, err, "%zu axes, at most %d go", *n, LOOM_RANK);
	if (*n > 0)
		memcpy(axes, list, *n * sizeof(*axes));
	return 0;
}

static int
with_axes(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    const int64_t *axes, size_t n_axes, struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	struct lm_node *n = lm_onnx_new_node(r, node, op, 1, &x, err);

	if (n == NULL || lm_onnx_set_list(r, n, "axes", axes, n_axes, err) < 0 ||
	    lm_onnx_end_node(r, n, node->out, 1, err) < 0)
		return -1;
	lm_onnx_find(r, node->out[0])->filled = x->filled;
	return 0;
}

/* Without axes all go that have an extent of 1. */
READER(squeeze)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, 0, err);
	int64_t axes[LOOM_RANK];
	size_t n, i;

	if (x == NULL || axes_of(r, node, axes, &n, err) < 0)
		return -1;
	if (n == 0 && lm_onnx_need_rank(r, node, x, err) < 0)
		return -1;
	for (i = 0; n == 0 && i < x->dims.n; i++)
		if (x->dims.dim[i].text != NULL)
			return lm_onnx_refuse(r, node, err,
			    "it names no axes, and whether an extent of %.60s is 1 is not known",
			    x->dims.dim[i].text);
	if (n == 0)
		for (i = 0; i < x->dims.n; i++)
			if (x->dims.dim[i].value == 1)
				axes[n++] = (int64_t)i;
	return with_axes(r, node, "squeeze", axes, n, err);
}

READER(unsqueeze)
{
	int64_t axes[LOOM_RANK];
	size_t n;

	if (lm_onnx_need(r, node, 0, err) == NULL || axes_of(r, node, axes, &n, err) < 0)
		return -1;
	if (n == 0)
		return lm_onnx_refuse(r, node, err, "it names no axes");
	return with_axes(r, node, "unsqueeze", axes, n, err);
}
