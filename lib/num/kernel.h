/*
 * kernel: the inner loops, as a table of functions for each instruction set; all give the same bits.
 */
#ifndef NUM_KERNEL_H
#define NUM_KERNEL_H

#include <stddef.h>

#include "num/functions.h"
#include "num/product.h"

struct loom_error;
struct lm_windowing;

struct lm_kernels {
	const char *name; /* as LOOM_ISA has it */

	size_t room; /* bytes of memory, aligned to 64, that a product uses */

	/*
	 * Rows m0..m1-1, columns n0..n1-1 of a product; n0 is a multiple of 16.  Allocates nothing;
	 * counts may be NULL.  room: as many bytes as above, nobody else's meanwhile.
	 */
	void (*product)(const struct lm_product *, size_t m0, size_t m1, size_t n0, size_t n1,
	    void *room, struct lm_counts *counts);

	/* x of a product as tiles, m rows of k values: so many doubles, and their making. */
	size_t (*tiles_size)(size_t m, size_t k);
	void (*tile)(double *tiles, const lm_f32u *x, size_t x_step, size_t m, size_t k);

	/* Adds to each of the columns, whole panels of them, the squares of its n values, step apart. */
	void (*squares)(double *sums, const lm_f32u *v, size_t step, size_t n, size_t columns);

	/* The form of a matrix for integer tiles; NULL: this set has none. */
	int (*residues)(struct lm_matrix *, struct lm_arena *, struct loom_error *);

	/* The double-double sum of the second stage. */
	lm_pairs_fn *pairs;

	const struct lm_functions *fn;
	const struct lm_windowing *windows; /* num/windows.h */
};

extern const struct lm_kernels lm_kernels_scalar, lm_kernels_sse2, lm_kernels_avx2,
    lm_kernels_avx512, lm_kernels_amx, lm_kernels_neon, lm_kernels_simd128;
/* Whether this machine, its operating system and the compiler have int8 tiles. */
int lm_amx_here(void);

/*
 * The best set for this machine, or the one that the environment variable LOOM_ISA names; NULL
 * with LOOM_EARG if there is no such set.
 */
const struct lm_kernels *lm_kernels_pick(struct loom_error *err);
/* The sets that this machine has, plain C first, the best last; NULL past the last. */
const struct lm_kernels *lm_kernels_at(size_t i);

#endif
