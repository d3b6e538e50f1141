/* graph_tensors: the tensors of a node as a stream describes them, and ties between tensors. */
#include <string.h>

#include "format/graph.h"
#include "format/origin.h"

enum { MOST_NAME = 4096 };

/* What is being read, for messages. */
struct place {
	struct loom_model *model;
	struct lm_node *node;
	const char *slot;
	char where[240];
	struct loom_error *err;
};

static void
name_place(struct place *at)
{
	char shown[LM_SHOWN];

	snprintf(at->where, sizeof(at->where), "node %s: tensor %.80s",
	    lm_shown(shown, at->node->name), at->slot);
}

/* ---- the slot ---- */

static int
no_such_slot(struct place *at)
{
	char list[200] = "";
	size_t n = lm_layer_slots(at->node->op), i, used = 0;

	for (i = 0; i < n && used + 40 < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
		    i > 0 ? ", " : "", at->node->op->slots[i].name);
	return lm_fail(at->err, LOOM_EFORMAT, "%s: %s has no such tensor (it has: %s)", at->where,
	    at->node->op->name, n > 0 ? list : "none");
}

/* Its index; it must be wanted, and come after the last one. */
static int
find_slot(struct place *at, const json_t *tensor, size_t least, size_t *slot)
{
	int found;

	char shown[LM_SHOWN];

	(void)snprintf(at->where, sizeof(at->where), "node %s: a tensor",
	    lm_shown(shown, at->node->name));
	if (!json_is_object(tensor))
		return lm_fail(at->err, LOOM_EFORMAT, "%s is %s, not an object", at->where,
		    lm_json_type(tensor));
	if (lm_json_string(tensor, at->where, "slot", 1, &at->slot, at->err) < 0)
		return -1;
	name_place(at);
	found = lm_layer_slot(at->node->op, at->slot);
	if (found < 0)
		return no_such_slot(at);
	*slot = (size_t)found;
	if (!lm_slot_wanted(at->node, *slot))
		return lm_fail(at->err, LOOM_EFORMAT,
		    "%s: it is given, but by \"params\" there is none", at->where);
	if (at->node->weight[*slot].dtype != NULL)
		return lm_fail(at->err, LOOM_EFORMAT, "%s: it is given twice", at->where);
	if (*slot < least)
		return lm_fail(at->err, LOOM_EFORMAT, "%s: it must stand before tensor %s",
		    at->where, at->node->op->slots[least - 1].name);
	return 0;
}

/* ---- shape and axes ---- */

static int
read_shape(struct place *at, const json_t *tensor, struct lm_travel *t)
{
	json_t *list, *item;
	size_t i;

	if (lm_json_array(tensor, at->where, "shape", 1, &list, at->err) < 0)
		return -1;
	if (json_array_size(list) > LOOM_RANK)
		return lm_fail(at->err, LOOM_EFORMAT, "%s: \"shape\" has %zu axes, more than %d",
		    at->where, json_array_size(list), LOOM_RANK);
	t->rank = (unsigned)json_array_size(list);
	json_array_foreach(list, i, item) {
		if (!json_is_integer(item) || json_integer_value(item) < 0)
			return lm_fail(at->err, LOOM_EFORMAT,
			    "%s: \"shape\" holds %s that is no extent", at->where,
			    lm_json_type(item));
		t->shape[i] = (uint64_t)json_integer_value(item);
	}
	return 0;
}

static int
wrong_axes(struct place *at, const char *letters)
{
	char list[64] = "";
	size_t used = 0;

	for (; *letters != '\0' && used + 8 < sizeof(list); letters++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%c\"",
		    used > 0 ? ", " : "", *letters);
	return lm_fail(at->err, LOOM_EFORMAT,
	    "%s: \"axes\" must name each of %s once, in the "
	    "order in which it travels",
	    at->where, list);
}

/* axis[k]: where the canonical axis k, letters[k], stands in the list. */
static int
match_axes(struct place *at, json_t *list, const char *letters, struct lm_travel *t)
{
	json_t *item;
	size_t i, seen = 0;
	const char *s, *found;

	if (json_array_size(list) != strlen(letters))
		return wrong_axes(at, letters);
	json_array_foreach(list, i, item) {
		s = json_is_string(item) ? json_string_value(item) : "";
		found = strlen(s) == 1 ? strchr(letters, *s) : NULL;
		if (found == NULL || (seen >> (found - letters) & 1) != 0)
			return wrong_axes(at, letters);
		seen |= (size_t)1 << (found - letters);
		t->axis[found - letters] = (unsigned)i;
	}
	return 0;
}

static int
read_axes(struct place *at, const json_t *tensor, struct lm_travel *t)
{
	const struct lm_slot *slot = &at->node->op->slots[t->slot];
	json_t *list = NULL;
	unsigned i;

	if (lm_json_array(tensor, at->where, "axes", slot->whole == 0, &list, at->err) < 0)
		return -1;
	if (slot->whole == 0)
		return match_axes(at, list, slot->axes, t);
	if (list != NULL)
		return lm_fail(at->err, LOOM_EFORMAT, "%s: it has no named axes", at->where);
	for (i = 0; i < t->rank; i++)
		t->axis[i] = i;
	return 0;
}

/* Does what travels, permuted, have the extents that the parameters say? */
static int
check_shape(struct place *at, const struct lm_travel *t)
{
	char wanted[LM_SHAPE_TEXT], found[LM_SHAPE_TEXT];
	struct lm_shape canonical, is = { .dtype = t->dtype, .rank = t->rank }, want = { 0 };
	unsigned k;

	if (lm_slot_shape(at->node, t->slot, &canonical, at->err) < 0)
		return -1;
	want.dtype = t->dtype;
	want.rank = canonical.rank;
	memcpy(is.dim, t->shape, sizeof(is.dim));
	if (canonical.rank == t->rank)
		for (k = 0; k < t->rank; k++)
			want.dim[t->axis[k]] = canonical.dim[k];
	else
		memcpy(want.dim, canonical.dim, sizeof(want.dim));
	if (lm_shape_same(&is, &want))
		return 0;
	return lm_fail(at->err, LOOM_ESHAPE, "%s: expected %s, found %s", at->where,
	    lm_shape_text(wanted, &want), lm_shape_text(found, &is));
}

/* ---- dtype, source, digest ---- */

static int
read_dtype(struct place *at, const json_t *tensor, struct lm_travel *t)
{
	char shown[LM_SHOWN];
	const char *name;

	if (lm_json_string(tensor, at->where, "dtype", 1, &name, at->err) < 0)
		return -1;
	t->dtype = lm_dtype_find(name);
	if (t->dtype == NULL)
		return lm_fail(at->err, LOOM_EUNSUPPORTED, "%s: unknown dtype \"%s\"", at->where,
		    lm_shown(shown, name));
	if (t->dtype->kind == LM_CODED || t->dtype->bits < 8)
		return lm_fail(at->err, LOOM_EUNSUPPORTED,
		    "%s: dtype %s needs a scale, which a stream does not carry", at->where, name);
	return 0;
}

static int
read_digest(struct place *at, const json_t *tensor, const char **out)
{
	const char *digest = NULL;

	if (lm_json_string(tensor, at->where, "sha256", 0, &digest, at->err) < 0)
		return -1;
	if (digest == NULL)
		return 0;
	if (strlen(digest) != 64 || strspn(digest, "0123456789abcdef") != 64)
		return lm_fail(at->err, LOOM_EFORMAT,
		    "%s: \"sha256\" is not 64 lower-case hexadecimal digits", at->where);
	*out = lm_arena_string(&at->model->arena, digest, at->err);
	return *out != NULL ? 0 : -1;
}

static int
read_source(struct place *at, const json_t *tensor, const char **out)
{
	const char *source = NULL;

	if (lm_json_string(tensor, at->where, "source", 0, &source, at->err) < 0)
		return -1;
	if (source == NULL)
		return 0;
	*out = lm_arena_string(&at->model->arena, source, at->err);
	return *out != NULL ? 0 : -1;
}

/* ---- ties ---- */

static struct lm_weight *
find_twin(const struct loom_model *model, const char *name, size_t *slot, struct lm_node **node)
{
	char of[MOST_NAME + 1];
	const char *dot = strrchr(name, '.');
	int found;

	*node = NULL;
	if (dot == NULL || (size_t)(dot - name) >= sizeof(of))
		return NULL;
	memcpy(of, name, (size_t)(dot - name));
	of[dot - name] = '\0';
	*node = lm_model_find(model, of);
	found = *node != NULL ? lm_layer_slot((*node)->op, dot + 1) : -1;
	if (found < 0 || (*node)->weight[found].dtype == NULL)
		return NULL;
	*slot = (size_t)found;
	return &(*node)->weight[found];
}

static int
tie(struct place *at, size_t slot, const char *name)
{
	char wanted[LM_SHAPE_TEXT], found[LM_SHAPE_TEXT], shown[LM_SHOWN];
	struct lm_shape mine, its;
	struct lm_node *node;
	struct lm_weight *twin, *weight = &at->node->weight[slot];
	size_t twin_slot;

	twin = find_twin(at->model, name, &twin_slot, &node);
	if (twin == NULL)
		return lm_fail(at->err, LOOM_EFORMAT,
		    "%s: \"same\" is \"%s\", which is no tensor of a node before it", at->where,
		    lm_shown(shown, name));
	if (lm_slot_shape(at->node, slot, &mine, at->err) < 0 ||
	    lm_slot_shape(node, twin_slot, &its, at->err) < 0)
		return -1;
	mine.dtype = its.dtype = twin->dtype;
	if (!lm_shape_same(&mine, &its))
		return lm_fail(at->err, LOOM_ESHAPE, "%s: expected %s, found %s in %s", at->where,
		    lm_shape_text(wanted, &mine), lm_shape_text(found, &its),
		    lm_shown(shown, name));
	*weight = *twin;
	weight->same = twin->same != NULL ? twin->same : twin;
	return 0;
}

static int
read_tie(struct place *at, json_t *tensor, size_t slot, int *tied)
{
	static const char *const keys[] = { "slot", "same", NULL };
	const char *name = NULL;

	if (lm_json_string(tensor, at->where, "same", 0, &name, at->err) < 0)
		return -1;
	*tied = name != NULL;
	if (name == NULL)
		return 0;
	if (lm_json_only(tensor, at->where, keys, at->err) < 0)
		return -1;
	return tie(at, slot, name);
}

/* ---- all of a node's ---- */

static int
read_tensor(struct place *at, json_t *tensor, struct lm_travel *t)
{
	static const char *const keys[] = { "slot", "dtype", "shape", "axes", "source", "layout",
		"aliases", "sha256", "same", NULL };
	struct lm_weight *weight = &at->node->weight[t->slot];
	int tied;

	if (lm_json_only(tensor, at->where, keys, at->err) < 0 ||
	    read_tie(at, tensor, t->slot, &tied) < 0)
		return -1;
	if (tied)
		return 0;
	if (read_dtype(at, tensor, t) < 0 || read_shape(at, tensor, t) < 0 ||
	    read_axes(at, tensor, t) < 0 || check_shape(at, t) < 0 ||
	    lm_node_put(at->node, t->slot, t->dtype, 1, at->err) < 0)
		return -1;
	t->bytes = weight->bytes;
	return read_source(at, tensor, &weight->source) < 0 ||
		lm_origin_read(at->model, at->node, t->slot, tensor, at->where, t->axis, at->err) <
		    0 ||
		read_digest(at, tensor, &weight->digest) < 0
	    ? -1
	    : 0;
}

static int
all_there(struct place *at)
{
	size_t i;

	for (i = 0; i < lm_layer_slots(at->node->op); i++)
		if (lm_slot_wanted(at->node, i) && at->node->weight[i].dtype == NULL) {
			at->slot = at->node->op->slots[i].name;
			name_place(at);
			return lm_fail(at->err, LOOM_EFORMAT, "%s: it is missing", at->where);
		}
	return 0;
}

int
lm_graph_read_tensors(struct loom_model *model, struct lm_node *node, json_t *tensors,
    struct lm_travel travel[LM_SLOTS], size_t *n, struct loom_error *err)
{
	struct place at = { .model = model, .node = node, .err = err };
	size_t i, least = 0;
	json_t *tensor;

	json_array_foreach(tensors, i, tensor) {
		size_t slot;

		if (find_slot(&at, tensor, least, &slot) < 0)
			return -1;
		memset(&travel[i], 0, sizeof(travel[i]));
		travel[i].slot = slot;
		if (read_tensor(&at, tensor, &travel[i]) < 0)
			return -1;
		least = slot + 1;
	}
	*n = json_array_size(tensors);
	return all_there(&at);
}

int
lm_graph_read_tied(struct loom_model *model, struct lm_node *node, json_t *tensors,
    struct loom_error *err)
{
	struct place at = { .model = model, .node = node, .err = err };
	size_t i, slot, least = 0;
	json_t *tensor;
	int tied;

	json_array_foreach(tensors, i, tensor) {
		if (find_slot(&at, tensor, least, &slot) < 0 ||
		    read_tie(&at, tensor, slot, &tied) < 0)
			return -1;
		if (!tied)
			return lm_fail(err, LOOM_EFORMAT, "%s: \"same\" is missing", at.where);
		least = slot + 1;
	}
	return 0;
}
