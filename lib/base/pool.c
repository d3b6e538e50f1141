/* pool: worker threads over fixed ranges. */
#include "base/pool.h"

#include <pthread.h>

#include "base/mem.h"

struct worker {
	struct lm_pool *pool;
	pthread_t thread;
	int index;
};

struct lm_pool {
	int jobs, started;
	struct worker *workers;
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	uint64_t turn; /* counts calls: a worker runs once for each */
	int left, stop;
	/* the present call */
	lm_pool_fn *fn;
	void *context;
	size_t n, step;
};

static void
part(struct lm_pool *pool, int index)
{
	size_t from = pool->step * (size_t)index, to = from + pool->step;

	if (from < pool->n)
		pool->fn(pool->context, index, from, to < pool->n ? to : pool->n);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct lm_pool *pool = w->pool;
	uint64_t seen = 0;

	(void)pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (pool->turn == seen && !pool->stop)
			(void)pthread_cond_wait(&pool->wake, &pool->lock);
		if (pool->stop)
			break;
		seen = pool->turn;
		(void)pthread_mutex_unlock(&pool->lock);
		part(pool, w->index);
		(void)pthread_mutex_lock(&pool->lock);
		if (--pool->left == 0)
			(void)pthread_cond_signal(&pool->done);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static int
start(struct lm_pool *pool, struct loom_error *err)
{
	struct worker *w;
	int i, e;

	for (i = 1; i < pool->jobs; i++) {
		w = &pool->workers[i];
		w->pool = pool;
		w->index = i;
		e = pthread_create(&w->thread, NULL, work, w);
		if (e != 0)
			return lm_fail_sys(err, e, "cannot start thread %d of %d", i, pool->jobs);
		pool->started = i;
	}
	return 0;
}

int
lm_pool_new(struct lm_pool **out, int jobs, struct loom_error *err)
{
	struct lm_pool *pool = lm_alloc(1, sizeof(*pool), err);

	*out = NULL;
	if (pool == NULL)
		return -1;
	pool->jobs = jobs;
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_cond_init(&pool->wake, NULL);
	(void)pthread_cond_init(&pool->done, NULL);
	pool->workers = lm_alloc((size_t)jobs, sizeof(*pool->workers), err);
	if (pool->workers == NULL || start(pool, err) < 0) {
		lm_pool_free(pool);
		return -1;
	}
	*out = pool;
	return 0;
}

void
lm_pool_free(struct lm_pool *pool)
{
	int i;

	if (pool == NULL)
		return;
	(void)pthread_mutex_lock(&pool->lock);
	pool->stop = 1;
	(void)pthread_cond_broadcast(&pool->wake);
	(void)pthread_mutex_unlock(&pool->lock);
	for (i = 1; i <= pool->started; i++)
		(void)pthread_join(pool->workers[i].thread, NULL);
	(void)pthread_cond_destroy(&pool->wake);
	(void)pthread_cond_destroy(&pool->done);
	(void)pthread_mutex_destroy(&pool->lock);
	lm_free(pool->workers);
	lm_free(pool);
}

int
lm_pool_jobs(const struct lm_pool *pool)
{
	return pool->jobs;
}

void
lm_pool_each(struct lm_pool *pool, size_t n, size_t grain, lm_pool_fn *fn, void *context)
{
	size_t step = (n + (size_t)pool->jobs - 1) / (size_t)pool->jobs;

	if (step < grain)
		step = grain;
	if (n == 0)
		return;
	if (step >= n || pool->jobs == 1) {
		fn(context, 0, 0, n);
		return;
	}
	(void)pthread_mutex_lock(&pool->lock);
	pool->fn = fn;
	pool->context = context;
	pool->n = n;
	pool->step = step;
	pool->left = pool->jobs - 1;
	pool->turn++;
	(void)pthread_cond_broadcast(&pool->wake);
	(void)pthread_mutex_unlock(&pool->lock);
	part(pool, 0);
	(void)pthread_mutex_lock(&pool->lock);
	while (pool->left > 0)
		(void)pthread_cond_wait(&pool->done, &pool->lock);
	(void)pthread_mutex_unlock(&pool->lock);
}
