/* entity_plan: which nodes become layers of Loom in a checkpoint, and which blobs it will have. */
#ifndef FORMAT_ENTITY_PLAN_H
#define FORMAT_ENTITY_PLAN_H

#include "format/entity_parts.h"

/* ---- extents, tried ---- */

/* The shapes of all values for two sizes of whatever has a name; equal ones where only one size goes. */
struct lm_trials {
	struct lm_shape *first, *second;
};

int lm_entity_try(struct lm_trials *, struct lm_arena *, const struct loom_model *, unsigned lead,
    struct loom_error *) LOOM_MUST_CHECK;
/* The extent of an axis, 0 being a value's last; 0 where it depends on a size. */
uint64_t lm_trials_extent(const struct lm_trials *, size_t value, size_t axis);

/* ---- the plan ---- */

enum lm_role_kind {
	LM_ROLE_OWN,	 /* a node that only the bridge section describes */
	LM_ROLE_LAYER,	 /* a layer of Loom */
	LM_ROLE_FUNCTION /* the activation of the layer whose number it has */
};

struct lm_role {
	enum lm_role_kind kind;
	const struct lm_cell_row *row;		    /* of a layer */
	const struct lm_activation_row *activation; /* of a layer */
	const struct lm_dtype *dtype;		    /* of its blob */
	size_t cell;
};

/* A number of a spec by its key: the one that is not 0; both are where it need not be written. */
struct lm_cell_number {
	const char *key;
	int64_t integer;
	double real;
};

struct lm_lowered; /* format/lower.h */

/* A blob of the index; the bytes of pieces follow each other in it. */
struct lm_planned {
	const char *path;
	const struct lm_dtype *dtype;
	float scale;
	int native, scaled; /* "native"; whether "scale" is written */
	int late;	    /* its bytes stand behind all others */
	uint64_t values, offset, bytes;
	unsigned char *held; /* bytes of a late one */
	const struct lm_lowered
	    *made; /* the layer whose values are made of held weights; or NULL */
};

/* What a layer's blob holds for a slot that the node does not have. */
enum lm_fill {
	LM_FILL_NONE,
	LM_FILL_ZEROS, /* terms of a sum of products */
	LM_FILL_MINUS, /* -0, which leaves every sum of two as it is */
	LM_FILL_ONES   /* factors */
};

/* A slot of a node, in the order in which their bytes come. */
struct lm_piece {
	const struct lm_node *node;
	size_t slot, blob;
	enum lm_fill fill;
	uint64_t values, bytes, done; /* by itself, not in the blob */
};

struct lm_entity_plan {
	const struct loom_model *model;
	struct lm_arena arena;
	struct lm_trials trials;
	int plain;
	struct lm_role *roles; /* by node */
	size_t n_cells, n_blobs, n_pieces;
	struct lm_planned *blobs;
	struct lm_piece *pieces; /* in the order of nodes and slots */
	/* Of a lowered network: its layers, and by slot the bytes of the node at hand. */
	const struct lm_lowered *lowered;
	struct lm_buf *held;
};

/* plain: leave the bridge section out if possible; plan->plain says whether it was. */
int lm_entity_plan(struct lm_entity_plan *, const struct loom_model *, int plain,
    struct loom_error *) LOOM_MUST_CHECK;
/* Blobs and pieces of a plan whose roles are settled; a second time too. */
int lm_entity_plan_blobs(struct lm_entity_plan *, struct loom_error *) LOOM_MUST_CHECK;
/* A slot of the last blob; then the slots of a layer, and its scale. */
int lm_entity_add_piece(struct lm_entity_plan *, const struct lm_node *, size_t slot,
    const struct lm_dtype *, enum lm_fill, struct loom_error *) LOOM_MUST_CHECK;
int lm_entity_add_main(struct lm_entity_plan *, const struct lm_cell_row *, const struct lm_dtype *,
    const struct lm_node *, struct loom_error *) LOOM_MUST_CHECK;
/* Where the blobs lie. */
int lm_entity_place_blobs(struct lm_entity_plan *, struct loom_error *) LOOM_MUST_CHECK;
/*
 * Would the file without the section be read as the same network, and does Loom compute it?  1 or 0;
 * the plan is one of such a file.
 */
int lm_entity_is_plain(struct lm_entity_plan *, struct loom_error *) LOOM_MUST_CHECK;
/*
 * Is the file of lowered layers read back with the network's shapes, and does Loom compute what is
 * read?  What stands against it names layers of that file.
 */
int lm_entity_check_lowered(struct lm_entity_plan *, struct loom_error *) LOOM_MUST_CHECK;
/* The fixed header and the JSON. */
int lm_entity_header(const struct lm_entity_plan *, struct lm_buf *, int info,
    struct loom_error *) LOOM_MUST_CHECK;

/* The numbers of a layer's spec: those that are given, else the node's, which may be NULL. */
int lm_entity_numbers(struct lm_buf *, const struct lm_entity_plan *, const struct lm_cell_row *,
    const struct lm_node *, const struct lm_cell_number *, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- what Loom does with it ---- */

enum {
	LM_FAULTS_OWN = 1,	   /* nodes that are no layers are left out by Loom */
	LM_FAULTS_NO_SIDECARS = 2, /* biases that stand beside a layer are not spoken of */
	LM_FAULTS_NO_LENGTHS = 4,  /* nor that sequences have one length */
	LM_FAULTS_SHAPES = 8	   /* only of samples and sequences */
};

/*
 * A line for each thing that Loom's layers compute otherwise, for those shapes of the input of which
 * Loom gets most right.
 */
int lm_entity_faults(const struct loom_model *, unsigned flags, struct lm_buf *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
