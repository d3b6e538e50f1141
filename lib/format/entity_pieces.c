/* entity_pieces: which blobs a checkpoint has, and which slots of which nodes lie in them. */
#include <string.h>

#include "format/entity_plan.h"

static const char *
node_path(struct lm_entity_plan *plan, const struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	const char *name = node->op->slots[slot].name;
	size_t room = strlen("bridge.nodes..") + strlen(node->name) + strlen(name) + 1;
	char *path = lm_arena_alloc(&plan->arena, room, 1, err);

	if (path != NULL)
		(void)snprintf(path, room, "bridge.nodes.%s.%s", node->name, name);
	return path;
}

static int
has_bytes(const struct lm_weight *w)
{
	return w->dtype != NULL && w->same == NULL;
}

/* ---- pieces ---- */

int
lm_entity_add_piece(struct lm_entity_plan *plan, const struct lm_node *node, size_t slot,
    const struct lm_dtype *dtype, enum lm_fill fill, struct loom_error *err)
{
	struct lm_piece *piece = &plan->pieces[plan->n_pieces++];
	struct lm_planned *blob = &plan->blobs[plan->n_blobs - 1];
	struct lm_shape shape;

	piece->node = node;
	piece->slot = slot;
	piece->blob = plan->n_blobs - 1;
	piece->fill = fill;
	if (lm_slot_shape(node, slot, &shape, err) < 0)
		return -1;
	if (lm_shape_count(&shape, &piece->values) < 0 ||
	    lm_dtype_bytes(dtype, piece->values, &piece->bytes) < 0 ||
	    piece->values > INT64_MAX / 64 - blob->values)
		return lm_fail(err, LOOM_EUNSUPPORTED, "node %s: weights of more than 2^63 bytes",
		    node->name);
	blob->values += piece->values;
	return lm_dtype_bytes(dtype, blob->values, &blob->bytes) < 0
	    ? lm_fail(err, LOOM_EUNSUPPORTED, "node %s: weights of more than 2^63 bytes",
		  node->name)
	    : 0;
}

static enum lm_fill
fill_of(const struct lm_cell_row *row, const struct lm_node *node, size_t slot)
{
	if (node->weight[slot].dtype != NULL)
		return LM_FILL_NONE;
	if (row->ones == NULL)
		return LM_FILL_ZEROS;
	return strcmp(row->ones, node->op->slots[slot].name) == 0 ? LM_FILL_ONES : LM_FILL_MINUS;
}

/* ---- blobs ---- */

int
lm_entity_add_main(struct lm_entity_plan *plan, const struct lm_cell_row *row,
    const struct lm_dtype *dtype, const struct lm_node *node, struct loom_error *err)
{
	struct lm_planned *blob = &plan->blobs[plan->n_blobs - 1];
	size_t i;

	for (i = 0; i < row->main; i++) {
		if (node->weight[i].dtype != NULL)
			blob->scale = node->weight[i].scale;
		if (lm_entity_add_piece(plan, node, i, dtype, fill_of(row, node, i), err) < 0)
			return -1;
	}
	return 0;
}

/* A layer's own. */
static int
add_main(struct lm_entity_plan *plan, const struct lm_role *role, const struct lm_node *node,
    struct loom_error *err)
{
	struct lm_planned *blob = &plan->blobs[plan->n_blobs];
	char path[LM_SIDECAR_PATH];

	if (role->row->main == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "layers.%zu", role->cell);
	blob->path = lm_arena_string(&plan->arena, path, err);
	if (blob->path == NULL)
		return -1;
	blob->dtype = role->dtype;
	blob->native = blob->scaled = 1;
	blob->scale = 1;
	plan->n_blobs++;
	return lm_entity_add_main(plan, role->row, role->dtype, node, err);
}

/* Of one slot: beside a layer, or under the node's name. */
static int
add_single(struct lm_entity_plan *plan, const struct lm_role *role, const struct lm_node *node,
    size_t slot, struct loom_error *err)
{
	struct lm_planned *blob = &plan->blobs[plan->n_blobs];
	const struct lm_weight *w = &node->weight[slot];
	char path[LM_SIDECAR_PATH];

	blob->dtype = w->dtype;
	blob->scale = w->scale;
	if (role->kind == LM_ROLE_LAYER && role->row->side.family != NULL &&
	    slot == role->row->side.slot && w->dtype == lm_dtype_get(LM_F32)) {
		blob->late = plan->plain;
		blob->path = lm_arena_string(&plan->arena,
		    lm_sidecar_path(path, role->row, role->cell), err);
	} else {
		blob->native = 1;
		blob->scaled = w->dtype->scaled;
		blob->path = node_path(plan, node, slot, err);
	}
	if (blob->path == NULL)
		return -1;
	plan->n_blobs++;
	return lm_entity_add_piece(plan, node, slot, w->dtype, LM_FILL_NONE, err);
}

static int
add_blobs(struct lm_entity_plan *plan, const struct lm_role *role, const struct lm_node *node,
    struct loom_error *err)
{
	size_t i = 0;

	if (role->kind == LM_ROLE_LAYER) {
		if (add_main(plan, role, node, err) < 0)
			return -1;
		i = role->row->main;
	}
	for (; i < lm_layer_slots(node->op); i++)
		if (has_bytes(&node->weight[i]) && add_single(plan, role, node, i, err) < 0)
			return -1;
	return 0;
}

int
lm_entity_place_blobs(struct lm_entity_plan *plan, struct loom_error *err)
{
	uint64_t at = 0, bytes;
	size_t i;
	int late;

	for (late = 0; late < 2; late++)
		for (i = 0; i < plan->n_blobs; i++) {
			if (plan->blobs[i].late != late)
				continue;
			bytes = plan->blobs[i].bytes;
			plan->blobs[i].offset = at;
			if (bytes > (uint64_t)INT64_MAX - at)
				return lm_fail(err, LOOM_EUNSUPPORTED,
				    "weights of more than 2^63 bytes");
			at += bytes;
		}
	return 0;
}

int
lm_entity_plan_blobs(struct lm_entity_plan *plan, struct loom_error *err)
{
	const struct loom_model *m = plan->model;
	size_t i, n = 0;

	for (i = 0; i < m->n_nodes; i++)
		n += lm_layer_slots(m->nodes[i]->op);
	plan->n_blobs = plan->n_pieces = 0;
	plan->blobs = lm_arena_alloc(&plan->arena, n, sizeof(*plan->blobs), err);
	plan->pieces = lm_arena_alloc(&plan->arena, n, sizeof(*plan->pieces), err);
	if (plan->blobs == NULL || plan->pieces == NULL)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		if (add_blobs(plan, &plan->roles[i], m->nodes[i], err) < 0)
			return -1;
	if (plan->n_blobs > LM_ENTITY_MOST)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%zu weights, more than %d", plan->n_blobs,
		    LM_ENTITY_MOST);
	return lm_entity_place_blobs(plan, err);
}
