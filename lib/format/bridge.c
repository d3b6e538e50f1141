/* bridge: the graph that a checkpoint's header holds under "bridge" (entity(5)). */
#include <string.h>

#include "base/buf.h"
#include "format/entity_parts.h"
#include "format/graph.h"

/* ---- nodes that are layers of Loom, or their activations ---- */

/* The parameters of a layer that its spec states too must agree. */
static int
check_params(const struct lm_entity_cell *cell, size_t index, const struct lm_node *node,
    struct loom_error *err)
{
	struct lm_node spec = { .op = node->op };
	char shown[LM_SHOWN];
	int i, p;

	if (lm_entity_cell_params(cell, index, &spec, err) < 0)
		return -1;
	for (i = 0; i < LM_CELL_FIELDS && cell->row->field[i].param != NULL; i++) {
		p = lm_layer_param(node->op, cell->row->field[i].param);
		if (node->param[p].i != spec.param[p].i)
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s: %s is %lld, but %s of layers.%zu is %lld",
			    lm_shown(shown, node->name), cell->row->field[i].param,
			    (long long)node->param[p].i, cell->row->field[i].key, index,
			    (long long)spec.param[p].i);
	}
	return 0;
}

static int
claim_layer(struct lm_entity_cell *cell, size_t index, struct lm_node *node, struct loom_error *err)
{
	char shown[LM_SHOWN], other[LM_SHOWN];

	if (cell->node != NULL)
		return lm_fail(err, LOOM_EFORMAT, "node %s: layers.%zu is node %s already",
		    lm_shown(shown, node->name), index, lm_shown(other, cell->node->name));
	if (check_params(cell, index, node, err) < 0)
		return -1;
	cell->node = node;
	return 0;
}

/* An activation belongs to the layer whose output it alone takes. */
static int
claim_function(struct lm_entity_cell *cell, size_t index, struct lm_node *node,
    struct loom_error *err)
{
	char shown[LM_SHOWN];

	if (lm_activation_of(node) != cell->activation)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): layers.%zu is a %s with the activation %s",
		    lm_shown(shown, node->name), node->op->name, index, cell->row->type,
		    cell->activation->name);
	if (cell->function != NULL || cell->node == NULL || node->n_in != 1 ||
	    node->in[0] != cell->node->out[0])
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s: as the activation of layers.%zu it must take that node's output, and "
		    "be the only one",
		    lm_shown(shown, node->name), index);
	cell->function = node;
	return 0;
}

static int
claim_cell(struct lm_entity *entity, struct lm_node *node, struct loom_error *err)
{
	struct lm_entity_cell *cell;
	char shown[LM_SHOWN];
	size_t index;

	if (lm_entity_index(node->cell, strlen(node->cell), entity->n_cells, &index) < 0)
		return lm_fail(err, LOOM_EFORMAT, "node %s: \"cell\" is no layer of the network",
		    lm_shown(shown, node->name));
	cell = &entity->cells[index];
	if (strcmp(cell->row->op, node->op->name) == 0)
		return claim_layer(cell, index, node, err);
	return claim_function(cell, index, node, err);
}

/* What Loom would compute must have a node, or the two would not be one network. */
static int
all_claimed(const struct lm_entity *entity, struct loom_error *err)
{
	const struct lm_entity_cell *cell;
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < entity->n_cells; i++) {
		cell = &entity->cells[i];
		if (cell->node == NULL || (cell->function == NULL && cell->activation->value >= 0))
			return lm_fail(err, LOOM_EFORMAT, "bridge: no node is %slayers.%zu",
			    cell->node != NULL ? "the activation of " : "", i);
		if (cell->disabled)
			return lm_fail(err, LOOM_EFORMAT,
			    "bridge: layers.%zu is disabled, but a node is it", i);
	}
	for (i = 0; i < entity->n_blobs; i++)
		if (!entity->blobs[i].used && entity->blobs[i].kind != LM_BLOB_OTHER)
			return lm_fail(err, LOOM_EFORMAT, "blob %s belongs to no node",
			    lm_shown(shown, entity->blobs[i].path));
	return 0;
}

/* ---- weights ---- */

/* The blob of a node's slot: the layer's own, or one with the node's name. */
static struct lm_entity_blob *
find_blob(const struct lm_entity *entity, const struct lm_node *node, size_t slot,
    struct lm_buf *path, struct loom_error *err)
{
	const struct lm_entity_cell *cell = NULL;
	size_t index;

	if (node->cell != NULL &&
	    lm_entity_index(node->cell, strlen(node->cell), entity->n_cells, &index) == 0)
		cell = &entity->cells[index];
	if (cell != NULL && cell->node == node && slot == LM_MAIN_SLOT)
		return cell->main;
	if (cell != NULL && cell->node == node && slot == LM_SIDECAR_SLOT && cell->sidecar != NULL)
		return cell->sidecar;
	lm_buf_clear(path);
	if (lm_buf_str(path, "bridge.nodes.", err) < 0 || lm_buf_str(path, node->name, err) < 0 ||
	    lm_buf_str(path, ".", err) < 0 || lm_buf_str(path, node->op->slots[slot].name, err) < 0)
		return NULL;
	return lm_entity_blob(entity, path->data);
}

static int
attach_all(struct lm_entity *entity, struct lm_node *node, struct lm_buf *path,
    struct loom_error *err)
{
	struct lm_entity_blob *blob;
	char shown[LM_SHOWN];
	size_t n = lm_layer_slots(node->op), i;

	for (i = 0; i < n; i++) {
		if (!lm_slot_wanted(node, i) || node->weight[i].same != NULL)
			continue;
		blob = find_blob(entity, node, i, path, err);
		if (blob == NULL)
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s (%s): there is no blob for its %s",
			    lm_shown(shown, node->name), node->op->name, node->op->slots[i].name);
		if (lm_entity_attach(entity, node, i, blob, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the section ---- */

static int
read_node(struct lm_entity *entity, json_t *json, struct lm_buf *path, struct loom_error *err)
{
	struct lm_node *node;
	json_t *tensors = NULL;

	if (lm_graph_read_node(entity->model, json, LM_GRAPH_BRIDGE, &node, err) < 0 ||
	    (node->cell != NULL && claim_cell(entity, node, err) < 0) ||
	    lm_json_array(json, "node", "tensors", 0, &tensors, err) < 0 ||
	    lm_graph_read_tied(entity->model, node, tensors, err) < 0)
		return -1;
	return attach_all(entity, node, path, err);
}

static int
read_nodes(struct lm_entity *entity, json_t *nodes, struct loom_error *err)
{
	struct lm_buf path;
	json_t *node;
	size_t i;
	int r = 0;

	lm_buf_init(&path, 1 << 16);
	json_array_foreach(nodes, i, node)
		if (r == 0)
			r = read_node(entity, node, &path, err);
	lm_buf_release(&path);
	return r;
}

/*
 * Info is not semantics: what is in it and understood helps to show the network, and nothing of it
 * is an error.
 */
static int
read_info(struct loom_model *model, json_t *info, struct loom_error *err)
{
	const char *planet = json_string_value(json_object_get(info, "planet"));
	const char *title = json_string_value(json_object_get(info, "model"));

	if (planet != NULL) {
		model->planet = lm_arena_string(&model->arena, planet, err);
		if (model->planet == NULL)
			return -1;
	}
	if (title != NULL) {
		model->title = lm_arena_string(&model->arena, title, err);
		if (model->title == NULL)
			return -1;
	}
	return 0;
}

static int
read_source(struct loom_model *model, struct lm_weight *w, json_t *of, struct loom_error *err)
{
	const char *source = json_string_value(json_object_get(of, "source"));
	const char *digest = json_string_value(json_object_get(of, "sha256"));

	if (source != NULL) {
		w->source = lm_arena_string(&model->arena, source, err);
		if (w->source == NULL)
			return -1;
	}
	if (digest != NULL) {
		w->digest = lm_arena_string(&model->arena, digest, err);
		if (w->digest == NULL)
			return -1;
	}
	return 0;
}

/* Where tensors came from: {"net.0.weight": {"source": ..., "sha256": ...}}. */
static int
read_sources(struct loom_model *model, json_t *tensors, struct loom_error *err)
{
	struct lm_buf name;
	struct lm_node *node;
	size_t i, k;
	int r = 0;

	lm_buf_init(&name, 1 << 16);
	for (i = 0; i < model->n_nodes && json_object_size(tensors) > 0; i++) {
		node = model->nodes[i];
		for (k = 0; r == 0 && k < lm_layer_slots(node->op); k++) {
			lm_buf_clear(&name);
			r = lm_buf_printf(&name, err, "%s.%s", node->name, node->op->slots[k].name);
			if (r == 0)
				r = read_source(model, &node->weight[k],
				    json_object_get(tensors, name.data), err);
		}
	}
	lm_buf_release(&name);
	return r;
}

static int
read_inputs(struct loom_model *model, json_t *inputs, struct loom_error *err)
{
	json_t *input;
	size_t i;

	json_array_foreach(inputs, i, input)
		if (lm_graph_read_input(model, input, LM_GRAPH_BRIDGE, err) < 0)
			return -1;
	return 0;
}

int
lm_bridge_read(struct lm_entity *entity, struct loom_error *err)
{
	static const char *const keys[] = { "version", "inputs", "nodes", "outputs", "info", NULL };
	struct loom_model *model = entity->model;
	json_t *inputs, *nodes, *outputs, *info = NULL;
	int64_t version = 0;

	if (lm_json_integer(entity->bridge, "bridge", "version", 1, INT64_MIN, INT64_MAX, &version,
		err) < 0)
		return -1;
	if (version != 1)
		return lm_fail(err, LOOM_EUNSUPPORTED, "bridge: version %lld, supported is 1",
		    (long long)version);
	if (lm_json_only(entity->bridge, "bridge", keys, err) < 0 ||
	    lm_json_array(entity->bridge, "bridge", "inputs", 1, &inputs, err) < 0 ||
	    lm_json_array(entity->bridge, "bridge", "nodes", 1, &nodes, err) < 0 ||
	    lm_json_array(entity->bridge, "bridge", "outputs", 1, &outputs, err) < 0 ||
	    lm_json_object(entity->bridge, "bridge", "info", 0, &info, err) < 0 ||
	    read_inputs(model, inputs, err) < 0 || read_nodes(entity, nodes, err) < 0 ||
	    all_claimed(entity, err) < 0 || lm_graph_read_outputs(model, outputs, err) < 0 ||
	    read_info(model, info, err) < 0)
		return -1;
	return read_sources(model, json_object_get(info, "tensors"), err);
}
