/* past: a run whose sequences come in pieces. */
#include "model/past.h"

#include <string.h>

#include "layer/pieces.h"

unsigned
lm_past_axis(const struct loom_model *m, size_t input, unsigned rank)
{
	unsigned from_end = m->inputs[input].dtype == lm_dtype_get(LM_F32) ? 2 : 1;

	return rank >= from_end ? rank - from_end : LM_NOWHERE;
}

void
lm_past_release(struct lm_past *past)
{
	lm_arena_release(&past->arena);
	past->begun = NULL;
	past->at = NULL;
	past->kept = NULL;
}

void
lm_past_forget(struct lm_past *past)
{
	past->before = 0;
}

/* ---- pieces that follow each other ---- */

/* Positions of the piece: the same in all inputs. */
static int
measure(struct lm_past *past, const struct loom_model *m, const struct lm_shape *inputs,
    struct loom_error *err)
{
	char text[LM_SHAPE_TEXT];
	unsigned axis;
	size_t i;

	for (i = 0; i < m->n_inputs; i++) {
		axis = lm_past_axis(m, i, inputs[i].rank);
		if (axis == LM_NOWHERE)
			return lm_fail(err, LOOM_ESHAPE,
			    "input %.80s: expected an axis of positions, found %.160s",
			    m->inputs[i].name, lm_shape_text(text, &inputs[i]));
		if (i > 0 && inputs[i].dim[axis] != past->piece)
			return lm_fail(err, LOOM_ESHAPE,
			    "input %.80s: expected %llu positions, as %.80s has, found %.160s",
			    m->inputs[i].name, (unsigned long long)past->piece, m->inputs[0].name,
			    lm_shape_text(text, &inputs[i]));
		past->piece = inputs[i].dim[axis];
	}
	return 0;
}

/* But for positions the shape of an input. */
static struct lm_shape
aside(const struct loom_model *m, size_t input, const struct lm_shape *x)
{
	struct lm_shape s = *x;

	s.dim[lm_past_axis(m, input, x->rank)] = 0;
	return s;
}

int
lm_past_go_on(struct lm_past *past, const struct loom_model *m, const struct lm_shape *inputs,
    struct loom_error *err)
{
	char was[LM_SHAPE_TEXT], is[LM_SHAPE_TEXT];
	struct lm_shape s;
	size_t i;

	if (measure(past, m, inputs, err) < 0)
		return -1;
	if (past->piece > past->most - past->before)
		return lm_fail(err, LOOM_ESHAPE,
		    "%llu positions behind %llu are more than the cache's %llu",
		    (unsigned long long)past->piece, (unsigned long long)past->before,
		    (unsigned long long)past->most);
	for (i = 0; past->before > 0 && i < m->n_inputs; i++) {
		s = aside(m, i, &inputs[i]);
		if (lm_shape_same(&s, &past->begun[i]))
			continue;
		s = past->begun[i];
		s.dim[lm_past_axis(m, i, s.rank)] = past->piece;
		return lm_fail(err, LOOM_ESHAPE,
		    "input %.80s: expected %.160s, to go on with what came before, found %.160s",
		    m->inputs[i].name, lm_shape_text(was, &s), lm_shape_text(is, &inputs[i]));
	}
	return 0;
}

/* ---- where positions lie ---- */

/* What the network makes of whole sequences, and of such that are longer by one position. */
struct whole {
	struct lm_arena arena;
	struct lm_shape *inputs, *values, *longer;
	struct lm_sizes sizes, longer_sizes;
	uint64_t positions;
};

/* Shapes of all values where sequences have so many positions. */
static int
try_length(struct whole *w, const struct loom_model *m, const struct lm_shape *inputs,
    uint64_t positions, struct lm_shape *values, struct lm_sizes *sizes, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < m->n_inputs; i++) {
		w->inputs[i] = inputs[i];
		w->inputs[i].dim[lm_past_axis(m, i, inputs[i].rank)] = positions;
	}
	if (lm_model_sizes(m, w->inputs, &w->arena, sizes, err) < 0)
		return -1;
	return lm_model_shapes(m, w->inputs, values, NULL, err);
}

static int
try_lengths(struct whole *w, const struct loom_model *m, const struct lm_shape *inputs,
    struct loom_error *err)
{
	struct loom_error found = { 0 };

	w->inputs = lm_arena_alloc(&w->arena, m->n_inputs, sizeof(*w->inputs), err);
	w->values = lm_arena_alloc(&w->arena, m->n_values, sizeof(*w->values), err);
	w->longer = lm_arena_alloc(&w->arena, m->n_values, sizeof(*w->longer), err);
	if (w->inputs == NULL || w->values == NULL || w->longer == NULL ||
	    try_length(w, m, inputs, w->positions, w->values, &w->sizes, err) < 0)
		return -1;
	if (try_length(w, m, inputs, w->positions + 1, w->longer, &w->longer_sizes, &found) == 0)
		return 0;
	if (found.code == LOOM_ENOMEM)
		return lm_fail(err, found.code, "%s", found.text);
	return lm_fail(err, LOOM_ESHAPE,
	    "the network takes %llu positions, but not %llu, so it cannot run in pieces",
	    (unsigned long long)w->positions, (unsigned long long)w->positions + 1);
}

/* The one axis that one position more makes longer by one; -1 if that is not how a value changed. */
static int
find_axis(const struct whole *w, size_t value, unsigned *at)
{
	const struct lm_shape *s = &w->values[value], *longer = &w->longer[value];
	unsigned i;

	*at = LM_NOWHERE;
	if (longer->rank != s->rank)
		return -1;
	for (i = 0; i < s->rank; i++) {
		if (longer->dim[i] == s->dim[i])
			continue;
		if (*at != LM_NOWHERE || s->dim[i] != w->positions ||
		    longer->dim[i] != w->positions + 1)
			return -1;
		*at = i;
	}
	return 0;
}

/* Does a parameter depend on how many positions there are? */
static int
varies(const struct lm_node *n, const struct whole *w)
{
	struct loom_error none = { 0 };
	const struct lm_dims *dims;
	uint64_t a = 0, b = 0;
	size_t i, k;

	for (i = 0; i < LM_PARAMS && n->op->params[i].key != NULL; i++) {
		dims = &n->param[i].dims;
		for (k = 0; n->op->params[i].kind == LM_IS_DIMS && k < dims->n; k++)
			if (lm_dim_eval(&dims->dim[k], &w->sizes, &a, &none) < 0 ||
			    lm_dim_eval(&dims->dim[k], &w->longer_sizes, &b, &none) < 0 || a != b)
				return 1;
	}
	return 0;
}

/* Of a node in the order of the model: whether it goes in pieces, and the axes of what it makes. */
static int
check_node(const struct lm_past *past, const struct lm_node *n, const struct whole *w,
    struct lm_shape *shapes, unsigned *at)
{
	struct lm_pieces p = { n, shapes, shapes + n->n_in, at, at + n->n_in, varies(n, w) };
	size_t i;

	for (i = 0; i < n->n_in; i++) {
		memset(&shapes[i], 0, sizeof(*shapes));
		at[i] = LM_NOWHERE;
		if (n->in[i] == LM_ABSENT)
			continue;
		shapes[i] = w->values[n->in[i]];
		at[i] = past->at[n->in[i]];
	}
	for (i = 0; i < n->n_out; i++) {
		shapes[n->n_in + i] = w->values[n->out[i]];
		if (find_axis(w, n->out[i], &past->at[n->out[i]]) < 0)
			return 0;
		at[n->n_in + i] = past->at[n->out[i]];
	}
	return lm_pieces_fit(&p);
}

static int
check_nodes(struct lm_past *past, const struct loom_model *m, struct whole *w,
    struct loom_error *err)
{
	size_t widest = 2 * lm_model_widest(m), i;
	struct lm_shape *shapes = lm_arena_alloc(&w->arena, widest, sizeof(*shapes), err);
	unsigned *at = lm_arena_alloc(&w->arena, widest, sizeof(*at), err);

	if (shapes == NULL || at == NULL)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		if (!check_node(past, m->nodes[i], w, shapes, at))
			return lm_fail(err, LOOM_ESHAPE,
			    "layer %s (%s): looks at several positions at once, so the network "
			    "cannot run in pieces",
			    m->nodes[i]->name, m->nodes[i]->op->name);
	return 0;
}

int
lm_past_begin(struct lm_past *past, const struct loom_model *m, const struct lm_shape *inputs,
    struct loom_error *err)
{
	struct whole w = { .positions = past->most };
	size_t i;
	int r = -1;

	lm_past_release(past);
	past->begun = lm_arena_alloc(&past->arena, m->n_inputs, sizeof(*past->begun), err);
	past->at = lm_arena_alloc(&past->arena, m->n_values, sizeof(*past->at), err);
	past->kept = lm_arena_alloc(&past->arena, m->n_nodes, sizeof(*past->kept), err);
	if (past->begun == NULL || past->at == NULL || past->kept == NULL)
		return -1;
	for (i = 0; i < m->n_inputs; i++) {
		past->begun[i] = aside(m, i, &inputs[i]);
		past->at[m->inputs[i].tensor] = lm_past_axis(m, i, inputs[i].rank);
	}
	if (try_lengths(&w, m, inputs, err) == 0)
		r = check_nodes(past, m, &w, err);
	lm_arena_release(&w.arena);
	return r;
}

int
lm_past_keep(struct lm_past *past, const struct loom_model *m, const struct lm_needs *needs,
    struct loom_error *err)
{
	size_t i;

	for (i = 0; i < m->n_nodes; i++) {
		if (needs[i].kept == 0)
			continue;
		past->kept[i] = lm_arena_alloc(&past->arena, needs[i].kept, 1, err);
		if (past->kept[i] == NULL)
			return -1;
	}
	return 0;
}
