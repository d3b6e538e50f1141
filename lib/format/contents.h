/* contents: what is in a checkpoint or a file of tensors, as one JSON object for loom_dump. */
#ifndef FORMAT_CONTENTS_H
#define FORMAT_CONTENTS_H

#include "base/json.h"
#include "base/source.h"

/*
 * The object of schemas/entity-dump.json; without values nothing that takes reading them.  Takes the
 * source over, also on failure; NULL on failure; the caller's to json_decref.
 */
json_t *lm_contents(struct lm_source *, int values, struct loom_error *);
/* The same of a directory. */
json_t *lm_contents_directory(const char *path, int values, struct loom_error *);

#endif
