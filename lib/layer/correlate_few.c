/*
 * correlate_few: sums over windows where a group has few filters, as in depthwise convolutions:
 * nothing is gathered, since a tap of windows side by side lies side by side in the lines.
 */
#include "layer/correlate.h"

#include <math.h>

#include "num/proof.h"

/*
 * No sum of magnitudes is larger than the norms' product, and no window's norm than that of k values
 * of the greatest magnitude.
 */
static void
set_bounds(const struct lm_correlating *j, size_t filter, double size, struct lm_windows *s)
{
	const struct lm_bank *b = &j->c.bank;
	double norm = sqrt((double)b->k) * size * b->norm[filter];

	s->gain = lm_bound(b->k, 1, 1, 0);
	s->bias_bound = lm_bound(0, 0, 1, fabs(s->bias));
	s->bound = b->k <= LM_LONGEST_PROOF ? lm_bound(b->k, norm, 1, fabs(s->bias)) : HUGE_VAL;
}

/* Window by window, without the padding. */
static void
finish(const struct lm_correlating *j, const struct lm_block *b, size_t filter,
    const size_t *windows, size_t n, const struct lm_desk *d, struct lm_counts *counts)
{
	float bias = j->c.bias != NULL ? j->c.bias[filter] : 0;
	size_t i, at, k;

	for (i = 0; i < n; i++) {
		at = windows != NULL ? windows[i] : i;
		k = lm_correlating_pairs(j, b, filter, at, d->pairs);
		*lm_correlating_at(j, b, filter, at) = lm_xdot_undecided(d->pairs,
		    d->pairs + j->c.bank.k, k, &bias, j->c.bias != NULL, 1, j->call->kernels->pairs,
		    counts);
	}
}

/* One filter on one image of the lines. */
static void
sums(const struct lm_correlating *j, const struct lm_block *b, size_t filter, const float *lines,
    double size, const struct lm_desk *d, struct lm_counts *counts)
{
	double bias = j->c.bias != NULL ? j->c.bias[filter] : 0;
	struct lm_windows s = { .from = lines,
		.from_step = j->lines.row,
		.rows = b->rows,
		.n = b->columns,
		.tap = d->tap,
		.w = d->weights,
		.k = j->c.bank.k,
		.bias = bias,
		.y = j->direct ? lm_correlating_at(j, b, filter, 0) : d->y,
		.y_step = j->direct ? j->c.places[2].extent : b->columns };
	size_t n = b->rows * b->columns;

	set_bounds(j, filter, size, &s);
	if (!(s.bound < HUGE_VAL)) {
		finish(j, b, filter, NULL, n, d, counts);
		return;
	}
	n = j->call->kernels->windows->sums(&s, d->undecided);
	counts->stage[0] += b->rows * b->columns - n;
	if (!j->direct)
		lm_correlating_spread(j, b, filter, d->y);
	finish(j, b, filter, d->undecided, n, d, counts);
}

/* The greatest finite magnitude in an image's lines; what lies between channels is nothing. */
static double
size_of(const struct lm_correlating *j, const float *lines)
{
	double most = 0, size;
	size_t c;

	for (c = 0; c < j->c.channels; c++, lines += j->lines.channel) {
		size = j->call->kernels->windows->size(lines, j->lines.channel - LM_PANEL);
		most = size > most ? size : most;
	}
	return most;
}

/* A group's filters on one image. */
static void
group_sums(const struct lm_correlating *j, const struct lm_block *b, size_t group,
    const float *lines, const struct lm_desk *d, struct lm_counts *counts)
{
	size_t filters = j->c.bank.filters, f, t;
	double size = size_of(j, lines);

	for (f = group * filters; f < (group + 1) * filters; f++) {
		for (t = 0; t < j->c.bank.k; t++)
			d->weights[t] = j->c.bank.w[f * j->c.bank.k + t];
		sums(j, b, f, lines, size, d, counts);
	}
}

void
lm_correlate_few(const struct lm_correlating *j, const struct lm_block *b, size_t group,
    size_t groups, const struct lm_desk *d, struct lm_counts *counts)
{
	size_t apart = j->c.channels * j->lines.channel, i, g;
	struct lm_block one = *b;

	one.images = 1;
	for (i = 0; i < b->images; i++) {
		one.image = b->image + i;
		for (g = 0; g < groups; g++)
			group_sums(j, &one, group + g, d->lines + i * j->lines.image + g * apart, d,
			    counts);
	}
}
