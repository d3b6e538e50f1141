/*
 * correlate_few: sums over windows where a group has few filters, as in depthwise convolutions: the
 * windows of a row stand side by side and take their terms tap by tap, without being gathered.
 */
#include "layer/correlate.h"

#include "num/proof.h"

enum {
	SIDE = 64,	/* windows side by side */
	BLOCK = 4,	/* of them at a time */
	GRAIN = 1 << 13 /* products that are worth a thread */
};

/* Windows first..first+n-1 of a row, all of one filter. */
struct row {
	const struct lm_correlating *j;
	const float *x; /* the group's channels */
	size_t filter;
	struct lm_taps taps[LM_SPATIAL]; /* of the row's windows, along all axes but the last */
	size_t first, n;
	double sum[SIDE], size[SIDE]; /* size: the sum of the magnitudes */
};

/* The windows o, from *from up to *to, whose tap t lies inside. */
static void
reached(const struct lm_axis_window *a, size_t t, size_t *from, size_t *to)
{
	uint64_t at = a->skip + t * a->dilation, end = a->in + a->low;
	uint64_t low = at < a->low ? (a->low - at + a->stride - 1) / a->stride : 0;
	uint64_t high = at < end ? (end - at - 1) / a->stride + 1 : 0;

	*from = *from > low ? *from : (size_t)low;
	*to = *to < high ? *to : (size_t)high;
}

/* The same tap of n windows.  Blocks of fixed length become vector code. */
static void
add(double *restrict sum, double *restrict size, const float *restrict x, size_t stride,
    float weight, size_t n)
{
	double w = weight, p;
	size_t i = 0, j;

	for (; stride == 1 && n - i >= BLOCK; i += BLOCK) {
		double t[BLOCK];

		for (j = 0; j < BLOCK; j++)
			t[j] = x[i + j] * w;
		for (j = 0; j < BLOCK; j++)
			sum[i + j] += t[j];
		for (j = 0; j < BLOCK; j++)
			size[i + j] += fabs(t[j]);
	}
	for (; i < n; i++) {
		p = x[i * stride] * w;
		sum[i] += p;
		size[i] += fabs(p);
	}
}

/* One row of a filter's weights, against the row of x that lies under it. */
static void
add_row(struct row *r, const float *x, const lm_f32u *w)
{
	const struct lm_axis_window *a = &r->j->c->window.axis[2];
	size_t t, from, to, at;

	for (t = 0; t < a->kernel; t++) {
		from = r->first;
		to = r->first + r->n;
		reached(a, t, &from, &to);
		if (from >= to)
			continue;
		at = from * (size_t)a->stride + (size_t)(a->skip + t * a->dilation - a->low);
		add(r->sum + (from - r->first), r->size + (from - r->first), x + at,
		    (size_t)a->stride, w[t], to - from);
	}
}

static void
add_taps(struct row *r)
{
	const struct lm_axis_window *a = r->j->c->window.axis;
	const struct lm_taps *t = r->taps;
	const lm_f32u *w = r->j->c->w + r->filter * r->j->k;
	const float *x = r->x;
	size_t c, d, h, at, tap;

	for (c = 0; c < r->j->c->channels; c++, x += r->j->inputs)
		for (d = 0; d < t[0].n; d++)
			for (h = 0; h < t[1].n; h++) {
				at = (t[0].at + d * (size_t)a[0].dilation) * (size_t)a[1].in;
				at += t[1].at + h * (size_t)a[1].dilation;
				tap = c * (size_t)a[0].kernel + t[0].first + d;
				tap = tap * (size_t)a[1].kernel + t[1].first + h;
				add_row(r, x + at * (size_t)a[2].in, w + tap * (size_t)a[2].kernel);
			}
}

/* A window's result, where its sum alone does not decide it. */
static float
undecided(struct row *r, size_t window, float *room, const float *bias, struct lm_counts *counts)
{
	const struct lm_axis_window *a = &r->j->c->window.axis[2];
	size_t k;

	r->taps[2] = lm_window_taps(a, window * a->stride + a->skip);
	k = lm_correlating_pairs(r->j, r->x, r->filter, r->taps, room, room + r->j->k);
	return lm_xdot_undecided(room, room + r->j->k, k, bias, 1, 1, r->j->call->kernels->pairs,
	    counts);
}

static void
finish(struct row *r, float *to, float *room, struct lm_counts *counts)
{
	const struct lm_correlation *c = r->j->c;
	float bias = c->bias != NULL ? c->bias[r->filter] : 0;
	size_t i, k = r->j->k;
	double t, bound;

	for (i = 0; i < r->n; i++) {
		t = r->sum[i] + bias;
		bound = lm_bound(k, r->size[i], 1, fabs((double)bias));
		if (k <= LM_LONGEST_PROOF && lm_decided(t, bound, 0)) {
			to[(r->first + i) * c->places[2].step] = (float)t;
			counts->stage[0]++;
		} else {
			to[(r->first + i) * c->places[2].step] = undecided(r, r->first + i, room,
			    &bias, counts);
		}
	}
}

/* The row of windows that begins at window `at` of a channel; to: its first result. */
static void
begin(struct row *r, size_t row, float **to)
{
	const struct lm_correlation *c = r->j->c;
	const struct lm_axis_window *a = c->window.axis;
	size_t d = row / (size_t)a[1].out % (size_t)a[0].out, h = row % (size_t)a[1].out, line;
	size_t filters = c->groups * c->filters, sample;

	row /= (size_t)(a[0].out * a[1].out);
	sample = row / filters;
	r->filter = row % filters;
	r->x = lm_correlating_from(r->j, sample, r->filter / c->filters);
	r->taps[0] = lm_window_taps(&a[0], d * a[0].stride + a[0].skip);
	r->taps[1] = lm_window_taps(&a[1], h * a[1].stride + a[1].skip);
	line = (c->places[0].first + d * c->places[0].step) * c->places[1].extent;
	line += c->places[1].first + h * c->places[1].step;
	*to = lm_correlating_to(r->j, sample, r->filter) + line * c->places[2].extent;
	*to += c->places[2].first;
}

static void
work(void *context, int worker, size_t from, size_t to)
{
	const struct lm_correlating *j = context;
	float *room = (float *)j->call->scratch + (size_t)worker * j->scratch, *y;
	size_t wide = (size_t)j->c->window.axis[2].out, i;
	struct row r = { .j = j };

	for (; from < to; from++) {
		begin(&r, from, &y);
		for (r.first = 0; r.first < wide; r.first += r.n) {
			r.n = wide - r.first < SIDE ? wide - r.first : SIDE;
			for (i = 0; i < r.n; i++)
				r.sum[i] = r.size[i] = 0;
			add_taps(&r);
			finish(&r, y, room, &j->call->counts[worker]);
		}
	}
}

void
lm_correlate_rows(const struct lm_correlating *j)
{
	const struct lm_axis_window *a = j->c->window.axis;
	size_t rows = j->c->samples * j->c->groups * j->c->filters;
	struct lm_correlating context = *j;

	rows *= (size_t)(a[0].out * a[1].out);
	lm_pool_each(j->call->pool, rows, GRAIN / (j->k * (size_t)a[2].out) + 1, work, &context);
}
