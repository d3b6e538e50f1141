/*
 * onnx_from_lookup: Gather, and slices that are one.  Rows of an initializer are an embedding, which wraps ids
 * below 0 and refuses what is outside as the operator does.  Other indices below 0 that the file holds are
 * made places; those that are computed are refused when a run meets them.
 */
#include "onnx/onnx_reads.h"

#include <inttypes.h>

#include "onnx/onnx_known.h"
#include "num/bytes.h"

enum { TABLE };
enum { ERROR = 2 }; /* of the names of outside */

static int
is_table(const struct lm_onnx_known *k, const struct lm_onnx_known *ids, int64_t axis)
{
	return lm_onnx_is_weight(k) && k->tensor->rank == 2 && k->tensor->count > 0 && axis == 0 &&
	    !lm_onnx_is_constant(ids) && k->dtype == lm_dtype_get(LM_F32);
}

static int
embedding(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    const struct lm_onnx_known *table, struct lm_onnx_known *ids, struct loom_error *err)
{
	struct lm_node *n = lm_onnx_new_node(r, node, "embedding", 1, &ids, err);

	if (n == NULL)
		return -1;
	lm_onnx_set(n, "vocab_size", (int64_t)table->tensor->dim[0]);
	lm_onnx_set(n, "embedding_dim", (int64_t)table->tensor->dim[1]);
	lm_onnx_set(n, "outside", ERROR);
	lm_onnx_set(n, "wrap", 1);
	if (lm_onnx_put(r, n, TABLE, table, NULL, err) < 0)
		return -1;
	return lm_onnx_done(r, node, n, err);
}

/* Indices of a file that has some below 0: a constant of places.  NULL on failure. */
static struct lm_onnx_known *
places(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct lm_onnx_known *x,
    struct lm_onnx_known *indices, int64_t axis, struct loom_error *err)
{
	const struct lm_onnx_tensor *t = indices->tensor;
	int64_t extent = x->ranked && axis >= 0 ? lm_onnx_fixed(&x->dims.dim[axis]) : -1;
	int64_t *v = lm_arena_alloc(&r->arena, (size_t)t->count + 1, sizeof(*v), err);
	size_t i, n, below = 0;
	const char *name;

	if (v == NULL || lm_onnx_integers(r, indices, v, (size_t)t->count, &n, err) < 0)
		return NULL;
	for (i = 0; i < n; i++) {
		below += v[i] < 0;
		lm_put_u64((unsigned char *)&v[i], (uint64_t)(v[i] < 0 ? v[i] + extent : v[i]));
	}
	if (below == 0)
		return indices;
	if (extent < 0) {
		(void)lm_onnx_refuse(r, node, err,
		    "an index below 0 along an axis whose extent is not fixed");
		return NULL;
	}
	name = lm_onnx_between(r, node, "places", err);
	t = name != NULL ? lm_onnx_tensor_new(r, LM_ONNX_INT64, t->rank, t->dim, v, err) : NULL;
	if (t == NULL || lm_onnx_know_constant(r, name, t, indices->weight, err) < 0)
		return NULL;
	return lm_onnx_find(r, name);
}

LM_ONNX_READER(gather)
{
	struct lm_onnx_known *in[2] = { lm_onnx_in(r, node, 0), lm_onnx_in(r, node, 1) };
	int64_t axis, at;
	struct lm_node *n;

	if (in[0] == NULL || in[1] == NULL)
		return lm_onnx_refuse(r, node, err, "two inputs are expected");
	if (lm_onnx_int(node, "axis", 0, &axis, err) < 0 ||
	    lm_onnx_axis(r, node, in[0], axis, &at, err) < 0)
		return -1;
	if (is_table(in[0], in[1], axis))
		return embedding(r, node, in[0], in[1], err);
	if (lm_onnx_is_constant(in[1]))
		in[1] = places(r, node, in[0], in[1], at, err);
	n = lm_onnx_begin(r, node, NULL, "gather", 2, in, err);
	if (n == NULL)
		return -1;
	lm_onnx_set(n, "axis", axis);
	return lm_onnx_done(r, node, n, err);
}

/* ---- slices that lead backwards ---- */

/* The places of a slice: how many, from first on. */
static uint64_t
count_places(int64_t extent, int64_t *first, int64_t stop, int64_t step)
{
	*first += *first < 0 ? extent : 0;
	*first = *first < extent ? *first : extent - 1;
	stop = stop < -extent ? -1 : (stop < 0 ? stop + extent : stop);
	return *first > stop && *first >= 0 ? (uint64_t)((*first - stop - 1) / -step) + 1 : 0;
}

int
lm_onnx_backwards(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int64_t axis,
    const struct lm_dim *start, const struct lm_dim *stop, int64_t step, struct loom_error *err)
{
	struct lm_onnx_known *in[2] = { lm_onnx_in(r, node, 0), NULL };
	int64_t at, extent = -1, first = start->value, *v;
	const struct lm_onnx_tensor *t;
	const char *name;
	struct lm_node *n;
	uint64_t count, i;

	if (in[0] == NULL || lm_onnx_axis(r, node, in[0], axis, &at, err) < 0)
		return -1;
	if (in[0]->ranked)
		extent = lm_onnx_fixed(&in[0]->dims.dim[at]);
	if (extent < 0 || start->text != NULL || stop->text != NULL || step <= INT32_MIN)
		return lm_onnx_refuse(r, node, err,
		    "step %" PRId64 ", which leads backwards, where the extent is not fixed", step);
	count = count_places(extent, &first, stop->value, step);
	v = lm_arena_alloc(&r->arena, (size_t)count + 1, sizeof(*v), err);
	for (i = 0; v != NULL && i < count; i++)
		lm_put_u64((unsigned char *)&v[i], (uint64_t)(first + (int64_t)i * step));
	name = lm_onnx_between(r, node, "places", err);
	t = v != NULL && name != NULL ? lm_onnx_tensor_new(r, LM_ONNX_INT64, 1, &count, v, err)
				      : NULL;
	if (t == NULL || lm_onnx_know_constant(r, name, t, 0, err) < 0)
		return -1;
	in[1] = lm_onnx_find(r, name);
	n = lm_onnx_begin(r, node, NULL, "gather", 2, in, err);
	if (n == NULL)
		return -1;
	lm_onnx_set(n, "axis", at);
	return lm_onnx_done(r, node, n, err);
}
