/* onnx_match: nodes of an ONNX file that together are one operation of ours. */
#include "onnx/onnx_match.h"

#include <string.h>

#include "onnx/onnx_matching.h"
#include "onnx/onnx_trial.h"

#define COMPOSITE(op, anchor, named, propose) { #op, #anchor, named, propose },
static const struct lm_onnx_composite composites[] = {
#include "onnx/onnx_match.def"
	{ NULL, NULL, 0, NULL }
};
#undef COMPOSITE

/* ---- proposals ---- */

void
lm_onnx_order(const struct lm_onnx_tensor *t, struct lm_view *v)
{
	uint64_t extent[LM_VIEW_RANK];
	unsigned i;

	*v = t->view;
	if (t->data != NULL) {
		memset(v, 0, sizeof(*v));
		v->dtype = lm_onnx_dtype(t->type);
	}
	for (i = 0; i < t->rank; i++)
		extent[i] = t->dim[i];
	lm_view_reshape(v, t->rank, extent);
}

/* The elements of a view of memory, one after another. */
static void
arrange(const struct lm_view *v, const unsigned char *from, unsigned char *to)
{
	uint64_t index[LM_VIEW_RANK] = { 0 }, n = lm_view_count(v), size = v->dtype->bits / 8, at,
		 e;
	unsigned i;

	for (e = 0; e < n; e++) {
		at = v->first;
		for (i = 0; i < v->rank; i++)
			at += index[i] * v->stride[i];
		memcpy(to + e * size, from + at * size, (size_t)size);
		for (i = v->rank; i-- > 0 && ++index[i] == v->extent[i];)
			index[i] = 0;
	}
}

/* What the export will read: the file's values by the view, or a copy of those in memory. */
static int
fill(struct lm_onnx_proposal *p, size_t slot, struct loom_error *err)
{
	const struct lm_onnx_filling *f = &p->file->now->slot[slot];
	struct lm_weight *w = &p->node->weight[slot];
	unsigned char *copy;

	if (f->tensor->data == NULL) {
		w->view = f->order;
		return 0;
	}
	copy = lm_arena_alloc(p->file->passing, (size_t)w->bytes + 1, 1, err);
	if (copy == NULL)
		return -1;
	arrange(f->order, f->tensor->data, copy);
	w->data = copy;
	return 0;
}

/* A proposal whose slots do not fit is none: the node's check finds them missing. */
int
lm_onnx_propose_slot(struct lm_onnx_proposal *p, size_t slot, const struct lm_onnx_tensor *t,
    const struct lm_view *order, struct loom_error *err)
{
	struct lm_onnx_filling *f = &p->file->now->slot[slot];
	const struct lm_dtype *dtype = t != NULL ? lm_onnx_dtype(t->type) : NULL;
	struct loom_error quiet = { 0 };

	if (dtype == NULL || dtype->bits < 8 || p->node->weight[slot].dtype != NULL)
		return 0;
	f->tensor = t;
	f->order = lm_arena_alloc(p->file->arena, 1, sizeof(*f->order), err);
	if (f->order == NULL)
		return -1;
	if (order != NULL)
		*f->order = *order;
	else
		lm_onnx_order(t, f->order);
	if (lm_node_put(p->node, slot, dtype, 1, &quiet) < 0 ||
	    p->node->weight[slot].count != lm_view_count(f->order)) {
		p->node->weight[slot].dtype = NULL;
		return 0;
	}
	p->node->weight[slot].source = t->name;
	return fill(p, slot, err);
}

int
lm_onnx_propose_turned(struct lm_onnx_proposal *p, size_t slot, const struct lm_onnx_tensor *t,
    struct loom_error *err)
{
	static const unsigned swap[] = { 1, 0 };
	struct lm_view v;

	if (t == NULL || t->rank != 2)
		return 0;
	lm_onnx_order(t, &v);
	lm_view_transpose(&v, swap);
	return lm_onnx_propose_slot(p, slot, t, &v, err);
}

/* Is it a node at all? */
static int
is_sound(const struct lm_onnx_proposal *p)
{
	const struct lm_node *n = p->node;
	struct loom_error quiet = { 0 };
	size_t i;

	for (i = 0; i < lm_layer_params(n->op); i++)
		if (lm_param_check(n, i, &quiet) < 0)
			return 0;
	if (n->op->check != NULL && n->op->check(n, &quiet) < 0)
		return 0;
	for (i = 0; i < lm_layer_slots(n->op); i++)
		if (lm_slot_wanted(n, i) && n->weight[i].dtype == NULL)
			return 0;
	for (i = 0; i < p->n_in; i++)
		if (p->in[i] != NULL && p->in[i][0] == '\0')
			return 0;
	for (i = 0; i < p->n_out; i++)
		if (p->out[i][0] == '\0')
			return 0;
	return p->n_out > 0;
}

/* ---- writing it once more ---- */

/* A network of the node alone, whose values are called as in the file. */
struct alone {
	struct loom_model model;
	struct lm_onnx to;
	struct lm_shape *shapes[2]; /* of which a rank that is not known differs */
};

/* Each value once, as networks have them. */
static int
add_value(struct alone *a, const char *name, size_t node, unsigned rank, const uint64_t *dim,
    size_t *value)
{
	size_t i;

	*value = LM_ABSENT;
	if (name == NULL)
		return 0;
	for (i = 0; i < a->model.n_values; i++)
		if (strcmp(a->model.values[i].name, name) == 0) {
			*value = i;
			return node == LM_ABSENT ? 0 : -1;
		}
	*value = a->model.n_values++;
	a->model.values[*value] = (struct lm_value_info){ name, node };
	for (i = 0; i < 2; i++) {
		a->shapes[i][*value].rank = rank > 0 ? rank : (unsigned)i;
		a->shapes[i][*value].dtype = lm_dtype_get(LM_F32);
		if (rank > 0)
			memcpy(a->shapes[i][*value].dim, dim, rank * sizeof(*dim));
	}
	return 0;
}

/* 1; 0 where it reads what it makes. */
static int
set_alone(struct alone *a, struct lm_onnx_proposal *p, struct loom_error *err)
{
	struct lm_arena *arena = p->file->passing;
	struct lm_node *n = p->node, **list = lm_arena_alloc(arena, 1, sizeof(*list), err);
	size_t most = 2 * LM_PROPOSAL_VALUES, i;

	n->in = lm_arena_alloc(arena, most, sizeof(*n->in), err);
	n->out = lm_arena_alloc(arena, most, sizeof(*n->out), err);
	a->model.values = lm_arena_alloc(arena, most, sizeof(*a->model.values), err);
	for (i = 0; i < 2; i++)
		a->shapes[i] = lm_arena_alloc(arena, most, sizeof(**a->shapes), err);
	if (list == NULL || n->in == NULL || n->out == NULL || a->model.values == NULL ||
	    a->shapes[0] == NULL || a->shapes[1] == NULL)
		return -1;
	for (i = 0; i < p->n_in; i++)
		if (add_value(a, p->in[i], LM_ABSENT, p->rank[i], p->dim[i], &n->in[i]) < 0)
			return 0;
	for (i = 0; i < p->n_out; i++)
		if (add_value(a, p->out[i], 0, 0, NULL, &n->out[i]) < 0)
			return 0;
	for (i = 0; p->dtype != NULL && i < a->model.n_values; i++)
		a->shapes[0][i].dtype = a->shapes[1][i].dtype = p->dtype;
	n->n_in = p->n_in;
	n->n_out = p->n_out;
	list[0] = n;
	a->model.nodes = list;
	a->model.n_nodes = 1;
	return 1;
}

/* What --dtype must have said for weights to be as they are; NULL: nothing. */
static const char *
narrow(const struct lm_node *n)
{
	size_t i;

	for (i = 0; i < LM_SLOTS; i++)
		if (n->weight[i].dtype == lm_dtype_get(LM_F16) ||
		    n->weight[i].dtype == lm_dtype_get(LM_BF16))
			return n->weight[i].dtype->name;
	return NULL;
}

static int
write_alone(struct alone *a, struct lm_onnx_proposal *p, struct loom_error *err)
{
	const struct lm_onnx_to *row = lm_onnx_to_find(p->node->op->name);
	struct loom_export_options options = { .format = "onnx", .dtype = narrow(p->node) };
	struct loom_error why = { 0 };
	struct lm_buf notes;
	struct lm_onnx_writing w = { .to = &a->to,
		.model = &a->model,
		.options = &options,
		.arena = p->file->passing,
		.notes = &notes,
		.opset = p->file->opset,
		.shapes = { a->shapes[0], a->shapes[1] } };
	int r;

	if (row == NULL || row->write == NULL)
		return 0;
	lm_buf_init(&notes, 1 << 20);
	a->to.arena = p->file->passing;
	r = row->write(&w, p->node, &why);
	lm_buf_release(&notes);
	if (r < 0 && why.code == LOOM_ENOMEM)
		*err = why;
	return r < 0 ? (why.code == LOOM_ENOMEM ? -1 : 0) : 1;
}

/* ---- finding all ---- */

/* The node is called as the maker of its first output is. */
static int
call(struct lm_onnx_matching *m, struct lm_onnx_found *f)
{
	struct lm_onnx_proposal *p = &f->proposal;

	f->called = lm_onnx_made_by(m, p->out[0]);
	if (f->called == NULL)
		return 0;
	p->node->name = f->called->name[0] != '\0' ? f->called->name : p->out[0];
	return 1;
}

static int
try(struct lm_onnx_matching *m, const struct lm_onnx_composite *row, struct lm_onnx_found *f,
    const struct lm_onnx_node *anchor, struct loom_error *err)
{
	struct lm_onnx_proposal *p = &f->proposal;
	struct alone a = { 0 };
	int r;

	p->file = m;
	p->node = lm_arena_alloc(m->arena, 1, sizeof(*p->node), err);
	if (p->node == NULL)
		return -1;
	p->node->op = lm_layer_find(row->op);
	p->arena = m->lasting;
	r = row->propose(p, anchor, err);
	if (r == 2)
		return is_sound(p) && call(m, f) ? lm_onnx_take_all(m, f, err) : 0;
	if (r == 1)
		r = is_sound(p) && call(m, f) ? set_alone(&a, p, err) : 0;
	if (r == 1)
		r = write_alone(&a, p, err);
	return r == 1 ? lm_onnx_stands(m, f, &a.to, row->named, err) : r;
}

static int
keep(struct lm_onnx_matching *m, const struct lm_onnx_found *f, struct loom_error *err)
{
	struct lm_onnx_found *list = lm_onnx_grow(m->arena, m->found, m->n_found, sizeof(*list),
	    err);
	size_t i;

	if (list == NULL)
		return -1;
	m->found = list;
	list[m->n_found++] = *f;
	m->begins[f->first] = m->n_found;
	for (i = 0; i < f->n; i++)
		m->owned[f->nodes[i]] = 1;
	return 0;
}

/* What a proposal needed for itself goes with it. */
static int
propose(struct lm_onnx_matching *m, const struct lm_onnx_composite *row,
    const struct lm_onnx_node *anchor, struct loom_error *err)
{
	struct lm_arena passing = { 0 };
	struct lm_onnx_found f = { 0 };
	int r;

	m->passing = &passing;
	m->now = &f;
	r = try(m, row, &f, anchor, err);
	if (r == 1)
		r = keep(m, &f, err);
	lm_arena_release(&passing);
	return r < 0 ? -1 : 0;
}

int
lm_onnx_match(struct lm_onnx_reading *r, struct loom_error *err)
{
	const struct lm_onnx_composite *row;
	size_t i;

	if (lm_onnx_matching_new(&r->matching, r->from, r->opset, &r->arena, err) < 0)
		return -1;
	r->matching->lasting = &r->model->arena;
	for (row = composites; row->op != NULL; row++)
		for (i = 0; i < r->from->n_nodes; i++)
			if (!r->matching->owned[i] &&
			    strcmp(r->from->nodes[i].op, row->anchor) == 0 &&
			    r->from->nodes[i].domain[0] == '\0' &&
			    propose(r->matching, row, &r->from->nodes[i], err) < 0)
				return -1;
	return 0;
}

/* ---- the node of the network ---- */

/* Had both the same extents in all trials? */
static int
are_alike(const struct lm_onnx_reading *r, const struct lm_onnx_known *a,
    const struct lm_onnx_known *b)
{
	size_t t;

	for (t = 0; t < r->trials->n; t++)
		if (r->trials->alive[t] &&
		    (a->tried == NULL || b->tried == NULL ||
			!lm_shape_same(&a->tried->shape[t], &b->tried->shape[t])))
			return 0;
	return 1;
}

/* Inputs that are to be zeros are left out: 1; 0 where they are none, -1. */
static int
leave_out(struct lm_onnx_reading *r, const struct lm_onnx_proposal *p, struct lm_onnx_known **in,
    struct loom_error *err)
{
	int zero = 1;
	size_t i;

	for (i = 0; i < p->n_in && zero == 1; i++) {
		if (in[i] == NULL || (p->zeros >> i & 1) == 0)
			continue;
		zero = lm_onnx_all(r, in[i], 0, err);
		in[i] = NULL;
	}
	return zero;
}

/* Are its inputs there, of the ranks that were taken for theirs? */
static int
is_ready(struct lm_onnx_reading *r, const struct lm_onnx_proposal *p, struct lm_onnx_known **in)
{
	size_t i;

	for (i = 0; i < p->n_in; i++) {
		in[i] = p->in[i] != NULL ? lm_onnx_find(r, p->in[i]) : NULL;
		if (p->in[i] == NULL)
			continue;
		if (in[i] == NULL || (!in[i]->made && in[i]->tensor == NULL))
			return 0;
		if (p->rank[i] > 0 && in[i]->ranked && in[i]->dims.n != p->rank[i])
			return 0;
		if (p->alike && !are_alike(r, in[0], in[i]))
			return 0;
	}
	return 1;
}

/* In the order that was proposed, wherever the tensor lies; its name may be made of the node's. */
static int
put(struct lm_onnx_reading *r, struct lm_node *n, size_t slot, const struct lm_onnx_filling *f,
    struct loom_error *err)
{
	const struct lm_onnx_known *k = lm_onnx_find(r, f->tensor->name);
	struct lm_view v;

	if (lm_onnx_view(r, k, &v, err) < 0)
		return -1;
	v.first = f->order->first;
	v.rank = f->order->rank;
	memcpy(v.extent, f->order->extent, sizeof(v.extent));
	memcpy(v.stride, f->order->stride, sizeof(v.stride));
	if (lm_onnx_put(r, n, slot, k, &v, err) < 0)
		return -1;
	if (strncmp(k->name, n->name, strlen(n->name)) == 0 && k->name[strlen(n->name)] == '.')
		n->weight[slot].source = NULL;
	return 0;
}

static int
make(struct lm_onnx_reading *r, const struct lm_onnx_found *f, struct lm_onnx_known **in,
    struct loom_error *err)
{
	const struct lm_onnx_proposal *p = &f->proposal;
	size_t n_in = p->n_in, i;
	struct lm_node *n;

	while (p->zeros != 0 && in[n_in - 1] == NULL)
		n_in--;
	n = lm_onnx_new_node(r, f->called, p->node->op->name, n_in, in, err);

	if (n == NULL)
		return -1;
	memcpy(n->param, p->node->param, sizeof(n->param));
	for (i = 0; i < LM_SLOTS; i++)
		if (f->slot[i].tensor != NULL && put(r, n, i, &f->slot[i], err) < 0)
			return -1;
	return lm_onnx_end_node(r, n, p->out, p->n_out, err);
}

int
lm_onnx_matched(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	struct lm_onnx_known *in[LM_PROPOSAL_VALUES];
	const struct lm_onnx_found *f;
	size_t i, at = (size_t)(node - r->from->nodes);
	int ready;

	if (r->matching == NULL || r->matching->begins[at] == 0)
		return 0;
	f = &r->matching->found[r->matching->begins[at] - 1];
	if (!is_ready(r, &f->proposal, in))
		return 0;
	ready = leave_out(r, &f->proposal, in, err);
	if (ready != 1)
		return ready;
	for (i = 0; i < f->n; i++)
		lm_onnx_take(r, &r->from->nodes[f->nodes[i]]);
	return make(r, f, in, err) < 0 ? -1 : 1;
}
