/* selftest: what loom_selftest does, on any sets. */
#ifndef LAYER_SELFTEST_H
#define LAYER_SELFTEST_H

#include "loom.h"
#include "num/kernel.h"

enum { LM_SETS = 8 }; /* a machine has at most so many */

/* Told of each case when all sets agree on it. */
typedef void lm_selftest_fn(void *context, const char *name, uint64_t hash);

/*
 * All cases on all n sets; LOOM_EMACHINE at the first word in which one differs from the first set, or
 * from what is known.  The hash is of the first set's words.
 */
int lm_selftest(const struct lm_kernels *const *sets, size_t n, lm_selftest_fn *each, void *context,
    uint64_t *hash, struct loom_error *err) LOOM_MUST_CHECK;

#endif
