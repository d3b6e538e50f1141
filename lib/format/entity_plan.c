/* entity_plan: which nodes become layers of Loom. */
#include "format/entity_plan.h"

#include <string.h>

/* ---- extents ---- */

int
lm_entity_try(struct lm_trials *t, struct lm_arena *arena, const struct loom_model *m,
    unsigned lead, struct loom_error *err)
{
	static const uint64_t sizes[] = { 2, 3, 1, 5040, 5039, 4, 5, 6, 7, 8, 16, 32, 64 };
	struct loom_error now;
	size_t i, done = 0;

	t->first = lm_arena_alloc(arena, m->n_values, sizeof(*t->first), err);
	t->second = lm_arena_alloc(arena, m->n_values, sizeof(*t->second), err);
	if (t->first == NULL || t->second == NULL)
		return -1;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && done < 2; i++) {
		memset(&now, 0, sizeof(now));
		if (lm_model_try(m, sizes[i], lead, done == 0 ? t->first : t->second, &now) == 0)
			done++;
		else if (now.code == LOOM_ENOMEM) {
			*err = now;
			return -1;
		}
	}
	if (done == 0)
		return lm_fail(err, LOOM_ESHAPE, "%s", now.text);
	if (done == 1)
		memcpy(t->second, t->first, m->n_values * sizeof(*t->second));
	return 0;
}

uint64_t
lm_trials_extent(const struct lm_trials *t, size_t value, size_t axis)
{
	const struct lm_shape *a = &t->first[value], *b = &t->second[value];

	if (axis >= a->rank || axis >= b->rank ||
	    a->dim[a->rank - 1 - axis] != b->dim[b->rank - 1 - axis])
		return 0;
	return a->dim[a->rank - 1 - axis];
}

/* ---- roles ---- */

/* How many nodes and outputs take each tensor. */
static size_t *
count_uses(struct lm_entity_plan *plan, struct loom_error *err)
{
	const struct loom_model *m = plan->model;
	size_t *uses = lm_arena_alloc(&plan->arena, m->n_values, sizeof(*uses), err), i, k;

	if (uses == NULL)
		return NULL;
	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < m->nodes[i]->n_in; k++)
			if (m->nodes[i]->in[k] != LM_ABSENT)
				uses[m->nodes[i]->in[k]]++;
	for (i = 0; i < m->n_outputs; i++)
		uses[m->outputs[i]]++;
	return uses;
}

/* All that a layer's blob holds is of one type; the type, or NULL where no blob can hold it. */
static const struct lm_dtype *
common_dtype(const struct lm_cell_row *row, const struct lm_node *node)
{
	const struct lm_weight *w, *one = NULL;
	size_t i;

	for (i = 0; i < row->main; i++) {
		w = &node->weight[i];
		if (w->dtype == NULL)
			continue;
		if (w->same != NULL || w->dtype->loom < 0 ||
		    (one != NULL && (w->dtype != one->dtype || w->scale != one->scale)))
			return NULL;
		one = w;
	}
	return one != NULL ? one->dtype : lm_dtype_get(LM_F32);
}

/* What is not there can be written as if it were: as values that change nothing. */
static int
can_fill(const struct lm_cell_row *row, const struct lm_node *node, const struct lm_dtype *dtype)
{
	size_t i;

	for (i = 0; i < row->main; i++) {
		if (node->weight[i].dtype != NULL)
			continue;
		if (row->ones != NULL ? dtype != lm_dtype_get(LM_F32) : dtype->bits < 8)
			return 0;
	}
	return 1;
}

/* The extents that its spec must state are known. */
static int
has_extents(const struct lm_entity_plan *plan, const struct lm_cell_row *row,
    const struct lm_node *node)
{
	size_t i, n;

	if (!row->window)
		return 1;
	for (n = 0; n < LM_CELL_AXES && row->reads[n] != NULL; n++)
		;
	for (i = 0; i < n; i++)
		if (lm_trials_extent(&plan->trials, node->in[0], i) == 0 ||
		    lm_trials_extent(&plan->trials, node->out[0], i) == 0)
			return 0;
	return 1;
}

/* Loom has the type, and its blob can hold these weights. */
static int
is_layer(struct lm_entity_plan *plan, const struct lm_node *node, struct lm_role *role,
    struct loom_error *err)
{
	const struct lm_cell_row *row = lm_cell_by_op(node->op->name);
	struct lm_node twin;

	if (row == NULL || node->n_out != 1 || node->n_in > (row->skip ? 2u : 1u))
		return 0;
	role->dtype = common_dtype(row, node);
	if (role->dtype == NULL || !can_fill(row, node, role->dtype) ||
	    !has_extents(plan, row, node))
		return 0;
	role->row = row;
	if (lm_cell_twin(&plan->arena, row, node, &twin, err) < 0)
		return -1;
	return lm_cell_same_layout(row, node, &twin, err);
}

/* The role of a node whose input comes from a layer that nothing else uses, as an activation of it. */
static int
fold(const struct lm_entity_plan *plan, const size_t *uses, const struct lm_node *node,
    struct lm_role *role)
{
	const struct loom_model *m = plan->model;
	size_t maker;
	const struct lm_activation_row *activation = lm_activation_of(node);

	if (activation == NULL || node->n_in != 1 || node->n_out != 1)
		return 0;
	maker = m->values[node->in[0]].node;
	if (maker == LM_ABSENT || plan->roles[maker].kind != LM_ROLE_LAYER ||
	    plan->roles[maker].row->idle != NULL || uses[node->in[0]] != 1)
		return 0;
	plan->roles[maker].activation = activation;
	role->kind = LM_ROLE_FUNCTION;
	role->cell = plan->roles[maker].cell;
	return 1;
}

static int
plan_roles(struct lm_entity_plan *plan, struct loom_error *err)
{
	const struct loom_model *m = plan->model;
	const size_t *uses = count_uses(plan, err);
	struct lm_role *role;
	size_t i;
	int r;

	plan->roles = lm_arena_alloc(&plan->arena, m->n_nodes, sizeof(*plan->roles), err);
	if (uses == NULL || plan->roles == NULL)
		return -1;
	for (i = 0; i < m->n_nodes; i++) {
		role = &plan->roles[i];
		if (fold(plan, uses, m->nodes[i], role))
			continue;
		r = is_layer(plan, m->nodes[i], role, err);
		if (r < 0)
			return -1;
		if (r == 0)
			continue;
		role->kind = LM_ROLE_LAYER;
		role->activation = lm_activation_by_name("Linear");
		role->cell = plan->n_cells++;
	}
	return 0;
}

int
lm_entity_plan(struct lm_entity_plan *plan, const struct loom_model *model, int plain,
    struct loom_error *err)
{
	memset(plan, 0, sizeof(*plan));
	plan->model = model;
	if (lm_entity_try(&plan->trials, &plan->arena, model, 1, err) < 0 ||
	    plan_roles(plan, err) < 0)
		return -1;
	if (plain) {
		plan->plain = 1;
		if (lm_entity_plan_blobs(plan, err) < 0)
			return -1;
		plan->plain = lm_entity_is_plain(plan, err);
		if (plan->plain < 0)
			return -1;
	}
	return plan->plain ? 0 : lm_entity_plan_blobs(plan, err);
}
