/* onnx_wanted: which nodes of an ONNX file the outputs need, and which of a network they need in the end. */
#include <string.h>

#include "onnx/onnx_known.h"

/* ---- of the file ---- */

static void
want(struct lm_onnx_reading *r, const char *name)
{
	const struct lm_onnx_known *k = name[0] != '\0' ? lm_onnx_find(r, name) : NULL;

	if (k != NULL && k->maker != LM_ABSENT)
		r->wanted[k->maker] = 1;
}

int
lm_onnx_find_wanted(struct lm_onnx_reading *r, const char *const *outputs, size_t n,
    struct loom_error *err)
{
	const struct lm_onnx_node *node;
	size_t i, k;

	r->wanted = lm_arena_alloc(&r->arena, r->from->n_nodes + 1, 1, err);
	if (r->wanted == NULL)
		return -1;
	for (i = 0; i < n; i++)
		want(r, outputs[i]);
	for (i = r->from->n_nodes; i-- > 0;) {
		node = &r->from->nodes[i];
		for (k = 0; r->wanted[i] && k < node->n_in; k++)
			want(r, node->in[k]);
		if (!r->wanted[i] && r->model->how.n_outputs > 0)
			r->done[i] = 1;
	}
	return 0;
}

/* ---- of the network ---- */

int
lm_onnx_note_origin(struct lm_onnx_reading *r, size_t before, struct loom_error *err)
{
	size_t i, *origin;

	for (i = before; i < r->model->n_nodes; i++) {
		origin = lm_onnx_grow(&r->arena, r->origin, i, sizeof(*origin), err);
		if (origin == NULL)
			return -1;
		r->origin = origin;
		origin[i] = r->at;
		r->n_origin = i + 1;
	}
	return 0;
}

/*
 * Which nodes go: those that nothing reads although the file's node behind them is wanted, since it was
 * folded, or became a parameter.  What the file itself has in vain stays.
 */
static void
mark(const struct lm_onnx_reading *r, unsigned char *used)
{
	const struct loom_model *m = r->model;
	const struct lm_node *n;
	size_t i, k;
	int keep;

	for (i = 0; i < m->n_outputs; i++)
		used[m->outputs[i]] = 1;
	for (i = m->n_nodes; i-- > 0;) {
		n = m->nodes[i];
		keep = i < r->n_origin && !r->wanted[r->origin[i]];
		for (k = 0; k < n->n_out; k++)
			keep |= used[n->out[k]];
		for (k = 0; keep && k < n->n_out; k++)
			used[n->out[k]] = 1;
		for (k = 0; keep && k < n->n_in; k++)
			if (n->in[k] != LM_ABSENT)
				used[n->in[k]] = 1;
	}
}

/* Nodes and values that stay move together; to: the new number of each value. */
static void
pack(struct loom_model *m, const unsigned char *used, size_t *to)
{
	size_t i, n = 0, at = 0;

	for (i = 0; i < m->n_nodes; i++) {
		if (!used[m->nodes[i]->out[0]])
			continue;
		m->nodes[n++] = m->nodes[i];
	}
	m->n_nodes = n;
	for (i = 0; i < m->n_values; i++) {
		to[i] = at;
		if (m->values[i].node == LM_ABSENT || used[i])
			m->values[at++] = m->values[i];
	}
	m->n_values = at;
}

static int
renumber(struct loom_model *m, const size_t *to, struct loom_error *err)
{
	struct lm_names none = { 0 };
	struct lm_node *n;
	size_t i, k;

	m->value_names = m->node_names = none;
	for (i = 0; i < m->n_inputs; i++)
		m->inputs[i].tensor = to[m->inputs[i].tensor];
	for (i = 0; i < m->n_outputs; i++)
		m->outputs[i] = to[m->outputs[i]];
	for (i = 0; i < m->n_nodes; i++) {
		n = m->nodes[i];
		for (k = 0; k < n->n_in; k++)
			n->in[k] = n->in[k] != LM_ABSENT ? to[n->in[k]] : LM_ABSENT;
		for (k = 0; k < n->n_out; k++) {
			n->out[k] = to[n->out[k]];
			m->values[n->out[k]].node = i;
		}
		if (lm_names_add(&m->node_names, &m->arena, n->name, i, err) < 0)
			return -1;
	}
	for (i = 0; i < m->n_values; i++)
		if (lm_names_add(&m->value_names, &m->arena, m->values[i].name, i, err) < 0)
			return -1;
	return 0;
}

int
lm_onnx_drop_dead(struct lm_onnx_reading *r, struct loom_error *err)
{
	struct loom_model *m = r->model;
	unsigned char *used = lm_arena_alloc(&r->arena, m->n_values + 1, 1, err);
	size_t *to = lm_arena_alloc(&r->arena, m->n_values + 1, sizeof(*to), err);
	size_t i, k;

	if (used == NULL || to == NULL)
		return -1;
	mark(r, used);
	for (i = 0; i < m->n_nodes; i++) { /* all outputs of a node stay, or none */
		for (k = 0; k < m->nodes[i]->n_out; k++)
			used[m->nodes[i]->out[0]] |= used[m->nodes[i]->out[k]];
		for (k = 0; k < m->nodes[i]->n_out; k++)
			used[m->nodes[i]->out[k]] = used[m->nodes[i]->out[0]];
	}
	for (i = 0; i < m->n_values; i++)
		if (!used[i] && m->values[i].node != LM_ABSENT)
			break;
	if (i == m->n_values)
		return 0;
	pack(m, used, to);
	return renumber(m, to, err);
}
