/* checkpoint: opening a model from any format that we read, and saving it. */
#include <string.h>
#include <sys/stat.h>

#include "format/foreign.h"
#include "format/format.h"

/* What is said about a file of which it means nothing was meant for another one. */
static int
check_options(const struct loom_model *m, const struct lm_format_ops *format,
    struct loom_error *err)
{
	const struct loom_open_options *how = &m->how;

	return lm_format_takes(format,
	    (how->n_outputs > 0 ? LM_TAKES_OUTPUTS : 0U) |
		(how->like != NULL ? LM_TAKES_TEMPLATE : 0U) |
		(how->data_dir != NULL ? LM_TAKES_DATA_DIR : 0U) |
		(how->subdirs ? LM_TAKES_SUBDIRS : 0U) | (how->symlinks ? LM_TAKES_SYMLINKS : 0U) |
		(how->hardlinks ? LM_TAKES_HARDLINKS : 0U),
	    err);
}

static void
set_options(struct loom_model *m, const struct loom_open_options *how)
{
	if (how == NULL)
		return;
	m->how = *how;
	m->arena.most = how->most_memory;
}

static int
read_model(struct loom_model *m, struct lm_source *source, struct loom_error *err)
{
	const struct lm_format_ops *format;

	if (m->how.windows && lm_source_spool(source, err) < 0)
		return -1;
	format = lm_format_sniff(source, LM_HOLDS_MODEL, err);
	if (format == NULL || check_options(m, format, err) < 0 || format->read(m, source, err) < 0)
		return -1;
	return lm_model_check(m, err);
}

int
lm_checkpoint_open(struct loom_model **out, struct lm_source *source,
    const struct loom_open_options *how, struct loom_error *err)
{
	struct loom_model *m;

	*out = NULL;
	if (lm_model_new(&m, lm_source_name(source), err) < 0) {
		lm_source_free(source);
		return -1;
	}
	m->source = source;
	set_options(m, how);
	if (read_model(m, source, err) < 0) {
		(void)lm_fail_in(err, m->name);
		loom_model_free(m);
		return -1;
	}
	*out = m;
	return 0;
}

/* ---- directories ---- */

static int
read_directory(struct loom_model *m, const char *path, struct loom_error *err)
{
	const struct lm_foreign *foreign = lm_foreign_directory(path);
	const struct lm_format_ops *of = lm_format_directory(path);

	if (foreign != NULL)
		return lm_foreign_fail(foreign, m->name, err);
	if (of != NULL) {
		if (check_options(m, of, err) < 0 || of->read_directory(m, path, err) < 0)
			return -1;
		return lm_model_check(m, err);
	}
	return lm_fail(err, LOOM_EFORMAT,
	    "is a directory without a config.json: not a network that we read");
}

static int
open_directory(struct loom_model **out, const char *path, const struct loom_open_options *how,
    struct loom_error *err)
{
	struct loom_model *m;
	char name[256];

	lm_tail(name, sizeof(name), path);
	if (lm_model_new(&m, name, err) < 0)
		return -1;
	set_options(m, how);
	if (read_directory(m, path, err) < 0) {
		(void)lm_fail_in(err, m->name);
		loom_model_free(m);
		return -1;
	}
	*out = m;
	return 0;
}

/* ---- opening ---- */

int
loom_model_open_with(struct loom_model **out, const char *path, const struct loom_open_options *how,
    struct loom_error *err)
{
	struct lm_source *source;
	struct stat st;

	*out = NULL;
	if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return open_directory(out, path, how, err);
	if (lm_source_open(&source, path, err) < 0)
		return -1;
	return lm_checkpoint_open(out, source, how, err);
}

int
loom_model_open(struct loom_model **out, const char *path, struct loom_error *err)
{
	return loom_model_open_with(out, path, NULL, err);
}

int
loom_model_open_memory(struct loom_model **out, const void *p, size_t size, const char *name,
    struct loom_error *err)
{
	struct lm_source *source;

	*out = NULL;
	if (lm_source_memory(&source, p, size, name, err) < 0)
		return -1;
	return lm_checkpoint_open(out, source, NULL, err);
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
