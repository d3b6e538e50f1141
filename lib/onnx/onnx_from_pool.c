/* onnx_from_pool: MaxPool, AveragePool and the global ones. */
#include "onnx/onnx_reads.h"
#include "onnx/onnx_windows.h"

#include <inttypes.h>
#include <string.h>

/* Indices, which some ask of MaxPool, are no value of ours. */
static int
wants_more(struct lm_onnx_reading *r, const struct lm_onnx_node *node)
{
	const struct lm_onnx_known *k;
	size_t i;

	for (i = 1; i < node->n_out; i++) {
		k = node->out[i][0] != '\0' ? lm_onnx_find(r, node->out[i]) : NULL;
		if (k != NULL && k->users > 0)
			return 1;
	}
	return 0;
}

/*
 * Windows that ONNX adds by rounding up, where they begin in the padding, and ours does not: what we have is
 * cut out by the only reader of the result, which goes with it (onnx_to_pool.c).
 */
static int
is_cut(const struct lm_onnx_known *x, const struct lm_onnx_windows *s, int64_t axis, int64_t end)
{
	int64_t i = axis - 2, in, left, n;

	if (i < 0 || i >= (int64_t)s->axes || x->dims.n != s->axes + 2)
		return 0;
	in = lm_onnx_spatial(x, s->axes, (unsigned)i);
	left = in + s->low[i] + s->high[i] - (s->dilation[i] * (s->kernel[i] - 1) + 1);
	n = left / s->stride[i] + 1;
	return in > 0 && left > 0 && left % s->stride[i] != 0 &&
	    n * s->stride[i] >= in + s->low[i] && end == n;
}

/* The node that cuts out just that; NULL: there is none. */
static const struct lm_onnx_node *
cutting(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct lm_onnx_windows *s)
{
	const struct lm_onnx_node *cut = lm_onnx_only_user(r, node->out[0]);
	const struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	int64_t list[3][LM_SPATIAL]; /* starts, ends, axes */
	struct loom_error quiet = { 0 };
	size_t n[3], k, i;

	if (cut == NULL || strcmp(cut->op, "Slice") != 0 || cut->n_in != 4 || !x->ranked)
		return NULL;
	for (k = 0; k < 3; k++)
		if (!lm_onnx_is_weight(lm_onnx_in(r, cut, k + 1)) ||
		    lm_onnx_integers(r, lm_onnx_in(r, cut, k + 1), list[k], LM_SPATIAL, &n[k],
			&quiet) < 0 ||
		    n[k] != n[0])
			return NULL;
	for (i = 0; i < n[0]; i++)
		if (list[0][i] != 0 || !is_cut(x, s, list[2][i], list[1][i]))
			return NULL;
	return cut;
}

/* last: the node whose value it is, which has its name. */
static int
pool(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *const op[LM_SPATIAL],
    struct lm_onnx_windows *s, const struct lm_onnx_node **last, struct lm_node **n,
    struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	int64_t ceil;

	if (x == NULL)
		return lm_onnx_refuse(r, node, err, "an input is expected");
	if (wants_more(r, node))
		return lm_onnx_refuse(r, node, err,
		    "its indices are used; only the values are read");
	if (lm_onnx_read_windows(r, node, 0, NULL, s, err) < 0 ||
	    lm_onnx_read_padding(r, node, x, s, err) < 0 ||
	    lm_onnx_int(node, "ceil_mode", 0, &ceil, err) < 0)
		return -1;
	*last = ceil ? cutting(r, node, s) : NULL;
	if (*last != NULL)
		lm_onnx_take(r, *last);
	else
		*last = node;
	*n = lm_onnx_new_node(r, *last, op[s->axes - 1], 1, &x, err);
	if (*n == NULL || lm_onnx_set_windows(r, *n, s, err) < 0)
		return -1;
	lm_onnx_set(*n, "ceil", ceil != 0);
	return 0;
}

LM_ONNX_READER(max_pool)
{
	static const char *const op[] = { "maxpool1", "maxpool2", "maxpool3" };
	const struct lm_onnx_node *last;
	struct lm_onnx_windows s;
	struct lm_node *n;

	return pool(r, node, op, &s, &last, &n, err) == 0 ? lm_onnx_done(r, last, n, err) : -1;
}

LM_ONNX_READER(average_pool)
{
	static const char *const op[] = { "avgpool1", "avgpool2", "avgpool3" };
	const struct lm_onnx_node *last;
	struct lm_onnx_windows s;
	struct lm_node *n;
	int64_t count;
	unsigned i;

	if (lm_onnx_int(node, "count_include_pad", 0, &count, err) < 0 ||
	    pool(r, node, op, &s, &last, &n, err) < 0)
		return -1;
	for (i = 0; i < s.axes; i++)
		if (s.dilation[i] != 1)
			return lm_onnx_refuse(r, node, err, "dilations of a mean");
	lm_onnx_set(n, "count_pad", count != 0);
	return lm_onnx_done(r, last, n, err);
}

/* All axes behind the channels; more than three of them by the operation that takes any axes. */
static int
global(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    const char *over_axes, struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	int64_t axes[LOOM_RANK];
	struct lm_node *n;
	size_t rank, i;

	if (x == NULL || !x->ranked || x->dims.n < 3)
		return lm_onnx_refuse(r, node, err, "its input has no known spatial axes");
	rank = x->dims.n;
	n = lm_onnx_new_node(r, node, rank <= 2 + LM_SPATIAL ? op : over_axes, 1, &x, err);
	if (n == NULL)
		return -1;
	if (rank <= 2 + LM_SPATIAL) {
		lm_onnx_set(n, "spatial", (int64_t)rank - 2);
		return lm_onnx_done(r, node, n, err);
	}
	for (i = 2; i < rank; i++)
		axes[i - 2] = (int64_t)i;
	lm_onnx_set(n, "keepdims", 1);
	if (lm_onnx_set_list(r, n, "axes", axes, rank - 2, err) < 0)
		return -1;
	return lm_onnx_done(r, node, n, err);
}

LM_ONNX_READER(global_max_pool)
{
	return global(r, node, "global_maxpool", "max", err);
}

LM_ONNX_READER(global_average_pool)
{
	return global(r, node, "global_avgpool", "mean", err);
}
