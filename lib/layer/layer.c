/* layer: the table of operations and walks over their parameters and slots. */
#include "layer/layer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "layer/weight.h"
#include "num/bytes.h"

#define LAYER(name) extern const struct lm_layer_ops lm_layer_##name;
#include "layer/layers.def"
#undef LAYER

static const struct lm_layer_ops *const table[] = {
#define LAYER(name) &lm_layer_##name,
#include "layer/layers.def"
#undef LAYER
};

#define ROWS (sizeof(table) / sizeof(table[0]))

const struct lm_layer_ops *
lm_layer_at(size_t i)
{
	return i < ROWS ? table[i] : NULL;
}

const struct lm_layer_ops *
lm_layer_find(const char *name)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}

const struct lm_layer_ops *
lm_layer_cell(int loom_type)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (table[i]->cell >= 0 && table[i]->cell == loom_type)
			return table[i];
	return NULL;
}

const struct lm_layer_ops *
lm_layer_activation(int loom_activation)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (table[i]->activation != LM_NO_ACTIVATION &&
		    table[i]->activation == loom_activation)
			return table[i];
	return NULL;
}

char *
lm_layer_names(char *dst, size_t size)
{
	size_t i, used = 0;

	dst[0] = '\0';
	for (i = 0; i < ROWS && used < size; i++)
		used += (size_t)snprintf(dst + used, size - used, "%s%s", i > 0 ? " " : "",
		    table[i]->name);
	return dst;
}

size_t
lm_layer_params(const struct lm_layer_ops *op)
{
	size_t n;

	for (n = 0; n < LM_PARAMS && op->params[n].key != NULL; n++)
		;
	return n;
}

size_t
lm_layer_slots(const struct lm_layer_ops *op)
{
	size_t n;

	for (n = 0; n < LM_SLOTS && op->slots[n].name != NULL; n++)
		;
	return n;
}

int
lm_layer_param(const struct lm_layer_ops *op, const char *key)
{
	size_t i, n = lm_layer_params(op);

	for (i = 0; i < n; i++)
		if (strcmp(op->params[i].key, key) == 0)
			return (int)i;
	return -1;
}

int
lm_layer_slot(const struct lm_layer_ops *op, const char *name)
{
	size_t i, n = lm_layer_slots(op);

	for (i = 0; i < n; i++)
		if (strcmp(op->slots[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* ---- parameters ---- */

static int
check_dims(const struct lm_node *n, const struct lm_param *p, const struct lm_dims *dims,
    struct loom_error *err)
{
	size_t i;

	if (dims->n > LOOM_RANK)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s (%s): %s has %zu axes, at most %d go", n->name, n->op->name, p->key,
		    dims->n, LOOM_RANK);
	if (p->count > 0 && dims->n != p->count)
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s): %s has %zu entries, expected %u",
		    n->name, n->op->name, p->key, dims->n, p->count);
	for (i = 0; i < dims->n; i++)
		if (dims->dim[i].text == NULL &&
		    (dims->dim[i].value < p->least || dims->dim[i].value > p->most))
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s (%s): %s holds %" PRId64 ", expected %" PRId64 " to %" PRId64,
			    n->name, n->op->name, p->key, dims->dim[i].value, p->least, p->most);
	return 0;
}

int
lm_param_check(const struct lm_node *n, size_t param, struct loom_error *err)
{
	const struct lm_param *p = &n->op->params[param];
	const union lm_value *v = &n->param[param];

	if (p->kind == LM_IS_INTS || p->kind == LM_IS_DIMS)
		return check_dims(n, p, &v->dims, err);
	if (p->kind == LM_IS_SIZE || p->kind == LM_IS_INT)
		if (v->i < p->least || v->i > p->most)
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s (%s): %s is %" PRId64 ", expected %" PRId64 " to %" PRId64,
			    n->name, n->op->name, p->key, v->i, p->least, p->most);
	return 0;
}

/* ---- slots ---- */

int
lm_slot_wanted(const struct lm_node *n, size_t slot)
{
	const struct lm_slot *s = &n->op->slots[slot];

	return s->when == 0 || n->param[s->when - 1].i >= (s->least > 0 ? s->least : 1);
}

static void
whole_shape(const struct lm_dims *dims, struct lm_shape *out)
{
	size_t i;

	out->rank = (unsigned)dims->n;
	for (i = 0; i < dims->n; i++)
		out->dim[i] = (uint64_t)dims->dim[i].value;
}

int
lm_slot_shape(const struct lm_node *n, size_t slot, struct lm_shape *out, struct loom_error *err)
{
	const struct lm_slot *s = &n->op->slots[slot];
	uint64_t count;
	size_t i;

	memset(out, 0, sizeof(*out));
	out->dtype = n->weight[slot].dtype;
	if (n->op->slot_shape != NULL)
		n->op->slot_shape(n, slot, out);
	else if (s->whole > 0)
		whole_shape(&n->param[s->whole - 1].dims, out);
	else
		for (i = 0; s->axes[i] != '\0'; i++) {
			out->dim[i] = (uint64_t)n->param[s->size[i]].i;
			out->rank = (unsigned)i + 1;
		}
	if (lm_shape_count(out, &count) < 0)
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s): %s is too large for this machine",
		    n->name, n->op->name, s->name);
	return 0;
}

/* ---- for the operations' own files ---- */

int
lm_fail_input(const struct lm_shaping *s, size_t input, struct loom_error *err, const char *fmt,
    ...)
{
	char wanted[200], shape[LM_SHAPE_TEXT];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(wanted, sizeof(wanted), fmt, ap);
	va_end(ap);
	return lm_fail(err, LOOM_ESHAPE, "layer %s (%s): input %zu: expected %s, found %s",
	    s->node->name, s->node->op->name, input, wanted, lm_shape_text(shape, &s->in[input]));
}

int
lm_want_f32(const struct lm_shaping *s, size_t input, struct loom_error *err)
{
	if (s->in[input].dtype != lm_dtype_get(LM_F32))
		return lm_fail_input(s, input, err, "float32");
	return 0;
}

int
lm_axis(const struct lm_shaping *s, size_t input, int64_t axis, unsigned *out,
    struct loom_error *err)
{
	int64_t rank = s->in[input].rank;

	if (axis < -rank || axis >= rank)
		return lm_fail_input(s, input, err, "an axis %" PRId64, axis);
	*out = (unsigned)(axis < 0 ? axis + rank : axis);
	return 0;
}

/* float32 where the file has it, on machines that keep it as files do; else decoded. */
static const lm_f32u *
as_f32(struct lm_preparing *p, const struct lm_weight *w, struct loom_error *err)
{
	const unsigned char *bytes = w->data;
	uint64_t first = w->data != NULL ? w->first : 0;
	float *values;

	if (bytes == NULL)
		bytes = lm_weight_bytes(w, p->arena, err);
	if (bytes == NULL)
		return NULL;
	if (w->dtype == lm_dtype_get(LM_F32) && lm_little_endian())
		return (const lm_f32u *)bytes + first;
	values = lm_arena_room(p->arena, (size_t)w->count, sizeof(*values), err);
	if (values != NULL)
		w->dtype->to_f32(values, bytes, (size_t)first, (size_t)w->count, w->scale);
	return values;
}

/* Integers and flags in this machine's byte order, aligned. */
static const void *
as_stored(struct lm_preparing *p, const struct lm_weight *w, struct loom_error *err)
{
	size_t i, size = w->dtype->bits / 8;
	const unsigned char *bytes = lm_weight_bytes(w, p->arena, err);
	unsigned char *values = lm_arena_alloc(p->arena, (size_t)w->count, size, err);
	uint64_t v;

	if (values == NULL || bytes == NULL)
		return NULL;
	for (i = 0; size == 8 && i < w->count; i++) {
		v = lm_get_u64(bytes + 8 * i);
		memcpy(values + 8 * i, &v, 8);
	}
	if (size == 1 && w->count > 0)
		memcpy(values, bytes, (size_t)w->count);
	return values;
}

void
lm_prepare_matrix(struct lm_preparing *p, size_t slot, size_t n, size_t k)
{
	p->slot[slot].matrix = lm_matrix_of(p->slot[slot].f32, k, n, k);
}

void *
lm_call_room(const struct lm_call *c, int worker)
{
	return (char *)c->room + (size_t)worker * c->kernels->room;
}

int
lm_prepare_slots(struct lm_preparing *p, struct loom_error *err)
{
	size_t i, n = lm_layer_slots(p->node->op);
	const struct lm_weight *w;

	for (i = 0; i < n; i++) {
		w = &p->node->weight[i];
		memset(&p->slot[i], 0, sizeof(p->slot[i]));
		if (w->dtype == NULL)
			continue;
		if (p->node->op->slots[i].any &&
		    (w->dtype == lm_dtype_get(LM_I64) || w->dtype == lm_dtype_get(LM_BOOL))) {
			p->slot[i].raw = as_stored(p, w, err);
			if (p->slot[i].raw == NULL)
				return -1;
			continue;
		}
		p->slot[i].f32 = as_f32(p, w, err);
		if (p->slot[i].f32 == NULL)
			return -1;
	}
	return 0;
}
