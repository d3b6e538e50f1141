/* pool_alone: the pool where there are no threads: one worker, however many are asked for. */
#include "base/pool.h"

#ifdef __wasi__

#include "base/mem.h"

struct lm_pool {
	char unused;
};

int
lm_pool_new(struct lm_pool **out, int jobs, struct loom_error *err)
{
	(void)jobs;
	*out = lm_alloc(1, sizeof(**out), err);
	return *out != NULL ? 0 : -1;
}

void
lm_pool_free(struct lm_pool *pool)
{
	lm_free(pool);
}

int
lm_pool_jobs(const struct lm_pool *pool)
{
	(void)pool;
	return 1;
}

void
lm_pool_each(struct lm_pool *pool, size_t n, size_t grain, lm_pool_fn *fn, void *context)
{
	(void)pool;
	(void)grain;
	if (n > 0)
		fn(context, 0, 0, n);
}

#endif
