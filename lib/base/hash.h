/* hash: SHA-256, by libcrypto. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/err.h"

#define LM_HEX 65 /* 64 digits and a NUL */

struct lm_hash;
int lm_hash_new(struct lm_hash **, struct loom_error *) LOOM_MUST_CHECK;
void lm_hash_free(struct lm_hash *);
int lm_hash_add(struct lm_hash *, const void *, size_t, struct loom_error *) LOOM_MUST_CHECK;
/* The digest of what was added; the hash then starts anew. */
int lm_hash_end(struct lm_hash *, char hex[LM_HEX], struct loom_error *) LOOM_MUST_CHECK;
int lm_hash_of(const void *, size_t, char hex[LM_HEX], struct loom_error *) LOOM_MUST_CHECK;

#endif
