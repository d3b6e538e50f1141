/* mem: checked sizes, the allocator hook, arenas. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ALIGN 64
#define BLOCK 16384

static loom_realloc_fn *hook;
static void *hook_context;

static void *
reallocate(void *p, size_t size)
{
	if (hook != NULL)
		return hook(hook_context, p, size);
	if (size == 0) {
		free(p);
		return NULL;
	}
	return realloc(p, size);
}

void
lm_set_alloc(loom_realloc_fn *fn, void *context)
{
	hook = fn;
	hook_context = context;
}

int
lm_mul(size_t a, size_t b, size_t *out)
{
	if (a != 0 && b > SIZE_MAX / a)
		return -1;
	*out = a * b;
	return 0;
}

int
lm_mul64(uint64_t a, uint64_t b, uint64_t *out)
{
	if (a != 0 && b > UINT64_MAX / a)
		return -1;
	*out = a * b;
	return 0;
}

void *
lm_resize(void *p, size_t count, size_t size, struct loom_error *err)
{
	size_t bytes;
	void *q = NULL;

	if (lm_mul(count, size, &bytes) == 0 && bytes < SIZE_MAX / 2)
		q = reallocate(p, bytes > 0 ? bytes : 1);
	if (q == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for %zu x %zu bytes", count, size);
	return q;
}

/* Large memory from calloc is zeros that nothing has touched yet: it takes no time. */
static void *
zeroed(size_t size)
{
	void *p;

	if (hook == NULL)
		return calloc(1, size);
	p = hook(hook_context, NULL, size);
	return p != NULL ? memset(p, 0, size) : NULL;
}

void *
lm_alloc(size_t count, size_t size, struct loom_error *err)
{
	size_t bytes;
	void *p = NULL;

	if (lm_mul(count, size, &bytes) == 0 && bytes < SIZE_MAX / 2)
		p = zeroed(bytes > 0 ? bytes : 1);
	if (p == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for %zu x %zu bytes", count, size);
	return p;
}

void
lm_free(void *p)
{
	if (p != NULL)
		(void)reallocate(p, 0);
}

/* ---- arena ---- */

struct lm_arena_block {
	struct lm_arena_block *next;
	unsigned char *base;
	size_t used, size;
	size_t touched; /* not zeros any more, from a life before */
};

static struct lm_arena_block *
block_add(struct lm_arena *arena, size_t bytes, struct loom_error *err)
{
	struct lm_arena_block *block = arena->blocks;
	size_t size = bytes + BLOCK;

	if (block != NULL && block->used == 0) { /* left over, and too small */
		arena->blocks = block->next;
		lm_free(block);
	}
	if (arena->most > 0 && (arena->taken > arena->most || size > arena->most - arena->taken)) {
		(void)lm_fail(err, LOOM_EUNSUPPORTED,
		    "needs more than %ju bytes of memory besides its weights (--max-memory)",
		    (uintmax_t)arena->most);
		return NULL;
	}
	block = lm_alloc(1, sizeof(*block) + size + ALIGN, err);
	if (block == NULL)
		return NULL;
	block->base = (unsigned char *)(block + 1);
	block->base += (ALIGN - (uintptr_t)block->base % ALIGN) % ALIGN;
	block->size = size;
	block->next = arena->blocks;
	arena->blocks = block;
	arena->taken += size;
	return block;
}

/* zeros: it is not what lay there before. */
static void *
take(struct lm_arena *arena, size_t count, size_t size, int zeros, struct loom_error *err)
{
	struct lm_arena_block *block = arena->blocks;
	size_t bytes, old;
	void *p;

	if (lm_mul(count, size, &bytes) < 0 || bytes > SIZE_MAX / 4) {
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for %zu x %zu bytes", count, size);
		return NULL;
	}
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (block == NULL || block->size - block->used < bytes)
		block = block_add(arena, bytes, err);
	if (block == NULL)
		return NULL;
	p = block->base + block->used;
	old = block->touched > block->used ? block->touched - block->used : 0;
	if (zeros && old > 0)
		memset(p, 0, old < bytes ? old : bytes);
	block->used += bytes;
	return p;
}

void *
lm_arena_alloc(struct lm_arena *arena, size_t count, size_t size, struct loom_error *err)
{
	return take(arena, count, size, 1, err);
}

void *
lm_arena_room(struct lm_arena *arena, size_t count, size_t size, struct loom_error *err)
{
	return take(arena, count, size, 0, err);
}

char *
lm_arena_string(struct lm_arena *arena, const char *s, struct loom_error *err)
{
	size_t n = strlen(s) + 1;
	char *copy = lm_arena_alloc(arena, n, 1, err);

	return copy != NULL ? memcpy(copy, s, n) : NULL;
}

void
lm_arena_release(struct lm_arena *arena)
{
	struct lm_arena_block *block, *next;

	for (block = arena->blocks; block != NULL; block = next) {
		next = block->next;
		lm_free(block);
	}
	arena->blocks = NULL;
}

void
lm_arena_reuse(struct lm_arena *arena)
{
	struct lm_arena_block *block, *next, *kept = arena->blocks;

	for (block = arena->blocks; block != NULL; block = block->next)
		kept = block->size > kept->size ? block : kept;
	for (block = arena->blocks; block != NULL; block = next) {
		next = block->next;
		if (block != kept)
			lm_free(block);
	}
	arena->blocks = kept;
	if (kept == NULL)
		return;
	kept->next = NULL;
	kept->touched = kept->used > kept->touched ? kept->used : kept->touched;
	kept->used = 0;
}
