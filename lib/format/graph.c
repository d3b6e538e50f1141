/* graph: inputs and nodes from JSON. */
#include "format/graph.h"

#include <math.h>
#include <string.h>

/* ---- dimensions ---- */

static int
read_dim(struct loom_model *model, json_t *item, const char *where, const char *key, int names,
    struct lm_dim *dim, struct loom_error *err)
{
	if (json_is_integer(item)) {
		dim->value = json_integer_value(item);
		return 0;
	}
	if (!names || !json_is_string(item))
		return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" holds %s, not %s", where, key,
		    lm_json_type(item), names ? "an integer or an expression" : "an integer");
	if (lm_dim_check(json_string_value(item), err) < 0)
		return -1;
	dim->text = lm_arena_string(&model->arena, json_string_value(item), err);
	return dim->text != NULL ? 0 : -1;
}

/* names: expressions are allowed, not integers alone. */
static int
read_dims(struct loom_model *model, json_t *list, const char *where, const char *key, int names,
    struct lm_dims *dims, struct loom_error *err)
{
	size_t n = json_array_size(list), i;
	struct lm_dim *dim;

	if (n > LOOM_RANK)
		return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" has %zu entries, more than %d", where,
		    key, n, LOOM_RANK);
	dim = lm_arena_alloc(&model->arena, n, sizeof(*dim), err);
	if (dim == NULL)
		return -1;
	for (i = 0; i < n; i++)
		if (read_dim(model, json_array_get(list, i), where, key, names, &dim[i], err) < 0)
			return -1;
	dims->n = n;
	dims->dim = dim;
	return 0;
}

static int
check_extents(const struct lm_dims *dims, const char *where, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < dims->n; i++)
		if (dims->dim[i].text == NULL && dims->dim[i].value < 0)
			return lm_fail(err, LOOM_EFORMAT, "%s: \"shape\" holds %lld, not an extent",
			    where, (long long)dims->dim[i].value);
	return 0;
}

/* ---- inputs and outputs ---- */

/* "input x", "node net.0": the start of messages about it; the name is checked. */
static int
name_it(const json_t *object, const char *what, const char **name, char where[160],
    struct loom_error *err)
{
	char shown[LM_SHOWN];

	if (!json_is_object(object))
		return lm_fail(err, LOOM_EFORMAT, "%s is %s, not an object", what,
		    lm_json_type(object));
	if (lm_json_string(object, what, "name", 1, name, err) < 0)
		return -1;
	snprintf(where, 160, "%s %s", what, lm_shown(shown, *name));
	return 0;
}

static const struct lm_dtype *
value_dtype(const char *where, const char *name, struct loom_error *err)
{
	const struct lm_dtype *dtype = lm_dtype_find(name);
	char shown[LM_SHOWN];

	if (dtype == lm_dtype_get(LM_F32) || dtype == lm_dtype_get(LM_I64) ||
	    dtype == lm_dtype_get(LM_BOOL))
		return dtype;
	(void)lm_fail(err, LOOM_EUNSUPPORTED, "%s: dtype %s, not float32, int64 or bool", where,
	    lm_shown(shown, name));
	return NULL;
}

int
lm_graph_read_input(struct loom_model *model, json_t *input, enum lm_graph_form form,
    struct loom_error *err)
{
	static const char *const keys[] = { "name", "dtype", "shape", NULL };
	static const char *const bridge_keys[] = { "name", "dtype", "shape", "any", NULL };
	const char *name, *dtype_name;
	const struct lm_dtype *dtype;
	struct lm_dims dims;
	char where[160];
	json_t *shape;
	int any = 0;

	if (name_it(input, "input", &name, where, err) < 0 ||
	    lm_json_only(input, where, form == LM_GRAPH_BRIDGE ? bridge_keys : keys, err) < 0 ||
	    lm_json_string(input, where, "dtype", 1, &dtype_name, err) < 0 ||
	    lm_json_array(input, where, "shape", 1, &shape, err) < 0 ||
	    lm_json_flag(input, where, "any", 0, &any, err) < 0)
		return -1;
	dtype = value_dtype(where, dtype_name, err);
	if (dtype == NULL || read_dims(model, shape, where, "shape", 1, &dims, err) < 0 ||
	    check_extents(&dims, where, err) < 0)
		return -1;
	return lm_model_add_input(model, name, dtype, any, dims, err);
}

int
lm_graph_read_outputs(struct loom_model *model, json_t *list, struct loom_error *err)
{
	json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		return lm_fail(err, LOOM_EFORMAT, "\"outputs\" is empty: nothing would come out");
	json_array_foreach(list, i, item) {
		if (!json_is_string(item))
			return lm_fail(err, LOOM_EFORMAT, "\"outputs\" holds %s, not a string",
			    lm_json_type(item));
		if (lm_model_add_output(model, json_string_value(item), err) < 0)
			return -1;
	}
	return 0;
}

/* ---- parameters ---- */

static int
read_enum(const struct lm_param *param, const char *where, const char *value, int64_t *out,
    struct loom_error *err)
{
	char shown[LM_SHOWN], list[200] = "";
	size_t used = 0;
	int64_t i;

	for (i = 0; param->names[i] != NULL; i++) {
		if (strcmp(param->names[i], value) == 0) {
			*out = i;
			return 0;
		}
		if (used + strlen(param->names[i]) + 5 < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"",
			    used > 0 ? ", " : "", param->names[i]);
	}
	return lm_fail(err, LOOM_EUNSUPPORTED, "%s: \"%s\" is \"%s\", not one of %s", where,
	    param->key, lm_shown(shown, value), list);
}

static int
read_param(struct loom_model *model, struct lm_node *node, size_t i, json_t *params,
    const char *where, struct loom_error *err)
{
	const struct lm_param *param = &node->op->params[i];
	union lm_value *value = &node->param[i];
	const char *word;
	json_t *list;
	int flag;

	switch (param->kind) {
	case LM_IS_SIZE:
	case LM_IS_INT:
		return lm_json_integer(params, where, param->key, 1, INT64_MIN, INT64_MAX,
		    &value->i, err);
	case LM_IS_REAL:
		return lm_json_real(params, where, param->key, 1, &value->real, err);
	case LM_IS_MAYBE:
		value->real = NAN;
		if (json_is_null(json_object_get(params, param->key)))
			return 0;
		return lm_json_real(params, where, param->key, 1, &value->real, err);
	case LM_IS_FLAG:
		if (lm_json_flag(params, where, param->key, 1, &flag, err) < 0)
			return -1;
		value->i = flag;
		return 0;
	case LM_IS_ENUM:
		if (lm_json_string(params, where, param->key, 1, &word, err) < 0)
			return -1;
		return read_enum(param, where, word, &value->i, err);
	case LM_IS_INTS:
	case LM_IS_DIMS:
		if (lm_json_array(params, where, param->key, 1, &list, err) < 0)
			return -1;
		return read_dims(model, list, where, param->key, param->kind == LM_IS_DIMS,
		    &value->dims, err);
	}
	return lm_fail(err, LOOM_EUNSUPPORTED, "%s: \"%s\" is of no known kind", where, param->key);
}

static int
read_params(struct loom_model *model, struct lm_node *node, json_t *params, const char *where,
    struct loom_error *err)
{
	const char *known[LM_PARAMS + 1] = { NULL };
	size_t n = lm_layer_params(node->op), i;

	for (i = 0; i < n; i++)
		known[i] = node->op->params[i].key;
	if (lm_json_only(params, where, known, err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (read_param(model, node, i, params, where, err) < 0)
			return -1;
	return 0;
}

/* ---- nodes ---- */

/* in or out: names, and null where an optional input is absent. */
static int
read_names(struct loom_model *model, struct lm_node *node, json_t *list, const char *where, int out,
    struct loom_error *err)
{
	json_t *item;
	size_t i;
	const char *name;

	json_array_foreach(list, i, item) {
		name = json_string_value(item);
		if (name == NULL && (out || !json_is_null(item)))
			return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" holds %s, not a string",
			    where, out ? "out" : "in", lm_json_type(item));
		if ((out ? lm_node_add_out(model, node, name, err)
			 : lm_node_add_in(model, node, name, err)) < 0)
			return -1;
	}
	return 0;
}

static const struct lm_layer_ops *
read_op(const json_t *json, const char *where, struct loom_error *err)
{
	const struct lm_layer_ops *op;
	const char *name;
	char shown[LM_SHOWN];

	if (lm_json_string(json, where, "op", 1, &name, err) < 0)
		return NULL;
	op = lm_layer_find(name);
	if (op == NULL)
		(void)lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s: unknown operation \"%s\" (`loom-list layers` has those that are known)",
		    where, lm_shown(shown, name));
	return op;
}

static int
read_cell(struct loom_model *model, struct lm_node *node, const json_t *json, const char *where,
    struct loom_error *err)
{
	const char *cell = NULL;

	if (lm_json_string(json, where, "cell", 0, &cell, err) < 0)
		return -1;
	if (cell == NULL)
		return 0;
	node->cell = lm_arena_string(&model->arena, cell, err);
	return node->cell != NULL ? 0 : -1;
}

static int
read_links(struct loom_model *model, struct lm_node *node, const json_t *json, const char *where,
    struct loom_error *err)
{
	json_t *in = NULL, *out = NULL;

	if (lm_json_array(json, where, "in", 0, &in, err) < 0 ||
	    lm_json_array(json, where, "out", 0, &out, err) < 0)
		return -1;
	/* A list that is there is meant: an empty one does not ask for the default. */
	if (in != NULL && json_array_size(in) == 0 && node->op->in_least > 0)
		return lm_fail(err, LOOM_EFORMAT, "%s: \"in\" is empty, expected %u or more", where,
		    node->op->in_least);
	if (out != NULL && json_array_size(out) == 0)
		return lm_fail(err, LOOM_EFORMAT, "%s: \"out\" is empty, expected %u or more",
		    where, node->op->out_least);
	if (read_names(model, node, in, where, 0, err) < 0)
		return -1;
	return read_names(model, node, out, where, 1, err);
}

int
lm_graph_read_node(struct loom_model *model, json_t *json, enum lm_graph_form form,
    struct lm_node **out, struct loom_error *err)
{
	static const char *const keys[] = { "name", "op", "in", "out", "params", "tensors", NULL };
	static const char *const bridge_keys[] = { "name", "op", "cell", "in", "out", "params",
		"tensors", NULL };
	const struct lm_layer_ops *op;
	const char *name;
	char where[160];
	json_t *params;

	if (name_it(json, "node", &name, where, err) < 0 ||
	    lm_json_only(json, where, form == LM_GRAPH_BRIDGE ? bridge_keys : keys, err) < 0)
		return -1;
	op = read_op(json, where, err);
	if (op == NULL || lm_json_object(json, where, "params", 1, &params, err) < 0)
		return -1;
	*out = lm_model_add_node(model, name, op, err);
	if (*out == NULL || read_params(model, *out, params, where, err) < 0 ||
	    read_links(model, *out, json, where, err) < 0 ||
	    read_cell(model, *out, json, where, err) < 0)
		return -1;
	return lm_node_check(model, *out, err);
}
