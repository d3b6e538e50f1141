/* entity_attach: the slots of nodes in a checkpoint's blobs. */
#include <string.h>

#include "format/entity_parts.h"
#include "num/bytes.h"

#define U(n) ((unsigned long long)(n))

/* What a blob should hold: one slot, or all of a layer's. */
struct wanted {
	char text[LM_SHAPE_TEXT];
	uint64_t count, bytes;
};

/* Bits of the last byte that no value uses; Loom decodes them as more values. */
static int
check_padding(struct lm_entity *entity, const struct lm_entity_blob *blob,
    const struct wanted *want, struct loom_error *err)
{
	unsigned used = (unsigned)(want->count * blob->dtype->bits % 8);
	uint64_t at = blob->offset + want->bytes - 1;
	char path[LM_SHOWN];
	unsigned char last;

	if (used == 0 || entity->bare)
		return 0;
	if (entity->payload != NULL)
		last = entity->payload[at];
	else if (lm_source_at(entity->source, entity->start + at, &last, 1, err) < 0)
		return -1;
	if ((last & (0xffu >> used)) == 0)
		return 0;
	return lm_model_finding(entity->model, err, "blob %s: bits after the last value are set",
	    lm_shown(path, blob->path));
}

static int
check_length(struct lm_entity *entity, struct lm_entity_blob *blob, const struct wanted *want,
    struct loom_error *err)
{
	char path[LM_SHOWN];

	lm_shown(path, blob->path);
	if (blob->length < want->bytes)
		return lm_fail(err, LOOM_ESHAPE, "blob %s: %s takes %llu bytes, found %llu", path,
		    want->text, U(want->bytes), U(blob->length));
	if (blob->length > want->bytes &&
	    lm_model_finding(entity->model, err, "blob %s: %s takes %llu bytes, found %llu", path,
		want->text, U(want->bytes), U(blob->length)) < 0)
		return -1;
	blob->used = 1;
	return check_padding(entity, blob, want, err);
}

/*
 * The weight in a file that is read by windows; where it begins within a byte its blob is read now: it
 * is of a type of a few bits, and small.
 */
static int
look(struct lm_entity *entity, struct lm_weight *w, const struct lm_entity_blob *blob,
    struct loom_error *err)
{
	struct lm_shape flat = { .rank = 1, .dim = { w->first + w->count } };
	struct lm_view *view;
	unsigned char *data;

	if (w->first * blob->dtype->bits % 8 != 0 || w->count * blob->dtype->bits % 8 != 0) {
		data = lm_arena_alloc(&entity->model->arena, (size_t)blob->length, 1, err);
		w->data = data;
		return data == NULL ? -1
				    : lm_source_at(entity->source, entity->start + blob->offset,
					  data, (size_t)blob->length, err);
	}
	view = lm_arena_alloc(&entity->model->arena, 1, sizeof(*view), err);
	if (view == NULL ||
	    lm_view_whole(view, entity->source, entity->start + blob->offset, blob->dtype, NULL,
		&flat, err) < 0)
		return -1;
	lm_view_narrow(view, 0, w->first, w->count);
	w->view = view;
	return 0;
}

/* Where the weight would be in a payload that is not there. */
static int
place(struct lm_entity *entity, struct lm_weight *w, const struct lm_entity_blob *blob,
    struct loom_error *err)
{
	struct lm_view *view = lm_arena_alloc(&entity->model->arena, 1, sizeof(*view), err);

	if (view == NULL)
		return -1;
	view->offset = blob->offset;
	view->dtype = blob->dtype;
	view->first = w->first;
	w->view = view;
	return 0;
}

/* A slot of a blob, behind first elements of others. */
static int
put(struct lm_entity *entity, struct lm_node *node, size_t slot, const struct lm_entity_blob *blob,
    uint64_t first, struct loom_error *err)
{
	struct lm_weight *w = &node->weight[slot];

	if (lm_node_put(node, slot, blob->dtype, blob->scale, err) < 0)
		return -1;
	w->first = first;
	if (entity->placed)
		return place(entity, w, blob, err);
	if (entity->bare)
		return 0;
	if (entity->payload == NULL)
		return look(entity, w, blob, err);
	w->data = entity->payload + blob->offset;
	return 0;
}

int
lm_entity_attach(struct lm_entity *entity, struct lm_node *node, size_t slot,
    struct lm_entity_blob *blob, struct loom_error *err)
{
	struct lm_shape shape;
	struct wanted want;

	if (put(entity, node, slot, blob, 0, err) < 0 || lm_slot_shape(node, slot, &shape, err) < 0)
		return -1;
	lm_shape_text(want.text, &shape);
	want.count = node->weight[slot].count;
	want.bytes = node->weight[slot].bytes;
	return check_length(entity, blob, &want, err);
}

static int
check_dtype(struct lm_entity *entity, const struct lm_entity_cell *cell, struct loom_error *err)
{
	if (cell->main == NULL)
		return lm_fail(err, LOOM_EFORMAT, "%s (%s) has no weights: there is no blob %s",
		    cell->name, cell->row->type, cell->name);
	if (cell->main->dtype == cell->dtype ||
	    (cell->row->full && cell->main->dtype == lm_dtype_get(LM_F32)))
		return 0;
	return lm_model_finding(entity->model, err,
	    "%s says dtype %s, its blob %s: the blob's counts", cell->name, cell->dtype->name,
	    cell->main->dtype->name);
}

/* How many elements the layer's blob holds; those that the node does not want are there too. */
static int
count_main(const struct lm_entity_cell *cell, const struct lm_node *node, uint64_t first[LM_SLOTS],
    uint64_t *total, struct loom_error *err)
{
	struct lm_shape shape;
	uint64_t count;
	size_t i;

	*total = 0;
	for (i = 0; i < cell->row->main; i++) {
		first[i] = *total;
		if (lm_slot_shape(node, i, &shape, err) < 0)
			return -1;
		if (lm_shape_count(&shape, &count) < 0 || count > INT64_MAX - *total)
			return lm_fail(err, LOOM_EFORMAT,
			    "%s: its weights are too large for this machine", cell->name);
		*total += count;
	}
	return 0;
}

static int
describe_main(const struct lm_entity_cell *cell, const struct lm_node *node, uint64_t total,
    struct wanted *want, struct loom_error *err)
{
	struct lm_shape shape;

	if (cell->row->main == 1) {
		if (lm_slot_shape(node, 0, &shape, err) < 0)
			return -1;
		shape.dtype = cell->main->dtype;
		lm_shape_text(want->text, &shape);
	} else
		(void)snprintf(want->text, sizeof(want->text), "%s of %llu values",
		    cell->main->dtype->name, U(total));
	want->count = total;
	if (lm_dtype_bytes(cell->main->dtype, total, &want->bytes) < 0)
		return lm_fail(err, LOOM_EFORMAT, "%s: its weights are too large for this machine",
		    cell->name);
	return 0;
}

/*
 * What a blob holds for a slot that the node does not have: ones for factors, -0 for what is added beside
 * factors, else zeros (as entity_pieces.c writes them).
 */
static int
add_filling(struct lm_entity *entity, const struct lm_entity_cell *cell, const struct lm_node *node,
    size_t slot, uint64_t first, struct loom_error *err)
{
	const char *ones = cell->row->ones;
	struct lm_arena *arena = &entity->model->arena;
	struct lm_entity_filling *f = lm_arena_alloc(arena, 1, sizeof(*f), err);
	struct lm_shape shape;
	unsigned char *data;
	float value;
	uint64_t i;

	if (f == NULL || lm_slot_shape(node, slot, &shape, err) < 0 ||
	    lm_shape_count(&shape, &f->weight.count) < 0)
		return -1;
	f->weight.bytes = 4 * f->weight.count;
	data = lm_arena_alloc(arena, (size_t)f->weight.bytes, 1, err);
	if (data == NULL)
		return -1;
	value = ones == NULL ? 0.0f : strcmp(ones, node->op->slots[slot].name) == 0 ? 1.0f : -0.0f;
	for (i = 0; i < f->weight.count; i++)
		lm_put_f32(data + 4 * i, value);
	f->weight.dtype = cell->main->dtype;
	f->weight.data = data;
	f->at = cell->main->offset + 4 * first;
	f->next = entity->fillings;
	entity->fillings = f;
	return 0;
}

/* Only of float32, the one type that is laid anew. */
static int
add_fillings(struct lm_entity *entity, const struct lm_entity_cell *cell,
    const struct lm_node *node, const uint64_t first[LM_SLOTS], struct loom_error *err)
{
	size_t i;

	if (!entity->placed || cell->main->dtype != lm_dtype_get(LM_F32))
		return 0;
	for (i = 0; i < cell->row->main; i++)
		if (!lm_slot_wanted(node, i) &&
		    add_filling(entity, cell, node, i, first[i], err) < 0)
			return -1;
	return 0;
}

int
lm_entity_attach_main(struct lm_entity *entity, const struct lm_entity_cell *cell,
    struct lm_node *node, struct loom_error *err)
{
	uint64_t first[LM_SLOTS], total;
	struct wanted want;
	size_t i;

	if (cell->row->main == 0)
		return 0;
	if (check_dtype(entity, cell, err) < 0 || count_main(cell, node, first, &total, err) < 0 ||
	    describe_main(cell, node, total, &want, err) < 0 ||
	    check_length(entity, cell->main, &want, err) < 0)
		return -1;
	for (i = 0; i < cell->row->main; i++)
		if (lm_slot_wanted(node, i) && node->weight[i].same == NULL &&
		    put(entity, node, i, cell->main, first[i], err) < 0)
			return -1;
	return add_fillings(entity, cell, node, first, err);
}
