/*
 * onnx: any bytes as an ONNX graph; what is read is written, and that is read again and written as the same
 * bytes.  Then the bytes as a network.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { MEMORY = 1 << 28 };

/* The graph in data as it is written, or NULL where it cannot be read, which aborts with must. */
static void *
rewrite(const void *data, size_t size, int must, size_t *written)
{
	struct loom_error err = { 0 };
	struct lm_source *source;
	struct loom_model *m;
	struct lm_onnx x = { 0 };
	struct lm_sink *sink;
	void *p = NULL;

	if (lm_source_memory(&source, data, size, "fuzz", &err) < 0 ||
	    lm_model_new(&m, "fuzz", &err) < 0)
		abort();
	m->source = source;
	m->how.most_memory = MEMORY;
	x.arena = &m->arena;
	if (lm_onnx_read(&x, m, source, &err) == 0) {
		if (lm_sink_memory(&sink, &err) < 0 || lm_onnx_write_sink(&x, sink, &err) < 0)
			abort();
		p = lm_sink_take(sink, written);
		lm_sink_free(sink);
	} else if (must || err.code == LOOM_OK || err.code == LOOM_EIO || err.text[0] == '\0')
		abort();
	loom_model_free(m);
	return p;
}

static void
open_network(const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	struct loom_model *m;

	if (loom_model_open_memory(&m, data, size, "fuzz", &err) == 0)
		loom_model_free(m);
	else if (err.code == LOOM_OK || err.text[0] == '\0')
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t once, twice;
	void *first = rewrite(data, size, 0, &once), *second;

	if (first != NULL) {
		second = rewrite(first, once, 1, &twice);
		if (once != twice || memcmp(first, second, once) != 0)
			abort();
		lm_free(first);
		lm_free(second);
	}
	if (lm_format_find("onnx")->sniff(data, size) > 0)
		open_network(data, size);
	return 0;
}
