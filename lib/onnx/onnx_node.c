/* onnx_node: nodes of a network that are made of an ONNX file's: names, inputs, parameters, slots. */
#include <math.h>
#include <string.h>

#include "onnx/onnx_known.h"
#include "num/bytes.h"

/* ---- names ---- */

/* name, or the first of "name_2", "name_3" ... that no node has. */
static const char *
free_name(struct lm_onnx_reading *r, const char *name, struct loom_error *err)
{
	size_t size = strlen(name) + 24, i;
	char *s = lm_arena_alloc(&r->arena, size, 1, err);

	if (s == NULL)
		return NULL;
	(void)snprintf(s, size, "%s", name);
	for (i = 2; lm_model_find(r->model, s) != NULL; i++)
		(void)snprintf(s, size, "%s_%zu", name, i);
	return s;
}

static const char *
first_output(const struct lm_onnx_node *node)
{
	size_t i;

	for (i = 0; i < node->n_out; i++)
		if (node->out[i][0] != '\0')
			return node->out[i];
	return node->op;
}

static const char *
node_name(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	if (node->name != NULL && node->name[0] != '\0' &&
	    lm_model_find(r->model, node->name) == NULL)
		return node->name;
	return free_name(r, first_output(node), err);
}

const char *
lm_onnx_between(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    struct loom_error *err)
{
	const char *base = first_output(node);
	size_t size = strlen(base) + strlen(what) + 24, i;
	char *s = lm_arena_alloc(&r->arena, size, 1, err);

	if (s == NULL)
		return NULL;
	(void)snprintf(s, size, "%s/%s", base, what);
	for (i = 2; lm_onnx_find(r, s) != NULL || lm_model_value(r->model, s) != LM_ABSENT; i++)
		(void)snprintf(s, size, "%s/%s_%zu", base, what, i);
	return s;
}

/* ---- constants and extents as values ---- */

/* A node without a node in the file, called like the value it makes. */
static struct lm_node *
make(struct lm_onnx_reading *r, const char *op, const char *name, struct loom_error *err)
{
	name = free_name(r, name, err);
	return name != NULL ? lm_model_add_node(r->model, name, lm_layer_find(op), err) : NULL;
}

static int
constant_shape(struct lm_onnx_reading *r, struct lm_node *n, const struct lm_onnx_tensor *t,
    struct loom_error *err)
{
	int64_t shape[LM_ONNX_RANK];
	unsigned i;

	for (i = 0; i < t->rank; i++)
		shape[i] = (int64_t)t->dim[i];
	return lm_onnx_set_list(r, n, "shape", shape, t->rank, err);
}

int
lm_onnx_constant_node(struct lm_onnx_reading *r, struct lm_onnx_known *k, struct lm_node *n,
    struct loom_error *err)
{
	struct lm_onnx_known own = *k;
	const char *name = k->name;

	own.made = 0;
	own.value = LM_ABSENT;
	if (constant_shape(r, n, k->tensor, err) < 0 || lm_onnx_put(r, n, 0, k, NULL, err) < 0 ||
	    lm_onnx_end_node(r, n, &name, 1, err) < 0)
		return -1;
	k->tensor = own.tensor; /* it is a constant all the same */
	k->weight = own.weight;
	return 0;
}

/* Extents as a value: one node size, or several joined. */
static int
one_size(struct lm_onnx_reading *r, const char *name, const struct lm_dim *dim,
    struct loom_error *err)
{
	struct lm_node *n = make(r, "size", name, err);

	if (n == NULL || lm_onnx_set_dims(r, n, "of", dim, 1, err) < 0)
		return -1;
	return lm_onnx_end_node(r, n, &name, 1, err);
}

static const char *
part_name(struct lm_onnx_reading *r, const char *name, const char *what, size_t i,
    struct loom_error *err)
{
	size_t size = strlen(name) + strlen(what) + 24;
	char *s = lm_arena_alloc(&r->arena, size, 1, err);

	if (s != NULL)
		(void)snprintf(s, size, "%s/%s%zu", name, what, i);
	return s;
}

static int
row_of_size(struct lm_onnx_reading *r, const char *from, const char *to, struct loom_error *err)
{
	struct lm_node *n = make(r, "unsqueeze", to, err);
	int64_t axis = 0;

	if (n == NULL || lm_node_add_in(r->model, n, from, err) < 0 ||
	    lm_onnx_set_list(r, n, "axes", &axis, 1, err) < 0)
		return -1;
	return lm_onnx_end_node(r, n, &to, 1, err);
}

static int
list_of_sizes(struct lm_onnx_reading *r, struct lm_onnx_known *k, struct loom_error *err)
{
	const char *one, **row = lm_arena_alloc(&r->arena, k->n_elements, sizeof(*row), err);
	struct lm_node *n;
	size_t i;

	for (i = 0; row != NULL && i < k->n_elements; i++) {
		one = part_name(r, k->name, "size", i, err);
		row[i] = k->n_elements > 1 ? part_name(r, k->name, "row", i, err) : k->name;
		if (one == NULL || row[i] == NULL || one_size(r, one, &k->elements[i], err) < 0 ||
		    row_of_size(r, one, row[i], err) < 0)
			return -1;
	}
	if (row == NULL || k->n_elements == 1)
		return row != NULL ? 0 : -1;
	n = make(r, "concat", k->name, err);
	for (i = 0; n != NULL && i < k->n_elements; i++)
		if (lm_node_add_in(r->model, n, row[i], err) < 0)
			return -1;
	return n != NULL ? lm_onnx_end_node(r, n, &k->name, 1, err) : -1;
}

static int
sizes_node(struct lm_onnx_reading *r, struct lm_onnx_known *k, struct loom_error *err)
{
	const struct lm_dim *elements = k->elements;
	size_t i, n = k->n_elements;
	int rc;

	for (i = 0; i < n; i++)
		if (elements[i].text != NULL && elements[i].text[0] == '?')
			return lm_onnx_refuse(r, &r->from->nodes[r->at], err,
			    "its input %.100s depends on extents in a way that is no expression of them",
			    k->name);
	rc = k->dims.n == 0 ? one_size(r, k->name, elements, err) : list_of_sizes(r, k, err);
	k->elements = elements;
	k->n_elements = n;
	return rc;
}

int
lm_onnx_value_of(struct lm_onnx_reading *r, struct lm_onnx_known *k, size_t *value,
    struct loom_error *err)
{
	const struct lm_onnx_node *node = &r->from->nodes[r->at];
	struct lm_node *n;

	*value = k->value;
	if (k->value != LM_ABSENT)
		return 0;
	if (k->tensor != NULL && k->dtype == NULL)
		return lm_onnx_refuse(r, node, err,
		    "its input %.100s is %s, which no run computes with", k->name,
		    lm_onnx_type_name(k->tensor->type));
	if (k->tensor != NULL) {
		n = make(r, "constant", k->name, err);
		if (n == NULL || lm_onnx_constant_node(r, k, n, err) < 0)
			return -1;
	} else if (k->elements != NULL && k->n_elements > 0) {
		if (sizes_node(r, k, err) < 0)
			return -1;
	} else
		return lm_onnx_refuse(r, node, err,
		    "its input %.100s is made of extents, and no number or list of them", k->name);
	*value = k->value;
	return 0;
}

/* ---- nodes ---- */

struct lm_node *
lm_onnx_new_node(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    size_t n_in, struct lm_onnx_known *const *in, struct loom_error *err)
{
	struct lm_node *n;
	const char *name;
	size_t i, value;

	for (i = 0; i < n_in; i++)
		if (in[i] != NULL && lm_onnx_value_of(r, in[i], &value, err) < 0)
			return NULL;
	name = node_name(r, node, err);
	n = name != NULL ? lm_model_add_node(r->model, name, lm_layer_find(op), err) : NULL;
	for (i = 0; n != NULL && i < n_in; i++)
		if (lm_node_add_in(r->model, n,
			in[i] != NULL ? r->model->values[in[i]->value].name : NULL, err) < 0)
			return NULL;
	return n;
}

/* Output k: one that is not given and yet is needed gets a name. */
static const char *
output_name(struct lm_onnx_reading *r, const struct lm_node *n, const char *const *out, size_t k,
    size_t n_out, struct loom_error *err)
{
	size_t i;

	if (k < n_out && out[k] != NULL && out[k][0] != '\0')
		return out[k];
	for (i = k + 1; i < n_out; i++)
		if (out[i] != NULL && out[i][0] != '\0')
			break;
	if (i >= n_out && k >= n->op->out_least)
		return "";
	return part_name(r, n->name, "output", k, err);
}

/* Numbers that are no number have no place in a checkpoint. */
static int
check_reals(struct lm_onnx_reading *r, const struct lm_node *n, struct loom_error *err)
{
	const struct lm_param *p = n->op->params;
	size_t i;

	for (i = 0; i < LM_PARAMS && p[i].key != NULL; i++)
		if ((p[i].kind == LM_IS_REAL && !isfinite(n->param[i].real)) ||
		    (p[i].kind == LM_IS_MAYBE && isinf(n->param[i].real)))
			return lm_onnx_refuse(r, &r->from->nodes[r->at], err,
			    "its %s is %g, expected a finite number", p[i].key, n->param[i].real);
	return 0;
}

static int
fail_outputs(const struct lm_node *n, struct loom_error *err)
{
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "node %.80s (%s): an output that it does not have is named, or one that it needs is not",
	    n->name, n->op->name);
}

int
lm_onnx_end_node(struct lm_onnx_reading *r, struct lm_node *n, const char *const *out, size_t n_out,
    struct loom_error *err)
{
	size_t k, most = n_out > n->op->out_least ? n_out : n->op->out_least;
	struct lm_onnx_known **known = lm_arena_alloc(&r->arena, most + 1, sizeof(*known), err);
	const char *name;

	if (known == NULL)
		return -1;
	for (k = 0; k < most; k++) {
		name = output_name(r, n, out, k, n_out, err);
		if (name == NULL)
			return err->code != LOOM_OK ? -1 : fail_outputs(n, err);
		if (name[0] == '\0')
			break;
		known[k] = lm_onnx_know(r, name, err);
		if (known[k] == NULL || lm_node_add_out(r->model, n, name, err) < 0)
			return -1;
		known[k]->value = n->out[k];
		known[k]->made = 1;
	}
	if (check_reals(r, n, err) < 0 || lm_node_check(r->model, n, err) < 0)
		return -1;
	return lm_onnx_try_node(r, n, known, err);
}

/* ---- parameters ---- */

static union lm_value *
parameter(struct lm_node *n, const char *key)
{
	return &n->param[lm_layer_param(n->op, key)];
}

int
lm_onnx_set_dims(struct lm_onnx_reading *r, struct lm_node *n, const char *key,
    const struct lm_dim *from, size_t count, struct loom_error *err)
{
	struct lm_arena *arena = &r->model->arena;
	struct lm_dim *dim = lm_arena_alloc(arena, count > 0 ? count : 1, sizeof(*dim), err);
	union lm_value *v = parameter(n, key);
	size_t i;

	if (dim == NULL)
		return -1;
	for (i = 0; i < count; i++) {
		dim[i] = from[i];
		if (from[i].text == NULL)
			continue;
		if (from[i].text[0] == '?')
			return lm_onnx_refuse(r, &r->from->nodes[r->at], err,
			    "entry %zu of its %s depends on extents in a way that is no expression of "
			    "them",
			    i, key);
		dim[i].text = lm_arena_string(arena, from[i].text, err);
		if (dim[i].text == NULL)
			return -1;
	}
	v->dims.n = count;
	v->dims.dim = dim;
	return 0;
}

int
lm_onnx_set_list(struct lm_onnx_reading *r, struct lm_node *n, const char *key, const int64_t *from,
    size_t count, struct loom_error *err)
{
	struct lm_dim *dim = lm_arena_alloc(&r->arena, count > 0 ? count : 1, sizeof(*dim), err);
	size_t i;

	for (i = 0; dim != NULL && i < count; i++)
		dim[i].value = from[i];
	return dim != NULL ? lm_onnx_set_dims(r, n, key, dim, count, err) : -1;
}

void
lm_onnx_set(struct lm_node *n, const char *key, int64_t value)
{
	parameter(n, key)->i = value;
}

void
lm_onnx_set_real(struct lm_node *n, const char *key, double value)
{
	parameter(n, key)->real = value;
}

/* ---- slots ---- */

/* Parameters say what shape a slot has, so they must be sound before. */
static int
check_params(const struct lm_node *n, struct loom_error *err)
{
	size_t i, params = lm_layer_params(n->op);

	for (i = 0; i < params; i++)
		if (lm_param_check(n, i, err) < 0)
			return -1;
	return n->op->check != NULL ? n->op->check(n, err) : 0;
}

/*
 * The name that all of it has in the file, unless the file made it from the node's, or the node is called
 * so.
 */
static int
name_source(struct lm_onnx_reading *r, struct lm_node *n, size_t slot,
    const struct lm_onnx_known *k, struct loom_error *err)
{
	const char *name = k->tensor->count == n->weight[slot].count ? k->tensor->name : NULL;
	size_t len = strlen(n->name);

	if (name == NULL || name[0] == '\0' || (k->weight && n->op == lm_layer_find("constant")) ||
	    (strncmp(name, n->name, len) == 0 && name[len] == '.' &&
		strcmp(name + len + 1, n->op->slots[slot].name) == 0))
		return 0;
	n->weight[slot].source = lm_arena_string(&r->model->arena, name, err);
	return n->weight[slot].source != NULL ? 0 : -1;
}

/* Integers of other widths are int64 in a run: copied as such. */
static int
put_integers(struct lm_onnx_reading *r, struct lm_node *n, size_t slot,
    const struct lm_onnx_tensor *t, struct loom_error *err)
{
	struct lm_weight *w = &n->weight[slot];
	int64_t *from;
	unsigned char *data;
	size_t i;

	if (lm_node_put(n, slot, lm_dtype_get(LM_I64), 1, err) < 0)
		return -1;
	from = lm_arena_alloc(&r->arena, (size_t)t->count + 1, sizeof(*from), err);
	data = lm_arena_alloc(&r->model->arena, (size_t)t->count + 1, sizeof(*from), err);
	if (from == NULL || data == NULL || lm_onnx_tensor_integers(r, t, from, err) < 0)
		return -1;
	for (i = 0; i < t->count; i++)
		lm_put_u64(data + 8 * i, (uint64_t)from[i]);
	w->data = data;
	return 0;
}

static int
put_stored(struct lm_onnx_reading *r, struct lm_node *n, size_t slot, const struct lm_onnx_known *k,
    const struct lm_view *order, struct loom_error *err)
{
	const struct lm_onnx_tensor *t = k->tensor;
	struct lm_weight *w = &n->weight[slot];
	struct lm_view *view;

	if (lm_node_put(n, slot, lm_onnx_dtype(t->type), 1, err) < 0)
		return -1;
	if (t->data != NULL && order == NULL) {
		w->data = lm_onnx_keep(r, t, err);
		return w->data != NULL ? 0 : -1;
	}
	view = lm_arena_alloc(&r->model->arena, 1, sizeof(*view), err);
	if (view == NULL)
		return -1;
	*view = order != NULL ? *order : t->view;
	w->view = view;
	return 0;
}

static int
fits(struct lm_onnx_reading *r, const struct lm_node *n, size_t slot, const struct lm_onnx_known *k,
    uint64_t count, struct loom_error *err)
{
	struct lm_shape shape;
	uint64_t wanted;

	if (lm_slot_shape(n, slot, &shape, err) < 0 || lm_shape_count(&shape, &wanted) < 0)
		return -1;
	if (count == wanted)
		return 0;
	return lm_onnx_refuse(r, &r->from->nodes[r->at], err,
	    "%.100s has %llu values, its %s wants %llu", k->name, (unsigned long long)count,
	    n->op->slots[slot].name, (unsigned long long)wanted);
}

int
lm_onnx_put(struct lm_onnx_reading *r, struct lm_node *n, size_t slot,
    const struct lm_onnx_known *k, const struct lm_view *order, struct loom_error *err)
{
	const struct lm_onnx_node *node = &r->from->nodes[r->at];

	if (k->tensor == NULL)
		return lm_onnx_refuse(r, node, err, "its input %.100s is no constant", k->name);
	/* What a Cast widens is a weight of the narrower type. */
	if (k->dtype == NULL && k->tensor->type != LM_ONNX_FLOAT16 &&
	    k->tensor->type != LM_ONNX_BFLOAT16)
		return lm_onnx_refuse(r, node, err,
		    "its input %.100s is %s, which no run computes with", k->name,
		    lm_onnx_type_name(k->tensor->type));
	if (check_params(n, err) < 0 ||
	    fits(r, n, slot, k, order != NULL ? lm_view_count(order) : k->tensor->count, err) < 0)
		return -1;
	if (k->dtype == lm_dtype_get(LM_I64) && k->tensor->type != LM_ONNX_INT64 && order == NULL) {
		if (put_integers(r, n, slot, k->tensor, err) < 0)
			return -1;
	} else if (put_stored(r, n, slot, k, order, err) < 0)
		return -1;
	return name_source(r, n, slot, k, err);
}

int
lm_onnx_put_floats(struct lm_onnx_reading *r, struct lm_node *n, size_t slot, const float *from,
    struct loom_error *err)
{
	struct lm_weight *w = &n->weight[slot];
	unsigned char *data;
	uint64_t i;

	if (check_params(n, err) < 0 || lm_node_put(n, slot, lm_dtype_get(LM_F32), 1, err) < 0)
		return -1;
	data = lm_arena_alloc(&r->model->arena, (size_t)w->count + 1, sizeof(*from), err);
	if (data == NULL)
		return -1;
	for (i = 0; i < w->count; i++)
		lm_put_u32(data + 4 * i, lm_bits32(from[i]));
	w->data = data;
	return 0;
}
