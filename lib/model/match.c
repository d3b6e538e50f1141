/* match: which tensors of two files belong together, and what the rules say of each pair. */
#include <stdlib.h>
#include <string.h>

#include "model/compare.h"

struct named {
	const char *name;
	size_t index;
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* The tensors of a file sorted by the names that they have in B; rules NULL: it is B. */
static struct named *
sorted(const struct loom_tensors *t, const struct lm_rules *rules, struct lm_arena *arena,
    struct loom_error *err)
{
	size_t n = loom_tensors_count(t), i;
	struct named *list = lm_alloc(n + 1, sizeof(*list), err);

	for (i = 0; list != NULL && i < n; i++) {
		list[i].name = loom_tensors_at(t, i).name;
		list[i].index = i;
		if (rules != NULL)
			list[i].name = lm_rules_name(rules, list[i].name, arena, err);
		if (list[i].name == NULL) {
			lm_free(list);
			return NULL;
		}
	}
	if (list != NULL)
		qsort(list, n, sizeof(*list), by_name);
	return list;
}

/* Two tensors of A must not become one of B. */
static int
unique(const struct named *list, size_t n, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 1; i < n; i++)
		if (strcmp(list[i - 1].name, list[i].name) == 0)
			return lm_fail(err, LOOM_EARG,
			    "--map: two tensors of A are called %s then, expected one",
			    lm_shown(shown, list[i].name));
	return 0;
}

/* ---- pairs ---- */

struct sides {
	struct loom_comparison *c;
	const struct loom_tensors *a, *b;
};

/* The next pair; either side may be missing. */
static int
add_pair(struct sides *s, const struct named *a, const struct named *b, struct loom_error *err)
{
	struct lm_pair *p = &s->c->pairs[s->c->n++];

	p->name = lm_arena_string(&s->c->arena, b != NULL ? b->name : a->name, err);
	if (p->name == NULL)
		return -1;
	p->in_a = a != NULL;
	p->in_b = b != NULL;
	if (a != NULL) {
		p->index_a = a->index;
		p->a = loom_tensors_at(s->a, a->index);
	}
	if (b != NULL) {
		p->index_b = b->index;
		p->b = loom_tensors_at(s->b, b->index);
	}
	return 0;
}

static int
merge(struct sides *s, const struct named *a, const struct named *b, struct loom_error *err)
{
	size_t na = loom_tensors_count(s->a), nb = loom_tensors_count(s->b), i = 0, j = 0;
	int order;

	s->c->pairs = lm_arena_alloc(&s->c->arena, na + nb + 1, sizeof(*s->c->pairs), err);
	if (s->c->pairs == NULL || unique(a, na, err) < 0)
		return -1;
	if (na == 1 && nb == 1)
		return add_pair(s, a, b, err);
	while (i < na || j < nb) {
		order = i == na ? 1 : j == nb ? -1 : strcmp(a[i].name, b[j].name);
		if (add_pair(s, order <= 0 ? &a[i] : NULL, order >= 0 ? &b[j] : NULL, err) < 0)
			return -1;
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}

/* ---- what the rules say ---- */

/* The axes of a's tensor as B has them. */
static int
permute(struct lm_pair *p, struct lm_order *o, struct loom_error *err)
{
	struct loom_tensor a = p->a;
	char shown[LM_SHOWN];
	unsigned i;

	o->used = 1;
	if (!p->in_a || !p->in_b || p->label == LOOM_SKIPPED)
		return 0;
	if (a.rank != o->rank)
		return lm_fail(err, LOOM_EARG,
		    "--permute '%.200s': tensor %s has %u axes in A, expected %u", o->text,
		    lm_shown(shown, p->name), a.rank, o->rank);
	for (i = 0; i < o->rank; i++)
		p->a.shape[i] = a.shape[o->axis[i]];
	p->order = o;
	return 0;
}

static int
settle(struct loom_comparison *c, struct lm_pair *p, struct loom_error *err)
{
	const struct loom_compare_options *o = &c->options;
	const struct lm_bound *bound = lm_rules_bound(&c->rules, p->name);
	struct lm_order *order = lm_rules_order(&c->rules, p->name);

	p->own_bound = bound != NULL;
	p->bound = bound != NULL ? *bound
				 : (struct lm_bound){ NULL, o->atol, o->rtol, o->scale_max };
	return order != NULL ? permute(p, order, err) : 0;
}

/* Every pair whose name fits gets the label, the others do not; a glob that fits none is a mistake. */
static int
leave_out(struct loom_comparison *c, const char *option, const char *const *globs, size_t n,
    int others, struct loom_error *err)
{
	struct lm_span part[LM_STARS];
	char *fits = lm_alloc(c->n + 1, 1, err);
	size_t i, j, found;

	for (i = 0; fits != NULL && i < n; i++) {
		for (j = found = 0; j < c->n; j++)
			if (lm_glob(globs[i], c->pairs[j].name, part))
				fits[j] = (char)++found > 0;
		if (found == 0) {
			lm_free(fits);
			return lm_fail(err, LOOM_EARG, "%s '%.200s': no tensor has such a name",
			    option, globs[i]);
		}
	}
	for (j = 0; fits != NULL && n > 0 && j < c->n; j++)
		if ((fits[j] != 0) != others)
			c->pairs[j].label = LOOM_SKIPPED;
	lm_free(fits);
	return fits != NULL ? 0 : -1;
}

/* A name that excuses nothing is a mistake. */
static int
skip(struct loom_comparison *c, const struct loom_compare_options *o, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i, j;

	for (i = 0; i < o->n_skip; i++) {
		for (j = 0; j < c->n && strcmp(c->pairs[j].name, o->skip[i]) != 0; j++)
			continue;
		if (j == c->n)
			return lm_fail(err, LOOM_EARG, "no tensor is called %s, so none is skipped",
			    lm_shown(shown, o->skip[i]));
		c->pairs[j].label = LOOM_SKIPPED;
	}
	return 0;
}

static int
apply(struct loom_comparison *c, const struct loom_compare_options *o, struct loom_error *err)
{
	size_t i;

	if (leave_out(c, "--only", o->only, o->n_only, 1, err) < 0 ||
	    leave_out(c, "--ignore", o->ignore, o->n_ignore, 0, err) < 0 || skip(c, o, err) < 0)
		return -1;
	for (i = 0; i < c->n; i++)
		if (settle(c, &c->pairs[i], err) < 0)
			return -1;
	for (i = 0; i < c->rules.n_order; i++)
		if (!c->rules.order[i].used)
			return lm_fail(err, LOOM_EARG,
			    "--permute '%.200s': no tensor that is left has such a name",
			    c->rules.order[i].text);
	return 0;
}

int
lm_match(struct loom_comparison *c, const struct loom_tensors *a, const struct loom_tensors *b,
    const struct loom_compare_options *o, struct loom_error *err)
{
	struct sides s = { c, a, b };
	struct named *in_a = NULL, *in_b = NULL;
	int r = -1;

	if (lm_rules_read(&c->rules, o, &c->arena, err) < 0)
		return -1;
	in_a = sorted(a, &c->rules, &c->arena, err);
	in_b = sorted(b, NULL, NULL, err);
	if (in_a != NULL && in_b != NULL && merge(&s, in_a, in_b, err) == 0)
		r = apply(c, o, err);
	lm_free(in_a);
	lm_free(in_b);
	return r;
}
