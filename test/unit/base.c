/* base: what programs cannot reach: arenas, buffers, names, pools, sources and sinks on their own. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/names.h"
#include "base/pool.h"
#include "base/sink.h"
#include "base/source.h"

static void
check_errors(void)
{
	struct loom_error err = { 0 };
	char name[400], shown[LM_SHOWN];

	memset(name, 'a', sizeof(name));
	memcpy(name + 390, "/tail.npy", 10);
	assert(lm_fail(&err, LOOM_EFORMAT, "first %d\n", 1) == -1);
	assert(lm_fail(&err, LOOM_EIO, "second") == -1);
	assert(err.code == LOOM_EFORMAT && strcmp(err.text, "first 1?") == 0);
	assert(lm_fail_at(&err, name, 12) == -1 && err.placed && err.offset == 12);
	assert(strlen(err.source) == sizeof(err.source) - 1);
	assert(strncmp(err.source, "...aaa", 6) == 0);
	assert(strcmp(err.source + strlen(err.source) - 9, "/tail.npy") == 0);
	assert(lm_fail_at(&err, "other", 1) == -1 && err.offset == 12);
	assert(strlen(lm_shown(shown, name)) == LM_SHOWN - 1);
}

static void
check_memory(void)
{
	struct lm_arena arena = { 0 };
	struct loom_error err = { 0 };
	unsigned char *p;
	size_t i, out;

	assert(lm_mul(SIZE_MAX / 2, 3, &out) == -1 && lm_mul(3, 4, &out) == 0 && out == 12);
	for (i = 0; i < 1000; i++) {
		p = lm_arena_alloc(&arena, i, 7, &err);
		assert(p != NULL && (uintptr_t)p % 64 == 0);
		assert(i == 0 || (p[0] == 0 && p[7 * i - 1] == 0));
		memset(p, 255, 7 * i);
	}
	assert(lm_arena_alloc(&arena, SIZE_MAX / 4, 8, &err) == NULL && err.code == LOOM_ENOMEM);
	/* Used again it is the same memory, as zeros where zeros are asked for. */
	p = lm_arena_room(&arena, 1 << 20, 1, &err);
	assert(p != NULL);
	memset(p, 1, 1 << 20);
	lm_arena_reuse(&arena);
	assert(lm_arena_room(&arena, 1 << 19, 1, &err) == (void *)p && p[0] == 1);
	p = lm_arena_alloc(&arena, 1 << 19, 1, &err);
	for (i = 0; i < 1 << 19; i++)
		assert(p[i] == 0);
	lm_arena_release(&arena);
}

static void
check_buffers(void)
{
	struct loom_error err = { 0 };
	struct lm_buf buf;

	lm_buf_init(&buf, 10);
	assert(lm_buf_str(&buf, "12345", &err) == 0 && strcmp(buf.data, "12345") == 0);
	assert(lm_buf_printf(&buf, &err, "%d", 67890) == 0 && buf.len == 10);
	assert(lm_buf_str(&buf, "x", &err) == -1 && err.code == LOOM_EFORMAT);
	assert(strcmp(err.text, "more than 10 bytes") == 0 && strcmp(buf.data, "1234567890") == 0);
	lm_buf_release(&buf);
}

static void
check_names(void)
{
	struct lm_arena arena = { 0 };
	struct lm_names names = { 0 };
	struct loom_error err = { 0 };
	char text[16];
	size_t i;

	assert(lm_names_find(&names, "a") == LM_NO_NAME);
	for (i = 0; i < 5000; i++) {
		(void)snprintf(text, sizeof(text), "node.%zu", i);
		assert(lm_names_find(&names, text) == LM_NO_NAME);
		assert(lm_names_add(&names, &arena, lm_arena_string(&arena, text, &err), i, &err) ==
		    0);
	}
	for (i = 0; i < 5000; i++) {
		(void)snprintf(text, sizeof(text), "node.%zu", i);
		assert(lm_names_find(&names, text) == i);
	}
	lm_arena_release(&arena);
}

static void
count_part(void *context, int worker, size_t from, size_t to)
{
	unsigned char *seen = context;

	(void)worker;
	for (; from < to; from++)
		seen[from]++;
}

/* Pauses between calls, after which workers sleep; and a worker that takes long, so that the caller does. */
static void
rest(size_t turn)
{
	const struct timespec pause = { 0, 300000 };

	if (turn % 10 == 9)
		(void)nanosleep(&pause, NULL);
}

static void
count_slowly(void *context, int worker, size_t from, size_t to)
{
	if (worker > 0)
		rest(9);
	count_part(context, worker, from, to);
}

static void
check_pools(void)
{
	static const size_t lengths[] = { 0, 1, 2, 7, 100, 1001 };
	struct loom_error err = { 0 };
	struct lm_pool *pool;
	unsigned char seen[1001];
	size_t i, k, turn;
	int jobs;

	for (jobs = 1; jobs <= 7; jobs += jobs < 3 ? 1 : 2) {
		assert(lm_pool_new(&pool, jobs, &err) == 0 && lm_pool_jobs(pool) == jobs);
		for (turn = 0; turn < 50; turn++)
			for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
				memset(seen, 0, sizeof(seen));
				lm_pool_each(pool, lengths[i], turn % 3 + 1,
				    turn % 4 == 3 ? count_slowly : count_part, seen);
				rest(turn + i);
				for (k = 0; k < sizeof(seen); k++)
					assert(seen[k] == (k < lengths[i]));
			}
		lm_pool_free(pool);
	}
}

static void
check_source(struct lm_source *s)
{
	struct loom_error err = { 0 };
	struct lm_buf line;
	const unsigned char *p;
	char four[4];
	size_t got;

	lm_buf_init(&line, 100);
	assert(lm_source_peek(s, &p, 3, &got, &err) == 0 && got == 3 && memcmp(p, "one", 3) == 0);
	assert(lm_source_line(s, &line, 100, &err) == 1 && strcmp(line.data, "one") == 0);
	assert(lm_source_tell(s) == 4);
	assert(lm_source_line(s, &line, 100, &err) == 1 && line.len == 0);
	assert(lm_source_read(s, four, 4, &err) == 0 && memcmp(four, "four", 4) == 0);
	assert(lm_source_line(s, &line, 100, &err) == -1 && err.code == LOOM_ETRUNCATED);
	assert(strcmp(err.text, "ends within a line") == 0 && err.placed && err.offset == 10);
	lm_buf_release(&line);
	lm_source_free(s);
}

static void
check_sources(void)
{
	static const char text[] = "one\n\nfour!";
	struct loom_error err = { 0 };
	struct lm_source *s;
	struct lm_sink *sink;
	char four[16];

	assert(lm_source_memory(&s, text, 10, "memory", &err) == 0);
	check_source(s);
	assert(lm_sink_open(&sink, "base.tmp", &err) == 0);
	assert(access("base.tmp", F_OK) == -1);
	assert(lm_sink_write(sink, text, 10, &err) == 0 && lm_sink_tell(sink) == 10);
	assert(lm_sink_commit(sink, &err) == 0);
	lm_sink_free(sink);
	assert(lm_source_open(&s, "base.tmp", &err) == 0);
	check_source(s);
	assert(lm_source_open(&s, "base.tmp", &err) == 0);
	assert(lm_source_claim(s, 11, &err) == -1 && err.code == LOOM_ETRUNCATED);
	assert(strcmp(err.text, "ends 1 bytes early") == 0 && strcmp(err.source, "base.tmp") == 0);
	memset(&err, 0, sizeof(err));
	assert(lm_source_read(s, four, 11, &err) == -1 && err.offset == 10);
	lm_source_free(s);
}

/* A sink that is freed without a commit leaves the old file, and nothing beside it. */
static void
check_abandoned(void)
{
	struct loom_error err = { 0 };
	struct lm_sink *sink;
	struct lm_source *s;
	char old[10];

	assert(lm_sink_open(&sink, "base.tmp", &err) == 0);
	assert(lm_sink_write(sink, "new", 3, &err) == 0);
	lm_sink_free(sink);
	assert(lm_source_open(&s, "base.tmp", &err) == 0);
	assert(lm_source_read(s, old, 10, &err) == 0 && memcmp(old, "one\n\nfour!", 10) == 0);
	lm_source_free(s);
	assert(unlink("base.tmp") == 0);
	assert(lm_sink_open(&sink, "no/such/folder/x", &err) == -1 && err.code == LOOM_EIO);
}

/* FIPS 180-2, B.1 */
static void
check_hash(void)
{
	struct loom_error err = { 0 };
	char hex[LM_HEX];

	assert(lm_hash_of("abc", 3, hex, &err) == 0);
	assert(
	    strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0);
}

int
main(void)
{
	char folder[] = "/tmp/loom-base.XXXXXX";

	assert(mkdtemp(folder) != NULL && chdir(folder) == 0);
	check_errors();
	check_memory();
	check_buffers();
	check_names();
	check_pools();
	check_sources();
	check_abandoned();
	check_hash();
	assert(chdir("/") == 0 && rmdir(folder) == 0);
	return 0;
}
