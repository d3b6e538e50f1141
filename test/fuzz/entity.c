/*
 * entity: any bytes as a checkpoint; what opens is written again as it was, shown, and written anew
 * from its graph to something that opens as the same network.
 */
#include <stdlib.h>
#include <string.h>

#include "format/contents.h"
#include "format/entity.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void *
save(const struct loom_model *m, int plain, size_t *size)
{
	struct loom_error err = { 0 };
	struct lm_sink *sink;
	void *data;

	if (lm_sink_memory(&sink, &err) < 0 || lm_entity_save(m, sink, plain, &err) < 0)
		abort();
	data = lm_sink_take(sink, size);
	lm_sink_free(sink);
	return data;
}

static void
show(const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	struct lm_source *source;
	json_t *contents;

	if (lm_source_memory(&source, data, size, "fuzz", &err) < 0)
		abort();
	contents = lm_contents(source, 1, &err);
	if (contents == NULL)
		abort();
	json_decref(contents);
}

static void
write_anew(struct loom_model *m)
{
	struct loom_error err = { 0 };
	struct loom_model *again;
	size_t size;
	void *data;

	m->document_free(m->document);
	m->document = NULL;
	m->document_free = NULL;
	data = save(m, 0, &size);
	if (loom_model_open_memory(&again, data, size, "anew", &err) < 0 ||
	    again->n_nodes != m->n_nodes || again->n_values != m->n_values)
		abort();
	loom_model_free(again);
	lm_free(data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	struct loom_model *m;
	size_t kept;
	void *again;

	if (loom_model_open_memory(&m, data, size, "fuzz", &err) < 0) {
		if (err.code == LOOM_OK || err.code == LOOM_EIO || err.text[0] == '\0')
			abort();
		return 0;
	}
	again = save(m, 0, &kept);
	if (kept != size || memcmp(again, data, size) != 0)
		abort();
	lm_free(again);
	show(data, size);
	write_anew(m);
	loom_model_free(m);
	return 0;
}
