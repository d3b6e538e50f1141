/* layout: where the values of a slot lie in the array of another engine that they came from. */
#include "layer/layout.h"

#include <string.h>

uint64_t
lm_layout_count(const struct lm_layout *l)
{
	uint64_t count = 1;
	unsigned i;

	for (i = 0; i < l->rank; i++)
		count *= l->shape[i];
	return count;
}

int
lm_layout_same_array(const struct lm_layout *a, const struct lm_layout *b)
{
	return a->rank == b->rank && memcmp(a->shape, b->shape, a->rank * sizeof(*a->shape)) == 0;
}

/* ---- the rules ---- */

static int
outside(const struct lm_layout *l, const char *where, struct loom_error *err)
{
	struct lm_shape array = { .rank = l->rank };
	char text[LM_SHAPE_TEXT];

	memcpy(array.dim, l->shape, sizeof(array.dim));
	return lm_fail(err, LOOM_EFORMAT, "%s: \"layout\" leaves its array of%s", where,
	    lm_shape_text(text, &array));
}

static uint64_t
distance(int64_t stride)
{
	return stride < 0 ? 0 - (uint64_t)stride : (uint64_t)stride;
}

/* How far the slot reaches below and above its first element; both stay below count. */
static int
check_axes(const struct lm_layout *l, const uint64_t *extent, uint64_t count, const char *where,
    struct loom_error *err)
{
	uint64_t below = 0, above = 0, step, *side;
	unsigned k;

	for (k = 0; k < l->axes; k++) {
		if (extent[k] <= 1)
			continue;
		step = distance(l->stride[k]);
		if (step == 0)
			return lm_fail(err, LOOM_EFORMAT,
			    "%s: \"layout\" has stride 0 on axis %u, which has %llu entries", where,
			    k, (unsigned long long)extent[k]);
		if (extent[k] - 1 > (count - 1) / step)
			return outside(l, where, err);
		side = l->stride[k] < 0 ? &below : &above;
		*side += (extent[k] - 1) * step;
		if (*side >= count)
			return outside(l, where, err);
	}
	return below > l->first || above >= count - l->first ? outside(l, where, err) : 0;
}

int
lm_layout_check(const struct lm_layout *l, const uint64_t *extent, const char *where,
    struct loom_error *err)
{
	struct lm_shape array = { .rank = l->rank };
	uint64_t count;
	unsigned k;

	memcpy(array.dim, l->shape, sizeof(array.dim));
	if (lm_shape_count(&array, &count) < 0 || count > INT64_MAX / 16)
		return lm_fail(err, LOOM_EFORMAT, "%s: \"layout\" has an array that is too large",
		    where);
	for (k = 0; k < l->axes; k++)
		if (extent[k] == 0)
			return l->first <= count ? 0 : outside(l, where, err);
	return l->first < count ? check_axes(l, extent, count, where, err) : outside(l, where, err);
}

/* ---- views ---- */

int
lm_layout_whole(const struct lm_layout *l, const uint64_t *extent)
{
	uint64_t step = 1;
	unsigned k;

	for (k = l->axes; k-- > 0; step *= extent[k])
		if (extent[k] != 1 && l->stride[k] != (int64_t)step)
			return 0;
	return step == lm_layout_count(l);
}

int
lm_layout_view(const struct lm_layout *l, const uint64_t *extent, struct lm_view *v,
    struct loom_error *err)
{
	if (l->axes > LM_VIEW_RANK)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%u axes, at most %d are read", l->axes,
		    LM_VIEW_RANK);
	v->first = l->first;
	v->rank = l->axes;
	memcpy(v->extent, extent, l->axes * sizeof(*extent));
	memcpy(v->stride, l->stride, l->axes * sizeof(*l->stride));
	return 0;
}
