/*
 * rules: what a user says of tensors by their names: which are left out, what those of A are called in
 * B, in which order their axes stand, how far apart values may be.  In a glob * stands for any
 * characters and ? for one; nothing else is special.
 */
#ifndef MODEL_RULES_H
#define MODEL_RULES_H

#include "base/mem.h"

enum { LM_STARS = 16 }; /* in one glob */

struct lm_span {
	const char *s;
	size_t n;
};

/*
 * 1 if the whole name fits; then part[] has what each * stands for, the first as short as may be; the
 * last of part[] is that of the last star if there are more.
 */
int lm_glob(const char *glob, const char *name, struct lm_span part[LM_STARS]);

/* Tensors of A whose name fits are called `to`, each * of it replaced by what that of `from` was. */
struct lm_rename {
	const char *from, *to;
};

/* The axes of a tensor of A in the order in which B has them. */
struct lm_order {
	const char *text; /* as it was given */
	const char *glob;
	unsigned rank, axis[LOOM_RANK];
	int used;
};

/* How far apart the values of a tensor may be. */
struct lm_bound {
	const char *glob;
	double atol, rtol;
	int scale_max;
};

/* The first that fits counts. */
struct lm_rules {
	struct lm_rename *rename;
	struct lm_order *order;
	struct lm_bound *bound;
	size_t n_rename, n_order, n_bound;
};

/* What the options' files and texts say; everything lives in the arena. */
int lm_rules_read(struct lm_rules *, const struct loom_compare_options *, struct lm_arena *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The name in B of what A calls so; NULL on failure. */
const char *lm_rules_name(const struct lm_rules *, const char *name, struct lm_arena *,
    struct loom_error *);
struct lm_order *lm_rules_order(const struct lm_rules *, const char *name);
const struct lm_bound *lm_rules_bound(const struct lm_rules *, const char *name);

#endif
