/* pool: worker threads; "do this for each part of 0..n", cut into fixed ranges. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/err.h"

struct lm_pool;

/* jobs >= 1 workers, the caller being one of them: with 1 no thread is started. */
int lm_pool_new(struct lm_pool **, int jobs, struct loom_error *) LOOM_MUST_CHECK;
void lm_pool_free(struct lm_pool *);
int lm_pool_jobs(const struct lm_pool *);
/*
 * Call fn(context, worker, from, to) so that the ranges cover 0..n once, each at least grain long
 * (but the last); returns when all are done.  worker is 0 .. jobs-1, each used by one thread at a time.
 */
typedef void lm_pool_fn(void *context, int worker, size_t from, size_t to);
void lm_pool_each(struct lm_pool *, size_t n, size_t grain, lm_pool_fn *fn, void *context);

#endif
