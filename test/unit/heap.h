/* heap: an allocator whose calls can be made to fail, and that counts what is alive. */
#ifndef TEST_HEAP_H
#define TEST_HEAP_H

#include <assert.h>
#include <stdlib.h>

#include "loom.h"

/* Allocation number `fail` fails, none if it is negative, and with `on` all after it too. */
static struct {
	long count, fail, alive;
	int on, failed;
} heap;

static void *
heap_allocate(void *context, void *p, size_t size)
{
	void *q;

	(void)context;
	if (size == 0) {
		heap.alive -= p != NULL;
		free(p);
		return NULL;
	}
	if (heap.count == heap.fail || (heap.on && heap.count > heap.fail && heap.fail >= 0)) {
		heap.count++;
		heap.failed = 1;
		return NULL;
	}
	heap.count++;
	q = realloc(p, size);
	assert(q != NULL);
	heap.alive += p == NULL;
	return q;
}

#endif
