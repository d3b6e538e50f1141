/* onnx_compare: does what would be written for one operation stand in an ONNX file? */
#include <string.h>

#include "onnx/onnx_matching.h"

/* What the written values are called in the file, in the order in which they were met. */
struct comparing {
	const struct lm_onnx_matching *file;
	const struct lm_onnx_proposal *proposal;
	struct lm_onnx_matching *written;
	int named;
	size_t n, seen, *met; /* of values; those before seen are compared */
	const char **called;  /* of each written value its name there, or NULL */
	size_t n_nodes, *nodes;
	uint64_t *in, round; /* of the file's nodes: it is one of them in this round */
};

static int
same_strings(const struct lm_onnx_attribute *a, const struct lm_onnx_attribute *b)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (strcmp(a->strings[i], b->strings[i]) != 0)
			return 0;
	return 1;
}

static int
same_attribute(const struct lm_onnx_attribute *a, const struct lm_onnx_attribute *b,
    struct loom_error *err)
{
	if (b == NULL || a->type != b->type || a->n != b->n)
		return 0;
	switch (a->type) {
	case LM_ONNX_IS_FLOAT:
		return memcmp(&a->f, &b->f, sizeof(a->f)) == 0;
	case LM_ONNX_IS_INT:
		return a->i == b->i;
	case LM_ONNX_IS_STRING:
		return memcmp(a->s, b->s, a->n) == 0;
	case LM_ONNX_IS_FLOATS:
		return a->n == 0 || memcmp(a->floats, b->floats, a->n * sizeof(*a->floats)) == 0;
	case LM_ONNX_IS_INTS:
		return a->n == 0 || memcmp(a->ints, b->ints, a->n * sizeof(*a->ints)) == 0;
	case LM_ONNX_IS_STRINGS:
		return same_strings(a, b);
	case LM_ONNX_IS_TENSOR:
		return lm_onnx_same_tensor(a->tensor, b->tensor, err);
	default:
		return 0;
	}
}

/* 1, 0, -1: all but the wiring. */
static int
same_node(const struct comparing *c, const struct lm_onnx_node *a, const struct lm_onnx_node *b,
    struct loom_error *err)
{
	size_t i;
	int r = 1;

	if (strcmp(a->op, b->op) != 0 || strcmp(a->domain, b->domain) != 0 || a->n_in != b->n_in ||
	    a->n_out != b->n_out || a->n_attributes != b->n_attributes ||
	    (c->named && strcmp(a->name, b->name) != 0))
		return 0;
	for (i = 0; i < a->n_attributes && r == 1; i++)
		r = same_attribute(&a->attributes[i], lm_onnx_attribute(b, a->attributes[i].name),
		    err);
	return r;
}

/* From now on a written value is one of the file's; 0 where it is another one already. */
static int
meet(struct comparing *c, const char *written, const char *there)
{
	const struct lm_onnx_file_value *v = lm_onnx_file_value(c->written, written);
	size_t at;

	if (v == NULL)
		return written[0] == '\0' && there[0] == '\0';
	at = (size_t)(v - c->written->values);
	if (c->called[at] != NULL)
		return strcmp(c->called[at], there) == 0;
	c->called[at] = there;
	c->met[c->n++] = at;
	return there[0] != '\0';
}

static int
same_wiring(struct comparing *c, const struct lm_onnx_node *a, const struct lm_onnx_node *b)
{
	size_t i;

	for (i = 0; i < a->n_in; i++)
		if (!meet(c, a->in[i], b->in[i]))
			return 0;
	for (i = 0; i < a->n_out; i++)
		if (!meet(c, a->out[i], b->out[i]))
			return 0;
	return 1;
}

static int
is_input(const struct lm_onnx_proposal *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->n_in; i++)
		if (p->in[i] != NULL && strcmp(p->in[i], name) == 0)
			return 1;
	return 0;
}

static int
same_value(struct comparing *c, size_t at, struct loom_error *err)
{
	const struct lm_onnx_file_value *a = &c->written->values[at];
	const struct lm_onnx_file_value *b = lm_onnx_file_value(c->file, c->called[at]);
	const struct lm_onnx_tensor *written = lm_onnx_stored(c->written, a->name);
	const struct lm_onnx_tensor *stored = lm_onnx_stored(c->file, c->called[at]);
	const struct lm_onnx_node *x, *y;
	int r;

	if (is_input(c->proposal, a->name))
		return strcmp(a->name, c->called[at]) == 0;
	if (written != NULL)
		return stored != NULL ? lm_onnx_same_tensor(written, stored, err) : 0;
	if (b == NULL || a->maker == LM_NOBODY || b->maker == LM_NOBODY || c->file->owned[b->maker])
		return 0;
	x = &c->written->from->nodes[a->maker];
	y = &c->file->from->nodes[b->maker];
	if (c->in[b->maker] == c->round)
		return same_wiring(c, x, y) && strcmp(x->op, y->op) == 0;
	r = same_node(c, x, y, err);
	if (r == 1 && !same_wiring(c, x, y))
		r = 0;
	c->in[b->maker] = c->round;
	c->nodes[c->n_nodes++] = b->maker;
	return r;
}

static int
is_output(const struct lm_onnx_proposal *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->n_out; i++)
		if (strcmp(p->out[i], name) == 0)
			return 1;
	return 0;
}

/* Is what a node makes on the way read by nobody else? */
static int
keeps_to_itself(const struct comparing *c, const struct lm_onnx_node *n)
{
	const struct lm_onnx_file_value *v;
	size_t i, u, inside;

	for (i = 0; i < n->n_out; i++) {
		v = lm_onnx_file_value(c->file, n->out[i]);
		if (v == NULL || is_output(c->proposal, v->name))
			continue;
		inside = 0;
		if (v->readers > c->n_nodes)
			return 0;
		for (u = v->uses; u != LM_NOBODY; u = c->file->uses[u].next)
			inside += c->in[c->file->uses[u].node] == c->round;
		if (inside != v->readers)
			return 0;
	}
	return 1;
}

/* All but those that widen a weight, which others may read as well. */
static size_t
count_nodes(const struct lm_onnx_matching *m)
{
	size_t n = 0, i;

	for (i = 0; i < m->from->n_nodes; i++)
		n += lm_onnx_stored(m, m->from->nodes[i].out[0]) == NULL;
	return n;
}

static int
compare(struct comparing *c, struct loom_error *err)
{
	const struct lm_onnx_proposal *p = c->proposal;
	size_t i;
	int r = 1;

	for (i = 0; i < p->n_out; i++)
		if (!meet(c, p->out[i], p->out[i]))
			return 0;
	while (r == 1 && c->seen < c->n)
		r = same_value(c, c->met[c->seen++], err);
	for (i = 0; i < c->n_nodes && r == 1; i++)
		r = keeps_to_itself(c, &c->file->from->nodes[c->nodes[i]]);
	return r == 1 && c->n_nodes != count_nodes(c->written) ? 0 : r;
}

int
lm_onnx_stands(struct lm_onnx_matching *m, struct lm_onnx_found *f, struct lm_onnx *written,
    int named, struct loom_error *err)
{
	struct comparing c = { .file = m, .proposal = &f->proposal, .named = named };
	size_t i;
	int r;

	if (lm_onnx_matching_new(&c.written, written, m->opset, m->passing, err) < 0)
		return -1;
	c.met = lm_arena_alloc(m->passing, c.written->n_values + 1, sizeof(*c.met), err);
	c.called = lm_arena_alloc(m->passing, c.written->n_values + 1, sizeof(*c.called), err);
	c.nodes = lm_arena_alloc(m->arena, written->n_nodes + 1, sizeof(*c.nodes), err);
	c.in = m->met;
	c.round = ++m->rounds;
	if (c.met == NULL || c.called == NULL || c.nodes == NULL)
		return -1;
	r = compare(&c, err);
	f->n = c.n_nodes;
	f->nodes = c.nodes;
	f->first = LM_NOBODY;
	for (i = 0; i < f->n; i++)
		f->first = c.nodes[i] < f->first ? c.nodes[i] : f->first;
	return f->n > 0 ? r : 0;
}

int
lm_onnx_take_all(struct lm_onnx_matching *m, struct lm_onnx_found *f, struct loom_error *err)
{
	const struct lm_onnx_proposal *p = &f->proposal;
	struct comparing c = { .file = m, .proposal = p, .in = m->met, .round = ++m->rounds };
	size_t i;

	c.nodes = lm_arena_alloc(m->arena, p->n_taken + 1, sizeof(*c.nodes), err);
	if (c.nodes == NULL)
		return -1;
	f->first = LM_NOBODY;
	for (i = 0; i < p->n_taken; i++) {
		c.nodes[c.n_nodes] = (size_t)(p->taken[i] - m->from->nodes);
		if (m->owned[c.nodes[c.n_nodes]])
			return 0;
		m->met[c.nodes[c.n_nodes]] = c.round;
		f->first = c.nodes[i] < f->first ? c.nodes[i] : f->first;
		c.n_nodes++;
	}
	for (i = 0; i < c.n_nodes; i++)
		if (!keeps_to_itself(&c, p->taken[i]))
			return 0;
	f->nodes = c.nodes;
	f->n = c.n_nodes;
	return f->n > 0;
}
