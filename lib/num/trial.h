/*
 * trial: cases whose results kernel sets are compared by.  The first set's results are kept, those of
 * each other set must be the same words.
 */
#ifndef NUM_TRIAL_H
#define NUM_TRIAL_H

#include "base/mem.h"
#include "num/kernel.h"

enum { LM_TRIAL_WORDS = 1 << 15 }; /* that one case may give */

/* A case that is under way. */
struct lm_trial {
	const struct lm_kernels *kernels;
	struct lm_arena arena; /* lives as long as this set's part of the case */
	char name[120];	       /* what is tried, for a message */
	uint32_t *words;       /* of the first set; NaNs are all 7fc00000, 7ff8000000000000 */
	size_t n, at;	       /* how many there are; which comes next */
	int first;	       /* whether this is the first set, whose words may become more */
	int faulty;	       /* whether a word was not the expected one; then the first such: */
	char where[120];
	uint32_t found, expected;
};

/* Give the case, or a part of it, its name. */
void lm_trial_name(struct lm_trial *, const char *fmt, ...) LM_PRINTF(2, 3);
/* The same results come once more, in another way. */
void lm_trial_again(struct lm_trial *);
/* What the results are.  lm_trial_expect also knows what they must be. */
void lm_trial_u32(struct lm_trial *, uint32_t);
void lm_trial_f32(struct lm_trial *, const float *, size_t n);
void lm_trial_f64(struct lm_trial *, const double *, size_t n);
void lm_trial_expect(struct lm_trial *, float found, uint32_t expected);
void lm_trial_expect64(struct lm_trial *, double found, uint64_t expected);

/* Some cases, each of which names itself and gives words; fails only where there is no memory. */
struct lm_trials {
	size_t n;
	int (*run)(struct lm_trial *, size_t i, struct loom_error *);
};

extern const struct lm_trials lm_trial_sums, lm_trial_products, lm_trial_functions, lm_trial_rows;

/* ---- numbers to try with: the same on every machine ---- */

/* 24 bits. */
uint32_t lm_trial_bits(uint64_t *seed);
/* About normal, of variance 4/3. */
float lm_trial_gauss(uint64_t *seed);

/* v[0..n-1] of a class of numbers; the classes are counted from 0. */
enum { LM_TRIAL_CLASSES = 9 };
const char *lm_trial_class(size_t i);
void lm_trial_fill(float *v, size_t n, size_t class, uint64_t *seed);

#endif
