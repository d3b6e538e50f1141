/*
 * entity_same: can plain Loom express a network?  The file without the bridge section is read as any
 * other, and what that gives is compared with the network: node by node, or where it was lowered from
 * end to end.
 */
#include <string.h>

#include "format/entity_plan.h"

/* ---- what the plan allows ---- */

/* Rows of values: what stands before them is no fixed number. */
static int
plain_input(const struct lm_input *in, size_t n_nodes)
{
	if (in->dtype != lm_dtype_get(LM_F32))
		return 0;
	if (in->any || n_nodes == 0)
		return in->any && (n_nodes > 0 || in->dims.n == 0);
	return in->dims.n > 0 && in->dims.dim[0].text != NULL;
}

/* A layer, its activation, or what Loom does between layers. */
static int
plain_node(const struct lm_role *role, const struct lm_node *node)
{
	if (role->kind == LM_ROLE_OWN)
		return lm_cell_neutral(node->op->name);
	return node->n_in == 1 && node->n_out == 1;
}

/* No blob but those of layers and beside them. */
static int
plain_blobs(const struct lm_entity_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n_blobs; i++)
		if (strncmp(plan->blobs[i].path, "bridge.nodes.", 13) == 0)
			return 0;
	return 1;
}

static int
may_be_plain(const struct lm_entity_plan *plan)
{
	const struct loom_model *m = plan->model;
	size_t value, i;

	if (m->n_inputs != 1 || m->n_outputs != 1 || !plain_input(&m->inputs[0], m->n_nodes) ||
	    !plain_blobs(plan))
		return 0;
	value = m->inputs[0].tensor;
	for (i = 0; i < m->n_nodes; i++) {
		if (!plain_node(&plan->roles[i], m->nodes[i]) || m->nodes[i]->in[0] != value)
			return 0;
		value = m->nodes[i]->out[0];
	}
	return m->outputs[0] == value;
}

/* ---- reading it back ---- */

static uint64_t
payload_size(const struct lm_entity_plan *plan)
{
	uint64_t size = 0;
	size_t i;

	for (i = 0; i < plan->n_blobs; i++)
		size += plan->blobs[i].bytes;
	return size;
}

static int
parse(struct lm_entity *entity, const struct lm_buf *head, struct loom_error *err)
{
	if (lm_json_parse(&entity->root, head->data + LM_ENTITY_FIXED, head->len - LM_ENTITY_FIXED,
		err) < 0 ||
	    lm_entity_read_network(entity, err) < 0 || lm_entity_read_blobs(entity, err) < 0)
		return -1;
	return lm_entity_read_plain(entity, err);
}

static int
read_back(struct lm_entity_plan *plan, struct loom_model *model, struct loom_error *err)
{
	struct lm_entity entity = { .model = model, .bare = 1 };
	struct lm_buf head;
	int r;

	if (payload_size(plan) > SIZE_MAX)
		return lm_fail(err, LOOM_EUNSUPPORTED, "weights that no memory holds");
	entity.payload_size = (size_t)payload_size(plan);
	lm_buf_init(&head, (size_t)LM_ENTITY_HEADER * 2);
	r = lm_entity_header(plan, &head, 0, err);
	if (r == 0)
		r = parse(&entity, &head, err);
	json_decref(entity.root);
	lm_buf_release(&head);
	return r;
}

/* ---- comparing ---- */

static int
same_params(const struct lm_node *a, const struct lm_node *b)
{
	const struct lm_cell_row *row = lm_cell_by_op(a->op->name);
	size_t i;

	for (i = 0; i < lm_layer_params(a->op); i++)
		if ((row == NULL ||
			(!lm_cell_filled(row, a, i) && lm_cell_matters(row, a, b, i))) &&
		    !lm_param_same(&a->op->params[i], &a->param[i], &b->param[i]))
			return 0;
	return 1;
}

static size_t
next_layer(const struct loom_model *m, size_t i)
{
	while (i < m->n_nodes && lm_cell_neutral(m->nodes[i]->op->name))
		i++;
	return i;
}

/* The same operations on values of the same shapes; both are chains. */
static int
same_chain(const struct loom_model *a, const struct lm_shape *x, const struct loom_model *b,
    const struct lm_shape *y)
{
	const struct lm_node *p, *q;
	size_t i = next_layer(a, 0), k = next_layer(b, 0);

	for (; i < a->n_nodes && k < b->n_nodes;
	     i = next_layer(a, i + 1), k = next_layer(b, k + 1)) {
		p = a->nodes[i];
		q = b->nodes[k];
		if (p->op != q->op || p->n_in != q->n_in || !same_params(p, q) ||
		    !lm_shape_same(&x[p->in[0]], &y[q->in[0]]) ||
		    !lm_shape_same(&x[p->out[0]], &y[q->out[0]]))
			return 0;
	}
	return i == a->n_nodes && k == b->n_nodes &&
	    lm_shape_same(&x[a->outputs[0]], &y[b->outputs[0]]);
}

static int
same_network(struct lm_entity_plan *plan, const struct loom_model *other, struct loom_error *err)
{
	const struct loom_model *m = plan->model;
	const struct lm_shape *tries[2];
	struct loom_error quiet = { 0 };
	struct lm_shape *shapes;
	size_t i;

	tries[0] = plan->trials.first;
	tries[1] = plan->trials.second;
	if (m->inputs[0].any && !other->inputs[0].any)
		return 0;
	shapes = lm_arena_alloc(&plan->arena, other->n_values, sizeof(*shapes), err);
	if (shapes == NULL)
		return -1;
	for (i = 0; i < 2; i++) {
		if (lm_model_shapes(other, &tries[i][m->inputs[0].tensor], shapes, NULL, &quiet) <
		    0) {
			if (quiet.code == LOOM_ENOMEM)
				*err = quiet;
			return quiet.code == LOOM_ENOMEM ? -1 : 0;
		}
		if (!same_chain(m, tries[i], other, shapes))
			return 0;
	}
	return 1;
}

/* Loom computes it too, but for biases that stand beside its layers. */
static int
is_right(const struct lm_entity_plan *plan, struct loom_error *err)
{
	struct lm_buf lines;
	int r;

	lm_buf_init(&lines, SIZE_MAX / 4);
	r = lm_entity_faults(plan->model, LM_FAULTS_NO_SIDECARS, &lines, err);
	if (r == 0)
		r = lines.len == 0;
	lm_buf_release(&lines);
	return r;
}

int
lm_entity_is_plain(struct lm_entity_plan *plan, struct loom_error *err)
{
	struct loom_error quiet = { 0 };
	struct loom_model *other;
	int r;

	if (!may_be_plain(plan))
		return 0;
	r = is_right(plan, err);
	if (r <= 0)
		return r;
	if (lm_model_new(&other, "plain", err) < 0)
		return -1;
	if (read_back(plan, other, &quiet) < 0) {
		r = 0;
		if (quiet.code == LOOM_ENOMEM) {
			*err = quiet;
			r = -1;
		}
	} else
		r = same_network(plan, other, err);
	loom_model_free(other);
	return r;
}

/* ---- what was lowered ---- */

/* What goes in has the network's shape; what comes out, to Loom a flat array, as many values. */
static int
check_ends(const struct lm_entity_plan *plan, const struct loom_model *other,
    const struct lm_shape *try, struct lm_shape *shapes, struct loom_error *err)
{
	const struct lm_shape *want = &try[plan->model->outputs[0]];
	struct lm_shape in = try[plan->model->inputs[0].tensor], *found;
	char expected[LM_SHAPE_TEXT], text[LM_SHAPE_TEXT];
	uint64_t n, k;

	in.dtype = other->inputs[0].dtype;
	if (lm_model_shapes(other, &in, shapes, NULL, err) < 0)
		return -1;
	found = &shapes[other->outputs[0]];
	if (lm_shape_count(want, &n) == 0 && lm_shape_count(found, &k) == 0 && n == k)
		return 0;
	return lm_fail(err, LOOM_ESHAPE, "output %s: expected %s, found %s",
	    other->values[other->outputs[0]].name, lm_shape_text(expected, want),
	    lm_shape_text(text, found));
}

static int
check_shapes(struct lm_entity_plan *plan, const struct loom_model *other, struct loom_error *err)
{
	struct lm_shape *shapes = lm_arena_alloc(&plan->arena, other->n_values, sizeof(*shapes),
	    err);

	if (shapes == NULL || check_ends(plan, other, plan->trials.first, shapes, err) < 0)
		return -1;
	return check_ends(plan, other, plan->trials.second, shapes, err);
}

/* Loom computes it too. */
static int
check_faults(const struct loom_model *other, struct loom_error *err)
{
	struct lm_buf lines;
	int r;

	lm_buf_init(&lines, SIZE_MAX / 4);
	r = lm_entity_faults(other, LM_FAULTS_NO_LENGTHS, &lines, err);
	if (r == 0 && lines.len > 0) {
		*strchr(lines.data, '\n') = '\0';
		r = lm_fail(err, LOOM_EUNSUPPORTED, "%s", lines.data);
	}
	lm_buf_release(&lines);
	return r;
}

int
lm_entity_check_lowered(struct lm_entity_plan *plan, struct loom_error *err)
{
	struct loom_model *other;
	int r;

	if (lm_model_new(&other, "lowered", err) < 0)
		return -1;
	r = read_back(plan, other, err);
	if (r == 0)
		r = check_shapes(plan, other, err);
	if (r == 0)
		r = check_faults(other, err);
	loom_model_free(other);
	return r;
}
