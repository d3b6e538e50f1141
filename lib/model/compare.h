/* compare: the pairs of tensors of two files, what was measured of each, and the verdict. */
#ifndef MODEL_COMPARE_H
#define MODEL_COMPARE_H

#include "base/buf.h"
#include "base/mem.h"
#include "model/measure.h"
#include "model/rules.h"

struct lm_pair {
	const char *name; /* in b, else in a */
	enum loom_label label;
	int in_a, in_b; /* which of the two tensors there are */
	int same_shape; /* both, and values were compared */
	int vacuous;	/* agrees, but so would zeros */
	size_t index_a, index_b;
	struct loom_tensor a, b;      /* their names and data are not for use */
	const struct lm_order *order; /* of a's axes, which then stand as b's; or NULL */
	struct lm_bound bound;	      /* how far apart its values may be */
	int own_bound;		      /* by the policy */
	struct lm_measure measure;
	double scale, tolerance;	   /* S, atol*S */
	double mean_abs, rms, cosine, snr; /* snr in dB; not finite where it is not defined */
};

struct loom_comparison {
	struct lm_arena arena;
	struct loom_compare_options options; /* without names and files */
	struct lm_rules rules;
	struct lm_pair *pairs; /* sorted by name */
	size_t n;
	size_t labels[LOOM_SKIPPED + 1], vacuous, compared;
	uint64_t rows, rows_compared; /* of the first axes */
	int same;
	struct lm_buf report; /* the latest */
};

/* Pairs by name, with what the rules say of each; those that are left out are SKIPPED. */
int lm_match(struct loom_comparison *, const struct loom_tensors *a, const struct loom_tensors *b,
    const struct loom_compare_options *, struct loom_error *) LOOM_MUST_CHECK;

/* "EXACT" */
const char *lm_label_name(enum loom_label);
/* Places along each axis of value number at of the shape. */
void lm_compare_place(const struct loom_tensor *, uint64_t at, uint64_t place[LOOM_RANK]);

#endif
