/* topology: a network without its weights as one text of JSON. */
#include "format/topology.h"

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
