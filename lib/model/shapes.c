/* shapes: from the shapes of a network's inputs to those of all its values. */
#include "model/model.h"

#include <string.h>

/* What the network says of an input: "float32 [..., 32]". */
static void
declared_text(char dst[LM_SHAPE_TEXT], const struct lm_input *in)
{
	char dims[LM_SHAPE_TEXT];

	(void)lm_dims_text(dims, &in->dims);
	(void)snprintf(dst, LM_SHAPE_TEXT, "%s [%s%.300s", in->dtype->name,
	    in->any ? (in->dims.n > 0 ? "..., " : "...") : "", dims + 1);
}

static int
fail_declared(const struct loom_model *m, const struct lm_input *in, const struct lm_shape *found,
    struct loom_error *err)
{
	char want[LM_SHAPE_TEXT], got[LM_SHAPE_TEXT];
	const struct lm_node *user = NULL;
	size_t i, k;

	for (i = 0; i < m->n_nodes && user == NULL; i++)
		for (k = 0; k < m->nodes[i]->n_in; k++)
			if (m->nodes[i]->in[k] == in->tensor)
				user = m->nodes[i];
	declared_text(want, in);
	(void)lm_shape_text(got, found);
	if (user == NULL)
		return lm_fail(err, LOOM_ESHAPE, "input %.80s: expected %.160s, found %.160s",
		    in->name, want, got);
	return lm_fail(err, LOOM_ESHAPE,
	    "input %.80s of layer %.80s (%s): expected %.120s, found %.120s", in->name, user->name,
	    user->op->name, want, got);
}

static int
bind(struct lm_sizes *sizes, const char *name, uint64_t value)
{
	size_t i;

	for (i = 0; i < sizes->n; i++)
		if (strcmp(sizes->size[i].name, name) == 0)
			return sizes->size[i].value == value ? 0 : -1;
	sizes->size[sizes->n].name = name;
	sizes->size[sizes->n++].value = value;
	return 0;
}

/* Names take the extents that stand in their places. */
static int
bind_input(const struct lm_input *in, const struct lm_shape *x, struct lm_sizes *sizes)
{
	size_t i, lead = x->rank - in->dims.n;
	const struct lm_dim *d;

	if (x->dtype != in->dtype || x->rank < in->dims.n || (!in->any && lead > 0))
		return -1;
	for (i = 0; i < in->dims.n; i++) {
		d = &in->dims.dim[i];
		if (d->text != NULL && lm_dim_is_name(d->text) &&
		    bind(sizes, d->text, x->dim[lead + i]) < 0)
			return -1;
	}
	return 0;
}

static int
meets(const struct lm_input *in, const struct lm_shape *x, const struct lm_sizes *sizes)
{
	size_t i, lead = x->rank - in->dims.n;
	struct loom_error quiet = { 0 };
	uint64_t want;

	for (i = 0; i < in->dims.n; i++)
		if (lm_dim_eval(&in->dims.dim[i], sizes, &want, &quiet) < 0 ||
		    want != x->dim[lead + i])
			return -1;
	return 0;
}

static int
bind_all(const struct loom_model *m, const struct lm_shape *inputs, struct lm_sizes *sizes,
    struct loom_error *err)
{
	size_t i;

	for (i = 0; i < m->n_inputs; i++)
		if (bind_input(&m->inputs[i], &inputs[i], sizes) < 0)
			return fail_declared(m, &m->inputs[i], &inputs[i], err);
	for (i = 0; i < m->n_inputs; i++)
		if (meets(&m->inputs[i], &inputs[i], sizes) < 0)
			return fail_declared(m, &m->inputs[i], &inputs[i], err);
	return 0;
}

/* The extents that parameters state: an expression that gives none is that of a layer. */
static int
check_stated(const struct lm_node *n, const struct lm_sizes *sizes, struct loom_error *err)
{
	struct loom_error found = { 0 };
	uint64_t extent;
	size_t i, k;

	for (i = 0; i < LM_PARAMS && n->op->params[i].key != NULL; i++)
		for (k = 0; n->op->params[i].kind == LM_IS_DIMS && k < n->param[i].dims.n; k++)
			if (lm_dim_eval(&n->param[i].dims.dim[k], sizes, &extent, &found) < 0)
				return lm_fail(err, found.code, "layer %s (%s): %s: %s", n->name,
				    n->op->name, n->op->params[i].key, found.text);
	return 0;
}

static int
find_needs(const struct lm_shaping *s, struct lm_needs *needs, struct loom_error *err)
{
	const struct lm_node *n = s->node;
	size_t i;

	for (i = 0; n->op->rows != NULL && i < LM_SLOTS; i++)
		if (n->weight[i].dtype != NULL)
			needs->rows[i] = n->op->rows(s, i);
	if (needs->positions > 0 && n->op->keep != NULL)
		return n->op->keep(s, needs->positions, &needs->kept, &needs->scratch, err);
	return n->op->plan != NULL ? n->op->plan(s, &needs->scratch, err) : 0;
}

static int
node_shapes(const struct lm_node *n, const struct lm_sizes *sizes, struct lm_shape *in,
    struct lm_shape *out, struct lm_shape *shapes, struct lm_needs *needs, struct loom_error *err)
{
	struct lm_shaping s = { n, in, out, sizes };
	uint64_t count;
	size_t i;

	memset(in, 0, n->n_in * sizeof(*in));
	for (i = 0; i < n->n_in; i++)
		if (n->in[i] != LM_ABSENT)
			in[i] = shapes[n->in[i]];
	if (check_stated(n, sizes, err) < 0 || n->op->shape(&s, err) < 0)
		return -1;
	for (i = 0; i < n->n_out; i++) {
		if (lm_shape_count(&out[i], &count) < 0)
			return lm_fail(err, LOOM_ESHAPE, "layer %s (%s): its output is too large",
			    n->name, n->op->name);
		shapes[n->out[i]] = out[i];
	}
	return needs != NULL ? find_needs(&s, needs, err) : 0;
}

static size_t
count_dims(const struct loom_model *m)
{
	size_t i, n = 0;

	for (i = 0; i < m->n_inputs; i++)
		n += m->inputs[i].dims.n;
	return n;
}

size_t
lm_model_widest(const struct loom_model *m)
{
	size_t i, n = 1;

	for (i = 0; i < m->n_nodes; i++) {
		n = m->nodes[i]->n_in > n ? m->nodes[i]->n_in : n;
		n = m->nodes[i]->n_out > n ? m->nodes[i]->n_out : n;
	}
	return n;
}

int
lm_model_sizes(const struct loom_model *m, const struct lm_shape *inputs, struct lm_arena *arena,
    struct lm_sizes *sizes, struct loom_error *err)
{
	sizes->n = 0;
	sizes->size = lm_arena_alloc(arena, count_dims(m), sizeof(*sizes->size), err);
	return sizes->size != NULL ? bind_all(m, inputs, sizes, err) : -1;
}

int
lm_model_shapes(const struct loom_model *m, const struct lm_shape *inputs, struct lm_shape *shapes,
    struct lm_needs *needs, struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	struct lm_sizes sizes = { 0 };
	struct lm_shape *in, *out;
	size_t i;
	int r = -1;

	in = lm_arena_alloc(&arena, lm_model_widest(m), sizeof(*in), err);
	out = lm_arena_alloc(&arena, lm_model_widest(m), sizeof(*out), err);
	if (in == NULL || out == NULL || lm_model_sizes(m, inputs, &arena, &sizes, err) < 0)
		goto out;
	for (i = 0; i < m->n_inputs; i++)
		shapes[m->inputs[i].tensor] = inputs[i];
	for (i = 0; i < m->n_nodes; i++)
		if (node_shapes(m->nodes[i], &sizes, in, out, shapes,
			needs != NULL ? &needs[i] : NULL, err) < 0)
			goto out;
	r = 0;
out:
	lm_arena_release(&arena);
	return r;
}

/* ---- checking a network before any input is there ---- */

/* Input shapes with every name standing for size, and lead axes of it before those that say so. */
static int
trial_inputs(const struct loom_model *m, uint64_t size, unsigned lead, struct lm_sizes *sizes,
    struct lm_shape *inputs, struct loom_error *err)
{
	const struct lm_input *in;
	size_t i, k;

	sizes->n = 0;
	for (i = 0; i < m->n_inputs; i++)
		for (k = 0; k < m->inputs[i].dims.n; k++)
			if (m->inputs[i].dims.dim[k].text != NULL &&
			    lm_dim_is_name(m->inputs[i].dims.dim[k].text))
				(void)bind(sizes, m->inputs[i].dims.dim[k].text, size);
	for (i = 0; i < m->n_inputs; i++) {
		in = &m->inputs[i];
		inputs[i].dtype = in->dtype;
		inputs[i].rank = 0;
		while (in->any && inputs[i].rank < lead)
			inputs[i].dim[inputs[i].rank++] = size;
		for (k = 0; k < in->dims.n && inputs[i].rank < LOOM_RANK; k++)
			if (lm_dim_eval(&in->dims.dim[k], sizes, &inputs[i].dim[inputs[i].rank++],
				err) < 0)
				return -1;
	}
	return 0;
}

int
lm_model_try(const struct loom_model *m, uint64_t size, unsigned lead, struct lm_shape *shapes,
    struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	struct lm_sizes sizes = { 0 };
	struct lm_shape *inputs;
	int r = -1;

	inputs = lm_arena_alloc(&arena, m->n_inputs, sizeof(*inputs), err);
	sizes.size = lm_arena_alloc(&arena, count_dims(m), sizeof(*sizes.size), err);
	if (inputs != NULL && sizes.size != NULL)
		r = trial_inputs(m, size, lead, &sizes, inputs, err);
	if (r == 0)
		r = lm_model_shapes(m, inputs, shapes, NULL, err);
	lm_arena_release(&arena);
	return r;
}

/*
 * A network is refused when its shapes meet for none of these sizes: 2 tells a wrong extent from a
 * broadcast one, 5040 is divisible by what sizes are divided by, and some networks go for one size only.
 */
static int
check_shapes(const struct loom_model *m, struct loom_error *err)
{
	static const uint64_t tries[] = { 2, 1, 5040, 3, 4, 5, 6, 7, 8, 16, 32, 64 };
	struct lm_arena arena = { 0 };
	struct loom_error first = { 0 }, now;
	struct lm_shape *shapes;
	size_t i;
	int r = -1;

	shapes = lm_arena_alloc(&arena, m->n_values, sizeof(*shapes), err);
	for (i = 0; err->code == LOOM_OK && first.code != LOOM_ENOMEM && r < 0 &&
	     i < sizeof(tries) / sizeof(tries[0]);
	     i++) {
		memset(&now, 0, sizeof(now));
		r = lm_model_try(m, tries[i], 1, shapes, &now);
		if (i == 0 || now.code == LOOM_ENOMEM)
			first = now;
	}
	if (r < 0 && err->code == LOOM_OK)
		*err = first;
	lm_arena_release(&arena);
	return r;
}

int
lm_model_check(struct loom_model *m, struct loom_error *err)
{
	const struct lm_node *n;
	size_t i, k;

	for (i = 0; i < m->n_nodes; i++) {
		n = m->nodes[i];
		for (k = 0; k < lm_layer_slots(n->op); k++)
			if (lm_slot_wanted(n, k) && n->weight[k].dtype == NULL)
				return lm_fail(err, LOOM_EFORMAT,
				    "node %s (%s) has no tensor for %s", n->name, n->op->name,
				    n->op->slots[k].name);
	}
	if (m->n_outputs == 0 && m->n_nodes > 0)
		return lm_fail(err, LOOM_EFORMAT, "the network has no output");
	return check_shapes(m, err);
}
