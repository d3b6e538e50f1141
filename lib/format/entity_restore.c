/*
 * entity_restore: a checkpoint as it was, from the header that a file of another kind kept and the weights
 * that it carries.  The header says only how the bytes are laid out: the network must be the file's own.
 */
#include <stdlib.h>
#include <string.h>

#include "format/entity_parts.h"
#include "layer/weight.h"
#include "model/same.h"
#include "num/bytes.h"

enum { LENGTH_AT = 12 };

/* A slot and its place in the payload. */
struct laid {
	uint64_t at;
	const struct lm_weight *weight;
};

struct restoring {
	const struct loom_model *from;
	struct loom_model *as; /* what the header says, its weights being the other's */
	const char *text;
	size_t size;
	struct laid *laid;
	size_t n_laid;
	const struct lm_entity_filling *fillings;
	uint64_t end; /* of the payload, as the header has it */
	struct lm_buf *why;
};

int
lm_entity_text(const struct loom_model *model, struct lm_buf *buf, struct loom_error *err)
{
	const struct lm_entity_document *document = lm_entity_document(model);

	if (document == NULL || document->head == NULL)
		return 0;
	return lm_buf_add(buf, document->head + LM_ENTITY_FIXED,
	    document->head_size - LM_ENTITY_FIXED, err);
}

/* ---- the header's network ---- */

/* Where the last blob ends. */
static uint64_t
find_end(json_t *blobs)
{
	uint64_t end = 0, at;
	json_t *blob;
	size_t i;

	json_array_foreach(blobs, i, blob) {
		at = (uint64_t)json_integer_value(json_object_get(blob, "offset")) +
		    (uint64_t)json_integer_value(json_object_get(blob, "length"));
		end = at > end ? at : end;
	}
	return end;
}

static int
read_header(struct restoring *r, struct loom_error *err)
{
	struct lm_entity entity = { .model = r->as,
		.bare = 1,
		.placed = 1,
		.payload_size = SIZE_MAX / 4 };
	int status = -1;

	if (lm_json_parse(&entity.root, r->text, r->size, err) == 0 &&
	    lm_entity_read_network(&entity, err) == 0 && lm_entity_read_blobs(&entity, err) == 0)
		status = entity.bridge != NULL ? lm_bridge_read(&entity, err)
					       : lm_entity_read_plain(&entity, err);
	r->fillings = entity.fillings;
	r->end = find_end(json_object_get(entity.root, "blobs"));
	json_decref(entity.root);
	return status < 0 ? -1 : lm_model_check(r->as, err);
}

/* The slot is laid where the header wants it, with the bytes that the other network has. */
static int
lay(struct restoring *r, struct lm_weight *to, const struct lm_weight *from, struct loom_error *err)
{
	const struct lm_view *place = to->view;

	if (to->dtype != from->dtype || to->count != from->count || to->dtype->bits < 8 ||
	    (to->dtype->scaled && lm_bits32(to->scale) != lm_bits32(from->scale)))
		return lm_buf_str(r->why, "its weights are of another type", err) < 0 ? -1 : 0;
	r->laid[r->n_laid].at = place->offset + place->first * (to->dtype->bits / 8);
	r->laid[r->n_laid++].weight = to;
	to->data = from->data;
	to->view = from->view;
	to->first = from->first;
	return 1;
}

static int
lay_all(struct restoring *r, struct loom_error *err)
{
	const struct loom_model *m = r->from;
	struct lm_weight *to;
	const struct lm_weight *from;
	const struct lm_entity_filling *f;
	size_t i, k;
	int one = 1;

	r->laid = lm_alloc(2 * r->as->n_nodes * LM_SLOTS + 1, sizeof(*r->laid), err);
	if (r->laid == NULL)
		return -1;
	for (i = 0; i < m->n_nodes && i < r->as->n_nodes; i++)
		for (k = 0; one == 1 && k < LM_SLOTS; k++) {
			to = &r->as->nodes[i]->weight[k];
			from = &m->nodes[i]->weight[k];
			while (from->same != NULL)
				from = from->same;
			/* What the header itself means, a factor of a mean, has no place. */
			if (to->dtype != NULL && to->same == NULL && to->view != NULL)
				one = lay(r, to, from, err);
		}
	for (f = r->fillings; f != NULL; f = f->next) {
		r->laid[r->n_laid].at = f->at;
		r->laid[r->n_laid++].weight = &f->weight;
	}
	return one;
}

/* ---- the payload ---- */

static int
by_place(const void *a, const void *b)
{
	const struct laid *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* No byte of it is anything but a slot's. */
static int
check_tiles(struct restoring *r, struct loom_error *err)
{
	uint64_t end = 0;
	size_t i;

	qsort(r->laid, r->n_laid, sizeof(*r->laid), by_place);
	for (i = 0; i < r->n_laid; i++) {
		if (r->laid[i].at != end)
			return lm_buf_str(r->why, "it had bytes that are no weights", err) < 0 ? -1
											       : 0;
		end += r->laid[i].weight->bytes;
	}
	if (end != r->end)
		return lm_buf_str(r->why, "it had bytes that are no weights", err) < 0 ? -1 : 0;
	return 1;
}

static int
write_all(const struct restoring *r, struct lm_sink *sink, struct loom_error *err)
{
	unsigned char fixed[LM_ENTITY_FIXED] = { 0 };
	const unsigned char *bytes;
	struct lm_arena arena = { 0 };
	int status;
	size_t i;

	memcpy(fixed, lm_entity_magic, sizeof(lm_entity_magic));
	lm_put_u16(fixed + sizeof(lm_entity_magic), 1);
	lm_put_u64(fixed + LENGTH_AT, r->size);
	status = lm_sink_write(sink, fixed, sizeof(fixed), err);
	if (status == 0)
		status = lm_sink_write(sink, r->text, r->size, err);
	for (i = 0; status == 0 && i < r->n_laid; i++) {
		bytes = lm_weight_bytes(r->laid[i].weight, &arena, err);
		status = bytes == NULL
		    ? -1
		    : lm_sink_write(sink, bytes, (size_t)r->laid[i].weight->bytes, err);
		lm_arena_release(&arena);
	}
	return status < 0 ? -1 : 1;
}

static int
restore(struct restoring *r, struct lm_sink *sink, struct loom_error *err)
{
	struct loom_error why = { 0 };
	int one;

	if (read_header(r, &why) < 0)
		return why.code == LOOM_ENOMEM ? lm_fail(err, LOOM_ENOMEM, "%s", why.text)
		    : lm_buf_str(r->why, why.text, err) < 0 ? -1
							    : 0;
	one = lay_all(r, err);
	if (one == 1)
		one = lm_same_network(r->as, r->from, r->why, err);
	if (one == 1)
		one = check_tiles(r, err);
	return one == 1 ? write_all(r, sink, err) : one;
}

int
lm_entity_restore(const struct loom_model *from, const char *text, size_t size,
    struct lm_sink *sink, struct lm_buf *why, struct loom_error *err)
{
	struct restoring r = { .from = from, .text = text, .size = size, .why = why };
	int one = -1;

	if (lm_model_new(&r.as, from->name, err) < 0)
		return -1;
	one = restore(&r, sink, err);
	lm_free(r.laid);
	loom_model_free(r.as);
	return one;
}
