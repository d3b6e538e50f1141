/* onnx_frame: what the writers of windows, norms and the like share. */
#include "onnx/onnx_frame.h"

#include <string.h>

#include "num/bytes.h"

/* The extents of x up to axis end, or from start on, as a list. */
static const char *
some_extents(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *x,
    const char *bound, int64_t axis, struct loom_error *err)
{
	struct lm_onnx_node *at = LM_ONNX_STEP(w, n, what, "Shape", err, x);

	if (at == NULL || lm_onnx_add_int(w->to, at, bound, axis, err) < 0)
		return NULL;
	return at->out[0];
}

const char *
lm_onnx_extents_from(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const char *x, int64_t start, struct loom_error *err)
{
	return some_extents(w, n, what, x, "start", start, err);
}

static const char *
joined(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *a,
    const char *b, struct loom_error *err)
{
	struct lm_onnx_node *at = LM_ONNX_STEP(w, n, what, "Concat", err, a, b);

	return at != NULL && lm_onnx_add_int(w->to, at, "axis", 0, err) == 0 ? at->out[0] : NULL;
}

const char *
lm_onnx_flat(struct lm_onnx_writing *w, const struct lm_node *n, const char *x, unsigned tail,
    int channel, struct loom_error *err)
{
	static const int64_t lead[] = { -1, 1 };
	const char *first, *last, *flat;

	first = lm_onnx_list(w, n, "any", lead, channel ? 2 : 1, err);
	last = lm_onnx_extents_from(w, n, "last", x, -(int64_t)tail, err);
	flat = joined(w, n, "flat_shape", first, last, err);
	return LM_ONNX_MADE(w, n, "flat", "Reshape", err, x, flat);
}

int
lm_onnx_restore(struct lm_onnx_writing *w, const struct lm_node *n, const char *x, const char *y,
    unsigned tail, struct loom_error *err)
{
	const char *first, *last, *whole;

	first = some_extents(w, n, "leading", x, "end", -(int64_t)tail, err);
	last = y != NULL ? lm_onnx_extents_from(w, n, "new", y, -(int64_t)tail, err) : NULL;
	whole = joined(w, n, "whole_shape", first, last, err);
	return LM_ONNX_LAST(w, n, "Reshape", err, y, whole) != NULL ? 0 : -1;
}

int
lm_onnx_as_input(struct lm_onnx_writing *w, const struct lm_node *n, const char *x, const char *y,
    struct loom_error *err)
{
	const char *shape = y != NULL ? LM_ONNX_MADE(w, n, "whole_shape", "Shape", err, x) : NULL;

	return LM_ONNX_LAST(w, n, "Reshape", err, y, shape) != NULL ? 0 : -1;
}

const char *
lm_onnx_ordered(struct lm_onnx_writing *w, const struct lm_node *n, size_t slot,
    const struct lm_shape *shape, const struct lm_view *order, struct loom_error *err)
{
	struct lm_outgoing *t = lm_arena_alloc(w->arena, 1, sizeof(*t), err);
	struct lm_strand *strand;

	if (t == NULL ||
	    lm_outgoing_begin(t, w->arena, n->op->slots[slot].name, lm_outgoing_dtype(n, slot),
		shape, 1, err) < 0)
		return NULL;
	strand = lm_outgoing_add(t, n, slot, err);
	if (strand == NULL)
		return NULL;
	if (order != NULL)
		strand->order = *order;
	return lm_onnx_weight(w, n, n->weight[slot].source, t, err);
}

/* Little-endian float32, n times v. */
static unsigned char *
repeated(struct lm_onnx_writing *w, float v, uint64_t n, struct loom_error *err)
{
	unsigned char *data = lm_arena_alloc(w->arena, (size_t)n, 4, err);
	uint64_t i;

	for (i = 0; data != NULL && i < n; i++)
		lm_put_f32(data + 4 * i, v);
	return data;
}

const char *
lm_onnx_filling(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, float v,
    uint64_t count, struct loom_error *err)
{
	struct lm_onnx_tensor t = { .name = "",
		.type = LM_ONNX_FLOAT,
		.rank = 1,
		.dim = { count },
		.count = count };
	struct lm_onnx_node *at;

	t.data = repeated(w, v, count, err);
	at = t.data != NULL ? lm_onnx_step(w, n, what, "Constant", 0, NULL, err) : NULL;
	if (at == NULL || lm_onnx_add_tensor_attribute(w->to, at, "value", &t, err) < 0)
		return NULL;
	return at->out[0];
}

const char *
lm_onnx_inner_filling(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, float v,
    uint64_t count, struct loom_error *err)
{
	const unsigned char *data = repeated(w, v, count, err);
	const char *name = data != NULL ? lm_onnx_inner(w, n, what, err) : NULL;

	if (name == NULL ||
	    lm_onnx_add_initializer(w->to, name, LM_ONNX_FLOAT, 1, &count, data, NULL, err) < 0)
		return NULL;
	return name;
}
