/*
 * swiglu: y = Wd (f(Wg x + bg) * (Wu x + bu)) + bd over the last axis, f silu or relu2.  Each product,
 * f and * are rounded to binary32, so that the bits are those of dense, silu, mul and dense nodes.
 */
#include "layer/multiply.h"
#include "layer/pieces.h"

#include "num/func.h"

enum { IN, HIDDEN, ACTIVATION, BIASED };
enum { GATE, UP, DOWN, GATE_BIAS, UP_BIAS, DOWN_BIAS };
enum { SILU, RELU2 };
enum { BLOCK = 512 };	  /* rows whose hidden values are there at a time */
enum { WORTH = 1 << 15 }; /* values that are worth a thread */

static const char *const activations[] = { "silu", "relu2", NULL };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	int64_t in = s->node->param[IN].i;

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < 1 || x->dim[x->rank - 1] != (uint64_t)in)
		return lm_fail_input(s, 0, err, "a last axis of %lld", (long long)in);
	s->out[0] = *x;
	return 0;
}

static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	size_t in = (size_t)p->node->param[IN].i, hidden = (size_t)p->node->param[HIDDEN].i;

	if (lm_prepare_slots(p, err) < 0)
		return -1;
	lm_prepare_matrix(p, GATE, hidden, in);
	lm_prepare_matrix(p, UP, hidden, in);
	lm_prepare_matrix(p, DOWN, in, hidden);
	return 0;
}

/* Rows that are worked on together. */
static size_t
together(const struct lm_shape *x)
{
	size_t m = lm_count_rows(x);

	return m < BLOCK ? m : BLOCK;
}

static size_t
rows(const struct lm_shaping *s, size_t slot)
{
	(void)slot;
	return together(&s->in[0]);
}

/* Gate and up of a block of rows. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	size_t values;

	if (lm_mul(2 * together(&s->in[0]), (size_t)s->node->param[HIDDEN].i, &values) < 0 ||
	    lm_mul(values, sizeof(float), scratch) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for the hidden values of %s",
		    s->node->name);
	return 0;
}

/* y (m, n) from x (m, k) by the weights in a slot. */
static void
product(const struct lm_call *c, float *y, const float *x, size_t m, size_t slot)
{
	const struct lm_matrix *w = &c->slot[slot].matrix;
	struct lm_product p = { .m = m, .x = x, .x_step = w->k, .w = w, .y = y, .y_step = w->n };

	p.bias = c->slot[slot + (GATE_BIAS - GATE)].f32;
	lm_multiply(c, &p);
}

struct hidden {
	const struct lm_call *call;
	float *gate, *up;
};

static void
activate(void *context, int worker, size_t from, size_t to)
{
	const struct hidden *h = context;
	float *gate = h->gate + from;
	size_t i, n = to - from;

	(void)worker;
	if (h->call->node->param[ACTIVATION].i == SILU)
		h->call->kernels->fn->silu(gate, gate, n);
	else
		for (i = 0; i < n; i++)
			gate[i] = lm_relu2(gate[i]);
	for (i = 0; i < n; i++)
		gate[i] = gate[i] * h->up[from + i];
}

static void
block(const struct lm_call *c, size_t row, size_t m)
{
	size_t in = (size_t)c->node->param[IN].i, hidden = (size_t)c->node->param[HIDDEN].i;
	struct hidden h = { c, c->scratch, (float *)c->scratch + m * hidden };
	const float *x = (const float *)c->in[0].data + row * in;

	product(c, h.gate, x, m, GATE);
	product(c, h.up, x, m, UP);
	lm_pool_each(c->pool, m * hidden, WORTH, activate, &h);
	product(c, (float *)c->out[0].data + row * in, h.gate, m, DOWN);
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	size_t rows_left = lm_count_rows(c->in[0].shape), row = 0, m;

	(void)err;
	for (; rows_left > 0; rows_left -= m, row += m) {
		m = rows_left < BLOCK ? rows_left : BLOCK;
		block(c, row, m);
	}
	return 0;
}

const struct lm_layer_ops lm_layer_swiglu = {
	.name = "swiglu",
	.cell = 2,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = Wd (f(Wg x + bg) * (Wu x + bu)) + bd, f silu or relu2",
	.params = { [IN] = { "in_features", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [HIDDEN] = { "hidden_features", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [ACTIVATION] = { "activation", LM_IS_ENUM, 0, 1, activations, 0 },
	    [BIASED] = { "bias", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [GATE] = { "Wg", "mi", { HIDDEN, IN }, 0, 0, 0, 0 },
	    [UP] = { "Wu", "mi", { HIDDEN, IN }, 0, 0, 0, 0 },
	    [DOWN] = { "Wd", "im", { IN, HIDDEN }, 0, 0, 0, 0 },
	    [GATE_BIAS] = { "bg", "m", { HIDDEN }, 1 + BIASED, 0, 0, 0 },
	    [UP_BIAS] = { "bu", "m", { HIDDEN }, 1 + BIASED, 0, 0, 0 },
	    [DOWN_BIAS] = { "bd", "i", { IN }, 1 + BIASED, 0, 0, 0 } },
	.shape = shape,
	.prepare = prepare,
	.rows = rows,
	.plan = plan,
	.pieces = lm_pieces_rows,
	.forward = forward,
};
