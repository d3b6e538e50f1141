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

/* The filters of a phase: its number of terms, and then where its weights, norms and tiles are. */
static struct lm_bank
bank(const struct lm_node *n, size_t taps_of_phase)
{
	size_t groups = (size_t)n->param[GROUPS].i;

	return (struct lm_bank){ .groups = groups,
		.filters = (size_t)n->param[OUT].i / groups,
		.k = taps_of_phase * (size_t)n->param[IN].i / groups };
}

/* From a phase's to the next one's. */
static void
advance(struct lm_bank *b, const struct lm_kernels *kernels)
{
	b->w += b->groups * b->filters * b->k;
	b->norm += b->groups * b->filters;
	if (b->tiles != NULL)
		b->tiles += lm_bank_tiles(b, kernels);
}

/* A phase's weights, [f, c, taps]. */
static float *
pick_all(const struct lm_preparing *p, const struct axis axes[LM_SPATIAL],
    const int64_t phase[LM_SPATIAL], float *to)
{
	const union lm_value *param = p->node->param;
	size_t n = (size_t)(param[OUT].i * (param[IN].i / param[GROUPS].i)), i;
	size_t k = (size_t)(axes[0].kernel * axes[1].kernel * axes[2].kernel);

	for (i = 0; i < n; i++)
		to = pick(axes, phase, p->slot[WEIGHT].f32 + i * k, to);
	return to;
}

/* The phases' weights one after another, and the norms and tiles of their filters. */
static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	struct lm_prepared *slot = &p->slot[WEIGHT];
	size_t phase, taps_of_phase, all = 0, tiles = 0, n;
	struct axis axes[LM_SPATIAL];
	int64_t at[LM_SPATIAL];
	float *weights, *to;
	double *norm, *tile = NULL;
	struct lm_bank b;

	read_axes(p->node, axes);
	if (lm_prepare_slots(p, err) < 0)
		return -1;
	for (phase = 0; phase < count_phases(axes); phase++) {
		b = bank(p->node, find_phase(axes, phase, at));
		all += b.groups * b.filters * b.k;
		tiles += lm_bank_tiles(&b, p->kernels);
	}
	to = weights = lm_arena_alloc(p->arena, all, sizeof(*to), err);
	n = count_phases(axes) * b.groups * b.filters;
	slot->norm = norm = lm_arena_alloc(p->arena, n, sizeof(*norm), err);
	if (tiles > 0)
		slot->tiles = tile = lm_arena_alloc(p->arena, tiles, sizeof(*tile), err);
	if (weights == NULL || norm == NULL || (tiles > 0 && tile == NULL))
		return -1;
	for (phase = 0; phase < count_phases(axes); phase++) {
		taps_of_phase = find_phase(axes, phase, at);
		b = bank(p->node, taps_of_phase);
		b.w = to;
		to = pick_all(p, axes, at, to);
		lm_bank_prepare(&b, p->kernels, norm, tile);
		norm += b.groups * b.filters;
		if (tile != NULL)
			tile += lm_bank_tiles(&b, p->kernels);
	}
	slot->f32 = weights;
	return 0;
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

/* All of a phase but its weights. */
static void
describe(const struct lm_node *n, const struct axis axes[LM_SPATIAL], size_t number,
    const struct lm_shape *x, const struct lm_shape *y, struct lm_correlation *c)
{
	unsigned count = lm_window_axes(n), first = LM_SPATIAL - count, i, at;
	int64_t phase[LM_SPATIAL];

	*c = (struct lm_correlation){ .samples = 1,
		.channels = (size_t)(n->param[IN].i / n->param[GROUPS].i),
		.bank = bank(n, find_phase(axes, number, phase)) };
	for (i = 0; i + count + 1 < x->rank; i++)
		c->samples *= (size_t)x->dim[i];
	for (i = 0; i < LM_SPATIAL; i++) {
		at = x->rank + i - LM_SPATIAL;
		set_phase(&axes[i], phase[i], i < first ? 1 : x->dim[at],
		    i < first ? 1 : y->dim[at], &c->window.axis[i], &c->places[i]);
	}
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct axis axes[LM_SPATIAL];
	struct lm_correlation c;
	size_t number, most = 0;

	read_axes(s->node, axes);
	for (number = 0; number < count_phases(axes); number++) {
		describe(s->node, axes, number, &s->in[0], &s->out[0], &c);
		if (lm_correlation_plan(&c, scratch, err) < 0)
			return -1;
		most = *scratch > most ? *scratch : most;
	}
	*scratch = most;
	return 0;
}

static int
forward(const struct lm_call *call, struct loom_error *err)
{
	const struct lm_node *n = call->node;
	const struct lm_prepared *slot = &call->slot[WEIGHT];
	struct lm_bank next = { .w = slot->f32, .norm = slot->norm, .tiles = slot->tiles };
	struct axis axes[LM_SPATIAL];
	struct lm_correlation c;
	size_t number;

	(void)err;
	read_axes(n, axes);
	fill(call, axes);
	for (number = 0; number < count_phases(axes); number++) {
		describe(n, axes, number, call->in[0].shape, call->out[0].shape, &c);
		c.bank.w = next.w;
		c.bank.norm = next.norm;
		c.bank.tiles = next.tiles;
		c.bias = call->slot[BIAS].f32;
		lm_correlate(call, &c);
		next = c.bank;
		advance(&next, call->kernels);
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
