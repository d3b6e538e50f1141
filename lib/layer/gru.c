/*
 * gru: r, z = sigmoid(W x_t + U h_{t-1} + b + b2), each one exact sum; with reset_after
 * n = tanh((W_n x_t + b_n) + r (U_n h_{t-1} + b2_n)), two sums, else
 * n = tanh(W_n x_t + U_n (r h_{t-1}) + b_n + b2_n); h_t = (1 - z) n + z h_{t-1}.
 */
#include "layer/recurrent.h"

enum { R, Z, N, GATES };
enum { RESET_AFTER = LM_RECURRENT_PARAMS };

/* r h is rounded: it stands among the terms of a sum. */
static void
reset(const struct lm_call *c, const struct lm_stepping *s, size_t from, size_t to)
{
	float *r = s->z + R * s->pitch;
	size_t j;

	c->kernels->fn->sigmoid(r + from, r + from, to - from);
	for (j = from; j < to; j++)
		s->other[j] = r[j] * s->before[j];
}

/* Products of two binary32 numbers are exact in binary64. */
static void
update(const struct lm_call *c, const struct lm_stepping *s, size_t from, size_t to)
{
	size_t pitch = s->pitch, k = to - from, j;
	float *r = s->z + R * pitch, *z = s->z + Z * pitch, *n = s->z + N * pitch;
	const float *p = s->inputs; /* n begins as the state's */

	c->kernels->fn->sigmoid(z + from, z + from, k);
	if (c->node->param[RESET_AFTER].i) {
		c->kernels->fn->sigmoid(r + from, r + from, k);
		for (j = from; j < to; j++)
			n[j] = (float)(p[j] + (double)r[j] * n[j]);
	}
	c->kernels->fn->tanh(n + from, n + from, k);
	for (j = from; j < to; j++)
		s->h[j] = (float)((1 - (double)z[j]) * n[j] + (double)z[j] * s->before[j]);
}

static enum lm_last_gate
last(const struct lm_node *n)
{
	return n->param[RESET_AFTER].i ? LM_LAST_SPLIT : LM_LAST_LATE;
}

static const struct lm_cell cell = { GATES, update, reset, last };

const struct lm_layer_ops lm_layer_gru = {
	.name = "gru",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 3,
	.out_least = 1,
	.out_most = 2,
	.about = "gates r z n; h_t = (1 - z) n + z h_(t-1); reset_after: n = tanh(W_n x_t + b_n + "
		 "r (U_n h_(t-1) + b2_n)), else tanh(W_n x_t + U_n (r h_(t-1)) + b_n + b2_n)",
	.params = { LM_RECURRENT_PARAMETERS,
	    [RESET_AFTER] = { "reset_after", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { { "W_r", LM_SLOT_W }, { "U_r", LM_SLOT_U }, { "b_r", LM_SLOT_B },
	    { "W_z", LM_SLOT_W }, { "U_z", LM_SLOT_U }, { "b_z", LM_SLOT_B }, { "W_n", LM_SLOT_W },
	    { "U_n", LM_SLOT_U }, { "b_n", LM_SLOT_B }, { "b2_r", LM_SLOT_B2 },
	    { "b2_z", LM_SLOT_B2 }, { "b2_n", LM_SLOT_B2 } },
	.row = &cell,
	.check = lm_recurrent_check,
	.shape = lm_recurrent_shape,
	.prepare = lm_recurrent_prepare,
	.rows = lm_recurrent_rows,
	.plan = lm_recurrent_plan,
	.forward = lm_recurrent_forward,
};
