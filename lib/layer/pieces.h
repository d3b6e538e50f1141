/*
 * pieces: whether a network may take a sequence in pieces.  It may where each position's results are
 * made of that position alone, or by attention of those before it, which the run keeps.
 */
#ifndef LAYER_PIECES_H
#define LAYER_PIECES_H

#include "layer/layer.h"

enum { LM_NOWHERE = LOOM_RANK }; /* no axis: the same at every position */

/* A node, and where positions lie: along the axis in_at[i] of input i, out_at[i] of output i. */
struct lm_pieces {
	const struct lm_node *node;
	const struct lm_shape *in, *out;
	const unsigned *in_at, *out_at;
	int varies; /* a parameter depends on how many positions there are */
};

/* What operations say of themselves, as lm_layer_ops.pieces: 1 if each position goes its own way. */
int lm_pieces_each(const struct lm_pieces *); /* elements, with NumPy's broadcasting */
int lm_pieces_expand(const struct lm_pieces *);
int lm_pieces_rows(const struct lm_pieces *);	 /* rows of the last axis */
int lm_pieces_axis(const struct lm_pieces *);	 /* lines along the parameter axis, */
int lm_pieces_axes(const struct lm_pieces *);	 /* or axes */
int lm_pieces_reshape(const struct lm_pieces *); /* the same values under other extents, */
int lm_pieces_moved(const struct lm_pieces *);	 /* or at other places */

/* Does a node go in pieces? */
int lm_pieces_fit(const struct lm_pieces *);

#endif
