/*
 * origin: which arrays of another engine a slot's values came from, and where in them they lie: the keys
 * "source", "layout" and "aliases" of streams, of a checkpoint's info and of dumps.
 */
#ifndef FORMAT_ORIGIN_H
#define FORMAT_ORIGIN_H

#include "base/json.h"
#include "model/model.h"

/*
 * "layout" and "aliases" of an object into a weight that has its source already.  The canonical axis k of the
 * slot is axis[k] of the list of strides; axis NULL: they are canonical.
 */
int lm_origin_read(struct loom_model *, struct lm_node *, size_t slot, json_t *of,
    const char *where, const unsigned *axis, struct loom_error *) LOOM_MUST_CHECK;
/* The way back, of all three, canonical; what is not known is not there. */
int lm_origin_write(json_t *object, const struct lm_weight *, struct loom_error *) LOOM_MUST_CHECK;

#endif
