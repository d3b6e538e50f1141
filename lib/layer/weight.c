/* weight: slots that are a part of a larger array may begin and end within a byte. */
#include "layer/weight.h"

/* From the file. */
static const unsigned char *
fetch(const struct lm_weight *w, struct lm_arena *arena, struct loom_error *err)
{
	unsigned char *to = lm_arena_room(arena, (size_t)w->bytes, 1, err);

	return to != NULL && lm_view_read(w->view, to, err) == 0 ? to : NULL;
}

const unsigned char *
lm_weight_bytes(const struct lm_weight *w, struct lm_arena *arena, struct loom_error *err)
{
	unsigned bits = w->dtype->bits, shift = (unsigned)(w->first * bits % 8);
	unsigned tail = (unsigned)(w->count * bits % 8);
	const unsigned char *from = w->data != NULL ? w->data + w->first * bits / 8 : NULL;
	uint64_t last = (w->first + w->count) * bits, i;
	unsigned char *to;
	unsigned pair;

	if (w->bytes == 0)
		return (const unsigned char *)"";
	if (w->data == NULL)
		return fetch(w, arena, err);
	if (shift == 0 && tail == 0)
		return from;
	to = lm_arena_alloc(arena, (size_t)w->bytes, 1, err);
	for (i = 0; to != NULL && i < w->bytes; i++) {
		pair = (unsigned)from[i] << 8;
		if ((w->first * bits / 8 + i + 1) * 8 < last)
			pair |= from[i + 1];
		to[i] = (unsigned char)(pair << shift >> 8);
	}
	if (to != NULL && tail > 0)
		to[w->bytes - 1] &= (unsigned char)(0xff00u >> tail);
	return to;
}

int
lm_weight_parts(const struct lm_weight *w)
{
	return w->dtype->bits >= 8 &&
	    (w->data != NULL || (w->view != NULL && lm_view_packed(w->view)));
}

const unsigned char *
lm_weight_part(const struct lm_weight *w, uint64_t first, uint64_t n, unsigned char *room,
    struct loom_error *err)
{
	if (w->data != NULL)
		return w->data + (w->first + first) * w->dtype->bits / 8;
	return lm_view_run(w->view, first, n, room, err) == 0 ? room : NULL;
}

int
lm_weight_send(const struct lm_weight *w, struct lm_sink *sink, struct loom_error *err)
{
	uint64_t size = w->dtype->bits / 8;

	if (w->data != NULL)
		return lm_sink_write(sink, w->data + w->first * size, (size_t)w->bytes, err);
	return lm_source_send(w->view->source, w->view->offset + w->view->first * size, w->bytes,
	    sink, err);
}
