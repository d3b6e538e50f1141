/*
 * conv1, conv2, conv3: cross-correlation of [..., c, k...] with filters, in groups of channels:
 *
 *	y[..., f, o] = sum over c, t of x[..., c, o stride + t dilation - pad_low] w[f, c, t] + b[f]
 *
 * Taps in the padding are left out of the sum: an infinite weight does not meet a zero there.
 */
#include "layer/window.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { IN, OUT, KERNEL, STRIDE, DILATION, PAD_LOW, PAD_HIGH, GROUPS, BIASED };
enum { WEIGHT, BIAS };

enum {
	STRIP = 64,		/* windows gathered at a time, at the most */
	STRIP_LEAST = 4,	/* and at the least */
	STRIP_VALUES = 1 << 16, /* values in them, unless the least have more */
	GRAIN = 1 << 15		/* products that are worth a thread */
};

static int
check(const struct lm_node *n, struct loom_error *err)
{
	int64_t groups = n->param[GROUPS].i;

	if (n->param[IN].i % groups != 0 || n->param[OUT].i % groups != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): groups is %" PRId64
		    ", which does not divide in_channels %" PRId64 " and out_channels %" PRId64,
		    n->name, n->op->name, groups, n->param[IN].i, n->param[OUT].i);
	return 0;
}

/* [f, c, k...] and [f]. */
static void
slot_shape(const struct lm_node *n, size_t slot, struct lm_shape *s)
{
	const struct lm_dims *kernel = &n->param[KERNEL].dims;
	size_t i;

	s->rank = 1;
	s->dim[0] = (uint64_t)n->param[OUT].i;
	if (slot == BIAS)
		return;
	s->dim[s->rank++] = (uint64_t)(n->param[IN].i / n->param[GROUPS].i);
	for (i = 0; i < kernel->n; i++)
		s->dim[s->rank++] = (uint64_t)kernel->dim[i].value;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	static const char *const letters[] = { "w", "h, w", "d, h, w" };
	const struct lm_node *n = s->node;
	const struct lm_shape *x = &s->in[0];
	unsigned axes = lm_window_axes(n), i;
	struct lm_window w;

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < axes + 1 || x->dim[x->rank - axes - 1] != (uint64_t)n->param[IN].i)
		return lm_fail_input(s, 0, err, "[..., %" PRId64 ", %s]", n->param[IN].i,
		    letters[axes - 1]);
	if (lm_window_plan(s, 0, &w, err) < 0)
		return -1;
	s->out[0] = *x;
	s->out[0].dim[x->rank - axes - 1] = (uint64_t)n->param[OUT].i;
	for (i = 0; i < axes; i++)
		s->out[0].dim[x->rank - axes + i] = w.axis[LM_SPATIAL - axes + i].out;
	return 0;
}

/* Terms of one output's sum, padding counted. */
static size_t
terms(const struct lm_node *n)
{
	size_t k = (size_t)(n->param[IN].i / n->param[GROUPS].i), i;

	for (i = 0; i < n->param[KERNEL].dims.n; i++)
		k *= (size_t)n->param[KERNEL].dims.dim[i].value;
	return k;
}

/* The proof of a sum wants the norm of each filter. */
static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	size_t k = terms(p->node), filters = (size_t)p->node->param[OUT].i, f;
	double *norm;

	if (lm_prepare_slots(p, err) < 0)
		return -1;
	norm = lm_arena_alloc(p->arena, filters, sizeof(*norm), err);
	if (norm == NULL)
		return -1;
	for (f = 0; f < filters; f++)
		norm[f] = lm_norm(p->slot[WEIGHT].f32 + f * k, k);
	p->slot[WEIGHT].norm = norm;
	return 0;
}

static size_t
strip_length(size_t k)
{
	size_t n = STRIP_VALUES / k;

	return n > STRIP ? STRIP : n < STRIP_LEAST ? STRIP_LEAST : n;
}

/* A strip of windows, one window and one filter without their padding, the strip's results. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	const union lm_value *p = s->node->param;
	size_t k = terms(s->node), strip = strip_length(k), n = 0;
	size_t filters = (size_t)(p[OUT].i / p[GROUPS].i);

	if (lm_mul(k, strip + 2, &n) < 0 || lm_mul(n + filters * strip, sizeof(float), scratch) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for windows of %zu values", k);
	return 0;
}

struct job {
	const struct lm_call *call;
	struct lm_window window, filter; /* filter: a filter as the values of one window */
	size_t k, strip;		 /* terms of a sum, windows of a strip */
	size_t channels, filters;	 /* of a group */
	size_t groups;
	size_t inputs, outputs; /* of a channel */
	size_t rows;		/* windows of a group, over all samples */
	size_t scratch;		/* floats per worker */
};

/* Where one sample's group of channels begins. */
static const float *
channels_of(const struct job *j, size_t group, size_t sample)
{
	const float *x = j->call->in[0].data;

	return x + (sample * j->groups + group) * j->channels * j->inputs;
}

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
gather(const struct job *j, const float *x, const struct lm_taps t[LM_SPATIAL], float *dst)
{
	const struct lm_axis_window *a = j->window.axis;
	size_t c, d, h, row, wide = (size_t)a[2].kernel;

	for (c = 0; c < j->channels; c++, x += j->inputs)
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

/* The values under taps, and those taps of a filter: how many there are. */
static size_t
gather_inside(const struct job *j, const float *x, const lm_f32u *filter,
    const struct lm_taps t[LM_SPATIAL], float *values, float *weights)
{
	struct lm_taps own[LM_SPATIAL];
	size_t c, i, n = 0;

	for (i = 0; i < LM_SPATIAL; i++)
		own[i] = (struct lm_taps){ t[i].first, t[i].n, t[i].first };
	for (c = 0; c < j->channels; c++) {
		(void)lm_window_gather(&j->filter, filter, own, weights + n);
		n += lm_window_gather(&j->window, x, t, values + n);
		filter += lm_window_inputs(&j->filter);
		x += j->inputs;
	}
	return n;
}

static int
is_whole(const struct job *j, const struct lm_taps t[LM_SPATIAL])
{
	const struct lm_axis_window *a = j->window.axis;

	return t[0].n == a[0].kernel && t[1].n == a[1].kernel && t[2].n == a[2].kernel;
}

/* Windows of a filter that is not finite, once more where they reach into the padding. */
static void
mend(const struct job *j, size_t group, size_t filter, size_t row, size_t n, float *y, float *room)
{
	const lm_f32u *w = j->call->slot[WEIGHT].f32 + filter * j->k;
	const lm_f32u *biases = j->call->slot[BIAS].f32;
	float bias = biases != NULL ? biases[filter] : 0;
	struct lm_taps taps[LM_SPATIAL];
	const float *x;
	size_t i, k;

	for (i = row; i < row + n; i++, y += j->filters) {
		lm_window_at(&j->window, i % j->outputs, taps);
		if (is_whole(j, taps))
			continue;
		x = channels_of(j, group, i / j->outputs);
		k = gather_inside(j, x, w, taps, room, room + j->k);
		*y = lm_xdot(room, room + j->k, k, &bias, biases != NULL, 1, NULL);
	}
}

/* n windows of a group from row: [n, filters] into y. */
static void
sums(const struct job *j, size_t group, size_t row, size_t n, float *panel, float *y,
    struct lm_counts *counts)
{
	const struct lm_call *c = j->call;
	size_t first = group * j->filters, i;
	struct lm_product p = { .m = n, .n = j->filters, .k = j->k, .x = panel, .y = y };
	struct lm_taps taps[LM_SPATIAL];

	for (i = 0; i < n; i++) {
		lm_window_at(&j->window, (row + i) % j->outputs, taps);
		gather(j, channels_of(j, group, (row + i) / j->outputs), taps, panel + i * j->k);
	}
	p.w = c->slot[WEIGHT].f32 + first * j->k;
	p.w_norm = c->slot[WEIGHT].norm + first;
	if (c->slot[BIAS].f32 != NULL)
		p.bias = c->slot[BIAS].f32 + first;
	c->kernels->product(&p, 0, n, 0, j->filters, counts);
	for (i = 0; i < j->filters; i++)
		if (!isfinite(p.w_norm[i]))
			mend(j, group, first + i, row, n, y + i, panel + j->strip * j->k);
}

/* [n, filters] to where [..., f, k...] has them. */
static void
spread(const struct job *j, size_t group, size_t row, size_t n, const float *y)
{
	size_t i, f, sample, position;
	float *to;

	for (i = 0; i < n; i++) {
		sample = (row + i) / j->outputs;
		position = (row + i) % j->outputs;
		to = j->call->out[0].data;
		to += (sample * j->groups + group) * j->filters * j->outputs + position;
		for (f = 0; f < j->filters; f++)
			to[f * j->outputs] = y[i * j->filters + f];
	}
}

/* Windows from..to-1 of all groups, one group's after another's. */
static void
windows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	float *panel = (float *)j->call->scratch + (size_t)worker * j->scratch;
	float *y = panel + (j->strip + 2) * j->k;
	size_t group, row, n;

	for (; from < to; from += n) {
		group = from / j->rows;
		row = from % j->rows;
		n = j->rows - row < to - from ? j->rows - row : to - from;
		n = n < j->strip ? n : j->strip;
		sums(j, group, row, n, panel, y, &j->call->counts[worker]);
		spread(j, group, row, n, y);
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_node *n = c->node;
	const struct lm_shape *x = c->in[0].shape;
	struct job j = { .call = c, .k = terms(n), .rows = 1 };
	unsigned i;

	(void)err;
	lm_window_read(n, x, c->out[0].shape, &j.window);
	for (i = 0; i < LM_SPATIAL; i++)
		j.filter.axis[i] = (struct lm_axis_window){ .in = j.window.axis[i].kernel,
			.dilation = 1 };
	j.groups = (size_t)n->param[GROUPS].i;
	j.channels = (size_t)n->param[IN].i / j.groups;
	j.filters = (size_t)n->param[OUT].i / j.groups;
	j.inputs = lm_window_inputs(&j.window);
	j.outputs = lm_window_outputs(&j.window);
	j.strip = strip_length(j.k);
	j.scratch = (j.strip + 2) * j.k + j.strip * j.filters;
	for (i = 0; i + lm_window_axes(n) + 1 < x->rank; i++)
		j.rows *= (size_t)x->dim[i];
	j.rows *= j.outputs;
	if (j.rows > 0)
		lm_pool_each(c->pool, j.groups * j.rows, GRAIN / (j.k * j.filters) + 1, windows,
		    &j);
	return 0;
}

#define CONV(n, loom, letters)                                                                \
	const struct lm_layer_ops lm_layer_conv##n = {                                        \
		.name = "conv" #n,                                                            \
		.cell = loom,                                                                 \
		.activation = LM_NO_ACTIVATION,                                               \
		.in_least = 1,                                                                \
		.in_most = 1,                                                                 \
		.out_least = 1,                                                               \
		.out_most = 1,                                                                \
		.about = "y[..., f, o] = sum over c, t of x[..., c, o stride + t dilation - " \
			 "pad_low] weight[f, c, t] + bias[f], " #n " axes, in groups",        \
		.params = { [IN] = { "in_channels", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },        \
		    [OUT] = { "out_channels", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },              \
		    [KERNEL] = { "kernel", LM_IS_INTS, 1, LM_WINDOW_MOST, NULL, n },          \
		    [STRIDE] = { "stride", LM_IS_INTS, 1, LM_WINDOW_MOST, NULL, n },          \
		    [DILATION] = { "dilation", LM_IS_INTS, 1, LM_WINDOW_MOST, NULL, n },      \
		    [PAD_LOW] = { "pad_low", LM_IS_INTS, 0, LM_WINDOW_MOST, NULL, n },        \
		    [PAD_HIGH] = { "pad_high", LM_IS_INTS, 0, LM_WINDOW_MOST, NULL, n },      \
		    [GROUPS] = { "groups", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },                 \
		    [BIASED] = { "bias", LM_IS_FLAG, 0, 1, NULL, 0 } },                       \
		.slots = { [WEIGHT] = { "weight", letters, { 0 }, 0, 0, 0, 0 },               \
		    [BIAS] = { "bias", "f", { 0 }, 1 + BIASED, 0, 0, 0 } },                   \
		.check = check,                                                               \
		.slot_shape = slot_shape,                                                     \
		.shape = shape,                                                               \
		.prepare = prepare,                                                           \
		.plan = plan,                                                                 \
		.forward = forward,                                                           \
	};
CONV(1, 4, "fcw")
CONV(2, 5, "fchw")
CONV(3, 6, "fcdhw")
#undef CONV
