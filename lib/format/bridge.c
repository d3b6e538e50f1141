/* bridge: the graph that a checkpoint's header holds under "bridge" (entity(5)). */
#include <string.h>

#include "base/buf.h"
#include "format/entity_parts.h"
#include "format/graph.h"
#include "format/origin.h"

/* ---- nodes that are layers of Loom, or their activations ---- */

/* A size that both state must be one. */
static int
check_sizes(const struct lm_entity_cell *cell, const struct lm_node *node,
    const struct lm_node *spec, struct loom_error *err)
{
	const struct lm_cell_field *f = cell->row->field;
	char shown[LM_SHOWN];
	int p;

	for (; f < cell->row->field + LM_CELL_FIELDS && f->param != NULL; f++) {
		p = lm_layer_param(node->op, f->param);
		if (f->echo || f->times != NULL || node->op->params[p].kind != LM_IS_SIZE)
			continue;
		if (node->param[p].i != spec->param[p].i)
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s: %s is %lld, but %s of %s is %lld",
			    lm_shown(shown, node->name), f->param, (long long)node->param[p].i,
			    f->key, cell->name, (long long)spec->param[p].i);
	}
	return 0;
}

/* The node may say what the spec cannot, but both must lay out the weights alike. */
static int
check_params(struct lm_entity *entity, const struct lm_entity_cell *cell,
    const struct lm_node *node, struct loom_error *err)
{
	struct lm_node spec = { .name = node->name, .op = node->op };
	char shown[LM_SHOWN];
	int same;

	if (lm_cell_read(&entity->model->arena, cell, &spec, err) < 0 ||
	    check_sizes(cell, node, &spec, err) < 0)
		return -1;
	same = lm_cell_same_layout(cell->row, node, &spec, err);
	if (same == 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s: its weights are not laid out as those of %s",
		    lm_shown(shown, node->name), cell->name);
	return same < 0 ? -1 : 0;
}

static int
claim_layer(struct lm_entity *entity, struct lm_entity_cell *cell, struct lm_node *node,
    struct loom_error *err)
{
	char shown[LM_SHOWN], other[LM_SHOWN];

	if (cell->node != NULL)
		return lm_fail(err, LOOM_EFORMAT, "node %s: %s is node %s already",
		    lm_shown(shown, node->name), cell->name, lm_shown(other, cell->node->name));
	if (check_params(entity, cell, node, err) < 0)
		return -1;
	cell->node = node;
	return 0;
}

/* An activation belongs to the layer whose output it alone takes. */
static int
claim_function(struct lm_entity_cell *cell, struct lm_node *node, struct loom_error *err)
{
	char shown[LM_SHOWN];

	if (cell->row->idle != NULL || lm_activation_of(node) != cell->activation)
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s): %s is a %s with the activation %s",
		    lm_shown(shown, node->name), node->op->name, cell->name, cell->row->type,
		    cell->row->idle == NULL ? cell->activation->name : "Linear");
	if (cell->function != NULL || cell->node == NULL || node->n_in != 1 ||
	    node->in[0] != cell->node->out[0])
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s: as the activation of %s it must take that node's output, and "
		    "be the only one",
		    lm_shown(shown, node->name), cell->name);
	cell->function = node;
	return 0;
}

/* The layer that the node is, or whose activation it is; NULL: the text names none. */
static struct lm_entity_cell *
cell_of(const struct lm_entity *entity, const struct lm_node *node)
{
	struct lm_entity_cell *cell;
	const char *rest;
	size_t most;

	if (node->cell == NULL)
		return NULL;
	cell = lm_entity_cell_at(entity, node->cell, &rest, &most);
	return cell != NULL && cell->row != NULL && *rest == '\0' ? cell : NULL;
}

static int
claim_cell(struct lm_entity *entity, struct lm_node *node, struct loom_error *err)
{
	struct lm_entity_cell *cell = cell_of(entity, node);
	char shown[LM_SHOWN];

	if (cell == NULL)
		return lm_fail(err, LOOM_EFORMAT, "node %s: \"cell\" is no layer of the network",
		    lm_shown(shown, node->name));
	if (strcmp(cell->row->op, node->op->name) == 0)
		return claim_layer(entity, cell, node, err);
	return claim_function(cell, node, err);
}

/* What Loom would compute must have a node, or the two would not be one network. */
static int
cells_claimed(const struct lm_entity_cell *cells, size_t n, struct loom_error *err)
{
	const struct lm_entity_cell *cell;

	for (cell = cells; cell < cells + n; cell++) {
		if (cell->container != NULL) {
			if (cells_claimed(cell->child, cell->n_child, err) < 0)
				return -1;
			continue;
		}
		if (cell->node == NULL)
			return lm_fail(err, LOOM_EFORMAT, "bridge: no node is %s", cell->name);
		if (cell->function == NULL && cell->activation->value >= 0 &&
		    cell->row->idle == NULL)
			return lm_fail(err, LOOM_EFORMAT, "bridge: no node is the activation of %s",
			    cell->name);
		if (cell->disabled)
			return lm_fail(err, LOOM_EFORMAT,
			    "bridge: %s is disabled, but a node is it", cell->name);
	}
	return 0;
}

static int
all_claimed(const struct lm_entity *entity, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	if (cells_claimed(entity->cells, entity->n_cells, err) < 0)
		return -1;
	for (i = 0; i < entity->n_blobs; i++)
		if (!entity->blobs[i].used && entity->blobs[i].kind != LM_BLOB_OTHER)
			return lm_fail(err, LOOM_EFORMAT, "blob %s belongs to no node",
			    lm_shown(shown, entity->blobs[i].path));
	return 0;
}

/* ---- weights ---- */

/* The blob of a slot that is not in the layer's own: beside it, or one with the node's name. */
static struct lm_entity_blob *
find_blob(const struct lm_entity *entity, const struct lm_entity_cell *cell,
    const struct lm_node *node, size_t slot, struct lm_buf *path, struct loom_error *err)
{
	if (cell != NULL && cell->sidecar != NULL && cell->row->side.slot == slot)
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
	struct lm_entity_cell *cell = cell_of(entity, node);
	struct lm_entity_blob *blob;
	char shown[LM_SHOWN];
	size_t n = lm_layer_slots(node->op), i = 0;

	if (cell != NULL && cell->node != node)
		cell = NULL;
	if (cell != NULL) {
		if (lm_entity_attach_main(entity, cell, node, err) < 0)
			return -1;
		i = cell->row->main;
	}
	for (; i < n; i++) {
		if (!lm_slot_wanted(node, i) || node->weight[i].same != NULL)
			continue;
		blob = find_blob(entity, cell, node, i, path, err);
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

/* What does not fit is not used. */
static int
read_layout(struct loom_model *model, struct lm_node *node, size_t slot, json_t *of,
    const char *name, struct loom_error *err)
{
	struct lm_weight *w = &node->weight[slot];
	struct loom_error why = { 0 };
	char shown[LM_SHOWN];

	if (of == NULL || w->dtype == NULL || w->same != NULL ||
	    lm_origin_read(model, node, slot, of, lm_shown(shown, name), NULL, &why) == 0)
		return 0;
	w->layout = NULL;
	w->aliases = NULL;
	if (why.code == LOOM_ENOMEM) {
		*err = why;
		return -1;
	}
	return lm_model_finding(model, err, "info: %s", why.text);
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

/* Where tensors came from: {"net.0.weight": {"source": ..., "layout": ..., "sha256": ...}}. */
static int
read_sources(struct loom_model *model, json_t *tensors, struct loom_error *err)
{
	struct lm_buf name;
	struct lm_node *node;
	json_t *of;
	size_t i, k;
	int r = 0;

	lm_buf_init(&name, 1 << 16);
	for (i = 0; i < model->n_nodes && json_object_size(tensors) > 0; i++) {
		node = model->nodes[i];
		for (k = 0; r == 0 && k < lm_layer_slots(node->op); k++) {
			lm_buf_clear(&name);
			r = lm_buf_printf(&name, err, "%s.%s", node->name, node->op->slots[k].name);
			of = r == 0 ? json_object_get(tensors, name.data) : NULL;
			if (of != NULL)
				r = read_source(model, &node->weight[k], of, err);
			if (r == 0)
				r = read_layout(model, node, k, of, name.data, err);
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
