/*
 * flat: networks in files that hold nothing but named tensors, one for each slot (NODE.SLOT); what network
 * it is stands beside them as a topology, or the user names one.
 */
#ifndef FORMAT_FLAT_H
#define FORMAT_FLAT_H

#include "format/outgoing.h"
#include "format/tensors.h"

/* Reads a model from the tensors of a file: for format rows. */
int lm_flat_read(struct loom_model *, struct lm_source *, struct loom_error *) LOOM_MUST_CHECK;
/* The same where the tensors are indexed already. */
int lm_flat_fill(struct loom_model *, struct loom_tensors *, struct loom_error *) LOOM_MUST_CHECK;
/* The network that a file of tensors says it is; takes the tensors over, also on failure. */
int lm_flat_open(struct loom_model **, struct loom_tensors *, struct loom_error *) LOOM_MUST_CHECK;
/* A file of tensors as the weights of that network. */
int lm_flat_open_like(struct loom_model **, const char *path, const struct loom_model *like,
    struct loom_error *) LOOM_MUST_CHECK;
/* The header of a checkpoint that stands beside the tensors, kept for the model. */
int lm_flat_keep(struct loom_model *, const struct loom_tensors *,
    struct loom_error *) LOOM_MUST_CHECK;

/* The narrower dtype that the options ask for, f16 or bf16; NULL: none. */
int lm_flat_dtype(const struct lm_export *, int bf16, const struct lm_dtype **,
    struct loom_error *) LOOM_MUST_CHECK;

/* What such a file is made of. */
struct lm_flat {
	struct lm_outgoing *tensors; /* larger elements first, then by name */
	size_t n;
	struct lm_buf topology, checkpoint; /* texts; may be empty */
	/* All bytes of tensor i, where its strands are not that.  NULL: they are. */
	int (*write)(const struct lm_flat *, size_t i, struct lm_sink *, struct lm_loss *,
	    struct loom_error *);
	const void *context; /* of write */
};
/* That order of struct lm_outgoing, for qsort. */
int lm_flat_order(const void *, const void *);
/*
 * With the dtype that the options ask for, f16 or bf16; strings live in the export's arena.  Without bf16 the
 * format has no such type, and what is of it becomes float32.
 */
int lm_flat_plan(struct lm_flat *, struct lm_export *, int bf16,
    struct loom_error *) LOOM_MUST_CHECK;
/* Tensor i to a sink, or into memory of its bytes, with a note of what it lost. */
int lm_flat_write(const struct lm_flat *, size_t i, struct lm_export *, struct lm_sink *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_flat_copy(const struct lm_flat *, size_t i, struct lm_export *, void *dst,
    struct loom_error *) LOOM_MUST_CHECK;
/* The export function of a format that is one file: plan; then put: open the output, write, commit. */
typedef int lm_flat_writer(struct lm_sink *, const struct lm_flat *, struct lm_export *,
    struct loom_error *);
int lm_flat_put(const struct lm_flat *, struct lm_export *, lm_flat_writer *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_flat_export(struct lm_export *, int bf16, lm_flat_writer *,
    struct loom_error *) LOOM_MUST_CHECK;
void lm_flat_release(struct lm_flat *);

/* A .safetensors of them; the texts stand in its metadata where they are not empty. */
int lm_safetensors_write(struct lm_sink *, const struct lm_flat *, struct lm_export *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
