/* correlate: exact sums over windows, a strip of windows against all filters of a group at a time. */
#include "layer/correlate.h"

#include <math.h>
#include <string.h>

enum {
	STRIP = 64,		/* windows gathered at a time, at the most */
	STRIP_LEAST = 4,	/* and at the least */
	STRIP_VALUES = 1 << 16, /* values in them, unless the least have more */
	FEW = 7,		/* filters that do not repay gathering */
	GRAIN = 1 << 15		/* products that are worth a thread */
};

void
lm_places_all(struct lm_correlation *c)
{
	size_t i;

	for (i = 0; i < LM_SPATIAL; i++)
		c->places[i] = (struct lm_places){ 0, 1, (size_t)c->window.axis[i].out };
}

const double *
lm_correlation_norms(struct lm_preparing *p, const lm_f32u *w, size_t filters, size_t k,
    struct loom_error *err)
{
	double *norm = lm_arena_alloc(p->arena, filters, sizeof(*norm), err);
	size_t i;

	for (i = 0; i < filters && norm != NULL; i++)
		norm[i] = lm_norm(w + i * k, k);
	return norm;
}

static size_t
strip_length(size_t k)
{
	size_t n = STRIP_VALUES / k;

	return n > STRIP ? STRIP : n < STRIP_LEAST ? STRIP_LEAST : n;
}

/* A strip of windows, one window and one filter without their padding, the strip's results. */
static size_t
scratch_floats(size_t k, size_t filters)
{
	return (strip_length(k) + 2) * k + strip_length(k) * filters;
}

int
lm_correlation_plan(size_t k, size_t filters, size_t *scratch, struct loom_error *err)
{
	size_t n;

	if (lm_mul(k, STRIP + 2, &n) < 0 ||
	    lm_mul(scratch_floats(k, filters), sizeof(float), scratch) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for windows of %zu values", k);
	return 0;
}

/* ---- where things are ---- */

const float *
lm_correlating_from(const struct lm_correlating *j, size_t sample, size_t group)
{
	const float *x = j->call->in[0].data;

	return x + (sample * j->c->groups + group) * j->c->channels * j->inputs;
}

float *
lm_correlating_to(const struct lm_correlating *j, size_t sample, size_t filter)
{
	float *y = j->call->out[0].data;

	return y + (sample * j->c->groups * j->c->filters + filter) * j->plane;
}

size_t
lm_correlating_pairs(const struct lm_correlating *j, const float *x, size_t filter,
    const struct lm_taps t[LM_SPATIAL], float *values, float *weights)
{
	const lm_f32u *w = j->c->w + filter * j->k;
	struct lm_taps own[LM_SPATIAL];
	size_t c, i, n = 0;

	for (i = 0; i < LM_SPATIAL; i++)
		own[i] = (struct lm_taps){ t[i].first, t[i].n, t[i].first };
	for (c = 0; c < j->c->channels; c++) {
		(void)lm_window_gather(&j->filter, w, own, weights + n);
		n += lm_window_gather(&j->c->window, x, t, values + n);
		w += lm_window_inputs(&j->filter);
		x += j->inputs;
	}
	return n;
}

/* ---- strips ---- */

struct strips {
	struct lm_correlating j;
	size_t strip;	/* windows of a strip */
	size_t outputs; /* windows of a channel */
	size_t rows;	/* windows of a group, over all samples */
};

/* One row of taps, with zeros where they lie in the padding. */
static void
gather_row(float *dst, const float *row, const struct lm_axis_window *a, const struct lm_taps *t)
{
	size_t i;

	memset(dst, 0, (size_t)a->kernel * sizeof(*dst));
	for (i = 0; i < t->n; i++)
		dst[t->first + i] = row[t->at + i * (size_t)a->dilation];
}

/* A whole window: k values. */
static void
gather(const struct lm_correlating *j, const float *x, const struct lm_taps t[LM_SPATIAL],
    float *dst)
{
	const struct lm_axis_window *a = j->c->window.axis;
	size_t c, d, h, row, wide = (size_t)a[2].kernel;

	for (c = 0; c < j->c->channels; c++, x += j->inputs)
		for (d = 0; d < a[0].kernel; d++)
			for (h = 0; h < a[1].kernel; h++, dst += wide) {
				if (d - t[0].first >= t[0].n || h - t[1].first >= t[1].n) {
					memset(dst, 0, wide * sizeof(*dst));
					continue;
				}
				row = (t[0].at + (d - t[0].first) * (size_t)a[0].dilation) *
				    (size_t)a[1].in;
				row += t[1].at + (h - t[1].first) * (size_t)a[1].dilation;
				gather_row(dst, x + row * (size_t)a[2].in, &a[2], &t[2]);
			}
}

static int
is_whole(const struct lm_correlation *c, const struct lm_taps t[LM_SPATIAL])
{
	const struct lm_axis_window *a = c->window.axis;

	return t[0].n == a[0].kernel && t[1].n == a[1].kernel && t[2].n == a[2].kernel;
}

/* Windows of a filter that is not finite, once more where they reach into the padding. */
static void
mend(const struct strips *s, size_t group, size_t filter, size_t row, size_t n, float *y,
    float *room)
{
	const struct lm_correlation *c = s->j.c;
	float bias = c->bias != NULL ? c->bias[filter] : 0;
	struct lm_taps taps[LM_SPATIAL];
	const float *x;
	size_t i, k;

	for (i = row; i < row + n; i++, y += c->filters) {
		lm_window_at(&c->window, i % s->outputs, taps);
		if (is_whole(c, taps))
			continue;
		x = lm_correlating_from(&s->j, i / s->outputs, group);
		k = lm_correlating_pairs(&s->j, x, filter, taps, room, room + s->j.k);
		*y = lm_xdot(room, room + s->j.k, k, &bias, c->bias != NULL, 1, NULL);
	}
}

/* n windows of a group from row: [n, filters] into y. */
static void
sums(const struct strips *s, size_t group, size_t row, size_t n, float *panel, float *y, int worker)
{
	const struct lm_correlation *c = s->j.c;
	size_t first = group * c->filters, k = s->j.k, i;
	struct lm_matrix w = lm_matrix_of(c->w + first * k, k, c->filters, k);
	struct lm_product p = { .m = n,
		.x = panel,
		.x_step = k,
		.w = &w,
		.y = y,
		.y_step = c->filters };
	struct lm_taps taps[LM_SPATIAL];

	for (i = 0; i < n; i++) {
		lm_window_at(&c->window, (row + i) % s->outputs, taps);
		gather(&s->j, lm_correlating_from(&s->j, (row + i) / s->outputs, group), taps,
		    panel + i * k);
	}
	w.norm = c->w_norm + first;
	if (c->bias != NULL)
		p.bias = c->bias + first;
	s->j.call->kernels->product(&p, 0, n, 0, c->filters, lm_call_room(s->j.call, worker),
	    &s->j.call->counts[worker]);
	for (i = 0; i < c->filters; i++)
		if (!isfinite(w.norm[i]))
			mend(s, group, first + i, row, n, y + i, panel + s->strip * k);
}

/* Where the result of a channel's window stands among those of a filter. */
static size_t
place(const struct lm_correlation *c, size_t window)
{
	size_t at = 0, size = 1, i, o;

	for (i = LM_SPATIAL; i-- > 0;) {
		o = window % (size_t)c->window.axis[i].out;
		window /= (size_t)c->window.axis[i].out;
		at += (c->places[i].first + o * c->places[i].step) * size;
		size *= c->places[i].extent;
	}
	return at;
}

/* [n, filters] to where [..., f, k...] has them. */
static void
spread(const struct strips *s, size_t group, size_t row, size_t n, const float *y)
{
	size_t filters = s->j.c->filters, i, f;
	float *to;

	for (i = 0; i < n; i++) {
		to = lm_correlating_to(&s->j, (row + i) / s->outputs, group * filters);
		to += place(s->j.c, (row + i) % s->outputs);
		for (f = 0; f < filters; f++)
			to[f * s->j.plane] = y[i * filters + f];
	}
}

/* Windows from..to-1 of all groups, one group's after another's. */
static void
work(void *context, int worker, size_t from, size_t to)
{
	const struct strips *s = context;
	float *panel = (float *)s->j.call->scratch + (size_t)worker * s->j.scratch;
	float *y = panel + (s->strip + 2) * s->j.k;
	size_t group, row, n;

	for (; from < to; from += n) {
		group = from / s->rows;
		row = from % s->rows;
		n = s->rows - row < to - from ? s->rows - row : to - from;
		n = n < s->strip ? n : s->strip;
		sums(s, group, row, n, panel, y, worker);
		spread(s, group, row, n, y);
	}
}

static void
in_strips(const struct lm_correlating *j)
{
	struct strips s = { .j = *j, .strip = strip_length(j->k) };

	s.outputs = lm_window_outputs(&j->c->window);
	s.rows = j->c->samples * s.outputs;
	lm_pool_each(j->call->pool, j->c->groups * s.rows, GRAIN / (j->k * j->c->filters) + 1, work,
	    &s);
}

void
lm_correlate(const struct lm_call *call, const struct lm_correlation *c)
{
	struct lm_correlating j = { .call = call, .c = c, .k = c->channels, .plane = 1 };
	unsigned i;

	for (i = 0; i < LM_SPATIAL; i++) {
		j.filter.axis[i] = (struct lm_axis_window){ .in = c->window.axis[i].kernel,
			.dilation = 1 };
		j.k *= (size_t)c->window.axis[i].kernel;
		j.plane *= c->places[i].extent;
	}
	j.inputs = lm_window_inputs(&c->window);
	j.scratch = scratch_floats(j.k, c->filters);
	if (c->samples == 0 || lm_window_outputs(&c->window) == 0)
		return;
	if (c->filters < FEW)
		lm_correlate_rows(&j);
	else
		in_strips(&j);
}
