/* entity_spec: the parameters of a node from a layer's spec, and what of a node a spec can say. */
#include <math.h>
#include <string.h>

#include "format/entity_parts.h"

/* ---- values ---- */

/* A list has as many equal entries as its parameter wants. */
static int
set_list(struct lm_arena *arena, const struct lm_param *param, int64_t value, union lm_value *out,
    struct loom_error *err)
{
	struct lm_dim *dim = lm_arena_alloc(arena, param->count, sizeof(*dim), err);
	unsigned i;

	if (dim == NULL)
		return -1;
	for (i = 0; i < param->count; i++)
		dim[i].value = value;
	out->dims.n = param->count;
	out->dims.dim = dim;
	return 0;
}

static int
set_integer(struct lm_arena *arena, struct lm_node *node, size_t p, int64_t value,
    struct loom_error *err)
{
	if (node->op->params[p].kind == LM_IS_INTS)
		return set_list(arena, &node->op->params[p], value, &node->param[p], err);
	node->param[p].i = value;
	return 0;
}

/* Of a list the first entry. */
static int64_t
get_integer(const struct lm_node *node, size_t p)
{
	if (node->op->params[p].kind == LM_IS_INTS)
		return node->param[p].dims.dim[0].value;
	return node->param[p].i;
}

static int
is_real(const struct lm_param *param)
{
	return param->kind == LM_IS_REAL || param->kind == LM_IS_MAYBE;
}

static int
set_fixed(struct lm_arena *arena, const struct lm_cell_row *row, struct lm_node *node,
    struct loom_error *err)
{
	const struct lm_cell_fixed *f = row->fixed;
	const struct lm_param *param;
	int p;

	for (; f < row->fixed + LM_CELL_FIXED && f->param != NULL; f++) {
		p = lm_layer_param(node->op, f->param);
		param = &node->op->params[p];
		if (param->kind == LM_IS_ENUM)
			node->param[p].i = lm_param_word(param, f->word);
		else if (is_real(param))
			node->param[p].real = f->number;
		else if (set_integer(arena, node, (size_t)p, (int64_t)f->number, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- from a spec ---- */

/* The key's own value if it is there and not 0, else that of the key which stands in for it. */
static int
read_integer(const struct lm_entity_cell *cell, const struct lm_cell_field *f,
    const struct lm_param *param, int64_t *out, struct loom_error *err)
{
	int64_t other = 0, per = 1;

	*out = 0;
	if (f->instead == NULL)
		return lm_json_integer(cell->spec, cell->name, f->key, param->least > 0,
		    param->least, param->most, out, err);
	if (lm_json_integer(cell->spec, cell->name, f->key, 0, 0, param->most, out, err) < 0)
		return -1;
	if (*out != 0)
		return 0;
	if (lm_json_integer(cell->spec, cell->name, f->instead, 0, 0, INT64_MAX, &other, err) < 0 ||
	    (f->per != NULL &&
		lm_json_integer(cell->spec, cell->name, f->per, 1, 1, INT64_MAX, &per, err) < 0))
		return -1;
	if (other == 0)
		return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is missing", cell->name, f->key);
	*out = other / per;
	if (*out < param->least || *out > param->most)
		return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is %lld, not %lld..%lld", cell->name,
		    f->key, (long long)*out, (long long)param->least, (long long)param->most);
	return 0;
}

static int
read_real(const struct lm_entity_cell *cell, const struct lm_cell_field *f, double *out,
    struct loom_error *err)
{
	*out = 0;
	if (lm_json_real(cell->spec, cell->name, f->key, 0, out, err) < 0)
		return -1;
	if (!(*out > 0))
		*out = f->usual;
	return 0;
}

static int
check_product(const struct lm_entity_cell *cell, const struct lm_cell_field *f,
    const struct lm_node *node, struct loom_error *err)
{
	struct lm_param any = { .least = 1, .most = INT64_MAX };
	int64_t found, a, b;

	a = node->param[lm_layer_param(node->op, f->param)].i;
	b = node->param[lm_layer_param(node->op, f->times)].i;
	if (read_integer(cell, f, &any, &found, err) < 0)
		return -1;
	if (found == a * b)
		return 0;
	return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is %lld, expected %s * %s = %lld", cell->name,
	    f->key, (long long)found, f->param, f->times, (long long)(a * b));
}

static int
read_field(struct lm_arena *arena, const struct lm_entity_cell *cell, const struct lm_cell_field *f,
    struct lm_node *node, struct loom_error *err)
{
	size_t p = (size_t)lm_layer_param(node->op, f->param);
	int64_t value;

	if (f->times != NULL)
		return check_product(cell, f, node, err);
	if (is_real(&node->op->params[p]))
		return read_real(cell, f, &node->param[p].real, err);
	if (read_integer(cell, f, &node->op->params[p], &value, err) < 0)
		return -1;
	return set_integer(arena, node, p, value, err);
}

static void
set_activation(const struct lm_entity_cell *cell, struct lm_node *node)
{
	int p = lm_layer_param(node->op, cell->row->activation);
	int64_t word = lm_param_word(&node->op->params[p], cell->activation->op);

	node->param[p].i = word < 0 ? 0 : word;
}

/* The extent along an axis as the spec states it, and what Loom's windows would make of it. */
struct window {
	int64_t in, out, kernel, stride, low;
};

/*
 * Loom computes as many outputs as the spec states; beyond the input it reads zeros.  So much is added
 * on the high side that they are all there.
 */
static int64_t
high_side(const struct window *w)
{
	int64_t most = INT64_MAX / 4, need;

	if (w->in + 2 * w->low >= w->kernel &&
	    (w->in + 2 * w->low - w->kernel) / w->stride + 1 == w->out)
		return w->low;
	need = w->out - 1 > most / w->stride ? most : (w->out - 1) * w->stride;
	need += w->kernel - w->in - w->low;
	return need > 0 ? need : 0;
}

/* Transposed windows make so many outputs beyond those that the spec states; or so many less. */
static int64_t
left_out(const struct window *w)
{
	return (w->in - 1) * w->stride + w->kernel - w->low - w->out;
}

static int
set_windows(struct lm_arena *arena, const struct lm_entity_cell *cell, struct lm_node *node,
    struct loom_error *err)
{
	int high = lm_layer_param(node->op, "pad_high");
	int low = lm_layer_param(node->op, "pad_low");
	int kernel = lm_layer_param(node->op, "kernel");
	int stride = lm_layer_param(node->op, "stride");
	size_t n = node->param[kernel].dims.n, i;
	struct lm_dim *dim = lm_arena_alloc(arena, n, sizeof(*dim), err);
	int transposes = cell->row->window == LM_CELL_TRANSPOSES;
	struct window w;

	if (dim == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		if (lm_cell_extent(cell, node, cell->row->reads[1 + i], &w.in, err) < 0 ||
		    lm_cell_extent(cell, node, cell->row->makes[1 + i], &w.out, err) < 0)
			return -1;
		w.kernel = node->param[kernel].dims.dim[i].value;
		w.stride = node->param[stride].dims.dim[i].value;
		w.low = node->param[low].dims.dim[i].value;
		dim[i].value = transposes ? left_out(&w) : high_side(&w);
		if (dim[i].value < node->op->params[high].least ||
		    dim[i].value > node->op->params[high].most)
			return lm_fail(err, LOOM_EFORMAT,
			    "%s: \"%s\" is %lld, too %s for an extent of %lld", cell->name,
			    cell->row->makes[1 + i], (long long)w.out,
			    transposes == (dim[i].value < 0) ? "many" : "few", (long long)w.in);
	}
	node->param[high].dims.dim = dim;
	return 0;
}

int
lm_cell_read(struct lm_arena *arena, const struct lm_entity_cell *cell, struct lm_node *node,
    struct loom_error *err)
{
	const struct lm_cell_row *row = cell->row;
	const struct lm_cell_field *f;

	for (f = row->field; f < row->field + LM_CELL_FIELDS && f->param != NULL; f++)
		if (!f->echo && read_field(arena, cell, f, node, err) < 0)
			return -1;
	if (row->activation != NULL)
		set_activation(cell, node);
	if (set_fixed(arena, row, node, err) < 0)
		return -1;
	return row->window ? set_windows(arena, cell, node, err) : 0;
}

int
lm_cell_extent(const struct lm_entity_cell *cell, const struct lm_node *node, const char *name,
    int64_t *out, struct loom_error *err)
{
	int p = lm_layer_param(node->op, name), open;

	if (p >= 0) {
		*out = node->param[p].i;
		return 0;
	}
	open = cell->row->skip || strcmp(name, lm_cell_sequence) == 0;
	*out = 0;
	if (lm_json_integer(cell->spec, cell->name, name, !open, open ? INT64_MIN : 1,
		LM_CELL_EXTENT, out, err) < 0)
		return -1;
	if (*out < 0)
		*out = 0;
	return 0;
}

/* ---- what a spec can say ---- */

int
lm_cell_twin(struct lm_arena *arena, const struct lm_cell_row *row, const struct lm_node *node,
    struct lm_node *twin, struct loom_error *err)
{
	const struct lm_cell_field *f, *first;
	size_t p, from;

	memset(twin, 0, sizeof(*twin));
	twin->name = node->name;
	twin->op = node->op;
	memcpy(twin->param, node->param, sizeof(twin->param));
	for (f = row->field; f < row->field + LM_CELL_FIELDS && f->param != NULL; f++) {
		if (f->echo || f->times != NULL)
			continue;
		for (first = row->field; strcmp(first->key, f->key) != 0; first++)
			;
		p = (size_t)lm_layer_param(node->op, f->param);
		from = (size_t)lm_layer_param(node->op, first->param);
		if (is_real(&node->op->params[p]))
			continue;
		if (set_integer(arena, twin, p, get_integer(node, from), err) < 0)
			return -1;
	}
	if (row->activation != NULL)
		twin->param[lm_layer_param(node->op, row->activation)].i = 0;
	/* The far side is as it is: the extents that come out are stated. */
	if (row->window) {
		p = (size_t)lm_layer_param(node->op, "pad_high");
		twin->param[p] = node->param[p];
	}
	return set_fixed(arena, row, twin, err);
}

int
lm_cell_filled(const struct lm_cell_row *row, const struct lm_node *node, size_t p)
{
	size_t i;

	for (i = 0; i < row->main; i++)
		if (node->op->slots[i].when == (int)p + 1)
			return 1;
	return 0;
}

int
lm_cell_same_layout(const struct lm_cell_row *row, const struct lm_node *a, const struct lm_node *b,
    struct loom_error *err)
{
	struct lm_shape x, y;
	size_t i;

	for (i = 0; i < row->main; i++) {
		if (lm_slot_shape(a, i, &x, err) < 0 || lm_slot_shape(b, i, &y, err) < 0)
			return -1;
		if (!lm_shape_same(&x, &y))
			return 0;
	}
	return 1;
}
