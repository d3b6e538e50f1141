/*
 * layer: what an operation is.  Its parameters and weights are data, which readers, writers, dump and
 * tests walk; what it does are a few functions.  One file and one row of layers.def each.
 */
#ifndef LAYER_LAYER_H
#define LAYER_LAYER_H

#include "base/pool.h"
#include "layer/layout.h"
#include "num/kernel.h"

enum { LM_PARAMS = 24, LM_SLOTS = 16, LM_MANY = 65535 };

/* ---- parameters ---- */

enum lm_param_kind {
	LM_IS_SIZE,  /* an extent, least..most */
	LM_IS_INT,   /* a signed integer, least..most */
	LM_IS_REAL,  /* a binary64 */
	LM_IS_MAYBE, /* a binary64, or null, which is a NaN: the operation's own rule holds */
	LM_IS_FLAG,  /* true or false */
	LM_IS_ENUM,  /* one of names */
	LM_IS_INTS,  /* a list of integers, each least..most */
	LM_IS_DIMS   /* a list of dimensions */
};

struct lm_param {
	const char *key; /* NULL ends the list */
	enum lm_param_kind kind;
	int64_t least, most;
	const char *const *names; /* of an LM_IS_ENUM, ended by NULL */
	unsigned count;		  /* entries of a list; 0: any number */
};

union lm_value {
	int64_t i;	     /* LM_IS_SIZE, LM_IS_INT, LM_IS_FLAG, LM_IS_ENUM (index into names) */
	double real;	     /* LM_IS_REAL, LM_IS_MAYBE */
	struct lm_dims dims; /* LM_IS_INTS, LM_IS_DIMS */
};

/* ---- weights ---- */

struct lm_slot {
	const char *name; /* NULL ends the list */
	const char *axes; /* canonical order, a letter each: "oi" */
	int size[4];	  /* the LM_IS_SIZE parameter that each axis is; unless slot_shape says */
	int when;	  /* 1 + the parameter that says it is there; 0: always */
	int whole;	  /* 1 + the LM_IS_INTS parameter that is its whole shape; 0: size[] is */
	int any;	  /* int64 and bool stay what they are in a run; 0: all become float32 */
	int least;	  /* of the parameter when, for the slot to be there; 0 means 1 */
};

/* A stored array: packed little-endian elements of dtype, canonical axes, at any alignment. */
struct lm_weight {
	const struct lm_dtype *dtype;	/* NULL: the slot is not there */
	const unsigned char *data;	/* NULL until it is read; owned by the model */
	const struct lm_view *view;	/* where data is NULL: in a file that is read by windows */
	uint64_t first;			/* elements of data before the slot's own */
	uint64_t count, bytes;		/* of the slot alone */
	float scale;			/* of dtypes that have one, else 1 */
	const char *source;		/* its name where it came from, or NULL */
	const struct lm_layout *layout; /* where in the array of that name it lies, or NULL */
	const char *const *aliases;	/* more names of that array, ended by NULL; or NULL */
	const char *digest;		/* SHA-256 as it travelled, or NULL */
	const struct lm_weight *same;	/* the tensor it is tied to, or NULL */
};

/* ---- nodes ---- */

#define LM_ABSENT SIZE_MAX /* an optional input that is not given */

struct lm_node {
	const char *name;
	const struct lm_layer_ops *op;
	const char
	    *cell; /* path of the Loom cell it is, or belongs to as its activation; or NULL */
	size_t n_in, n_out;
	size_t *in, *out; /* tensors of the model */
	union lm_value param[LM_PARAMS];
	struct lm_weight weight[LM_SLOTS];
};

/* ---- what an operation does ---- */

struct lm_shaping {
	const struct lm_node *node;
	const struct lm_shape *in; /* n_in of them; rank 0 and dtype NULL where absent */
	struct lm_shape *out;
	const struct lm_sizes *sizes;
};

/* Weights as a run wants them, made once per run. */
struct lm_prepared {
	const lm_f32u *f32; /* the slot's values, where it holds real numbers */
	struct lm_matrix
	    matrix;	 /* the same as a factor of products, where the operation asked for it */
	const void *raw; /* integers and flags */
	/* Of rows that are the left factor of products, where the operation has such: */
	const double *norm, *tiles;
};

struct lm_preparing {
	const struct lm_node *node;
	struct lm_prepared *slot;
	const struct lm_kernels *kernels;
	struct lm_arena *arena; /* lives as long as the run */
};

struct lm_array {
	const struct lm_shape *shape;
	void *data; /* aligned to 64 bytes, but inputs of the run, which may lie anywhere */
};

struct lm_call {
	const struct lm_node *node;
	const struct lm_array *in, *out;
	const struct lm_prepared *slot;
	const struct lm_kernels *kernels;
	struct lm_pool *pool;
	struct lm_counts *counts;     /* one per worker */
	void *scratch;		      /* what plan asked for, worker after worker */
	void *room;		      /* kernels->room bytes for each worker */
	const struct lm_sizes *sizes; /* as shape had them */
	/* In a run whose sequences come in pieces: what keep asked for, and how many positions are over. */
	void *kept;
	size_t positions, before; /* positions: as keep had them */
};

struct lm_pieces; /* pieces.h */

struct lm_layer_ops {
	const char *name; /* in checkpoints, streams and messages; also the file's or the row's */
	int cell;	  /* Loom's layer type, or -1: ours alone */
	int activation;	  /* Loom's activation that this is, or LM_NO_ACTIVATION */
	unsigned in_least, in_most, out_least, out_most;
	const char *about; /* the formula, for loom-list */
	struct lm_param params[LM_PARAMS];
	struct lm_slot slots[LM_SLOTS];
	const void *row; /* where a family of operations differs: its row */
	/* Do the parameters fit each other?  NULL: any do. */
	int (*check)(const struct lm_node *, struct loom_error *);
	/* Rank and extents of slots that are no single parameters.  NULL: size[] says. */
	void (*slot_shape)(const struct lm_node *, size_t slot, struct lm_shape *);
	/* Input shapes to output shapes, or a message: lm_fail_input. */
	int (*shape)(const struct lm_shaping *, struct loom_error *);
	/* What the weights must become before a run.  NULL: lm_prepare_slots. */
	int (*prepare)(struct lm_preparing *, struct loom_error *);
	/* Rows that the matrix of a slot meets in a run with these shapes.  NULL: there are none. */
	size_t (*rows)(const struct lm_shaping *, size_t slot);
	/* Bytes of scratch that each worker wants for these shapes.  NULL: none. */
	int (*plan)(const struct lm_shaping *, size_t *scratch, struct loom_error *);
	/*
	 * Where sequences come in pieces: does each position go its own way, or with those before it that
	 * the operation keeps?  NULL: no.
	 */
	int (*pieces)(const struct lm_pieces *);
	/*
	 * Instead of plan where sequences of at most so many positions come in pieces: what is kept from
	 * piece to piece, too.  NULL: nothing.
	 */
	int (*keep)(const struct lm_shaping *, size_t positions, size_t *kept, size_t *scratch,
	    struct loom_error *);
	/* Allocates nothing.  Fails only where integers overflow. */
	int (*forward)(const struct lm_call *, struct loom_error *);
};

#define LM_NO_ACTIVATION (-100)

/* ---- the table ---- */

const struct lm_layer_ops *lm_layer_find(const char *name); /* NULL: there is none */
const struct lm_layer_ops *lm_layer_at(size_t i);	    /* NULL: past the end */
const struct lm_layer_ops *lm_layer_cell(int loom_type);
const struct lm_layer_ops *lm_layer_activation(int loom_activation);
/* "dense, relu, ..." for messages; returns dst. */
char *lm_layer_names(char *dst, size_t size);

/* ---- walks over parameters and slots ---- */

size_t lm_layer_params(const struct lm_layer_ops *);
size_t lm_layer_slots(const struct lm_layer_ops *);
int lm_layer_param(const struct lm_layer_ops *, const char *key); /* index, -1 */
int lm_layer_slot(const struct lm_layer_ops *, const char *name); /* index, -1 */
/* Is the parameter's value within its bounds?  A message with the node's name if not. */
int lm_param_check(const struct lm_node *, size_t param, struct loom_error *) LOOM_MUST_CHECK;
/* 1 when this node must have that slot, given its parameters. */
int lm_slot_wanted(const struct lm_node *, size_t slot);
/* Canonical extents of a slot (dtype is the weight's, or NULL). */
int lm_slot_shape(const struct lm_node *, size_t slot, struct lm_shape *,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- for the operations' own files ---- */

/* "layer net.0 (dense): input x ...": found is shown after the message.  Always -1. */
int lm_fail_input(const struct lm_shaping *, size_t input, struct loom_error *, const char *fmt,
    ...) LM_PRINTF(4, 5);
/* Values as float32, or raw where the slot keeps integers and flags: the default of prepare. */
int lm_prepare_slots(struct lm_preparing *, struct loom_error *) LOOM_MUST_CHECK;
/* The slot's values become n rows of k of a matrix. */
void lm_prepare_matrix(struct lm_preparing *, size_t slot, size_t n, size_t k);
/* What a worker gives to kernels->product. */
void *lm_call_room(const struct lm_call *, int worker);
/* The input must be float32. */
int lm_want_f32(const struct lm_shaping *, size_t input, struct loom_error *) LOOM_MUST_CHECK;
/* 0..rank-1 from an axis that may count from the end. */
int lm_axis(const struct lm_shaping *, size_t input, int64_t axis, unsigned *out,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
