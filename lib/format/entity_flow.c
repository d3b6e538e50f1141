/* entity_flow: extents between layers of plain Loom, and the nodes that change them. */
#include "format/entity_flow.h"

#include <string.h>

static const char batch_name[] = "batch", sequence_name[] = "s";

/* ---- extents ---- */

int64_t
lm_flow_count(const struct lm_extents *e)
{
	int64_t count = 1;
	size_t i;

	for (i = 0; i < e->n; i++) {
		if (e->dim[i] == LM_OPEN || count > INT64_MAX / (e->dim[i] > 0 ? e->dim[i] : 1))
			return 0;
		count *= e->dim[i];
	}
	return e->n > 0 ? count : 0;
}

int
lm_flow_extents(const struct lm_entity_cell *cell, const struct lm_node *node,
    const char *const names[LM_CELL_AXES], struct lm_extents *e, struct loom_error *err)
{
	int64_t value = 0;
	size_t i;

	memset(e, 0, sizeof(*e));
	for (i = 0; i < LM_CELL_AXES && names[i] != NULL; i++) {
		if (lm_cell_extent(cell, node, names[i], &value, err) < 0)
			return -1;
		if (strcmp(names[i], lm_cell_sequence) == 0) {
			e->sequence = value > 0 ? value : 1;
			e->strict = cell->row->rows == LM_ROWS_SAMPLE;
			value = LM_OPEN;
		} else if (value == 0)
			continue;
		e->dim[e->n++] = value;
	}
	return 0;
}

static int
same_dims(const int64_t *a, const int64_t *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (a[i] != b[i] && a[i] != LM_OPEN && b[i] != LM_OPEN)
			return 0;
	return 1;
}

/*
 * The last axes are those wanted.  The axis of a sequence may be one of those before them, unless
 * nothing is known to stand there but samples, of which each is to become a sequence.
 */
static int
meets(const struct lm_flow *f, const struct lm_extents *want)
{
	size_t n = f->now.n < want->n ? f->now.n : want->n;

	if (!same_dims(f->now.dim + f->now.n - n, want->dim + want->n - n, n))
		return 0;
	if (f->now.n >= want->n)
		return 1;
	return want->n - f->now.n == 1 && want->dim[0] == LM_OPEN && !(want->strict && f->rows);
}

/* What is wanted, with the sequence as long as the spec says. */
static struct lm_extents
settled(const struct lm_extents *want)
{
	struct lm_extents e = *want;
	size_t i;

	for (i = 0; i < e.n; i++)
		if (e.dim[i] == LM_OPEN)
			e.dim[i] = e.sequence;
	return e;
}

/* Let the open axis of the flow be so long that a sample has that many values; 0: it cannot be. */
static int
settle_length(struct lm_chain *c, struct lm_flow *f, int64_t count)
{
	struct lm_extents *e = &f->now;
	int64_t rest = 1, length;
	size_t i, open = e->n;

	for (i = 0; i < e->n; i++) {
		if (e->dim[i] == LM_OPEN)
			open = i;
		else
			rest *= e->dim[i];
	}
	if (open == e->n)
		return lm_flow_count(e) == count;
	length = rest > 0 && count % rest == 0 ? count / rest : 0;
	if (length == 0 || (c->length != 0 && c->length != length) ||
	    (e->strict && e->sequence != length))
		return 0;
	c->length = length;
	e->dim[open] = length;
	return 1;
}

/* Let the open axis of the flow be as long as the layer takes it to be that reads it. */
static void
settle_open(struct lm_chain *c, struct lm_flow *f, const struct lm_extents *want)
{
	size_t n = f->now.n < want->n ? f->now.n : want->n, i, k;
	int64_t length;

	for (i = 1; i <= n; i++) {
		k = f->now.n - i;
		length = want->dim[want->n - i];
		if (length == LM_OPEN && want->strict)
			length = want->sequence;
		if (f->now.dim[k] != LM_OPEN || length == LM_OPEN ||
		    (c->length != 0 && c->length != length))
			continue;
		c->length = length;
		f->now.dim[k] = length;
	}
}

void
lm_flow_replace(struct lm_flow *f, const struct lm_extents *read, const struct lm_extents *made)
{
	struct lm_extents next = *made;
	size_t keep = f->now.n > read->n ? f->now.n - read->n : 0;

	if (keep + made->n > LOOM_RANK)
		keep = LOOM_RANK - made->n;
	memcpy(next.dim, f->now.dim + (f->now.n > read->n ? f->now.n - read->n - keep : 0),
	    keep * sizeof(next.dim[0]));
	memcpy(next.dim + keep, made->dim, made->n * sizeof(next.dim[0]));
	next.n = keep + made->n;
	/* A sequence is as long as it was. */
	if (made->n > 0 && made->dim[0] == LM_OPEN && f->now.n >= read->n)
		next.dim[keep] = f->now.dim[f->now.n - read->n];
	if (made->sequence == 0) {
		next.sequence = f->now.sequence;
		next.strict = f->now.strict;
	}
	f->now = next;
}

/* ---- nodes ---- */

struct lm_node *
lm_flow_node(struct lm_chain *c, const char *name, const char *suffix, const char *op,
    const size_t *values, size_t n, struct loom_error *err)
{
	struct loom_model *m = c->entity->model;
	size_t room = strlen(name) + strlen(suffix) + 1, i;
	char *whole = lm_arena_alloc(&m->arena, room, 1, err);
	struct lm_node *node;

	if (whole == NULL)
		return NULL;
	(void)snprintf(whole, room, "%s%s", name, suffix);
	node = lm_model_add_node(m, whole, lm_layer_find(op), err);
	for (i = 0; node != NULL && i < n; i++)
		if (lm_node_add_in(m, node, m->values[values[i]].name, err) < 0)
			return NULL;
	return node;
}

static int
finish(struct lm_chain *c, struct lm_flow *f, struct lm_node *node, struct loom_error *err)
{
	if (lm_node_check(c->entity->model, node, err) < 0)
		return -1;
	f->value = node->out[0];
	return 0;
}

int
lm_flow_flatten(struct lm_chain *c, struct lm_flow *f, const char *name, const char *suffix,
    struct loom_error *err)
{
	struct lm_node *node;
	int64_t count = lm_flow_count(&f->now);

	if (f->now.n < 2)
		return 0;
	node = lm_flow_node(c, name, suffix, "flatten", &f->value, 1, err);
	if (node == NULL)
		return -1;
	node->param[lm_layer_param(node->op, "start")].i = -(int64_t)f->now.n;
	node->param[lm_layer_param(node->op, "end")].i = -1;
	f->now.n = 1;
	f->now.dim[0] = count;
	return finish(c, f, node, err);
}

/* [batch, ...]: from here on the network has one axis before all others. */
static int
reshape(struct lm_chain *c, struct lm_flow *f, const struct lm_extents *to, const char *name,
    struct loom_error *err)
{
	struct lm_arena *arena = &c->entity->model->arena;
	struct lm_dim *dim = lm_arena_alloc(arena, to->n + 1, sizeof(*dim), err);
	struct lm_node *node;
	size_t i;

	if (dim == NULL)
		return -1;
	dim[0].text = c->rows ? sequence_name : batch_name;
	for (i = 0; i < to->n; i++)
		dim[1 + i].value = to->dim[i];
	node = lm_flow_node(c, name, ".reshape", "reshape", &f->value, 1, err);
	if (node == NULL)
		return -1;
	i = (size_t)lm_layer_param(node->op, "shape");
	node->param[i].dims.n = to->n + 1;
	node->param[i].dims.dim = dim;
	c->batch = !c->rows;
	f->now = *to;
	return finish(c, f, node, err);
}

/* The input as it is declared so far is a sequence that nothing stands before. */
static int
is_sequence(const struct lm_chain *c)
{
	const struct lm_dims *dims = &c->entity->model->inputs[0].dims;

	return dims->n > 0 && dims->dim[0].text != NULL;
}

int
lm_flow_rows(struct lm_chain *c, struct lm_flow *f)
{
	struct lm_flow row = *f;
	int sequence = is_sequence(c);

	if (f->now.n < 2 || f->now.dim[0] != LM_OPEN || f->now.strict || c->length != 0 ||
	    (c->batch && sequence))
		return 0;
	row.now.n--;
	memmove(row.now.dim, f->now.dim + 1, row.now.n * sizeof(row.now.dim[0]));
	if (lm_flow_count(&row.now) == 0)
		return 0;
	c->rows = sequence;
	c->batch = !sequence;
	*f = row;
	return 1;
}

/* Does a layer that reads samples take each row of an open sequence for one? */
static int
reads_rows(const struct lm_flow *f, const struct lm_extents *want)
{
	int64_t count = 1;
	size_t i;

	for (i = 1; i < f->now.n; i++)
		count *= f->now.dim[i];
	return want->n >= f->now.n && lm_flow_count(want) == count;
}

int
lm_flow_adapt(struct lm_chain *c, struct lm_flow *f, const struct lm_extents *want,
    const char *name, struct loom_error *err)
{
	struct lm_extents to = settled(want);

	if (reads_rows(f, want))
		(void)lm_flow_rows(c, f);
	if (meets(f, want))
		settle_open(c, f, want);
	if (f->now.n == 0 || meets(f, want) || to.n >= LOOM_RANK ||
	    !settle_length(c, f, lm_flow_count(&to)))
		return 0;
	if (to.n == 1)
		return lm_flow_flatten(c, f, name, ".flatten", err);
	return reshape(c, f, &to, name, err);
}
