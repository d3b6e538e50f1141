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

/* The proof of a sum wants the norm of each filter. */
static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	if (lm_prepare_slots(p, err) < 0)
		return -1;
	p->slot[WEIGHT].matrix.norm = lm_correlation_norms(p, p->slot[WEIGHT].f32,
	    (size_t)p->node->param[OUT].i, terms(p->node), err);
	return p->slot[WEIGHT].matrix.norm != NULL ? 0 : -1;
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	const union lm_value *p = s->node->param;

	return lm_correlation_plan(terms(s->node), (size_t)(p[OUT].i / p[GROUPS].i), scratch, err);
}

static int
forward(const struct lm_call *call, struct loom_error *err)
{
	const struct lm_node *n = call->node;
	const struct lm_shape *x = call->in[0].shape;
	struct lm_correlation c = { .samples = 1,
		.groups = (size_t)n->param[GROUPS].i,
		.w = call->slot[WEIGHT].f32,
		.w_norm = call->slot[WEIGHT].matrix.norm,
		.bias = call->slot[BIAS].f32 };
	unsigned i;

	(void)err;
	lm_window_read(n, x, call->out[0].shape, &c.window);
	lm_places_all(&c);
	c.channels = (size_t)n->param[IN].i / c.groups;
	c.filters = (size_t)n->param[OUT].i / c.groups;
	for (i = 0; i + lm_window_axes(n) + 1 < x->rank; i++)
		c.samples *= (size_t)x->dim[i];
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
