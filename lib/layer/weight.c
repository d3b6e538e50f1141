/* weight: slots that are a part of a larger array may begin and end within a byte. */
#include "layer/weight.h"

/* From the file. */
static const unsigned char *
fetch(const struct lm_weight *w, struct lm_arena *arena, struct loom_error *err)
{
	unsigned char *to = lm_arena_alloc(arena, (size_t)w->bytes, 1, err);

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
