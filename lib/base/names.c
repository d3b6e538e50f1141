/* names: a map from names to numbers, in an arena: open addressing, at most half full. */
#include "base/names.h"

#include <string.h>
#include <sys/random.h>

struct lm_names_entry {
	const char *name;
	size_t number;
};

/* ---- the hash: SipHash-1-3, whose collisions nobody finds who does not know the key ---- */

static uint64_t
turned(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static void
mix(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = turned(v[1], 13) ^ v[0];
	v[3] = turned(v[3], 16) ^ v[2];
	v[0] = turned(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = turned(v[1], 17) ^ v[2];
	v[3] = turned(v[3], 21) ^ v[0];
	v[2] = turned(v[2], 32);
}

static void
take(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	mix(v);
	v[0] ^= word;
}

/* Words as this machine has them: no result depends on where in the table a name stands. */
static uint64_t
hash(const uint64_t key[2], const char *s)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
	size_t n = strlen(s), i;
	uint64_t word;

	for (i = 0; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, s + i, sizeof(word));
		take(v, word);
	}
	word = 0;
	memcpy(&word, s + i, n - i);
	take(v, word ^ (uint64_t)n << 56);
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Where the system has no random bytes, what differs from process to process must do. */
static void
draw_key(struct lm_names *names)
{
	if (getrandom(names->key, sizeof(names->key), GRND_NONBLOCK) != sizeof(names->key)) {
		names->key[0] = (uint64_t)(uintptr_t)names;
		names->key[1] = (uint64_t)(uintptr_t)names->entries;
	}
}

/* ---- the table ---- */

static struct lm_names_entry *
place(const struct lm_names *names, const char *name)
{
	size_t i = (size_t)hash(names->key, name) & (names->room - 1);

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
	if (old.room == 0)
		draw_key(names);
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
