/*
 * recurrent: what rnn and lstm share: shapes, weights side by side, the walk along a sequence.
 * A cell adds its number of gates and what becomes of their sums.
 */
#ifndef LAYER_RECURRENT_H
#define LAYER_RECURRENT_H

#include "layer/layer.h"

/* The first parameters of both. */
enum { LM_INPUT, LM_HIDDEN, LM_BIASES, LM_DIRECTION, LM_ORDER, LM_RECURRENT_PARAMS };

extern const char *const lm_directions[]; /* forward, backward */
extern const char *const lm_orders[];	  /* time, reversed */

#define LM_RECURRENT_PARAMETERS                                               \
	[LM_INPUT] = { "input_size", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },       \
	[LM_HIDDEN] = { "hidden_size", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },     \
	[LM_BIASES] = { "biases", LM_IS_SIZE, 0, 2, NULL, 0 },                \
	[LM_DIRECTION] = { "direction", LM_IS_ENUM, 0, 1, lm_directions, 0 }, \
	[LM_ORDER] = { "order", LM_IS_ENUM, 0, 1, lm_orders, 0 }

/* Gate g has slots 3g, 3g+1, 3g+2: W, U, b; after those of all gates come the second biases. */
#define LM_SLOT_W "hi", { LM_HIDDEN, LM_INPUT }, 0, 0, 0, 0
#define LM_SLOT_U "hu", { LM_HIDDEN, LM_HIDDEN }, 0, 0, 0, 0
#define LM_SLOT_B "h", { LM_HIDDEN }, 1 + LM_BIASES, 0, 0, 1
#define LM_SLOT_B2 "h", { LM_HIDDEN }, 1 + LM_BIASES, 0, 0, 2

/* An operation's row. */
struct lm_cell {
	size_t gates;
	/*
	 * One sample, units from..to-1: z holds the sums of all gates, gate after gate, and may be
	 * used up; h gets the new state.  memory is a binary64 state beside h, for cells that have one.
	 */
	void (*update)(const struct lm_call *, float *z, float *h, double *memory, size_t from,
	    size_t to);
};

int lm_recurrent_check(const struct lm_node *, struct loom_error *);
int lm_recurrent_shape(const struct lm_shaping *, struct loom_error *);
int lm_recurrent_prepare(struct lm_preparing *, struct loom_error *);
int lm_recurrent_plan(const struct lm_shaping *, size_t *scratch, struct loom_error *);
int lm_recurrent_forward(const struct lm_call *, struct loom_error *);

#endif
