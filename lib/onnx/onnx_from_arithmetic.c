/* onnx_from_arithmetic: operators with any number of operands, powers, remainders, casts. */
#include <inttypes.h>
#include <string.h>

#include "onnx/onnx_from.h"

/* ---- any number of operands ---- */

/* The first of them with each of the others in turn; all but the last step make values on the way. */
static struct lm_onnx_known *
all_but_one(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op, size_t n,
    struct loom_error *err)
{
	struct lm_onnx_known *in[2];
	char what[32];
	size_t i;

	in[0] = lm_onnx_in(r, node, 0);
	for (i = 1; in[0] != NULL && i < n; i++) {
		in[1] = lm_onnx_in(r, node, i);
		(void)snprintf(what, sizeof(what), "%s%zu", op, i);
		in[0] = lm_onnx_value_between(r, node, what, op, 2, in, err);
	}
	return in[0];
}

static int
all_given(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < node->n_in; i++)
		if (lm_onnx_in(r, node, i) == NULL)
			return lm_onnx_refuse(r, node, err, "its input %zu is not given", i);
	return node->n_in > 0 ? 0 : lm_onnx_refuse(r, node, err, "it has no inputs");
}

static int
each(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct loom_error *err)
{
	struct lm_onnx_known *in[2];

	if (all_given(r, node, err) < 0)
		return -1;
	if (node->n_in == 1)
		return lm_onnx_pass_on(r, node, err);
	in[0] = all_but_one(r, node, op, node->n_in - 1, err);
	in[1] = lm_onnx_in(r, node, node->n_in - 1);
	if (in[0] == NULL)
		return -1;
	return lm_onnx_done(r, node, lm_onnx_new_node(r, node, op, 2, in, err), err);
}

LM_ONNX_READER(minimum)
{
	return each(r, node, "minimum", err);
}

LM_ONNX_READER(maximum)
{
	return each(r, node, "maximum", err);
}

LM_ONNX_READER(sum_of_inputs)
{
	return each(r, node, "add", err);
}

LM_ONNX_READER(mean_of_inputs)
{
	struct lm_onnx_known *in[2];

	if (all_given(r, node, err) < 0)
		return -1;
	if (node->n_in == 1)
		return lm_onnx_pass_on(r, node, err);
	in[0] = all_but_one(r, node, "add", node->n_in, err);
	if (in[0] == NULL)
		return -1;
	in[1] = lm_onnx_constant_real(r, node, "count", (double)node->n_in, err);
	if (in[1] == NULL)
		return -1;
	return lm_onnx_done(r, node, lm_onnx_new_node(r, node, "div", 2, in, err), err);
}

/* ---- powers ---- */

/* An operand as float32. */
static struct lm_onnx_known *
as_real(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *in,
    struct loom_error *err)
{
	struct lm_onnx_node named = *node;
	const char *name;
	struct lm_node *cast;

	if (in == NULL || in->dtype == lm_dtype_get(LM_F32))
		return in;
	name = lm_onnx_between(r, node, "float32", err);
	named.name = name;
	cast = name != NULL ? lm_onnx_new_node(r, &named, "cast", 1, &in, err) : NULL;
	return cast != NULL && lm_onnx_end_node(r, cast, &name, 1, err) == 0 ? lm_onnx_find(r, name)
									     : NULL;
}

/* Exponents may be integers; of integers, only squares are exact here. */
LM_ONNX_READER(pow)
{
	struct lm_onnx_known *in[2];

	if (all_given(r, node, err) < 0)
		return -1;
	in[0] = lm_onnx_in(r, node, 0);
	in[1] = lm_onnx_in(r, node, 1);
	if (in[0]->dtype != lm_dtype_get(LM_F32)) {
		if (in[1]->tensor != NULL && lm_onnx_all(r, in[1], 2, err) == 1)
			return lm_onnx_from_recipe(r, node, "mul(x, x)", NULL, err);
		return lm_onnx_refuse(r, node, err, "a power of integers");
	}
	in[1] = as_real(r, node, in[1], err);
	if (in[1] == NULL)
		return -1;
	return lm_onnx_done(r, node, lm_onnx_new_node(r, node, "pow", 2, in, err), err);
}

/* ---- remainders ---- */

/* With fmod it has the sign of x, as C's; ours has that of y. */
LM_ONNX_READER(mod)
{
	int real = lm_onnx_is(r, node, 0, lm_dtype_get(LM_F32));
	int64_t fmod;

	if (lm_onnx_int(node, "fmod", 0, &fmod, err) < 0)
		return -1;
	if (fmod == 0)
		return lm_onnx_done(r, node, lm_onnx_same(r, node, "remainder", err), err);
	return lm_onnx_from_recipe(r, node,
	    real ? "size = abs(x); by = abs(y); rest = remainder(size, by); back = neg(rest); "
		   "below = less(x, 0); where(below, back, rest)"
		 : "size = abs(x); by = abs(y); rest = remainder(size, by); back = neg(rest); "
		   "below = less(x, 0i); where(below, back, rest)",
	    NULL, err);
}

/* ---- casts ---- */

/* All integers are int64 in a run, so that those of 8 and 16 bits, which would wrap, are none. */
LM_ONNX_READER(cast)
{
	static const struct {
		int type;
		int64_t kind;
	} kinds[] = { { LM_ONNX_FLOAT, 0 }, { LM_ONNX_INT64, 1 }, { LM_ONNX_INT32, 1 },
		{ LM_ONNX_BOOL, 2 } };
	struct lm_node *n;
	int64_t to;
	size_t i;

	if (lm_onnx_int(node, "to", 0, &to, err) < 0)
		return -1;
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds) && kinds[i].type != to; i++)
		;
	if (i == sizeof(kinds) / sizeof(*kinds))
		return lm_onnx_refuse(r, node, err,
		    "to is %" PRId64 ", expected 1, 6, 7 or 9 (FLOAT, INT32, INT64, BOOL)", to);
	n = lm_onnx_with(r, node, "cast", 1, err);
	if (n == NULL)
		return -1;
	lm_onnx_set(n, "to", kinds[i].kind);
	return lm_onnx_done(r, node, n, err);
}
