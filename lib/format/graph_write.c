/* graph_write: inputs, nodes and outputs to JSON, in the bridge section's form. */
#include "format/graph.h"

#include <math.h>
#include <string.h>

/* What is read is UTF-8 already. */
static json_t *
text(const char *s)
{
	return json_string_nocheck(s);
}

static json_t *
write_dims(const struct lm_dims *dims, struct loom_error *err)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list != NULL && i < dims->n; i++)
		if (lm_json_append(list,
			dims->dim[i].text != NULL ? text(dims->dim[i].text)
						  : json_integer(dims->dim[i].value),
			err) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

json_t *
lm_graph_write_value(const struct lm_param *param, const union lm_value *value,
    struct loom_error *err)
{
	switch (param->kind) {
	case LM_IS_SIZE:
	case LM_IS_INT:
		return json_integer(value->i);
	case LM_IS_REAL:
		return json_real(value->real);
	case LM_IS_MAYBE:
		return isnan(value->real) ? json_null() : json_real(value->real);
	case LM_IS_FLAG:
		return json_boolean(value->i);
	case LM_IS_ENUM:
		return text(param->names[value->i]);
	case LM_IS_INTS:
	case LM_IS_DIMS:
		return write_dims(&value->dims, err);
	}
	return NULL;
}

static int
add_params(json_t *object, const struct lm_node *node, struct loom_error *err)
{
	json_t *params = json_object();
	size_t n = lm_layer_params(node->op), i;

	if (lm_json_set(object, "params", params, err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (lm_json_set(params, node->op->params[i].key,
			lm_graph_write_value(&node->op->params[i], &node->param[i], err), err) < 0)
			return -1;
	return 0;
}

static int
add_values(json_t *object, const char *key, const struct loom_model *model, const size_t *values,
    size_t n, struct loom_error *err)
{
	json_t *list = json_array();
	size_t i;

	if (lm_json_set(object, key, list, err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (lm_json_append(list,
			values[i] == LM_ABSENT ? json_null() : text(model->values[values[i]].name),
			err) < 0)
			return -1;
	return 0;
}

/* Whose weight is it?  The model has it, or it could not be tied to. */
static const struct lm_node *
owner(const struct loom_model *model, const struct lm_weight *weight, size_t *slot)
{
	size_t i;

	for (i = 0; i < model->n_nodes; i++)
		if (weight >= model->nodes[i]->weight &&
		    weight < model->nodes[i]->weight + LM_SLOTS) {
			*slot = (size_t)(weight - model->nodes[i]->weight);
			return model->nodes[i];
		}
	return NULL;
}

static int
add_tie(json_t *list, const struct loom_model *model, const struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	json_t *tie = json_object();
	const struct lm_node *twin;
	size_t twin_slot = 0;

	if (lm_json_append(list, tie, err) < 0 ||
	    lm_json_set(tie, "slot", text(node->op->slots[slot].name), err) < 0)
		return -1;
	twin = owner(model, node->weight[slot].same, &twin_slot);
	if (twin == NULL)
		return lm_fail(err, LOOM_EARG, "node %s: tied to a tensor of no node", node->name);
	return lm_json_set(tie, "same",
	    json_sprintf("%s.%s", twin->name, twin->op->slots[twin_slot].name), err);
}

static int
add_tied(json_t *object, const struct loom_model *model, const struct lm_node *node,
    struct loom_error *err)
{
	size_t n = lm_layer_slots(node->op), i;
	json_t *list = NULL;

	for (i = 0; i < n; i++) {
		if (node->weight[i].same == NULL)
			continue;
		if (list == NULL && lm_json_set(object, "tensors", list = json_array(), err) < 0)
			return -1;
		if (add_tie(list, model, node, i, err) < 0)
			return -1;
	}
	return 0;
}

/* What a node makes, where it is not one tensor with its name. */
static int
add_out(json_t *object, const struct loom_model *model, const struct lm_node *node,
    struct loom_error *err)
{
	if (node->n_out == 1 && strcmp(model->values[node->out[0]].name, node->name) == 0)
		return 0;
	return add_values(object, "out", model, node->out, node->n_out, err);
}

json_t *
lm_graph_write_node(const struct loom_model *model, const struct lm_node *node, const char *cell,
    struct loom_error *err)
{
	json_t *object = json_object();

	if (object == NULL || lm_json_set(object, "name", text(node->name), err) < 0 ||
	    lm_json_set(object, "op", text(node->op->name), err) < 0 ||
	    (cell != NULL && lm_json_set(object, "cell", text(cell), err) < 0) ||
	    add_values(object, "in", model, node->in, node->n_in, err) < 0 ||
	    add_out(object, model, node, err) < 0 || add_params(object, node, err) < 0 ||
	    add_tied(object, model, node, err) < 0) {
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *
lm_graph_write_input(const struct lm_input *input, struct loom_error *err)
{
	json_t *object = json_object();

	if (object == NULL || lm_json_set(object, "name", text(input->name), err) < 0 ||
	    lm_json_set(object, "dtype", text(input->dtype->name), err) < 0 ||
	    lm_json_set(object, "shape", write_dims(&input->dims, err), err) < 0 ||
	    (input->any && lm_json_set(object, "any", json_true(), err) < 0)) {
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *
lm_graph_write_outputs(const struct loom_model *model, struct loom_error *err)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list != NULL && i < model->n_outputs; i++)
		if (lm_json_append(list, text(model->values[model->outputs[i]].name), err) < 0) {
			json_decref(list);
			return NULL;
		}
	if (list == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	return list;
}
