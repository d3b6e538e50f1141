/*
 * pooling: one value for each window of a channel, or for a whole channel: the greatest or the mean.
 *
 *	greatest: NaNs are passed over (in frameworks they win); -inf if nothing else is there
 *	mean: a sum in 16 binary64 lanes, row-major, divided once and rounded once
 *
 * Padding is no value: it is never the greatest and adds nothing to a sum.
 */
#include "layer/window.h"

#include <inttypes.h>

enum { GRAIN = 1 << 14 }; /* values that are worth a thread */

struct row {
	int mean;
};

struct job {
	const struct lm_call *call;
	const struct row *row;
	struct lm_window window;
	size_t outputs; /* of a channel */
	size_t values;	/* of a window, at the most */
	int count_pad;
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

/* The values of a window in one piece. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct lm_window w;

	lm_window_read(s->node, &s->in[0], &s->out[0], &w);
	if (lm_mul(most(&w), sizeof(float), scratch) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for a window of %zu values", most(&w));
	return 0;
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

static void
windows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	float *room = (float *)j->call->scratch + (size_t)worker * j->values;
	const float *x = j->call->in[0].data;
	float *y = j->call->out[0].data;
	size_t i, n, position, inputs = lm_window_inputs(&j->window);
	struct lm_taps taps[LM_SPATIAL];

	for (i = from; i < to; i++) {
		position = i % j->outputs;
		lm_window_at(&j->window, position, taps);
		n = lm_window_gather(&j->window, x + i / j->outputs * inputs, taps, room);
		y[i] = reduce(j, room, n, j->count_pad ? padded(&j->window, position) : (double)n);
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	struct job j = { .call = c, .row = c->node->op->row };
	uint64_t n;

	(void)err;
	lm_window_read(c->node, c->in[0].shape, c->out[0].shape, &j.window);
	j.outputs = lm_window_outputs(&j.window);
	j.values = most(&j.window);
	j.count_pad = flag(c->node, "count_pad");
	if (lm_shape_count(c->out[0].shape, &n) == 0)
		lm_pool_each(c->pool, (size_t)n, GRAIN / j.values + 1, windows, &j);
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
