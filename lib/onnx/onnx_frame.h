/*
 * onnx_frame: what the writers of windows, norms and the like share.  ONNX wants one axis for the batch
 * before those that an operator knows, ours take any leading axes: a frame makes them one and brings them
 * back.
 */
#ifndef FORMAT_ONNX_FRAME_H
#define FORMAT_ONNX_FRAME_H

#include "onnx/onnx_to.h"

/* A row of onnx.def. */
#define LM_ONNX_WRITER(op)                                                      \
	int lm_onnx_to_##op(struct lm_onnx_writing *, const struct lm_node *,   \
	    struct loom_error *);                                               \
	int lm_onnx_to_##op(struct lm_onnx_writing *w, const struct lm_node *n, \
	    struct loom_error *err)

/*
 * What lm_onnx_made, lm_onnx_step and lm_onnx_last take, with the inputs listed.  At most one of these may
 * be a call that writes: which is called first is not said.
 */
#define LM_ONNX_MADE(w, n, what, op, err, ...)                             \
	lm_onnx_made(w, n, what, op,                                       \
	    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), \
	    (const char *const[]){ __VA_ARGS__ }, err)
#define LM_ONNX_STEP(w, n, what, op, err, ...)                             \
	lm_onnx_step(w, n, what, op,                                       \
	    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), \
	    (const char *const[]){ __VA_ARGS__ }, err)
#define LM_ONNX_LAST(w, n, op, err, ...)                                                      \
	lm_onnx_last(w, n, op, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), \
	    (const char *const[]){ __VA_ARGS__ }, err)

/* x as [-1, its last tail axes], with an axis of channels [-1, 1, its last tail axes]. */
const char *lm_onnx_flat(struct lm_onnx_writing *, const struct lm_node *, const char *x,
    unsigned tail, int channel, struct loom_error *);
/* The last step: y with the axes of x before its last tail ones, and the last ones of its own. */
int lm_onnx_restore(struct lm_onnx_writing *, const struct lm_node *, const char *x, const char *y,
    unsigned tail, struct loom_error *) LOOM_MUST_CHECK;
/* The last step: y with the shape of x, which has as many values. */
int lm_onnx_as_input(struct lm_onnx_writing *, const struct lm_node *, const char *x, const char *y,
    struct loom_error *) LOOM_MUST_CHECK;
/* The extents of x from axis start on (from the end where it is negative), as a list. */
const char *lm_onnx_extents_from(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *x, int64_t start, struct loom_error *);

/* A slot whose values stand in another order (NULL: the same) under another shape. */
const char *lm_onnx_ordered(struct lm_onnx_writing *, const struct lm_node *, size_t slot,
    const struct lm_shape *, const struct lm_view *order, struct loom_error *);
/*
 * n times one number from a node Constant, where an operator demands a tensor and ours has no slot: a slot
 * is an initializer.
 */
const char *lm_onnx_filling(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    float, uint64_t n, struct loom_error *);
/* The same as an initializer, within what is recognised as a whole. */
const char *lm_onnx_inner_filling(struct lm_onnx_writing *, const struct lm_node *,
    const char *what, float, uint64_t n, struct loom_error *);

#endif
