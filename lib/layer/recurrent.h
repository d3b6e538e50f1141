/*
 * recurrent: what rnn, lstm and gru share: shapes, weights side by side, the walk along a sequence.
 * A cell adds its number of gates and what becomes of their sums.
 */
#ifndef LAYER_RECURRENT_H
#define LAYER_RECURRENT_H

#include "layer/layer.h"

/* The first parameters of all. */
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

/* How a step comes to the sum of the last gate; those of all others are of inputs and state. */
enum lm_last_gate {
	LM_LAST_JOINT, /* like the others */
	LM_LAST_SPLIT, /* two: of the inputs and b, and of the state and b2 */
	LM_LAST_LATE   /* of the inputs and what the cell makes of the state by its other gates */
};

/* A sample on its way through a step. */
struct lm_stepping {
	float *z; /* the sums of all gates, pitch apart: may be used up */
	size_t pitch;
	const float
	    *inputs; /* where the last gate is split its sum of inputs; z has that of the state */
	const float *before; /* the state */
	float *other;	     /* instead of it, where the last gate is late */
	float *h;	     /* the new state */
	double *memory;	     /* a binary64 state beside h, for cells that have one */
};

/* What becomes of sums, of units from..to-1. */
typedef void lm_cell_units(const struct lm_call *, const struct lm_stepping *, size_t from,
    size_t to);

/* An operation's row. */
struct lm_cell {
	size_t gates;
	lm_cell_units *update;				   /* makes h */
	lm_cell_units *reset;				   /* makes other; or NULL */
	enum lm_last_gate (*last)(const struct lm_node *); /* NULL: joint */
};

int lm_recurrent_check(const struct lm_node *, struct loom_error *);
int lm_recurrent_shape(const struct lm_shaping *, struct loom_error *);
int lm_recurrent_prepare(struct lm_preparing *, struct loom_error *);
size_t lm_recurrent_rows(const struct lm_shaping *, size_t slot);
int lm_recurrent_plan(const struct lm_shaping *, size_t *scratch, struct loom_error *);
int lm_recurrent_forward(const struct lm_call *, struct loom_error *);

/* ---- between recurrent.c and recurrent_walk.c ---- */

enum { LM_SEQ, LM_H0, LM_C0 };	  /* inputs; behind the states stand the lengths */
enum { LM_Y, LM_H_N, LM_C_N };	  /* outputs */
enum { LM_FORWARD, LM_BACKWARD }; /* directions */
enum { LM_IN_TIME, LM_REVERSED }; /* orders */
enum { LM_GATE_W, LM_GATE_U, LM_GATE_B, LM_PER_GATE }; /* slots of a gate */

const struct lm_cell *lm_recurrent_cell(const struct lm_node *);
enum lm_last_gate lm_recurrent_last(const struct lm_node *);
/* The input with the lengths of the samples. */
size_t lm_recurrent_lengths(const struct lm_node *);
/* From the row of one gate's first unit to the next gate's: whole panels. */
size_t lm_recurrent_pitch(const struct lm_node *);
/* The slot of the first gate's second bias. */
size_t lm_recurrent_second(const struct lm_node *);

/*
 * After lm_recurrent_prepare the slots of the first gate have those of all, pitch apart and with zeros
 * between: W as a matrix of rows [W, U], U as raw what follows, b, and the slot above the second biases.
 */
struct lm_apart {
	struct lm_matrix w, u; /* norms of u: those of [W, U], where both are one sum */
};

#endif
