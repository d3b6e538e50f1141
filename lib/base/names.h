/* names: a map from names to numbers, in an arena. */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include "base/mem.h"

struct lm_names { /* zeroed is empty */
	size_t n, room;
	uint64_t
	    key[2]; /* of the hash: drawn anew, so that no file can be made to fill one place */
	struct lm_names_entry *entries;
};

#define LM_NO_NAME SIZE_MAX

/* The number, or LM_NO_NAME. */
size_t lm_names_find(const struct lm_names *, const char *name);
/* The name is borrowed and must be new. */
int lm_names_add(struct lm_names *, struct lm_arena *, const char *name, size_t number,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
