/* onnx_reads: what readers of dense layers, windows, norms and look-ups share. */
#ifndef FORMAT_ONNX_READS_H
#define FORMAT_ONNX_READS_H

#include "onnx/onnx_from.h"

/* Is it a constant at all; one that a slot can be? */
int lm_onnx_is_constant(const struct lm_onnx_known *);
int lm_onnx_is_weight(const struct lm_onnx_known *);
/* The extent of a dimension that is a number; -1: it is none. */
int64_t lm_onnx_fixed(const struct lm_dim *);
/* axis counted from the front, of a value of known rank; or from the end, where its rank is not known. */
int lm_onnx_axis(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const struct lm_onnx_known *, int64_t axis, int64_t *, struct loom_error *) LOOM_MUST_CHECK;

/*
 * A node of ours to be ended, and what ends it: its value is called "OUTPUT/what" and so is the node; what
 * NULL: it is the last, whose value is the file's node's.  NULL on failure, also where it is given NULL.
 */
struct lm_node *lm_onnx_begin(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *what, const char *op, size_t n_in, struct lm_onnx_known *const *in,
    struct loom_error *);
struct lm_onnx_known *lm_onnx_ended(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *what, struct lm_node *, struct loom_error *);
/* An operation without parameters, on two values, or one where b is NULL. */
struct lm_onnx_known *lm_onnx_plain(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *what, const char *op, struct lm_onnx_known *a, struct lm_onnx_known *b,
    struct loom_error *);
/* x with the extents dims. */
struct lm_onnx_known *lm_onnx_reshaped(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *what, struct lm_onnx_known *x, const struct lm_dims *, struct loom_error *);
/* x with the axes from start on made one. */
struct lm_onnx_known *lm_onnx_flattened(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *what, struct lm_onnx_known *x, int64_t start, struct loom_error *);
/* A slice along one axis whose step is below 0: places of a fixed extent, which are gathered. */
int lm_onnx_backwards(struct lm_onnx_reading *, const struct lm_onnx_node *, int64_t axis,
    const struct lm_dim *start, const struct lm_dim *stop, int64_t step,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
