/* same: are two networks one, node for node and weight for weight? */
#include "model/same.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "layer/weight.h"
#include "num/bytes.h"

struct comparing {
	const struct loom_model *a, *b;
	struct lm_buf *why;
	size_t *twin; /* the value of b that each value of a is */
	struct lm_arena arena;
};

/* A line into why; always 0: they are not the same. */
static int differ(struct comparing *c, struct loom_error *err, const char *fmt, ...)
    LM_PRINTF(3, 4);

static int
differ(struct comparing *c, struct loom_error *err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return lm_buf_str(c->why, text, err) < 0 ? -1 : 0;
}

/* ---- inputs ---- */

static int
same_dim(const struct lm_dim *a, const struct lm_dim *b)
{
	struct loom_error quiet = { 0 };
	uint64_t x, y;

	/* An expression without names is the integer that it gives. */
	if (lm_dim_eval(a, NULL, &x, &quiet) == 0 && lm_dim_eval(b, NULL, &y, &quiet) == 0)
		return x == y;
	if (a->text == NULL || b->text == NULL)
		return a->text == b->text && a->value == b->value;
	return lm_dim_is_name(a->text) == lm_dim_is_name(b->text);
}

/* Where a has any leading extents, b may have some of its own there. */
static int
same_dims(const struct lm_input *a, const struct lm_input *b)
{
	size_t more, i;

	if (b->dims.n < a->dims.n || (b->dims.n > a->dims.n && !a->any))
		return 0;
	more = b->dims.n - a->dims.n;
	for (i = 0; i < a->dims.n; i++)
		if (!same_dim(&a->dims.dim[i], &b->dims.dim[more + i]))
			return 0;
	return a->any || !b->any;
}

static int
same_inputs(struct comparing *c, struct loom_error *err)
{
	const struct lm_input *x, *y;
	char found[LM_SHAPE_TEXT], want[LM_SHAPE_TEXT];
	size_t i;

	if (c->a->n_inputs != c->b->n_inputs)
		return differ(c, err, "%zu inputs, not %zu", c->b->n_inputs, c->a->n_inputs);
	for (i = 0; i < c->a->n_inputs; i++) {
		x = &c->a->inputs[i];
		y = &c->b->inputs[i];
		if (x->dtype != y->dtype || !same_dims(x, y))
			return differ(c, err, "input %.80s is %s %.120s, not %s %.120s", x->name,
			    y->dtype->name, lm_dims_text(found, &y->dims), x->dtype->name,
			    lm_dims_text(want, &x->dims));
		c->twin[x->tensor] = y->tensor;
	}
	return 1;
}

/* ---- nodes ---- */

static int
same_lists(enum lm_param_kind kind, const struct lm_dims *a, const struct lm_dims *b)
{
	size_t i;

	if (a->n != b->n)
		return 0;
	for (i = 0; i < a->n; i++)
		if (kind == LM_IS_DIMS ? !same_dim(&a->dim[i], &b->dim[i])
				       : a->dim[i].value != b->dim[i].value)
			return 0;
	return 1;
}

static int
same_param(const struct lm_param *p, const union lm_value *a, const union lm_value *b)
{
	switch (p->kind) {
	case LM_IS_REAL:
	case LM_IS_MAYBE:
		return lm_bits64(a->real) == lm_bits64(b->real) ||
		    (isnan(a->real) && isnan(b->real));
	case LM_IS_INTS:
	case LM_IS_DIMS:
		return same_lists(p->kind, &a->dims, &b->dims);
	default:
		return a->i == b->i;
	}
}

static const char *
param_text(char dst[LM_SHAPE_TEXT], const struct lm_param *p, const union lm_value *v)
{
	switch (p->kind) {
	case LM_IS_REAL:
	case LM_IS_MAYBE:
		(void)snprintf(dst, LM_SHAPE_TEXT, "%.17g", v->real);
		return dst;
	case LM_IS_INTS:
	case LM_IS_DIMS:
		return lm_dims_text(dst, &v->dims);
	case LM_IS_ENUM:
		return p->names[v->i];
	default:
		(void)snprintf(dst, LM_SHAPE_TEXT, "%lld", (long long)v->i);
		return dst;
	}
}

static int
same_params(struct comparing *c, const struct lm_node *a, const struct lm_node *b,
    struct loom_error *err)
{
	char found[LM_SHAPE_TEXT], want[LM_SHAPE_TEXT];
	const struct lm_param *p;
	size_t i;

	for (i = 0; i < lm_layer_params(a->op); i++) {
		p = &a->op->params[i];
		if (!same_param(p, &a->param[i], &b->param[i]))
			return differ(c, err, "node %.80s (%s): its %s is %.120s, not %.120s",
			    a->name, a->op->name, p->key, param_text(found, p, &b->param[i]),
			    param_text(want, p, &a->param[i]));
	}
	return 1;
}

/* Inputs without those that are absent at the end. */
static size_t
given(const struct lm_node *n)
{
	size_t k = n->n_in;

	while (k > 0 && n->in[k - 1] == LM_ABSENT)
		k--;
	return k;
}

static int
same_wiring(struct comparing *c, const struct lm_node *a, const struct lm_node *b,
    struct loom_error *err)
{
	size_t i, from, n = given(a);

	if (n != given(b) || a->n_out != b->n_out)
		return differ(c, err,
		    "node %.80s (%s): %zu inputs and %zu outputs, not %zu and %zu", a->name,
		    a->op->name, b->n_in, b->n_out, a->n_in, a->n_out);
	for (i = 0; i < n; i++) {
		from = a->in[i] == LM_ABSENT ? LM_ABSENT : c->twin[a->in[i]];
		if (from != b->in[i])
			return differ(c, err, "node %.80s (%s): input %zu is %.80s, not %.80s",
			    a->name, a->op->name, i,
			    b->in[i] == LM_ABSENT ? "none" : c->b->values[b->in[i]].name,
			    a->in[i] == LM_ABSENT ? "none" : c->a->values[a->in[i]].name);
	}
	for (i = 0; i < a->n_out; i++)
		c->twin[a->out[i]] = b->out[i];
	return 1;
}

/* ---- weights ---- */

static const struct lm_weight *
owner(const struct lm_weight *w)
{
	while (w->same != NULL)
		w = w->same;
	return w;
}

/* Bytes of a value as a run takes it: float32, but where the slot keeps integers and flags. */
static size_t
size_of(const struct lm_node *node, size_t slot, const struct lm_weight *w)
{
	if (node->op->slots[slot].any && w->dtype == lm_dtype_get(LM_I64))
		return 8;
	return node->op->slots[slot].any && w->dtype == lm_dtype_get(LM_BOOL) ? 1 : 4;
}

enum { PIECE = 1 << 16 }; /* values that are compared at a time */

/* Whether the bits of both can be compared a piece at a time. */
static int
plain(const struct lm_weight *a, const struct lm_weight *b)
{
	return a->dtype == b->dtype && a->scale == b->scale && lm_weight_parts(a) &&
	    lm_weight_parts(b) && (a->view == NULL || a->view->quant == NULL) &&
	    (b->view == NULL || b->view->quant == NULL);
}

/* 1: all bits are the same, else 0. */
static int
same_pieces(struct comparing *c, const struct lm_weight *a, const struct lm_weight *b,
    struct loom_error *err)
{
	uint64_t size = a->dtype->bits / 8, done, k;
	unsigned char *room = lm_arena_room(&c->arena, 2 * PIECE, (size_t)size, err);
	const unsigned char *x, *y;

	for (done = 0; room != NULL && done < a->count; done += k) {
		k = a->count - done < PIECE ? a->count - done : PIECE;
		x = lm_weight_part(a, done, k, room, err);
		y = x != NULL ? lm_weight_part(b, done, k, room + PIECE * size, err) : NULL;
		if (y == NULL)
			return -1;
		if (memcmp(x, y, (size_t)(k * size)) != 0)
			return 0;
	}
	return room != NULL ? 1 : -1;
}

static const unsigned char *
values_of(struct comparing *c, const struct lm_weight *w, size_t size, struct loom_error *err)
{
	const unsigned char *bytes = lm_weight_bytes(w, &c->arena, err);
	float *values;

	if (bytes == NULL || w->dtype == lm_dtype_get(LM_F32) || size != sizeof(*values))
		return bytes;
	values = lm_arena_alloc(&c->arena, (size_t)w->count, sizeof(*values), err);
	if (values != NULL)
		w->dtype->to_f32(values, bytes, 0, (size_t)w->count, w->scale);
	return (unsigned char *)values;
}

static void
round_halves(const struct lm_dtype *to, float *v, size_t n)
{
	int half = to == lm_dtype_get(LM_F16);
	unsigned char codes[2 * 1024];
	size_t k;

	for (; n > 0; n -= k, v += k) {
		k = n < 1024 ? n : 1024;
		(half ? lm_f16_from_f32 : lm_bf16_from_f32)(codes, v, k);
		(half ? lm_f16_to_f32 : lm_bf16_to_f32)(v, codes, k);
	}
}

static int
round_to(const struct lm_weight *to, float *v, size_t n, struct loom_error *err)
{
	const struct lm_quant *quant = to->view != NULL ? to->view->quant : NULL;
	unsigned char *blocks;

	if (to->dtype == lm_dtype_get(LM_F16) || to->dtype == lm_dtype_get(LM_BF16)) {
		round_halves(to->dtype, v, n);
		return 0;
	}
	if (quant == NULL || quant->encode == NULL)
		return 0;
	blocks = lm_alloc(n / quant->values, quant->bytes, err);
	if (blocks == NULL)
		return -1;
	quant->encode(blocks, v, n / quant->values);
	quant->decode(v, blocks, n / quant->values);
	lm_free(blocks);
	return 0;
}

/* Whether b's type is one that a's values were to be rounded to. */
static int
narrower(const struct lm_weight *a, const struct lm_weight *b)
{
	return (b->view != NULL && b->view->quant != NULL) ||
	    (a->dtype != b->dtype &&
		(b->dtype == lm_dtype_get(LM_F16) || b->dtype == lm_dtype_get(LM_BF16)));
}

/* k values of w as float32, in room for twice as many numbers of 8 bytes. */
static float *
floats(const struct lm_weight *w, uint64_t first, size_t k, unsigned char *room,
    struct loom_error *err)
{
	float *values = (float *)(void *)(room + PIECE * sizeof(uint64_t));
	const unsigned char *bytes = lm_weight_part(w, first, k, room, err);

	if (bytes != NULL)
		w->dtype->to_f32(values, bytes, 0, k, w->scale);
	return bytes != NULL ? values : NULL;
}

/* The same where b's are a's rounded to 16 bits: by what they are stored as. */
static int
same_halves(struct comparing *c, const struct lm_weight *a, const struct lm_weight *b,
    struct loom_error *err)
{
	size_t size = 2 * PIECE * sizeof(uint64_t), k;
	unsigned char *room = lm_arena_room(&c->arena, 2, size, err);
	int half = b->dtype == lm_dtype_get(LM_F16);
	const unsigned char *y;
	const float *x;
	uint64_t done;

	for (done = 0; room != NULL && done < a->count; done += k) {
		k = a->count - done < PIECE ? (size_t)(a->count - done) : PIECE;
		x = floats(a, done, k, room, err);
		if (x == NULL)
			return -1;
		(half ? lm_f16_from_f32 : lm_bf16_from_f32)(room + size, x, k);
		y = lm_weight_part(b, done, k, room, err);
		if (y == NULL)
			return -1;
		if (memcmp(room + size, y, 2 * k) != 0)
			return 0;
	}
	return room != NULL ? 1 : -1;
}

/* The same of values that have other types, or that one was rounded to. */
static int
same_floats(struct comparing *c, const struct lm_weight *a, const struct lm_weight *b,
    struct loom_error *err)
{
	size_t size = 2 * PIECE * sizeof(uint64_t), k;
	unsigned char *room = lm_arena_room(&c->arena, 2, size, err);
	float *x, *y;
	uint64_t done;

	for (done = 0; room != NULL && done < a->count; done += k) {
		k = a->count - done < PIECE ? (size_t)(a->count - done) : PIECE;
		x = floats(a, done, k, room, err);
		y = x != NULL ? floats(b, done, k, room + size, err) : NULL;
		if (y == NULL || (narrower(a, b) && round_to(b, x, k, err) < 0))
			return -1;
		if (memcmp(x, y, k * sizeof(*x)) != 0)
			return 0;
	}
	return room != NULL ? 1 : -1;
}

static int
same_values(struct comparing *c, const struct lm_node *node, size_t slot, const struct lm_weight *a,
    const struct lm_weight *b, struct loom_error *err)
{
	size_t n = (size_t)a->count, size = size_of(node, slot, a), i;
	const unsigned char *x = values_of(c, a, size, err);
	const unsigned char *y = x != NULL ? values_of(c, b, size, err) : NULL;
	float *rounded;

	if (y == NULL)
		return -1;
	if (size != size_of(node, slot, b))
		return differ(c, err, "node %.80s (%s): its %s is %s, not %s", node->name,
		    node->op->name, node->op->slots[slot].name, b->dtype->name, a->dtype->name);
	if (size == sizeof(float) && narrower(a, b)) {
		rounded = lm_arena_alloc(&c->arena, n, sizeof(*rounded), err);
		if (rounded == NULL)
			return -1;
		memcpy(rounded, x, n * sizeof(*rounded));
		if (round_to(b, rounded, n, err) < 0)
			return -1;
		x = (const unsigned char *)rounded;
	}
	if (memcmp(x, y, n * size) == 0)
		return 1;
	for (i = 0; i < n - 1 && memcmp(x + i * size, y + i * size, size) == 0; i++)
		continue;
	return differ(c, err, "node %.80s (%s): value %zu of its %s is another", node->name,
	    node->op->name, i, node->op->slots[slot].name);
}

static int
same_by_pieces(struct comparing *c, const struct lm_node *node, size_t slot,
    const struct lm_weight *a, const struct lm_weight *b, struct loom_error *err)
{
	if (plain(a, b))
		return same_pieces(c, a, b, err);
	if (!lm_weight_parts(a) || !lm_weight_parts(b) || size_of(node, slot, a) != sizeof(float) ||
	    size_of(node, slot, b) != sizeof(float))
		return 0;
	if (narrower(a, b) && (b->view == NULL || b->view->quant == NULL))
		return same_halves(c, a, b, err);
	return same_floats(c, a, b, err);
}

static int
same_weight(struct comparing *c, const struct lm_node *a, const struct lm_node *b, size_t slot,
    struct loom_error *err)
{
	const struct lm_weight *x = owner(&a->weight[slot]), *y = owner(&b->weight[slot]);
	int r;

	if ((x->dtype == NULL) != (y->dtype == NULL) || x->count != y->count)
		return differ(c, err, "node %.80s (%s): its %s has %llu values, not %llu", a->name,
		    a->op->name, a->op->slots[slot].name, (unsigned long long)y->count,
		    (unsigned long long)x->count);
	if (x->dtype == NULL || x->count == 0 ||
	    (x->data == y->data && x->view == y->view && x->first == y->first))
		return 1;
	r = same_by_pieces(c, a, slot, x, y, err);
	if (r == 0) /* not in that way, or which of them is another */
		r = same_values(c, a, slot, x, y, err);
	lm_arena_reuse(&c->arena);
	return r;
}

static int
same_node(struct comparing *c, const struct lm_node *a, const struct lm_node *b,
    struct loom_error *err)
{
	size_t i;
	int r;

	if (a->op != b->op)
		return differ(c, err, "node %.80s is %s, not %s", a->name, b->op->name,
		    a->op->name);
	r = same_params(c, a, b, err);
	if (r == 1)
		r = same_wiring(c, a, b, err);
	for (i = 0; r == 1 && i < lm_layer_slots(a->op); i++)
		r = same_weight(c, a, b, i, err);
	return r;
}

/* ---- the whole ---- */

static int
compare(struct comparing *c, struct loom_error *err)
{
	size_t i;
	int r = same_inputs(c, err);

	for (i = 0; r == 1 && i < c->a->n_nodes && i < c->b->n_nodes; i++)
		r = same_node(c, c->a->nodes[i], c->b->nodes[i], err);
	if (r == 1 && c->a->n_nodes != c->b->n_nodes)
		return differ(c, err, "%zu nodes, not %zu", c->b->n_nodes, c->a->n_nodes);
	if (r == 1 && c->a->n_outputs != c->b->n_outputs)
		return differ(c, err, "%zu outputs, not %zu", c->b->n_outputs, c->a->n_outputs);
	for (i = 0; r == 1 && i < c->a->n_outputs; i++)
		if (c->twin[c->a->outputs[i]] != c->b->outputs[i])
			r = differ(c, err, "output %zu is %.80s, not %.80s", i,
			    c->b->values[c->b->outputs[i]].name,
			    c->a->values[c->a->outputs[i]].name);
	return r;
}

int
lm_same_network(const struct loom_model *a, const struct loom_model *b, struct lm_buf *why,
    struct loom_error *err)
{
	struct comparing c = { .a = a, .b = b, .why = why };
	int r = -1;

	c.twin = lm_alloc(a->n_values, sizeof(*c.twin), err);
	if (c.twin != NULL)
		r = compare(&c, err);
	lm_free(c.twin);
	lm_arena_release(&c.arena);
	return r;
}
