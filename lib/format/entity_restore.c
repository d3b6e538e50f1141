/*
 * entity_restore: a checkpoint as it was, from the header that a file of another kind kept and the weights
 * that it carries.  The header says only how the bytes are laid out: the network must be the file's own.
 * Bytes of the payload that are no node's, those of layers that are switched off, stand behind the header, a
 * line each: "@OFFSET HEX".
 */
#include <stdlib.h>
#include <string.h>

#include "format/entity_parts.h"
#include "layer/weight.h"
#include "model/same.h"
#include "num/bytes.h"

enum { LENGTH_AT = 12, MOST_REST = 1 << 20 };

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
	const char *rest; /* lines of bytes that are no node's */
	size_t rest_size;
	uint64_t end; /* of the payload, as the header has it */
	struct lm_buf *why;
};

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

static size_t
count_rest(const struct restoring *r)
{
	size_t n = 0, i;

	for (i = 0; i < r->rest_size; i++)
		n += r->rest[i] == '@';
	return n;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A line: how many characters of it are understood, with its LF; 0: it is malformed. */
static size_t
read_rest(struct restoring *r, const char *line, size_t n, struct loom_error *err)
{
	struct lm_weight *w = lm_arena_alloc(&r->as->arena, 1, sizeof(*w), err);
	unsigned char *data = lm_arena_alloc(&r->as->arena, n / 2 + 1, 1, err);
	uint64_t at = 0;
	size_t i;

	if (w == NULL || data == NULL || line[0] != '@')
		return 0;
	for (i = 1; i < n && line[i] >= '0' && line[i] <= '9' && at < (uint64_t)1 << 56; i++)
		at = at * 10 + (uint64_t)(line[i] - '0');
	if (i == n || line[i++] != ' ')
		return 0;
	for (; i + 1 < n && hex_digit(line[i]) >= 0 && hex_digit(line[i + 1]) >= 0; i += 2)
		data[w->bytes++] = (unsigned char)(hex_digit(line[i]) << 4 |
		    hex_digit(line[i + 1]));
	w->dtype = lm_dtype_get(LM_U8);
	w->count = w->bytes;
	w->data = data;
	r->laid[r->n_laid].at = at;
	r->laid[r->n_laid++].weight = w;
	r->end = at + w->bytes > r->end ? at + w->bytes : r->end;
	return i < n && line[i] == '\n' ? i + 1 : i == n ? i : 0;
}

static int
lay_rest(struct restoring *r, struct loom_error *err)
{
	size_t i, n;

	for (i = 0; i < r->rest_size; i += n) {
		n = read_rest(r, r->rest + i, r->rest_size - i, err);
		if (n == 0)
			return err->code != LOOM_OK ||
				lm_buf_str(r->why, "what stands behind it is malformed", err) < 0
			    ? -1
			    : 0;
	}
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

	r->laid = lm_alloc(2 * r->as->n_nodes * LM_SLOTS + count_rest(r) + 1, sizeof(*r->laid),
	    err);
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
	return one == 1 ? lay_rest(r, err) : one;
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
put_weight(const struct lm_weight *w, struct lm_sink *sink, struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	const unsigned char *bytes;
	int r;

	if (w->data == NULL && w->view->quant == NULL && lm_weight_parts(w))
		return lm_weight_send(w, sink, err);
	bytes = lm_weight_bytes(w, &arena, err);
	r = bytes != NULL ? lm_sink_write(sink, bytes, (size_t)w->bytes, err) : -1;
	lm_arena_release(&arena);
	return r;
}

static int
write_all(const struct restoring *r, struct lm_sink *sink, struct loom_error *err)
{
	unsigned char fixed[LM_ENTITY_FIXED] = { 0 };
	int status;
	size_t i;

	memcpy(fixed, lm_entity_magic, sizeof(lm_entity_magic));
	lm_put_u16(fixed + sizeof(lm_entity_magic), 1);
	lm_put_u64(fixed + LENGTH_AT, r->size);
	status = lm_sink_write(sink, fixed, sizeof(fixed), err);
	if (status == 0)
		status = lm_sink_write(sink, r->text, r->size, err);
	for (i = 0; status == 0 && i < r->n_laid; i++)
		status = put_weight(r->laid[i].weight, sink, err);
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

/* The text is the header, and perhaps lines behind it. */
static void
cut(struct restoring *r, const char *text, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size && (text[i] != '\n' || text[i + 1] != '@'); i++)
		continue;
	r->text = text;
	r->size = i + 1 < size ? i : size;
	r->rest = text + r->size + (i + 1 < size);
	r->rest_size = i + 1 < size ? size - i - 1 : 0;
}

int
lm_entity_restore(const struct loom_model *from, const char *text, size_t size,
    struct lm_sink *sink, struct lm_buf *why, struct loom_error *err)
{
	struct restoring r = { .from = from, .why = why };
	int one = -1;

	cut(&r, text, size);
	if (lm_model_new(&r.as, from->name, err) < 0)
		return -1;
	one = restore(&r, sink, err);
	lm_free(r.laid);
	loom_model_free(r.as);
	return one;
}

/* ---- the text ---- */

/* Bytes of the payload from at to before end, as a line. */
static int
put_rest(const struct lm_entity_document *document, uint64_t at, uint64_t end, struct lm_buf *buf,
    struct loom_error *err)
{
	unsigned char byte;

	if (lm_buf_printf(buf, err, "\n@%llu ", (unsigned long long)at) < 0)
		return -1;
	for (; at < end; at++) {
		if (document->payload != NULL)
			byte = document->payload[at];
		else if (lm_source_at(document->source, document->start + at, &byte, 1, err) < 0)
			return -1;
		if (lm_buf_printf(buf, err, "%02x", byte) < 0)
			return -1;
	}
	return 0;
}

/* All between and behind the slots; nothing where that is much. */
static int
put_gaps(struct restoring *r, const struct lm_entity_document *document, struct lm_buf *buf,
    struct loom_error *err)
{
	uint64_t end = 0, next, most = 0;
	size_t i;

	qsort(r->laid, r->n_laid, sizeof(*r->laid), by_place);
	for (i = 0; i < r->n_laid; i++)
		most += r->laid[i].weight->bytes;
	if (most > document->payload_size || document->payload_size - most > MOST_REST)
		return 0;
	for (i = 0; i <= r->n_laid; i++) {
		next = i < r->n_laid ? r->laid[i].at : document->payload_size;
		if (next > end && put_rest(document, end, next, buf, err) < 0)
			return -1;
		if (i < r->n_laid)
			end = next + r->laid[i].weight->bytes;
	}
	return 0;
}

int
lm_entity_text(const struct loom_model *model, struct lm_buf *buf, struct loom_error *err)
{
	const struct lm_entity_document *document = lm_entity_document(model);
	struct restoring r = { .from = model };
	struct loom_error ignored = { 0 };
	struct lm_buf why;
	int status = 0;

	if (document == NULL || document->head == NULL)
		return 0;
	r.text = (const char *)document->head + LM_ENTITY_FIXED;
	r.size = document->head_size - LM_ENTITY_FIXED;
	if (lm_buf_add(buf, r.text, r.size, err) < 0 || lm_model_new(&r.as, model->name, err) < 0)
		return -1;
	lm_buf_init(&why, 1 << 16);
	r.why = &why;
	if (read_header(&r, &ignored) == 0 && lay_all(&r, &ignored) == 1)
		status = put_gaps(&r, document, buf, err);
	lm_buf_release(&why);
	lm_free(r.laid);
	loom_model_free(r.as);
	return status;
}
