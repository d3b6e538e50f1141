/* shape: extents of values, and dimensions that are integers, names, or expressions of names. */
#ifndef LAYER_SHAPE_H
#define LAYER_SHAPE_H

#include "base/mem.h"
#include "num/dtype.h"

/* What a value is: its element type and extents.  C order. */
struct lm_shape {
	const struct lm_dtype *dtype;
	unsigned rank;
	uint64_t dim[LOOM_RANK];
};

/* Number of elements; -1 when it does not fit. */
int lm_shape_count(const struct lm_shape *, uint64_t *count) LOOM_MUST_CHECK;
int lm_shape_same(const struct lm_shape *, const struct lm_shape *); /* extents alone */
/* "float32 [2, 3]" into dst; returns dst. */
#define LM_SHAPE_TEXT 420
const char *lm_shape_text(char dst[LM_SHAPE_TEXT], const struct lm_shape *);

/* text NULL: the integer value.  Else an expression of names and integers with + - * // ( ). */
struct lm_dim {
	const char *text;
	int64_t value;
};

struct lm_dims {
	size_t n;
	const struct lm_dim *dim;
};

/* A name and the extent that it stands for in one run. */
struct lm_size {
	const char *name;
	uint64_t value;
};

struct lm_sizes {
	size_t n;
	struct lm_size *size;
};

/* Is text a well-formed expression?  Is it a bare name? */
int lm_dim_check(const char *text, struct loom_error *) LOOM_MUST_CHECK;
int lm_dim_is_name(const char *text);
/* Its extent: LOOM_ESHAPE when a name is unknown, a division by zero or a negative result. */
int lm_dim_eval(const struct lm_dim *, const struct lm_sizes *, uint64_t *,
    struct loom_error *) LOOM_MUST_CHECK;
/* "[batch, 2, s-1]" into dst; returns dst. */
const char *lm_dims_text(char dst[LM_SHAPE_TEXT], const struct lm_dims *);

#endif
