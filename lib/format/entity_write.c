/* entity_write: checkpoints, in one pass over the weights. */
#include <math.h>
#include <string.h>

#include "format/entity_plan.h"

struct lm_entity_writer {
	struct lm_entity_plan plan;
	struct lm_sink *sink;
	size_t next; /* blob whose bytes come next */
};

static const struct lm_weight *
weight_of(const struct lm_planned *blob)
{
	return &blob->node->weight[blob->slot];
}

static void
skip_complete(struct lm_entity_writer *w)
{
	while (w->next < w->plan.n_blobs &&
	    w->plan.blobs[w->next].done == weight_of(&w->plan.blobs[w->next])->bytes)
		w->next++;
}

/* JSON has no text for them, and Loom would not save them either. */
static int
check_scales(const struct lm_entity_plan *plan, struct loom_error *err)
{
	const struct lm_weight *w;
	size_t i;

	for (i = 0; i < plan->n_blobs; i++) {
		w = weight_of(&plan->blobs[i]);
		if (!isfinite(w->scale))
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s: the scale of its %s is not finite", plan->blobs[i].node->name,
			    plan->blobs[i].node->op->slots[plan->blobs[i].slot].name);
	}
	return 0;
}

static int
begin(struct lm_entity_writer *w, const struct loom_model *model, int plain, struct loom_error *err)
{
	struct lm_buf head;
	int r;

	if (lm_entity_plan(&w->plan, model, plain, err) < 0 || check_scales(&w->plan, err) < 0)
		return -1;
	lm_buf_init(&head, (size_t)LM_ENTITY_HEADER * 2);
	r = lm_entity_header(&w->plan, &head, !plain, err);
	if (r == 0)
		r = lm_sink_write(w->sink, head.data, head.len, err);
	lm_buf_release(&head);
	skip_complete(w);
	return r;
}

int
lm_entity_begin(struct lm_entity_writer **out, const struct loom_model *model, struct lm_sink *sink,
    int plain, struct loom_error *err)
{
	struct lm_entity_writer *w = lm_alloc(1, sizeof(*w), err);

	*out = NULL;
	if (w == NULL)
		return -1;
	w->sink = sink;
	if (begin(w, model, plain, err) < 0) {
		lm_entity_free(w);
		return -1;
	}
	*out = w;
	return 0;
}

/* Bias vectors of plain files stand behind the weights: they wait here. */
static int
hold(struct lm_entity_writer *w, struct lm_planned *blob, const void *p, size_t n,
    struct loom_error *err)
{
	if (blob->held == NULL)
		blob->held = lm_arena_alloc(&w->plan.arena, (size_t)weight_of(blob)->bytes, 1, err);
	if (blob->held == NULL)
		return -1;
	memcpy(blob->held + blob->done, p, n);
	return 0;
}

int
lm_entity_weight(struct lm_entity_writer *w, const struct lm_node *node, size_t slot, const void *p,
    size_t n, struct loom_error *err)
{
	struct lm_planned *blob = &w->plan.blobs[w->next];

	if (n == 0)
		return 0;
	if (w->next == w->plan.n_blobs || blob->node != node || blob->slot != slot)
		return lm_fail(err, LOOM_EARG, "node %s: its %s comes out of turn", node->name,
		    node->op->slots[slot].name);
	if (n > weight_of(blob)->bytes - blob->done)
		return lm_fail(err, LOOM_EARG, "node %s: more bytes than its %s has", node->name,
		    node->op->slots[slot].name);
	if ((blob->late ? hold(w, blob, p, n, err) : lm_sink_write(w->sink, p, n, err)) < 0)
		return -1;
	blob->done += n;
	skip_complete(w);
	return 0;
}

int
lm_entity_end(struct lm_entity_writer *w, struct loom_error *err)
{
	const struct lm_planned *blob = &w->plan.blobs[w->next];
	size_t i;

	if (w->next < w->plan.n_blobs)
		return lm_fail(err, LOOM_EARG, "node %s: %llu bytes of its %s are missing",
		    blob->node->name, (unsigned long long)(weight_of(blob)->bytes - blob->done),
		    blob->node->op->slots[blob->slot].name);
	for (i = 0; i < w->plan.n_blobs; i++) {
		blob = &w->plan.blobs[i];
		if (blob->held != NULL &&
		    lm_sink_write(w->sink, blob->held, (size_t)blob->done, err) < 0)
			return -1;
	}
	return 0;
}

void
lm_entity_free(struct lm_entity_writer *w)
{
	if (w == NULL)
		return;
	lm_arena_release(&w->plan.arena);
	lm_free(w);
}

/* ---- a whole model ---- */

static int
write_weights(struct lm_entity_writer *w, struct loom_error *err)
{
	const struct lm_weight *weight;
	const struct lm_planned *blob;
	size_t i;

	for (i = 0; i < w->plan.n_blobs; i++) {
		blob = &w->plan.blobs[i];
		weight = weight_of(blob);
		if (weight->data == NULL && weight->bytes > 0)
			return lm_fail(err, LOOM_EARG, "node %s: its %s has no data",
			    blob->node->name, blob->node->op->slots[blob->slot].name);
		if (lm_entity_weight(w, blob->node, blob->slot, weight->data, (size_t)weight->bytes,
			err) < 0)
			return -1;
	}
	return lm_entity_end(w, err);
}

int
lm_entity_save(const struct loom_model *model, struct lm_sink *sink, int plain,
    struct loom_error *err)
{
	const struct lm_entity_document *document = lm_entity_document(model);
	struct lm_entity_writer *w;
	int r;

	if (document != NULL && document->head != NULL && !(plain && document->bridge)) {
		if (lm_sink_write(sink, document->head, document->head_size, err) < 0)
			return -1;
		return lm_sink_write(sink, document->payload, document->payload_size, err);
	}
	if (lm_entity_begin(&w, model, sink, plain, err) < 0)
		return -1;
	r = write_weights(w, err);
	lm_entity_free(w);
	return r;
}
