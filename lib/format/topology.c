/* topology: a network without its weights as one text of JSON, and weights for it from a file of tensors. */
#include "format/topology.h"

#include <string.h>

#include "format/gotext.h"
#include "format/graph.h"

#define TOPOLOGY "loom.topology"

/* ---- writing ---- */

static int
put_json(struct lm_buf *buf, json_t *value, struct loom_error *err)
{
	int r = value != NULL ? lm_go_json(buf, value, err) : -1;

	json_decref(value);
	return r;
}

int
lm_topology_write(const struct loom_model *m, struct lm_buf *buf, struct loom_error *err)
{
	size_t i;

	if (lm_buf_str(buf, "{\"version\":1,\"inputs\":[", err) < 0)
		return -1;
	for (i = 0; i < m->n_inputs; i++)
		if ((i > 0 && lm_buf_str(buf, ",", err) < 0) ||
		    put_json(buf, lm_graph_write_input(&m->inputs[i], err), err) < 0)
			return -1;
	if (lm_buf_str(buf, "],\"nodes\":[", err) < 0)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		if ((i > 0 && lm_buf_str(buf, ",", err) < 0) ||
		    put_json(buf, lm_graph_write_node(m, m->nodes[i], NULL, err), err) < 0)
			return -1;
	if (lm_buf_str(buf, "],\"outputs\":", err) < 0 ||
	    put_json(buf, lm_graph_write_outputs(m, err), err) < 0)
		return -1;
	return lm_buf_str(buf, "}", err);
}

/* ---- reading ---- */

struct reading {
	struct loom_model *model;
	lm_topology_put *put;
	void *context;
};

static int
read_node(const struct reading *r, json_t *json, struct loom_error *err)
{
	struct lm_node *node;
	json_t *tensors = NULL;

	if (lm_graph_read_node(r->model, json, LM_GRAPH_BRIDGE, &node, err) < 0 ||
	    lm_json_array(json, "node", "tensors", 0, &tensors, err) < 0 ||
	    lm_graph_read_tied(r->model, node, tensors, err) < 0)
		return -1;
	return r->put(r->model, node, r->context, err);
}

static int
read_all(const struct reading *r, json_t *root, struct loom_error *err)
{
	static const char *const known[] = { "version", "inputs", "nodes", "outputs", NULL };
	json_t *inputs = NULL, *nodes = NULL, *outputs = NULL, *item;
	int64_t version = 0;
	size_t i;

	if (!json_is_object(root))
		return lm_fail(err, LOOM_EFORMAT, TOPOLOGY " is %s, not an object",
		    lm_json_type(root));
	if (lm_json_only(root, TOPOLOGY, known, err) < 0 ||
	    lm_json_integer(root, TOPOLOGY, "version", 1, 1, 1, &version, err) < 0 ||
	    lm_json_array(root, TOPOLOGY, "inputs", 1, &inputs, err) < 0 ||
	    lm_json_array(root, TOPOLOGY, "nodes", 1, &nodes, err) < 0 ||
	    lm_json_array(root, TOPOLOGY, "outputs", 1, &outputs, err) < 0)
		return -1;
	json_array_foreach(inputs, i, item)
		if (lm_graph_read_input(r->model, item, LM_GRAPH_BRIDGE, err) < 0)
			return -1;
	json_array_foreach(nodes, i, item)
		if (read_node(r, item, err) < 0)
			return -1;
	return lm_graph_read_outputs(r->model, outputs, err);
}

int
lm_topology_read(struct loom_model *m, const char *text, size_t n, lm_topology_put *put,
    void *context, struct loom_error *err)
{
	struct reading reading = { m, put, context };
	struct loom_error wrong = { 0 };
	json_t *root;
	int r;

	if (lm_json_parse(&root, text, n, &wrong) < 0)
		return lm_fail(err, wrong.code, TOPOLOGY ": %s, at byte %llu of it", wrong.text,
		    (unsigned long long)wrong.offset);
	r = read_all(&reading, root, err);
	json_decref(root);
	return r;
}

/* ---- weights ---- */

int
lm_topology_name(struct lm_buf *buf, const struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	return lm_buf_printf(buf, err, "%s.%s", node->name, node->op->slots[slot].name);
}

static int
wrong_type(const struct lm_node *node, size_t slot, const struct lm_entry *e,
    struct loom_error *err)
{
	char shown[LM_SHOWN];

	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "tensor %s is %s; the %s of node %.80s takes real numbers",
	    lm_shown(shown, e->tensor.name), e->dtype->name, node->op->slots[slot].name,
	    node->name);
}

static int
check_entry(const struct lm_node *node, size_t slot, const struct lm_entry *e,
    const struct lm_shape *found, struct loom_error *err)
{
	char shown[LM_SHOWN], a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
	struct lm_shape want;

	if (lm_slot_shape(node, slot, &want, err) < 0)
		return -1;
	want.dtype = e->dtype;
	if (!lm_shape_same(&want, found))
		return lm_fail(err, LOOM_ESHAPE, "tensor %s: expected %s, found %s",
		    lm_shown(shown, e->tensor.name), lm_shape_text(a, &want),
		    lm_shape_text(b, found));
	if (!node->op->slots[slot].any && e->dtype->kind != LM_FLOATING)
		return wrong_type(node, slot, e, err);
	return 0;
}

/* A copy in the model's memory. */
static int
load(struct loom_model *m, struct lm_weight *w, struct loom_tensors *t, size_t i,
    struct loom_error *err)
{
	unsigned char *data = lm_arena_alloc(&m->arena, (size_t)w->bytes, 1, err);

	w->data = data;
	return data != NULL ? loom_tensors_read(t, i, data, (size_t)w->count, err) : -1;
}

int
lm_topology_view(struct loom_model *m, struct lm_node *node, size_t slot, struct loom_tensors *t,
    size_t i, struct loom_error *err)
{
	const struct lm_entry *e = &t->entries[i];
	struct lm_shape found = { .dtype = e->dtype, .rank = e->tensor.rank };
	struct lm_view *view;
	uint64_t offset = e->offset;
	int there = 1;

	memcpy(found.dim, e->tensor.shape, sizeof(found.dim));
	if (check_entry(node, slot, e, &found, err) < 0 ||
	    lm_node_put(node, slot, e->dtype, 1, err) < 0)
		return -1;
	if (t->place != NULL)
		there = t->place(t, e, &offset, err);
	if (there <= 0)
		return there < 0 ? -1 : load(m, &node->weight[slot], t, i, err);
	view = lm_arena_alloc(&m->arena, 1, sizeof(*view), err);
	if (view == NULL ||
	    lm_view_whole(view, e->source != NULL ? e->source : t->source, offset, e->dtype, NULL,
		&found, err) < 0)
		return -1;
	node->weight[slot].view = view;
	return 0;
}

struct filling {
	struct loom_tensors *tensors;
	struct lm_names names;
	const struct loom_model *like;
	unsigned char *used;
};

/* By the name of what the template's slot came from. */
static size_t
by_source(const struct filling *f, const struct lm_node *node, size_t slot)
{
	const struct lm_node *twin = f->like != NULL ? lm_model_find(f->like, node->name) : NULL;
	const char *source = twin != NULL ? twin->weight[slot].source : NULL;

	return source != NULL ? lm_names_find(&f->names, source) : LM_NO_NAME;
}

static int
fill_slot(struct loom_model *m, struct filling *f, struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	struct lm_buf name;
	size_t at = LM_NO_NAME;
	int r;

	lm_buf_init(&name, 1 << 16);
	r = lm_topology_name(&name, node, slot, err);
	if (r == 0)
		at = lm_names_find(&f->names, name.data);
	if (r == 0 && at == LM_NO_NAME)
		at = by_source(f, node, slot);
	if (r == 0 && at == LM_NO_NAME)
		r = lm_fail(err, LOOM_EFORMAT, "no tensor is called %.200s", name.data);
	lm_buf_release(&name);
	if (r < 0)
		return -1;
	f->used[at] = 1;
	return lm_topology_view(m, node, slot, f->tensors, at, err);
}

static int
fill_node(struct loom_model *m, struct lm_node *node, void *context, struct loom_error *err)
{
	size_t k;

	for (k = 0; k < lm_layer_slots(node->op); k++)
		if (lm_slot_wanted(node, k) && node->weight[k].same == NULL &&
		    fill_slot(m, context, node, k, err) < 0)
			return -1;
	return 0;
}

/* PyTorch's batch norms count how often they were trained, which changes nothing. */
static int
is_count(const char *name)
{
	static const char count[] = ".num_batches_tracked";
	size_t n = strlen(name), k = sizeof(count) - 1;

	return n >= k && strcmp(name + n - k, count) == 0;
}

static int
all_used(const struct filling *f, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < f->tensors->n; i++)
		if (!f->used[i] && !is_count(f->tensors->entries[i].tensor.name))
			return lm_fail(err, LOOM_EFORMAT, "tensor %s belongs to no node",
			    lm_shown(shown, f->tensors->entries[i].tensor.name));
	return 0;
}

int
lm_topology_fill(struct loom_model *m, const char *text, size_t n, struct loom_tensors *t,
    const struct loom_model *like, struct loom_error *err)
{
	struct filling f = { .tensors = t, .like = like };
	struct lm_arena arena = { 0 };
	size_t i;
	int r;

	f.used = lm_arena_alloc(&arena, t->n, 1, err);
	r = f.used != NULL ? 0 : -1;
	for (i = 0; r == 0 && i < t->n; i++)
		r = lm_names_add(&f.names, &arena, t->entries[i].tensor.name, i, err);
	if (r == 0)
		r = lm_topology_read(m, text, n, fill_node, &f, err);
	if (r == 0)
		r = all_used(&f, err);
	lm_arena_release(&arena);
	return r;
}
