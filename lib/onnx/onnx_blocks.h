/* onnx_blocks: what attention, rotary and swiglu are made of, as ONNX nodes. */
#ifndef FORMAT_ONNX_BLOCKS_H
#define FORMAT_ONNX_BLOCKS_H

#include "onnx/onnx_to.h"

/* "what.piece"; without memory another name, and the failure is in the error. */
const char *lm_onnx_word(struct lm_onnx_writing *, const char *what, const char *piece,
    struct loom_error *);
/* A node with an integer attribute, or a list of them; the value it makes. */
const char *lm_onnx_made_with(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *op, size_t n_in, const char *const *in, const char *attribute, int64_t,
    struct loom_error *);
const char *lm_onnx_transposed(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *x, const int64_t *perm, size_t n, struct loom_error *);
/* The extents of x from an axis to before another, as a list; to 0: up to the last. */
const char *lm_onnx_measured(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *x, int64_t from, int64_t to, struct loom_error *);
/* x reshaped: so many axes kept, then some extents; what NULL: the node's last. */
const char *lm_onnx_recut(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *x, unsigned kept, const int64_t *then, size_t n, struct loom_error *);
/* 0, 1, 2 ... as many as x has along an axis. */
const char *lm_onnx_count(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *x, int64_t axis, struct loom_error *);
/* The only number of a double. */
const char *lm_onnx_double(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    double, struct loom_error *);

/* x times a matrix [out, in], plus a bias where the node has it: the value; what NULL: the node's last. */
const char *lm_onnx_project(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *x, size_t slot, size_t bias, struct loom_error *);

struct lm_onnx_rope {
	int64_t d; /* elements of a row */
	double base;
	int interleaved;
	const char *factors; /* NULL: none */
	/* Since opset 23 there is an operator: [batch, heads, positions, d] whose batch is this one's.  Or NULL. */
	const char *batch;
	/* made: [..., positions, d/2], with an axis more where interleaved and there is no operator */
	const char *cosine, *sine;
};

/* positions: int64 of the same axes as the rows that are to be turned, but their last. */
int lm_onnx_angles(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *positions, struct lm_onnx_rope *, struct loom_error *) LOOM_MUST_CHECK;
/* Is there an operator for rows of so many axes, of d elements, whose positions are counted? */
int lm_onnx_turns(const struct lm_onnx_writing *, int rank, int64_t d);
/* Rows of x, of so many axes; what NULL: the node's last. */
const char *lm_onnx_turn(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *x, unsigned rank, const struct lm_onnx_rope *, struct loom_error *);

#endif
