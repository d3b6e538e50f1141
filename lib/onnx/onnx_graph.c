/* onnx_graph: building an ONNX graph in memory, and what the attributes of a node say. */
#include <string.h>

#include "onnx/onnx.h"

void *
lm_onnx_grow(struct lm_arena *arena, void *list, size_t n, size_t size, struct loom_error *err)
{
	size_t room = n > 0 ? n : 1;
	char *wider;

	if (n > 0 && (n & (n - 1)) != 0)
		return list;
	wider = lm_arena_alloc(arena, n > 0 ? 2 * room : 1, size, err);
	if (wider != NULL && n > 0)
		memcpy(wider, list, n * size);
	return wider;
}

/* ---- nodes ---- */

static const char **
names(struct lm_arena *arena, size_t n, const char *const *from, struct loom_error *err)
{
	const char **to = lm_arena_alloc(arena, n > 0 ? n : 1, sizeof(*to), err);
	size_t i;

	if (to == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		to[i] = lm_arena_string(arena, from[i], err);
		if (to[i] == NULL)
			return NULL;
	}
	return to;
}

struct lm_onnx_node *
lm_onnx_add_node(struct lm_onnx *x, const char *name, const char *op, size_t n_in,
    const char *const *in, size_t n_out, const char *const *out, struct loom_error *err)
{
	struct lm_onnx_node *node, *list;

	list = lm_onnx_grow(x->arena, x->nodes, x->n_nodes, sizeof(*list), err);
	if (list == NULL)
		return NULL;
	x->nodes = list;
	node = &list[x->n_nodes];
	memset(node, 0, sizeof(*node));
	node->name = lm_arena_string(x->arena, name, err);
	node->op = lm_arena_string(x->arena, op, err);
	node->domain = "";
	node->in = names(x->arena, n_in, in, err);
	node->out = names(x->arena, n_out, out, err);
	if (node->name == NULL || node->op == NULL || node->in == NULL || node->out == NULL)
		return NULL;
	node->n_in = n_in;
	node->n_out = n_out;
	x->n_nodes++;
	return node;
}

/* An attribute of that name and type, empty. */
static struct lm_onnx_attribute *
add_attribute(struct lm_onnx *x, struct lm_onnx_node *node, const char *name, int type,
    struct loom_error *err)
{
	struct lm_onnx_attribute *a, *list;

	list = lm_onnx_grow(x->arena, node->attributes, node->n_attributes, sizeof(*list), err);
	if (list == NULL)
		return NULL;
	node->attributes = list;
	a = &list[node->n_attributes];
	memset(a, 0, sizeof(*a));
	a->type = type;
	a->name = lm_arena_string(x->arena, name, err);
	if (a->name == NULL)
		return NULL;
	node->n_attributes++;
	return a;
}

int
lm_onnx_add_int(struct lm_onnx *x, struct lm_onnx_node *node, const char *name, int64_t i,
    struct loom_error *err)
{
	struct lm_onnx_attribute *a = add_attribute(x, node, name, LM_ONNX_IS_INT, err);

	if (a == NULL)
		return -1;
	a->i = i;
	return 0;
}

int
lm_onnx_add_float(struct lm_onnx *x, struct lm_onnx_node *node, const char *name, float f,
    struct loom_error *err)
{
	struct lm_onnx_attribute *a = add_attribute(x, node, name, LM_ONNX_IS_FLOAT, err);

	if (a == NULL)
		return -1;
	a->f = f;
	return 0;
}

int
lm_onnx_add_string(struct lm_onnx *x, struct lm_onnx_node *node, const char *name, const char *s,
    struct loom_error *err)
{
	struct lm_onnx_attribute *a = add_attribute(x, node, name, LM_ONNX_IS_STRING, err);

	if (a == NULL)
		return -1;
	a->s = lm_arena_string(x->arena, s, err);
	a->n = strlen(s);
	return a->s != NULL ? 0 : -1;
}

int
lm_onnx_add_ints(struct lm_onnx *x, struct lm_onnx_node *node, const char *name,
    const int64_t *ints, size_t n, struct loom_error *err)
{
	struct lm_onnx_attribute *a = add_attribute(x, node, name, LM_ONNX_IS_INTS, err);
	int64_t *copy = lm_arena_alloc(x->arena, n > 0 ? n : 1, sizeof(*copy), err);

	if (a == NULL || copy == NULL)
		return -1;
	if (n > 0)
		memcpy(copy, ints, n * sizeof(*copy));
	a->ints = copy;
	a->n = n;
	return 0;
}

int
lm_onnx_add_strings(struct lm_onnx *x, struct lm_onnx_node *node, const char *name,
    const char *const *strings, size_t n, struct loom_error *err)
{
	struct lm_onnx_attribute *a = add_attribute(x, node, name, LM_ONNX_IS_STRINGS, err);

	if (a == NULL)
		return -1;
	a->strings = names(x->arena, n, strings, err);
	a->n = n;
	return a->strings != NULL ? 0 : -1;
}

/* ---- tensors ---- */

uint64_t
lm_onnx_tensor_bytes(const struct lm_onnx_tensor *t)
{
	const struct lm_dtype *dtype = lm_onnx_dtype(t->type);

	if (t->from != NULL)
		return t->from->bytes;
	return dtype != NULL ? t->count * (dtype->bits / 8) : 0;
}

/* A copy with all that it points to but from. */
static int
copy_tensor(struct lm_onnx *x, struct lm_onnx_tensor *to, const struct lm_onnx_tensor *t,
    struct loom_error *err)
{
	size_t bytes = t->data != NULL ? (size_t)lm_onnx_tensor_bytes(t) : 0;
	unsigned char *data;

	*to = *t;
	to->name = lm_arena_string(x->arena, t->name != NULL ? t->name : "", err);
	if (to->name == NULL)
		return -1;
	if (t->data == NULL)
		return 0;
	data = lm_arena_alloc(x->arena, bytes > 0 ? bytes : 1, 1, err);
	if (data == NULL)
		return -1;
	memcpy(data, t->data, bytes);
	to->data = data;
	return 0;
}

int
lm_onnx_add_tensor_attribute(struct lm_onnx *x, struct lm_onnx_node *node, const char *name,
    const struct lm_onnx_tensor *t, struct loom_error *err)
{
	struct lm_onnx_attribute *a = add_attribute(x, node, name, LM_ONNX_IS_TENSOR, err);
	struct lm_onnx_tensor *copy = lm_arena_alloc(x->arena, 1, sizeof(*copy), err);

	if (a == NULL || copy == NULL)
		return -1;
	a->tensor = copy;
	return copy_tensor(x, copy, t, err);
}

int
lm_onnx_add_initializer(struct lm_onnx *x, const char *name, int type, unsigned rank,
    const uint64_t *dim, const void *data, const struct lm_outgoing *from, struct loom_error *err)
{
	struct lm_onnx_tensor t = { .name = name, .type = type, .rank = rank, .count = 1 }, *list;
	unsigned i;

	if (rank > LM_ONNX_RANK)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%u axes, at most %d are written", rank,
		    LM_ONNX_RANK);
	for (i = 0; i < rank; i++) {
		t.dim[i] = dim[i];
		t.count *= dim[i];
	}
	t.data = data;
	t.from = from;
	list = lm_onnx_grow(x->arena, x->tensors, x->n_tensors, sizeof(*list), err);
	if (list == NULL)
		return -1;
	x->tensors = list;
	if (copy_tensor(x, &list[x->n_tensors], &t, err) < 0)
		return -1;
	x->n_tensors++;
	return 0;
}

/* The dtype that a type of theirs is, in the order of their numbers; those that are not read have none. */
static const enum lm_dtype_id dtypes[] = {
	[LM_ONNX_FLOAT] = LM_F32,
	[LM_ONNX_UINT8] = LM_U8,
	[LM_ONNX_INT8] = LM_I8,
	[LM_ONNX_UINT16] = LM_U16,
	[LM_ONNX_INT16] = LM_I16,
	[LM_ONNX_INT32] = LM_I32,
	[LM_ONNX_INT64] = LM_I64,
	[LM_ONNX_BOOL] = LM_BOOL,
	[LM_ONNX_FLOAT16] = LM_F16,
	[LM_ONNX_DOUBLE] = LM_F64,
	[LM_ONNX_UINT32] = LM_U32,
	[LM_ONNX_UINT64] = LM_U64,
	[LM_ONNX_BFLOAT16] = LM_BF16,
};

enum { TYPES = sizeof(dtypes) / sizeof(*dtypes) };

static int
has_dtype(int type)
{
	return type >= LM_ONNX_FLOAT && type <= LM_ONNX_BFLOAT16 && type != LM_ONNX_STRING &&
	    (type <= LM_ONNX_UINT64 || type == LM_ONNX_BFLOAT16);
}

const struct lm_dtype *
lm_onnx_dtype(int type)
{
	return has_dtype(type) ? lm_dtype_get(dtypes[type]) : NULL;
}

int
lm_onnx_type(const struct lm_dtype *dtype)
{
	int type;

	for (type = 1; type < TYPES; type++)
		if (has_dtype(type) && lm_dtype_get(dtypes[type]) == dtype)
			return type;
	return 0;
}

const char *
lm_onnx_type_name(int64_t type)
{
	static const char *const names[] = { "undefined", "float32", "uint8", "int8", "uint16",
		"int16", "int32", "int64", "string", "bool", "float16", "float64", "uint32",
		"uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz",
		"float8e5m2", "float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0",
		"uint2", "int2" };

	return type >= 0 && type < (int64_t)(sizeof(names) / sizeof(*names)) ? names[type]
									     : "unknown";
}

/* ---- values, opsets, metadata ---- */

int
lm_onnx_add_value(struct lm_onnx *x, struct lm_onnx_value **list, size_t *n,
    const struct lm_onnx_value *value, struct loom_error *err)
{
	struct lm_onnx_value *wider, *v;
	unsigned i;

	wider = lm_onnx_grow(x->arena, *list, *n, sizeof(*wider), err);
	if (wider == NULL)
		return -1;
	*list = wider;
	v = &wider[*n];
	*v = *value;
	v->name = lm_arena_string(x->arena, value->name, err);
	if (v->name == NULL)
		return -1;
	for (i = 0; i < v->rank; i++) {
		if (value->dim[i].name == NULL)
			continue;
		v->dim[i].name = lm_arena_string(x->arena, value->dim[i].name, err);
		if (v->dim[i].name == NULL)
			return -1;
	}
	(*n)++;
	return 0;
}

static int
add_pair(struct lm_onnx *x, struct lm_onnx_pair **list, size_t *n, const char *key,
    const char *value, int64_t version, struct loom_error *err)
{
	struct lm_onnx_pair *wider, *p;

	wider = lm_onnx_grow(x->arena, *list, *n, sizeof(*wider), err);
	if (wider == NULL)
		return -1;
	*list = wider;
	p = &wider[*n];
	p->version = version;
	p->key = lm_arena_string(x->arena, key, err);
	p->value = lm_arena_string(x->arena, value, err);
	if (p->key == NULL || p->value == NULL)
		return -1;
	(*n)++;
	return 0;
}

int
lm_onnx_add_opset(struct lm_onnx *x, const char *domain, int64_t version, struct loom_error *err)
{
	return add_pair(x, &x->opsets, &x->n_opsets, domain, "", version, err);
}

int
lm_onnx_add_metadata(struct lm_onnx *x, const char *key, const char *value, struct loom_error *err)
{
	return add_pair(x, &x->metadata, &x->n_metadata, key, value, 0, err);
}

/* ---- what attributes say ---- */

const struct lm_onnx_attribute *
lm_onnx_attribute(const struct lm_onnx_node *node, const char *name)
{
	size_t i;

	for (i = 0; i < node->n_attributes; i++)
		if (strcmp(node->attributes[i].name, name) == 0)
			return &node->attributes[i];
	return NULL;
}

/* The attribute; NULL where it is not there, and with *r -1 where it is of another type. */
static const struct lm_onnx_attribute *
typed(const struct lm_onnx_node *node, const char *name, int type, const char *what, int *r,
    struct loom_error *err)
{
	const struct lm_onnx_attribute *a = lm_onnx_attribute(node, name);
	char shown[LM_SHOWN];

	*r = 0;
	if (a == NULL || a->type == type)
		return a;
	*r = lm_fail(err, LOOM_EFORMAT, "node %s (%.40s): attribute %s is not %s",
	    lm_shown(shown, lm_onnx_node_name(node)), node->op, name, what);
	return NULL;
}

int
lm_onnx_int(const struct lm_onnx_node *node, const char *name, int64_t otherwise, int64_t *i,
    struct loom_error *err)
{
	const struct lm_onnx_attribute *a;
	int r;

	a = typed(node, name, LM_ONNX_IS_INT, "an integer", &r, err);
	*i = a != NULL ? a->i : otherwise;
	return r;
}

int
lm_onnx_float(const struct lm_onnx_node *node, const char *name, float otherwise, float *f,
    struct loom_error *err)
{
	const struct lm_onnx_attribute *a;
	int r;

	a = typed(node, name, LM_ONNX_IS_FLOAT, "a number", &r, err);
	*f = a != NULL ? a->f : otherwise;
	return r;
}

int
lm_onnx_text(const struct lm_onnx_node *node, const char *name, const char *otherwise,
    const char **s, struct loom_error *err)
{
	const struct lm_onnx_attribute *a;
	int r;

	a = typed(node, name, LM_ONNX_IS_STRING, "a string", &r, err);
	*s = a != NULL ? a->s : otherwise;
	return r;
}

int
lm_onnx_ints(const struct lm_onnx_node *node, const char *name, const int64_t **ints, size_t *n,
    struct loom_error *err)
{
	const struct lm_onnx_attribute *a;
	int r;

	a = typed(node, name, LM_ONNX_IS_INTS, "a list of integers", &r, err);
	*ints = a != NULL ? a->ints : NULL;
	*n = a != NULL ? a->n : 0;
	return r;
}

const char *
lm_onnx_node_name(const struct lm_onnx_node *node)
{
	size_t i;

	if (node->name[0] != '\0')
		return node->name;
	for (i = 0; i < node->n_out; i++)
		if (node->out[i][0] != '\0')
			return node->out[i];
	return "without a name";
}
