/*
 * lstm: z = W x_t + U h_{t-1} + b + b2 for the gates i, f, g, o, each one exact sum;
 * c_t = sigmoid(z_f) c_{t-1} + sigmoid(z_i) tanh(z_g) in binary64; h_t = sigmoid(z_o) tanh(c_t).
 */
#include "layer/recurrent.h"

enum { I, F, G, O, GATES };

/* c is rounded to binary32 only where tanh takes it; the product i g is exact in binary64. */
static void
update(const struct lm_call *c, const struct lm_stepping *s, size_t from, size_t to)
{
	size_t pitch = s->pitch, n = to - from;
	float *z = s->z, *h = s->h + from;
	float *i = z + I * pitch, *f = z + F * pitch, *g = z + G * pitch, *o = z + O * pitch;

	c->kernels->fn->sigmoid(i + from, i + from, n);
	c->kernels->fn->sigmoid(f + from, f + from, n);
	c->kernels->fn->tanh(g + from, g + from, n);
	c->kernels->fn->sigmoid(o + from, o + from, n);
	c->kernels->fn->remember(s->memory + from, h, i + from, f + from, g + from, n);
	c->kernels->fn->tanh(h, h, n);
	c->kernels->fn->gate(h, o + from, n);
}

static const struct lm_cell cell = { GATES, update, NULL, NULL };

const struct lm_layer_ops lm_layer_lstm = {
	.name = "lstm",
	.cell = 8,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 4,
	.out_least = 1,
	.out_most = 3,
	.about =
	    "gates i f g o of W x_t + U h_(t-1) + b + b2; c_t = f c_(t-1) + i g, h_t = o tanh c_t",
	.params = { LM_RECURRENT_PARAMETERS },
	.slots = { { "W_i", LM_SLOT_W }, { "U_i", LM_SLOT_U }, { "b_i", LM_SLOT_B },
	    { "W_f", LM_SLOT_W }, { "U_f", LM_SLOT_U }, { "b_f", LM_SLOT_B }, { "W_g", LM_SLOT_W },
	    { "U_g", LM_SLOT_U }, { "b_g", LM_SLOT_B }, { "W_o", LM_SLOT_W }, { "U_o", LM_SLOT_U },
	    { "b_o", LM_SLOT_B }, { "b2_i", LM_SLOT_B2 }, { "b2_f", LM_SLOT_B2 },
	    { "b2_g", LM_SLOT_B2 }, { "b2_o", LM_SLOT_B2 } },
	.row = &cell,
	.check = lm_recurrent_check,
	.shape = lm_recurrent_shape,
	.prepare = lm_recurrent_prepare,
	.rows = lm_recurrent_rows,
	.plan = lm_recurrent_plan,
	.forward = lm_recurrent_forward,
};
