/*
 * heads: attention of all heads of a few samples: rotary positions, masks, grouped keys.  attention
 * brings rows of all heads, scaled_dot_product_attention a matrix for each head.
 */
#ifndef LAYER_HEADS_H
#define LAYER_HEADS_H

#include "layer/attend.h"
#include "layer/layer.h"

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
	size_t batch, sq, sk;
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
	float *t;	   /* v turned: [sample][head][element][position] */
	double *frequency; /* of rope */
	char *part;	   /* lm_heads_part() bytes for each worker */
};

/* Bytes that each worker wants. */
size_t lm_heads_part(const struct lm_heads *);

/* The extent of an axis that is counted from the end; 1 where there is none. */
uint64_t lm_extent(const struct lm_shape *, unsigned from_end);

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

/* What the query of a row of a head of the i-th sample at hand may see; q, k, v where they are. */
struct lm_attend lm_heads_query(const struct lm_heads *, size_t i, size_t head, size_t row);

/* Turns q and k where rope is wanted, then fills o. */
void lm_heads_run(struct lm_heads *);

#endif
