/* model: building a graph of nodes, and checking that it is one. */
#include "model/model.h"

#include <stdarg.h>
#include <string.h>

enum { MOST_NODES = 1 << 20, MOST_NAME = 4096 };

int
lm_model_new(struct loom_model **out, const char *name, struct loom_error *err)
{
	struct loom_model *m = lm_alloc(1, sizeof(*m), err);

	*out = NULL;
	if (m == NULL)
		return -1;
	m->name = lm_arena_string(&m->arena, name, err);
	if (m->name == NULL) {
		loom_model_free(m);
		return -1;
	}
	*out = m;
	return 0;
}

void
loom_model_free(struct loom_model *m)
{
	size_t i;

	if (m == NULL)
		return;
	if (m->document != NULL)
		m->document_free(m->document);
	lm_source_free(m->source);
	for (i = 0; i < m->n_files; i++)
		lm_source_free(m->files[i]);
	lm_arena_release(&m->arena);
	lm_free(m);
}

/* Room for one more behind n things: the array doubles when n is a power of two. */
static void *
grow(struct loom_model *m, void *old, size_t n, size_t size, struct loom_error *err)
{
	void *p;

	if (n > 0 && (n & (n - 1)) != 0)
		return old;
	p = lm_arena_alloc(&m->arena, n > 0 ? 2 * n : 1, size, err);
	if (p != NULL && n > 0)
		memcpy(p, old, n * size);
	return p;
}

int
lm_model_add_file(struct loom_model *m, struct lm_source *source, struct loom_error *err)
{
	struct lm_source **files = grow(m, m->files, m->n_files, sizeof(*files), err);

	if (files == NULL) {
		lm_source_free(source);
		return -1;
	}
	m->files = files;
	m->files[m->n_files++] = source;
	return 0;
}

static int
check_name(const char *what, const char *name, struct loom_error *err)
{
	size_t n = strlen(name), i;
	char shown[LM_SHOWN];

	if (n == 0)
		return lm_fail(err, LOOM_EFORMAT, "%s has an empty name", what);
	if (n > MOST_NAME)
		return lm_fail(err, LOOM_EFORMAT, "%s %s: a name of more than %d bytes", what,
		    lm_shown(shown, name), MOST_NAME);
	for (i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return lm_fail(err, LOOM_EFORMAT, "%s %s: a control byte in its name", what,
			    lm_shown(shown, name));
	return 0;
}

static int
add_value(struct loom_model *m, const char *name, size_t node, struct loom_error *err)
{
	struct lm_value_info *values;
	char shown[LM_SHOWN];

	if (check_name("tensor", name, err) < 0)
		return -1;
	if (lm_names_find(&m->value_names, name) != LM_NO_NAME)
		return lm_fail(err, LOOM_EFORMAT, "two tensors are called %s",
		    lm_shown(shown, name));
	values = grow(m, m->values, m->n_values, sizeof(*values), err);
	name = lm_arena_string(&m->arena, name, err);
	if (values == NULL || name == NULL)
		return -1;
	m->values = values;
	values[m->n_values].name = name;
	values[m->n_values].node = node;
	return lm_names_add(&m->value_names, &m->arena, name, m->n_values++, err);
}

int
lm_model_add_input(struct loom_model *m, const char *name, const struct lm_dtype *dtype, int any,
    struct lm_dims dims, struct loom_error *err)
{
	struct lm_input *in;

	if (m->n_nodes > 0)
		return lm_fail(err, LOOM_EARG, "input %s after the first node", name);
	if (add_value(m, name, LM_ABSENT, err) < 0)
		return -1;
	in = grow(m, m->inputs, m->n_inputs, sizeof(*in), err);
	if (in == NULL)
		return -1;
	m->inputs = in;
	in += m->n_inputs++;
	in->name = m->values[m->n_values - 1].name;
	in->tensor = m->n_values - 1;
	in->dtype = dtype;
	in->any = any;
	in->dims = dims;
	return 0;
}

struct lm_node *
lm_model_add_node(struct loom_model *m, const char *name, const struct lm_layer_ops *op,
    struct loom_error *err)
{
	struct lm_node *n, **nodes;
	char shown[LM_SHOWN];

	if (check_name("node", name, err) < 0)
		return NULL;
	if (m->n_nodes >= MOST_NODES) {
		(void)lm_fail(err, LOOM_EUNSUPPORTED, "more than %d nodes", MOST_NODES);
		return NULL;
	}
	if (lm_names_find(&m->node_names, name) != LM_NO_NAME) {
		(void)lm_fail(err, LOOM_EFORMAT, "two nodes are called %s", lm_shown(shown, name));
		return NULL;
	}
	nodes = grow(m, m->nodes, m->n_nodes, sizeof(*nodes), err);
	n = lm_arena_alloc(&m->arena, 1, sizeof(*n), err);
	name = lm_arena_string(&m->arena, name, err);
	if (nodes == NULL || n == NULL || name == NULL ||
	    lm_names_add(&m->node_names, &m->arena, name, m->n_nodes, err) < 0)
		return NULL;
	n->name = name;
	n->op = op;
	m->nodes = nodes;
	nodes[m->n_nodes++] = n;
	return n;
}

size_t
lm_model_value(const struct loom_model *m, const char *name)
{
	return lm_names_find(&m->value_names, name);
}

struct lm_node *
lm_model_find(const struct loom_model *m, const char *node)
{
	size_t i = lm_names_find(&m->node_names, node);

	return i != LM_NO_NAME ? m->nodes[i] : NULL;
}

static int
append_in(struct loom_model *m, struct lm_node *n, size_t value, struct loom_error *err)
{
	size_t *in = grow(m, n->in, n->n_in, sizeof(*in), err);

	if (in == NULL)
		return -1;
	n->in = in;
	in[n->n_in++] = value;
	return 0;
}

int
lm_node_add_in(struct loom_model *m, struct lm_node *n, const char *tensor, struct loom_error *err)
{
	size_t value = LM_ABSENT;
	char shown[LM_SHOWN];

	if (tensor != NULL) {
		value = lm_model_value(m, tensor);
		if (value == LM_NO_NAME)
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s (%s): its input %s is no input of the network and no output of "
			    "an earlier node",
			    n->name, n->op->name, lm_shown(shown, tensor));
	}
	return append_in(m, n, value, err);
}

int
lm_node_add_out(struct loom_model *m, struct lm_node *n, const char *tensor, struct loom_error *err)
{
	size_t *out;

	if (add_value(m, tensor, m->n_nodes - 1, err) < 0)
		return -1;
	out = grow(m, n->out, n->n_out, sizeof(*out), err);
	if (out == NULL)
		return -1;
	n->out = out;
	out[n->n_out++] = m->n_values - 1;
	return 0;
}

/* The first input of a chain is the network's; each further one is what the node before made. */
static int
default_in(struct loom_model *m, struct lm_node *n, struct loom_error *err)
{
	if (m->n_nodes > 1)
		return append_in(m, n, m->nodes[m->n_nodes - 2]->out[0], err);
	if (m->n_inputs == 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s) names no input and the network has none", n->name, n->op->name);
	return append_in(m, n, m->inputs[0].tensor, err);
}

static int
check_counts(const struct lm_node *n, struct loom_error *err)
{
	const struct lm_layer_ops *op = n->op;
	size_t i;

	if (n->n_in < op->in_least || n->n_in > op->in_most)
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s) has %zu inputs, expected %u to %u",
		    n->name, op->name, n->n_in, op->in_least, op->in_most);
	if (n->n_out < op->out_least || n->n_out > op->out_most)
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s) has %zu outputs, expected %u to %u",
		    n->name, op->name, n->n_out, op->out_least, op->out_most);
	for (i = 0; i < n->n_in && i < op->in_least; i++)
		if (n->in[i] == LM_ABSENT)
			return lm_fail(err, LOOM_EFORMAT, "node %s (%s): input %zu may not be null",
			    n->name, op->name, i);
	return 0;
}

int
lm_node_check(struct loom_model *m, struct lm_node *n, struct loom_error *err)
{
	size_t i, params = lm_layer_params(n->op);

	if (n->n_in == 0 && n->op->in_least > 0 && default_in(m, n, err) < 0)
		return -1;
	if (n->n_out == 0 && lm_node_add_out(m, n, n->name, err) < 0)
		return -1;
	if (check_counts(n, err) < 0)
		return -1;
	for (i = 0; i < params; i++)
		if (lm_param_check(n, i, err) < 0)
			return -1;
	return n->op->check != NULL ? n->op->check(n, err) : 0;
}

int
lm_node_put(struct lm_node *n, size_t slot, const struct lm_dtype *dtype, float scale,
    struct loom_error *err)
{
	struct lm_weight *w = &n->weight[slot];
	struct lm_shape shape;

	if (!lm_slot_wanted(n, slot))
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s) has a %s, which its parameters rule out", n->name, n->op->name,
		    n->op->slots[slot].name);
	if (w->dtype != NULL)
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s) has two tensors for %s", n->name,
		    n->op->name, n->op->slots[slot].name);
	if (lm_slot_shape(n, slot, &shape, err) < 0)
		return -1;
	w->dtype = dtype;
	w->scale = scale;
	if (lm_shape_count(&shape, &w->count) < 0 || lm_dtype_bytes(dtype, w->count, &w->bytes) < 0)
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s): %s is too large for this machine",
		    n->name, n->op->name, n->op->slots[slot].name);
	return 0;
}

int
lm_model_add_output(struct loom_model *m, const char *tensor, struct loom_error *err)
{
	size_t value = lm_model_value(m, tensor), i, *outputs;
	char shown[LM_SHOWN];

	if (value == LM_NO_NAME)
		return lm_fail(err, LOOM_EFORMAT, "output %s: no node makes it",
		    lm_shown(shown, tensor));
	for (i = 0; i < m->n_outputs; i++)
		if (m->outputs[i] == value)
			return lm_fail(err, LOOM_EFORMAT, "output %s is listed twice",
			    lm_shown(shown, tensor));
	outputs = grow(m, m->outputs, m->n_outputs, sizeof(*outputs), err);
	if (outputs == NULL)
		return -1;
	m->outputs = outputs;
	outputs[m->n_outputs++] = value;
	return 0;
}

int
lm_model_finding(struct loom_model *m, struct loom_error *err, const char *fmt, ...)
{
	const char **findings;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	findings = grow(m, m->findings, m->n_findings, sizeof(*findings), err);
	if (findings == NULL)
		return -1;
	m->findings = findings;
	findings[m->n_findings] = lm_arena_string(&m->arena, text, err);
	return findings[m->n_findings++] != NULL ? 0 : -1;
}

size_t
loom_model_inputs(const struct loom_model *m)
{
	return m->n_inputs;
}

size_t
loom_model_outputs(const struct loom_model *m)
{
	return m->n_outputs;
}

const char *
loom_model_input(const struct loom_model *m, size_t i)
{
	return m->inputs[i].name;
}

const char *
loom_model_output(const struct loom_model *m, size_t i)
{
	return m->values[m->outputs[i]].name;
}
