/*
 * onnx_export: a network as an ONNX graph: the nodes in their order, what each becomes by the rows of
 * onnx.def, and what surrounds them.
 */
#include <string.h>

#include "onnx/onnx_to.h"

/* ---- rows ---- */

#define TO(op) \
	int lm_onnx_to_##op(struct lm_onnx_writing *, const struct lm_node *, struct loom_error *);
#include "onnx/onnx.def"

static const struct lm_onnx_to rows[] = {
#define TO(op) { #op, lm_onnx_to_##op, NULL },
#define TO_REFUSED(op, why) { #op, NULL, why },
#include "onnx/onnx.def"
};

const struct lm_onnx_to *
lm_onnx_to_find(const char *op)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].op, op) == 0)
			return &rows[i];
	return NULL;
}

static int
write_node(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const struct lm_onnx_to *row = lm_onnx_to_find(n->op->name);

	if (row != NULL && row->write != NULL)
		return row->write(w, n, err);
	return lm_fail(err, LOOM_EUNSUPPORTED, "node %s (%s): onnx %s", n->name, n->op->name,
	    row != NULL ? row->refused : "has nothing that it could become");
}

/* ---- extents, tried ---- */

/* What another trial has otherwise becomes second's, where first and second agree so far. */
static void
learn(struct lm_shape *first, struct lm_shape *second, const struct lm_shape *other, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		if (other[i].rank != first[i].rank)
			second[i].rank = other[i].rank;
		for (k = 0; second[i].rank == first[i].rank && k < first[i].rank; k++)
			if (other[i].dim[k] != first[i].dim[k])
				second[i].dim[k] = other[i].dim[k];
	}
}

/*
 * Shapes of all values for one size of whatever has a name, and others that differ wherever any other size
 * made a difference.
 */
static int
try_sizes(struct lm_onnx_writing *w, struct loom_error *err)
{
	static const uint64_t sizes[] = { 2, 3, 1, 5040, 5039, 4, 5, 6, 7, 8, 16, 32, 64 };
	size_t n = w->model->n_values, i, done = 0;
	struct loom_error now = { 0 };
	struct lm_shape *s[3];

	for (i = 0; i < 3; i++) {
		s[i] = lm_arena_alloc(w->arena, n + 1, sizeof(*s[i]), err);
		if (s[i] == NULL)
			return -1;
	}
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(&now, 0, sizeof(now));
		if (lm_model_try(w->model, sizes[i], w->lead, s[done > 0 ? 2 : 0], &now) < 0)
			continue;
		if (done++ == 0)
			memcpy(s[1], s[0], n * sizeof(*s[0]));
		else
			learn(s[0], s[1], s[2], n);
	}
	w->shapes[0] = s[0];
	w->shapes[1] = s[1];
	w->varied = done > 1;
	return done > 0 ? 0 : lm_fail(err, LOOM_ESHAPE, "%s", now.text);
}

/* ---- names of extents, tried ---- */

/* Name k stands for unit[k] times a size that can be divided often: none of these is a multiple of another. */
static const unsigned char units[] = { 7, 11, 13, 17, 19, 23, 29, 31 };
enum { NAMES = sizeof(units), EACH = 5040 };

/* A name's size, which it gets when it is met first; 0: there are too many. */
static uint64_t
size_of(struct lm_sizes *sizes, const char *name)
{
	size_t i;

	for (i = 0; i < sizes->n; i++)
		if (strcmp(sizes->size[i].name, name) == 0)
			return sizes->size[i].value;
	if (sizes->n == NAMES)
		return 0;
	sizes->size[i].name = name;
	sizes->size[i].value = (uint64_t)units[i] * EACH;
	return sizes->size[sizes->n++].value;
}

/* The shape of an input as it is written; -1 where its names are too many. */
static int
input_apart(struct lm_onnx_writing *w, const struct lm_onnx_value *v, struct lm_shape *s)
{
	struct loom_error quiet = { 0 };
	struct lm_dim dim;
	unsigned k;

	s->dtype = lm_onnx_dtype(v->type);
	s->rank = v->rank;
	for (k = 0; k < v->rank; k++)
		if (v->dim[k].name != NULL && lm_dim_is_name(v->dim[k].name) &&
		    size_of(&w->apart, v->dim[k].name) == 0)
			return -1;
	for (k = 0; k < v->rank; k++) {
		dim.text = v->dim[k].name;
		dim.value = v->dim[k].value;
		if (lm_dim_eval(&dim, &w->apart, &s->dim[k], &quiet) < 0)
			return -1;
	}
	return 0;
}

/* Shapes of all values where each name has a size of its own, if the network goes with these. */
static int
try_apart(struct lm_onnx_writing *w, struct loom_error *err)
{
	size_t n = w->model->n_inputs, i;
	struct lm_shape *inputs = lm_arena_alloc(w->arena, n + 1, sizeof(*inputs), err);
	struct lm_shape *all = lm_arena_alloc(w->arena, w->model->n_values + 1, sizeof(*all), err);
	struct loom_error quiet = { 0 };

	w->apart.size = lm_arena_alloc(w->arena, NAMES, sizeof(*w->apart.size), err);
	if (inputs == NULL || all == NULL || w->apart.size == NULL)
		return -1;
	for (i = 0; i < n; i++)
		if (input_apart(w, &w->to->inputs[i], &inputs[i]) < 0)
			return 0;
	if (lm_model_shapes(w->model, inputs, all, NULL, &quiet) == 0)
		w->shapes_apart = all;
	return quiet.code == LOOM_ENOMEM ? lm_fail(err, LOOM_ENOMEM, "%s", quiet.text) : 0;
}

/* ---- inputs and outputs ---- */

/*
 * Where an input may have any axes before its own, the file has one, called so: a rank must be said, and
 * this is what a batch of rows has.
 */
static const char *const leading = "batch";

static struct lm_onnx_dim
axis_of(const struct lm_dim *d)
{
	struct lm_onnx_dim to = { d->text, d->value };

	return to;
}

static int
write_inputs(struct lm_onnx_writing *w, struct loom_error *err)
{
	const struct loom_model *m = w->model;
	const struct lm_input *in;
	size_t i, k;

	for (i = 0; i < m->n_inputs; i++) {
		struct lm_onnx_value v = { .ranked = 1 };

		in = &m->inputs[i];
		v.name = in->name;
		v.type = lm_onnx_type(in->dtype);
		if (in->any)
			v.dim[v.rank++].name = leading;
		if (v.type == 0 || in->dims.n + v.rank > LM_ONNX_RANK)
			return lm_fail(err, LOOM_EUNSUPPORTED,
			    "input %.80s: %s with %zu axes does not go into onnx", in->name,
			    in->dtype->name, in->dims.n);
		for (k = 0; k < in->dims.n; k++)
			v.dim[v.rank++] = axis_of(&in->dims.dim[k]);
		if (lm_onnx_add_value(w->to, &w->to->inputs, &w->to->n_inputs, &v, err) < 0)
			return -1;
	}
	return 0;
}

/* The name whose size an extent has; "": none. */
static const char *
name_of(const struct lm_onnx_writing *w, size_t value, unsigned axis)
{
	size_t i;

	for (i = 0; w->shapes_apart != NULL && i < w->apart.n; i++)
		if (w->shapes_apart[value].dim[axis] == w->apart.size[i].value)
			return w->apart.size[i].name;
	return "";
}

/* An extent that no size changed is itself, where several sizes went or there are no names at all. */
static struct lm_onnx_dim
extent_of(const struct lm_onnx_writing *w, size_t value, unsigned axis)
{
	uint64_t a = w->shapes[0][value].dim[axis], b = w->shapes[1][value].dim[axis];
	struct lm_onnx_dim d = { NULL, (int64_t)a };

	if (a != b || (!w->varied && w->apart.n > 0))
		d.name = name_of(w, value, axis);
	return d;
}

static int
write_value(struct lm_onnx_writing *w, size_t value, struct lm_onnx_value **list, size_t *n,
    struct loom_error *err)
{
	const struct lm_shape *s = &w->shapes[0][value];
	struct lm_onnx_value v = { .name = lm_onnx_name(w, value), .ranked = 1, .rank = s->rank };
	unsigned i;

	v.type = lm_onnx_type(s->dtype);
	if (s->rank > LM_ONNX_RANK || s->rank != w->shapes[1][value].rank)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "value %.80s: onnx takes at most %d axes, and always as many", v.name,
		    LM_ONNX_RANK);
	for (i = 0; i < s->rank; i++)
		v.dim[i] = extent_of(w, value, i);
	return lm_onnx_add_value(w->to, list, n, &v, err);
}

static int
write_outputs(struct lm_onnx_writing *w, struct loom_error *err)
{
	const struct loom_model *m = w->model;
	struct lm_onnx *x = w->to;
	size_t i;

	for (i = 0; i < m->n_outputs; i++)
		if (write_value(w, m->outputs[i], &x->outputs, &x->n_outputs, err) < 0)
			return -1;
	return 0;
}

/* Readers that do not find out themselves are told what the values between the nodes are. */
static int
write_values(struct lm_onnx_writing *w, struct loom_error *err)
{
	const struct loom_model *m = w->model;
	unsigned char *said = lm_arena_alloc(w->arena, m->n_values + 1, 1, err);
	size_t i;

	if (said == NULL)
		return -1;
	for (i = 0; i < m->n_outputs; i++)
		said[m->outputs[i]] = 1;
	for (i = 0; i < m->n_values; i++)
		if (!said[i] && m->values[i].node != LM_ABSENT &&
		    write_value(w, i, &w->to->values, &w->to->n_values, err) < 0)
			return -1;
	return 0;
}

/* ---- the file ---- */

/* The IR that was published with an opset. */
static int64_t
ir_of(int64_t opset)
{
	static const unsigned char ir[] = { 8, 8, 9, 9, 10, 10, 11 };

	return ir[opset - LM_ONNX_OPSET];
}

static int
choose_opset(struct lm_onnx_writing *w, struct loom_error *err)
{
	w->opset = w->options->opset != 0 ? w->options->opset : LM_ONNX_OPSET;
	if (w->opset < LM_ONNX_OPSET || w->opset > LM_ONNX_NEWEST)
		return lm_fail(err, LOOM_EARG, "opset %d: %d to %d are written", w->options->opset,
		    LM_ONNX_OPSET, LM_ONNX_NEWEST);
	w->to->ir = ir_of(w->opset);
	w->to->producer = "loom-export";
	w->to->graph = w->model->title != NULL ? w->model->title : "network";
	return lm_onnx_add_opset(w->to, "", w->opset, err);
}

int
lm_onnx_of(struct lm_onnx_writing *w, struct loom_error *err)
{
	size_t i;

	w->lead = 1;
	if (choose_opset(w, err) < 0 || try_sizes(w, err) < 0 || write_inputs(w, err) < 0 ||
	    try_apart(w, err) < 0)
		return -1;
	for (i = 0; i < w->model->n_nodes; i++)
		if (write_node(w, w->model->nodes[i], err) < 0)
			return -1;
	return write_outputs(w, err) < 0 || write_values(w, err) < 0 ||
		lm_onnx_write_metadata(w->to, w->model, err) < 0
	    ? -1
	    : 0;
}

int
lm_onnx_export(struct lm_export *e, struct loom_error *err)
{
	struct lm_onnx x = { .arena = e->arena };
	struct lm_onnx_writing w = { .to = &x,
		.model = e->model,
		.options = e->options,
		.arena = e->arena,
		.notes = e->notes };

	return lm_onnx_of(&w, err) == 0 ? lm_onnx_write(&x, e->place, err) : -1;
}
