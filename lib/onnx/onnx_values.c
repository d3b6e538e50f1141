/* onnx_values: who makes and who reads the values of an ONNX file, and what is stored in it. */
#include <string.h>

#include "onnx/onnx_matching.h"

enum { MANY = 64 };

/* ---- who makes and reads ---- */

static int
add(struct lm_onnx_matching *m, const char *name, size_t *at, struct loom_error *err)
{
	*at = lm_names_find(&m->names, name);
	if (*at != LM_NO_NAME)
		return 0;
	*at = m->n_values;
	m->values[*at] = (struct lm_onnx_file_value){ name, LM_NOBODY, NULL, LM_NOBODY, 0 };
	m->n_values++;
	return lm_names_add(&m->names, m->arena, name, *at, err);
}

static int
add_use(struct lm_onnx_matching *m, size_t node, const char *name, struct loom_error *err)
{
	struct lm_onnx_file_value *v;
	size_t at;

	if (name[0] == '\0')
		return 0;
	if (add(m, name, &at, err) < 0)
		return -1;
	v = &m->values[at];
	if (v->uses != LM_NOBODY && m->uses[v->uses].node == node)
		return 0;
	m->uses[m->n_uses] = (struct lm_onnx_use){ node, v->uses };
	v->uses = m->n_uses++;
	v->readers++;
	return 0;
}

static int
add_nodes(struct lm_onnx_matching *m, struct loom_error *err)
{
	const struct lm_onnx_node *n;
	size_t i, k, at;

	for (i = 0; i < m->from->n_nodes; i++) {
		n = &m->from->nodes[i];
		for (k = 0; k < n->n_in; k++)
			if (add_use(m, i, n->in[k], err) < 0)
				return -1;
		for (k = 0; k < n->n_out; k++) {
			if (n->out[k][0] == '\0')
				continue;
			if (add(m, n->out[k], &at, err) < 0)
				return -1;
			m->values[at].maker = i;
		}
	}
	return 0;
}

static int
add_all(struct lm_onnx_matching *m, struct loom_error *err)
{
	size_t i, at;

	for (i = 0; i < m->from->n_tensors; i++) {
		if (add(m, m->from->tensors[i].name, &at, err) < 0)
			return -1;
		m->values[at].tensor = &m->from->tensors[i];
	}
	if (add_nodes(m, err) < 0)
		return -1;
	for (i = 0; i < m->from->n_outputs; i++) {
		if (add(m, m->from->outputs[i].name, &at, err) < 0)
			return -1;
		m->values[at].readers++;
	}
	return 0;
}

int
lm_onnx_matching_new(struct lm_onnx_matching **out, struct lm_onnx *from, int64_t opset,
    struct lm_arena *arena, struct loom_error *err)
{
	struct lm_onnx_matching *m = lm_arena_alloc(arena, 1, sizeof(*m), err);
	size_t ends = from->n_tensors + from->n_outputs, uses = 0, i;

	for (i = 0; i < from->n_nodes; i++) {
		uses += from->nodes[i].n_in;
		ends += from->nodes[i].n_out;
	}
	if (m == NULL)
		return -1;
	*m = (struct lm_onnx_matching){ .from = from, .arena = arena, .opset = opset };
	m->values = lm_arena_alloc(arena, ends + uses + 1, sizeof(*m->values), err);
	m->uses = lm_arena_alloc(arena, uses + 1, sizeof(*m->uses), err);
	m->begins = lm_arena_alloc(arena, from->n_nodes + 1, sizeof(*m->begins), err);
	m->owned = lm_arena_alloc(arena, from->n_nodes + 1, 1, err);
	m->met = lm_arena_alloc(arena, from->n_nodes + 1, sizeof(*m->met), err);
	if (m->values == NULL || m->uses == NULL || m->begins == NULL || m->owned == NULL ||
	    m->met == NULL)
		return -1;
	*out = m;
	return add_all(m, err);
}

const struct lm_onnx_file_value *
lm_onnx_file_value(const struct lm_onnx_matching *m, const char *name)
{
	size_t at = name[0] != '\0' ? lm_names_find(&m->names, name) : LM_NO_NAME;

	return at != LM_NO_NAME ? &m->values[at] : NULL;
}

const struct lm_onnx_node *
lm_onnx_made_by(const struct lm_onnx_matching *m, const char *value)
{
	const struct lm_onnx_file_value *v = lm_onnx_file_value(m, value);

	return v != NULL && v->maker != LM_NOBODY ? &m->from->nodes[v->maker] : NULL;
}

/* The list of uses begins with the last one.  A value that so many read is on no way to anything. */
const struct lm_onnx_node *
lm_onnx_read_by(const struct lm_onnx_matching *m, const char *value, const char *op)
{
	const struct lm_onnx_file_value *v = lm_onnx_file_value(m, value);
	const struct lm_onnx_node *found = NULL, *n;
	size_t u;

	if (v == NULL || v->readers > MANY)
		return NULL;
	for (u = v->uses; u != LM_NOBODY; u = m->uses[u].next) {
		n = &m->from->nodes[m->uses[u].node];
		if (op == NULL || strcmp(n->op, op) == 0)
			found = n;
	}
	return found;
}

const struct lm_onnx_node *
lm_onnx_before(const struct lm_onnx_matching *m, const struct lm_onnx_node *n, size_t k,
    const char *op)
{
	const struct lm_onnx_node *made = n != NULL && k < n->n_in ? lm_onnx_made_by(m, n->in[k])
								   : NULL;

	return made != NULL && (op == NULL || strcmp(made->op, op) == 0) ? made : NULL;
}

/* ---- what is stored ---- */

const struct lm_onnx_tensor *
lm_onnx_stored(const struct lm_onnx_matching *m, const char *value)
{
	const struct lm_onnx_file_value *v = lm_onnx_file_value(m, value);
	const struct lm_onnx_node *made = lm_onnx_made_by(m, value);
	int64_t to;
	struct loom_error quiet = { 0 };

	if (made != NULL && strcmp(made->op, "Cast") == 0 && made->n_in == 1 &&
	    lm_onnx_int(made, "to", 0, &to, &quiet) == 0 && to == LM_ONNX_FLOAT)
		v = lm_onnx_file_value(m, made->in[0]);
	return v != NULL ? v->tensor : NULL;
}

const struct lm_onnx_tensor *
lm_onnx_side(const struct lm_onnx_matching *m, const struct lm_onnx_node *n, const char **other)
{
	const struct lm_onnx_tensor *t = NULL;
	size_t k;

	for (k = 2; n->n_in == 2 && t == NULL && k-- > 0;) {
		t = lm_onnx_stored(m, n->in[k]);
		*other = n->in[1 - k];
	}
	return t;
}

const unsigned char *
lm_onnx_values(const struct lm_onnx_tensor *t, struct lm_arena *arena, struct loom_error *err)
{
	uint64_t bytes;
	unsigned char *to;

	if (t->data != NULL)
		return t->data;
	if (t->view.source == NULL || lm_dtype_bytes(t->view.dtype, t->count, &bytes) < 0)
		return (const unsigned char *)"";
	to = lm_arena_alloc(arena, (size_t)bytes + 1, 1, err);
	return to != NULL && lm_view_read(&t->view, to, err) == 0 ? to : NULL;
}

/* At most so many elements of that type and of size bytes: 1, 0, -1. */
static int
stored(const struct lm_onnx_matching *m, const char *value, int type, size_t most, size_t size,
    void *dst, size_t *n, struct loom_error *err)
{
	const struct lm_onnx_file_value *v = lm_onnx_file_value(m, value);
	const struct lm_onnx_tensor *t = v != NULL ? v->tensor : NULL;
	struct lm_arena arena = { 0 };
	const unsigned char *from;

	if (t == NULL || t->type != type || t->count > most)
		return 0;
	from = lm_onnx_values(t, &arena, err);
	*n = (size_t)t->count;
	if (from != NULL && *n > 0)
		memcpy(dst, from, *n * size);
	lm_arena_release(&arena);
	return from != NULL ? 1 : -1;
}

int
lm_onnx_stored_number(const struct lm_onnx_matching *m, const char *value, float *to,
    struct loom_error *err)
{
	size_t n;
	int r = stored(m, value, LM_ONNX_FLOAT, 1, sizeof(*to), to, &n, err);

	return r == 1 && n != 1 ? 0 : r;
}

int
lm_onnx_stored_double(const struct lm_onnx_matching *m, const char *value, double *to,
    struct loom_error *err)
{
	size_t n;
	int r = stored(m, value, LM_ONNX_DOUBLE, 1, sizeof(*to), to, &n, err);

	return r == 1 && n != 1 ? 0 : r;
}

int
lm_onnx_stored_integers(const struct lm_onnx_matching *m, const char *value, int64_t *to,
    size_t most, size_t *n, struct loom_error *err)
{
	return stored(m, value, LM_ONNX_INT64, most, sizeof(*to), to, n, err);
}

/* ---- is it the same? ---- */

/* The slot's axis along which canonical elements lie stride apart, of that extent; -1: none. */
static int
axis_of(const struct lm_view *v, uint64_t stride, uint64_t extent)
{
	uint64_t step = 1;
	unsigned i;

	for (i = v->rank; i-- > 0; step *= v->extent[i])
		if (step == stride && v->extent[i] == extent)
			return (int)i;
	return -1;
}

/* Does a strand show without any reading that it is what lies from element on in the stored array? */
static int
lies(const struct lm_strand *s, const struct lm_onnx_tensor *stored_there, uint64_t element)
{
	const struct lm_view *at = s->weight != NULL ? s->weight->view : NULL;
	struct lm_view v;
	unsigned i;
	int axis;

	if (at == NULL || stored_there->data != NULL || s->order.first != 0 ||
	    at->source != stored_there->view.source || at->offset != stored_there->view.offset ||
	    at->dtype != stored_there->view.dtype || at->quant != NULL ||
	    at->first != element + stored_there->view.first ||
	    lm_view_count(&s->order) != lm_view_count(at))
		return 0;
	v = s->order;
	for (i = 0; i < v.rank; i++) {
		axis = v.extent[i] == 1 ? 0 : axis_of(at, v.stride[i], v.extent[i]);
		if (axis < 0)
			return 0;
		v.stride[i] = at->stride[axis];
	}
	return lm_view_packed(&v) && lm_view_packed(&stored_there->view);
}

static int
all_lies(const struct lm_outgoing *o, const struct lm_onnx_tensor *stored_there)
{
	uint64_t element = 0;
	size_t i;

	for (i = 0; i < o->n_strands; i++) {
		if (!lies(&o->strands[i], stored_there, element))
			return 0;
		element += lm_view_count(&o->strands[i].order);
	}
	return o->n_strands > 0 && o->quant == NULL && o->dtype == stored_there->view.dtype;
}

static int
same_bytes(const struct lm_onnx_tensor *written, const struct lm_onnx_tensor *there,
    struct lm_arena *arena, struct loom_error *err)
{
	const unsigned char *b = lm_onnx_values(there, arena, err), *a = written->data;
	uint64_t bytes;
	unsigned char *made;

	if (b == NULL || lm_dtype_bytes(lm_onnx_dtype(written->type), written->count, &bytes) < 0)
		return -1;
	if (written->from != NULL) {
		made = lm_arena_alloc(arena, (size_t)bytes + 1, 1, err);
		if (made == NULL || lm_outgoing_copy(written->from, made, NULL, err) < 0)
			return -1;
		a = made;
	}
	return memcmp(a, b, (size_t)bytes) == 0;
}

int
lm_onnx_same_tensor(const struct lm_onnx_tensor *written, const struct lm_onnx_tensor *there,
    struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	int r;

	if (written->type != there->type || written->rank != there->rank ||
	    memcmp(written->dim, there->dim, written->rank * sizeof(*written->dim)) != 0 ||
	    written->count != there->count)
		return 0;
	if (written->count == 0 || (written->from != NULL && all_lies(written->from, there)))
		return 1;
	r = same_bytes(written, there, &arena, err);
	lm_arena_release(&arena);
	return r;
}
