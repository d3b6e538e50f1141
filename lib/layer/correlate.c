/*
 * correlate: exact sums over windows.  A block of windows becomes the right factor of a product, in
 * panels, and the filters of a group are the left one, so that results come out as [..., f, k...]
 * has them.
 */
#include "layer/correlate.h"

#include <math.h>
#include <string.h>

enum {
	PANELS = 1 << 16,      /* values in the panels of a block */
	LEAST = 112,	       /* windows of a block, if there are so many */
	PANELS_MOST = 1 << 22, /* and if they have no more values than that */
	MOST = 512,	       /* windows of a block at the most */
	FEW_VALUES = 1 << 13,  /* values in the lines of a block, where filters are few */
	FEW = 4,	       /* filters that do not repay panels */
	BAND = 84,	       /* filters are cut at multiples of what any set takes together */
	EVEN = 4,	       /* pieces of work for each thread, at the least, if it can be */
	WORK = 1 << 20	       /* products that are worth a thread */
};

void
lm_places_all(struct lm_correlation *c)
{
	size_t i;

	for (i = 0; i < LM_SPATIAL; i++)
		c->places[i] = (struct lm_places){ 0, 1, (size_t)c->window.axis[i].out };
}

/* ---- filters ---- */

size_t
lm_bank_tiles(const struct lm_bank *b, const struct lm_kernels *kernels)
{
	return b->filters < FEW ? 0 : b->groups * kernels->tiles_size(b->filters, b->k);
}

void
lm_bank_prepare(const struct lm_bank *b, const struct lm_kernels *kernels, double *norm,
    double *tiles)
{
	size_t step = kernels->tiles_size(b->filters, b->k), i;

	for (i = 0; i < b->groups * b->filters; i++)
		norm[i] = lm_norm(b->w + i * b->k, b->k);
	for (i = 0; tiles != NULL && i < b->groups; i++)
		kernels->tile(tiles + i * step, b->w + i * b->filters * b->k, b->k, b->filters,
		    b->k);
}

/* ---- how it is cut ---- */

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t
ceiling(size_t n, size_t by)
{
	return (n + by - 1) / by;
}

/* Windows of one value, one after another: then a channel is one row of them. */
static int
is_pointwise(const struct lm_correlation *c)
{
	const struct lm_axis_window *a;
	unsigned i;

	for (i = 0; i < LM_SPATIAL; i++) {
		a = &c->window.axis[i];
		if (a->kernel != 1 || a->in != a->out || a->stride != 1 || a->low != 0 ||
		    a->skip != 0 || c->places[i].step != 1 || c->places[i].extent != a->out)
			return 0;
	}
	return 1;
}

static void
flatten(struct lm_correlation *c)
{
	size_t n = lm_window_inputs(&c->window), i;

	for (i = 0; i < LM_SPATIAL; i++) {
		c->window.axis[i] = (struct lm_axis_window){ 1, 1, 1, 1, 1, 0, 0, 0 };
		c->places[i] = (struct lm_places){ 0, 1, 1 };
	}
	c->window.axis[2].in = c->window.axis[2].out = c->places[2].extent = n;
}

/* Windows of a block. */
static size_t
windows_of(const struct lm_correlating *j)
{
	size_t k = j->c.bank.k, n;

	if (j->few) {
		n = FEW_VALUES / (j->c.channels * (size_t)j->c.window.axis[0].kernel);
		n = least(n, PANELS_MOST / k);
		return n < LEAST ? LEAST : n;
	}
	n = PANELS / k < LEAST ? least(LEAST, PANELS_MOST / k) : least(PANELS / k, MOST);
	return n < LM_PANEL ? LM_PANEL : n;
}

static int
is_direct(const struct lm_correlating *j)
{
	unsigned i;

	for (i = 0; i < LM_SPATIAL; i++)
		if (j->c.places[i].step != 1 || j->c.places[i].extent != j->c.window.axis[i].out)
			return 0;
	return j->blocks.most.images == 1 || j->few;
}

/* The desk in a worker's memory, or with NULL for that the memory that it takes. */
static size_t
lay_out(const struct lm_correlating *j, char *memory, struct lm_desk *d)
{
	const struct lm_lines *l = &j->lines;
	size_t n = lm_block_windows(&j->blocks.most), k = j->c.bank.k, at = 0;
	size_t whole = ceiling(n, LM_PANEL) * LM_PANEL;

#define PLACE(field, count)                                       \
	d->field = memory != NULL ? (void *)(memory + at) : NULL; \
	at += ceiling((count) * sizeof(*d->field), 64) * 64
	PLACE(tap, k);
	PLACE(stretch, l->parts);
	PLACE(pairs, 2 * k);
	PLACE(undecided, j->few ? n : 0);
	PLACE(weights, j->few ? k : 0);
	PLACE(lines, j->in_place ? 0 : lm_lines_size(l));
	PLACE(squares,
	    j->few ? 0 : (j->in_place ? n : j->blocks.most.images * l->channel) + LM_PANEL);
	PLACE(norm, j->few ? 0 : whole);
	PLACE(panels, j->few ? 0 : whole * k + LM_PANEL);
	PLACE(y, j->direct ? 0 : j->c.bank.filters * n);
#undef PLACE
	return at;
}

static void
cut(struct lm_correlating *j, const struct lm_correlation *c)
{
	unsigned i;

	*j = (struct lm_correlating){ .c = *c, .plane = 1, .parts = 1 };
	j->few = c->bank.filters < FEW || c->bank.k > LM_LONGEST_PROOF;
	if (is_pointwise(c))
		flatten(&j->c);
	for (i = 0; i < LM_SPATIAL; i++) {
		j->filter.axis[i] = (struct lm_axis_window){ .in = j->c.window.axis[i].kernel,
			.dilation = 1 };
		j->plane *= j->c.places[i].extent;
	}
	j->inputs = lm_window_inputs(&j->c.window);
	lm_blocks_plan(&j->blocks, &j->c.window, c->samples, windows_of(j));
	j->in_place = is_pointwise(c) && j->blocks.most.images == 1 && !j->few;
	j->direct = is_direct(j);
	lm_lines_plan(&j->lines, &j->c.window, j->c.channels, &j->blocks.most);
	j->together = 1;
	if (j->few && FEW_VALUES > lm_lines_size(&j->lines)) {
		j->together = least(FEW_VALUES / lm_lines_size(&j->lines), c->bank.groups);
		lm_lines_plan(&j->lines, &j->c.window, j->c.channels * j->together,
		    &j->blocks.most);
	}
}

int
lm_correlation_plan(const struct lm_correlation *c, size_t *scratch, struct loom_error *err)
{
	struct lm_correlating j;
	struct lm_desk desk;
	size_t most;

	*scratch = 0;
	if (c->samples == 0 || lm_window_outputs(&c->window) == 0)
		return 0;
	cut(&j, c);
	/* Nothing on the desk has more than a few values for each term or filter of each window. */
	if (lm_mul(c->bank.k + c->bank.filters + LM_PANEL,
		8 * sizeof(double) * (lm_block_windows(&j.blocks.most) + LM_PANEL), &most) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for windows of %zu values", c->bank.k);
	*scratch = lay_out(&j, NULL, &desk);
	return 0;
}

/* ---- where things are ---- */

/* A window of a block: its image, and its place in that. */
static size_t
locate(const struct lm_correlating *j, const struct lm_block *b, size_t window,
    size_t at[LM_SPATIAL])
{
	size_t row = window / b->columns, image = b->image + row / b->rows;
	size_t deep = (size_t)j->c.window.axis[0].out;

	at[0] = image % deep;
	at[1] = b->row + row % b->rows;
	at[2] = b->column + window % b->columns;
	return image / deep;
}

float *
lm_correlating_at(const struct lm_correlating *j, const struct lm_block *b, size_t filter,
    size_t window)
{
	size_t at[LM_SPATIAL], sample = locate(j, b, window, at), place = 0, i;
	float *y = j->call->out[0].data;

	for (i = 0; i < LM_SPATIAL; i++)
		place = place * j->c.places[i].extent + j->c.places[i].first +
		    at[i] * j->c.places[i].step;
	return y + (sample * j->c.bank.groups * j->c.bank.filters + filter) * j->plane + place;
}

/* One sample's group of channels. */
static const float *
channels_of(const struct lm_correlating *j, size_t sample, size_t group)
{
	const float *x = j->call->in[0].data;

	return x + (sample * j->c.bank.groups + group) * j->c.channels * j->inputs;
}

size_t
lm_correlating_pairs(const struct lm_correlating *j, const struct lm_block *b, size_t filter,
    size_t window, float *pairs)
{
	const lm_f32u *w = j->c.bank.w + filter * j->c.bank.k;
	size_t at[LM_SPATIAL], sample = locate(j, b, window, at), c, i, n = 0;
	const float *x = channels_of(j, sample, filter / j->c.bank.filters);
	struct lm_taps taps[LM_SPATIAL], own[LM_SPATIAL];
	const struct lm_axis_window *a;

	for (i = 0; i < LM_SPATIAL; i++) {
		a = &j->c.window.axis[i];
		taps[i] = lm_window_taps(a, at[i] * a->stride + a->skip);
		own[i] = (struct lm_taps){ taps[i].first, taps[i].n, taps[i].first };
	}
	for (c = 0; c < j->c.channels; c++) {
		(void)lm_window_gather(&j->filter, w, own, pairs + j->c.bank.k + n);
		n += lm_window_gather(&j->c.window, x, taps, pairs + n);
		w += lm_window_inputs(&j->filter);
		x += j->inputs;
	}
	return n;
}

void
lm_correlating_spread(const struct lm_correlating *j, const struct lm_block *b, size_t filter,
    const float *y)
{
	size_t i, o, step = j->c.places[2].step;
	float *to;

	for (i = 0; i < b->images * b->rows; i++, y += b->columns) {
		to = lm_correlating_at(j, b, filter, i * b->columns);
		for (o = 0; o < b->columns; o++)
			to[o * step] = y[o];
	}
}

/* ---- panels ---- */

/* The last windows of a block, which fill no panel: zeros stand beside them. */
static void
gather_some(float *panel, const float *from, const size_t *tap, size_t k,
    const struct lm_piece *pieces, size_t n)
{
	size_t i, p, o;

	memset(panel, 0, k * LM_PANEL * sizeof(*panel));
	for (i = 0; i < k; i++, panel += LM_PANEL)
		for (p = 0; p < n; p++)
			for (o = 0; o < pieces[p].n; o++)
				panel[pieces[p].lane + o] = from[tap[i] + pieces[p].from + o];
}

/* The norms of a panel's windows: sums over channels are done, those over taps are left. */
static void
find_norms(const struct lm_correlating *j, const struct lm_desk *d, const struct lm_piece *pieces,
    size_t n, double *norm)
{
	size_t taps = j->c.bank.k / j->c.channels, p, image, channel = j->lines.channel;
	double some[LM_PANEL];

	memset(norm, 0, LM_PANEL * sizeof(*norm));
	for (p = 0; p < n; p++) {
		image = j->lines.image > 0 ? pieces[p].from / j->lines.image : 0;
		j->call->kernels->windows->norms(some,
		    d->squares + image * channel + pieces[p].from - image * j->lines.image, d->tap,
		    taps);
		memcpy(norm + pieces[p].lane, some, pieces[p].n * sizeof(*norm));
	}
}

static void
pack(const struct lm_correlating *j, const struct lm_block *b, const float *from,
    const struct lm_desk *d)
{
	const struct lm_windowing *windowing = j->call->kernels->windows;
	size_t n = lm_block_windows(b), k = j->c.bank.k, at, count;
	struct lm_piece pieces[LM_PANEL];

	for (at = 0; at < n; at += LM_PANEL) {
		count = lm_lines_pieces(&j->lines, b, at, pieces);
		find_norms(j, d, pieces, count, d->norm + at);
		if (n - at >= LM_PANEL)
			windowing->gather(d->panels + at * k, from, d->tap, k, pieces, count);
		else
			gather_some(d->panels + at * k, from, d->tap, k, pieces, count);
	}
}

/* Lines of a block for so many groups, unless x itself is that; returns where they are. */
static const float *
fill(const struct lm_correlating *j, const struct lm_block *b, size_t group, size_t groups,
    const struct lm_desk *d)
{
	size_t deep = (size_t)j->c.window.axis[0].out, i;

	if (j->in_place)
		return channels_of(j, b->image, group) + b->column;
	lm_lines_stretches(&j->lines, b, 0, d->stretch);
	for (i = 0; i < b->images; i++)
		lm_lines_fill(&j->lines, b, b->image + i,
		    channels_of(j, (b->image + i) / deep, group), groups * j->c.channels,
		    j->call->kernels->windows, d->stretch, d->lines + i * j->lines.image);
	return d->lines;
}

static void
sum_squares(const struct lm_correlating *j, const struct lm_block *b, const float *from,
    const struct lm_desk *d)
{
	size_t n = j->in_place ? b->columns : j->lines.channel, i, c;
	size_t step = j->in_place ? j->inputs : j->lines.channel;

	memset(d->squares, 0, b->images * n * sizeof(*d->squares));
	for (i = 0; i < b->images; i++)
		for (c = 0; c < j->c.channels; c++)
			j->call->kernels->windows->squares(d->squares + i * n,
			    from + i * j->lines.image + c * step, n);
}

/* Windows of a filter that is not finite, once more where they reach into the padding. */
static void
mend(const struct lm_correlating *j, const struct lm_block *b, size_t filter, float *pairs)
{
	float bias = j->c.bias != NULL ? j->c.bias[filter] : 0;
	size_t k = j->c.bank.k, n = lm_block_windows(b), i, terms;

	for (i = 0; i < n; i++) {
		terms = lm_correlating_pairs(j, b, filter, i, pairs);
		if (terms < k)
			*lm_correlating_at(j, b, filter, i) = lm_xdot(pairs, pairs + k, terms,
			    &bias, j->c.bias != NULL, 1, NULL);
	}
}

/* Filters m0..m1-1 of a group against the panels of a block. */
static void
multiply(const struct lm_correlating *j, const struct lm_block *b, size_t group, size_t m0,
    size_t m1, const struct lm_desk *d, int worker)
{
	const struct lm_bank *bank = &j->c.bank;
	const struct lm_kernels *kernels = j->call->kernels;
	size_t first = group * bank->filters, n = lm_block_windows(b), i;
	struct lm_matrix w = { .n = n,
		.k = bank->k,
		.panels = d->panels,
		.stride = LM_PANEL,
		.apart = LM_PANEL * bank->k,
		.norm = d->norm };
	struct lm_product p = { .m = bank->filters,
		.x = bank->w + first * bank->k,
		.x_step = bank->k,
		.x_norm = bank->norm + first,
		.w = &w,
		.row_bias = j->c.bias != NULL ? j->c.bias + first : NULL,
		.y = j->direct ? lm_correlating_at(j, b, first, 0) : d->y,
		.y_step = j->direct ? j->plane : n };

	if (bank->tiles != NULL)
		p.tiles = bank->tiles + group * kernels->tiles_size(bank->filters, bank->k);
	kernels->product(&p, m0, m1, 0, n, lm_call_room(j->call, worker), &j->call->counts[worker]);
	for (i = m0; i < m1; i++) {
		if (!j->direct)
			lm_correlating_spread(j, b, first + i, d->y + i * n);
		if (!isfinite(bank->norm[first + i]))
			mend(j, b, first + i, d->pairs);
	}
}

/* ---- the pool ---- */

/* A block of some groups, as far as it is the same for all of their filters. */
static void
begin(const struct lm_correlating *j, const struct lm_block *b, size_t group, size_t groups,
    const struct lm_desk *d)
{
	const float *lines = fill(j, b, group, groups, d);

	if (j->few)
		return;
	sum_squares(j, b, lines, d);
	pack(j, b, lines, d);
}

/* Parts from..to-1 of the blocks' filters, all of a block's before the next block's. */
static void
work(void *context, int worker, size_t from, size_t to)
{
	const struct lm_correlating *j = context;
	size_t blocks = lm_blocks_count(&j->blocks), begun = SIZE_MAX, group = 0, groups = 0, i;
	size_t bands = ceiling(j->c.bank.filters, BAND), m[2];
	struct lm_block b;
	struct lm_desk d;

	(void)lay_out(j, (char *)j->call->scratch + (size_t)worker * j->memory, &d);
	if (j->in_place)
		for (i = 0; i < j->c.channels; i++)
			d.tap[i] = i * j->inputs;
	else
		lm_lines_taps(&j->lines, j->c.channels, d.tap);
	for (; from < to; from++) {
		if (from / j->parts != begun) {
			begun = from / j->parts;
			b = lm_blocks_at(&j->blocks, begun % blocks);
			group = begun / blocks * j->together;
			groups = least(j->together, j->c.bank.groups - group);
			begin(j, &b, group, groups, &d);
		}
		m[0] = from % j->parts * bands / j->parts * BAND;
		m[1] = least((from % j->parts + 1) * bands / j->parts * BAND, j->c.bank.filters);
		if (j->few)
			lm_correlate_few(j, &b, group, groups, &d, &j->call->counts[worker]);
		else
			multiply(j, &b, group, m[0], m[1], &d, worker);
	}
}

void
lm_correlate(const struct lm_call *call, const struct lm_correlation *c)
{
	struct lm_correlating j;
	struct lm_desk desk;
	size_t blocks, jobs = (size_t)lm_pool_jobs(call->pool), sets, each;

	if (c->samples == 0 || lm_window_outputs(&c->window) == 0)
		return;
	cut(&j, c);
	j.call = call;
	j.memory = lay_out(&j, NULL, &desk);
	blocks = lm_blocks_count(&j.blocks);
	j.together = least(j.together, ceiling(blocks * c->bank.groups, EVEN * jobs));
	sets = blocks * ceiling(c->bank.groups, j.together);
	if (jobs > 1 && !j.few && sets < EVEN * jobs)
		j.parts = least(ceiling(c->bank.filters, BAND), ceiling(EVEN * jobs, sets));
	each = lm_block_windows(&j.blocks.most) * c->bank.k * j.together;
	each *= ceiling(c->bank.filters, j.parts);
	lm_pool_each(call->pool, sets * j.parts, WORK / each + 1, work, &j);
}
