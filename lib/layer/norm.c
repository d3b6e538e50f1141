/*
 * norm: layernorm and rmsnorm over the last axis, every row of any rank.
 *
 *	layernorm	y_i = (x_i - m) r gamma_i + beta_i,  r = 1/sqrt(mean of (x - m)^2 + eps)
 *	rmsnorm		y_i = x_i r gamma_i,  r = 1/sqrt(mean of x^2 + eps)
 *
 * One binary64 operation at a time and in this order, sums in 16 lanes, y rounded once: the bits
 * depend on the order, so nothing here may be rearranged.
 */
#include "layer/norm.h"
#include "layer/pieces.h"

#include <math.h>

enum { DIM, EPS, SCALE, OFFSET };
enum { GAMMA, BETA };
enum { GRAIN = 1024 }; /* elements that are worth a thread */

double
lm_inverse_deviation(const struct lm_functions *fn, const float *x, double mean, size_t n,
    double eps)
{
	return 1.0 / sqrt(fn->lane16_squares(x, mean, n) / (double)n + eps);
}

struct job {
	const struct lm_call *call;
	size_t n;
	int centred; /* the mean is taken off first */
};

static void
rows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_call *c = j->call;
	const struct lm_functions *fn = c->kernels->fn;
	double mean = 0, r;
	size_t row;

	(void)worker;
	for (row = from; row < to; row++) {
		const float *x = (const float *)c->in[0].data + row * j->n;
		float *y = (float *)c->out[0].data + row * j->n;

		if (j->centred)
			mean = fn->lane16_f32(x, j->n) / (double)j->n;
		r = lm_inverse_deviation(fn, x, mean, j->n, c->node->param[EPS].real);
		fn->normalize(y, x, mean, r, c->slot[GAMMA].f32,
		    j->centred ? c->slot[BETA].f32 : NULL, j->n);
	}
}

static void
each_row(const struct lm_call *c, int centred)
{
	struct job j = { c, (size_t)c->node->param[DIM].i, centred };
	uint64_t count;

	if (lm_shape_count(c->in[0].shape, &count) == 0)
		lm_pool_each(c->pool, (size_t)count / j.n, GRAIN / j.n + 1, rows, &j);
}

static int
forward_layernorm(const struct lm_call *c, struct loom_error *err)
{
	(void)err;
	each_row(c, 1);
	return 0;
}

/* x - 0 is x, a zero's sign included. */
static int
forward_rmsnorm(const struct lm_call *c, struct loom_error *err)
{
	(void)err;
	each_row(c, 0);
	return 0;
}

int
lm_norm_check(const struct lm_node *n, size_t eps, struct loom_error *err)
{
	if (!(n->param[eps].real >= 0))
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s): eps is %.9g, expected 0 or more",
		    n->name, n->op->name, n->param[eps].real);
	return 0;
}

static int
check(const struct lm_node *n, struct loom_error *err)
{
	return lm_norm_check(n, EPS, err);
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	int64_t dim = s->node->param[DIM].i;

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < 1 || x->dim[x->rank - 1] != (uint64_t)dim)
		return lm_fail_input(s, 0, err, "a last axis of %lld", (long long)dim);
	s->out[0] = *x;
	return 0;
}

const struct lm_layer_ops lm_layer_layernorm = {
	.name = "layernorm",
	.cell = 9,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = (x - mean)/sqrt(variance + eps) gamma + beta, over the last axis",
	.params = { [DIM] = { "dim", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [EPS] = { "eps", LM_IS_REAL, 0, 0, NULL, 0 },
	    [SCALE] = { "scale", LM_IS_FLAG, 0, 1, NULL, 0 },
	    [OFFSET] = { "offset", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [GAMMA] = { "gamma", "n", { DIM }, 1 + SCALE, 0, 0, 0 },
	    [BETA] = { "beta", "n", { DIM }, 1 + OFFSET, 0, 0, 0 } },
	.check = check,
	.shape = shape,
	.pieces = lm_pieces_rows,
	.forward = forward_layernorm,
};

const struct lm_layer_ops lm_layer_rmsnorm = {
	.name = "rmsnorm",
	.cell = 3,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x/sqrt(mean of x^2 + eps) gamma, over the last axis",
	.params = { [DIM] = { "dim", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [EPS] = { "eps", LM_IS_REAL, 0, 0, NULL, 0 },
	    [SCALE] = { "scale", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [GAMMA] = { "gamma", "n", { DIM }, 1 + SCALE, 0, 0, 0 } },
	.check = check,
	.shape = shape,
	.pieces = lm_pieces_rows,
	.forward = forward_rmsnorm,
};
