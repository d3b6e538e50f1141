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

#include <math.h>

enum { DIM, EPS, SCALE, OFFSET };
enum { GAMMA, BETA };
enum { GRAIN = 1024 }; /* elements that are worth a thread */

double
lm_inverse_deviation(const struct lm_kernels *k, const float *x, double mean, size_t n, double eps,
    double *square)
{
	double d;
	size_t i;

	for (i = 0; i < n; i++) {
		d = x[i] - mean;
		square[i] = d * d;
	}
	return 1.0 / sqrt(k->fn->lane16(square, n) / (double)n + eps);
}

void
lm_norm_line(float *y, const float *x, size_t n, const struct lm_norm_line *line)
{
	struct lm_norm_line l = *line;
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = (float)((x[i] - l.mean) * l.r * l.gamma + l.beta);
}

static void
normalise(float *y, const float *x, double mean, double r, size_t n, const lm_f32u *gamma,
    const lm_f32u *beta)
{
	double t;
	size_t i;

	for (i = 0; i < n; i++) {
		t = (x[i] - mean) * r;
		if (gamma != NULL)
			t = t * gamma[i];
		if (beta != NULL)
			t = t + beta[i];
		y[i] = (float)t;
	}
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
	double *square = (double *)c->scratch + (size_t)worker * j->n, mean = 0, r;
	size_t row;

	for (row = from; row < to; row++) {
		const float *x = (const float *)c->in[0].data + row * j->n;
		float *y = (float *)c->out[0].data + row * j->n;

		if (j->centred)
			mean = c->kernels->fn->lane16_f32(x, j->n) / (double)j->n;
		r = lm_inverse_deviation(c->kernels, x, mean, j->n, c->node->param[EPS].real,
		    square);
		normalise(y, x, mean, r, j->n, c->slot[GAMMA].f32,
		    j->centred ? c->slot[BETA].f32 : NULL);
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

/* A row of squares for each worker. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	(void)err;
	*scratch = (size_t)s->node->param[DIM].i * sizeof(double);
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
	.plan = plan,
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
	.plan = plan,
	.forward = forward_rmsnorm,
};
