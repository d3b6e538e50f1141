/*
 * Every allocation fails once, and from some point on all do: opening, saving, lowering, showing and
 * running a checkpoint then report it, and leave nothing alive.
 */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "format/contents.h"
#include "format/entity.h"
#include "heap.h"

struct work {
	const char *path;
	unsigned char data[1 << 16], kept[1 << 16];
	size_t size, kept_size;
};

static int
save(const struct loom_model *m, struct work *w, enum lm_entity_how how, struct loom_error *err)
{
	struct lm_sink *sink;
	void *p;
	int r;

	if (lm_sink_memory(&sink, err) < 0)
		return -1;
	r = lm_entity_save(m, sink, how, err);
	p = lm_sink_take(sink, &w->kept_size);
	if (r == 0)
		memcpy(w->kept, p, w->kept_size);
	lm_free(p);
	lm_sink_free(sink);
	return r;
}

static int
open_and_save(struct work *w, struct loom_error *err)
{
	struct loom_model *m;
	int r;

	if (loom_model_open_memory(&m, w->data, w->size, "test", err) < 0)
		return -1;
	r = save(m, w, LM_ENTITY_FULL, err);
	if (r == 0)
		assert(w->kept_size == w->size && memcmp(w->kept, w->data, w->size) == 0);
	/* Once more from the graph. */
	if (r == 0)
		r = save(m, w, LM_ENTITY_PLAIN, err);
	loom_model_free(m);
	return r;
}

/* A stream to layers of plain Loom alone. */
static int
stream_and_lower(struct work *w, struct loom_error *err)
{
	struct loom_stream_options options = { .lower = 1, .output = "/dev/null" };
	struct loom_streamed done;
	int r;

	r = loom_stream(w->path, &options, &done, err);
	loom_streamed_release(&done);
	return r;
}

static int
show(struct work *w, struct loom_error *err)
{
	struct lm_source *source;
	json_t *contents;

	if (lm_source_memory(&source, w->data, w->size, "test", err) < 0)
		return -1;
	contents = lm_contents(source, 1, err);
	json_decref(contents);
	return contents != NULL ? 0 : -1;
}

/* Zeros, two wherever a name stands, given and fed. */
static int
give(struct loom_run *run, const struct loom_model *m, size_t i, struct loom_error *err)
{
	static const float zeros[4096];
	const struct lm_input *in = &m->inputs[i];
	struct loom_tensor t = { .name = in->name, .dtype = in->dtype->name, .data = zeros };
	size_t k;

	if (in->any)
		t.shape[t.rank++] = 2;
	for (k = 0; k < in->dims.n; k++)
		t.shape[t.rank++] = in->dims.dim[k].text != NULL ? 2
								 : (uint64_t)in->dims.dim[k].value;
	return loom_run_set(run, i, &t, err) < 0 ? -1 : loom_run_feed(run, &t, err);
}

static int
compute(struct work *w, struct loom_error *err)
{
	struct loom_model *m;
	struct loom_run *run = NULL;
	size_t i;
	int r;

	if (loom_model_open_memory(&m, w->data, w->size, "test", err) < 0)
		return -1;
	r = loom_run_new(&run, m, 1, err);
	for (i = 0; r == 0 && i < m->n_inputs; i++)
		r = give(run, m, i, err);
	if (r == 0)
		r = loom_run_forward(run, err);
	loom_run_free(run);
	loom_model_free(m);
	return r;
}

static void
each(int (*what)(struct work *, struct loom_error *), struct work *w, const char *name)
{
	long i;
	int r = -1;

	for (heap.on = 0; heap.on < 2; heap.on++) {
		for (i = 0; r < 0 || heap.failed; i++) {
			struct loom_error err = { 0 };

			heap.count = heap.failed = 0;
			heap.fail = i;
			r = what(w, &err);
			if (r < 0 ? err.code != LOOM_ENOMEM : heap.failed) {
				fprintf(stderr, "%s: allocation %ld, on %d: %d: %s\n", name, i,
				    heap.on, r, err.text);
				assert(0);
			}
			if (heap.alive != 0) {
				fprintf(stderr, "%s: allocation %ld, on %d: %ld alive\n", name, i,
				    heap.on, heap.alive);
				assert(0);
			}
		}
		assert(i > 20);
		r = -1;
	}
	heap.fail = -1;
}

int
main(void)
{
	static const char *const names[] = { "bridge.entity", "reference-stream-dense/model.entity",
		"spec-example-c/model.entity", "cells.entity", "chain-float32/model.entity",
		"mha-int4/model.entity", "parallel-nested-float32/model.entity",
		"sequential-float32/model.entity", "parallel-avg-float32/model.entity",
		"cnn3-int2/model.entity" };
	static const char *const streams[] = { "fixtures/stream/lower-transformer.stream",
		"fixtures/stream/lower-classifier.stream" };
	static struct work w;
	char path[200];
	size_t i;
	FILE *f;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "fixtures/entity/%s", names[i]);
		f = fopen(path, "rb");
		assert(f != NULL);
		w.size = fread(w.data, 1, sizeof(w.data), f);
		fclose(f);
		heap.fail = -1;
		loom_set_alloc(heap_allocate, NULL);
		each(open_and_save, &w, names[i]);
		each(show, &w, names[i]);
		each(compute, &w, names[i]);
		loom_set_alloc(NULL, NULL);
	}
	for (i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		w.path = streams[i];
		loom_set_alloc(heap_allocate, NULL);
		each(stream_and_lower, &w, streams[i]);
		loom_set_alloc(NULL, NULL);
	}
	return 0;
}
