/*
 * past: a run whose sequences come in pieces: where positions lie in each value, whether every node can
 * do with that, and what nodes keep from piece to piece.
 */
#ifndef MODEL_PAST_H
#define MODEL_PAST_H

#include "model/model.h"

struct lm_past {
	uint64_t most;		/* positions of a sequence; 0: sequences come whole */
	uint64_t before, piece; /* positions that are over, and of the piece at hand */
	struct lm_arena arena;
	struct lm_shape
	    *begun;   /* shapes of the inputs of the sequences' first piece, without positions */
	unsigned *at; /* the axis along which positions lie, of each value; LM_NOWHERE: none */
	void **kept;  /* of each node */
};

/* The axis along which positions lie in an input: the last but one, of integers and flags the last. */
unsigned lm_past_axis(const struct loom_model *, size_t input, unsigned rank);

void lm_past_release(struct lm_past *);
/* New sequences begin, which may have other shapes. */
void lm_past_forget(struct lm_past *);
/* Do these inputs go on with the sequences that came before, and is there room for them? */
int lm_past_go_on(struct lm_past *, const struct loom_model *, const struct lm_shape *inputs,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * For inputs of the shapes that sequences begin with: does every node go in pieces?  Then, from what
 * nodes need, room for what they keep.
 */
int lm_past_begin(struct lm_past *, const struct loom_model *, const struct lm_shape *inputs,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_past_keep(struct lm_past *, const struct loom_model *, const struct lm_needs *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
