/* entity_plain: a network of plain Loom, and bias blobs, as a chain of nodes. */
#include <string.h>

#include "format/entity_parts.h"

#define U(n) ((unsigned long long)(n))

/* ---- weights ---- */

/* Bits of the last byte that no value uses; Loom decodes them as more values. */
static int
check_padding(struct lm_entity *entity, const struct lm_weight *w, const char *path,
    struct loom_error *err)
{
	unsigned used = (unsigned)(w->count * w->dtype->bits % 8);

	if (used == 0 || (w->data[w->bytes - 1] & (0xffu >> used)) == 0)
		return 0;
	return lm_model_finding(entity->model, err, "blob %s: bits after the last value are set",
	    path);
}

int
lm_entity_attach(struct lm_entity *entity, struct lm_node *node, size_t slot,
    struct lm_entity_blob *blob, struct loom_error *err)
{
	char shape_text[LM_SHAPE_TEXT], path[LM_SHOWN];
	struct lm_weight *w = &node->weight[slot];
	struct lm_shape shape;

	if (lm_node_put(node, slot, blob->dtype, blob->scale, err) < 0 ||
	    lm_slot_shape(node, slot, &shape, err) < 0)
		return -1;
	lm_shown(path, blob->path);
	if (blob->length < w->bytes)
		return lm_fail(err, LOOM_ESHAPE, "blob %s: %s takes %llu bytes, found %llu", path,
		    lm_shape_text(shape_text, &shape), U(w->bytes), U(blob->length));
	if (blob->length > w->bytes &&
	    lm_model_finding(entity->model, err, "blob %s: %s takes %llu bytes, found %llu", path,
		lm_shape_text(shape_text, &shape), U(w->bytes), U(blob->length)) < 0)
		return -1;
	w->data = entity->payload + blob->offset;
	blob->used = 1;
	return check_padding(entity, w, path, err);
}

static int
attach_main(struct lm_entity *entity, size_t index, struct lm_node *node, struct loom_error *err)
{
	struct lm_entity_cell *cell = &entity->cells[index];

	if (cell->main == NULL)
		return lm_fail(err, LOOM_EFORMAT,
		    "layers.%zu (%s) has no weights: there is no blob layers.%zu", index,
		    cell->row->type, index);
	if (cell->main->dtype != cell->dtype &&
	    lm_model_finding(entity->model, err,
		"layers.%zu says dtype %s, its blob %s: the blob's counts", index,
		cell->dtype->name, cell->main->dtype->name) < 0)
		return -1;
	return lm_entity_attach(entity, node, LM_MAIN_SLOT, cell->main, err);
}

/* ---- nodes ---- */

static const char *
cell_text(struct loom_model *model, size_t index, struct loom_error *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", index);
	return lm_arena_string(&model->arena, text, err);
}

static int
add_layer(struct lm_entity *entity, size_t index, struct loom_error *err)
{
	struct lm_entity_cell *cell = &entity->cells[index];
	struct loom_model *model = entity->model;
	struct lm_node *node;
	char name[40];

	snprintf(name, sizeof(name), "layers.%zu", index);
	node = lm_model_add_node(model, name, lm_layer_find(cell->row->op), err);
	if (node == NULL || lm_entity_cell_params(cell, index, node, err) < 0)
		return -1;
	node->param[lm_layer_param(node->op, cell->row->flag)].i = cell->sidecar != NULL;
	node->cell = cell_text(model, index, err);
	if (node->cell == NULL || lm_node_check(model, node, err) < 0 ||
	    attach_main(entity, index, node, err) < 0)
		return -1;
	if (cell->sidecar == NULL)
		return 0;
	return lm_entity_attach(entity, node, LM_SIDECAR_SLOT, cell->sidecar, err);
}

static int
add_function(struct lm_entity *entity, size_t index, struct loom_error *err)
{
	const struct lm_activation_row *row = entity->cells[index].activation;
	struct loom_model *model = entity->model;
	struct lm_node *node;
	char name[80];

	if (row->value < 0)
		return 0;
	snprintf(name, sizeof(name), "layers.%zu.%s", index, row->op);
	node = lm_model_add_node(model, name, lm_layer_find(row->op), err);
	if (node == NULL || lm_activation_set(row, node, err) < 0)
		return -1;
	node->cell = cell_text(model, index, err);
	return node->cell == NULL ? -1 : lm_node_check(model, node, err);
}

/* ---- the chain ---- */

/* Whatever the first layer takes, behind any axes; with no layer at all, anything. */
static int
add_input(struct lm_entity *entity, struct loom_error *err)
{
	struct lm_dims dims = { 0 };
	struct lm_dim *dim;
	struct lm_node first = { 0 };
	const struct lm_cell_row *row;
	size_t i = 0;

	while (i < entity->n_cells && entity->cells[i].disabled)
		i++;
	if (i < entity->n_cells) {
		row = entity->cells[i].row;
		first.op = lm_layer_find(row->op);
		if (lm_entity_cell_params(&entity->cells[i], i, &first, err) < 0)
			return -1;
		dim = lm_arena_alloc(&entity->model->arena, 1, sizeof(*dim), err);
		if (dim == NULL)
			return -1;
		dim->value = first.param[lm_layer_param(first.op, row->field[0].param)].i;
		dims.n = 1;
		dims.dim = dim;
	}
	return lm_model_add_input(entity->model, "x", lm_dtype_get(LM_F32), 1, dims, err);
}

static int
add_output(struct loom_model *model, struct loom_error *err)
{
	const struct lm_node *last;

	if (model->n_nodes == 0)
		return lm_model_add_output(model, model->inputs[0].name, err);
	last = model->nodes[model->n_nodes - 1];
	return lm_model_add_output(model, model->values[last->out[0]].name, err);
}

/* Blobs of the bridge section's nodes mean nothing without it. */
static int
no_strays(const struct lm_entity *entity, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < entity->n_blobs; i++)
		if (entity->blobs[i].kind == LM_BLOB_NODE)
			return lm_fail(err, LOOM_EFORMAT,
			    "blob %s: there is no \"bridge\" in the header that names its node",
			    lm_shown(shown, entity->blobs[i].path));
	return 0;
}

int
lm_entity_read_plain(struct lm_entity *entity, struct loom_error *err)
{
	size_t i;

	if (no_strays(entity, err) < 0 || add_input(entity, err) < 0)
		return -1;
	for (i = 0; i < entity->n_cells; i++) {
		if (entity->cells[i].disabled)
			continue;
		if (add_layer(entity, i, err) < 0 || add_function(entity, i, err) < 0)
			return -1;
	}
	return add_output(entity->model, err);
}
