/* lower_write: specs, blobs and bytes of lowered layers. */
#include <string.h>

#include "base/mem.h"
#include "format/lower.h"
#include "num/bytes.h"

/* ---- specs ---- */

static int put_cell(const struct lm_entity_plan *, struct lm_buf *, const struct lm_lowered *,
    size_t place, struct loom_error *);

static int
put_children(const struct lm_entity_plan *plan, struct lm_buf *buf, const struct lm_lowered *cell,
    struct loom_error *err)
{
	const struct lm_container_row *row = lm_container_by_type(cell->type);
	const struct lm_lowered *child;

	if (lm_buf_printf(buf, err, ",\"%s\":[", row->key) < 0)
		return -1;
	for (child = cell->first; child != NULL; child = child->next)
		if ((child != cell->first && lm_buf_str(buf, ",", err) < 0) ||
		    put_cell(plan, buf, child, 0, err) < 0)
			return -1;
	if (lm_buf_str(buf, "]", err) < 0)
		return -1;
	return cell->combine == NULL
	    ? 0
	    : lm_buf_printf(buf, err, ",\"combine_mode\":\"%s\"", cell->combine);
}

static int
put_cell(const struct lm_entity_plan *plan, struct lm_buf *buf, const struct lm_lowered *cell,
    size_t place, struct loom_error *err)
{
	if (lm_buf_printf(buf, err,
		"{\"z\":0,\"y\":0,\"x\":0,\"l\":%zu,\"type\":\"%s\",\"activation\":\"%s\","
		"\"dtype\":\"%s\"",
		place, cell->type, cell->activation, cell->dtype->name) < 0 ||
	    lm_entity_numbers(buf, plan, cell->row, cell->like, cell->number, cell->n_numbers,
		err) < 0 ||
	    lm_buf_str(buf, ",\"softmax_type\":\"Standard\"", err) < 0 ||
	    (cell->first != NULL && put_children(plan, buf, cell, err) < 0))
		return -1;
	return lm_buf_str(buf, "}", err);
}

int
lm_lower_specs(const struct lm_entity_plan *plan, struct lm_buf *buf, struct loom_error *err)
{
	const struct lm_lowered *cell;
	size_t i = 0;

	for (cell = plan->lowered; cell != NULL; cell = cell->next, i++)
		if ((i > 0 && lm_buf_str(buf, ",", err) < 0) ||
		    put_cell(plan, buf, cell, i, err) < 0)
			return -1;
	return 0;
}

/* ---- blobs ---- */

static int
has_blob(const struct lm_lowered *cell)
{
	return cell->make != NULL || (cell->like != NULL && cell->row->main > 0);
}

static size_t
count_blobs(const struct lm_lowered *cell)
{
	size_t n = 0;

	for (; cell != NULL; cell = cell->next)
		n += (size_t)has_blob(cell) + count_blobs(cell->first);
	return n;
}

/* The slot has a piece of a blob that lets it pass. */
static int
passes(const struct lm_entity_plan *plan, const struct lm_node *node, size_t slot)
{
	size_t i = plan->n_pieces;

	while (i-- > 0 && plan->pieces[i].node == node)
		if (plan->pieces[i].slot == slot)
			return 1;
	return 0;
}

/* All other slots of the node, which the blob that is made of it waits for. */
static int
add_held(struct lm_entity_plan *plan, const struct lm_node *node, struct loom_error *err)
{
	struct lm_planned *blob = &plan->blobs[plan->n_blobs - 1];
	uint64_t values = blob->values, bytes = blob->bytes;
	size_t i;

	for (i = 0; i < lm_layer_slots(node->op); i++)
		if (node->weight[i].dtype != NULL && !passes(plan, node, i) &&
		    lm_entity_add_piece(plan, node, i, node->weight[i].dtype, LM_FILL_NONE, err) <
			0)
			return -1;
	blob->values = values;
	blob->bytes = bytes;
	return 0;
}

/* Slots that the blob lets pass, and those that a blob behind it is made of. */
static int
add_pieces(struct lm_entity_plan *plan, const struct lm_lowered *cell, struct loom_error *err)
{
	struct lm_planned *blob = &plan->blobs[plan->n_blobs - 1];

	if (cell->make == NULL)
		return lm_entity_add_main(plan, cell->row, cell->dtype, cell->like, err);
	blob->values = cell->values;
	if (lm_dtype_bytes(blob->dtype, blob->values, &blob->bytes) < 0)
		return lm_fail(err, LOOM_EUNSUPPORTED, "weights of more than 2^63 bytes");
	return cell->from != NULL ? add_held(plan, cell->from, err) : 0;
}

static int
add_cell(struct lm_entity_plan *plan, const struct lm_lowered *cell, const char *path,
    struct loom_error *err)
{
	struct lm_planned *blob = &plan->blobs[plan->n_blobs];

	if (!has_blob(cell))
		return 0;
	blob->path = path;
	blob->dtype = cell->dtype;
	blob->native = blob->scaled = 1;
	blob->scale = 1;
	blob->made = cell->make != NULL ? cell : NULL;
	plan->n_blobs++;
	return add_pieces(plan, cell, err);
}

static int
add_cells(struct lm_entity_plan *plan, const struct lm_lowered *cell, const char *above,
    struct loom_error *err)
{
	const struct lm_container_row *row;
	size_t room = strlen(above) + 24 + sizeof("parallel_branches"), i;
	char *path;

	for (i = 0; cell != NULL; cell = cell->next, i++) {
		path = lm_arena_alloc(&plan->arena, room, 1, err);
		if (path == NULL)
			return -1;
		(void)snprintf(path, room, "%s.%zu", above, i);
		if (add_cell(plan, cell, path, err) < 0)
			return -1;
		row = lm_container_by_type(cell->type);
		if (row == NULL)
			continue;
		path = lm_arena_alloc(&plan->arena, room + strlen(row->key) + 1, 1, err);
		if (path == NULL)
			return -1;
		(void)snprintf(path, room + strlen(row->key) + 1, "%s.%zu.%s", above, i, row->key);
		if (add_cells(plan, cell->first, path, err) < 0)
			return -1;
	}
	return 0;
}

int
lm_lower_blobs(struct lm_entity_plan *plan, struct loom_error *err)
{
	size_t n = count_blobs(plan->lowered), slots = 0, i;

	for (i = 0; i < plan->model->n_nodes; i++)
		slots += lm_layer_slots(plan->model->nodes[i]->op);
	plan->n_blobs = plan->n_pieces = 0;
	plan->blobs = lm_arena_alloc(&plan->arena, n, sizeof(*plan->blobs), err);
	plan->pieces = lm_arena_alloc(&plan->arena, slots, sizeof(*plan->pieces), err);
	plan->held = lm_arena_alloc(&plan->arena, LM_SLOTS, sizeof(*plan->held), err);
	if (plan->blobs == NULL || plan->pieces == NULL || plan->held == NULL)
		return -1;
	for (i = 0; i < LM_SLOTS; i++)
		lm_buf_init(&plan->held[i], SIZE_MAX / 4);
	if (add_cells(plan, plan->lowered, "layers", err) < 0)
		return -1;
	return lm_entity_place_blobs(plan, err);
}

/* ---- bytes ---- */

int
lm_lower_hold(struct lm_entity_plan *plan, const struct lm_piece *piece, const void *p, size_t n,
    struct loom_error *err)
{
	return lm_buf_add(&plan->held[piece->slot], p, n, err);
}

/* The values of what is held of a node. */
static int
decode(const struct lm_entity_plan *plan, const struct lm_node *node, struct lm_lower_values *v,
    struct lm_arena *arena, struct loom_error *err)
{
	const struct lm_weight *w;
	float *f32;
	size_t i;

	v->node = node;
	for (i = 0; node != NULL && i < lm_layer_slots(node->op); i++) {
		w = &node->weight[i];
		if (plan->held[i].data == NULL)
			continue;
		if (w->count > SIZE_MAX)
			return lm_fail(err, LOOM_EUNSUPPORTED, "weights that no memory holds");
		f32 = lm_arena_alloc(arena, (size_t)w->count, sizeof(*f32), err);
		if (f32 == NULL)
			return -1;
		w->dtype->to_f32(f32, (const unsigned char *)plan->held[i].data, 0,
		    (size_t)w->count, w->scale);
		v->slot[i] = f32;
	}
	return 0;
}

static int
put_values(const float *f32, uint64_t n, struct lm_sink *sink, struct loom_error *err)
{
	unsigned char block[4096];
	size_t i, k;

	for (; n > 0; n -= k, f32 += k) {
		k = n < sizeof(block) / 4 ? (size_t)n : sizeof(block) / 4;
		for (i = 0; i < k; i++)
			lm_put_f32(block + 4 * i, f32[i]);
		if (lm_sink_write(sink, block, 4 * k, err) < 0)
			return -1;
	}
	return 0;
}

static int
make(const struct lm_entity_plan *plan, const struct lm_lowered *cell, struct lm_sink *sink,
    struct loom_error *err)
{
	struct lm_lower_values v = { 0 };
	struct lm_arena arena = { 0 };
	float *dst = NULL;
	int r = -1;

	if (cell->values > SIZE_MAX)
		(void)lm_fail(err, LOOM_EUNSUPPORTED, "weights that no memory holds");
	else if (decode(plan, cell->from, &v, &arena, err) == 0)
		dst = lm_arena_alloc(&arena, (size_t)cell->values, sizeof(*dst), err);
	if (dst != NULL)
		r = cell->make(cell, &v, dst, err);
	if (r == 0)
		r = put_values(dst, cell->values, sink, err);
	lm_arena_release(&arena);
	return r;
}

int
lm_lower_emit(struct lm_entity_plan *plan, size_t *next, size_t most, struct lm_sink *sink,
    struct loom_error *err)
{
	const struct lm_lowered *cell;
	size_t i;

	for (; *next < most; ++*next) {
		cell = plan->blobs[*next].made;
		if (cell == NULL)
			continue;
		if (make(plan, cell, sink, err) < 0)
			return -1;
		for (i = 0; cell->from != NULL && i < LM_SLOTS; i++)
			lm_buf_release(&plan->held[i]);
	}
	return 0;
}

void
lm_lower_release(struct lm_entity_plan *plan)
{
	size_t i;

	for (i = 0; plan->held != NULL && i < LM_SLOTS; i++)
		lm_buf_release(&plan->held[i]);
}
