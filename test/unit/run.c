/*
 * A run: shapes are planned once each, a row keeps its bits in any batch, nodes read what is fed, a
 * model serves many threads.
 */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loom.h"

enum { IN = 4, OUT = 2, ROWS = 7 };

static float rows[ROWS][IN];

static void
give(struct loom_run *run, uint64_t from, uint64_t n)
{
	struct loom_tensor t = { .name = "x", .dtype = "float32", .rank = 2, .shape = { n, IN } };
	struct loom_error err = { 0 };

	t.data = rows[from];
	assert(loom_run_set(run, 0, &t, &err) == 0);
	assert(loom_run_forward(run, &err) == 0);
}

static void
check_plans(const struct loom_model *m)
{
	static const uint64_t batches[] = { 1, 3, 3, 1, 7, 7 };
	static const uint64_t plans[] = { 1, 2, 2, 3, 4, 4 };
	struct loom_error err = { 0 };
	struct loom_tensor y;
	struct loom_run *run;
	float all[ROWS][OUT];
	size_t i, k;

	assert(loom_run_new(&run, m, 2, &err) == 0);
	give(run, 0, ROWS);
	y = loom_run_output(run, 0);
	assert(y.rank == 2 && y.shape[0] == ROWS && y.shape[1] == OUT);
	memcpy(all, y.data, sizeof(all));
	loom_run_free(run);
	assert(loom_run_new(&run, m, 2, &err) == 0);
	for (i = 0; i < sizeof(batches) / sizeof(batches[0]); i++)
		for (k = 0; k + batches[i] <= ROWS; k++) {
			give(run, k, batches[i]);
			y = loom_run_output(run, 0);
			assert(loom_run_plans(run) == plans[i]);
			assert(memcmp(y.data, all[k], batches[i] * sizeof(all[0])) == 0);
		}
	loom_run_free(run);
}

static void *
work(void *model)
{
	check_plans(model);
	return NULL;
}

/* An input that is not given, one too many, a width that does not fit: messages, and the run goes on. */
static void
check_refusals(const struct loom_model *m)
{
	struct loom_tensor t = { .name = "x", .dtype = "float32", .rank = 2, .shape = { 1, 5 } };
	struct loom_error err = { 0 };
	struct loom_run *run;

	assert(loom_run_new(&run, m, 0, &err) < 0 && err.code == LOOM_EARG);
	memset(&err, 0, sizeof(err));
	assert(loom_run_new(&run, m, 1, &err) == 0);
	assert(loom_run_forward(run, &err) < 0 && err.code == LOOM_EARG);
	assert(strcmp(err.text, "input x is not given") == 0);
	memset(&err, 0, sizeof(err));
	assert(loom_run_set(run, 1, &t, &err) < 0 && strcmp(err.text, "input 1 of 1") == 0);
	memset(&err, 0, sizeof(err));
	t.data = rows;
	assert(loom_run_set(run, 0, &t, &err) == 0 && loom_run_forward(run, &err) < 0);
	assert(err.code == LOOM_ESHAPE);
	assert(strcmp(err.text,
		   "input x of layer layers.0 (dense): expected float32 [..., 4], found "
		   "float32 [1, 5]") == 0);
	give(run, 0, 2);
	loom_run_free(run);
}

/* The network's own values change nothing; others are what the next node reads, until they end. */
static void
check_feed(const struct loom_model *m)
{
	static const double zeros[ROWS * 64];
	struct loom_error err = { 0 };
	struct loom_tensor t, tap, y;
	struct loom_run *run;
	float plain[ROWS][OUT], fed[ROWS][OUT], own[ROWS * 64];
	uint64_t n;

	assert(loom_run_new(&run, m, 1, &err) == 0);
	loom_run_keep(run);
	give(run, 0, ROWS);
	memcpy(plain, loom_run_output(run, 0).data, sizeof(plain));
	t = tap = loom_run_tap(run, 0);
	n = tap.shape[0] * tap.shape[1];
	assert(tap.rank == 2 && n <= ROWS * 64 && loom_run_taps(run) > 1);
	memcpy(own, tap.data, n * sizeof(float));
	t.data = own;
	assert(loom_run_feed(run, &t, &err) == 0);
	give(run, 0, ROWS);
	assert(memcmp(loom_run_output(run, 0).data, plain, sizeof(plain)) == 0);
	t.dtype = "float64";
	t.data = zeros;
	assert(loom_run_feed(run, &t, &err) == 0);
	give(run, 0, ROWS);
	assert(loom_run_plans(run) == 2);
	y = loom_run_output(run, 0);
	memcpy(fed, y.data, sizeof(fed));
	assert(memcmp(fed, plain, sizeof(fed)) != 0);
	assert(memcmp(fed[0], fed[1], sizeof(fed[0])) == 0); /* all rows read zeros */
	assert(memcmp(loom_run_tap(run, 0).data, own, n * sizeof(float)) == 0);
	t.data = NULL;
	assert(loom_run_feed(run, &t, &err) == 0);
	give(run, 0, ROWS);
	assert(memcmp(loom_run_output(run, 0).data, plain, sizeof(plain)) == 0);
	loom_run_free(run);
}

/* No such name; a shape that another batch has. */
static void
check_bad_feeds(const struct loom_model *m)
{
	struct loom_tensor t = { .name = "z", .dtype = "float32", .rank = 2, .shape = { 2, IN } };
	struct loom_error err = { 0 };
	struct loom_run *run;

	assert(loom_run_new(&run, m, 1, &err) == 0);
	t.data = rows;
	assert(loom_run_feed(run, &t, &err) < 0 && err.code == LOOM_ESHAPE);
	assert(strcmp(err.text, "the network has no input and no node's output called z") == 0);
	memset(&err, 0, sizeof(err));
	t.name = "x";
	assert(loom_run_feed(run, &t, &err) == 0);
	give(run, 0, 2);
	t.shape[0] = 3;
	assert(loom_run_set(run, 0, &t, &err) == 0 && loom_run_forward(run, &err) < 0);
	assert(err.code == LOOM_ESHAPE);
	assert(strcmp(err.text, "fed value x: expected float32 [3, 4], found float32 [2, 4]") == 0);
	memset(&err, 0, sizeof(err));
	assert(loom_run_feed(run, &t, &err) == 0 && loom_run_forward(run, &err) == 0);
	loom_run_free(run);
}

int
main(void)
{
	const char *fixtures = getenv("FIXTURES");
	struct loom_error err = { 0 };
	struct loom_model *m;
	pthread_t threads[3];
	char path[4096];
	size_t i, k;

	for (i = 0; i < ROWS; i++)
		for (k = 0; k < IN; k++)
			rows[i][k] = (float)((int)(i * 7 + k * 5) % 11 - 5) * 0.37f;
	(void)snprintf(path, sizeof(path), "%s/entity/reference-stream-dense/model.entity",
	    fixtures != NULL ? fixtures : "fixtures");
	assert(loom_model_open(&m, path, &err) == 0);
	check_plans(m);
	check_refusals(m);
	check_feed(m);
	check_bad_feeds(m);
	for (i = 0; i < 3; i++)
		assert(pthread_create(&threads[i], NULL, work, m) == 0);
	for (i = 0; i < 3; i++)
		assert(pthread_join(threads[i], NULL) == 0);
	loom_model_free(m);
	return 0;
}
