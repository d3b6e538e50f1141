/*
 * lower: a network as layers of plain Loom, for an unmodified Loom to compute.
 *
 * What Loom's layers have no place for (a bias, an eps, a skip over a block, no rotation) is made of
 * layers that it has; lower.def lists how.  The weights of a node that is made anew are held until all
 * are there; all others pass through.
 */
#ifndef FORMAT_LOWER_H
#define FORMAT_LOWER_H

#include "base/buf.h"
#include "format/entity_plan.h"

/* The values of a node's weights; NULL: the node does not have that one. */
struct lm_lower_values {
	const struct lm_node *node;
	const float *slot[LM_SLOTS];
};

struct lm_lowered;
/* Values of a layer's blob; dst has room for them and is zeroed. */
typedef int lm_lower_make(const struct lm_lowered *, const struct lm_lower_values *, float *dst,
    struct loom_error *);

enum { LM_LOWER_NUMBERS = 14 };

/* A layer of the file. */
struct lm_lowered {
	const char *type, *activation;
	const char *combine; /* of branches */
	const struct lm_dtype *dtype;
	/* The node whose numbers its spec states where these do not; NULL: these are all. */
	const struct lm_node *like;
	const struct lm_cell_row *row;
	struct lm_cell_number number[LM_LOWER_NUMBERS];
	size_t n_numbers;
	struct lm_lowered *first, *last, *next; /* the layers within it, and the one behind it */
	/* Its blob: as the node of like has it, or values that are made of the weights of from. */
	lm_lower_make *make;
	const struct lm_node *from; /* NULL: of nothing */
	uint64_t values;
	uint64_t repeat; /* for make: how often, where, and what */
	double factor;
};

struct lm_lower_item {
	struct lm_lowered *cell;
	size_t value;		    /* that it reads */
	const struct lm_node *node; /* the last that it stands for */
};

/* The way from the input: the layers so far, and what the last of them makes. */
struct lm_lower {
	struct lm_entity_plan *plan;
	struct lm_lower_item *items;
	size_t n_items;
	size_t *root;	   /* by value: the first one whose numbers lie in memory in the same way */
	size_t value;	   /* at hand */
	uint64_t first[2]; /* extent of Loom's first axis there, in both trials */
	int flat;	   /* there Loom's other axes are one */
	struct loom_error *err;
};

/* The plan of a file without the bridge section that an unmodified Loom computes, or what cannot be. */
int lm_lower_plan(struct lm_entity_plan *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- lower.def ---- */

enum { LM_LOWER_PARAMS = 4 };

struct lm_lower_row {
	const char *op;
	/* Layers for the node, which reads the value at hand; NULL where something fails. */
	struct lm_lowered *(*build)(struct lm_lower *, const struct lm_node *);
	const char *params[LM_LOWER_PARAMS]; /* that Loom has no place for, and build has */
};

const struct lm_lower_row *lm_lower_row(const char *op); /* NULL: there is none */
/* Operations of two values, one of which is what a block of layers read. */
int lm_lower_is_skip(const char *op);

struct lm_lowered *lm_lower_dense(struct lm_lower *, const struct lm_node *);
struct lm_lowered *lm_lower_conv(struct lm_lower *, const struct lm_node *);
struct lm_lowered *lm_lower_transposed(struct lm_lower *, const struct lm_node *);
struct lm_lowered *lm_lower_norm(struct lm_lower *, const struct lm_node *);
struct lm_lowered *lm_lower_attention(struct lm_lower *, const struct lm_node *);
struct lm_lowered *lm_lower_recurrent(struct lm_lower *, const struct lm_node *);

/* ---- for the builders ---- */

/* The node itself, with its blob, as Loom has it. */
struct lm_lowered *lm_lower_layer(struct lm_lower *, const struct lm_node *);
/* Only layers within; NULL ones are a failure that is known already. */
struct lm_lowered *lm_lower_sequence(struct lm_lower *, struct lm_lowered *, struct lm_lowered *,
    struct lm_lowered *);
struct lm_lowered *lm_lower_branches(struct lm_lower *, const char *combine, struct lm_lowered *,
    struct lm_lowered *);
/* A function of every value at hand, after it is multiplied by a number: one row for each sample. */
struct lm_lowered *lm_lower_each(struct lm_lower *, const struct lm_node *, const char *activation,
    float factor);
struct lm_lowered *lm_lower_skip(struct lm_lower *, struct lm_lowered *block);
/* How many values a sample of Loom's has; 0: that depends on sizes that only a run tells. */
uint64_t lm_lower_count(const struct lm_lower *, size_t value);
/* The role of the node in the file that is not lowered. */
const struct lm_role *lm_lower_role(const struct lm_lower *, const struct lm_node *);
int lm_lower_refuse(const struct lm_lower *, const struct lm_node *, const char *fmt, ...)
    LM_PRINTF(3, 4);

/* ---- weights (lower_weights.c) ---- */

lm_lower_make lm_lower_make_number; /* factor, everywhere */
lm_lower_make lm_lower_make_unit;   /* ones where filter and channel are the same */
lm_lower_make lm_lower_make_rows;   /* the rows of slot 0, twice slot 1 behind each */
lm_lower_make lm_lower_make_planes; /* the same of filters; the place within the plane is repeat */
lm_lower_make lm_lower_make_blocks; /* the same; in all places that a stride has, from pad_low on */
lm_lower_make lm_lower_make_biases; /* twice slot 1, each repeat times */
lm_lower_make lm_lower_make_heads;  /* attention; repeat 1: wider heads; queries times factor */
lm_lower_make lm_lower_make_sums;   /* the last slots added to biases before them */

/* ---- writing (lower_write.c) ---- */

/* The specs of all layers. */
int lm_lower_specs(const struct lm_entity_plan *, struct lm_buf *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Blobs and pieces of the plan. */
int lm_lower_blobs(struct lm_entity_plan *, struct loom_error *) LOOM_MUST_CHECK;
/* Bytes of a piece of a blob that is made: they are held. */
int lm_lower_hold(struct lm_entity_plan *, const struct lm_piece *, const void *, size_t,
    struct loom_error *) LOOM_MUST_CHECK;
/* All blobs from the next one up to this that are made. */
int lm_lower_emit(struct lm_entity_plan *, size_t *next, size_t most, struct lm_sink *,
    struct loom_error *) LOOM_MUST_CHECK;
void lm_lower_release(struct lm_entity_plan *);

#endif
