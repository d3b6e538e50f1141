/*
 * heads: attention of all heads of a few samples: rotary positions, masks, grouped keys.  attention
 * brings rows of all heads, scaled_dot_product_attention a matrix for each head.
 */
#ifndef LAYER_HEADS_H
#define LAYER_HEADS_H

#include "layer/attend.h"
#include "layer/keys.h"
#include "layer/pieces.h"

enum lm_rope { LM_ROPE_NONE, LM_ROPE_HALF, LM_ROPE_INTERLEAVED };

/* The inputs, in this order. */
enum { LM_QUERY, LM_KEY, LM_VALUE, LM_MASK, LM_HEADS_INPUTS };
enum { LM_FILL_LEFT_OUT, LM_FILL_LEAST, LM_FILL_1E9 };
enum { LM_EMPTY_ZERO, LM_EMPTY_NAN, LM_EMPTY_ERROR };

extern const char *const lm_masks[];   /* none, keep, hide, add */
extern const char *const lm_fills[];   /* -inf, least, -1e9 */
extern const char *const lm_empties[]; /* zero, nan, error */

/* Where a node has the parameters that say what a query sees. */
struct lm_seeing {
	size_t causal, scale, mask, fill, empty;
};

struct lm_heads {
	const struct lm_call *call;
	size_t batch, sq, sk; /* sk: keys that come with the call */
	size_t before, most; /* positions that are kept from before, and at the most; 0: all come */
	size_t heads, kv_heads, head_dim, value_dim;
	int causal;
	enum lm_rope rope;
	int apart; /* 1: each head's positions lie together; 0: each position's heads */
	const struct lm_shape *query;
	const struct lm_array *mask;
	struct lm_attend attend; /* what all queries have in common */
	size_t first, count;	 /* the samples at hand */
	/* of those, [sample][position][head][element], or [sample][head][position][element] */
	float *q, *k, *v, *o;
	struct lm_keys keys; /* [sample][head] */
	char *kept;	     /* the keys of all samples, where sequences come in pieces */
	double *frequency;   /* of rope */
	char *part;	     /* lm_heads_part() bytes for each worker */
};

/* What follows from the extents. */
void lm_heads_fit(struct lm_heads *);
/* Bytes that each worker wants, and the keys of a sample. */
size_t lm_heads_part(const struct lm_heads *);
size_t lm_heads_keys(const struct lm_heads *);

/* The extent of an axis that is counted from the end; 1 where there is none. */
uint64_t lm_extent(const struct lm_shape *, unsigned from_end);

/* Is it causal, without a mask, and do queries, keys and values come position by position? */
int lm_heads_pieces(const struct lm_pieces *, const struct lm_seeing *);
/* Bytes that are kept of all samples. */
int lm_heads_kept(const struct lm_heads *, const struct lm_node *, size_t *bytes,
    struct loom_error *) LOOM_MUST_CHECK;

/* Is the scale one that sums go with? */
int lm_heads_check(const struct lm_node *, const struct lm_seeing *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Is there a mask where one is wanted, and only there, of the scores' shape? */
int lm_heads_mask(const struct lm_shaping *, const struct lm_seeing *, const struct lm_heads *,
    struct loom_error *) LOOM_MUST_CHECK;
/* call, mask and what does not differ from query to query, for extents that are there. */
void lm_heads_start(struct lm_heads *, const struct lm_call *, const struct lm_seeing *);
/* Where that is an error, the first query that sees no key. */
int lm_heads_seen(const struct lm_heads *, const struct lm_seeing *,
    struct loom_error *) LOOM_MUST_CHECK;

/* Turns q and k where rope is wanted, then fills o. */
void lm_heads_run(struct lm_heads *);

#endif
