/* sets: what tests of products by every kernel set share. */
#ifndef UNIT_SETS_H
#define UNIT_SETS_H

#include "num/kernel.h"

/* Bytes that a product of any set works in, a multiple of 64. */
static inline size_t
most_room(void)
{
	const struct lm_kernels *set;
	size_t i, most = 64;

	for (i = 0; (set = lm_kernels_at(i)) != NULL; i++)
		most = set->room > most ? set->room : most;
	return (most + 63) / 64 * 64;
}

#endif
