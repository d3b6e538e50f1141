/* lines: the values under a block of windows, copied so that taps of neighbours stand side by side. */
#include "layer/lines.h"

/* ---- blocks ---- */

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

/* Of at most n times so many windows, but more than half of that: what fills panels best. */
static size_t
best_fill(size_t windows, size_t n)
{
	size_t best = n, i;

	for (i = n; i > n / 2; i--)
		if (i * windows * ceiling(best * windows, LM_PANEL) >
		    best * windows * ceiling(i * windows, LM_PANEL))
			best = i;
	return best;
}

void
lm_blocks_plan(struct lm_blocks *b, const struct lm_window *window, size_t samples, size_t windows)
{
	const struct lm_axis_window *a = window->axis;
	size_t rows = (size_t)a[1].out, columns = (size_t)a[2].out, parts;

	*b = (struct lm_blocks){ .window = window,
		.most = { .images = 1, .rows = 1, .columns = columns },
		.images = samples * (size_t)a[0].out };
	if (columns > windows) {
		parts = ceiling(columns, windows);
		b->most.columns = ceiling(ceiling(columns, parts), LM_PANEL) * LM_PANEL;
	} else {
		b->most.rows = least(rows, windows / columns);
	}
	if (b->most.rows < rows)
		b->most.rows = best_fill(columns, b->most.rows);
	else if (b->most.columns == columns && b->images > 0)
		b->most.images = best_fill(rows * columns,
		    least(b->images, windows / (rows * columns)));
	b->count[0] = ceiling(b->images, b->most.images);
	b->count[1] = ceiling(rows, b->most.rows);
	b->count[2] = ceiling(columns, b->most.columns);
}

size_t
lm_blocks_count(const struct lm_blocks *b)
{
	return b->count[0] * b->count[1] * b->count[2];
}

struct lm_block
lm_blocks_at(const struct lm_blocks *b, size_t number)
{
	const struct lm_axis_window *a = b->window->axis;
	struct lm_block at;

	at.column = number % b->count[2] * b->most.columns;
	number /= b->count[2];
	at.row = number % b->count[1] * b->most.rows;
	at.image = number / b->count[1] * b->most.images;
	at.images = least(b->most.images, b->images - at.image);
	at.rows = least(b->most.rows, (size_t)a[1].out - at.row);
	at.columns = least(b->most.columns, (size_t)a[2].out - at.column);
	return at;
}

/* ---- lines ---- */

/* Places along an axis that so many windows reach, from the first tap to the last. */
static size_t
reach(const struct lm_axis_window *a, size_t windows)
{
	return (windows - 1) * (size_t)a->stride + (size_t)lm_window_reach(a);
}

/* The places of an axis, or the taps' own ones where they are no more. */
static void
plan_axis(struct lm_lines *l, unsigned axis, size_t windows)
{
	const struct lm_axis_window *a = &l->window->axis[axis];

	l->apart[axis] = windows * (size_t)a->kernel <= reach(a, windows);
	l->places[axis] = l->apart[axis] ? windows * (size_t)a->kernel : reach(a, windows);
}

/*
 * Every stride-th place of a line stands together, since that is what a tap of neighbouring windows
 * takes.
 */
void
lm_lines_plan(struct lm_lines *l, const struct lm_window *window, size_t channels,
    const struct lm_block *most)
{
	const struct lm_axis_window *a = window->axis;
	size_t stride = (size_t)a[2].stride;

	*l = (struct lm_lines){ .window = window, .channels = channels, .most = *most };
	plan_axis(l, 0, 1);
	plan_axis(l, 1, most->rows);
	plan_axis(l, 2, most->columns);
	l->parts = l->apart[2] ? (size_t)a[2].kernel : stride;
	l->length = l->apart[2] ? most->columns : (l->places[2] + stride - 1) / stride;
	l->row = (l->apart[1] ? 1 : (size_t)a[1].stride) * l->parts * l->length;
	l->channel = l->places[0] * l->places[1] * l->parts * l->length + LM_PANEL;
	l->image = channels * l->channel;
}

size_t
lm_lines_size(const struct lm_lines *l)
{
	return l->most.images * l->image + LM_PANEL;
}

void
lm_lines_taps(const struct lm_lines *l, size_t channels, size_t *tap)
{
	const struct lm_axis_window *a = l->window->axis;
	size_t c, d, h, w, line, at;

	for (c = 0; c < channels; c++)
		for (d = 0; d < a[0].kernel; d++)
			for (h = 0; h < a[1].kernel; h++)
				for (w = 0; w < a[2].kernel; w++) {
					line = h *
					    (l->apart[1] ? l->most.rows : (size_t)a[1].dilation);
					line += d * l->places[1];
					at = w * (size_t)a[2].dilation;
					at = l->apart[2]
					    ? w * l->length
					    : at % l->parts * l->length + at / l->parts;
					*tap++ = c * l->channel + line * l->parts * l->length + at;
				}
}

/* Where along an axis place i is that window o reaches: in x, or negative or beyond it. */
static int64_t
place(const struct lm_lines *l, unsigned axis, size_t o, size_t i, size_t windows)
{
	const struct lm_axis_window *a = &l->window->axis[axis];
	uint64_t at = o * a->stride + a->skip;

	if (l->apart[axis])
		at += i % windows * a->stride + i / windows * a->dilation;
	else
		at += i;
	return (int64_t)at - (int64_t)a->low;
}

void
lm_lines_stretches(const struct lm_lines *l, const struct lm_block *b, float pad,
    struct lm_stretch *s)
{
	const struct lm_axis_window *a = &l->window->axis[2];
	size_t step = (size_t)a->stride, part, end;
	int64_t at;

	for (part = 0; part < l->parts; part++, s++) {
		at = place(l, 2, b->column, l->apart[2] ? part * l->most.columns : part,
		    l->most.columns);
		*s = (struct lm_stretch){ .step = step, .length = l->length, .pad = pad };
		end = at < (int64_t)a->in ? (size_t)((int64_t)a->in - at - 1) / step + 1 : 0;
		end = end < s->length ? end : s->length;
		s->skip = at < 0 ? ((size_t)-at + step - 1) / step : 0;
		if (s->skip >= end)
			s->skip = end = 0;
		s->n = end - s->skip;
		s->from = s->n > 0 ? (size_t)(at + (int64_t)(s->skip * step)) : 0;
	}
}

/* Is a line taken by the rows of the block? */
static int
is_used(const struct lm_lines *l, const struct lm_block *b, size_t i)
{
	if (l->apart[1])
		return i % l->most.rows < b->rows;
	return i < reach(&l->window->axis[1], b->rows);
}

/* The row that an image's place along the first axis and a line are of, or LM_ABSENT for padding. */
static size_t
row_of(const struct lm_lines *l, const struct lm_block *b, int64_t deep, size_t h)
{
	const struct lm_axis_window *a = l->window->axis;
	int64_t high = place(l, 1, b->row, h, l->most.rows);

	if (deep < 0 || deep >= (int64_t)a[0].in || high < 0 || high >= (int64_t)a[1].in ||
	    !is_used(l, b, h))
		return LM_ABSENT;
	return (size_t)(deep * (int64_t)a[1].in + high);
}

/*
 * Lines are filled in such an order that the padding behind one meets only what comes later: that is
 * why there is room between channels.
 */
void
lm_lines_fill(const struct lm_lines *l, const struct lm_block *b, size_t image, const float *x,
    size_t channels, const struct lm_windowing *windowing, const struct lm_stretch *s, float *to)
{
	const struct lm_axis_window *a = l->window->axis;
	const struct lm_stretch none = { .step = 1, .length = l->length, .pad = s->pad };
	size_t inputs = lm_window_inputs(l->window), d, h, part, row;
	int64_t deep;

	for (d = 0; d < l->places[0]; d++) {
		deep = place(l, 0, image % (size_t)a[0].out, d, 1);
		for (h = 0; h < l->places[1]; h++) {
			row = row_of(l, b, deep, h);
			for (part = 0; part < l->parts; part++, to += l->length)
				if (row == LM_ABSENT)
					windowing->fill(to, l->channel, x, inputs, channels, &none);
				else
					windowing->fill(to, l->channel, x + row * (size_t)a[2].in,
					    inputs, channels, &s[part]);
		}
	}
}

size_t
lm_lines_pieces(const struct lm_lines *l, const struct lm_block *b, size_t at,
    struct lm_piece *pieces)
{
	size_t end = lm_block_windows(b), lane = 0, n = 0, row, left;

	for (; lane < LM_PANEL && at < end; lane += left, at += left) {
		row = at / b->columns;
		left = b->columns - at % b->columns;
		left = left < LM_PANEL - lane ? left : LM_PANEL - lane;
		pieces[n++] = (struct lm_piece){ lane, left,
			row / b->rows * l->image + row % b->rows * l->row + at % b->columns };
	}
	return n;
}
