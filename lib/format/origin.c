/* origin: which arrays of another engine a slot's values came from, and where in them they lie. */
#include "format/origin.h"

#include <string.h>

#include "layer/layout.h"

enum { MOST_ALIASES = 1 << 16 };

/* What is being read, for messages. */
struct place {
	struct loom_model *model;
	struct lm_shape slot;
	const char *where;
	const unsigned *axis;
	struct loom_error *err;
};

/* ---- layout ---- */

static int
read_array(const struct place *at, const json_t *of, struct lm_layout *l)
{
	char within[300];
	json_t *list, *item;
	size_t i;

	(void)snprintf(within, sizeof(within), "%s: \"layout\"", at->where);
	if (lm_json_array(of, within, "shape", 1, &list, at->err) < 0)
		return -1;
	if (json_array_size(list) > LOOM_RANK)
		return lm_fail(at->err, LOOM_EFORMAT,
		    "%s: its \"shape\" has %zu axes, more than %d", within, json_array_size(list),
		    LOOM_RANK);
	l->rank = (unsigned)json_array_size(list);
	json_array_foreach(list, i, item) {
		if (!json_is_integer(item) || json_integer_value(item) < 0)
			return lm_fail(at->err, LOOM_EFORMAT,
			    "%s: its \"shape\" holds %s that is no extent", within,
			    lm_json_type(item));
		l->shape[i] = (uint64_t)json_integer_value(item);
	}
	return 0;
}

static int
read_strides(const struct place *at, const json_t *of, struct lm_layout *l)
{
	char within[300];
	json_t *list, *item;
	unsigned k;

	(void)snprintf(within, sizeof(within), "%s: \"layout\"", at->where);
	if (lm_json_array(of, within, "strides", 1, &list, at->err) < 0)
		return -1;
	if (json_array_size(list) != at->slot.rank)
		return lm_fail(at->err, LOOM_EFORMAT,
		    "%s: it has %zu strides, the tensor has %u axes", within, json_array_size(list),
		    at->slot.rank);
	l->axes = at->slot.rank;
	for (k = 0; k < l->axes; k++) {
		item = json_array_get(list, at->axis != NULL ? at->axis[k] : k);
		if (!json_is_integer(item))
			return lm_fail(at->err, LOOM_EFORMAT,
			    "%s: its \"strides\" hold %s, not only integers", within,
			    lm_json_type(item));
		l->stride[k] = json_integer_value(item);
	}
	return 0;
}

static int
read_layout(const struct place *at, struct lm_weight *w, json_t *of)
{
	static const char *const keys[] = { "shape", "first", "strides", NULL };
	struct lm_layout *l;
	char within[300];
	int64_t first = 0;

	(void)snprintf(within, sizeof(within), "%s: \"layout\"", at->where);
	if (w->source == NULL)
		return lm_fail(at->err, LOOM_EFORMAT,
		    "%s: \"layout\" says where in an array it lies, but no \"source\" says in which",
		    at->where);
	l = lm_arena_alloc(&at->model->arena, 1, sizeof(*l), at->err);
	if (l == NULL || lm_json_only(of, within, keys, at->err) < 0 ||
	    lm_json_integer(of, within, "first", 1, 0, INT64_MAX, &first, at->err) < 0 ||
	    read_array(at, of, l) < 0 || read_strides(at, of, l) < 0)
		return -1;
	l->first = (uint64_t)first;
	if (lm_layout_check(l, at->slot.dim, at->where, at->err) < 0)
		return -1;
	w->layout = l;
	return 0;
}

/* ---- aliases ---- */

static int
read_aliases(const struct place *at, struct lm_weight *w, json_t *list)
{
	const char **names;
	json_t *item;
	size_t i;

	if (w->source == NULL)
		return lm_fail(at->err, LOOM_EFORMAT,
		    "%s: \"aliases\" are more names of an array, but no \"source\" is its first",
		    at->where);
	if (json_array_size(list) > MOST_ALIASES)
		return lm_fail(at->err, LOOM_EFORMAT, "%s: %zu \"aliases\", more than %d",
		    at->where, json_array_size(list), MOST_ALIASES);
	names = lm_arena_alloc(&at->model->arena, json_array_size(list) + 1, sizeof(*names),
	    at->err);
	if (names == NULL)
		return -1;
	json_array_foreach(list, i, item) {
		if (!json_is_string(item))
			return lm_fail(at->err, LOOM_EFORMAT,
			    "%s: \"aliases\" hold %s, not only strings", at->where,
			    lm_json_type(item));
		names[i] = lm_arena_string(&at->model->arena, json_string_value(item), at->err);
		if (names[i] == NULL)
			return -1;
	}
	w->aliases = i > 0 ? names : NULL;
	return 0;
}

int
lm_origin_read(struct loom_model *model, struct lm_node *node, size_t slot, json_t *of,
    const char *where, const unsigned *axis, struct loom_error *err)
{
	struct place at = { .model = model, .where = where, .axis = axis, .err = err };
	struct lm_weight *w = &node->weight[slot];
	json_t *layout = NULL, *aliases = NULL;

	if (lm_json_object(of, where, "layout", 0, &layout, err) < 0 ||
	    lm_json_array(of, where, "aliases", 0, &aliases, err) < 0)
		return -1;
	if (layout != NULL &&
	    (lm_slot_shape(node, slot, &at.slot, err) < 0 || read_layout(&at, w, layout) < 0))
		return -1;
	return aliases != NULL ? read_aliases(&at, w, aliases) : 0;
}

/* ---- the way back ---- */

static int
write_layout(json_t *object, const struct lm_layout *l, struct loom_error *err)
{
	json_t *of = json_object(), *shape, *strides;
	unsigned i;

	if (lm_json_set(object, "layout", of, err) < 0 ||
	    lm_json_set(of, "shape", shape = json_array(), err) < 0 ||
	    lm_json_set(of, "first", json_integer((json_int_t)l->first), err) < 0 ||
	    lm_json_set(of, "strides", strides = json_array(), err) < 0)
		return -1;
	for (i = 0; i < l->rank; i++)
		if (lm_json_append(shape, json_integer((json_int_t)l->shape[i]), err) < 0)
			return -1;
	for (i = 0; i < l->axes; i++)
		if (lm_json_append(strides, json_integer((json_int_t)l->stride[i]), err) < 0)
			return -1;
	return 0;
}

static int
write_aliases(json_t *object, const char *const *aliases, struct loom_error *err)
{
	json_t *list = json_array();

	if (lm_json_set(object, "aliases", list, err) < 0)
		return -1;
	for (; *aliases != NULL; aliases++)
		if (lm_json_append(list, json_string(*aliases), err) < 0)
			return -1;
	return 0;
}

int
lm_origin_write(json_t *object, const struct lm_weight *w, struct loom_error *err)
{
	if (w->source != NULL && lm_json_set(object, "source", json_string(w->source), err) < 0)
		return -1;
	if (w->layout != NULL && write_layout(object, w->layout, err) < 0)
		return -1;
	return w->aliases != NULL ? write_aliases(object, w->aliases, err) : 0;
}
