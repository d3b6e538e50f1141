/* strided: y's elements from places of x that are a fixed step apart along each axis of y. */
#ifndef LAYER_STRIDED_H
#define LAYER_STRIDED_H

#include "layer/layer.h"

struct lm_strided {
	size_t first;		/* the element of x that y begins with */
	size_t step[LOOM_RANK]; /* elements of x between neighbours along each axis of y */
};

/* Elements between neighbours along each axis of a dense array. */
void lm_strides(const struct lm_shape *, size_t stride[LOOM_RANK]);
/* Output 0 of a call from input 0, of the same dtype. */
void lm_strided_copy(const struct lm_call *, const struct lm_strided *);

#endif
