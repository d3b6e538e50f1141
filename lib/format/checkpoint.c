/* checkpoint: opening a model from any format that we read, and saving it. */
#include "format/format.h"

int
lm_checkpoint_open(struct loom_model **out, struct lm_source *source, struct loom_error *err)
{
	const struct lm_format_ops *format;
	struct loom_model *m;

	*out = NULL;
	if (lm_model_new(&m, lm_source_name(source), err) < 0) {
		lm_source_free(source);
		return -1;
	}
	m->source = source;
	format = lm_format_sniff(source, LM_HOLDS_MODEL, err);
	if (format == NULL || format->read(m, source, err) < 0 || lm_model_check(m, err) < 0) {
		(void)lm_fail_in(err, m->name);
		loom_model_free(m);
		return -1;
	}
	*out = m;
	return 0;
}

int
loom_model_open(struct loom_model **out, const char *path, struct loom_error *err)
{
	struct lm_source *source;

	*out = NULL;
	if (lm_source_open(&source, path, err) < 0)
		return -1;
	return lm_checkpoint_open(out, source, err);
}

int
loom_model_open_memory(struct loom_model **out, const void *p, size_t size, const char *name,
    struct loom_error *err)
{
	struct lm_source *source;

	*out = NULL;
	if (lm_source_memory(&source, p, size, name, err) < 0)
		return -1;
	return lm_checkpoint_open(out, source, err);
}

int
loom_model_save(const struct loom_model *m, const char *path, struct loom_error *err)
{
	struct lm_sink *sink;
	int r;

	if (lm_sink_open(&sink, path, err) < 0)
		return -1;
	r = lm_format_find("entity")->write(m, sink, err);
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_sink_free(sink);
	return r;
}
