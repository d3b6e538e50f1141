/*
 * selftest: every kernel set of this machine on built-in cases.  All must give the same bits, and
 * these the hash that they have on every machine.
 */
#include "layer/selftest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "layer/trial_layers.h"
#include "num/fpenv.h"

/* Of all words of all cases; it stands in loom-infer(1) too.  A new case makes another one. */
static const uint64_t EXPECTED = 0xad655c5fb252b145u;

static const struct lm_trials *const groups[] = { &lm_trial_sums, &lm_trial_products,
	&lm_trial_functions, &lm_trial_rows, &lm_trial_layers };

/* Each step can be undone, so no two words cancel; integers have no byte order. */
static uint64_t
mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0xff51afd7ed558ccdu;
	return hash ^ hash >> 32;
}

static uint64_t
mix_case(uint64_t hash, const struct lm_trial *t)
{
	size_t i;

	hash = mix(hash, t->n);
	for (i = 0; i < t->n; i++)
		hash = mix(hash, t->words[i]);
	return hash;
}

/* One case on all sets. */
static int
compare_sets(struct lm_trial *t, const struct lm_trials *group, size_t which,
    const struct lm_kernels *const *sets, size_t n, struct loom_error *err)
{
	size_t s;
	int r;

	t->n = 0;
	for (s = 0; s < n; s++) {
		t->kernels = sets[s];
		t->first = s == 0;
		t->at = 0;
		r = group->run(t, which, err);
		lm_arena_release(&t->arena);
		if (r < 0)
			return -1;
		if (t->faulty)
			return lm_fail(err, LOOM_EMACHINE,
			    "set %s: %s: found %08" PRIx32 ", expected %08" PRIx32, sets[s]->name,
			    t->where, t->found, t->expected);
	}
	return 0;
}

int
lm_selftest(const struct lm_kernels *const *sets, size_t n, lm_selftest_fn *each, void *context,
    uint64_t *hash, struct loom_error *err)
{
	struct lm_trial *t = lm_alloc(1, sizeof(*t), err);
	size_t g, i;
	int r = t != NULL ? 0 : -1;

	*hash = 0;
	if (r == 0) {
		t->words = lm_alloc(LM_TRIAL_WORDS, sizeof(*t->words), err);
		r = t->words != NULL ? 0 : -1;
	}
	for (g = 0; r == 0 && g < sizeof groups / sizeof groups[0]; g++)
		for (i = 0; r == 0 && i < groups[g]->n; i++) {
			r = compare_sets(t, groups[g], i, sets, n, err);
			*hash = mix_case(*hash, t);
			if (r == 0 && each != NULL)
				each(context, t->name, mix_case(0, t));
		}
	lm_free(t != NULL ? t->words : NULL);
	lm_free(t);
	return r;
}

/* With LOOM_ISA only that set, else all; their number, 0 if there is no such set. */
static size_t
choose(const struct lm_kernels *sets[LM_SETS], struct loom_error *err)
{
	const char *isa = getenv("LOOM_ISA");
	size_t n;

	if (isa != NULL && isa[0] != '\0') {
		sets[0] = lm_kernels_pick(err);
		return sets[0] != NULL;
	}
	for (n = 0; n < LM_SETS && lm_kernels_at(n) != NULL; n++)
		sets[n] = lm_kernels_at(n);
	return n;
}

static int
run(struct loom_selftest *test, struct loom_error *err)
{
	const struct lm_kernels *sets[LM_SETS];
	size_t n = choose(sets, err), i, used = 0;

	for (i = 0; i < n && used < sizeof(test->sets); i++)
		used += (size_t)snprintf(test->sets + used, sizeof(test->sets) - used, "%s%s",
		    i > 0 ? "," : "", sets[i]->name);
	if (n == 0 || lm_numeric_check(err) < 0 ||
	    lm_selftest(sets, n, test->each, test->context, &test->hash, err) < 0)
		return -1;
	if (test->hash != EXPECTED)
		return lm_fail(err, LOOM_EMACHINE,
		    "sets %s: the hash of all results is %016" PRIx64 ", expected %016" PRIx64
		    ": this machine or this build computes other bits",
		    test->sets, test->hash, EXPECTED);
	return 0;
}

int
loom_selftest(struct loom_selftest *test, struct loom_error *err)
{
	struct lm_fpenv saved;
	int r;

	lm_fpenv_set(&saved);
	r = run(test, err);
	lm_fpenv_restore(&saved);
	return r;
}
