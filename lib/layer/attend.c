/*
 * attend: one query of one head against the keys that it may see.  Scores have 32 significant bits,
 * weights e^(s - max) are correctly rounded binary32, a result is one exact sum of weights and
 * values times the inverse of the weights' sum.
 */
#include "layer/attend.h"

#include <math.h>
#include <string.h>

/* The keys that count, in ascending position. */
struct room {
	double *score;
	size_t *key;
	float *weight;
	float *column; /* their values of one element */
};

size_t
lm_attend_room(size_t keys)
{
	return keys * (sizeof(double) + sizeof(size_t) + 2 * sizeof(float));
}

static struct room
room_of(void *memory, size_t keys)
{
	struct room r;

	r.score = memory;
	r.key = (size_t *)(r.score + keys);
	r.weight = (float *)(r.key + keys);
	r.column = r.weight + keys;
	return r;
}

static int
hidden(const struct lm_attend *a, size_t key)
{
	const unsigned char *flags = a->mask;

	if (key >= a->seen)
		return 1;
	if (a->kind == LM_KEEP)
		return flags[key * a->mask_step] == 0;
	return a->kind == LM_HIDE && flags[key * a->mask_step] != 0;
}

int
lm_attend_any(const struct lm_attend *a)
{
	size_t key;

	for (key = 0; key < a->keys; key++)
		if (a->filled || !hidden(a, key))
			return 1;
	return 0;
}

static double
score(const struct lm_attend *a, size_t key)
{
	double s = lm_xdotw(a->q, a->k + key * a->k_step, a->head_dim, NULL, 0, a->scale,
	    a->counts);

	if (a->kind == LM_ADD)
		s += ((const float *)a->mask)[key * a->mask_step];
	return s;
}

/* Returns how many keys count. */
static size_t
score_all(const struct lm_attend *a, const struct room *r)
{
	size_t last = a->filled ? a->keys : a->seen, n = 0, key;

	for (key = 0; key < last; key++) {
		int hide = hidden(a, key);

		if (hide && !a->filled)
			continue;
		r->score[n] = hide ? a->fill : score(a, key);
		r->key[n++] = key;
	}
	return n;
}

/* Weights from scores; returns the inverse of their sum. */
static double
weigh(const struct lm_attend *a, const struct room *r, size_t n)
{
	double m = -HUGE_VAL;
	size_t i;

	for (i = 0; i < n; i++)
		m = r->score[i] > m ? r->score[i] : m;
	for (i = 0; i < n; i++)
		r->weight[i] = (float)(r->score[i] - m);
	a->kernels->fn->exp(r->weight, r->weight, n);
	return 1.0 / a->kernels->fn->lane16_f32(r->weight, n);
}

/* The values of the keys that count, side by side. */
static const float *
column(const struct lm_attend *a, const struct room *r, size_t n, size_t element)
{
	const float *v = a->v + element * a->keys;
	size_t i;

	if (r->key[n - 1] == n - 1)
		return v; /* none is left out */
	for (i = 0; i < n; i++)
		r->column[i] = v[r->key[i]];
	return r->column;
}

void
lm_attend(const struct lm_attend *a, void *memory, float *o)
{
	struct room r = room_of(memory, a->keys);
	size_t n = score_all(a, &r), d;
	double inverse = n > 0 ? weigh(a, &r, n) : 0;

	for (d = 0; d < a->value_dim; d++)
		o[d] = n == 0
		    ? a->empty
		    : lm_xdot(r.weight, column(a, &r, n, d), n, NULL, 0, inverse, a->counts);
}
