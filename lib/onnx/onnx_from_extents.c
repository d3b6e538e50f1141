/* onnx_from_extents: operators that ask for extents, or make values of an extent that is asked for. */
#include <math.h>
#include <string.h>

#include "onnx/onnx_known.h"
#include "num/bytes.h"

enum { MOST = 1 << 20 }; /* values of a constant that is written out */

#define READER(name)                                                                        \
	lm_onnx_read_fn lm_onnx_from_##name;                                                \
	int lm_onnx_from_##name(struct lm_onnx_reading *r, const struct lm_onnx_node *node, \
	    struct loom_error *err)

/* ---- extents ---- */

/* Of n extents of x from start on: in each trial a list. */
static int
know_extents(struct lm_onnx_reading *r, struct lm_onnx_known *y, const struct lm_onnx_known *x,
    size_t start, size_t n, struct loom_error *err)
{
	const struct lm_onnx_tensor *small[LM_ONNX_TRIALS] = { 0 };
	struct lm_onnx_term near[LOOM_RANK];
	int64_t list[LOOM_RANK];
	uint64_t dim = n;
	size_t t, i;

	for (t = 0; t < r->trials->n; t++) {
		for (i = 0; i < n; i++)
			lm_put_u64((unsigned char *)&list[i], x->tried->shape[t].dim[start + i]);
		small[t] = lm_onnx_tensor_new(r, LM_ONNX_INT64, 1, &dim, list, err);
		if (small[t] == NULL)
			return -1;
	}
	return lm_onnx_know_small(r, y, small, near, lm_onnx_terms(x, near), 1, err);
}

static int
know_integers(struct lm_onnx_reading *r, struct lm_onnx_known *y, const struct lm_dims *dims,
    size_t start, size_t n, struct loom_error *err)
{
	const struct lm_onnx_tensor *t;
	int64_t list[LOOM_RANK];
	uint64_t dim = n;
	size_t i;

	for (i = 0; i < n; i++)
		lm_put_u64((unsigned char *)&list[i], (uint64_t)dims->dim[start + i].value);
	t = lm_onnx_tensor_new(r, LM_ONNX_INT64, 1, &dim, list, err);
	return t != NULL ? lm_onnx_know_constant(r, y->name, t, 1, err) : -1;
}

/* An attribute that is an axis, which may count from the end and lie beyond it. */
static int
bound(const struct lm_onnx_node *node, const char *key, size_t rank, size_t otherwise, size_t *at,
    struct loom_error *err)
{
	int64_t v;

	if (lm_onnx_int(node, key, (int64_t)otherwise, &v, err) < 0)
		return -1;
	v += v < 0 ? (int64_t)rank : 0;
	*at = v < 0 ? 0 : v > (int64_t)rank ? rank : (size_t)v;
	return 0;
}

READER(shape)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, 0, err), *y = lm_onnx_output(r, node, err);
	size_t start, end, n;

	if (x == NULL || y == NULL || lm_onnx_need_rank(r, node, x, err) < 0 ||
	    bound(node, "start", x->dims.n, 0, &start, err) < 0 ||
	    bound(node, "end", x->dims.n, x->dims.n, &end, err) < 0)
		return -1;
	n = end > start ? end - start : 0;
	if (x->value == LM_ABSENT)
		return know_integers(r, y, &x->dims, start, n, err);
	return know_extents(r, y, x, start, n, err);
}

READER(size)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, 0, err), *y = lm_onnx_output(r, node, err);
	const struct lm_onnx_tensor *small[LM_ONNX_TRIALS] = { 0 };
	struct lm_onnx_term near[LOOM_RANK];
	uint64_t count = 0;
	unsigned char list[8];
	size_t t;

	if (x == NULL || y == NULL || lm_onnx_need_rank(r, node, x, err) < 0)
		return -1;
	for (t = 0; t < r->trials->n; t++) {
		if (x->tensor != NULL)
			count = x->tensor->count;
		else if (x->value == LM_ABSENT)
			count = x->tried->small[lm_onnx_alive(r)]->count;
		else if (lm_shape_count(&x->tried->shape[t], &count) < 0)
			count = 0;
		lm_put_u64(list, count);
		small[t] = lm_onnx_tensor_new(r, LM_ONNX_INT64, 0, NULL, list, err);
		if (small[t] == NULL)
			return -1;
	}
	return lm_onnx_know_small(r, y, small, near, lm_onnx_terms(x, near), 1, err);
}

/* ---- one number everywhere ---- */

/* A node expand of one number, and what all of it is. */
static int
filled(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *out,
    struct lm_onnx_known *x, const struct lm_dim *dims, size_t rank, struct loom_error *err)
{
	const struct lm_onnx_tensor *one = x->tensor;
	struct lm_node *n = lm_onnx_new_node(r, node, "expand", 1, &x, err);

	if (n == NULL || lm_onnx_set_dims(r, n, "shape", dims, rank, err) < 0 ||
	    lm_onnx_end_node(r, n, &out, 1, err) < 0)
		return -1;
	lm_onnx_find(r, out)->filled = one;
	return 0;
}

/* 1: a constant of these dims, which are integers and not too many; 0: they are not; -1. */
static int
filled_constant(struct lm_onnx_reading *r, const char *out, const struct lm_onnx_tensor *one,
    const struct lm_dim *dims, size_t rank, struct loom_error *err)
{
	size_t i, each = (size_t)lm_onnx_tensor_bytes(one);
	uint64_t dim[LM_ONNX_RANK], count = 1;
	struct lm_onnx_tensor *t;
	unsigned char *data;

	if (rank > LM_ONNX_RANK)
		return 0;
	for (i = 0; i < rank; i++) {
		if (dims[i].text != NULL || dims[i].value < 0 ||
		    lm_mul64(count, (uint64_t)dims[i].value, &count) < 0 || count > MOST)
			return 0;
		dim[i] = (uint64_t)dims[i].value;
	}
	data = lm_arena_alloc(&r->arena, (size_t)count + 1, each, err);
	if (data == NULL)
		return -1;
	for (i = 0; i < count; i++)
		memcpy(data + i * each, one->data, each);
	t = lm_onnx_tensor_new(r, one->type, (unsigned)rank, dim, data, err);
	return t != NULL && lm_onnx_know_constant(r, out, t, 1, err) == 0 ? 1 : -1;
}

int
lm_onnx_fill(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *out,
    const struct lm_onnx_tensor *one, const struct lm_dim *dims, size_t rank,
    struct loom_error *err)
{
	int rc = filled_constant(r, out, one, dims, rank, err);
	const char *name;

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	name = lm_onnx_between(r, node, "value", err);
	if (name == NULL || lm_onnx_know_constant(r, name, one, 1, err) < 0)
		return -1;
	return filled(r, node, out, lm_onnx_find(r, name), dims, rank, err);
}

READER(constant_of_shape)
{
	const struct lm_onnx_attribute *a = lm_onnx_attribute(node, "value");
	struct lm_onnx_known *shape = lm_onnx_need(r, node, 0, err);
	const struct lm_onnx_tensor *one;
	const struct lm_dim *dims;
	const float zero = 0;
	const void *value = &zero;
	size_t rank;

	if (shape == NULL || lm_onnx_output(r, node, err) == NULL ||
	    lm_onnx_extents(r, shape, &dims, &rank, err) < 0)
		return -1;
	if (a != NULL && (a->type != LM_ONNX_IS_TENSOR || a->tensor->count != 1))
		return lm_onnx_refuse(r, node, err, "its value is not one number");
	if (a != NULL)
		value = lm_onnx_stored_bytes(r, a->tensor, err);
	if (value == NULL)
		return -1;
	one = lm_onnx_tensor_new(r, a != NULL ? a->tensor->type : LM_ONNX_FLOAT, 0, NULL, value,
	    err);
	return one != NULL ? lm_onnx_fill(r, node, node->out[0], one, dims, rank, err) : -1;
}

/* ---- expand, range ---- */

/* Extents of the list and of x broadcast together; x's own where the list says 1. */
static int
broadcast(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct lm_onnx_known *x,
    const struct lm_dim *given, size_t n_given, struct lm_dim *dims, size_t *n,
    struct loom_error *err)
{
	const struct lm_dim *d, one = { NULL, 1 };
	size_t i, lead, skip;

	if (lm_onnx_need_rank(r, node, x, err) < 0)
		return -1;
	*n = x->dims.n > n_given ? x->dims.n : n_given;
	lead = *n - n_given;
	skip = *n - x->dims.n;
	for (i = 0; i < *n; i++) {
		d = i >= lead ? &given[i - lead] : &one;
		if (d->text == NULL && d->value == 1 && i >= skip)
			d = &x->dims.dim[i - skip];
		dims[i] = *d;
	}
	return 0;
}

READER(expand)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, 0, err),
			     *list = lm_onnx_need(r, node, 1, err);
	struct lm_dim dims[2 * LOOM_RANK];
	const struct lm_dim *given;
	struct lm_node *n;
	size_t rank, n_dims;

	if (x == NULL || list == NULL || lm_onnx_extents(r, list, &given, &rank, err) < 0 ||
	    broadcast(r, node, x, given, rank, dims, &n_dims, err) < 0)
		return -1;
	if (x->tensor != NULL && x->tensor->count == 1)
		return filled(r, node, node->out[0], x, dims, n_dims, err);
	n = lm_onnx_new_node(r, node, "expand", 1, &x, err);
	if (n == NULL || lm_onnx_set_dims(r, n, "shape", dims, n_dims, err) < 0 ||
	    lm_onnx_end_node(r, n, node->out, 1, err) < 0)
		return -1;
	lm_onnx_find(r, node->out[0])->filled = x->filled;
	return 0;
}

/* A number that is an integer or an extent, for arange. */
static int
range_end(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t k, struct lm_dim *dim,
    struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_need(r, node, k, err);
	const struct lm_dim *dims;
	size_t n;

	if (x == NULL || lm_onnx_extents(r, x, &dims, &n, err) < 0)
		return -1;
	if (n != 1)
		return lm_onnx_refuse(r, node, err, "its input %.100s is not one number", x->name);
	*dim = dims[0];
	return 0;
}

/* Real numbers that are known: start, start + step ... before stop. */
static int
real_range(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	double end[3], count;
	const struct lm_onnx_tensor *t;
	uint64_t dim, i;
	unsigned char *data;
	size_t k;

	for (k = 0; k < 3; k++)
		if (lm_onnx_number(r, lm_onnx_in(r, node, k), &end[k], err) < 0)
			return -1;
	count = ceil((end[1] - end[0]) / end[2]);
	if (!(count < MOST))
		return lm_onnx_refuse(r, node, err, "from %g to %g by %g is too far", end[0],
		    end[1], end[2]);
	dim = count > 0 ? (uint64_t)count : 0;
	data = lm_arena_alloc(&r->arena, (size_t)dim + 1, sizeof(float), err);
	if (data == NULL)
		return -1;
	for (i = 0; i < dim; i++)
		lm_put_f32(data + 4 * i, (float)(end[0] + (double)i * end[2]));
	t = lm_onnx_tensor_new(r, LM_ONNX_FLOAT, 1, &dim, data, err);
	return t != NULL ? lm_onnx_know_constant(r, node->out[0], t, 1, err) : -1;
}

READER(range)
{
	struct lm_onnx_known *step = lm_onnx_need(r, node, 2, err);
	struct lm_dim start, stop;
	struct lm_node *n;
	int64_t by;
	size_t one;

	if (step != NULL && step->tensor != NULL && step->tensor->type == LM_ONNX_FLOAT &&
	    lm_onnx_output(r, node, err) != NULL)
		return real_range(r, node, err);
	if (step == NULL || range_end(r, node, 0, &start, err) < 0 ||
	    range_end(r, node, 1, &stop, err) < 0 ||
	    lm_onnx_integers(r, step, &by, 1, &one, err) < 0)
		return -1;
	n = lm_onnx_new_node(r, node, "arange", 0, NULL, err);
	if (n == NULL || lm_onnx_set_dims(r, n, "start", &start, 1, err) < 0 ||
	    lm_onnx_set_dims(r, n, "stop", &stop, 1, err) < 0)
		return -1;
	lm_onnx_set(n, "step", by);
	return lm_onnx_end_node(r, n, node->out, 1, err);
}
