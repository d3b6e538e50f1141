/* entity_write: checkpoints, in one pass over the weights. */
#include <math.h>
#include <string.h>

#include "format/lower.h"
#include "layer/weight.h"
#include "num/bytes.h"

struct lm_entity_writer {
	struct lm_entity_plan plan;
	struct lm_sink *sink;
	size_t next; /* piece whose bytes come next */
	size_t made; /* blobs before this one are written, of a lowered network */
	/* Types of less than a byte: the bits of the blob at hand that fill no byte yet. */
	unsigned carry, n_carry;
};

/* JSON has no text for them, and Loom would not save them either. */
static int
check_scales(const struct lm_entity_plan *plan, struct loom_error *err)
{
	const struct lm_piece *p;

	for (p = plan->pieces; p < plan->pieces + plan->n_pieces; p++)
		if (!isfinite(plan->blobs[p->blob].scale))
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s: the scale of its %s is not finite", p->node->name,
			    p->node->op->slots[p->slot].name);
	return 0;
}

/* ---- bytes ---- */

/* Bias vectors of plain files stand behind the weights: they wait here. */
static int
hold(struct lm_entity_writer *w, struct lm_planned *blob, uint64_t at, const void *p, size_t n,
    struct loom_error *err)
{
	if (blob->held == NULL)
		blob->held = lm_arena_alloc(&w->plan.arena, (size_t)blob->bytes, 1, err);
	if (blob->held == NULL)
		return -1;
	memcpy(blob->held + at, p, n);
	return 0;
}

/* So many bits of p behind those that are carried; the last piece of a blob fills its last byte. */
static int
put_bits(struct lm_entity_writer *w, const unsigned char *p, uint64_t bits, int last,
    struct loom_error *err)
{
	unsigned char byte;
	unsigned n;

	for (; bits > 0; bits -= n, p++) {
		n = bits < 8 ? (unsigned)bits : 8;
		w->carry = w->carry << n | *p >> (8 - n);
		w->n_carry += n;
		if (w->n_carry >= 8) {
			w->n_carry -= 8;
			byte = (unsigned char)(w->carry >> w->n_carry);
			w->carry &= (1u << w->n_carry) - 1;
			if (lm_sink_write(w->sink, &byte, 1, err) < 0)
				return -1;
		}
	}
	if (!last || w->n_carry == 0)
		return 0;
	byte = (unsigned char)(w->carry << (8 - w->n_carry));
	w->carry = w->n_carry = 0;
	return lm_sink_write(w->sink, &byte, 1, err);
}

/* The next n bytes of the piece at hand. */
static int
put_bytes(struct lm_entity_writer *w, struct lm_piece *piece, const void *p, size_t n,
    struct loom_error *err)
{
	struct lm_planned *blob = &w->plan.blobs[piece->blob];
	uint64_t bits = 8 * (uint64_t)n;
	int ends = piece->done + n == piece->bytes, last;

	if (blob->late)
		return hold(w, blob, piece->done, p, n, err);
	if (blob->made != NULL)
		return lm_lower_hold(&w->plan, piece, p, n, err);
	if (blob->dtype->bits >= 8)
		return lm_sink_write(w->sink, p, n, err);
	last = ends &&
	    (piece + 1 == w->plan.pieces + w->plan.n_pieces || piece[1].blob != piece->blob);
	if (ends)
		bits = piece->values * blob->dtype->bits - 8 * piece->done;
	return put_bits(w, p, bits, last, err);
}

static int
put_fill(struct lm_entity_writer *w, struct lm_piece *piece, struct loom_error *err)
{
	unsigned char block[256] = { 0 };
	size_t i, n;

	for (i = 0; piece->fill != LM_FILL_ZEROS && i < sizeof(block); i += 4)
		lm_put_f32(block + i, piece->fill == LM_FILL_ONES ? 1.0f : -0.0f);
	for (; piece->done < piece->bytes; piece->done += n) {
		n = piece->bytes - piece->done < sizeof(block)
		    ? (size_t)(piece->bytes - piece->done)
		    : sizeof(block);
		if (put_bytes(w, piece, block, n, err) < 0)
			return -1;
	}
	return 0;
}

/* To the next piece that lacks bytes of the caller's; what is made of those before it is written. */
static int
advance(struct lm_entity_writer *w, struct loom_error *err)
{
	struct lm_piece *piece;

	for (; w->next < w->plan.n_pieces; w->next++) {
		piece = &w->plan.pieces[w->next];
		if (lm_lower_emit(&w->plan, &w->made, piece->blob, w->sink, err) < 0)
			return -1;
		if (piece->fill != LM_FILL_NONE && put_fill(w, piece, err) < 0)
			return -1;
		if (piece->done < piece->bytes)
			return 0;
	}
	return lm_lower_emit(&w->plan, &w->made, w->plan.n_blobs, w->sink, err);
}

/* ---- one pass ---- */

static int
begin(struct lm_entity_writer *w, const struct loom_model *model, enum lm_entity_how how,
    struct loom_error *err)
{
	struct lm_buf head;
	int r;

	if (lm_entity_plan(&w->plan, model, how != LM_ENTITY_FULL, err) < 0 ||
	    (how == LM_ENTITY_LOWERED && lm_lower_plan(&w->plan, err) < 0) ||
	    check_scales(&w->plan, err) < 0)
		return -1;
	lm_buf_init(&head, (size_t)LM_ENTITY_HEADER * 2);
	r = lm_entity_header(&w->plan, &head, how == LM_ENTITY_FULL, err);
	if (r == 0)
		r = lm_sink_write(w->sink, head.data, head.len, err);
	lm_buf_release(&head);
	return r < 0 ? -1 : advance(w, err);
}

int
lm_entity_begin(struct lm_entity_writer **out, const struct loom_model *model, struct lm_sink *sink,
    enum lm_entity_how how, struct loom_error *err)
{
	struct lm_entity_writer *w = lm_alloc(1, sizeof(*w), err);

	*out = NULL;
	if (w == NULL)
		return -1;
	w->sink = sink;
	if (begin(w, model, how, err) < 0) {
		lm_entity_free(w);
		return -1;
	}
	*out = w;
	return 0;
}

int
lm_entity_weight(struct lm_entity_writer *w, const struct lm_node *node, size_t slot, const void *p,
    size_t n, struct loom_error *err)
{
	struct lm_piece *piece = &w->plan.pieces[w->next];

	if (n == 0)
		return 0;
	if (w->next == w->plan.n_pieces || piece->node != node || piece->slot != slot)
		return lm_fail(err, LOOM_EARG, "node %s: its %s comes out of turn", node->name,
		    node->op->slots[slot].name);
	if (n > piece->bytes - piece->done)
		return lm_fail(err, LOOM_EARG, "node %s: more bytes than its %s has", node->name,
		    node->op->slots[slot].name);
	if (put_bytes(w, piece, p, n, err) < 0)
		return -1;
	piece->done += n;
	return advance(w, err);
}

int
lm_entity_end(struct lm_entity_writer *w, struct loom_error *err)
{
	const struct lm_piece *piece = &w->plan.pieces[w->next];
	const struct lm_planned *blob;

	if (w->next < w->plan.n_pieces)
		return lm_fail(err, LOOM_EARG, "node %s: %llu bytes of its %s are missing",
		    piece->node->name, (unsigned long long)(piece->bytes - piece->done),
		    piece->node->op->slots[piece->slot].name);
	for (blob = w->plan.blobs; blob < w->plan.blobs + w->plan.n_blobs; blob++)
		if (blob->held != NULL &&
		    lm_sink_write(w->sink, blob->held, (size_t)blob->bytes, err) < 0)
			return -1;
	return 0;
}

void
lm_entity_free(struct lm_entity_writer *w)
{
	if (w == NULL)
		return;
	lm_lower_release(&w->plan);
	lm_arena_release(&w->plan.arena);
	lm_free(w);
}

/* ---- a whole model ---- */

/* Whether its bytes go from one file into the other. */
static int
as_it_is(const struct lm_entity_writer *w, const struct lm_piece *piece)
{
	const struct lm_weight *weight = &piece->node->weight[piece->slot];
	const struct lm_planned *blob = &w->plan.blobs[piece->blob];

	return weight->data == NULL && weight->view->quant == NULL && lm_weight_parts(weight) &&
	    !blob->late && blob->made == NULL && weight->bytes == piece->bytes &&
	    piece == &w->plan.pieces[w->next];
}

static int
pass(struct lm_entity_writer *w, const struct lm_weight *weight, struct loom_error *err)
{
	if (lm_weight_send(weight, w->sink, err) < 0)
		return -1;
	w->plan.pieces[w->next].done = weight->bytes;
	return advance(w, err);
}

static int
write_piece(struct lm_entity_writer *w, const struct lm_piece *piece, struct loom_error *err)
{
	const struct lm_weight *weight = &piece->node->weight[piece->slot];
	struct lm_arena arena = { 0 };
	const unsigned char *bytes;
	int r = -1;

	if (!lm_weight_there(weight) && weight->bytes > 0)
		return lm_fail(err, LOOM_EARG, "node %s: its %s has no data", piece->node->name,
		    piece->node->op->slots[piece->slot].name);
	if (weight->bytes == 0)
		return 0;
	if (as_it_is(w, piece))
		return pass(w, weight, err);
	bytes = lm_weight_bytes(weight, &arena, err);
	if (bytes != NULL)
		r = lm_entity_weight(w, piece->node, piece->slot, bytes, (size_t)weight->bytes,
		    err);
	lm_arena_release(&arena);
	return r;
}

static int
write_weights(struct lm_entity_writer *w, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < w->plan.n_pieces; i++)
		if (w->plan.pieces[i].fill == LM_FILL_NONE &&
		    write_piece(w, &w->plan.pieces[i], err) < 0)
			return -1;
	return lm_entity_end(w, err);
}

/* The bytes after the header as they were read. */
static int
copy_payload(const struct lm_entity_document *document, struct lm_sink *sink,
    struct loom_error *err)
{
	if (document->payload != NULL || document->payload_size == 0)
		return lm_sink_write(sink, document->payload, document->payload_size, err);
	return lm_source_send(document->source, document->start, document->payload_size, sink, err);
}

int
lm_entity_save(const struct loom_model *model, struct lm_sink *sink, enum lm_entity_how how,
    struct loom_error *err)
{
	const struct lm_entity_document *document = lm_entity_document(model);
	struct lm_entity_writer *w;
	int r;

	if (document != NULL && document->head != NULL &&
	    (how == LM_ENTITY_FULL || (how == LM_ENTITY_PLAIN && !document->bridge))) {
		if (lm_sink_write(sink, document->head, document->head_size, err) < 0)
			return -1;
		return copy_payload(document, sink, err);
	}
	if (lm_entity_begin(&w, model, sink, how, err) < 0)
		return -1;
	r = write_weights(w, err);
	lm_entity_free(w);
	return r;
}
