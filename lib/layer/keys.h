/*
 * keys: the keys and values of heads as products want them: keys in panels, to whose last one the next
 * position adds a lane; a row of values for each position.
 */
#ifndef LAYER_KEYS_H
#define LAYER_KEYS_H

#include "num/kernel.h"

struct lm_keys {
	size_t positions; /* at the most */
	size_t head_dim, value_dim;
	int rows;     /* keys are used as the rows that they came in, values too if that goes */
	int along;    /* the norms of values come along with the products */
	int kept;     /* others come behind them */
	char *memory; /* of one head after another: lm_keys_size bytes for each */
};

/* Rows of one head, a step apart, for positions before..before+n-1. */
struct lm_incoming {
	size_t before, n;
	const float *k, *v;
	size_t k_step, v_step;
};

size_t lm_keys_size(const struct lm_keys *);
/* What came before is there already. */
void lm_keys_add(const struct lm_keys *, size_t head, const struct lm_incoming *,
    const struct lm_kernels *);
/* All positions up to the last that came: the keys as rows of a matrix, the values as its columns. */
struct lm_matrix lm_keys_of(const struct lm_keys *, size_t head, const struct lm_incoming *last);
struct lm_matrix lm_values_of(const struct lm_keys *, size_t head, const struct lm_incoming *last);
/* Where the norms of a head's values go that come along; NULL if they are there. */
double *lm_keys_norms(const struct lm_keys *, size_t head);

#endif
