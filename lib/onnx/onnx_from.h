/* onnx_from: what the readers of onnx.def's rows share, beside onnx.h. */
#ifndef FORMAT_ONNX_FROM_H
#define FORMAT_ONNX_FROM_H

#include "onnx/onnx.h"

/* A row of onnx.def. */
#define LM_ONNX_READER(reader)                                                                \
	lm_onnx_read_fn lm_onnx_from_##reader;                                                \
	int lm_onnx_from_##reader(struct lm_onnx_reading *r, const struct lm_onnx_node *node, \
	    struct loom_error *err)

/* A node of ours with the file's node's inputs and outputs, to be ended; NULL on failure. */
struct lm_node *lm_onnx_same(struct lm_onnx_reading *, const struct lm_onnx_node *, const char *op,
    struct loom_error *);
/* The same with the first n_in of them alone. */
struct lm_node *lm_onnx_with(struct lm_onnx_reading *, const struct lm_onnx_node *, const char *op,
    size_t n_in, struct loom_error *);
/* Its outputs are the file's node's. */
int lm_onnx_done(struct lm_onnx_reading *, const struct lm_onnx_node *, struct lm_node *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Its output is its first input under another name. */
int lm_onnx_pass_on(struct lm_onnx_reading *, const struct lm_onnx_node *,
    struct loom_error *) LOOM_MUST_CHECK;
/* A node that makes a value between others, called "OUTPUT/what": that value. */
struct lm_onnx_known *lm_onnx_value_between(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *what, const char *op, size_t n_in, struct lm_onnx_known *const *in,
    struct loom_error *);
/* A node constant of one number, float32 or int64, called so. */
struct lm_onnx_known *lm_onnx_constant_real(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *what, double, struct loom_error *);
struct lm_onnx_known *lm_onnx_constant_whole(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *what, int64_t, struct loom_error *);
/* x with the places along axis (from 0 on) that the n indices name: what a slice backwards is. */
struct lm_onnx_known *lm_onnx_picked(struct lm_onnx_reading *, const struct lm_onnx_node *,
    struct lm_onnx_known *x, int64_t axis, const int64_t *indices, size_t n, struct loom_error *);

/* A few of our operations by their recipe (onnx_recipe.h): #0, #1 are the numbers, 0i an integer. */
int lm_onnx_from_recipe(struct lm_onnx_reading *, const struct lm_onnx_node *, const char *text,
    const double *numbers, struct loom_error *) LOOM_MUST_CHECK;

/* An attribute that is optional, as the number that the shortest decimal for it means. */
int lm_onnx_real_of(const struct lm_onnx_node *, const char *name, double otherwise, double *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Input k is there and is values of that dtype. */
int lm_onnx_is(struct lm_onnx_reading *, const struct lm_onnx_node *, size_t k,
    const struct lm_dtype *);
/* An attribute that must have this value, or not be there. */
int lm_onnx_only(struct lm_onnx_reading *, const struct lm_onnx_node *, const char *name, int64_t,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
