/* onnx_known: within the import: the values of an ONNX file by name. */
#ifndef FORMAT_ONNX_KNOWN_H
#define FORMAT_ONNX_KNOWN_H

#include "onnx/onnx_trial.h"

/* What is known by that name, from now on; NULL on failure. */
struct lm_onnx_known *lm_onnx_know(struct lm_onnx_reading *, const char *name, struct loom_error *);
/* It is a constant; weight: an initializer, or folded from one. */
int lm_onnx_know_constant(struct lm_onnx_reading *, const char *name, const struct lm_onnx_tensor *,
    int weight, struct loom_error *) LOOM_MUST_CHECK;
/* All names of the file. */
int lm_onnx_know_all(struct lm_onnx_reading *, struct loom_error *) LOOM_MUST_CHECK;
/* Who reads them, but for nodes that are done already. */
int lm_onnx_know_users(struct lm_onnx_reading *, const char *const *outputs, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;

/* The opset of a domain, 0: it is not imported. */
int64_t lm_onnx_opset(const struct lm_onnx_reading *, const char *domain);
/* float32, int64 or bool: what a run has for that type; NULL: nothing, it has to be cast first. */
const struct lm_dtype *lm_onnx_run_dtype(int type);
/* Packed little-endian values; NULL on failure. */
const unsigned char *lm_onnx_stored_bytes(struct lm_onnx_reading *, const struct lm_onnx_tensor *,
    struct loom_error *);
/* All values of a tensor of integers or flags. */
int lm_onnx_tensor_integers(struct lm_onnx_reading *, const struct lm_onnx_tensor *, int64_t *,
    struct loom_error *) LOOM_MUST_CHECK;

/* Input k, the only output, or a refusal; a refusal where the rank of x is not known. */
struct lm_onnx_known *lm_onnx_need(struct lm_onnx_reading *, const struct lm_onnx_node *, size_t k,
    struct loom_error *);
struct lm_onnx_known *lm_onnx_output(struct lm_onnx_reading *, const struct lm_onnx_node *,
    struct loom_error *);
int lm_onnx_need_rank(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const struct lm_onnx_known *x, struct loom_error *) LOOM_MUST_CHECK;
/* A value all of which is one number: a constant, or a node expand. */
int lm_onnx_fill(struct lm_onnx_reading *, const struct lm_onnx_node *, const char *out,
    const struct lm_onnx_tensor *one, const struct lm_dim *dims, size_t rank,
    struct loom_error *) LOOM_MUST_CHECK;
/* What y is known to be is what x is. */
void lm_onnx_alias(struct lm_onnx_known *y, const struct lm_onnx_known *x);

/* Nodes of one file, in their order (onnx_import.c). */
int lm_onnx_read_nodes(struct lm_onnx_reading *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- onnx_node.c ---- */

/* A node constant, which is there but for what it has; what is known of the constant stays so. */
int lm_onnx_constant_node(struct lm_onnx_reading *, struct lm_onnx_known *, struct lm_node *,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- onnx_inputs.c ---- */

/* The inputs of the network, those alone that are wanted; begins the trials. */
int lm_onnx_read_inputs(struct lm_onnx_reading *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- onnx_wanted.c ---- */

/* Which nodes the outputs need; where outputs were asked for, the others are done. */
int lm_onnx_find_wanted(struct lm_onnx_reading *, const char *const *outputs, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
/* Nodes of the network from `before` on come from the node at hand. */
int lm_onnx_note_origin(struct lm_onnx_reading *, size_t before,
    struct loom_error *) LOOM_MUST_CHECK;
/* Nodes that nothing reads any more, since what they give became a parameter, go. */
int lm_onnx_drop_dead(struct lm_onnx_reading *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- onnx_tie.c ---- */

/* A copy of what a tensor has in memory, for as long as the model; one for all who ask. */
const unsigned char *lm_onnx_keep(struct lm_onnx_reading *, const struct lm_onnx_tensor *,
    struct loom_error *);
/* Slots of the whole network that have the same stored values are tied. */
int lm_onnx_tie(struct lm_onnx_reading *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- onnx_fold.c ---- */

/* 1: the outputs are constants or small numbers made of extents, and known; 0: they are not; -1. */
int lm_onnx_fold(struct lm_onnx_reading *, const struct lm_onnx_node *,
    struct loom_error *) LOOM_MUST_CHECK;
/* A value is small numbers made of extents: what the trials gave, which is constant or elements. */
int lm_onnx_know_small(struct lm_onnx_reading *, struct lm_onnx_known *,
    const struct lm_onnx_tensor *const small[LM_ONNX_TRIALS], const struct lm_onnx_term *near,
    size_t n_near, int weight, struct loom_error *) LOOM_MUST_CHECK;
/* A tensor in the reading's arena; NULL on failure. */
struct lm_onnx_tensor *lm_onnx_tensor_new(struct lm_onnx_reading *, int type, unsigned rank,
    const uint64_t *dim, const void *data, struct loom_error *);

/* 1: the expression that a node computes from expressions, as a term; 0: there is none; -1. */
int lm_onnx_composed(struct lm_onnx_reading *, const struct lm_onnx_node *, struct lm_onnx_term *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
