/*
 * shards: the tensors of a network in several .safetensors files, which an index names: one list of
 * entries, each with the source that it is in.  The files belong to the model that is read.
 */
#ifndef FORMAT_SHARDS_H
#define FORMAT_SHARDS_H

#include "format/external.h"
#include "format/tensors.h"

/* Where the files lie; the user may have allowed symbolic links. */
int lm_shards_open(struct lm_external *, const char *name, struct lm_source **,
    struct loom_error *) LOOM_MUST_CHECK;
/* All of a source from where it stands, which is not to be long. */
int lm_shards_text(struct lm_source *, size_t most, struct lm_buf *,
    struct loom_error *) LOOM_MUST_CHECK;

/* The tensors of one file; what is said about it begins with its name. */
int lm_shards_one(struct loom_tensors **, struct lm_external *, const char *name,
    struct loom_error *) LOOM_MUST_CHECK;
/* The tensors that an index, a text of JSON called name, lists. */
int lm_shards_all(struct loom_tensors **, struct lm_external *, const char *name,
    const struct lm_buf *, struct loom_error *) LOOM_MUST_CHECK;

enum { LM_SHARDS_INDEX = 64 << 20 }; /* bytes of an index at the most */

#endif
