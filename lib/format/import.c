/* import: a file of another engine becomes a checkpoint. */
#include <string.h>

#include "base/mem.h"
#include "format/entity.h"
#include "format/format.h"

/* As it was, where the file kept the header of a checkpoint; else as any network is written. */
static int
write_checkpoint(const struct loom_model *m, struct lm_sink *sink, struct lm_buf *notes,
    struct loom_error *err)
{
	struct lm_buf why;
	int one = 0;

	lm_buf_init(&why, 1 << 16);
	if (m->restore != NULL && !m->how.blind)
		one = lm_entity_restore(m, m->restore, m->restore_size, sink, &why, err);
	if (one == 0 && m->restore != NULL && !m->how.blind)
		one =
		    lm_buf_printf(notes, err,
			"the file keeps the header of a checkpoint that is not this network's, and it is not used: %s\n",
			why.len > 0 ? why.data : "it is another") < 0
		    ? -1
		    : 0;
	if (one == 0)
		one = lm_entity_save(m, sink, LM_ENTITY_FULL, err);
	lm_buf_release(&why);
	return one < 0 ? -1 : 0;
}

static int
save(const struct loom_model *m, const char *output, struct lm_buf *notes, struct loom_error *err)
{
	struct lm_sink *sink;
	int r;

	if (lm_sink_open(&sink, output, err) < 0)
		return -1;
	r = write_checkpoint(m, sink, notes, err);
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_sink_free(sink);
	return r;
}

int
loom_import(const char *path, const char *output, const struct loom_open_options *how, char **text,
    struct loom_error *err)
{
	struct loom_open_options windows = *how;
	struct loom_model *m;
	struct lm_buf notes;
	int r;

	*text = NULL;
	windows.windows = 1;
	lm_buf_init(&notes, SIZE_MAX / 4);
	r = loom_model_open_with(&m, path, &windows, err);
	if (r == 0)
		r = save(m, output, &notes, err);
	loom_model_free(m);
	if (notes.len > 0)
		*text = notes.data;
	else
		lm_buf_release(&notes);
	return r;
}

void
loom_text_free(char *text)
{
	lm_free(text);
}
