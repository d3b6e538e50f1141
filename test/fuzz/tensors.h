/* What the targets for files of tensors share: read every value, in pieces and whole, and write them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { SOME = 1000, MOST = 1 << 22 }; /* values read at a time; bytes of a tensor worth loading */

static int
open_bytes(struct loom_tensors **t, const void *data, size_t size, struct loom_error *err)
{
	struct lm_source *source;

	if (lm_source_memory(&source, data, size, "fuzz", err) < 0)
		return -1;
	return lm_tensors_open(t, source, err);
}

/* 0 when all could be read. */
static int
read_one(struct loom_tensors *t, size_t i, struct loom_error *err)
{
	static unsigned char piece[SOME * 8];
	struct lm_entry *e = &t->entries[i];
	uint64_t left;
	size_t n;

	for (left = e->count; left > 0; left -= n) {
		n = left < SOME ? (size_t)left : SOME;
		if (loom_tensors_read(t, i, piece, n, err) < 0)
			return -1;
	}
	return 0;
}

/* What was read must be written and found again. */
static void
write_one(const struct lm_format_ops *format, const struct loom_tensor *tensor)
{
	struct loom_error err = { 0 };
	struct loom_tensors *t = NULL;
	struct loom_tensor back;
	struct lm_sink *sink;
	void *data;
	size_t size;

	if (lm_sink_memory(&sink, &err) < 0 || format->write_tensors(sink, tensor, 1, &err) < 0)
		abort();
	data = lm_sink_take(sink, &size);
	lm_sink_free(sink);
	if (open_bytes(&t, data, size, &err) < 0 || loom_tensors_load(t, 0, &back, &err) < 0 ||
	    memcmp(back.data, tensor->data, (size_t)t->entries[0].bytes) != 0)
		abort();
	loom_tensors_free(t);
	lm_free(data);
}

static int
read_all(const struct lm_format_ops *format, const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	struct loom_tensors *t;
	struct loom_tensor tensor;
	size_t i;

	if (!format->sniff(data, size) || open_bytes(&t, data, size, &err) < 0)
		return 0;
	for (i = 0; i < t->n && err.code == LOOM_OK; i++) {
		if (t->entries[i].bytes > MOST || read_one(t, i, &err) < 0)
			break;
		if (loom_tensors_load(t, i, &tensor, &err) == 0)
			write_one(format, &tensor);
	}
	loom_tensors_free(t);
	return 0;
}
