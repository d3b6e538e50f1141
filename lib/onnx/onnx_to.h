/*
 * onnx_to: what the writers of onnx.def's rows share.  What a node of the network becomes ends with an
 * ONNX node that has its name and makes its values; all before it is called "NODE/what".  Any function
 * that is handed NULL for a name of a value does nothing and fails: the message is there already.
 */
#ifndef FORMAT_ONNX_TO_H
#define FORMAT_ONNX_TO_H

#include "onnx/onnx.h"

/* The name of input k, "" where it is not given. */
const char *lm_onnx_input(const struct lm_onnx_writing *, const struct lm_node *, size_t k);
/* The element type of input k, and its rank (LM_ONNX_ANY_RANK: it has several). */
const struct lm_dtype *lm_onnx_input_dtype(const struct lm_onnx_writing *, const struct lm_node *,
    size_t k);
enum { LM_ONNX_ANY_RANK = -1 };
int lm_onnx_input_rank(const struct lm_onnx_writing *, const struct lm_node *, size_t k);

/* An ONNX node on the way, which makes one value, out[0]. */
struct lm_onnx_node *lm_onnx_step(struct lm_onnx_writing *, const struct lm_node *,
    const char *what, const char *op, size_t n_in, const char *const *in, struct loom_error *);
/* The same; the value alone. */
const char *lm_onnx_made(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const char *op, size_t n_in, const char *const *in, struct loom_error *);
/* The last one. */
struct lm_onnx_node *lm_onnx_last(struct lm_onnx_writing *, const struct lm_node *, const char *op,
    size_t n_in, const char *const *in, struct loom_error *);
/* One ONNX node with the inputs as they are. */
struct lm_onnx_node *lm_onnx_alone(struct lm_onnx_writing *, const struct lm_node *, const char *op,
    struct loom_error *);

/* Initializers that are no weights: a number, a list of integers, one integer without axes. */
const char *lm_onnx_scalar(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    float, struct loom_error *);
const char *lm_onnx_list(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const int64_t *, size_t n, struct loom_error *);
const char *lm_onnx_whole(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    int64_t, struct loom_error *);
/* A parameter that is a list of integers, as such a list; or as an attribute. */
const char *lm_onnx_param_list(struct lm_onnx_writing *, const struct lm_node *, size_t param,
    struct loom_error *);
int lm_onnx_param_ints(struct lm_onnx_writing *, struct lm_onnx_node *, const char *name,
    const struct lm_node *, size_t param, struct loom_error *) LOOM_MUST_CHECK;

/*
 * A weight in whatever order, as float32 (or what --dtype says, with a Cast behind it): its name.  The
 * tensor's name is what it is in the node; it gets the source's unless that is NULL or taken.  A tied one
 * that stands there already in the same order is used again.
 */
const char *lm_onnx_weight(struct lm_onnx_writing *, const struct lm_node *, const char *source,
    struct lm_outgoing *, struct loom_error *);

/* Extents as an int64 list, computed from the shapes of the graph's inputs where they have names. */
const char *lm_onnx_dims(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const struct lm_dims *, struct loom_error *);
/* One of them, without axes. */
const char *lm_onnx_dim(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    const struct lm_dim *, struct loom_error *);

/*
 * A parameter that is a real number, as an attribute of 32 bits: these, if they are a power of two, else the
 * shortest decimal that reads as them
 * must be the number, for that is what lm_onnx_real makes of them.  Else LOOM_EUNSUPPORTED.
 */
int lm_onnx_add_real(struct lm_onnx_writing *, struct lm_onnx_node *, const char *name,
    const struct lm_node *, size_t param, struct loom_error *) LOOM_MUST_CHECK;
const char *lm_onnx_param_scalar(struct lm_onnx_writing *, const struct lm_node *, size_t param,
    struct loom_error *);
double lm_onnx_real(float);

/* A few nodes by their recipe (onnx_recipe.h): $alpha is a parameter, @slope a slot, 0i an integer. */
int lm_onnx_recipe(struct lm_onnx_writing *, const struct lm_node *, const char *text,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
