/* heads: attention of all heads of a few samples: rotary positions, masks, grouped keys. */
#ifndef LAYER_HEADS_H
#define LAYER_HEADS_H

#include "layer/attend.h"
#include "layer/layer.h"

enum lm_rope { LM_ROPE_NONE, LM_ROPE_HALF, LM_ROPE_INTERLEAVED };

struct lm_heads {
	const struct lm_call *call;
	size_t batch, sq, sk;
	size_t heads, kv_heads, head_dim, value_dim;
	int causal;
	enum lm_rope rope;
	const struct lm_array *query, *mask;
	struct lm_attend attend; /* what all queries have in common */
	size_t first, count;	 /* the samples at hand */
	/* memory for those: projected values, [sample][position][head][element] */
	float *q, *k, *v, *o;
	float *t;	   /* v turned: [sample][head][element][position] */
	double *frequency; /* of rope */
	char *part;	   /* lm_heads_part() bytes for each worker */
};

/* Elements of q, k, v, t and o for one sample; bytes that each worker wants. */
size_t lm_heads_floats(const struct lm_heads *);
size_t lm_heads_part(const struct lm_heads *);

/* The extent of an axis that is counted from the end; 1 where there is none. */
uint64_t lm_extent(const struct lm_shape *, unsigned from_end);

/* What the query of a row of a head of the i-th sample at hand may see; q, k, v where they are. */
struct lm_attend lm_heads_query(const struct lm_heads *, size_t i, size_t head, size_t row);

/* Turns q and k where rope is wanted, then fills o. */
void lm_heads_run(struct lm_heads *);

#endif
