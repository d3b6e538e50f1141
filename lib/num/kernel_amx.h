/*
 * kernel_amx: products of large matrices on int8 tiles.  The amx set is the avx512 set in all else, and
 * stands beside it (num/kernel_avx512.c).
 */
#ifndef NUM_KERNEL_AMX_H
#define NUM_KERNEL_AMX_H

#include "num/kernel.h"

enum { LM_AMX_ROOM = 36 << 20 }; /* most of it is not touched by small products */

/* As struct lm_kernels has them.  What gains nothing from tiles is done by the avx512 set. */
void lm_amx_product(const struct lm_product *, size_t m0, size_t m1, size_t n0, size_t n1,
    void *room, struct lm_counts *counts);
int lm_amx_residues(struct lm_matrix *, struct lm_arena *, struct loom_error *);

#endif
