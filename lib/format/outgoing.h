/*
 * outgoing: a tensor on its way into a file of another engine: values of slots in another order, one after
 * another, in a dtype that the file can hold.
 */
#ifndef FORMAT_OUTGOING_H
#define FORMAT_OUTGOING_H

#include "base/sink.h"
#include "layer/weight.h"
#include "num/loss.h"

/* Some of a slot's values, or one number so many times. */
struct lm_strand {
	const struct lm_weight *weight; /* NULL: count times value */
	struct lm_view
	    order; /* of the slot's values in canonical C order: first, extent, stride alone */
	float value;
	uint64_t count;
};

struct lm_outgoing {
	const char *name;
	const struct lm_dtype *dtype; /* as it is written */
	const struct lm_quant *quant; /* or in blocks; dtype is float32 */
	unsigned rank;
	uint64_t shape[LOOM_RANK];
	uint64_t bytes;
	struct lm_strand *strands; /* together as many values as the shape has */
	size_t n_strands;
	const void *data; /* or these bytes */
};

/*
 * The type in which a slot leaves where nothing else is asked for: its own if it is a plain number that
 * a run takes as it is, else float32, which is what it computes with.
 */
const struct lm_dtype *lm_outgoing_dtype(const struct lm_node *, size_t slot);
/* All of a slot, in canonical order, whose weight is there; the name is the caller's. */
int lm_outgoing_slot(struct lm_outgoing *, struct lm_arena *, const char *name,
    const struct lm_node *, size_t slot, struct loom_error *) LOOM_MUST_CHECK;
/* Room for n strands in an empty tensor of that name, dtype and shape; fills bytes. */
int lm_outgoing_begin(struct lm_outgoing *, struct lm_arena *, const char *name,
    const struct lm_dtype *, const struct lm_shape *, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
/* The next strand: all of a slot; its order may be changed by lm_view_transpose and the like. */
struct lm_strand *lm_outgoing_add(struct lm_outgoing *, const struct lm_node *, size_t slot,
    struct loom_error *);
/* In dtype, or blocks, from now on: fills bytes.  LOOM_EUNSUPPORTED where blocks do not fit the last axis. */
int lm_outgoing_as(struct lm_outgoing *, const struct lm_dtype *, const struct lm_quant *,
    struct loom_error *) LOOM_MUST_CHECK;
/* All bytes.  Not finite values in blocks are LOOM_EUNSUPPORTED; loss may be NULL. */
int lm_outgoing_write(const struct lm_outgoing *, struct lm_sink *, struct lm_loss *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The same into memory of bytes. */
int lm_outgoing_copy(const struct lm_outgoing *, void *dst, struct lm_loss *,
    struct loom_error *) LOOM_MUST_CHECK;
/* "tensor NAME: float32 to float16: ...\n" behind notes, where something was asked to be narrower. */
int lm_loss_note(const struct lm_loss *, const struct lm_outgoing *, const struct lm_dtype *from,
    struct lm_buf *notes, struct loom_error *) LOOM_MUST_CHECK;

#endif
