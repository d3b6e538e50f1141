/* mem: checked sizes, the allocator hook, arenas.  The only module that reaches the heap. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/err.h"

/* What loom_set_alloc does for all but jansson. */
void lm_set_alloc(loom_realloc_fn *fn, void *context);

/* *out = a * b, or -1 without touching *out when it does not fit. */
int lm_mul(size_t a, size_t b, size_t *out) LOOM_MUST_CHECK;
int lm_mul64(uint64_t a, uint64_t b, uint64_t *out) LOOM_MUST_CHECK;

/* Zeroed memory for count things of size bytes; NULL and LOOM_ENOMEM when there is none. */
void *lm_alloc(size_t count, size_t size, struct loom_error *);
/* Grow or shrink; on failure p is still valid and NULL comes back.  New bytes are not zeroed. */
void *lm_resize(void *p, size_t count, size_t size, struct loom_error *);
void lm_free(void *p); /* takes NULL */

/*
 * An arena: all that lives as long as one object, zeroed, aligned to 64 bytes, freed at once.
 * A zeroed struct is an empty arena.
 */
struct lm_arena {
	struct lm_arena_block *blocks;
	uint64_t most, taken; /* bytes that it may take, 0: any number; and has taken */
};

void *lm_arena_alloc(struct lm_arena *, size_t count, size_t size, struct loom_error *);
char *lm_arena_string(struct lm_arena *, const char *, struct loom_error *);
/* The same without zeros, for what is filled at once. */
void *lm_arena_room(struct lm_arena *, size_t count, size_t size, struct loom_error *);
void lm_arena_release(struct lm_arena *);
/* Everything in it is gone, but the largest piece of memory stays for what comes next. */
void lm_arena_reuse(struct lm_arena *);

#endif
