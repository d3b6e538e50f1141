/* axes: lists of axes, of which none is named twice. */
#ifndef LAYER_AXES_H
#define LAYER_AXES_H

#include "layer/layer.h"

/* Entry k of the list axes: which of the input's axes; seen has a bit for each that was named. */
int lm_axes_next(const struct lm_shaping *, const struct lm_dims *axes, size_t k, unsigned *axis,
    unsigned *seen, struct loom_error *) LOOM_MUST_CHECK;
/* "axes has axis 2 twice"; always -1. */
int lm_axes_twice(const struct lm_node *, unsigned axis, struct loom_error *);
/* As many entries as axes, in each of the lists first..last; a message if not. */
int lm_axes_lists(const struct lm_node *, size_t axes, size_t first, size_t last,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
