/* onnx_reads: what readers of dense layers, windows, norms and look-ups share. */
#include "onnx/onnx_reads.h"

#include <inttypes.h>
#include <string.h>

int
lm_onnx_is_constant(const struct lm_onnx_known *k)
{
	return k != NULL && k->tensor != NULL;
}

int
lm_onnx_is_weight(const struct lm_onnx_known *k)
{
	return lm_onnx_is_constant(k) && k->weight;
}

int64_t
lm_onnx_fixed(const struct lm_dim *d)
{
	return d->text == NULL ? d->value : -1;
}

int
lm_onnx_axis(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    const struct lm_onnx_known *x, int64_t axis, int64_t *at, struct loom_error *err)
{
	int64_t rank = x->ranked ? (int64_t)x->dims.n : 0;

	*at = axis;
	if (!x->ranked)
		return 0;
	*at = axis < 0 ? axis + rank : axis;
	if (*at < 0 || *at >= rank)
		return lm_onnx_refuse(r, node, err,
		    "axis is %" PRId64 ", its input has %" PRId64 " axes", axis, rank);
	return 0;
}

struct lm_node *
lm_onnx_begin(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    const char *op, size_t n_in, struct lm_onnx_known *const *in, struct loom_error *err)
{
	struct lm_onnx_node called = *node;
	size_t i;

	for (i = 0; i < n_in; i++)
		if (in[i] == NULL)
			return NULL;
	if (what != NULL)
		called.name = lm_onnx_between(r, node, what, err);
	return called.name != NULL ? lm_onnx_new_node(r, &called, op, n_in, in, err) : NULL;
}

struct lm_onnx_known *
lm_onnx_ended(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    struct lm_node *n, struct loom_error *err)
{
	const char *name = node->out[0];

	if (n == NULL)
		return NULL;
	if (what != NULL)
		name = lm_onnx_between(r, node, what, err);
	if (name == NULL || lm_onnx_end_node(r, n, &name, 1, err) < 0)
		return NULL;
	return lm_onnx_find(r, name);
}

struct lm_onnx_known *
lm_onnx_plain(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    const char *op, struct lm_onnx_known *a, struct lm_onnx_known *b, struct loom_error *err)
{
	struct lm_onnx_known *in[2] = { a, b };
	struct lm_node *n = lm_onnx_begin(r, node, what, op, b != NULL ? 2 : 1, in, err);

	return lm_onnx_ended(r, node, what, n, err);
}

struct lm_onnx_known *
lm_onnx_reshaped(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    struct lm_onnx_known *x, const struct lm_dims *dims, struct loom_error *err)
{
	struct lm_node *n = lm_onnx_begin(r, node, what, "reshape", 1, &x, err);

	if (n == NULL || lm_onnx_set_dims(r, n, "shape", dims->dim, dims->n, err) < 0)
		return NULL;
	return lm_onnx_ended(r, node, what, n, err);
}

struct lm_onnx_known *
lm_onnx_flattened(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    struct lm_onnx_known *x, int64_t start, struct loom_error *err)
{
	struct lm_node *n = lm_onnx_begin(r, node, what, "flatten", 1, &x, err);

	if (n == NULL)
		return NULL;
	lm_onnx_set(n, "start", start);
	lm_onnx_set(n, "end", -1);
	return lm_onnx_ended(r, node, what, n, err);
}
