/*
 * entity_flow: what passes from layer to layer of plain Loom.  Loom's layers read a flat array and
 * what their specs say about it; here every step has extents, and where the next layer reads others a
 * node says so.
 */
#ifndef FORMAT_ENTITY_FLOW_H
#define FORMAT_ENTITY_FLOW_H

#include "format/entity_parts.h"

enum { LM_OPEN = -1 }; /* the extent of a sequence, any */

/* The last axes of a value; others stand before them. */
struct lm_extents {
	size_t n;
	int64_t dim[LOOM_RANK];
	int64_t sequence; /* what the spec says of an open one, or 0 */
	int strict;	  /* which Loom takes at its word */
};

struct lm_flow {
	size_t value;
	struct lm_extents now;
	int rows; /* Loom has made one row of each sample */
};

struct lm_chain {
	struct lm_entity *entity;
	int batch;	/* one axis stands before all, so that a reshape can name it */
	int rows;	/* or nothing does, and the axis of the sequence is what it names */
	int64_t length; /* of the sequences, where a layer decides it; or 0 */
};

/* Extents that a layer's node reads, or makes. */
int lm_flow_extents(const struct lm_entity_cell *, const struct lm_node *,
    const char *const names[LM_CELL_AXES], struct lm_extents *,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * The flow with the extents that want has, by a node whose name begins with that; as it is where they
 * meet already, or never will.
 */
int lm_flow_adapt(struct lm_chain *, struct lm_flow *, const struct lm_extents *want,
    const char *name, struct loom_error *) LOOM_MUST_CHECK;
/* The last axes become one, by a node of that name and suffix. */
int lm_flow_flatten(struct lm_chain *, struct lm_flow *, const char *name, const char *suffix,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * Each row of an open sequence is a sample from here on; then nothing but the sequence may stand before
 * the input's extents.  0: it cannot be.
 */
int lm_flow_rows(struct lm_chain *, struct lm_flow *);
/* After a layer that reads some of the last axes and makes others. */
void lm_flow_replace(struct lm_flow *, const struct lm_extents *read,
    const struct lm_extents *made);
/* How many values a sample has; 0: that is not known. */
int64_t lm_flow_count(const struct lm_extents *);

/* A node behind a layer's name that takes these values. */
struct lm_node *lm_flow_node(struct lm_chain *, const char *name, const char *suffix,
    const char *op, const size_t *values, size_t n, struct loom_error *);

#endif
