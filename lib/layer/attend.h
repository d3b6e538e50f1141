/* attend: a block of queries against the keys that they may see. */
#ifndef LAYER_ATTEND_H
#define LAYER_ATTEND_H

#include "num/kernel.h"

enum lm_mask {
	LM_NO_MASK,
	LM_KEEP, /* flags: true is seen */
	LM_HIDE, /* flags: true is hidden */
	LM_ADD	 /* binary32, added to the score */
};

enum { LM_QUERIES = 56 }; /* of a block, at the most */

/* What one query may see. */
struct lm_sight {
	size_t seen;	  /* keys from here on are hidden */
	const void *mask; /* an element for each key, mask_step (0 or 1) apart */
};

struct lm_attend {
	const struct lm_kernels *kernels;
	struct lm_counts *counts;
	void *room; /* kernels->room bytes */
	/* the keys */
	size_t keys;
	struct lm_matrix k; /* a row for each: so many columns has the product of scores */
	struct lm_matrix v; /* a row for each element of their values, in panels */
	double *norms;	    /* room for v's where they come along with a single query; or NULL */
	double scale;
	enum lm_mask kind;
	size_t mask_step;
	int filled; /* a hidden key's score is fill; else the key does not count */
	double fill;
	float empty; /* the result where no key counts */
	/* the queries */
	size_t queries;
	const float *q; /* q_step apart */
	size_t q_step;
	struct lm_sight sight[LM_QUERIES];
	float *o; /* o_step apart */
	size_t o_step;
};

/* How many queries to take together, of rows that there are. */
size_t lm_attend_queries(size_t keys, size_t rows);
/* Bytes that so many want. */
size_t lm_attend_room(size_t queries, size_t keys);
/* Fills o; memory is as large as above and aligned as a double. */
void lm_attend(const struct lm_attend *, void *memory);
/* Is there a key that counts for a query? */
int lm_attend_any(const struct lm_attend *, const struct lm_sight *);

#endif
