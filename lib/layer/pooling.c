/*
 * pooling: one value for each window of a channel, or for a whole channel: the greatest or the mean.
 *
 *	greatest: NaNs are passed over (in frameworks they win); -inf if nothing else is there
 *	mean: a sum in 16 binary64 lanes, row-major, divided once and rounded once
 *
 * Padding is no value: it is never the greatest and adds nothing to a sum.
 */
#include "layer/lines.h"

#include <inttypes.h>
#include <math.h>

enum {
	GRAIN = 1 << 17,   /* values that are worth a thread */
	WINDOWS = 1 << 13, /* of a block at the most, */
	VALUES = 1 << 16,  /* and values in them */
	TAPS = 1 << 12	   /* of windows that are done side by side */
};

struct row {
	int mean;
};

/* Each channel is an image by itself. */
struct job {
	const struct lm_call *call;
	const struct row *row;
	struct lm_window window;
	struct lm_blocks blocks;
	struct lm_lines lines;
	size_t values; /* of a window, at the most */
	size_t taps;   /* of a window; 0: too many to do windows side by side */
	size_t memory; /* of a worker, in bytes */
	int count_pad;
};

/* A worker's memory. */
struct desk {
	size_t *tap;
	struct lm_stretch *stretch;
	float *lines;
	float *values; /* of one window */
};

static float
reduce(const struct job *j, const float *v, size_t n, double divisor)
{
	const struct lm_kernels *k = j->call->kernels;

	return j->row->mean ? (float)(k->fn->lane16_f32(v, n) / divisor) : k->fn->max(v, n);
}

/* ---- windows that slide ---- */

static int
flag(const struct lm_node *n, const char *key)
{
	int param = lm_layer_param(n->op, key);

	return param >= 0 && n->param[param].i != 0;
}

/* A window as wide as its padding might have no value. */
static int
check(const struct lm_node *n, struct loom_error *err)
{
	static const struct lm_shape none = { .rank = LM_SPATIAL };
	unsigned axes = lm_window_axes(n), i;
	struct lm_axis_window *a;
	struct lm_window w;
	uint64_t pad;

	lm_window_read(n, &none, &none, &w);
	for (i = 0; i < axes; i++) {
		a = &w.axis[LM_SPATIAL - axes + i];
		pad = a->low > a->high ? a->low : a->high;
		if (pad >= lm_window_reach(a))
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s (%s): padding of %" PRIu64 " and windows of %" PRIu64
			    " along spatial axis %u: the padding must be less",
			    n->name, n->op->name, pad, lm_window_reach(a), i);
	}
	return 0;
}

/* Two taps of a dilated window may stand on both sides of a short input; then it has no value. */
static int
is_empty_somewhere(const struct lm_axis_window *a)
{
	uint64_t start;

	if (a->in >= a->dilation)
		return 0;
	for (start = 0; start < a->low && start / a->stride < a->out; start += a->stride)
		if (lm_window_taps(a, start).n == 0)
			return 1;
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	unsigned axes = lm_window_axes(s->node), i;
	struct lm_axis_window *a;
	struct lm_window w;

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < axes)
		return lm_fail_input(s, 0, err, "at least %u axes", axes);
	if (lm_window_plan(s, flag(s->node, "ceil"), &w, err) < 0)
		return -1;
	s->out[0] = *x;
	for (i = 0; i < axes; i++) {
		a = &w.axis[LM_SPATIAL - axes + i];
		if (is_empty_somewhere(a))
			return lm_fail_input(s, 0, err, "a value in every window along axis %u",
			    x->rank - axes + i);
		s->out[0].dim[x->rank - axes + i] = a->out;
	}
	return 0;
}

/* The most values of a window. */
static size_t
most(const struct lm_window *w)
{
	const struct lm_axis_window *a;
	size_t n = 1;

	for (a = w->axis; a < w->axis + LM_SPATIAL; a++)
		n *= (size_t)(a->kernel < a->in ? a->kernel : a->in);
	return n;
}

/* Values and padding of a window: what lies beyond the padding is not counted. */
static double
padded(const struct lm_window *w, size_t position)
{
	const struct lm_axis_window *a;
	uint64_t start, end, stop;
	double n = 1;
	unsigned i;

	for (i = LM_SPATIAL; i-- > 0; position /= (size_t)a->out) {
		a = &w->axis[i];
		start = position % a->out * a->stride;
		end = start + lm_window_reach(a);
		stop = a->low + a->in + a->high;
		n *= (double)((end < stop ? end : stop) - start);
	}
	return n;
}

/* The result of a window, by its values alone. */
static void
one(const struct job *j, size_t image, size_t row, size_t column, float *room)
{
	const struct lm_axis_window *a = j->window.axis;
	size_t channel = image / (size_t)a[0].out, position, n;
	const float *x = j->call->in[0].data;
	float *y = j->call->out[0].data;
	struct lm_taps taps[LM_SPATIAL];

	position = (image % (size_t)a[0].out * (size_t)a[1].out + row) * (size_t)a[2].out + column;
	lm_window_at(&j->window, position, taps);
	n = lm_window_gather(&j->window, x + channel * lm_window_inputs(&j->window), taps, room);
	y[channel * lm_window_outputs(&j->window) + position] = reduce(j, room, n,
	    j->count_pad ? padded(&j->window, position) : (double)n);
}

/* Which windows of n from first on have all of their taps inside: from *from to *to. */
static void
whole(const struct lm_axis_window *a, size_t first, size_t n, size_t *from, size_t *to)
{
	uint64_t low = (a->low + a->stride - 1) / a->stride, high = 0;

	if (a->in + a->low >= lm_window_reach(a))
		high = (a->in + a->low - lm_window_reach(a)) / a->stride + 1;
	*from = low > first ? (size_t)low : first;
	*to = high < first + n ? (size_t)high : first + n;
	*from = *from < first + n ? *from : first + n;
	*to = *to > *from ? *to : *from;
}

/* Windows of rows row.. and columns column.. of an image, side by side. */
static void
several(const struct job *j, const struct lm_block *b, const struct lm_block *some,
    const struct desk *d)
{
	const struct lm_windowing *windowing = j->call->kernels->windows;
	const struct lm_axis_window *a = j->window.axis;
	size_t first = some->image * (size_t)(a[1].out * a[2].out);
	struct lm_windows w = { .from_step = j->lines.row,
		.rows = some->rows,
		.n = some->columns,
		.tap = d->tap,
		.k = j->taps,
		.y_step = (size_t)a[2].out };

	w.from = d->lines + (some->row - b->row) * j->lines.row + (some->column - b->column);
	w.y = (float *)j->call->out[0].data + first + some->row * w.y_step + some->column;
	if (j->row->mean)
		windowing->mean(&w, (double)w.k);
	else
		windowing->greatest(&w);
}

/*
 * The windows of a block that are done side by side.  Padding is never the greatest value, so it may
 * stand in the lines as -inf; but a mean's lanes depend on which values there are, so windows at the
 * edges are left out.
 */
static struct lm_block
inner(const struct job *j, const struct lm_block *b, size_t image)
{
	const struct lm_axis_window *a = j->window.axis;
	struct lm_block some = *b;
	size_t first, end;

	some.image = image;
	some.images = 1;
	if (j->taps == 0)
		some.rows = 0;
	if (j->taps == 0 || !j->row->mean)
		return some;
	whole(&a[0], image % (size_t)a[0].out, 1, &first, &end);
	some.images = end - first;
	whole(&a[1], b->row, b->rows, &some.row, &end);
	some.rows = end - some.row;
	whole(&a[2], b->column, b->columns, &some.column, &end);
	some.columns = end - some.column;
	if (lm_block_windows(&some) == 0)
		some.rows = 0;
	return some;
}

/* An image's part of a block. */
static void
pool(const struct job *j, const struct lm_block *b, size_t image, const struct desk *d)
{
	struct lm_block some = inner(j, b, image);
	size_t row, column;

	if (some.rows > 0)
		several(j, b, &some, d);
	for (row = b->row; row < b->row + b->rows; row++)
		for (column = b->column; column < b->column + b->columns; column++)
			if (row - some.row < some.rows && column == some.column)
				column += some.columns - 1;
			else
				one(j, image, row, column, d->values);
}

/* The desk in a worker's memory, or with NULL for that the memory that it takes. */
static size_t
lay_out(const struct job *j, char *memory, struct desk *d)
{
	size_t at = 0;

#define PLACE(field, count)                                       \
	d->field = memory != NULL ? (void *)(memory + at) : NULL; \
	at += ((count) * sizeof(*d->field) + 63) / 64 * 64
	PLACE(tap, j->taps);
	PLACE(stretch, j->taps > 0 ? j->lines.parts : 0);
	PLACE(lines, j->taps > 0 ? lm_lines_size(&j->lines) : 0);
	PLACE(values, j->values);
#undef PLACE
	return at;
}

static void
windows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_windowing *windowing = j->call->kernels->windows;
	size_t inputs = lm_window_inputs(&j->window), deep = (size_t)j->window.axis[0].out, i;
	const float *x = j->call->in[0].data;
	struct lm_block b;
	struct desk d;

	(void)lay_out(j, (char *)j->call->scratch + (size_t)worker * j->memory, &d);
	if (j->taps > 0)
		lm_lines_taps(&j->lines, 1, d.tap);
	for (; from < to; from++) {
		b = lm_blocks_at(&j->blocks, from);
		if (j->taps > 0)
			lm_lines_stretches(&j->lines, &b, -HUGE_VALF, d.stretch);
		for (i = b.image; i < b.image + b.images; i++) {
			if (j->taps > 0)
				lm_lines_fill(&j->lines, &b, i, x + i / deep * inputs, 1, windowing,
				    d.stretch, d.lines);
			pool(j, &b, i, &d);
		}
	}
}

static void
describe(const struct lm_node *n, const struct lm_shape *x, const struct lm_shape *y, struct job *j)
{
	unsigned axes = lm_window_axes(n), i;
	size_t channels = 1;

	*j = (struct job){ .row = n->op->row, .count_pad = flag(n, "count_pad") };
	lm_window_read(n, x, y, &j->window);
	for (i = 0; i + axes < x->rank; i++)
		channels *= (size_t)x->dim[i];
	j->values = most(&j->window);
	for (j->taps = 1, i = 0; i < LM_SPATIAL && j->taps <= TAPS; i++)
		j->taps *= (size_t)j->window.axis[i].kernel;
	if (j->taps > TAPS)
		j->taps = 0;
	lm_blocks_plan(&j->blocks, &j->window, channels,
	    j->taps > VALUES / WINDOWS ? VALUES / j->taps : WINDOWS);
	lm_lines_plan(&j->lines, &j->window, 1, &j->blocks.most);
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct desk desk;
	struct job j;

	(void)err;
	describe(s->node, &s->in[0], &s->out[0], &j);
	*scratch = lay_out(&j, NULL, &desk);
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	struct desk desk;
	struct job j;

	(void)err;
	describe(c->node, c->in[0].shape, c->out[0].shape, &j);
	j.call = c;
	j.memory = lay_out(&j, NULL, &desk);
	if (j.blocks.images > 0)
		lm_pool_each(c->pool, lm_blocks_count(&j.blocks),
		    GRAIN / (lm_block_windows(&j.blocks.most) * j.values) + 1, windows, &j);
	return 0;
}

/* ---- whole channels ---- */

enum { SPATIAL };

static int
global_shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	unsigned axes = (unsigned)s->node->param[SPATIAL].i, i;

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < axes)
		return lm_fail_input(s, 0, err, "at least %u axes", axes);
	s->out[0] = *x;
	for (i = x->rank - axes; i < x->rank; i++) {
		if (x->dim[i] == 0)
			return lm_fail_input(s, 0, err, "at least one value along axis %u", i);
		s->out[0].dim[i] = 1;
	}
	return 0;
}

static void
channels(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const float *x = j->call->in[0].data;
	float *y = j->call->out[0].data;
	size_t i;

	(void)worker;
	for (i = from; i < to; i++)
		y[i] = reduce(j, x + i * j->values, j->values, (double)j->values);
}

static int
global_forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	struct job j = { .call = c, .row = c->node->op->row, .values = 1 };
	uint64_t n;
	unsigned i;

	(void)err;
	for (i = x->rank - (unsigned)c->node->param[SPATIAL].i; i < x->rank; i++)
		j.values *= (size_t)x->dim[i];
	if (lm_shape_count(c->out[0].shape, &n) == 0)
		lm_pool_each(c->pool, (size_t)n, GRAIN / j.values + 1, channels, &j);
	return 0;
}

/* ---- the rows ---- */

static const struct row greatest = { 0 }, mean = { 1 };

#define OPERATION(NAME, ABOUT, ROW, ...)                             \
	const struct lm_layer_ops lm_layer_##NAME = { .name = #NAME, \
		.cell = -1,                                          \
		.activation = LM_NO_ACTIVATION,                      \
		.in_least = 1,                                       \
		.in_most = 1,                                        \
		.out_least = 1,                                      \
		.out_most = 1,                                       \
		.about = ABOUT,                                      \
		.row = &ROW,                                         \
		__VA_ARGS__ }

#define SLIDING .check = check, .shape = shape, .plan = plan, .forward = forward
#define LIST(least, n) LM_IS_INTS, least, LM_WINDOW_MOST, NULL, n
#define FLAG LM_IS_FLAG, 0, 1, NULL, 0

#define MAXPOOL(n)                                                                                 \
	OPERATION(maxpool##n,                                                                      \
	    "y = the greatest value of each window over the last " #n " axes, NaNs passed "        \
	    "over; padding is no value",                                                           \
	    greatest,                                                                              \
	    .params = { { "kernel", LIST(1, n) }, { "stride", LIST(1, n) },                        \
		{ "dilation", LIST(1, n) }, { "pad_low", LIST(0, n) }, { "pad_high", LIST(0, n) }, \
		{ "ceil", FLAG } },                                                                \
	    SLIDING)
MAXPOOL(1);
MAXPOOL(2);
MAXPOOL(3);

#define AVGPOOL(n)                                                                       \
	OPERATION(avgpool##n,                                                            \
	    "y = the mean of each window over the last " #n " axes; count_pad: divided " \
	    "by the values and the padding",                                             \
	    mean,                                                                        \
	    .params = { { "kernel", LIST(1, n) }, { "stride", LIST(1, n) },              \
		{ "pad_low", LIST(0, n) }, { "pad_high", LIST(0, n) }, { "ceil", FLAG }, \
		{ "count_pad", FLAG } },                                                 \
	    SLIDING)
AVGPOOL(1);
AVGPOOL(2);
AVGPOOL(3);

#define GLOBAL(NAME, WHAT, ROW)                                                                  \
	OPERATION(global_##NAME, "y = " WHAT " over the last spatial axes, which become 1", ROW, \
	    .params = { [SPATIAL] = { "spatial", LM_IS_SIZE, 1, LM_SPATIAL, NULL, 0 } },         \
	    .shape = global_shape, .forward = global_forward)
GLOBAL(maxpool, "the greatest value, NaNs passed over,", greatest);
GLOBAL(avgpool, "the mean", mean);
