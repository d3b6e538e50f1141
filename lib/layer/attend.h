/* attend: one query of one head against the keys that it may see. */
#ifndef LAYER_ATTEND_H
#define LAYER_ATTEND_H

#include "num/kernel.h"

enum lm_mask {
	LM_NO_MASK,
	LM_KEEP, /* flags: true is seen */
	LM_HIDE, /* flags: true is hidden */
	LM_ADD	 /* binary32, added to the score */
};

struct lm_attend {
	const struct lm_kernels *kernels;
	struct lm_counts *counts;
	size_t keys, head_dim, value_dim;
	const float *q; /* head_dim */
	const float *k; /* keys rows of head_dim, k_step apart */
	const float *v; /* value_dim rows of keys */
	size_t k_step;
	double scale;
	size_t seen; /* keys from here on are hidden */
	enum lm_mask kind;
	const void *mask; /* an element for each key, mask_step (0 or 1) apart */
	size_t mask_step;
	int filled; /* a hidden key's score is fill; else the key does not count */
	double fill;
	float empty; /* the result where no key counts */
};

/* Room for as many keys: what plan asks for. */
size_t lm_attend_room(size_t keys);
/* o[0..value_dim-1]; room is aligned as a double. */
void lm_attend(const struct lm_attend *, void *room, float *o);
/* Is there a key that counts? */
int lm_attend_any(const struct lm_attend *);

#endif
