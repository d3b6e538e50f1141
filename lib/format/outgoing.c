/* outgoing: a tensor on its way into a file of another engine. */
#include "format/outgoing.h"

#include <math.h>
#include <string.h>

#include "num/bytes.h"

enum { PIECE = 1 << 16 }; /* values that are narrowed at a time; whole blocks of any kind */

/* ---- making ---- */

const struct lm_dtype *
lm_outgoing_dtype(const struct lm_node *node, size_t slot)
{
	static const enum lm_dtype_id kept[] = { LM_F32, LM_F16, LM_BF16, LM_I64, LM_BOOL };
	size_t n = node->op->slots[slot].any ? 5 : 3, i;

	for (i = 0; i < n; i++)
		if (node->weight[slot].dtype == lm_dtype_get(kept[i]))
			return node->weight[slot].dtype;
	return lm_dtype_get(LM_F32);
}

static int
too_large(const char *name, struct loom_error *err)
{
	char shown[LM_SHOWN];

	return lm_fail(err, LOOM_EUNSUPPORTED, "tensor %s: more than 2^63 bytes",
	    lm_shown(shown, name));
}

int
lm_outgoing_as(struct lm_outgoing *t, const struct lm_dtype *dtype, const struct lm_quant *quant,
    struct loom_error *err)
{
	struct lm_shape s = { .dtype = dtype, .rank = t->rank };
	uint64_t count, row = t->rank > 0 ? t->shape[t->rank - 1] : 1;
	char shown[LM_SHOWN];

	memcpy(s.dim, t->shape, sizeof(s.dim));
	t->dtype = quant != NULL ? lm_dtype_get(LM_F32) : dtype;
	t->quant = quant;
	if (quant != NULL && row % quant->values != 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "tensor %s: rows of %llu values, %s takes %u at a time",
		    lm_shown(shown, t->name), (unsigned long long)row, quant->name, quant->values);
	if (lm_shape_count(&s, &count) < 0 || count > INT64_MAX / 16 ||
	    (quant != NULL ? lm_quant_bytes(quant, count, &t->bytes)
			   : lm_dtype_bytes(dtype, count, &t->bytes)) < 0)
		return too_large(t->name, err);
	return 0;
}

int
lm_outgoing_begin(struct lm_outgoing *t, struct lm_arena *arena, const char *name,
    const struct lm_dtype *dtype, const struct lm_shape *shape, size_t n, struct loom_error *err)
{
	memset(t, 0, sizeof(*t));
	t->name = lm_arena_string(arena, name, err);
	t->strands = lm_arena_alloc(arena, n, sizeof(*t->strands), err);
	if (t->name == NULL || t->strands == NULL)
		return -1;
	t->rank = shape->rank;
	memcpy(t->shape, shape->dim, sizeof(t->shape));
	return lm_outgoing_as(t, dtype, NULL, err);
}

struct lm_strand *
lm_outgoing_add(struct lm_outgoing *t, const struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	struct lm_strand *s = &t->strands[t->n_strands];
	struct lm_shape shape;

	if (lm_slot_shape(node, slot, &shape, err) < 0)
		return NULL;
	if (shape.rank > LM_VIEW_RANK) {
		(void)lm_fail(err, LOOM_EUNSUPPORTED, "node %s: a weight of %u axes", node->name,
		    shape.rank);
		return NULL;
	}
	s->weight = &node->weight[slot];
	while (s->weight->same != NULL)
		s->weight = s->weight->same;
	lm_view_reshape(&s->order, shape.rank, shape.dim);
	t->n_strands++;
	return s;
}

int
lm_outgoing_slot(struct lm_outgoing *t, struct lm_arena *arena, const char *name,
    const struct lm_node *node, size_t slot, struct loom_error *err)
{
	struct lm_shape shape;

	if (lm_slot_shape(node, slot, &shape, err) < 0 ||
	    lm_outgoing_begin(t, arena, name, lm_outgoing_dtype(node, slot), &shape, 1, err) < 0)
		return -1;
	return lm_outgoing_add(t, node, slot, err) != NULL ? 0 : -1;
}

/* ---- narrowing ---- */

struct narrow {
	const struct lm_outgoing *to;
	struct lm_loss *loss; /* or NULL */
	struct lm_sink *sink; /* or NULL: */
	unsigned char *memory;
};

static int
put(struct narrow *n, const void *p, size_t size, struct loom_error *err)
{
	if (n->sink != NULL)
		return lm_sink_write(n->sink, p, size, err);
	memcpy(n->memory, p, size);
	n->memory += size;
	return 0;
}

static int
put_halves(struct narrow *n, const float *v, size_t count, struct loom_error *err)
{
	int half = n->to->dtype == lm_dtype_get(LM_F16);
	unsigned char out[2 * 1024];
	float back[1024];
	size_t k;

	for (; count > 0; count -= k, v += k) {
		k = count < 1024 ? count : 1024;
		(half ? lm_f16_from_f32 : lm_bf16_from_f32)(out, v, k);
		(half ? lm_f16_to_f32 : lm_bf16_to_f32)(back, out, k);
		if (n->loss != NULL)
			lm_loss_count(n->loss, half ? LM_NARROW_F16 : LM_NARROW_BF16, v, back, k);
		if (put(n, out, 2 * k, err) < 0)
			return -1;
	}
	return 0;
}

static int
put_blocks(struct narrow *n, const float *v, size_t count, struct loom_error *err)
{
	const struct lm_quant *q = n->to->quant;
	unsigned char block[512];
	float back[256];
	char shown[LM_SHOWN];
	size_t i;

	for (; count >= q->values; count -= q->values, v += q->values) {
		for (i = 0; i < q->values; i++)
			if (!isfinite(v[i]))
				return lm_fail(err, LOOM_EUNSUPPORTED,
				    "tensor %s: holds NaN or infinity, which %s cannot",
				    lm_shown(shown, n->to->name), q->name);
		q->encode(block, v, 1);
		q->decode(back, block, 1);
		if (n->loss != NULL)
			lm_loss_count(n->loss, LM_NARROW_BLOCKS, v, back, q->values);
		if (put(n, block, q->bytes, err) < 0)
			return -1;
	}
	return 0;
}

static int
put_floats(struct narrow *n, const float *v, size_t count, struct loom_error *err)
{
	unsigned char out[4 * 1024];
	size_t i, k;

	if (n->to->quant != NULL)
		return put_blocks(n, v, count, err);
	if (n->to->dtype != lm_dtype_get(LM_F32))
		return put_halves(n, v, count, err);
	if (lm_little_endian())
		return put(n, v, count * sizeof(*v), err);
	for (; count > 0; count -= k, v += k) {
		k = count < 1024 ? count : 1024;
		for (i = 0; i < k; i++)
			lm_put_f32(out + 4 * i, v[i]);
		if (put(n, out, 4 * k, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- strands ---- */

/* Whether a strand is its slot as it lies. */
static int
as_it_lies(const struct lm_strand *s)
{
	return s->order.first == 0 && lm_view_packed(&s->order) &&
	    lm_view_count(&s->order) == s->weight->count;
}

/* Of a type of a few bits: its values as float32, which can be put in another order. */
static int
widen(struct lm_strand *s, struct lm_weight *wide, struct lm_arena *arena, struct loom_error *err)
{
	const unsigned char *bytes = lm_weight_bytes(s->weight, arena, err);
	float *values = lm_arena_alloc(arena, (size_t)s->weight->count, sizeof(*values), err);
	uint64_t i;

	if (bytes == NULL || values == NULL)
		return -1;
	s->weight->dtype->to_f32(values, bytes, 0, (size_t)s->weight->count, s->weight->scale);
	for (i = 0; i < s->weight->count && !lm_little_endian(); i++)
		lm_put_f32((unsigned char *)&values[i], values[i]);
	memset(wide, 0, sizeof(*wide));
	wide->dtype = lm_dtype_get(LM_F32);
	wide->data = (const unsigned char *)values;
	wide->count = s->weight->count;
	wide->bytes = wide->count * sizeof(*values);
	wide->scale = 1;
	s->weight = wide;
	return 0;
}

/*
 * The weight becomes one of the strand's values in its order, of the slot's own dtype: in the arena, where
 * they cannot be taken by pieces from where they are.
 */
static int
order(struct lm_strand *s, struct lm_weight *own, struct lm_arena *arena, struct loom_error *err)
{
	struct lm_view order = s->order;
	const unsigned char *bytes;
	unsigned char *to = NULL;

	if (as_it_lies(s) && lm_weight_parts(s->weight))
		return 0;
	if (s->weight->dtype->bits < 8 && !as_it_lies(s) && widen(s, own, arena, err) < 0)
		return -1;
	bytes = lm_weight_bytes(s->weight, arena, err);
	order.dtype = s->weight->dtype;
	if (bytes != NULL && !as_it_lies(s)) {
		to = lm_arena_room(arena, (size_t)lm_view_count(&order), order.dtype->bits / 8,
		    err);
		if (to != NULL)
			lm_view_gather(&order, bytes, to);
		bytes = to;
	}
	*own = *s->weight;
	own->data = bytes;
	own->view = NULL;
	own->first = 0;
	own->count = lm_view_count(&order);
	own->bytes = (own->count * own->dtype->bits + 7) / 8;
	s->weight = own;
	return bytes != NULL ? 0 : -1;
}

/* As they are, where the file is to have them so. */
static int
put_stored(struct narrow *n, const struct lm_weight *w, unsigned char *room, struct loom_error *err)
{
	uint64_t done, k, most = PIECE * sizeof(float) * 8 / w->dtype->bits;
	const unsigned char *bytes;

	if (n->sink != NULL && (w->view == NULL || w->view->quant == NULL))
		return lm_weight_send(w, n->sink, err);
	for (done = 0; done < w->count; done += k) {
		k = w->count - done < most ? w->count - done : most;
		bytes = lm_weight_part(w, done, k, room, err);
		if (bytes == NULL || put(n, bytes, (size_t)(k * w->dtype->bits / 8), err) < 0)
			return -1;
	}
	return 0;
}

/* A piece at a time. */
static int
put_decoded(struct narrow *n, const struct lm_weight *w, unsigned char *room,
    struct loom_error *err)
{
	float *values = lm_alloc(PIECE, sizeof(*values), err);
	const unsigned char *bytes = room;
	int r = values != NULL ? 0 : -1;
	uint64_t done, k;

	for (done = 0; r == 0 && done < w->count; done += k) {
		k = w->count - done < PIECE ? w->count - done : PIECE;
		if (w->dtype->bits >= 8)
			bytes = lm_weight_part(w, done, k, room, err);
		else
			bytes = w->data;
		if (bytes == NULL) {
			r = -1;
			break;
		}
		w->dtype->to_f32(values, bytes, w->dtype->bits >= 8 ? 0 : (size_t)done, (size_t)k,
		    w->scale);
		r = put_floats(n, values, (size_t)k, err);
	}
	lm_free(values);
	return r;
}

static int
put_weight(struct narrow *n, const struct lm_weight *w, struct loom_error *err)
{
	unsigned char *room = lm_alloc(PIECE, sizeof(uint64_t), err);
	int r;

	if (room == NULL)
		return -1;
	if (n->to->quant == NULL && w->dtype == n->to->dtype)
		r = put_stored(n, w, room, err);
	else
		r = put_decoded(n, w, room, err);
	lm_free(room);
	return r;
}

static int
put_strand(struct narrow *n, const struct lm_strand *strand, struct loom_error *err)
{
	struct lm_strand own = *strand, *s = &own;
	struct lm_weight laid;
	struct lm_arena arena = { 0 };
	uint64_t i;
	int r = 0;

	if (s->weight == NULL) {
		for (i = 0; r == 0 && i < s->count; i++)
			r = put_floats(n, &s->value, 1, err);
		return r;
	}
	if (lm_view_count(&s->order) == 0)
		return 0;
	r = order(s, &laid, &arena, err);
	if (r == 0)
		r = put_weight(n, s->weight, err);
	lm_arena_release(&arena);
	return r;
}

static int
put_all(struct narrow *n, struct loom_error *err)
{
	size_t i;

	if (n->to->data != NULL)
		return put(n, n->to->data, (size_t)n->to->bytes, err);
	for (i = 0; i < n->to->n_strands; i++)
		if (put_strand(n, &n->to->strands[i], err) < 0)
			return -1;
	return 0;
}

int
lm_outgoing_write(const struct lm_outgoing *t, struct lm_sink *sink, struct lm_loss *loss,
    struct loom_error *err)
{
	struct narrow n = { t, loss, sink, NULL };

	return put_all(&n, err);
}

int
lm_outgoing_copy(const struct lm_outgoing *t, void *dst, struct lm_loss *loss,
    struct loom_error *err)
{
	struct narrow n = { t, loss, NULL, dst };

	return put_all(&n, err);
}

int
lm_loss_note(const struct lm_loss *l, const struct lm_outgoing *t, const struct lm_dtype *from,
    struct lm_buf *notes, struct loom_error *err)
{
	char shown[LM_SHOWN], ulp[40] = "";

	if (t->quant == NULL)
		(void)snprintf(ulp, sizeof(ulp), ", %.3g ULP", l->most_ulp);
	return lm_buf_printf(notes, err,
	    "tensor %s: %s to %s: %llu of %llu values change, by at most %.3g%s; overflow %llu, "
	    "underflow %llu, subnormal %llu\n",
	    lm_shown(shown, t->name), from->name,
	    t->quant != NULL ? t->quant->name : t->dtype->name, (unsigned long long)l->changed,
	    (unsigned long long)l->count, l->most_abs, ulp, (unsigned long long)l->overflow,
	    (unsigned long long)l->underflow, (unsigned long long)l->flushed);
}
