/*
 * gguf_plain: any network in a GGUF file that llama.cpp does not run, but every reader of the
 * container lists: the architecture is "loom", the graph stands in loom.topology as in the bridge
 * section of a checkpoint, the weights are l.NODE.SLOT.  What has more than four axes is folded
 * into them.
 */
#include <string.h>

#include "format/gguf.h"
#include "format/gotext.h"
#include "format/graph.h"

enum { VERSION = 1, LONGEST_NAME = 64, LONGEST_KEY = 100 };

#define TOPOLOGY "loom.topology"

static const char *
name_of(char dst[LONGEST_NAME], size_t node, const char *slot)
{
	(void)snprintf(dst, LONGEST_NAME, "l.%zu.%s", node, slot);
	return dst;
}

/* What stands in the file: one axis at least, four at most, the leading ones folded. */
static void
fold(struct lm_shape *s)
{
	unsigned more = s->rank > LM_GGUF_RANK ? s->rank - LM_GGUF_RANK : 0, i;

	if (s->rank == 0)
		s->dim[s->rank++] = 1;
	for (i = 1; i <= more; i++)
		s->dim[0] *= s->dim[i];
	for (i = 1; more > 0 && i < LM_GGUF_RANK; i++)
		s->dim[i] = s->dim[i + more];
	s->rank -= more;
}

/* ---- reading ---- */

/* bool stands as int8. */
static int
read_dtype(const struct lm_gguf *g, struct lm_gguf_tensor *t, struct loom_error *err)
{
	char key[LONGEST_KEY], shown[LM_SHOWN];
	const char *name = NULL;
	int r;

	(void)snprintf(key, sizeof(key), "loom.dtype.%s", t->name);
	r = lm_gguf_text(g, key, 0, &name, err);
	if (r != 1)
		return r;
	if (strcmp(name, "bool") != 0 || t->dtype != lm_dtype_get(LM_I8))
		return lm_fail(err, LOOM_EFORMAT, "key %s is %s, expected bool of an I8", key,
		    lm_shown(shown, name));
	t->dtype = lm_dtype_get(LM_BOOL);
	return 0;
}

static int
put_view(struct loom_model *m, struct lm_gguf_tensor *t, struct lm_node *n, size_t slot,
    struct loom_error *err)
{
	struct lm_view *view = lm_arena_alloc(&m->arena, 1, sizeof(*view), err);
	struct lm_shape shape;

	if (view == NULL || lm_slot_shape(n, slot, &shape, err) < 0)
		return -1;
	fold(&shape);
	if (lm_gguf_view(t, &shape, view, err) < 0 || lm_node_put(n, slot, view->dtype, 1, err) < 0)
		return -1;
	n->weight[slot].view = view;
	return 0;
}

static int
read_slot(struct loom_model *m, struct lm_gguf *g, struct lm_node *n, size_t slot,
    struct loom_error *err)
{
	char name[LONGEST_NAME], shown[LM_SHOWN];
	struct lm_gguf_tensor *t;

	t = lm_gguf_tensor(g, name_of(name, m->n_nodes - 1, n->op->slots[slot].name));
	if (t == NULL)
		return lm_fail(err, LOOM_EFORMAT, "tensor %s, the %s of node %s, is missing", name,
		    n->op->slots[slot].name, lm_shown(shown, n->name));
	return read_dtype(g, t, err) < 0 ? -1 : put_view(m, t, n, slot, err);
}

static int
read_node(struct loom_model *m, struct lm_gguf *g, json_t *json, struct loom_error *err)
{
	struct lm_node *n;
	size_t i;

	if (lm_graph_read_node(m, json, LM_GRAPH_BRIDGE, &n, err) < 0 ||
	    lm_graph_read_tied(m, n, json_object_get(json, "tensors"), err) < 0)
		return -1;
	for (i = 0; i < lm_layer_slots(n->op); i++)
		if (lm_slot_wanted(n, i) && n->weight[i].same == NULL &&
		    read_slot(m, g, n, i, err) < 0)
			return -1;
	return 0;
}

static int
read_topology(struct loom_model *m, struct lm_gguf *g, json_t *root, struct loom_error *err)
{
	static const char *const keys[] = { "version", "inputs", "nodes", "outputs", NULL };
	json_t *inputs, *nodes, *outputs, *item;
	int64_t version;
	size_t i;

	if (!json_is_object(root))
		return lm_fail(err, LOOM_EFORMAT, TOPOLOGY " is %s, not an object",
		    lm_json_type(root));
	if (lm_json_only(root, TOPOLOGY, keys, err) < 0 ||
	    lm_json_integer(root, TOPOLOGY, "version", 1, VERSION, VERSION, &version, err) < 0 ||
	    lm_json_array(root, TOPOLOGY, "inputs", 1, &inputs, err) < 0 ||
	    lm_json_array(root, TOPOLOGY, "nodes", 1, &nodes, err) < 0 ||
	    lm_json_array(root, TOPOLOGY, "outputs", 1, &outputs, err) < 0)
		return -1;
	json_array_foreach(inputs, i, item)
		if (lm_graph_read_input(m, item, LM_GRAPH_BRIDGE, err) < 0)
			return -1;
	json_array_foreach(nodes, i, item)
		if (read_node(m, g, item, err) < 0)
			return -1;
	return lm_graph_read_outputs(m, outputs, err);
}

int
lm_gguf_read_plain(struct loom_model *m, struct lm_gguf *g, struct loom_error *err)
{
	struct loom_error wrong = { 0 };
	const char *text;
	json_t *root;
	int r;

	if (lm_gguf_text(g, TOPOLOGY, 1, &text, err) < 0)
		return -1;
	if (lm_json_parse(&root, text, strlen(text), &wrong) < 0)
		return lm_fail(err, wrong.code, TOPOLOGY ": %s, at byte %llu of it", wrong.text,
		    (unsigned long long)wrong.offset);
	r = read_topology(m, g, root, err);
	json_decref(root);
	return r < 0 ? -1 : lm_gguf_all_used(g, "the network in " TOPOLOGY, err);
}

/* ---- writing ---- */

static int
add_nodes(json_t *list, const struct loom_model *m, struct loom_error *err)
{
	json_t *node;
	size_t i;

	for (i = 0; i < m->n_nodes; i++) {
		node = lm_graph_write_node(m, m->nodes[i], NULL, err);
		if (node == NULL || lm_json_append(list, node, err) < 0)
			return -1;
	}
	return 0;
}

static int
add_inputs(json_t *list, const struct loom_model *m, struct loom_error *err)
{
	json_t *input;
	size_t i;

	for (i = 0; i < m->n_inputs; i++) {
		input = lm_graph_write_input(&m->inputs[i], err);
		if (input == NULL || lm_json_append(list, input, err) < 0)
			return -1;
	}
	return 0;
}

static int
fill_topology(json_t *root, const struct loom_model *m, struct loom_error *err)
{
	json_t *inputs = json_array(), *nodes = json_array(), *outputs;
	int r = lm_json_set(root, "inputs", inputs, err);

	if (lm_json_set(root, "nodes", nodes, err) < 0 || r < 0 ||
	    lm_json_set(root, "version", json_integer(VERSION), err) < 0 ||
	    add_inputs(inputs, m, err) < 0 || add_nodes(nodes, m, err) < 0)
		return -1;
	outputs = lm_graph_write_outputs(m, err);
	return outputs != NULL ? lm_json_set(root, "outputs", outputs, err) : -1;
}

static int
put_topology(struct lm_gguf_writing *w, struct loom_error *err)
{
	json_t *root = json_object();
	struct lm_buf text;
	int r = -1;

	lm_buf_init(&text, SIZE_MAX / 4);
	if (root == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	else if (fill_topology(root, w->e->model, err) == 0 && lm_go_json(&text, root, err) == 0)
		r = lm_gguf_put_text(w, TOPOLOGY, text.data, err);
	lm_buf_release(&text);
	json_decref(root);
	return r;
}

/* The extents that folding hides, for those who read the file without us. */
static int
put_shape(struct lm_gguf_writing *w, const char *name, const struct lm_shape *shape,
    struct loom_error *err)
{
	char key[LONGEST_KEY];
	unsigned i;

	(void)snprintf(key, sizeof(key), "loom.shape.%s", name);
	if (lm_gguf_put_array(w, key, LM_GGUF_U64, shape->rank, err) < 0)
		return -1;
	for (i = 0; i < shape->rank; i++)
		if (lm_gguf_put_element_u64(w, shape->dim[i], err) < 0)
			return -1;
	return 0;
}

static int
put_slot(struct lm_gguf_writing *w, size_t node, size_t slot, struct loom_error *err)
{
	const struct lm_node *n = w->e->model->nodes[node];
	char name[LONGEST_NAME], key[LONGEST_KEY];
	struct lm_shape shape, folded;

	if (lm_slot_shape(n, slot, &shape, err) < 0)
		return -1;
	(void)name_of(name, node, n->op->slots[slot].name);
	folded = shape;
	fold(&folded);
	if (folded.rank != shape.rank && put_shape(w, name, &shape, err) < 0)
		return -1;
	(void)snprintf(key, sizeof(key), "loom.dtype.%s", name);
	if (n->weight[slot].dtype == lm_dtype_get(LM_BOOL) &&
	    lm_gguf_put_text(w, key, "bool", err) < 0)
		return -1;
	return lm_gguf_put_slot(w, name, n, slot, &folded, err) != NULL ? 0 : -1;
}

static int
put_slots(struct lm_gguf_writing *w, struct loom_error *err)
{
	const struct loom_model *m = w->e->model;
	size_t i, k;

	if (lm_gguf_put_room(w, m->n_nodes * LM_SLOTS, err) < 0)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < lm_layer_slots(m->nodes[i]->op); k++)
			if (lm_slot_wanted(m->nodes[i], k) && m->nodes[i]->weight[k].same == NULL &&
			    put_slot(w, i, k, err) < 0)
				return -1;
	return 0;
}

int
lm_gguf_export_plain(struct lm_gguf_writing *w, struct loom_error *err)
{
	if (lm_gguf_put_general(w, "loom", err) < 0 || put_topology(w, err) < 0 ||
	    put_slots(w, err) < 0 || lm_gguf_put_file_type(w, err) < 0)
		return -1;
	return lm_gguf_write(w, err);
}
