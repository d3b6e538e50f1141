/* onnx_import: an ONNX file becomes a network: its nodes in their order, each by a row of onnx.def. */
#include <string.h>

#include "onnx/onnx_known.h"
#include "onnx/onnx_match.h"
#include "onnx/onnx_strict.h"

#define FROM(op, domain, least, most, reader) extern lm_onnx_read_fn lm_onnx_from_##reader;
#include "onnx/onnx.def"

static const struct lm_onnx_from table[] = {
#define FROM(op, domain, least, most, reader) { #op, domain, least, most, lm_onnx_from_##reader },
#include "onnx/onnx.def"
};

enum { ROWS = sizeof(table) / sizeof(*table) };

const struct lm_onnx_from *
lm_onnx_from_find(const char *op, const char *domain, int64_t opset)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (strcmp(table[i].op, op) == 0 && strcmp(table[i].domain, domain) == 0 &&
		    opset >= table[i].least && opset <= table[i].most)
			return &table[i];
	return NULL;
}

/* ---- nodes ---- */

/* Why there is no row. */
static int
refuse_operator(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	size_t i;

	if (lm_onnx_opset(r, node->domain) == 0)
		return lm_onnx_refuse(r, node, err, "the file does not import its domain");
	for (i = 0; i < ROWS; i++)
		if (strcmp(table[i].op, node->op) == 0 &&
		    strcmp(table[i].domain, node->domain) == 0)
			return lm_onnx_refuse(r, node, err, "read from opset %d to %d",
			    table[i].least, table[i].most);
	for (i = 0; i < node->n_attributes; i++)
		if (node->attributes[i].type == LM_ONNX_IS_GRAPH)
			return lm_onnx_refuse(r, node, err,
			    "a graph within a graph: networks here have no control flow");
	return lm_onnx_refuse(r, node, err, "not an operator that is read");
}

static int
check_inputs(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	struct lm_onnx_known *k;
	size_t i;

	for (i = 0; i < node->n_in; i++) {
		k = lm_onnx_in(r, node, i);
		if (k != NULL && !k->made)
			return lm_onnx_refuse(r, node, err,
			    "its input %.100s is made by a later node", k->name);
	}
	return 0;
}

/*
 * Are the outputs constants that Constant nodes alone made?  Then they are nodes of the network, too.  So
 * are numbers that follow each other: how many they are may depend on a size that no trial showed.
 */
static int
stays(struct lm_onnx_reading *r, const struct lm_onnx_node *node)
{
	struct lm_onnx_known *k;
	size_t i;

	if (node->n_in == 0 || strcmp(node->op, "Range") == 0)
		return node->n_in > 0;
	for (i = 0; i < node->n_in; i++) {
		k = lm_onnx_in(r, node, i);
		if (k != NULL && (k->tensor == NULL || k->value == LM_ABSENT))
			return 0;
	}
	return lm_onnx_from_find(node->op, node->domain, lm_onnx_opset(r, node->domain)) != NULL;
}

/* An initializer under another name is a size that depends on none. */
static int
place_number(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *k,
    struct loom_error *err)
{
	const struct lm_onnx_tensor *tensor = k->tensor;
	struct lm_dim of = { NULL, 0 };
	struct lm_node *n;

	if (lm_onnx_tensor_integers(r, tensor, &of.value, err) < 0)
		return -1;
	if (k->value != LM_ABSENT || of.value < 0)
		return 0;
	n = lm_onnx_new_node(r, node, "size", 0, NULL, err);
	if (n == NULL || lm_onnx_set_dims(r, n, "of", &of, 1, err) < 0 ||
	    lm_onnx_end_node(r, n, node->out, 1, err) < 0)
		return -1;
	k->tensor = tensor;
	return 0;
}

/* Extents that are a number of their own are a node size, in the place that the file gives it. */
static int
place_size(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	struct lm_onnx_known *k = lm_onnx_find(r, node->out[0]);
	const struct lm_dim *of;
	struct lm_node *n;

	if (k != NULL && strcmp(node->op, "Identity") == 0 && k->weight && k->tensor != NULL &&
	    k->tensor->type == LM_ONNX_INT64 && k->tensor->rank == 0)
		return place_number(r, node, k, err);
	if (k == NULL || k->elements == NULL || k->dims.n != 0 || k->value != LM_ABSENT ||
	    k->n_elements != 1 || (k->elements[0].text != NULL && k->elements[0].text[0] == '?'))
		return 0;
	of = k->elements;
	n = lm_onnx_new_node(r, node, "size", 0, NULL, err);
	if (n == NULL || lm_onnx_set_dims(r, n, "of", of, 1, err) < 0 ||
	    lm_onnx_end_node(r, n, node->out, 1, err) < 0)
		return -1;
	k->elements = of;
	k->n_elements = 1;
	return 0;
}

/* What was folded and is computed by nodes of the network all the same. */
static int
read_folded(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	const struct lm_onnx_from *row = lm_onnx_from_find(node->op, node->domain,
	    lm_onnx_opset(r, node->domain));
	struct lm_onnx_known *k = lm_onnx_find(r, node->out[0]);
	const struct lm_onnx_tensor *tensor = k->tensor;

	if (node->n_out != 1)
		return 0;
	k->made = 0;
	k->tensor = NULL;
	if (row->read(r, node, err) < 0)
		return -1;
	k->tensor = tensor;
	return 0;
}

static int
read_node(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	const struct lm_onnx_from *row;
	int rc = 0, kept;

	if (!r->folding)
		rc = lm_onnx_matched(r, node, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (check_inputs(r, node, err) < 0)
		return -1;
	kept = stays(r, node);
	rc = lm_onnx_fold(r, node, err);
	if (rc > 0)
		return kept ? read_folded(r, node, err) : place_size(r, node, err);
	if (rc < 0)
		return -1;
	row = lm_onnx_from_find(node->op, node->domain, lm_onnx_opset(r, node->domain));
	if (row == NULL)
		return refuse_operator(r, node, err);
	if (row->read(r, node, err) < 0)
		return err->code != LOOM_OK
		    ? -1
		    : lm_onnx_refuse(r, node, err, "it has other outputs than are read");
	return 0;
}

int
lm_onnx_read_nodes(struct lm_onnx_reading *r, struct loom_error *err)
{
	size_t before;

	for (r->at = 0; r->at < r->from->n_nodes; r->at++) {
		before = r->model->n_nodes;
		if (!r->done[r->at] && read_node(r, &r->from->nodes[r->at], err) < 0)
			return -1;
		if (!r->folding && lm_onnx_note_origin(r, before, err) < 0)
			return -1;
	}
	return 0;
}

/* Text, which stands in a file where it hangs on what is cut off, must not be reached. */
static int
check_text(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	const struct lm_onnx_attribute *a;
	struct lm_onnx_known *k;
	size_t i;

	for (i = 0; i < node->n_in; i++) {
		k = lm_onnx_in(r, node, i);
		if (k != NULL && k->tensor != NULL && lm_onnx_dtype(k->tensor->type) == NULL)
			return lm_onnx_refuse(r, node, err, "its input %.100s is text", k->name);
	}
	for (i = 0; i < node->n_attributes; i++) {
		a = &node->attributes[i];
		if (a->type == LM_ONNX_IS_TENSOR && lm_onnx_dtype(a->tensor->type) == NULL)
			return lm_onnx_refuse(r, node, err, "its attribute %.100s is text",
			    a->name);
	}
	return 0;
}

/* The last opset of its domain that is known, also for what is read as a part of a whole. */
static int
check_opset(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	int64_t opset = lm_onnx_opset(r, node->domain);
	int most = 0;
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (strcmp(table[i].domain, node->domain) == 0 && table[i].most > most)
			most = table[i].most;
	return most > 0 && opset > most
	    ? lm_onnx_refuse(r, node, err, "opsets are known up to %d", most)
	    : 0;
}

static int
check_nodes(struct lm_onnx_reading *r, struct loom_error *err)
{
	const struct lm_onnx_node *node;
	size_t i;

	for (i = 0; i < r->from->n_nodes; i++) {
		node = &r->from->nodes[i];
		if (!r->done[i] &&
		    (check_text(r, node, err) < 0 || check_opset(r, node, err) < 0 ||
			lm_onnx_check_attributes(r, node, err) < 0))
			return -1;
	}
	return 0;
}

/* ---- the whole ---- */

static int
output_names(struct lm_onnx_reading *r, const char ***names, size_t *n, struct loom_error *err)
{
	const struct loom_open_options *how = &r->model->how;
	struct lm_onnx_known *k;
	size_t i;

	*n = how->n_outputs > 0 ? how->n_outputs : r->from->n_outputs;
	*names = lm_arena_alloc(&r->arena, *n + 1, sizeof(**names), err);
	if (*names == NULL)
		return -1;
	for (i = 0; i < *n; i++) {
		(*names)[i] = how->n_outputs > 0 ? how->outputs[i] : r->from->outputs[i].name;
		k = lm_onnx_find(r, (*names)[i]);
		if (k == NULL || (k->tensor != NULL && how->n_outputs > 0))
			return lm_fail(err, how->n_outputs > 0 ? LOOM_EARG : LOOM_EFORMAT,
			    "output %.100s: no node makes it", (*names)[i]);
	}
	return 0;
}

/* Under its own name, by a node that copies where another value is meant. */
static int
make_output(struct lm_onnx_reading *r, const char *name, struct loom_error *err)
{
	struct lm_onnx_known *k = lm_onnx_find(r, name), *y = k;
	static const char *const kinds[] = { "float32", "int64", "bool" };
	struct lm_node *n;
	size_t value, i;

	if (!k->made)
		return lm_fail(err, LOOM_EFORMAT, "output %.100s: no node makes it", name);
	if (lm_onnx_value_of(r, k, &value, err) < 0)
		return -1;
	if (strcmp(r->model->values[value].name, name) == 0)
		return lm_model_add_output(r->model, name, err);
	n = lm_model_add_node(r->model, name,
	    lm_layer_find(k->dtype == lm_dtype_get(LM_F32) ? "linear" : "cast"), err);
	if (n == NULL || lm_node_add_in(r->model, n, r->model->values[value].name, err) < 0)
		return -1;
	for (i = 0; k->dtype != lm_dtype_get(LM_F32) && i < 3; i++)
		if (strcmp(k->dtype->name, kinds[i]) == 0)
			lm_onnx_set(n, "to", (int64_t)i);
	y->value = LM_ABSENT;
	if (lm_onnx_end_node(r, n, &name, 1, err) < 0)
		return -1;
	return lm_model_add_output(r->model, name, err);
}

static int
read_all(struct lm_onnx_reading *r, struct loom_error *err)
{
	const char **outputs;
	size_t n, i;

	r->opset = lm_onnx_opset(r, "");
	r->done = lm_arena_alloc(&r->arena, r->from->n_nodes + 1, 1, err);
	if (r->done == NULL || lm_onnx_know_all(r, err) < 0 ||
	    output_names(r, &outputs, &n, err) < 0 || lm_onnx_find_wanted(r, outputs, n, err) < 0 ||
	    check_nodes(r, err) < 0 || lm_onnx_know_users(r, outputs, n, err) < 0 ||
	    lm_onnx_read_inputs(r, err) < 0 || lm_onnx_match(r, err) < 0 ||
	    lm_onnx_read_nodes(r, err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (make_output(r, outputs[i], err) < 0)
			return -1;
	if (lm_onnx_check_declared(r, err) < 0 || lm_onnx_drop_dead(r, err) < 0)
		return -1;
	return lm_onnx_tie(r, err);
}

int
lm_onnx_import(struct loom_model *m, struct lm_source *source, struct loom_error *err)
{
	struct lm_onnx_reading r = { .model = m };
	struct lm_onnx x = { 0 };
	int rc;

	x.arena = &r.arena;
	r.from = &x;
	rc = lm_onnx_read(&x, m, source, err);
	if (rc == 0)
		rc = lm_onnx_read_metadata(m, &x, err);
	if (rc == 0)
		rc = read_all(&r, err);
	lm_arena_release(&r.arena);
	if (rc < 0)
		lm_onnx_say_cut(m, source, err);
	return rc;
}
