/* entity_plan: which nodes become layers of Loom, and which blobs a checkpoint has. */
#include "format/entity_plan.h"

#include <string.h>

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

/* Loom has the type, and its main blob can hold these weights. */
static int
is_layer(const struct lm_node *node)
{
	const struct lm_weight *w = &node->weight[LM_MAIN_SLOT];

	return lm_cell_by_op(node->op->name) != NULL && node->n_in == 1 && node->n_out == 1 &&
	    w->dtype != NULL && w->dtype->loom >= 0 && w->same == NULL;
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
	    uses[node->in[0]] != 1)
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

	plan->roles = lm_arena_alloc(&plan->arena, m->n_nodes, sizeof(*plan->roles), err);
	if (uses == NULL || plan->roles == NULL)
		return -1;
	for (i = 0; i < m->n_nodes; i++) {
		role = &plan->roles[i];
		if (fold(plan, uses, m->nodes[i], role) || !is_layer(m->nodes[i]))
			continue;
		role->kind = LM_ROLE_LAYER;
		role->row = lm_cell_by_op(m->nodes[i]->op->name);
		role->activation = lm_activation_by_name("Linear");
		role->cell = plan->n_cells++;
	}
	return 0;
}

/* ---- can plain Loom express it? ---- */

/* Rows of values: Loom's layers take [rows, in] and nothing else. */
static int
plain_input(const struct lm_input *in, size_t n_nodes)
{
	if (in->dtype != lm_dtype_get(LM_F32))
		return 0;
	if (n_nodes == 0)
		return in->any && in->dims.n == 0;
	return in->any ? in->dims.n == 1 : in->dims.n == 2 && in->dims.dim[0].text != NULL;
}

/* Its second slot goes into a blob of binary32. */
static int
plain_node(const struct lm_role *role, const struct lm_node *node)
{
	const struct lm_weight *w = &node->weight[LM_SIDECAR_SLOT];

	if (role->kind == LM_ROLE_FUNCTION)
		return 1;
	return role->kind == LM_ROLE_LAYER &&
	    (w->dtype == NULL || (w->dtype == lm_dtype_get(LM_F32) && w->same == NULL));
}

static int
is_plain(const struct lm_entity_plan *plan)
{
	const struct loom_model *m = plan->model;
	size_t value, i;

	if (m->n_inputs != 1 || m->n_outputs != 1 || !plain_input(&m->inputs[0], m->n_nodes))
		return 0;
	value = m->inputs[0].tensor;
	for (i = 0; i < m->n_nodes; i++) {
		if (!plain_node(&plan->roles[i], m->nodes[i]) || m->nodes[i]->in[0] != value)
			return 0;
		value = m->nodes[i]->out[0];
	}
	return m->outputs[0] == value;
}

/* ---- blobs ---- */

static const char *
node_path(struct lm_entity_plan *plan, const struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	const char *name = node->op->slots[slot].name;
	size_t room = strlen("bridge.nodes..") + strlen(node->name) + strlen(name) + 1;
	char *path = lm_arena_alloc(&plan->arena, room, 1, err);

	if (path != NULL)
		(void)snprintf(path, room, "bridge.nodes.%s.%s", node->name, name);
	return path;
}

static int
plan_blob(struct lm_entity_plan *plan, const struct lm_role *role, struct lm_planned *blob,
    struct loom_error *err)
{
	const struct lm_weight *w = &blob->node->weight[blob->slot];
	char path[LM_SIDECAR_PATH];

	blob->native = 1;
	blob->scaled = w->dtype->scaled;
	if (role->kind == LM_ROLE_LAYER && blob->slot == LM_MAIN_SLOT) {
		blob->scaled = 1;
		(void)snprintf(path, sizeof(path), "layers.%zu", role->cell);
		blob->path = lm_arena_string(&plan->arena, path, err);
	} else if (role->kind == LM_ROLE_LAYER && blob->slot == LM_SIDECAR_SLOT &&
	    w->dtype == lm_dtype_get(LM_F32)) {
		blob->native = 0;
		blob->late = plan->plain;
		blob->path = lm_arena_string(&plan->arena,
		    lm_sidecar_path(path, role->row, role->cell), err);
	} else
		blob->path = node_path(plan, blob->node, blob->slot, err);
	return blob->path != NULL ? 0 : -1;
}

static int
has_blob(const struct lm_weight *w)
{
	return w->dtype != NULL && w->same == NULL;
}

static int
place_blobs(struct lm_entity_plan *plan, struct loom_error *err)
{
	uint64_t at = 0, bytes;
	size_t i;
	int late;

	for (late = 0; late < 2; late++)
		for (i = 0; i < plan->n_blobs; i++) {
			if (plan->blobs[i].late != late)
				continue;
			bytes = plan->blobs[i].node->weight[plan->blobs[i].slot].bytes;
			plan->blobs[i].offset = at;
			if (bytes > (uint64_t)INT64_MAX - at)
				return lm_fail(err, LOOM_EUNSUPPORTED,
				    "weights of more than 2^63 bytes");
			at += bytes;
		}
	return 0;
}

static int
plan_blobs(struct lm_entity_plan *plan, struct loom_error *err)
{
	const struct loom_model *m = plan->model;
	size_t i, k, n = 0;

	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < LM_SLOTS; k++)
			n += (size_t)has_blob(&m->nodes[i]->weight[k]);
	if (n > LM_ENTITY_MOST)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%zu weights, more than %d", n,
		    LM_ENTITY_MOST);
	plan->blobs = lm_arena_alloc(&plan->arena, n, sizeof(*plan->blobs), err);
	if (plan->blobs == NULL)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < LM_SLOTS; k++) {
			if (!has_blob(&m->nodes[i]->weight[k]))
				continue;
			plan->blobs[plan->n_blobs].node = m->nodes[i];
			plan->blobs[plan->n_blobs].slot = k;
			if (plan_blob(plan, &plan->roles[i], &plan->blobs[plan->n_blobs], err) < 0)
				return -1;
			plan->n_blobs++;
		}
	return place_blobs(plan, err);
}

int
lm_entity_plan(struct lm_entity_plan *plan, const struct loom_model *model, int plain,
    struct loom_error *err)
{
	memset(plan, 0, sizeof(*plan));
	plan->model = model;
	if (plan_roles(plan, err) < 0)
		return -1;
	plan->plain = plain && is_plain(plan);
	return plan_blobs(plan, err);
}
