/* onnx_matching: between onnx_values.c, which knows who makes and who reads a value, and onnx_match.c. */
#ifndef FORMAT_ONNX_MATCHING_H
#define FORMAT_ONNX_MATCHING_H

#include "onnx/onnx_match.h"

#define LM_NOBODY SIZE_MAX

struct lm_onnx_file_value {
	const char *name;
	size_t maker;			     /* a node, or LM_NOBODY */
	const struct lm_onnx_tensor *tensor; /* it is an initializer */
	size_t uses, readers; /* a list of them; how many nodes, 1 more for the graph */
};

struct lm_onnx_use {
	size_t node, next;
};

/* A slot as it was proposed. */
struct lm_onnx_filling {
	const struct lm_onnx_tensor *tensor;
	struct lm_view *order;
};

struct lm_onnx_found {
	struct lm_onnx_proposal proposal;
	struct lm_onnx_filling slot[LM_SLOTS];
	size_t n, *nodes; /* of the file */
	size_t first;
	const struct lm_onnx_node *called; /* the maker of the first output */
};

struct lm_onnx_matching {
	struct lm_onnx *from;
	struct lm_arena *arena;
	int64_t opset;
	size_t n_values, n_uses, n_found;
	struct lm_onnx_file_value *values;
	struct lm_onnx_use *uses;
	struct lm_names names;	     /* of values */
	struct lm_onnx_found *found; /* what was */
	size_t *begins;	       /* of each node: 1 + what is found to begin with it; 0: nothing */
	unsigned char *owned;  /* nodes that belong to something */
	uint64_t *met, rounds; /* of each node: the last comparison that met it */
	struct lm_onnx_found *now; /* what is being proposed */
	struct lm_arena *passing;  /* for the time of a proposal */
	struct lm_arena *lasting;  /* the model's */
};

int lm_onnx_matching_new(struct lm_onnx_matching **, struct lm_onnx *, int64_t opset,
    struct lm_arena *, struct loom_error *) LOOM_MUST_CHECK;
/* NULL: there is none of that name. */
const struct lm_onnx_file_value *lm_onnx_file_value(const struct lm_onnx_matching *,
    const char *name);
/* Is what would be written what is stored?  1, 0, -1. */
int lm_onnx_same_tensor(const struct lm_onnx_tensor *written, const struct lm_onnx_tensor *stored,
    struct loom_error *) LOOM_MUST_CHECK;
/* 1 where all that was written stands in the file, 0, -1: found has which nodes. */
int lm_onnx_stands(struct lm_onnx_matching *, struct lm_onnx_found *, struct lm_onnx *written,
    int named, struct loom_error *) LOOM_MUST_CHECK;

/* 1 where what a proposal takes is its own alone, 0, -1. */
int lm_onnx_take_all(struct lm_onnx_matching *, struct lm_onnx_found *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
