/* entity_plain: a network of plain Loom, and bias blobs, as nodes. */
#include <string.h>

#include "base/json.h"
#include "format/entity_flow.h"
#include "num/bytes.h"

/* ---- one layer ---- */

/* The layer's windows reach further than the spec says: only so many outputs are left. */
static int
add_cut(struct lm_chain *c, const struct lm_entity_cell *cell, const struct lm_extents *made,
    struct lm_flow *f, struct loom_error *err)
{
	struct lm_arena *arena = &c->entity->model->arena;
	struct lm_dim *dim = lm_arena_alloc(arena, 4 * made->n, sizeof(*dim), err);
	struct lm_dims lists[4];
	static const char *const keys[] = { "axes", "starts", "stops", "steps" };
	struct lm_node *node;
	size_t i, k;

	if (dim == NULL)
		return -1;
	for (k = 0; k < 4; k++) {
		lists[k].n = made->n - 1;
		lists[k].dim = dim + k * made->n;
	}
	for (i = 1; i < made->n; i++) {
		dim[i - 1].value = (int64_t)i - (int64_t)made->n;
		dim[2 * made->n + i - 1].value = made->dim[i];
		dim[3 * made->n + i - 1].value = 1;
	}
	node = lm_flow_node(c, cell->name, ".cut", "slice", &f->value, 1, err);
	if (node == NULL)
		return -1;
	for (k = 0; k < 4; k++)
		node->param[lm_layer_param(node->op, keys[k])].dims = lists[k];
	if (lm_node_check(c->entity->model, node, err) < 0)
		return -1;
	f->value = node->out[0];
	return 0;
}

/* Does a window that the spec does not want fit still? */
static int
reaches_further(const struct lm_node *node, const struct lm_extents *read,
    const struct lm_extents *made)
{
	const struct lm_dims *kernel, *stride, *low, *high;
	int64_t reach;
	size_t i;

	kernel = &node->param[lm_layer_param(node->op, "kernel")].dims;
	stride = &node->param[lm_layer_param(node->op, "stride")].dims;
	low = &node->param[lm_layer_param(node->op, "pad_low")].dims;
	high = &node->param[lm_layer_param(node->op, "pad_high")].dims;
	for (i = 0; i < kernel->n; i++) {
		reach = read->dim[1 + i] + low->dim[i].value + high->dim[i].value -
		    kernel->dim[i].value;
		if (reach / stride->dim[i].value + 1 > made->dim[1 + i])
			return 1;
	}
	return 0;
}

static int
add_function(struct lm_chain *c, const struct lm_entity_cell *cell, struct lm_flow *f,
    struct loom_error *err)
{
	const struct lm_activation_row *row = cell->activation;
	struct loom_model *model = c->entity->model;
	char suffix[40];
	struct lm_node *node;

	if (row->value < 0 || cell->row->idle != NULL)
		return 0;
	(void)snprintf(suffix, sizeof(suffix), ".%s", row->op);
	node = lm_flow_node(c, cell->name, suffix, row->op, &f->value, 1, err);
	if (node == NULL || lm_activation_set(row, node, err) < 0)
		return -1;
	node->cell = lm_arena_string(&model->arena, cell->name + strlen("layers."), err);
	if (node->cell == NULL || lm_node_check(model, node, err) < 0)
		return -1;
	f->value = node->out[0];
	return 0;
}

/* A node like the layer's, for its parameters alone, and the extents that they and the spec state. */
static int
read_layer(struct lm_chain *c, const struct lm_entity_cell *cell, struct lm_node *node,
    struct lm_extents *read, struct lm_extents *made, struct loom_error *err)
{
	node->op = lm_layer_find(cell->row->op);
	node->name = cell->name;
	if (lm_cell_read(&c->entity->model->arena, cell, node, err) < 0 ||
	    lm_flow_extents(cell, node, cell->row->reads, read, err) < 0)
		return -1;
	return lm_flow_extents(cell, node, cell->row->makes, made, err);
}

/* The layer's node itself; of skip what it adds, or LM_ABSENT. */
static struct lm_node *
add_node(struct lm_chain *c, struct lm_entity_cell *cell, const struct lm_node *like, size_t value,
    size_t skip, struct loom_error *err)
{
	size_t values[2] = { value, skip };
	struct loom_model *model = c->entity->model;
	struct lm_node *node;
	size_t side;

	node = lm_flow_node(c, cell->name, "", like->op->name, values, skip == LM_ABSENT ? 1 : 2,
	    err);
	if (node == NULL)
		return NULL;
	memcpy(node->param, like->param, sizeof(node->param));
	side = cell->row->side.slot;
	if (cell->row->side.family != NULL)
		node->param[node->op->slots[side].when - 1].i = cell->sidecar != NULL;
	node->cell = lm_arena_string(&model->arena, cell->name + strlen("layers."), err);
	if (node->cell == NULL || lm_node_check(model, node, err) < 0 ||
	    lm_entity_attach_main(c->entity, cell, node, err) < 0)
		return NULL;
	if (cell->sidecar != NULL &&
	    lm_entity_attach(c->entity, node, side, cell->sidecar, err) < 0)
		return NULL;
	return node;
}

/* As Loom: no sum of values that are not equally many; a sequence may have become rows meanwhile. */
static int
can_add(const struct lm_extents *a, const struct lm_extents *b)
{
	int64_t n = lm_flow_count(a);
	size_t i = a->n > 1 && a->dim[0] == LM_OPEN, k = b->n > 1 && b->dim[0] == LM_OPEN;

	if (n != 0 && lm_flow_count(b) != 0)
		return n == lm_flow_count(b);
	return a->n - i == b->n - k &&
	    memcmp(a->dim + i, b->dim + k, (a->n - i) * sizeof(a->dim[0])) == 0;
}

/* What the layer reads, and what it adds where it is one that adds what the layer before it took. */
static int
prepare_input(struct lm_chain *c, const struct lm_entity_cell *cell, const struct lm_extents *read,
    struct lm_flow *f, const struct lm_flow *before, struct lm_flow *skip, struct loom_error *err)
{
	if (cell->row->skip) {
		if (before == NULL || !can_add(&before->now, &f->now))
			return 0;
		*skip = *before;
		return lm_flow_adapt(c, skip, &f->now, cell->name, err);
	}
	/* Axes of extent 1 before what it reads are gone in what it makes. */
	if (cell->row->row && lm_flow_count(&f->now) == lm_flow_count(read))
		return lm_flow_flatten(c, f, cell->name, ".flatten", err);
	return lm_flow_adapt(c, f, read, cell->name, err);
}

static int
add_layer(struct lm_chain *c, struct lm_entity_cell *cell, struct lm_flow *f,
    const struct lm_flow *before, struct loom_error *err)
{
	struct lm_extents read, made, was = f->now;
	struct lm_node like = { 0 }, *node;
	struct lm_flow skip = { .value = LM_ABSENT };

	if (read_layer(c, cell, &like, &read, &made, err) < 0 ||
	    prepare_input(c, cell, &read, f, before, &skip, err) < 0)
		return -1;
	node = add_node(c, cell, &like, f->value, skip.value, err);
	if (node == NULL)
		return -1;
	f->value = node->out[0];
	if (cell->row->skip)
		return 0;
	if (cell->row->window == LM_CELL_CONVOLVES && reaches_further(node, &read, &made) &&
	    add_cut(c, cell, &made, f, err) < 0)
		return -1;
	lm_flow_replace(f, &read, &made);
	f->rows = cell->row->row || (f->rows && cell->row->keeps);
	if (add_function(c, cell, f, err) < 0)
		return -1;
	return cell->row->keeps ? lm_flow_adapt(c, f, &was, cell->name, err) : 0;
}

/* ---- containers ---- */

static int add_cell(struct lm_chain *, struct lm_entity_cell *, struct lm_flow *,
    const struct lm_flow *before, struct loom_error *);

static int
add_sequence(struct lm_chain *c, struct lm_entity_cell *cells, size_t n, int skips,
    struct lm_flow *f, struct loom_error *err)
{
	struct lm_flow before, now;
	int first = 1;
	size_t i;

	for (i = 0; i < n; i++) {
		if (cells[i].disabled)
			continue;
		now = *f;
		if (add_cell(c, &cells[i], f, first || !skips ? NULL : &before, err) < 0)
			return -1;
		before = now;
		first = 0;
	}
	return 0;
}

static int
read_combine(const struct lm_entity_cell *cell, const struct lm_combine_row **out,
    struct loom_error *err)
{
	const char *mode = "";
	char shown[LM_SHOWN], list[100];

	if (lm_json_string(cell->spec, cell->name, "combine_mode", 0, &mode, err) < 0)
		return -1;
	*out = lm_combine_by_mode(mode);
	if (*out != NULL)
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "%s (%s): \"combine_mode\" is \"%s\", which cannot be run (supported: %s)", cell->name,
	    cell->container->type, lm_shown(shown, mode), lm_combine_modes(list, sizeof(list)));
}

/* A branch from the common input, its output one row for each sample. */
static int
add_branch(struct lm_chain *c, struct lm_entity_cell *cell, struct lm_flow *f,
    struct loom_error *err)
{
	if (add_cell(c, cell, f, NULL, err) < 0)
		return -1;
	if (f->now.n > 1 && lm_flow_count(&f->now) == 0 && !lm_flow_rows(c, f))
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s: a branch that yields sequences, which cannot be run", cell->name);
	return lm_flow_flatten(c, f, cell->name, ".row", err);
}

/* Sums run from branch to branch, as Loom adds them. */
static int
add_sum(struct lm_chain *c, const struct lm_entity_cell *cell, const char *op,
    const struct lm_flow *flows, const char *last, struct lm_flow *f, struct loom_error *err)
{
	char suffix[40];
	size_t values[2], i;
	struct lm_node *node;

	*f = flows[0];
	for (i = 1; i < cell->n_child; i++) {
		if (lm_flow_count(&flows[i].now) != lm_flow_count(&f->now))
			return lm_fail(err, LOOM_ESHAPE,
			    "%s: a branch of %lld values, expected %lld as the first has",
			    cell->child[i].name, (long long)lm_flow_count(&flows[i].now),
			    (long long)lm_flow_count(&f->now));
		values[0] = f->value;
		values[1] = flows[i].value;
		(void)snprintf(suffix, sizeof(suffix), ".%s.%zu", op, i);
		node = lm_flow_node(c, cell->name, i + 1 < cell->n_child ? suffix : last, op,
		    values, 2, err);
		if (node == NULL || lm_node_check(c->entity->model, node, err) < 0)
			return -1;
		f->value = node->out[0];
	}
	return 0;
}

static int
add_concat(struct lm_chain *c, const struct lm_entity_cell *cell, const char *op,
    const struct lm_flow *flows, struct lm_flow *f, struct loom_error *err)
{
	size_t *values = lm_arena_alloc(&c->entity->model->arena, cell->n_child, sizeof(*values),
	    err);
	struct lm_node *node;
	int64_t count = 0;
	size_t i;

	if (values == NULL)
		return -1;
	for (i = 0; i < cell->n_child; i++) {
		values[i] = flows[i].value;
		count += lm_flow_count(&flows[i].now);
	}
	node = lm_flow_node(c, cell->name, "", op, values, cell->n_child, err);
	if (node == NULL)
		return -1;
	node->param[lm_layer_param(node->op, "axis")].i = -1;
	if (lm_node_check(c->entity->model, node, err) < 0)
		return -1;
	*f = flows[0];
	f->value = node->out[0];
	f->now.dim[0] = count;
	return 0;
}

/* The number of branches, a constant that no blob holds. */
static struct lm_node *
add_count(struct lm_chain *c, const struct lm_entity_cell *cell, struct loom_error *err)
{
	struct lm_arena *arena = &c->entity->model->arena;
	unsigned char *bytes = lm_arena_alloc(arena, 1, sizeof(float), err);
	struct lm_node *node = lm_flow_node(c, cell->name, ".count", "constant", NULL, 0, err);

	if (bytes == NULL || node == NULL || lm_node_check(c->entity->model, node, err) < 0 ||
	    lm_node_put(node, 0, lm_dtype_get(LM_F32), 1, err) < 0)
		return NULL;
	lm_put_f32(bytes, (float)cell->n_child);
	node->weight[0].data = bytes;
	return node;
}

static int
add_mean(struct lm_chain *c, const struct lm_entity_cell *cell, struct lm_flow *f,
    struct loom_error *err)
{
	struct lm_node *count = add_count(c, cell, err), *node;
	size_t values[2];

	if (count == NULL)
		return -1;
	values[0] = f->value;
	values[1] = count->out[0];
	node = lm_flow_node(c, cell->name, "", "div", values, 2, err);
	if (node == NULL || lm_node_check(c->entity->model, node, err) < 0)
		return -1;
	f->value = node->out[0];
	return 0;
}

static int
combine(struct lm_chain *c, const struct lm_entity_cell *cell, const struct lm_combine_row *row,
    const struct lm_flow *flows, struct lm_flow *f, struct loom_error *err)
{
	int mean = row->mean && cell->n_child > 1;

	if (lm_layer_param(lm_layer_find(row->op), "axis") >= 0)
		return add_concat(c, cell, row->op, flows, f, err);
	if (add_sum(c, cell, row->op, flows, mean ? ".sum" : "", f, err) < 0)
		return -1;
	return mean ? add_mean(c, cell, f, err) : 0;
}

static int
add_parallel(struct lm_chain *c, struct lm_entity_cell *cell, struct lm_flow *f,
    struct loom_error *err)
{
	const struct lm_combine_row *row;
	struct lm_flow *flows;
	size_t i;

	if (read_combine(cell, &row, err) < 0)
		return -1;
	if (cell->n_child == 0)
		return 0;
	flows = lm_arena_alloc(&c->entity->model->arena, cell->n_child, sizeof(*flows), err);
	if (flows == NULL)
		return -1;
	for (i = 0; i < cell->n_child; i++) {
		flows[i] = *f;
		if (add_branch(c, &cell->child[i], &flows[i], err) < 0)
			return -1;
	}
	f->rows = 1;
	return combine(c, cell, row, flows, f, err);
}

static int
add_cell(struct lm_chain *c, struct lm_entity_cell *cell, struct lm_flow *f,
    const struct lm_flow *before, struct loom_error *err)
{
	if (cell->row != NULL)
		return add_layer(c, cell, f, before, err);
	if (cell->container->parallel)
		return add_parallel(c, cell, f, err);
	return add_sequence(c, cell->child, cell->n_child, 1, f, err);
}

/* ---- what goes in and comes out ---- */

/*
 * What the first of these layers that says it reads, and 1; 0 where none says so.  Side by side that
 * is the one that reads the fewest axes: the others reshape.
 */
static int
first_read(struct lm_chain *c, const struct lm_entity_cell *cells, size_t n, int parallel,
    struct lm_extents *out, struct loom_error *err)
{
	struct lm_extents e = { 0 }, made;
	struct lm_node like = { 0 };
	int r, found = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (cells[i].disabled && !parallel)
			continue;
		if (cells[i].row != NULL)
			r = read_layer(c, &cells[i], &like, &e, &made, err) < 0 ? -1 : e.n > 0;
		else
			r = first_read(c, cells[i].child, cells[i].n_child,
			    cells[i].container->parallel, &e, err);
		if (r < 0)
			return -1;
		if (r > 0 && (!found || e.n < out->n))
			*out = e;
		found |= r;
		if (!parallel && (found || cells[i].row == NULL || !cells[i].row->skip))
			break;
	}
	return found;
}

static int
add_input(struct lm_chain *c, struct lm_flow *f, struct loom_error *err)
{
	struct loom_model *model = c->entity->model;
	struct lm_dims dims = { 0 };
	struct lm_dim *dim;
	size_t i;

	f->value = 0;
	if (first_read(c, c->entity->cells, c->entity->n_cells, 0, &f->now, err) < 0)
		return -1;
	dim = lm_arena_alloc(&model->arena, f->now.n, sizeof(*dim), err);
	if (dim == NULL)
		return -1;
	for (i = 0; i < f->now.n; i++) {
		/* Loom reads so many values for each sequence, whatever the shape. */
		if (f->now.dim[i] == LM_OPEN && f->now.strict)
			f->now.dim[i] = f->now.sequence;
		dim[i].value = f->now.dim[i];
		if (f->now.dim[i] == LM_OPEN)
			dim[i].text = "s";
	}
	dims.n = f->now.n;
	dims.dim = dim;
	if (lm_model_add_input(model, "x", lm_dtype_get(LM_F32), 1, dims, err) < 0)
		return -1;
	/* Whatever stands before what an embedding makes is a sequence. */
	if (f->now.n == 0) {
		f->now.n = 1;
		f->now.dim[0] = LM_OPEN;
	}
	return 0;
}

/* What the layers turned out to need: one axis before all, a length of the sequences. */
static int
settle_input(struct lm_chain *c, struct loom_error *err)
{
	struct lm_input *in = &c->entity->model->inputs[0];
	struct lm_dim *dim;
	size_t n = 0, i;

	if (!c->batch && !c->rows && c->length == 0)
		return 0;
	dim = lm_arena_alloc(&c->entity->model->arena, in->dims.n + 2, sizeof(*dim), err);
	if (dim == NULL)
		return -1;
	if (c->batch)
		dim[n++].text = "batch";
	if (in->dims.n == 0 && c->length > 0)
		dim[n++].value = c->length;
	for (i = 0; i < in->dims.n; i++, n++) {
		dim[n] = in->dims.dim[i];
		if (dim[n].text != NULL && c->length > 0) {
			dim[n].text = NULL;
			dim[n].value = c->length;
		}
	}
	in->any = !c->batch && !c->rows;
	in->dims.n = n;
	in->dims.dim = dim;
	return 0;
}

/* Blobs of the bridge section's nodes mean nothing without it. */
static int
no_strays(const struct lm_entity *entity, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < entity->n_blobs; i++)
		if (entity->blobs[i].kind == LM_BLOB_NODE)
			return lm_fail(err, LOOM_EFORMAT,
			    "blob %s: there is no \"bridge\" in the header that names its node",
			    lm_shown(shown, entity->blobs[i].path));
	return 0;
}

int
lm_entity_read_plain(struct lm_entity *entity, struct loom_error *err)
{
	struct loom_model *model = entity->model;
	struct lm_chain c = { .entity = entity };
	struct lm_flow f = { 0 };

	if (no_strays(entity, err) < 0 || add_input(&c, &f, err) < 0 ||
	    add_sequence(&c, entity->cells, entity->n_cells, 0, &f, err) < 0 ||
	    settle_input(&c, err) < 0)
		return -1;
	return lm_model_add_output(model, model->values[f.value].name, err);
}
