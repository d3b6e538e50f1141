/* view: where the values of a slot lie in a file that is read by windows, in whatever order. */
#ifndef LAYER_VIEW_H
#define LAYER_VIEW_H

#include "base/source.h"
#include "layer/shape.h"
#include "num/quant.h"

enum { LM_VIEW_RANK = 8 };

/*
 * Element (i0, i1, ...) of extent[rank], taken in C order, is element first + sum of i_k stride_k of the
 * array that is stored at offset.  Elements of less than a byte lie one after another.
 */
struct lm_view {
	struct lm_source *source; /* seekable */
	uint64_t offset;	  /* of the array's first byte */
	const struct lm_dtype *dtype;
	const struct lm_quant
	    *quant; /* float32 values stored in blocks, or NULL; dtype is float32 */
	uint64_t first;
	unsigned rank;
	uint64_t extent[LM_VIEW_RANK];
	int64_t stride[LM_VIEW_RANK];
};

/* All values of an array at offset, one after another; LOOM_EFORMAT where the source ends before. */
int lm_view_whole(struct lm_view *, struct lm_source *, uint64_t offset, const struct lm_dtype *,
    const struct lm_quant *, const struct lm_shape *, struct loom_error *) LOOM_MUST_CHECK;
/* Axis k becomes what axis perm[k] was. */
void lm_view_transpose(struct lm_view *, const unsigned *perm);
/* The same values with other extents, of a view whose values lie one after another. */
void lm_view_reshape(struct lm_view *, unsigned rank, const uint64_t *extent);
/* Of axis, only the entries from start on, n of them. */
void lm_view_narrow(struct lm_view *, unsigned axis, uint64_t start, uint64_t n);
/* Whether the values lie one after another from first on. */
int lm_view_packed(const struct lm_view *);
uint64_t lm_view_count(const struct lm_view *);
/* Values in the view's order from the array, which lies at from from its element 0 on. */
void lm_view_gather(const struct lm_view *, const unsigned char *from, unsigned char *dst);
/* Of a view whose values lie one after another, n from `from` on. */
int lm_view_run(const struct lm_view *, uint64_t from, uint64_t n, void *dst,
    struct loom_error *) LOOM_MUST_CHECK;
/* All values in C order, packed as dtype says, which fill bytes; at any alignment. */
int lm_view_read(const struct lm_view *, void *dst, struct loom_error *) LOOM_MUST_CHECK;

#endif
