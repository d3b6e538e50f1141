/*
 * decoder: llama-like decoders between files that name their tensors and our graph: an embedding,
 * blocks of rmsnorm, causal attention with rotary positions, add, rmsnorm, swiglu, add; rmsnorm and
 * logits.
 */
#ifndef FORMAT_DECODER_H
#define FORMAT_DECODER_H

#include "model/model.h"

enum lm_decoder_family { LM_LLAMA, LM_MISTRAL, LM_QWEN2, LM_QWEN3 };

/* LM_ROLE_EMBEDDING ...: what a tensor is, a row of decoder.def each. */
enum lm_decoder_role {
#define ROLE(id, ...) LM_ROLE_##id,
#include "format/decoder.def"
#undef ROLE
	LM_ROLES
};

enum lm_decoder_names { LM_NAMES_HF, LM_NAMES_GGUF };
enum { LM_DECODER_NAME = 64 };

struct lm_decoder_place { /* where a tensor is in a network */
	const struct lm_node *node;
	size_t slot;
};

struct lm_decoder {
	enum lm_decoder_family family;
	uint64_t vocab, width, layers, heads, kv_heads, head_dim, hidden;
	uint64_t context; /* positions that the file says it was made for; 0: it is not said */
	double eps, rope_base;
	const float *factors; /* head_dim/2 that frequencies are divided by, or NULL */
	int tied;	      /* the logits' weight is the embedding's table */
	int qkv_bias, out_bias, mlp_bias;
	int norms;			 /* queries and keys are normalised, head by head */
	struct lm_decoder_place *places; /* after a match: see lm_decoder_place */
};

/* Are the numbers such as a decoder can have?  What the file calls them stands in no message. */
int lm_decoder_check(const struct lm_decoder *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- roles ---- */

int lm_role_in_blocks(enum lm_decoder_role);
/* Has this decoder such a tensor, once or in each block? */
int lm_decoder_has(const struct lm_decoder *, enum lm_decoder_role);
void lm_decoder_shape(const struct lm_decoder *, enum lm_decoder_role, struct lm_shape *);
/* Heads that the rows of a query or key belong to, in which they may be permuted; 0: of none. */
uint64_t lm_decoder_heads(const struct lm_decoder *, enum lm_decoder_role);
/*
 * The name in files of that kind; layer does not count where role is none of blocks.  Returns dst.
 */
const char *lm_decoder_name(char dst[LM_DECODER_NAME], enum lm_decoder_names, enum lm_decoder_role,
    size_t layer);

/* ---- between a decoder and a network ---- */

/*
 * Where a tensor's values lie: their C order is that of the shape, so rows that are permuted in the
 * file are a view with strides.  *source: what the file calls it, copied; or NULL.
 */
typedef int lm_decoder_find(void *context, enum lm_decoder_role, size_t layer, struct lm_view *,
    const char **source, struct loom_error *);

/*
 * The graph, in a model that is empty, from input_ids (int64) to logits; find NULL: without
 * weights.
 */
int lm_decoder_build(struct loom_model *, const struct lm_decoder *, lm_decoder_find *,
    void *context, struct loom_error *) LOOM_MUST_CHECK;
/*
 * The decoder that a network is, node for node what lm_decoder_build would make; what is found
 * lives in the arena.  1: it is one; 0: it is none, and *why says in a line what does not fit; -1:
 * failure.
 */
int lm_decoder_match(const struct loom_model *, struct lm_decoder *, struct lm_arena *,
    const char **why, struct loom_error *) LOOM_MUST_CHECK;
/* After a match: where a tensor is. */
const struct lm_decoder_place *lm_decoder_at(const struct lm_decoder *, enum lm_decoder_role,
    size_t layer);

#endif
