/*
 * onnx_from_resize: Resize and Upsample, where what they compute is ours exactly: places are quotients of
 * extents, so that scales must give whole extents; nearest is rounded down, from half pixels up.
 */
#include "onnx/onnx_reads.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { NEAREST, LINEAR };
enum { HALF_PIXEL, ASYMMETRIC, ALIGN_CORNERS };
enum { SPATIAL = 3 };

struct resampling {
	struct lm_onnx_known *x;
	size_t rank;
	struct lm_dim size[LM_ONNX_RANK]; /* of all axes */
	int changed[LM_ONNX_RANK];	  /* it is not what x has */
	int64_t times[LM_ONNX_RANK];	  /* the whole number that it is of x's extent, or 0 */
	int64_t mode, coordinates;
};

static int
same_dim(const struct lm_dim *a, const struct lm_dim *b)
{
	if (a->text == NULL || b->text == NULL)
		return a->text == b->text && a->value == b->value;
	return strcmp(a->text, b->text) == 0 && a->text[0] != '?';
}

/* ---- extents ---- */

/* Axis is by itself a whole number of times, or of another extent that is known. */
static int
scale_axis(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct resampling *s,
    size_t axis, float by, struct loom_error *err)
{
	const struct lm_dim *from = &s->x->dims.dim[axis];
	size_t room;
	char *text;

	s->times[axis] = by >= 1 && by < 0x1p30f && by == floorf(by) ? (int64_t)by : 0;
	s->changed[axis] = by != 1;
	if (by == 1)
		return 0;
	if (from->text == NULL && by > 0 && by < 0x1p30f && from->value < INT32_MAX &&
	    floor((double)by * (double)from->value) == (double)by * (double)from->value) {
		s->size[axis].value = (int64_t)((double)by * (double)from->value);
		return 0;
	}
	if (from->text == NULL || s->times[axis] == 0 || from->text[0] == '?')
		return lm_onnx_refuse(r, node, err,
		    "a scale of %.9g along axis %zu gives no whole extent; export with sizes",
		    (double)by, axis);
	room = strlen(from->text) + 32;
	text = lm_arena_alloc(&r->arena, room, 1, err);
	if (text == NULL)
		return -1;
	(void)snprintf(text, room, lm_dim_is_name(from->text) ? "%s*%" PRId64 : "(%s)*%" PRId64,
	    from->text, s->times[axis]);
	s->size[axis].text = text;
	return 0;
}

static void
size_axis(struct resampling *s, size_t axis, const struct lm_dim *to)
{
	const struct lm_dim *from = &s->x->dims.dim[axis];

	s->size[axis] = *to;
	s->changed[axis] = !same_dim(from, to);
	s->times[axis] = s->changed[axis] ? 0 : 1;
	if (from->text == NULL && to->text == NULL && from->value > 0 &&
	    to->value % from->value == 0)
		s->times[axis] = to->value / from->value;
}

/* Which axes entries are for: the attribute axes, or all. */
static int
entry_axes(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct resampling *s,
    size_t entries, int64_t *axes, struct loom_error *err)
{
	const int64_t *list;
	size_t n, i;

	if (lm_onnx_ints(node, "axes", &list, &n, err) < 0)
		return -1;
	if (entries != (n > 0 ? n : s->rank) || entries > s->rank)
		return lm_onnx_refuse(r, node, err, "%zu scales or sizes of %zu axes", entries,
		    n > 0 ? n : s->rank);
	for (i = 0; i < entries; i++)
		if (lm_onnx_axis(r, node, s->x, n > 0 ? list[i] : (int64_t)i, &axes[i], err) < 0)
			return -1;
	return 0;
}

static int
read_scales(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct resampling *s,
    const float *by, size_t n, struct loom_error *err)
{
	int64_t axes[LM_ONNX_RANK];
	size_t i;

	if (entry_axes(r, node, s, n, axes, err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (scale_axis(r, node, s, (size_t)axes[i], by[i], err) < 0)
			return -1;
	return 0;
}

static int
read_sizes(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct resampling *s,
    const struct lm_onnx_known *sizes, struct loom_error *err)
{
	int64_t axes[LM_ONNX_RANK];
	const struct lm_dim *to;
	size_t n, i;

	if (lm_onnx_extents(r, sizes, &to, &n, err) < 0 || entry_axes(r, node, s, n, axes, err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		size_axis(s, (size_t)axes[i], &to[i]);
	return 0;
}

static int
is_given(const struct lm_onnx_known *k)
{
	return k != NULL && !(k->tensor != NULL && k->tensor->count == 0);
}

static int
read_extents(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct resampling *s,
    struct loom_error *err)
{
	size_t at = r->opset >= 11 && strcmp(node->op, "Resize") == 0 ? 2 : 1, i;
	const struct lm_onnx_attribute *list = lm_onnx_attribute(node, "scales");
	const struct lm_onnx_known *scales = lm_onnx_in(r, node, at),
				   *sizes = lm_onnx_in(r, node, 3);
	const float *by;

	for (i = 0; i < s->rank; i++) {
		s->size[i] = s->x->dims.dim[i];
		s->times[i] = 1;
	}
	if (list != NULL && list->type == LM_ONNX_IS_FLOATS)
		return read_scales(r, node, s, list->floats, list->n, err);
	if (is_given(sizes))
		return read_sizes(r, node, s, sizes, err);
	if (!is_given(scales) || scales->tensor == NULL || scales->tensor->count > LM_ONNX_RANK)
		return lm_onnx_refuse(r, node, err, "its scales are computed, not stored");
	by = lm_onnx_floats(r, scales, err);
	return by != NULL ? read_scales(r, node, s, by, (size_t)scales->tensor->count, err) : -1;
}

/* ---- places ---- */

static int64_t
common_divisor(int64_t a, int64_t b)
{
	return b == 0 ? a : common_divisor(b, a % b);
}

/* Is no place of half pixels halfway between two?  (2 o + 1) in / (2 out) is whole for no o. */
static int
has_no_ties(const struct resampling *s)
{
	int64_t in, out;
	size_t i;

	for (i = 0; i < s->rank; i++) {
		if (!s->changed[i] || s->times[i] > 0)
			continue;
		in = lm_onnx_fixed(&s->x->dims.dim[i]);
		out = lm_onnx_fixed(&s->size[i]);
		if (in < 1 || out < 1 || out > INT32_MAX ||
		    2 * out / common_divisor(2 * out, in) % 2 != 0)
			return 0;
	}
	return 1;
}

/* Is every new extent more than 1, where PyTorch's half pixels are half pixels? */
static int
is_wide(const struct resampling *s)
{
	size_t i;

	for (i = 0; i < s->rank; i++)
		if (s->changed[i] && s->times[i] < 2 && lm_onnx_fixed(&s->size[i]) < 2)
			return 0;
	return 1;
}

/* What linear takes of a place. */
static int
linear_coordinates(const struct resampling *s, const char *how)
{
	static const char *const names[] = { "half_pixel", "asymmetric", "align_corners" };
	int i;

	for (i = HALF_PIXEL; i <= ALIGN_CORNERS; i++)
		if (strcmp(how, names[i]) == 0)
			return i;
	if (strcmp(how, "half_pixel_symmetric") == 0)
		return HALF_PIXEL;
	return strcmp(how, "pytorch_half_pixel") == 0 && is_wide(s) ? HALF_PIXEL : -1;
}

static int
nearest_coordinates(const struct resampling *s, const char *how, const char *nearest)
{
	int i = linear_coordinates(s, how);

	if (strcmp(how, "tf_half_pixel_for_nn") == 0)
		return strcmp(nearest, "floor") == 0 ? HALF_PIXEL : -1;
	if (i == ASYMMETRIC)
		return strcmp(nearest, "floor") == 0 ? ASYMMETRIC : -1;
	if (i != HALF_PIXEL)
		return -1;
	if (strcmp(nearest, "round_prefer_ceil") == 0)
		return HALF_PIXEL;
	return strcmp(nearest, "round_prefer_floor") == 0 && has_no_ties(s) ? HALF_PIXEL : -1;
}

/* Opset 10 had no names for places: they are asymmetric, those before others when it shrinks. */
static int
first_coordinates(const struct resampling *s)
{
	size_t i;

	for (i = 0; i < s->rank; i++)
		if (s->changed[i] && s->times[i] == 0 && s->mode == NEAREST)
			return -1;
	return ASYMMETRIC;
}

static int
read_places(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct resampling *s,
    struct loom_error *err)
{
	const char *mode, *how, *nearest;

	if (lm_onnx_text(node, "mode", "nearest", &mode, err) < 0 ||
	    lm_onnx_text(node, "coordinate_transformation_mode", "half_pixel", &how, err) < 0 ||
	    lm_onnx_text(node, "nearest_mode", "round_prefer_floor", &nearest, err) < 0)
		return -1;
	s->mode = strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0 ? LINEAR : NEAREST;
	if (s->mode == NEAREST && strcmp(mode, "nearest") != 0)
		return lm_onnx_refuse(r, node, err, "mode is %.40s; nearest and linear are read",
		    mode);
	if (r->opset < 11)
		s->coordinates = first_coordinates(s);
	else
		s->coordinates = s->mode == LINEAR ? linear_coordinates(s, how)
						   : nearest_coordinates(s, how, nearest);
	if (s->coordinates >= 0)
		return 0;
	return lm_onnx_refuse(r, node, err, "mode %s with coordinates %.40s%s%.40s", mode, how,
	    s->mode == LINEAR ? "" : " and ", s->mode == LINEAR ? "" : nearest);
}

static int
check_rest(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	int64_t antialias, exclude;
	const char *policy;

	if (lm_onnx_int(node, "antialias", 0, &antialias, err) < 0 ||
	    lm_onnx_int(node, "exclude_outside", 0, &exclude, err) < 0 ||
	    lm_onnx_text(node, "keep_aspect_ratio_policy", "stretch", &policy, err) < 0)
		return -1;
	if (antialias || exclude || strcmp(policy, "stretch") != 0)
		return lm_onnx_refuse(r, node, err,
		    "antialias, exclude_outside or keep_aspect_ratio_policy");
	return 0;
}

/* ---- the node ---- */

/* The first axis of those that our node has: behind batch and channels where these stay. */
static size_t
first_axis(const struct resampling *s)
{
	size_t stays = 0;

	while (stays < s->rank && !s->changed[stays])
		stays++;
	if (stays >= 2 && s->rank > 2 && s->rank - 2 <= SPATIAL)
		return 2;
	return s->rank > SPATIAL && stays >= s->rank - SPATIAL ? s->rank - SPATIAL
	    : stays < s->rank				       ? stays
							       : s->rank - 1;
}

static int
resize(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	struct resampling s = { .x = lm_onnx_in(r, node, 0) };
	struct lm_node *n;
	size_t first;

	if (s.x == NULL || !s.x->ranked || s.x->dims.n < 1 || s.x->dims.n > LM_ONNX_RANK)
		return lm_onnx_refuse(r, node, err, "how many axes its input has is not known");
	s.rank = s.x->dims.n;
	if (check_rest(r, node, err) < 0 || read_extents(r, node, &s, err) < 0 ||
	    read_places(r, node, &s, err) < 0)
		return -1;
	first = first_axis(&s);
	if (s.rank - first > SPATIAL)
		return lm_onnx_refuse(r, node, err, "other axes than the last %d change", SPATIAL);
	n = lm_onnx_new_node(r, node, "resize", 1, &s.x, err);
	if (n == NULL || lm_onnx_set_dims(r, n, "size", s.size + first, s.rank - first, err) < 0)
		return -1;
	lm_onnx_set(n, "mode", s.mode);
	lm_onnx_set(n, "coordinates", s.coordinates);
	return lm_onnx_done(r, node, n, err);
}

LM_ONNX_READER(resize)
{
	return resize(r, node, err);
}

LM_ONNX_READER(upsample)
{
	return resize(r, node, err);
}
