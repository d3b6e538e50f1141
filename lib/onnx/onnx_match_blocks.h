/* onnx_match_blocks: what onnx_blocks.c writes, found again from either end. */
#ifndef FORMAT_ONNX_MATCH_BLOCKS_H
#define FORMAT_ONNX_MATCH_BLOCKS_H

#include "onnx/onnx_match.h"

struct lm_onnx_projection {
	const char *x;
	const struct lm_onnx_tensor *weight, *bias; /* bias may be NULL */
};

/* y is a projection: 1, or 0. */
int lm_onnx_unprojected(const struct lm_onnx_matching *, const char *y,
    struct lm_onnx_projection *);
/* A product with a weight and what is added to it: what they make, or NULL. */
const char *lm_onnx_projected(const struct lm_onnx_matching *, const struct lm_onnx_node *product,
    struct lm_onnx_projection *);
/* The Split of rows that a Concat joins when they are turned, and the base; NULL: it is none. */
const struct lm_onnx_node *lm_onnx_unturned(const struct lm_onnx_matching *,
    const struct lm_onnx_node *joined, double *base, struct loom_error *);

/* The base of the angles that a RotaryEmbedding has the cosines of: 1, 0, -1. */
int lm_onnx_base_of(const struct lm_onnx_matching *, const struct lm_onnx_node *, double *base,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
