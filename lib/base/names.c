/* names: a map from names to numbers, in an arena: open addressing, at most half full. */
#include "base/names.h"

#include <string.h>

struct lm_names_entry {
	const char *name;
	size_t number;
};

/* FNV-1a, 64 bits. */
static uint64_t
hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

static struct lm_names_entry *
place(const struct lm_names *names, const char *name)
{
	size_t i = (size_t)hash(name) & (names->room - 1);

	while (names->entries[i].name != NULL && strcmp(names->entries[i].name, name) != 0)
		i = (i + 1) & (names->room - 1);
	return &names->entries[i];
}

size_t
lm_names_find(const struct lm_names *names, const char *name)
{
	const struct lm_names_entry *e;

	if (names->room == 0)
		return LM_NO_NAME;
	e = place(names, name);
	return e->name != NULL ? e->number : LM_NO_NAME;
}

static int
grow(struct lm_names *names, struct lm_arena *arena, struct loom_error *err)
{
	struct lm_names old = *names;
	size_t i;

	names->room = old.room > 0 ? old.room * 2 : 64;
	names->entries = lm_arena_alloc(arena, names->room, sizeof(*names->entries), err);
	if (names->entries == NULL) {
		*names = old;
		return -1;
	}
	for (i = 0; i < old.room; i++)
		if (old.entries[i].name != NULL)
			*place(names, old.entries[i].name) = old.entries[i];
	return 0;
}

int
lm_names_add(struct lm_names *names, struct lm_arena *arena, const char *name, size_t number,
    struct loom_error *err)
{
	struct lm_names_entry *e;

	if (names->n >= names->room / 2 && grow(names, arena, err) < 0)
		return -1;
	e = place(names, name);
	e->name = name;
	e->number = number;
	names->n++;
	return 0;
}
