/*
 * swiglu: y = Wd (f(Wg x + bg) * (Wu x + bu)) + bd over the last axis, f silu or relu2.  Each product,
 * f and * are rounded to binary32, so that the bits are those of dense, silu, mul and dense nodes.
 */
#include "layer/layer.h"

#include "num/func.h"

enum { IN, HIDDEN, ACTIVATION, BIASED };
enum { GATE, UP, DOWN, GATE_BIAS, UP_BIAS, DOWN_BIAS };
enum { SILU, RELU2 };
enum { BLOCK = 8 }; /* rows whose hidden values a worker holds at a time */

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
prepare_norms(struct lm_preparing *p, size_t slot, size_t rows, size_t n, struct loom_error *err)
{
	double *norm = lm_arena_alloc(p->arena, rows, sizeof(*norm), err);
	size_t r;

	if (norm == NULL)
		return -1;
	for (r = 0; r < rows; r++)
		norm[r] = lm_norm(p->slot[slot].f32 + r * n, n);
	p->slot[slot].norm = norm;
	return 0;
}

static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	size_t in = (size_t)p->node->param[IN].i, hidden = (size_t)p->node->param[HIDDEN].i;

	if (lm_prepare_slots(p, err) < 0 || prepare_norms(p, GATE, hidden, in, err) < 0 ||
	    prepare_norms(p, UP, hidden, in, err) < 0)
		return -1;
	return prepare_norms(p, DOWN, in, hidden, err);
}

/* Gate and up of a block of rows. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	(void)err;
	*scratch = 2 * BLOCK * (size_t)s->node->param[HIDDEN].i * sizeof(float);
	return 0;
}

/* y (m, n) from x (m, k) by the weights in a slot. */
static void
product(const struct lm_call *c, int worker, float *y, const float *x, size_t m, size_t slot,
    size_t bias, size_t n, size_t k)
{
	struct lm_product p = { .m = m, .n = n, .k = k, .x = x, .y = y };

	p.w = c->slot[slot].f32;
	p.w_norm = c->slot[slot].norm;
	p.bias = c->slot[bias].f32;
	c->kernels->product(&p, 0, m, 0, n, &c->counts[worker]);
}

static void
activate(const struct lm_call *c, float *gate, size_t n)
{
	size_t i;

	if (c->node->param[ACTIVATION].i == SILU)
		c->kernels->silu(gate, gate, n);
	else
		for (i = 0; i < n; i++)
			gate[i] = lm_relu2(gate[i]);
}

static void
block(const struct lm_call *c, int worker, size_t row, size_t m)
{
	size_t in = (size_t)c->node->param[IN].i, hidden = (size_t)c->node->param[HIDDEN].i, i;
	float *gate = (float *)c->scratch + (size_t)worker * 2 * BLOCK * hidden;
	float *up = gate + m * hidden, *y = (float *)c->out[0].data + row * in;
	const float *x = (const float *)c->in[0].data + row * in;

	product(c, worker, gate, x, m, GATE, GATE_BIAS, hidden, in);
	product(c, worker, up, x, m, UP, UP_BIAS, hidden, in);
	activate(c, gate, m * hidden);
	for (i = 0; i < m * hidden; i++)
		gate[i] = gate[i] * up[i];
	product(c, worker, y, gate, m, DOWN, DOWN_BIAS, in, hidden);
}

static void
rows(void *context, int worker, size_t from, size_t to)
{
	size_t row, m;

	for (row = from; row < to; row += m) {
		m = to - row < BLOCK ? to - row : BLOCK;
		block(context, worker, row, m);
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	struct lm_call call = *c;
	uint64_t n;

	(void)err;
	if (lm_shape_count(c->in[0].shape, &n) == 0)
		lm_pool_each(c->pool, (size_t)n / (size_t)c->node->param[IN].i, 1, rows, &call);
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
	.plan = plan,
	.forward = forward,
};
