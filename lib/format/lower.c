/* lower: from the graph to layers of plain Loom, node after node. */
#include "format/lower.h"

#include <stdarg.h>
#include <string.h>

/* ---- lower.def ---- */

static const struct lm_lower_row rows[] = {
#define LOWER(op, build, ...) { op, build, { __VA_ARGS__ } },
#define SKIP(op)
#include "format/lower.def"
#undef LOWER
#undef SKIP
};

static const char *const skips[] = {
#define LOWER(op, build, ...)
#define SKIP(op) op,
#include "format/lower.def"
#undef LOWER
#undef SKIP
};

const struct lm_lower_row *
lm_lower_row(const char *op)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].op, op) == 0)
			return &rows[i];
	return NULL;
}

int
lm_lower_is_skip(const char *op)
{
	size_t i;

	for (i = 0; i < sizeof(skips) / sizeof(skips[0]); i++)
		if (strcmp(skips[i], op) == 0)
			return 1;
	return 0;
}

/* ---- what is refused ---- */

static int
refuse(const struct lm_lower *l, const char *text)
{
	return lm_fail(l->err, LOOM_EUNSUPPORTED, "cannot be lowered: %.450s", text);
}

int
lm_lower_refuse(const struct lm_lower *l, const struct lm_node *node, const char *fmt, ...)
{
	char text[450], shown[LM_SHOWN];
	size_t used;
	va_list ap;

	used = (size_t)snprintf(text, sizeof(text), "node %s (%s): ", lm_shown(shown, node->name),
	    node->op->name);
	va_start(ap, fmt);
	(void)vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	va_end(ap);
	return refuse(l, text);
}

static int
refuse_param(const struct lm_lower *l, const struct lm_node *node, size_t p,
    const union lm_value *theirs)
{
	struct lm_buf what;

	lm_buf_init(&what, 4096);
	if (lm_param_difference(&what, &node->op->params[p], theirs, &node->param[p], l->err) == 0)
		(void)lm_lower_refuse(l, node, "%s", what.data);
	lm_buf_release(&what);
	return -1;
}

/* An activation of Loom, but with another parameter. */
static int
refuse_function(const struct lm_lower *l, const struct lm_node *node,
    const struct lm_activation_row *activation)
{
	struct lm_node twin = *node;

	if (lm_activation_set(activation, &twin, l->err) < 0)
		return -1;
	return refuse_param(l, node, (size_t)lm_layer_param(node->op, activation->param),
	    &twin.param[lm_layer_param(node->op, activation->param)]);
}

static int
is_lowered(const struct lm_lower_row *row, const char *key)
{
	size_t i;

	for (i = 0; row != NULL && i < LM_LOWER_PARAMS && row->params[i] != NULL; i++)
		if (strcmp(row->params[i], key) == 0)
			return 1;
	return 0;
}

/* Parameters that neither Loom's layer has nor a row; 1: those of the row are needed. */
static int
check_params(const struct lm_lower *l, const struct lm_lower_row *row,
    const struct lm_cell_row *cell, const struct lm_node *node)
{
	struct lm_node twin;
	size_t i;
	int needed = 0;

	if (lm_cell_twin(&l->plan->arena, cell, node, &twin, l->err) < 0)
		return -1;
	for (i = 0; i < lm_layer_params(node->op); i++) {
		if (lm_param_same(&node->op->params[i], &node->param[i], &twin.param[i]) ||
		    lm_cell_filled(cell, node, i))
			continue;
		if (!is_lowered(row, node->op->params[i].key))
			return refuse_param(l, node, i, &twin.param[i]);
		needed = 1;
	}
	return needed;
}

/* A tied tensor has no bytes of its own, which another blob would need. */
static int
check_weights(const struct lm_lower *l, const struct lm_node *node)
{
	size_t i;

	for (i = 0; i < lm_layer_slots(node->op); i++)
		if (node->weight[i].same != NULL)
			return lm_lower_refuse(l, node, "its %s is tied to another tensor",
			    node->op->slots[i].name);
	return 0;
}

/* Loom takes a sample for each index of its first axis, and a batch for one sequence. */
static int
check_shapes(const struct lm_lower *l)
{
	struct lm_buf lines;
	int r;

	lm_buf_init(&lines, SIZE_MAX / 4);
	r = lm_entity_faults(l->plan->model, LM_FAULTS_SHAPES, &lines, l->err);
	if (r == 0 && lines.len > 0) {
		*strchr(lines.data, '\n') = '\0';
		r = refuse(l, lines.data);
	}
	lm_buf_release(&lines);
	return r;
}

static int
check_inputs(const struct lm_lower *l, const struct lm_node *node)
{
	size_t i;

	for (i = 1; i < node->n_in; i++)
		if (node->in[i] != LM_ABSENT)
			return lm_lower_refuse(l, node,
			    "it reads more than one value, where Loom's layers read one");
	return 0;
}

/* Optional inputs mostly come from outside: the node says more than how many there are. */
static int
check_ends(const struct lm_lower *l)
{
	const struct loom_model *m = l->plan->model;
	char text[100];
	size_t i;

	for (i = 0; i < m->n_nodes; i++)
		if (m->nodes[i]->op->in_least == 1 && !lm_lower_is_skip(m->nodes[i]->op->name) &&
		    check_inputs(l, m->nodes[i]) < 0)
			return -1;

	if (m->n_inputs == 1 && m->n_outputs == 1)
		return 0;
	(void)snprintf(text, sizeof(text), "%zu inputs and %zu outputs, where Loom has one of each",
	    m->n_inputs, m->n_outputs);
	return refuse(l, text);
}

/* ---- what builders ask ---- */

const struct lm_role *
lm_lower_role(const struct lm_lower *l, const struct lm_node *node)
{
	const struct loom_model *m = l->plan->model;

	return &l->plan->roles[m->values[node->out[0]].node];
}

uint64_t
lm_lower_count(const struct lm_lower *l, size_t value)
{
	uint64_t a, b;

	if (lm_shape_count(&l->plan->trials.first[value], &a) < 0 ||
	    lm_shape_count(&l->plan->trials.second[value], &b) < 0 || l->first[0] == 0 ||
	    l->first[1] == 0 || a % l->first[0] != 0 || b % l->first[1] != 0 ||
	    a / l->first[0] != b / l->first[1] || a / l->first[0] > LM_CELL_EXTENT)
		return 0;
	return a / l->first[0];
}

/* ---- the way ---- */

/* A layer from the value at hand to the node's. */
static int
add_item(struct lm_lower *l, struct lm_lowered *cell, const struct lm_node *node)
{
	if (cell == NULL)
		return -1;
	l->items[l->n_items].cell = cell;
	l->items[l->n_items].node = node;
	l->items[l->n_items++].value = l->value;
	l->value = node->out[0];
	return 0;
}

/* In Loom the last axis of what is at hand is that of the graph. */
static void
see_axes(struct lm_lower *l, const struct lm_node *node, int one)
{
	uint64_t last = lm_trials_extent(&l->plan->trials, node->out[0], 0);

	l->flat = one && last != lm_lower_count(l, node->out[0]);
}

/* All axes but the last become the first. */
static void
merge_axes(struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_shape *shape;
	uint64_t count;
	int k;

	for (k = 0; k < 2; k++) {
		shape = k == 0 ? &l->plan->trials.first[node->out[0]]
			       : &l->plan->trials.second[node->out[0]];
		if (shape->rank > 0 && shape->dim[shape->rank - 1] > 0 &&
		    lm_shape_count(shape, &count) == 0)
			l->first[k] = count / shape->dim[shape->rank - 1];
	}
}

/* An activation that is not of the layer before it. */
static int
add_function(struct lm_lower *l, const struct lm_node *node,
    const struct lm_activation_row *activation)
{
	if (activation->value < 0) {
		l->root[node->out[0]] = l->root[l->value];
		l->value = node->out[0];
		return 0;
	}
	if (add_item(l, lm_lower_each(l, node, activation->name, 1), node) < 0)
		return -1;
	see_axes(l, node, 1);
	return 0;
}

/* What the block begins with, whose layers become one. */
static size_t
find_begin(const struct lm_lower *l, size_t value)
{
	size_t i = l->n_items;

	while (i-- > 0)
		if (l->root[l->items[i].value] == l->root[value])
			return i;
	return SIZE_MAX;
}

static int
add_skip(struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_trials *t = &l->plan->trials;
	struct lm_lowered *block;
	char shown[LM_SHOWN];
	size_t other, begin, i;

	other = l->root[node->in[0]] == l->root[l->value] ? node->in[1] : node->in[0];
	if (l->root[node->in[0]] != l->root[l->value] && l->root[node->in[1]] != l->root[l->value])
		return lm_lower_refuse(l, node, "its inputs are not what the nodes before it make");
	begin = find_begin(l, other);
	if (begin == SIZE_MAX)
		return lm_lower_refuse(l, node,
		    "%s is not what a whole block of layers before it reads",
		    lm_shown(shown, l->plan->model->values[other].name));
	if (!lm_shape_same(&t->first[node->in[0]], &t->first[node->in[1]]))
		return lm_lower_refuse(l, node, "its inputs have different shapes");
	block = lm_lower_sequence(l, l->items[begin].cell, NULL, NULL);
	for (i = begin; block != NULL && i < l->n_items; i++) {
		block->last->next = i > begin ? l->items[i].cell : NULL;
		if (i > begin)
			block->last = l->items[i].cell;
	}
	l->n_items = begin;
	l->value = other;
	return add_item(l, lm_lower_skip(l, block), node);
}

/* Why a node of an operation that Loom has is no layer of it. */
static int
refuse_layer(const struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_cell_row *cell = lm_cell_by_op(node->op->name);

	if (cell->window)
		return lm_lower_refuse(l, node,
		    "its extents depend on sizes that Loom's spec would have to state");
	return lm_lower_refuse(l, node,
	    "its weights have more than one dtype or scale, or one that Loom has not");
}

static int
wants_slots(const struct lm_cell_row *cell, const struct lm_node *node)
{
	size_t i;

	for (i = cell->main; i < lm_layer_slots(node->op); i++)
		if (lm_slot_wanted(node, i))
			return 1;
	return 0;
}

static int
add_layer(struct lm_lower *l, const struct lm_node *node, const struct lm_cell_row *cell)
{
	const struct lm_lower_row *row = lm_lower_row(node->op->name);
	struct lm_lowered *made;
	int needed = check_params(l, row, cell, node);

	if (needed < 0 || check_weights(l, node) < 0)
		return -1;
	if (cell->rows == LM_ROWS_LEAK && l->flat)
		return lm_lower_refuse(l, node,
		    "Loom no longer knows there how long the sequence is");
	if (lm_lower_role(l, node)->kind != LM_ROLE_LAYER)
		return refuse_layer(l, node);
	if (lm_cell_wrong_weights(cell, node) != NULL)
		return lm_lower_refuse(l, node, "Loom makes zeros where its weights are %s",
		    lm_cell_wrong_weights(cell, node));
	if (needed || wants_slots(cell, node) || cell->rows == LM_ROWS_LEAK)
		made = row->build(l, node);
	else
		made = lm_lower_layer(l, node);
	if (add_item(l, made, node) < 0)
		return -1;
	if (cell->merges)
		merge_axes(l, node);
	see_axes(l, node, made->first != NULL);
	return 0;
}

/* One that only says how extents are meant, or is a part of the layer before it. */
static int
passes(struct lm_lower *l, const struct lm_node *node)
{
	if (!lm_cell_neutral(node->op->name) && lm_lower_role(l, node)->kind != LM_ROLE_FUNCTION)
		return 0;
	l->root[node->out[0]] = lm_cell_neutral(node->op->name) ? l->root[l->value] : node->out[0];
	l->value = node->out[0];
	return 1;
}

static int
add_node(struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_activation_row *activation = lm_activation_of(node);
	const struct lm_cell_row *cell = lm_cell_by_op(node->op->name);

	if (node->n_out != 1)
		return lm_lower_refuse(l, node, "it makes %zu values, where Loom's layers make one",
		    node->n_out);
	if (lm_lower_is_skip(node->op->name) && node->n_in == 2 && node->in[1] != LM_ABSENT)
		return add_skip(l, node);
	if (check_inputs(l, node) < 0)
		return -1;
	if (node->n_in == 0 || l->root[node->in[0]] != l->root[l->value])
		return lm_lower_refuse(l, node, "it does not read what the node before it makes");
	l->value = node->in[0];
	if (passes(l, node))
		return 0;
	if (activation != NULL)
		return add_function(l, node, activation);
	if (cell != NULL)
		return add_layer(l, node, cell);
	activation = lm_activation_by_op(node->op->name);
	if (activation != NULL)
		return refuse_function(l, node, activation);
	return lm_lower_refuse(l, node, "Loom has no such layer, and no others compute the same");
}

/* ---- all of it ---- */

static int
start(struct lm_lower *l)
{
	const struct loom_model *m = l->plan->model;
	const struct lm_shape *x;
	size_t i;

	l->items = lm_arena_alloc(&l->plan->arena, m->n_nodes + 1, sizeof(*l->items), l->err);
	l->root = lm_arena_alloc(&l->plan->arena, m->n_values, sizeof(*l->root), l->err);
	if (l->items == NULL || l->root == NULL)
		return -1;
	for (i = 0; i < m->n_values; i++)
		l->root[i] = i;
	l->value = m->inputs[0].tensor;
	x = &l->plan->trials.first[l->value];
	l->first[0] = x->rank > 0 ? x->dim[0] : 1;
	x = &l->plan->trials.second[l->value];
	l->first[1] = x->rank > 0 ? x->dim[0] : 1;
	return 0;
}

static int
walk(struct lm_lower *l)
{
	const struct loom_model *m = l->plan->model;
	char text[200], shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < m->n_nodes; i++)
		if (add_node(l, m->nodes[i]) < 0)
			return -1;
	if (l->root[m->outputs[0]] == l->root[l->value])
		return 0;
	(void)snprintf(text, sizeof(text), "the output %s is not what the last node makes",
	    lm_shown(shown, m->values[m->outputs[0]].name));
	return refuse(l, text);
}

/* The node of the layer that a text about the file names first, or NULL. */
static const struct lm_node *
node_of(const struct lm_lower *l, const char *text)
{
	const char *at = strstr(text, "layers.");
	unsigned long i;

	if (at == NULL || sscanf(at, "layers.%lu", &i) != 1 || i >= l->n_items)
		return NULL;
	return l->items[i].node;
}

/* What is written must be read again as the same network, by us and by Loom. */
static int
check_file(const struct lm_lower *l)
{
	struct loom_error found = { 0 };
	const struct lm_node *node;
	char text[450];

	if (lm_entity_check_lowered(l->plan, &found) == 0)
		return 0;
	if (found.code == LOOM_ENOMEM) {
		*l->err = found;
		return -1;
	}
	(void)snprintf(text, sizeof(text), "the file would be read as another network: %.400s",
	    found.text);
	node = node_of(l, found.text);
	return node != NULL ? lm_lower_refuse(l, node, "%s", text) : refuse(l, text);
}

static int
lower(struct lm_entity_plan *plan, struct loom_error *err)
{
	struct lm_lower l = { .plan = plan, .err = err };
	size_t i;

	if (check_ends(&l) < 0 || start(&l) < 0 || walk(&l) < 0 || check_shapes(&l) < 0)
		return -1;
	for (i = 0; i + 1 < l.n_items; i++)
		l.items[i].cell->next = l.items[i + 1].cell;
	plan->lowered = l.n_items > 0 ? l.items[0].cell : NULL;
	plan->n_cells = l.n_items;
	plan->plain = 1;
	return lm_lower_blobs(plan, err) < 0 ? -1 : check_file(&l);
}

/* A bias that stands beside its layer is nothing to Loom. */
static int
has_sidecars(const struct lm_entity_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n_blobs; i++)
		if (plan->blobs[i].late)
			return 1;
	return 0;
}

int
lm_lower_plan(struct lm_entity_plan *plan, struct loom_error *err)
{
	return plan->plain && !has_sidecars(plan) ? 0 : lower(plan, err);
}
