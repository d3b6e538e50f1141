/* onnx_from_places: operators that move values: transposes, slices, parts, joins. */
#include <inttypes.h>
#include <string.h>

#include "onnx/onnx_from.h"

LM_ONNX_READER(transpose)
{
	const struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	int64_t perm[LM_ONNX_RANK];
	const int64_t *given;
	struct lm_node *to;
	size_t n, i;

	if (lm_onnx_ints(node, "perm", &given, &n, err) < 0)
		return -1;
	if (x == NULL || (n == 0 && !x->ranked))
		return lm_onnx_refuse(r, node, err, "how many axes its input has is not known");
	n = n == 0 ? x->dims.n : n;
	if (n > LM_ONNX_RANK)
		return lm_onnx_refuse(r, node, err, "%zu axes", n);
	for (i = 0; i < n; i++)
		perm[i] = lm_onnx_attribute(node, "perm") != NULL ? given[i] : (int64_t)(n - 1 - i);
	to = lm_onnx_with(r, node, "transpose", 1, err);
	if (to == NULL || lm_onnx_set_list(r, to, "perm", perm, n, err) < 0)
		return -1;
	return lm_onnx_done(r, node, to, err);
}

static int
along(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op, int64_t otherwise,
    struct loom_error *err)
{
	struct lm_node *to;
	int64_t axis;

	if (lm_onnx_int(node, "axis", otherwise, &axis, err) < 0)
		return -1;
	to = lm_onnx_same(r, node, op, err);
	if (to == NULL)
		return -1;
	lm_onnx_set(to, "axis", axis);
	return lm_onnx_done(r, node, to, err);
}

LM_ONNX_READER(concat)
{
	return along(r, node, "concat", 1, err);
}

LM_ONNX_READER(gather_elements)
{
	return along(r, node, "gather_elements", 0, err);
}

/* ---- dimensions ---- */

/* The extent of an axis, which may count from the end; *axis from 0 on. */
static int
extent_of(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int64_t *axis,
    struct lm_dim *extent, struct loom_error *err)
{
	const struct lm_onnx_known *x = lm_onnx_in(r, node, 0);

	if (x == NULL || !x->ranked)
		return lm_onnx_refuse(r, node, err, "how many axes its input has is not known");
	*axis += *axis < 0 ? (int64_t)x->dims.n : 0;
	if (*axis < 0 || *axis >= (int64_t)x->dims.n)
		return lm_onnx_refuse(r, node, err, "axis %" PRId64 " of %zu", *axis, x->dims.n);
	*extent = x->dims.dim[*axis];
	return 0;
}

/* extent op n as a dimension. */
static int
dim_with(struct lm_onnx_reading *r, const struct lm_dim *extent, const char *op, int64_t n,
    struct lm_dim *dim, struct loom_error *err)
{
	size_t size = strlen(extent->text) + strlen(op) + 32;
	int bare = lm_dim_is_name(extent->text);
	char *text = lm_arena_alloc(&r->arena, size, 1, err);

	if (text == NULL)
		return -1;
	(void)snprintf(text, size, "%s%s%s%s%" PRId64, bare ? "" : "(", extent->text,
	    bare ? "" : ")", op, n);
	dim->text = text;
	dim->value = 0;
	return 0;
}

/* ---- slices ---- */

/*
 * A bound along an extent: from the end where it is negative, and never beyond.  Of an extent that is not
 * known, what is positive and no way of saying "to the end" is taken to lie within.
 */
static int
bound(struct lm_onnx_reading *r, const struct lm_dim *extent, struct lm_dim *b,
    struct loom_error *err)
{
	int64_t v = b->value;

	if (b->text != NULL)
		return 0;
	if (extent->text == NULL) {
		v += v < 0 ? extent->value : 0;
		b->value = v < 0 ? 0 : v > extent->value ? extent->value : v;
		return 0;
	}
	if (extent->text[0] == '?' || v >= INT32_MAX) {
		if (v != 0)
			*b = *extent;
		return 0;
	}
	return v < 0 ? dim_with(r, extent, "-", -v, b, err) : 0;
}

struct slices {
	size_t n;
	int64_t axes[LM_ONNX_RANK], steps[LM_ONNX_RANK];
	struct lm_dim starts[LM_ONNX_RANK], stops[LM_ONNX_RANK];
};

/* Attributes, before opset 10. */
static int
slices_by_attributes(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct slices *s,
    struct loom_error *err)
{
	const int64_t *starts, *stops, *axes;
	size_t n_stops, n_axes, i;

	if (lm_onnx_ints(node, "starts", &starts, &s->n, err) < 0 ||
	    lm_onnx_ints(node, "ends", &stops, &n_stops, err) < 0 ||
	    lm_onnx_ints(node, "axes", &axes, &n_axes, err) < 0)
		return -1;
	if (s->n > LM_ONNX_RANK || n_stops != s->n || (n_axes != 0 && n_axes != s->n))
		return lm_onnx_refuse(r, node, err, "starts, ends and axes are not as many");
	for (i = 0; i < s->n; i++) {
		s->starts[i].value = starts[i];
		s->stops[i].value = stops[i];
		s->axes[i] = n_axes > 0 ? axes[i] : (int64_t)i;
		s->steps[i] = 1;
	}
	return 0;
}

/* Input k as dimensions, as many as there are entries. */
static int
slice_bounds(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t k,
    struct lm_dim *dst, size_t *n, struct loom_error *err)
{
	const struct lm_onnx_known *in = lm_onnx_in(r, node, k);
	const struct lm_dim *dim;

	if (in == NULL)
		return lm_onnx_refuse(r, node, err, "its input %zu is not given", k);
	if (lm_onnx_extents(r, in, &dim, n, err) < 0)
		return -1;
	if (*n > LM_ONNX_RANK)
		return lm_onnx_refuse(r, node, err, "%zu entries", *n);
	memcpy(dst, dim, *n * sizeof(*dst));
	return 0;
}

/* Input k as integers; where it is not given 0, 1, 2 ... for axes, and 1 for steps. */
static int
slice_list(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t k, int64_t *dst,
    size_t n, struct loom_error *err)
{
	const struct lm_onnx_known *in = lm_onnx_in(r, node, k);
	size_t found = n, i;

	for (i = 0; in == NULL && i < n; i++)
		dst[i] = k == 3 ? (int64_t)i : 1;
	if (in != NULL && lm_onnx_integers(r, in, dst, LM_ONNX_RANK, &found, err) < 0)
		return -1;
	return found == n
	    ? 0
	    : lm_onnx_refuse(r, node, err, "its input %zu has %zu entries, not %zu", k, found, n);
}

static int
slices_by_inputs(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct slices *s,
    struct loom_error *err)
{
	size_t stops;

	if (slice_bounds(r, node, 1, s->starts, &s->n, err) < 0 ||
	    slice_bounds(r, node, 2, s->stops, &stops, err) < 0 ||
	    slice_list(r, node, 3, s->axes, s->n, err) < 0 ||
	    slice_list(r, node, 4, s->steps, s->n, err) < 0)
		return -1;
	return stops == s->n
	    ? 0
	    : lm_onnx_refuse(r, node, err, "%zu starts, but %zu ends", s->n, stops);
}

/* Within x, and a start not after its stop. */
static int
settle(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct slices *s, size_t i,
    struct loom_error *err)
{
	struct lm_dim extent = { NULL, 0 }, *start = &s->starts[i], *stop = &s->stops[i];
	int64_t axis = s->axes[i];

	if (extent_of(r, node, &axis, &extent, err) < 0 || bound(r, &extent, start, err) < 0 ||
	    bound(r, &extent, stop, err) < 0)
		return -1;
	if (start->text == NULL && stop->text == NULL && start->value > stop->value)
		*stop = *start;
	return 0;
}

/* Entry i, whose step leads backwards: places that are named take the place of x, and the entry goes. */
static int
pick(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct slices *s, size_t i,
    struct lm_onnx_known **x, struct loom_error *err)
{
	struct lm_dim extent = { NULL, 0 };
	int64_t axis = s->axes[i], start = s->starts[i].value, stop = s->stops[i].value, *indices;
	size_t n = 0;

	if (extent_of(r, node, &axis, &extent, err) < 0)
		return -1;
	if (extent.text != NULL || s->starts[i].text != NULL || s->stops[i].text != NULL ||
	    s->steps[i] == 0 || extent.value > INT32_MAX)
		return lm_onnx_refuse(r, node, err,
		    "step %" PRId64 " along an axis whose extent is not known", s->steps[i]);
	start += start < 0 ? extent.value : 0;
	stop += stop < 0 ? extent.value : 0;
	stop = stop < -1 ? -1 : stop;
	indices = lm_arena_alloc(&r->arena, (size_t)extent.value + 1, sizeof(*indices), err);
	if (indices == NULL)
		return -1;
	for (start = start < extent.value ? start : extent.value - 1; start > stop && start >= 0;
	     start = s->steps[i] < -start - 1 ? -1 : start + s->steps[i])
		indices[n++] = start;
	*x = lm_onnx_picked(r, node, *x, axis, indices, n, err);
	s->n--;
	memmove(&s->axes[i], &s->axes[i + 1], (s->n - i) * sizeof(*s->axes));
	memmove(&s->steps[i], &s->steps[i + 1], (s->n - i) * sizeof(*s->steps));
	memmove(&s->starts[i], &s->starts[i + 1], (s->n - i) * sizeof(*s->starts));
	memmove(&s->stops[i], &s->stops[i + 1], (s->n - i) * sizeof(*s->stops));
	return *x != NULL ? 0 : -1;
}

LM_ONNX_READER(slice)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	struct slices s = { 0 };
	struct lm_node *to;
	size_t i = 0;

	if ((r->opset < 10 ? slices_by_attributes(r, node, &s, err)
			   : slices_by_inputs(r, node, &s, err)) < 0)
		return -1;
	while (i < s.n)
		if (s.steps[i] < 1) {
			if (pick(r, node, &s, i, &x, err) < 0)
				return -1;
		} else if (settle(r, node, &s, i++, err) < 0)
			return -1;
	to = lm_onnx_new_node(r, node, "slice", 1, &x, err);
	if (to == NULL || lm_onnx_set_list(r, to, "axes", s.axes, s.n, err) < 0 ||
	    lm_onnx_set_dims(r, to, "starts", s.starts, s.n, err) < 0 ||
	    lm_onnx_set_dims(r, to, "stops", s.stops, s.n, err) < 0 ||
	    lm_onnx_set_list(r, to, "steps", s.steps, s.n, err) < 0)
		return -1;
	return lm_onnx_done(r, node, to, err);
}

/* ---- parts ---- */

/* As many parts as outputs, each of the same size; from opset 18 on the last one may be smaller. */
static int
equal_parts(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int64_t axis,
    struct lm_dim *sizes, struct loom_error *err)
{
	int64_t n = (int64_t)node->n_out, each, last;
	struct lm_dim extent = { NULL, 0 };
	size_t i;

	if (extent_of(r, node, &axis, &extent, err) < 0)
		return -1;
	for (i = 0; extent.text != NULL && i < node->n_out; i++)
		if (dim_with(r, &extent, "//", n, &sizes[i], err) < 0)
			return -1;
	if (extent.text != NULL)
		return 0;
	each = (extent.value + n - 1) / n;
	last = extent.value - each * (n - 1);
	for (i = 0; i < node->n_out; i++)
		sizes[i] = (struct lm_dim){ NULL, i + 1 < node->n_out ? each : last };
	return last < 0 || (r->opset < 18 && last != each)
	    ? lm_onnx_refuse(r, node, err, "%" PRId64 " equal parts of %" PRId64, n, extent.value)
	    : 0;
}

static int
given_parts(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_dim *sizes,
    size_t *n, struct loom_error *err)
{
	const struct lm_onnx_known *in = lm_onnx_in(r, node, 1);
	const struct lm_dim *dim;
	const int64_t *given;
	size_t i;

	if (in != NULL) {
		if (lm_onnx_extents(r, in, &dim, n, err) < 0)
			return -1;
		for (i = 0; i < *n && i < LOOM_RANK; i++)
			sizes[i] = dim[i];
		return 0;
	}
	if (lm_onnx_ints(node, "split", &given, n, err) < 0)
		return -1;
	for (i = 0; i < *n && i < LOOM_RANK; i++)
		sizes[i] = (struct lm_dim){ NULL, given[i] };
	return 0;
}

LM_ONNX_READER(split)
{
	struct lm_dim sizes[LOOM_RANK];
	struct lm_node *to;
	int64_t axis;
	size_t n;

	if (node->n_out > LOOM_RANK)
		return lm_onnx_refuse(r, node, err, "%zu outputs, at most %d are read", node->n_out,
		    LOOM_RANK);
	if (lm_onnx_int(node, "axis", 0, &axis, err) < 0 ||
	    given_parts(r, node, sizes, &n, err) < 0 ||
	    (n == 0 && equal_parts(r, node, axis, sizes, err) < 0))
		return -1;
	if (n != 0 && n != node->n_out)
		return lm_onnx_refuse(r, node, err, "%zu sizes of %zu outputs", n, node->n_out);
	to = lm_onnx_with(r, node, "split", 1, err);
	if (to == NULL || lm_onnx_set_dims(r, to, "sizes", sizes, node->n_out, err) < 0)
		return -1;
	lm_onnx_set(to, "axis", axis);
	return lm_onnx_done(r, node, to, err);
}
