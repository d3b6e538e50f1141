/* onnx_tie: slots that are filled from the same stored values are tied to the first of them. */
#include <inttypes.h>
#include <string.h>

#include "onnx/onnx_known.h"

const unsigned char *
lm_onnx_keep(struct lm_onnx_reading *r, const struct lm_onnx_tensor *t, struct loom_error *err)
{
	size_t bytes = (size_t)lm_onnx_tensor_bytes(t), i;
	unsigned char *copy, **list;
	char name[32];

	(void)snprintf(name, sizeof(name), "%p", (const void *)t->data);
	i = lm_names_find(&r->kept_names, name);
	if (i != LM_NO_NAME)
		return r->kept[i];
	copy = lm_arena_alloc(&r->model->arena, bytes + 1, 1, err);
	list = lm_onnx_grow(&r->arena, r->kept, r->n_kept, sizeof(*list), err);
	if (copy == NULL || list == NULL)
		return NULL;
	memcpy(copy, t->data, bytes);
	r->kept = list;
	list[r->n_kept] = copy;
	if (lm_names_add(&r->kept_names, &r->arena, lm_arena_string(&r->arena, name, err),
		r->n_kept++, err) < 0)
		return NULL;
	return copy;
}

enum { KEY = 1024 };

/* Where the values of a slot lie, and its extents: slots for which it is the same are one. */
static int
describe(char key[KEY], const struct lm_node *n, size_t slot, struct loom_error *err)
{
	const struct lm_weight *w = &n->weight[slot];
	const struct lm_view *v = w->data == NULL ? w->view : NULL;
	char text[LM_SHAPE_TEXT];
	struct lm_shape shape;
	size_t used;
	unsigned i;

	if (lm_slot_shape(n, slot, &shape, err) < 0)
		return -1;
	used = (size_t)snprintf(key, KEY, "%s %p+%" PRIu64, lm_shape_text(text, &shape),
	    v != NULL ? (const void *)v->source : (const void *)w->data, w->first);
	if (v == NULL)
		return 0;
	used += (size_t)snprintf(key + used, KEY - used, " %" PRIu64 " %" PRIu64 " %p", v->offset,
	    v->first, (const void *)v->quant);
	for (i = 0; i < v->rank && !lm_view_packed(v); i++)
		used += (size_t)snprintf(key + used, KEY - used, " %" PRIu64 "*%" PRIu64,
		    v->extent[i], v->stride[i]);
	return 0;
}

/* Of a node, those slots that another node before it has. */
static int
tie_node(struct lm_arena *arena, struct lm_names *names, struct lm_node *n, struct lm_weight **seen,
    size_t *n_seen, struct loom_error *err)
{
	size_t k, i, slots = lm_layer_slots(n->op);
	char key[KEY], *name;

	for (k = 0; k < slots; k++) {
		if (n->weight[k].dtype == NULL || n->weight[k].count == 0)
			continue;
		if (describe(key, n, k, err) < 0)
			return -1;
		i = lm_names_find(names, key);
		/* One of its own is no node before it. */
		if (i != LM_NO_NAME && seen[i] >= n->weight && seen[i] < n->weight + LM_SLOTS)
			continue;
		if (i != LM_NO_NAME) {
			n->weight[k] = *seen[i];
			n->weight[k].same = seen[i];
			continue;
		}
		name = lm_arena_string(arena, key, err);
		if (name == NULL || lm_names_add(names, arena, name, *n_seen, err) < 0)
			return -1;
		seen[(*n_seen)++] = &n->weight[k];
	}
	return 0;
}

int
lm_onnx_tie(struct lm_onnx_reading *r, struct loom_error *err)
{
	struct loom_model *m = r->model;
	struct lm_weight **seen;
	struct lm_names names = { 0 };
	size_t i, n_seen = 0;

	seen = lm_arena_alloc(&r->arena, m->n_nodes + 1, LM_SLOTS * sizeof(struct lm_weight *),
	    err);
	if (seen == NULL)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		if (tie_node(&r->arena, &names, m->nodes[i], seen, &n_seen, err) < 0)
			return -1;
	return 0;
}
