/*
 * attend: a block of queries against the keys that they may see.  Scores have 32 significant bits,
 * weights e^(s - max) are correctly rounded binary32, a result is one exact sum of weights and
 * values times the inverse of the weights' sum.
 */
#include "layer/attend.h"

#include <math.h>
#include <string.h>

enum {
	NEAR = 3 << 17, /* bytes of scores and weights that stay near */
	TILE = 14,	/* queries that a kernel takes together, at the most */
	ODD = 16	/* elements between rows, lest all begin in the same lines of a cache */
};

/* Rows of scores and of weights lie step elements apart. */
struct room {
	size_t step;
	double *score;
	double *inverse; /* of each row's sum of weights */
	float *weight;
	size_t listed[LM_QUERIES]; /* how many keys count */
};

static size_t
step_of(size_t keys)
{
	return (keys + LM_PANEL - 1) / LM_PANEL * LM_PANEL + ODD;
}

size_t
lm_attend_queries(size_t keys, size_t rows)
{
	size_t n = NEAR / ((sizeof(double) + sizeof(float)) * step_of(keys)) / TILE * TILE;

	n = n < TILE ? TILE : n;
	n = n < LM_QUERIES ? n : LM_QUERIES;
	return rows > 0 && rows < n ? rows : n;
}

size_t
lm_attend_room(size_t queries, size_t keys)
{
	return queries * ((sizeof(double) + sizeof(float)) * step_of(keys) + sizeof(double));
}

static void
divide(const struct lm_attend *a, void *memory, struct room *r)
{
	r->step = step_of(a->keys);
	r->score = memory;
	r->inverse = r->score + a->queries * r->step;
	r->weight = (float *)(r->inverse + a->queries);
}

static int
hidden(const struct lm_attend *a, const struct lm_sight *s, size_t key)
{
	const unsigned char *flags = s->mask;

	if (key >= s->seen)
		return 1;
	if (a->kind == LM_KEEP)
		return flags[key * a->mask_step] == 0;
	return a->kind == LM_HIDE && flags[key * a->mask_step] != 0;
}

int
lm_attend_any(const struct lm_attend *a, const struct lm_sight *s)
{
	size_t key;

	for (key = 0; key < a->keys; key++)
		if (a->filled || !hidden(a, s, key))
			return 1;
	return 0;
}

static int
has_holes(const struct lm_attend *a)
{
	return a->kind == LM_KEEP || a->kind == LM_HIDE;
}

/* ---- scores ---- */

/* The keys before the last one that any of the queries sees. */
static size_t
reach(const struct lm_attend *a)
{
	size_t most = 0, i;

	for (i = 0; i < a->queries; i++)
		most = a->sight[i].seen > most ? a->sight[i].seen : most;
	return most;
}

static void
score(const struct lm_attend *a, const struct room *r)
{
	struct lm_product p = { .m = a->queries,
		.x = a->q,
		.x_step = a->q_step,
		.w = &a->k,
		.scale = &a->scale,
		.wide = r->score,
		.y_step = r->step };

	a->kernels->product(&p, 0, p.m, 0, reach(a), a->room, a->counts);
}

/* Scores as the mask has them, those of the keys that count side by side; returns how many. */
static size_t
list(const struct lm_attend *a, const struct lm_sight *sight, double *s)
{
	const float *added = sight->mask;
	size_t n = 0, key;

	for (key = 0; a->kind == LM_ADD && key < sight->seen; key++)
		s[key] += added[key * a->mask_step];
	if (a->filled)
		for (key = 0; key < a->keys; key++)
			s[key] = hidden(a, sight, key) ? a->fill : s[key];
	if (a->filled || !has_holes(a))
		return a->filled ? a->keys : sight->seen;
	for (key = 0; key < sight->seen; key++)
		if (!hidden(a, sight, key))
			s[n++] = s[key];
	return n;
}

/* ---- weights ---- */

/* From side by side to the keys' own places; keys up to last that do not count get none. */
static void
spread(const struct lm_attend *a, const struct lm_sight *sight, float *w, size_t n, size_t last)
{
	size_t key;

	for (key = last; key > n; key--)
		w[key - 1] = hidden(a, sight, key - 1) ? 0 : w[--n];
}

static void
weigh(const struct lm_attend *a, struct room *r, size_t row, size_t last)
{
	const struct lm_functions *fn = a->kernels->fn;
	double *s = r->score + row * r->step;
	float *w = r->weight + row * r->step;
	size_t n = list(a, &a->sight[row], s);

	r->listed[row] = n;
	r->inverse[row] = 1;
	if (n > 0) {
		fn->exp_less64(w, s, fn->max64(s, n), n);
		r->inverse[row] = 1.0 / fn->lane16_f32(w, n);
	}
	if (n < last)
		spread(a, &a->sight[row], w, n, last);
}

/* ---- results ---- */

/*
 * Element d, whose values are not all finite: an infinity times the weight 0 of a key that does
 * not count must not become a NaN.
 */
static void
mend(const struct lm_attend *a, const struct room *r, size_t row, size_t d)
{
	const struct lm_matrix *v = &a->v;
	const float *from = v->panels + d / LM_PANEL * v->apart + d % LM_PANEL;
	const float *weight = r->weight + row * r->step;
	float *w = (float *)(r->score + row * r->step), *values = w + a->keys;
	size_t n = 0, key;

	for (key = 0; n < r->listed[row]; key++) {
		if (!a->filled && hidden(a, &a->sight[row], key))
			continue;
		w[n] = weight[key];
		values[n++] = from[key * v->stride];
	}
	a->o[row * a->o_step + d] = lm_xdot(w, values, n, NULL, 0, r->inverse[row], a->counts);
}

static void
mend_all(const struct lm_attend *a, const struct room *r)
{
	const double *norm = a->norms != NULL ? a->norms : a->v.norm;
	size_t d, row;

	for (d = 0; d < a->v.n; d++)
		for (row = 0; !isfinite(norm[d]) && row < a->queries; row++)
			mend(a, r, row, d);
	for (row = 0; row < a->queries; row++)
		for (d = 0; r->listed[row] == 0 && d < a->v.n; d++)
			a->o[row * a->o_step + d] = a->empty;
}

/* The weights of all rows against the values of the keys up to last. */
static void
mix(const struct lm_attend *a, const struct room *r, size_t last)
{
	struct lm_matrix v = a->v;
	struct lm_product p = { .m = a->queries,
		.x = r->weight,
		.x_step = r->step,
		.w = &v,
		.scale = r->inverse,
		.scale_step = 1,
		.y = a->o,
		.y_step = a->o_step,
		.norms = a->norms };

	v.k = last;
	a->kernels->product(&p, 0, p.m, 0, v.n, a->room, a->counts);
}

void
lm_attend(const struct lm_attend *a, void *memory)
{
	size_t last = a->filled ? a->keys : reach(a), row;
	struct room r;

	divide(a, memory, &r);
	score(a, &r);
	for (row = 0; row < a->queries; row++)
		weigh(a, &r, row, last);
	mix(a, &r, last);
	mend_all(a, &r);
}
