/* entity_differences: what an unmodified Loom would get wrong about a checkpoint. */
#include "format/entity_parts.h"

#include <string.h>

static int
say_node(const struct lm_node *node, struct lm_buf *lines, struct loom_error *err)
{
	const struct lm_cell_row *row = lm_cell_by_op(node->op->name);
	char shown[LM_SHOWN];
	int flag;

	lm_shown(shown, node->name);
	if (node->cell == NULL)
		return lm_buf_printf(lines, err, "node %s (%s) is left out\n", shown,
		    node->op->name);
	flag = row != NULL ? lm_layer_param(node->op, row->flag) : -1;
	if (flag < 0 || node->param[flag].i == 0)
		return 0;
	return lm_buf_printf(lines, err, "node %s (layers.%s) loses its %s\n", shown, node->cell,
	    row->flag);
}

/* Loom runs layer after layer. */
static int
is_chain(const struct loom_model *m)
{
	size_t value, i;

	if (m->n_inputs != 1 || m->n_outputs != 1)
		return 0;
	value = m->inputs[0].tensor;
	for (i = 0; i < m->n_nodes; i++) {
		if (m->nodes[i]->n_in != 1 || m->nodes[i]->in[0] != value)
			return 0;
		value = m->nodes[i]->out[0];
	}
	return m->outputs[0] == value;
}

int
lm_entity_differences(const struct loom_model *m, struct lm_buf *lines, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < m->n_inputs; i++)
		if (!m->inputs[i].any && m->inputs[i].dims.n != 2 &&
		    lm_buf_printf(lines, err, "input %s has %zu axes, where Loom's layers take 2\n",
			lm_shown(shown, m->inputs[i].name), m->inputs[i].dims.n) < 0)
			return -1;
	for (i = 0; i < m->n_nodes; i++)
		if (say_node(m->nodes[i], lines, err) < 0)
			return -1;
	if (!is_chain(m))
		return lm_buf_str(lines,
		    "layers run one after another, not as the nodes are connected\n", err);
	return 0;
}
