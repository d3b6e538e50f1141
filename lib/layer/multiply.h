/* multiply: a product on the pool of a call. */
#ifndef LAYER_MULTIPLY_H
#define LAYER_MULTIPLY_H

#include "layer/layer.h"

/* How many rows of its last axis x has. */
size_t lm_count_rows(const struct lm_shape *x);
/* All outputs, cut by rows or by panels of columns, whichever gives each thread more. */
void lm_multiply(const struct lm_call *, const struct lm_product *);

#endif
