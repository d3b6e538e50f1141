/* rnn: h_t = f(W x_t + U h_{t-1} + b + b2), one exact sum; f is tanh or relu. */
#include "layer/recurrent.h"

#include "num/func.h"

enum { ACTIVATION = LM_RECURRENT_PARAMS };
enum { TANH, RELU };

static const char *const activations[] = { "tanh", "relu", NULL };

static void
update(const struct lm_call *c, const struct lm_stepping *s, size_t from, size_t to)
{
	size_t i;

	if (c->node->param[ACTIVATION].i == TANH)
		c->kernels->fn->tanh(s->h + from, s->z + from, to - from);
	else
		for (i = from; i < to; i++)
			s->h[i] = lm_relu(s->z[i]);
}

static const struct lm_cell cell = { 1, update, NULL, NULL };

const struct lm_layer_ops lm_layer_rnn = {
	.name = "rnn",
	.cell = 7,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 3,
	.out_least = 1,
	.out_most = 2,
	.about = "h_t = activation(W x_t + U h_(t-1) + b + b2); y = all h, h_n = the last",
	.params = { LM_RECURRENT_PARAMETERS,
	    [ACTIVATION] = { "activation", LM_IS_ENUM, 0, 1, activations, 0 } },
	.slots = { { "W", LM_SLOT_W }, { "U", LM_SLOT_U }, { "b", LM_SLOT_B },
	    { "b2", LM_SLOT_B2 } },
	.row = &cell,
	.check = lm_recurrent_check,
	.shape = lm_recurrent_shape,
	.prepare = lm_recurrent_prepare,
	.rows = lm_recurrent_rows,
	.plan = lm_recurrent_plan,
	.forward = lm_recurrent_forward,
};
