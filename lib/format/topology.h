/*
 * topology: a network without its weights as one text of JSON, the form that a checkpoint's bridge section
 * has: for files that hold tensors and nothing else, which keep it beside them.
 */
#ifndef FORMAT_TOPOLOGY_H
#define FORMAT_TOPOLOGY_H

#include "base/buf.h"
#include "format/tensors.h"

int lm_topology_write(const struct loom_model *, struct lm_buf *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Puts the weights of a node that are not tied: nodes after it may be tied to them. */
typedef int lm_topology_put(struct loom_model *, struct lm_node *, void *context,
    struct loom_error *);
/* Inputs, nodes and outputs of an empty model. */
int lm_topology_read(struct loom_model *, const char *text, size_t n, lm_topology_put *,
    void *context, struct loom_error *) LOOM_MUST_CHECK;

/* "NODE.SLOT" into buf: what a slot's tensor is called where the file does not say otherwise. */
int lm_topology_name(struct lm_buf *, const struct lm_node *, size_t slot,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * A whole network: the text, and all slots from the tensors of an indexed file, by NODE.SLOT, or by the names
 * of the array that the slot of `like`, the network of the text, came from and where in it it lies (NULL: there
 * is none).  Constants that came from no array and are not in the file are those of like.  What is left over
 * is refused.
 */
int lm_topology_fill(struct loom_model *, const char *text, size_t n, struct loom_tensors *,
    const struct loom_model *like, struct loom_error *) LOOM_MUST_CHECK;

#endif
