/* onnx_known: the values of an ONNX file by name: who makes and who reads them, and what constants are. */
#include "onnx/onnx_known.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "num/bytes.h"

/* ---- the table ---- */

struct lm_onnx_known *
lm_onnx_find(struct lm_onnx_reading *r, const char *name)
{
	size_t i = lm_names_find(&r->names, name);

	return i != LM_NO_NAME ? r->known[i] : NULL;
}

struct lm_onnx_known *
lm_onnx_in(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t k)
{
	return k < node->n_in && node->in[k][0] != '\0' ? lm_onnx_find(r, node->in[k]) : NULL;
}

struct lm_onnx_known *
lm_onnx_know(struct lm_onnx_reading *r, const char *name, struct loom_error *err)
{
	struct lm_onnx_known **list, *k = lm_onnx_find(r, name);

	if (k != NULL)
		return k;
	list = lm_onnx_grow(&r->arena, r->known, r->n_known, sizeof(struct lm_onnx_known *), err);
	k = lm_arena_alloc(&r->arena, 1, sizeof(*k), err);
	if (list == NULL || k == NULL)
		return NULL;
	r->known = list;
	k->name = lm_arena_string(&r->arena, name, err);
	k->value = k->maker = k->user = LM_ABSENT;
	if (k->name == NULL || lm_names_add(&r->names, &r->arena, k->name, r->n_known, err) < 0)
		return NULL;
	list[r->n_known++] = k;
	return k;
}

static int
know_node(struct lm_onnx_reading *r, size_t i, struct loom_error *err)
{
	const struct lm_onnx_node *node = &r->from->nodes[i];
	struct lm_onnx_known *k;
	size_t j;

	for (j = 0; j < node->n_out; j++) {
		if (node->out[j][0] == '\0')
			continue;
		k = lm_onnx_know(r, node->out[j], err);
		if (k == NULL)
			return -1;
		if (k->maker != LM_ABSENT || k->made)
			return lm_onnx_refuse(r, node, err, "its output %.100s has another maker",
			    k->name);
		k->maker = i;
	}
	return 0;
}

/* Is input j one of those before it, too? */
static int
reads_before(const struct lm_onnx_node *node, size_t j)
{
	size_t i;

	for (i = 0; i < j; i++)
		if (strcmp(node->in[i], node->in[j]) == 0)
			return 1;
	return 0;
}

/* Who reads what; nodes that are not wanted do not count. */
static int
count_users(struct lm_onnx_reading *r, struct loom_error *err)
{
	const struct lm_onnx_node *node;
	struct lm_onnx_known *k;
	size_t i, j;

	for (i = 0; i < r->from->n_nodes; i++) {
		node = &r->from->nodes[i];
		for (j = 0; !r->done[i] && j < node->n_in; j++) {
			k = lm_onnx_in(r, node, j);
			if (k == NULL && node->in[j][0] != '\0')
				return lm_onnx_refuse(r, node, err,
				    "its input %.100s is no input, no initializer and no output of a node",
				    node->in[j]);
			if (k == NULL || reads_before(node, j))
				continue;
			k->users++;
			k->user = k->user == LM_ABSENT ? i : k->user;
		}
	}
	return 0;
}

int
lm_onnx_know_all(struct lm_onnx_reading *r, struct loom_error *err)
{
	struct lm_onnx *x = r->from;
	size_t i;

	for (i = 0; i < x->n_tensors; i++)
		if (lm_onnx_know_constant(r, x->tensors[i].name, &x->tensors[i], 1, err) < 0)
			return -1;
	for (i = 0; i < x->n_inputs; i++)
		if (lm_onnx_know(r, x->inputs[i].name, err) == NULL)
			return -1;
	for (i = 0; i < x->n_nodes; i++)
		if (know_node(r, i, err) < 0)
			return -1;
	return 0;
}

int
lm_onnx_know_users(struct lm_onnx_reading *r, const char *const *outputs, size_t n,
    struct loom_error *err)
{
	struct lm_onnx_known *k;
	size_t i;

	if (count_users(r, err) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		k = lm_onnx_find(r, outputs[i]);
		k->users++;
		k->is_output = 1;
	}
	return 0;
}

const struct lm_onnx_node *
lm_onnx_only_user(struct lm_onnx_reading *r, const char *value)
{
	const struct lm_onnx_known *k = lm_onnx_find(r, value);

	return k != NULL && k->users == 1 && k->user != LM_ABSENT ? &r->from->nodes[k->user] : NULL;
}

const struct lm_onnx_node *
lm_onnx_maker(struct lm_onnx_reading *r, const char *value)
{
	const struct lm_onnx_known *k = lm_onnx_find(r, value);

	return k != NULL && k->maker != LM_ABSENT ? &r->from->nodes[k->maker] : NULL;
}

void
lm_onnx_take(struct lm_onnx_reading *r, const struct lm_onnx_node *node)
{
	r->done[node - r->from->nodes] = 1;
}

int
lm_onnx_refuse(const struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct loom_error *err, const char *fmt, ...)
{
	char text[400], name[LM_SHOWN], op[LM_SHOWN];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return lm_fail(err, LOOM_EUNSUPPORTED, "node %s (%.40s%s%s, opset %" PRId64 "): %s",
	    lm_shown(name, lm_onnx_node_name(node)), node->domain,
	    node->domain[0] != '\0' ? "." : "", lm_shown(op, node->op),
	    lm_onnx_opset(r, node->domain), text);
}

int64_t
lm_onnx_opset(const struct lm_onnx_reading *r, const char *domain)
{
	const struct lm_onnx *x = r->from;
	size_t i;

	for (i = 0; i < x->n_opsets; i++)
		if (strcmp(x->opsets[i].key, domain) == 0 ||
		    (domain[0] == '\0' && strcmp(x->opsets[i].key, "ai.onnx") == 0))
			return x->opsets[i].version;
	return 0;
}

/* ---- constants ---- */

/* What a run has for values of that type; NULL: nothing, they have to be cast first. */
const struct lm_dtype *
lm_onnx_run_dtype(int type)
{
	const struct lm_dtype *dtype = lm_onnx_dtype(type);

	if (type == LM_ONNX_FLOAT || type == LM_ONNX_BOOL)
		return dtype;
	if (dtype == NULL || dtype->kind == LM_FLOATING)
		return NULL;
	return lm_dtype_get(LM_I64);
}

static int
constant_dims(struct lm_onnx_reading *r, struct lm_onnx_known *k, struct loom_error *err)
{
	const struct lm_onnx_tensor *t = k->tensor;
	struct lm_dim *dim = lm_arena_alloc(&r->arena, t->rank + 1, sizeof(*dim), err);
	size_t i;

	if (dim == NULL)
		return -1;
	for (i = 0; i < t->rank; i++)
		dim[i].value = (int64_t)t->dim[i];
	k->ranked = 1;
	k->dims.n = t->rank;
	k->dims.dim = dim;
	return 0;
}

int
lm_onnx_know_constant(struct lm_onnx_reading *r, const char *name, const struct lm_onnx_tensor *t,
    int weight, struct loom_error *err)
{
	struct lm_onnx_known *k = lm_onnx_know(r, name, err);

	if (k == NULL)
		return -1;
	k->made = 1;
	k->tensor = t;
	k->weight = weight;
	k->dtype = lm_onnx_run_dtype(t->type);
	return constant_dims(r, k, err);
}

const unsigned char *
lm_onnx_stored_bytes(struct lm_onnx_reading *r, const struct lm_onnx_tensor *t,
    struct loom_error *err)
{
	unsigned char *bytes;

	if (t->data != NULL)
		return t->data;
	bytes = lm_arena_alloc(&r->arena, (size_t)lm_onnx_tensor_bytes(t) + 1, 1, err);
	if (bytes == NULL || t->count == 0)
		return bytes;
	return lm_view_read(&t->view, bytes, err) == 0 ? bytes : NULL;
}

int
lm_onnx_view(struct lm_onnx_reading *r, const struct lm_onnx_known *k, struct lm_view *v,
    struct loom_error *err)
{
	const struct lm_onnx_tensor *t = k->tensor;
	struct lm_source *memory;
	const unsigned char *copy;
	struct lm_shape s = { .dtype = lm_onnx_dtype(t->type), .rank = t->rank };

	*v = t->view;
	if (t->data == NULL)
		return 0;
	memcpy(s.dim, t->dim, t->rank * sizeof(s.dim[0]));
	copy = lm_onnx_keep(r, t, err);
	if (copy == NULL ||
	    lm_source_memory(&memory, copy, (size_t)lm_onnx_tensor_bytes(t), r->model->name, err) <
		0 ||
	    lm_model_add_file(r->model, memory, err) < 0)
		return -1;
	return lm_view_whole(v, memory, 0, s.dtype, NULL, &s, err);
}

const float *
lm_onnx_floats(struct lm_onnx_reading *r, const struct lm_onnx_known *k, struct loom_error *err)
{
	const unsigned char *bytes = lm_onnx_stored_bytes(r, k->tensor, err);
	float *f;

	if (bytes == NULL)
		return NULL;
	f = lm_arena_alloc(&r->arena, (size_t)k->tensor->count + 1, sizeof(*f), err);
	if (f != NULL)
		lm_onnx_dtype(k->tensor->type)->to_f32(f, bytes, 0, (size_t)k->tensor->count, 1);
	return f;
}

/* Value i of integers or flags. */
static int64_t
integer(int type, const unsigned char *p, size_t i)
{
	switch (type) {
	case LM_ONNX_BOOL:
		return p[i] != 0;
	case LM_ONNX_UINT8:
		return p[i];
	case LM_ONNX_INT8:
		return (int8_t)p[i];
	case LM_ONNX_UINT16:
		return lm_get_u16(p + 2 * i);
	case LM_ONNX_INT16:
		return (int16_t)lm_get_u16(p + 2 * i);
	case LM_ONNX_UINT32:
		return lm_get_u32(p + 4 * i);
	case LM_ONNX_INT32:
		return (int32_t)lm_get_u32(p + 4 * i);
	default:
		return (int64_t)lm_get_u64(p + 8 * i);
	}
}

int
lm_onnx_tensor_integers(struct lm_onnx_reading *r, const struct lm_onnx_tensor *t, int64_t *dst,
    struct loom_error *err)
{
	const unsigned char *bytes = lm_onnx_stored_bytes(r, t, err);
	size_t i;

	if (bytes == NULL)
		return -1;
	for (i = 0; i < t->count; i++)
		dst[i] = integer(t->type, bytes, i);
	return 0;
}

int
lm_onnx_integers(struct lm_onnx_reading *r, const struct lm_onnx_known *k, int64_t *dst,
    size_t most, size_t *n, struct loom_error *err)
{
	const struct lm_onnx_node *node = &r->from->nodes[r->at];

	if (k->tensor == NULL)
		return lm_onnx_refuse(r, node, err, "its input %.100s is no constant", k->name);
	if (k->dtype == NULL || k->dtype == lm_dtype_get(LM_F32))
		return lm_onnx_refuse(r, node, err, "its input %.100s has no integers", k->name);
	if (k->tensor->count > most)
		return lm_onnx_refuse(r, node, err,
		    "its input %.100s has %" PRIu64 " values, expected at most %zu", k->name,
		    k->tensor->count, most);
	*n = (size_t)k->tensor->count;
	return lm_onnx_tensor_integers(r, k->tensor, dst, err);
}

int
lm_onnx_extents(struct lm_onnx_reading *r, const struct lm_onnx_known *k,
    const struct lm_dim **dims, size_t *n, struct loom_error *err)
{
	int64_t value[LOOM_RANK];
	struct lm_dim *dim;
	size_t i;

	*n = k->n_elements;
	*dims = k->elements;
	if (k->elements != NULL)
		return 0;
	if (lm_onnx_integers(r, k, value, LOOM_RANK, n, err) < 0)
		return -1;
	dim = lm_arena_alloc(&r->arena, *n + 1, sizeof(*dim), err);
	for (i = 0; dim != NULL && i < *n; i++)
		dim[i].value = value[i];
	*dims = dim;
	return dim != NULL ? 0 : -1;
}

int
lm_onnx_number(struct lm_onnx_reading *r, const struct lm_onnx_known *k, double *value,
    struct loom_error *err)
{
	const struct lm_onnx_node *node = &r->from->nodes[r->at];
	const struct lm_dtype *dtype;
	const unsigned char *bytes;
	int64_t i;

	if (k->tensor == NULL || k->tensor->count != 1)
		return lm_onnx_refuse(r, node, err, "its input %.100s is not one constant number",
		    k->name);
	dtype = lm_onnx_dtype(k->tensor->type);
	if (dtype == NULL)
		return lm_onnx_refuse(r, node, err, "its input %.100s is no number", k->name);
	if (dtype->kind != LM_FLOATING) {
		if (lm_onnx_tensor_integers(r, k->tensor, &i, err) < 0)
			return -1;
		*value = (double)i;
		return 0;
	}
	bytes = lm_onnx_stored_bytes(r, k->tensor, err);
	if (bytes == NULL)
		return -1;
	dtype->to_f64(value, bytes, 0, 1);
	return 0;
}

int
lm_onnx_all(struct lm_onnx_reading *r, const struct lm_onnx_known *k, double value,
    struct loom_error *err)
{
	struct lm_onnx_known one = *k;
	const float *f;
	uint64_t i;

	one.tensor = k->filled != NULL ? k->filled : k->tensor;
	if (one.tensor == NULL || lm_onnx_dtype(one.tensor->type) == NULL)
		return 0;
	f = lm_onnx_floats(r, &one, err);
	if (f == NULL)
		return -1;
	for (i = 0; i < one.tensor->count; i++)
		if (f[i] != (float)value)
			return 0;
	return 1;
}
