/*
 * conv1, conv2, conv3: cross-correlation of [..., c, k...] with filters, in groups of channels:
 *
 *	y[..., f, o] = sum over c, t of x[..., c, o stride + t dilation - pad_low] w[f, c, t] + b[f]
 */
#include "layer/correlate.h"
#include "layer/filters.h"

#include <inttypes.h>

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

/* The node's filters, as they were prepared. */
static struct lm_bank
bank(const struct lm_node *n, const struct lm_prepared *slot)
{
	size_t groups = (size_t)n->param[GROUPS].i;

	return (struct lm_bank){ .groups = groups,
		.filters = (size_t)n->param[OUT].i / groups,
		.k = terms(n),
		.w = slot->f32,
		.norm = slot->norm,
		.tiles = slot->tiles };
}

static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	struct lm_prepared *slot = &p->slot[WEIGHT];
	double *norm, *tiles = NULL;
	struct lm_bank b;
	size_t n;

	if (lm_prepare_slots(p, err) < 0)
		return -1;
	b = bank(p->node, slot);
	n = lm_bank_tiles(&b, p->kernels);
	slot->norm = norm = lm_arena_alloc(p->arena, b.groups * b.filters, sizeof(*norm), err);
	if (n > 0)
		slot->tiles = tiles = lm_arena_alloc(p->arena, n, sizeof(*tiles), err);
	if (norm == NULL || (n > 0 && tiles == NULL))
		return -1;
	lm_bank_prepare(&b, p->kernels, norm, tiles);
	return 0;
}

/* All but the weights. */
static void
describe(const struct lm_node *n, const struct lm_shape *x, const struct lm_shape *y,
    struct lm_correlation *c)
{
	unsigned i;

	*c = (struct lm_correlation){ .samples = 1,
		.channels = (size_t)(n->param[IN].i / n->param[GROUPS].i) };
	lm_window_read(n, x, y, &c->window);
	lm_places_all(c);
	for (i = 0; i + lm_window_axes(n) + 1 < x->rank; i++)
		c->samples *= (size_t)x->dim[i];
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	static const struct lm_prepared none;
	struct lm_correlation c;

	describe(s->node, &s->in[0], &s->out[0], &c);
	c.bank = bank(s->node, &none);
	return lm_correlation_plan(&c, scratch, err);
}

static int
forward(const struct lm_call *call, struct loom_error *err)
{
	struct lm_correlation c;

	(void)err;
	describe(call->node, call->in[0].shape, call->out[0].shape, &c);
	c.bank = bank(call->node, &call->slot[WEIGHT]);
	c.bias = call->slot[BIAS].f32;
	lm_correlate(call, &c);
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
		.check = lm_filters_check,                                                    \
		.slot_shape = lm_filters_slot_shape,                                          \
		.shape = shape,                                                               \
		.prepare = prepare,                                                           \
		.plan = plan,                                                                 \
		.forward = forward,                                                           \
	};
CONV(1, 4, "fcw")
CONV(2, 5, "fchw")
CONV(3, 6, "fcdhw")
#undef CONV
