/*
 * convtranspose1, convtranspose2, convtranspose3: transposed convolution of [..., c, k...], in groups
 * of channels:
 *
 *	y[..., f, p stride + t dilation - pad_low] += x[..., c, p] w[f, c, t], and b[f] is added
 *
 * The results that have the same place modulo the stride, along every axis, take the same taps, every
 * so many of them, from neighbouring places of x: they are one convolution of stride 1, whose weights
 * stand together in the opposite order.  Such a convolution is a phase.
 */
#include "layer/correlate.h"
#include "layer/filters.h"

#include <inttypes.h>

enum { LONGEST = 40 }; /* bits of an extent, so that no arithmetic on places overflows */

/* ---- an axis and its phases ---- */

struct axis {
	int64_t kernel, stride, dilation, low, high;
	int64_t period; /* taps t and t + period go to the same places modulo the stride */
	int64_t near;	/* how far apart in x what they take is */
	int64_t phases; /* that have a tap: it is their number */
};

static int64_t
entry(const struct lm_node *n, size_t param, unsigned i)
{
	return n->param[param].dims.dim[i].value;
}

/* Fewer axes than three stand at the end; those before them have one value and one tap. */
static void
read_axes(const struct lm_node *n, struct axis axes[LM_SPATIAL])
{
	unsigned first = LM_SPATIAL - lm_window_axes(n), i;
	int64_t a, b, rest;
	struct axis *x;

	for (i = 0; i < LM_SPATIAL; i++) {
		x = &axes[i];
		*x = (struct axis){ 1, 1, 1, 0, 0, 1, 1, 1 };
		if (i < first)
			continue;
		x->kernel = entry(n, KERNEL, i - first);
		x->stride = entry(n, STRIDE, i - first);
		x->dilation = entry(n, DILATION, i - first);
		x->low = entry(n, PAD_LOW, i - first);
		x->high = entry(n, PAD_HIGH, i - first);
		for (a = x->stride, b = x->dilation; b != 0; a = b, b = rest)
			rest = a % b;
		x->period = x->stride / a;
		x->near = x->dilation / a;
		x->phases = x->kernel < x->period ? x->kernel : x->period;
	}
}

/* Taps of a phase. */
static int64_t
taps(const struct axis *x, int64_t phase)
{
	return (x->kernel - phase + x->period - 1) / x->period;
}

/* A phase of all axes, by its number; returns how many taps it has. */
static size_t
find_phase(const struct axis axes[LM_SPATIAL], size_t number, int64_t phase[LM_SPATIAL])
{
	size_t n = 1, i;

	for (i = LM_SPATIAL; i-- > 0;) {
		phase[i] = (int64_t)(number % (size_t)axes[i].phases);
		number /= (size_t)axes[i].phases;
		n *= (size_t)taps(&axes[i], phase[i]);
	}
	return n;
}

static size_t
count_phases(const struct axis axes[LM_SPATIAL])
{
	return (size_t)(axes[0].phases * axes[1].phases * axes[2].phases);
}

/* ---- shapes ---- */

/* The extent that comes out, where one does. */
static int
plan_axis(const struct lm_shaping *s, unsigned at, const struct axis *x, uint64_t *out,
    struct loom_error *err)
{
	int64_t beyond = (x->kernel - 1) * x->dilation + 1 - x->low - x->high, in, least;

	if (s->in[0].dim[at] >> LONGEST != 0)
		return lm_fail_input(s, 0, err, "less than 2^%d values along axis %u", LONGEST, at);
	in = (int64_t)s->in[0].dim[at];
	least = beyond > 0 ? 1 : (x->stride - beyond) / x->stride + 1;
	if (in < least)
		return lm_fail_input(s, 0, err,
		    "at least %" PRId64 " value%s along axis %u, for a result there", least,
		    least > 1 ? "s" : "", at);
	*out = (uint64_t)((in - 1) * x->stride + beyond);
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	static const char *const letters[] = { "w", "h, w", "d, h, w" };
	const struct lm_node *n = s->node;
	const struct lm_shape *x = &s->in[0];
	unsigned count = lm_window_axes(n), i, at;
	struct axis axes[LM_SPATIAL];

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < count + 1 || x->dim[x->rank - count - 1] != (uint64_t)n->param[IN].i)
		return lm_fail_input(s, 0, err, "[..., %" PRId64 ", %s]", n->param[IN].i,
		    letters[count - 1]);
	read_axes(n, axes);
	s->out[0] = *x;
	s->out[0].dim[x->rank - count - 1] = (uint64_t)n->param[OUT].i;
	for (i = 0; i < count; i++) {
		at = x->rank - count + i;
		if (plan_axis(s, at, &axes[LM_SPATIAL - count + i], &s->out[0].dim[at], err) < 0)
			return -1;
	}
	return 0;
}

/* ---- weights ---- */

/* One filter's weights for one channel of which a phase takes some: its taps from the last to the first. */
static float *
pick(const struct axis axes[LM_SPATIAL], const int64_t phase[LM_SPATIAL], const lm_f32u *w,
    float *to)
{
	int64_t i[LM_SPATIAL], n[LM_SPATIAL], at;
	size_t k;

	for (k = 0; k < LM_SPATIAL; k++)
		n[k] = taps(&axes[k], phase[k]);
	for (i[0] = n[0] - 1; i[0] >= 0; i[0]--)
		for (i[1] = n[1] - 1; i[1] >= 0; i[1]--)
			for (i[2] = n[2] - 1; i[2] >= 0; i[2]--) {
				for (at = 0, k = 0; k < LM_SPATIAL; k++)
					at = at * axes[k].kernel + phase[k] + i[k] * axes[k].period;
				*to++ = w[at];
			}
	return to;
}

/* The phases' weights one after another, each [f, c, taps], and the norms of their filters. */
static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	const union lm_value *param = p->node->param;
	size_t filters = (size_t)param[OUT].i, f, c, phase, n, k = 1;
	size_t channels = (size_t)(param[IN].i / param[GROUPS].i);
	struct axis axes[LM_SPATIAL];
	int64_t at[LM_SPATIAL];
	float *weights, *to;
	double *norm;

	read_axes(p->node, axes);
	for (n = 0; n < LM_SPATIAL; n++)
		k *= (size_t)axes[n].kernel;
	if (lm_prepare_slots(p, err) < 0)
		return -1;
	to = weights = lm_arena_alloc(p->arena, filters * channels * k, sizeof(*to), err);
	norm = lm_arena_alloc(p->arena, filters * count_phases(axes), sizeof(*norm), err);
	if (weights == NULL || norm == NULL)
		return -1;
	p->slot[WEIGHT].matrix.norm = norm;
	for (phase = 0; phase < count_phases(axes); phase++) {
		n = channels * find_phase(axes, phase, at);
		for (f = 0; f < filters; f++) {
			for (c = 0; c < channels; c++)
				to = pick(axes, at, p->slot[WEIGHT].f32 + (f * channels + c) * k,
				    to);
			*norm++ = lm_norm(to - n, n);
		}
	}
	p->slot[WEIGHT].f32 = weights;
	return 0;
}

/* The first phase has the most taps. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	const union lm_value *p = s->node->param;
	struct axis axes[LM_SPATIAL];
	int64_t at[LM_SPATIAL];
	size_t k;

	read_axes(s->node, axes);
	k = find_phase(axes, 0, at) * (size_t)(p[IN].i / p[GROUPS].i);
	return lm_correlation_plan(k, (size_t)(p[OUT].i / p[GROUPS].i), scratch, err);
}

/* ---- results ---- */

static int64_t
modulo(int64_t a, int64_t b)
{
	return (a % b + b) % b;
}

/* The windows of a phase along an axis, and where their results stand. */
static void
set_phase(const struct axis *x, int64_t phase, uint64_t in, uint64_t out, struct lm_axis_window *w,
    struct lm_places *places)
{
	int64_t first = modulo(phase * x->dilation - x->low, x->stride), n = taps(x, phase), at;

	*places = (struct lm_places){ (size_t)first, (size_t)x->stride, (size_t)out };
	*w = (struct lm_axis_window){ .in = in,
		.kernel = (uint64_t)n,
		.stride = 1,
		.dilation = (uint64_t)x->near };
	if ((uint64_t)first < out)
		w->out = (out - 1 - (uint64_t)first) / (uint64_t)x->stride + 1;
	/* What the first result takes by the last tap. */
	at = (first + x->low - phase * x->dilation) / x->stride - (n - 1) * x->near;
	if (at < 0)
		w->low = (uint64_t)-at;
	else
		w->skip = (uint64_t)at;
}

/* What no tap reaches is the bias, where some results have no phase. */
static void
fill(const struct lm_call *call, const struct axis axes[LM_SPATIAL])
{
	const lm_f32u *bias = call->slot[BIAS].f32;
	size_t filters = (size_t)call->node->param[OUT].i, i, n;
	uint64_t count = 0;
	float *y = call->out[0].data;

	for (i = 0; i < LM_SPATIAL && axes[i].phases == axes[i].stride; i++)
		;
	if (i == LM_SPATIAL || lm_shape_count(call->out[0].shape, &count) < 0)
		return;
	for (n = 1, i = 0; i < lm_window_axes(call->node); i++)
		n *= (size_t)call->out[0].shape->dim[call->out[0].shape->rank - 1 - i];
	for (i = 0; i < count; i++)
		y[i] = bias != NULL ? bias[i / n % filters] + 0 : 0;
}

static int
forward(const struct lm_call *call, struct loom_error *err)
{
	const struct lm_node *n = call->node;
	const struct lm_shape *x = call->in[0].shape, *y = call->out[0].shape;
	unsigned count = lm_window_axes(n), first = LM_SPATIAL - count, i, at;
	struct lm_correlation c = { .samples = 1,
		.groups = (size_t)n->param[GROUPS].i,
		.w = call->slot[WEIGHT].f32,
		.w_norm = call->slot[WEIGHT].matrix.norm,
		.bias = call->slot[BIAS].f32 };
	struct axis axes[LM_SPATIAL];
	int64_t phase[LM_SPATIAL];
	size_t number, k;

	(void)err;
	read_axes(n, axes);
	fill(call, axes);
	c.channels = (size_t)n->param[IN].i / c.groups;
	c.filters = (size_t)n->param[OUT].i / c.groups;
	for (i = 0; i + count + 1 < x->rank; i++)
		c.samples *= (size_t)x->dim[i];
	for (number = 0; number < count_phases(axes); number++) {
		k = find_phase(axes, number, phase) * c.channels;
		for (i = 0; i < LM_SPATIAL; i++) {
			at = x->rank + i - LM_SPATIAL;
			set_phase(&axes[i], phase[i], i < first ? 1 : x->dim[at],
			    i < first ? 1 : y->dim[at], &c.window.axis[i], &c.places[i]);
		}
		lm_correlate(call, &c);
		c.w += c.groups * c.filters * k;
		c.w_norm += c.groups * c.filters;
	}
	return 0;
}

#define CONVTRANSPOSE(n, loom, letters)                                                           \
	const struct lm_layer_ops lm_layer_convtranspose##n = {                                   \
		.name = "convtranspose" #n,                                                       \
		.cell = loom,                                                                     \
		.activation = LM_NO_ACTIVATION,                                                   \
		.in_least = 1,                                                                    \
		.in_most = 1,                                                                     \
		.out_least = 1,                                                                   \
		.out_most = 1,                                                                    \
		.about = "y[..., f, o] = sum over c, p, t with o = p stride + t dilation - "      \
			 "pad_low of x[..., c, p] weight[f, c, t] + bias[f], " #n                 \
			 " axes, in groups",                                                      \
		.params = { [IN] = { "in_channels", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },            \
		    [OUT] = { "out_channels", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },                  \
		    [KERNEL] = { "kernel", LM_IS_INTS, 1, LM_WINDOW_MOST, NULL, n },              \
		    [STRIDE] = { "stride", LM_IS_INTS, 1, LM_WINDOW_MOST, NULL, n },              \
		    [DILATION] = { "dilation", LM_IS_INTS, 1, LM_WINDOW_MOST, NULL, n },          \
		    [PAD_LOW] = { "pad_low", LM_IS_INTS, -LM_WINDOW_MOST, LM_WINDOW_MOST, NULL,   \
			n },                                                                      \
		    [PAD_HIGH] = { "pad_high", LM_IS_INTS, -LM_WINDOW_MOST, LM_WINDOW_MOST, NULL, \
			n },                                                                      \
		    [GROUPS] = { "groups", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },                     \
		    [BIASED] = { "bias", LM_IS_FLAG, 0, 1, NULL, 0 } },                           \
		.slots = { [WEIGHT] = { "weight", letters, { 0 }, 0, 0, 0, 0 },                   \
		    [BIAS] = { "bias", "f", { 0 }, 1 + BIASED, 0, 0, 0 } },                       \
		.check = lm_filters_check,                                                        \
		.slot_shape = lm_filters_slot_shape,                                              \
		.shape = shape,                                                                   \
		.prepare = prepare,                                                               \
		.plan = plan,                                                                     \
		.forward = forward,                                                               \
	};
CONVTRANSPOSE(1, 10, "fcw")
CONVTRANSPOSE(2, 11, "fchw")
CONVTRANSPOSE(3, 12, "fcdhw")
#undef CONVTRANSPOSE
