/* onnx_from_reductions: operators that make one value of all along some axes, and running sums. */
#include <string.h>

#include "onnx/onnx_from.h"

/* The axes that an attribute or the second input names; *n 0: all of them. */
static int
read_axes(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int64_t *axes, size_t *n,
    struct loom_error *err)
{
	const struct lm_onnx_known *in = lm_onnx_in(r, node, 1);
	const int64_t *given;

	if (in != NULL)
		return lm_onnx_integers(r, in, axes, LM_ONNX_RANK, n, err);
	if (lm_onnx_ints(node, "axes", &given, n, err) < 0)
		return -1;
	if (*n > LM_ONNX_RANK)
		return lm_onnx_refuse(r, node, err, "%zu axes", *n);
	if (*n > 0)
		memcpy(axes, given, *n * sizeof(*axes));
	return 0;
}

static int
all_axes(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int64_t *axes, size_t *n,
    struct loom_error *err)
{
	const struct lm_onnx_known *x = lm_onnx_in(r, node, 0);

	if (x == NULL || !x->ranked)
		return lm_onnx_refuse(r, node, err, "how many axes its input has is not known");
	for (*n = 0; *n < x->dims.n && *n < LM_ONNX_RANK; (*n)++)
		axes[*n] = (int64_t)*n;
	return 0;
}

/* A node of ours that reduces in along axes; NULL on failure. */
static struct lm_node *
reducing(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct lm_onnx_known *in, const int64_t *axes, size_t n, struct loom_error *err)
{
	struct lm_node *to;
	int64_t keep;

	if (lm_onnx_int(node, "keepdims", 1, &keep, err) < 0)
		return NULL;
	to = lm_onnx_new_node(r, node, op, 1, &in, err);
	if (to == NULL || lm_onnx_set_list(r, to, "axes", axes, n, err) < 0)
		return NULL;
	lm_onnx_set(to, "keepdims", keep != 0);
	return to;
}

/* What comes before and after the sum, of one value each: operations of ours, or NULL. */
struct around {
	const char *before, *op, *after;
};

/* The values that are reduced. */
static struct lm_onnx_known *
prepared(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *before,
    struct loom_error *err)
{
	struct lm_onnx_known *in[2];

	in[0] = in[1] = lm_onnx_in(r, node, 0);
	if (in[0] == NULL) {
		(void)lm_onnx_refuse(r, node, err, "its input is not given");
		return NULL;
	}
	if (before == NULL)
		return in[0];
	return lm_onnx_value_between(r, node, before, before, strcmp(before, "mul") == 0 ? 2 : 1,
	    in, err);
}

static int
reduce_along(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct around *how,
    const int64_t *axes, size_t n, struct loom_error *err)
{
	struct lm_onnx_known *in = prepared(r, node, how->before, err);
	struct lm_node *to = in != NULL ? reducing(r, node, how->op, in, axes, n, err) : NULL;
	const char *name = node->out[0];

	if (to == NULL)
		return -1;
	if (how->after != NULL)
		name = lm_onnx_between(r, node, "reduced", err);
	if (name == NULL || lm_onnx_end_node(r, to, &name, 1, err) < 0)
		return -1;
	if (how->after == NULL)
		return 0;
	in = lm_onnx_find(r, name);
	return lm_onnx_done(r, node, lm_onnx_new_node(r, node, how->after, 1, &in, err), err);
}

static int
reduce(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct around *how,
    struct loom_error *err)
{
	int64_t axes[LM_ONNX_RANK], noop;
	size_t n;

	if (read_axes(r, node, axes, &n, err) < 0 ||
	    lm_onnx_int(node, "noop_with_empty_axes", 0, &noop, err) < 0)
		return -1;
	if (n == 0 && noop == 0 && all_axes(r, node, axes, &n, err) < 0)
		return -1;
	if (n > 0)
		return reduce_along(r, node, how, axes, n, err);
	if (how->before != NULL || how->after != NULL)
		return lm_onnx_refuse(r, node, err, "no axes");
	return lm_onnx_pass_on(r, node, err);
}

#define REDUCTION(name, before, op, after)                              \
	LM_ONNX_READER(reduce_##name)                                   \
	{                                                               \
		static const struct around how = { before, op, after }; \
		return reduce(r, node, &how, err);                      \
	}
REDUCTION(sum, NULL, "sum", NULL)
REDUCTION(mean, NULL, "mean", NULL)
REDUCTION(max, NULL, "max", NULL)
REDUCTION(min, NULL, "min", NULL)
REDUCTION(l1, "abs", "sum", NULL)
REDUCTION(l2, "mul", "sum", "sqrt")
REDUCTION(sum_square, "mul", "sum", NULL)
REDUCTION(log_sum, NULL, "sum", "log")
REDUCTION(log_sum_exp, "exp", "sum", "log")

/* ---- places ---- */

/* The extent along axis, which is counted from 0 on then; refused where it is no number. */
static int
known_extent(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    const struct lm_onnx_known *x, int64_t *axis, int64_t *n, struct loom_error *err)
{
	*axis += *axis < 0 ? (int64_t)x->dims.n : 0;
	if (!x->ranked || *axis < 0 || *axis >= (int64_t)x->dims.n ||
	    x->dims.dim[*axis].text != NULL || x->dims.dim[*axis].value > INT32_MAX)
		return lm_onnx_refuse(r, node, err,
		    "select_last_index along an axis whose extent is not known");
	*n = x->dims.dim[*axis].value;
	return 0;
}

/* x backwards along axis, so that the last of the greatest comes first. */
static struct lm_onnx_known *
backwards(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x,
    int64_t axis, int64_t n, struct loom_error *err)
{
	int64_t *indices = lm_arena_alloc(&r->arena, (size_t)n + 1, sizeof(*indices), err), i;

	for (i = 0; indices != NULL && i < n; i++)
		indices[i] = n - 1 - i;
	return indices != NULL ? lm_onnx_picked(r, node, x, axis, indices, (size_t)n, err) : NULL;
}

static struct lm_node *
argmax(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *in,
    int64_t axis, struct loom_error *err)
{
	struct lm_node *to;
	int64_t keep;

	if (lm_onnx_int(node, "keepdims", 1, &keep, err) < 0)
		return NULL;
	to = lm_onnx_new_node(r, node, "argmax", 1, &in, err);
	if (to == NULL)
		return NULL;
	lm_onnx_set(to, "axis", axis);
	lm_onnx_set(to, "keepdims", keep != 0);
	return to;
}

/* n - 1 - the place of the first one backwards. */
static int
last_place(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x,
    int64_t axis, struct loom_error *err)
{
	struct lm_onnx_known *in[2];
	struct lm_node *to;
	const char *name;
	int64_t n = 0;

	if (known_extent(r, node, x, &axis, &n, err) < 0)
		return -1;
	x = backwards(r, node, x, axis, n, err);
	to = x != NULL ? argmax(r, node, x, axis, err) : NULL;
	name = to != NULL ? lm_onnx_between(r, node, "place", err) : NULL;
	if (name == NULL || lm_onnx_end_node(r, to, &name, 1, err) < 0)
		return -1;
	in[0] = lm_onnx_constant_whole(r, node, "last", n - 1, err);
	in[1] = lm_onnx_find(r, name);
	if (in[0] == NULL)
		return -1;
	return lm_onnx_done(r, node, lm_onnx_new_node(r, node, "sub", 2, in, err), err);
}

static int
place_of(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *in,
    struct loom_error *err)
{
	int64_t axis, last;

	if (in == NULL || lm_onnx_int(node, "select_last_index", 0, &last, err) < 0 ||
	    lm_onnx_int(node, "axis", 0, &axis, err) < 0)
		return -1;
	if (last != 0)
		return last_place(r, node, in, axis, err);
	return lm_onnx_done(r, node, argmax(r, node, in, axis, err), err);
}

LM_ONNX_READER(argmax)
{
	return place_of(r, node, prepared(r, node, NULL, err), err);
}

LM_ONNX_READER(argmin)
{
	return place_of(r, node, prepared(r, node, "neg", err), err);
}

LM_ONNX_READER(cumsum)
{
	struct lm_onnx_known *axis = lm_onnx_in(r, node, 1);
	struct lm_node *to;
	int64_t at;
	size_t n;

	if (axis == NULL)
		return lm_onnx_refuse(r, node, err, "its axis is not given");
	if (lm_onnx_integers(r, axis, &at, 1, &n, err) < 0 ||
	    lm_onnx_only(r, node, "exclusive", 0, err) < 0 ||
	    lm_onnx_only(r, node, "reverse", 0, err) < 0)
		return -1;
	to = lm_onnx_with(r, node, "cumsum", 1, err);
	if (to == NULL)
		return -1;
	lm_onnx_set(to, "axis", at);
	return lm_onnx_done(r, node, to, err);
}
