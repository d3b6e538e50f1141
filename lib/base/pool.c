/*
 * pool: worker threads over fixed ranges.  Between two calls that follow one another closely workers
 * wait in a loop, since waking a thread that sleeps takes longer than many a layer; then they sleep.
 */
#include "base/pool.h"

#ifndef __wasi__ /* it has no threads: pool_alone.c */

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum {
	SPIN = 40000, /* nanoseconds that are waited in a loop */
	LOOKS = 64    /* looks at the condition between two at the clock */
};

struct worker {
	struct lm_pool *pool;
	pthread_t thread;
	int index;
};

struct lm_pool {
	int jobs, started;
	int spin; /* each worker can have a processor: waiting in a loop keeps nobody from working */
	struct worker *workers;
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	atomic_uint turn; /* counts calls: a worker runs once for each */
	atomic_int left, asleep, waiting, stop;
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

static void
pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static int64_t
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- workers ---- */

static int
is_called(struct lm_pool *pool, unsigned seen)
{
	return atomic_load(&pool->turn) != seen || atomic_load(&pool->stop);
}

/* Until there is a call after seen, or the pool is to end. */
static void
await_call(struct lm_pool *pool, unsigned seen)
{
	int64_t end = pool->spin ? now() + SPIN : 0;
	int i;

	do
		for (i = 0; i < LOOKS; i++) {
			if (is_called(pool, seen))
				return;
			pause_briefly();
		}
	while (pool->spin && now() < end);
	(void)pthread_mutex_lock(&pool->lock);
	atomic_fetch_add(&pool->asleep, 1);
	while (!is_called(pool, seen))
		(void)pthread_cond_wait(&pool->wake, &pool->lock);
	atomic_fetch_sub(&pool->asleep, 1);
	(void)pthread_mutex_unlock(&pool->lock);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct lm_pool *pool = w->pool;
	unsigned seen = 0;

	for (;;) {
		await_call(pool, seen);
		if (atomic_load(&pool->stop))
			return NULL;
		seen++;
		part(pool, w->index);
		if (atomic_fetch_sub(&pool->left, 1) == 1 && atomic_load(&pool->waiting)) {
			(void)pthread_mutex_lock(&pool->lock);
			(void)pthread_cond_signal(&pool->done);
			(void)pthread_mutex_unlock(&pool->lock);
		}
	}
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

/* ---- the pool ---- */

int
lm_pool_new(struct lm_pool **out, int jobs, struct loom_error *err)
{
	struct lm_pool *pool = lm_alloc(1, sizeof(*pool), err);

	*out = NULL;
	if (pool == NULL)
		return -1;
	pool->jobs = jobs;
	pool->spin = jobs <= sysconf(_SC_NPROCESSORS_ONLN);
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

static void
wake_all(struct lm_pool *pool)
{
	(void)pthread_mutex_lock(&pool->lock);
	(void)pthread_cond_broadcast(&pool->wake);
	(void)pthread_mutex_unlock(&pool->lock);
}

void
lm_pool_free(struct lm_pool *pool)
{
	int i;

	if (pool == NULL)
		return;
	atomic_store(&pool->stop, 1);
	wake_all(pool);
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

/* Until every worker is through with the present call. */
static void
await_end(struct lm_pool *pool)
{
	int64_t end = pool->spin ? now() + SPIN : 0;
	int i;

	do
		for (i = 0; i < LOOKS; i++) {
			if (atomic_load(&pool->left) == 0)
				return;
			pause_briefly();
		}
	while (pool->spin && now() < end);
	(void)pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->waiting, 1);
	while (atomic_load(&pool->left) > 0)
		(void)pthread_cond_wait(&pool->done, &pool->lock);
	atomic_store(&pool->waiting, 0);
	(void)pthread_mutex_unlock(&pool->lock);
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
	pool->fn = fn;
	pool->context = context;
	pool->n = n;
	pool->step = step;
	atomic_store(&pool->left, pool->jobs - 1);
	atomic_fetch_add(&pool->turn, 1); /* publishes what stands above */
	if (atomic_load(&pool->asleep) > 0)
		wake_all(pool);
	part(pool, 0);
	await_end(pool);
}

#endif
