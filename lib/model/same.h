/* same: are two networks one?  Node for node and weight for weight, and by the bits they compute. */
#ifndef MODEL_SAME_H
#define MODEL_SAME_H

#include "base/buf.h"
#include "model/model.h"

/*
 * 1: they have the same inputs, nodes in the same order with the same parameters and inputs, and weights
 * of the same values, as a run takes them; 0, and why in one line without newline; -1.  Names do not
 * count.  A weight of b that is stored in a narrower type than a's must be a's rounded to it.
 */
int lm_same_network(const struct loom_model *a, const struct loom_model *b, struct lm_buf *why,
    struct loom_error *) LOOM_MUST_CHECK;

/*
 * 1: on made-up inputs, the same in every run, both compute the same bits; 0, and why; -1.  The sizes of
 * named dimensions are small; what the network refuses for all of them cannot be run.
 */
int lm_same_bits(const struct loom_model *a, const struct loom_model *b, struct lm_buf *why,
    struct loom_error *) LOOM_MUST_CHECK;

/* Made-up inputs for a network, the same in every run, and what it makes of them. */
struct lm_made {
	struct lm_arena arena;
	size_t n_inputs, n_outputs;
	struct loom_tensor *inputs, *outputs;
	struct loom_run *run;
};
int lm_made_inputs(struct lm_made *, const struct loom_model *,
    struct loom_error *) LOOM_MUST_CHECK;
void lm_made_release(struct lm_made *);

#endif
