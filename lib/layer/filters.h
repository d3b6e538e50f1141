/* filters: the parameters and weights that convolutions and transposed ones have in common. */
#ifndef LAYER_FILTERS_H
#define LAYER_FILTERS_H

#include "layer/layer.h"

/* Parameters in their order. */
enum { IN, OUT, KERNEL, STRIDE, DILATION, PAD_LOW, PAD_HIGH, GROUPS, BIASED };
/* Slots. */
enum { WEIGHT, BIAS };

/* Groups divide the channels of either side. */
int lm_filters_check(const struct lm_node *, struct loom_error *) LOOM_MUST_CHECK;
/* [f, c, k...] with c of a group, and [f]. */
void lm_filters_slot_shape(const struct lm_node *, size_t slot, struct lm_shape *);

#endif
