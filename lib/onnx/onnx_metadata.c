/*
 * onnx_metadata: what ONNX has no place for and nothing is computed from, under keys of our own: the
 * network's name, where it came from, and the header of the checkpoint that it was.
 */
#include <string.h>

#include "format/entity.h"
#include "onnx/onnx.h"

#define TITLE "loom.title"
#define PLANET "loom.planet"
#define CHECKPOINT "loom.checkpoint"

static int
write_checkpoint(struct lm_onnx *to, const struct loom_model *m, struct loom_error *err)
{
	struct lm_buf text;
	int r;

	lm_buf_init(&text, SIZE_MAX / 4);
	r = lm_entity_text(m, &text, err);
	if (r == 0 && text.len > 0)
		r = lm_onnx_add_metadata(to, CHECKPOINT, text.data, err);
	lm_buf_release(&text);
	return r;
}

/* A name stands there by itself, too, for those who read no JSON. */
int
lm_onnx_write_metadata(struct lm_onnx *to, const struct loom_model *m, struct loom_error *err)
{
	if (m->title != NULL && lm_onnx_add_metadata(to, TITLE, m->title, err) < 0)
		return -1;
	if (m->planet != NULL && lm_onnx_add_metadata(to, PLANET, m->planet, err) < 0)
		return -1;
	return write_checkpoint(to, m, err);
}

int
lm_onnx_read_metadata(struct loom_model *m, const struct lm_onnx *from, struct loom_error *err)
{
	const char **to;
	size_t i;

	for (i = 0; !m->how.blind && i < from->n_metadata; i++) {
		to = strcmp(from->metadata[i].key, TITLE) == 0	     ? &m->title
		    : strcmp(from->metadata[i].key, PLANET) == 0     ? &m->planet
		    : strcmp(from->metadata[i].key, CHECKPOINT) == 0 ? &m->restore
								     : NULL;
		if (to == NULL)
			continue;
		*to = lm_arena_string(&m->arena, from->metadata[i].value, err);
		if (*to == NULL)
			return -1;
		m->restore_size = m->restore != NULL ? strlen(m->restore) : 0;
	}
	return 0;
}
