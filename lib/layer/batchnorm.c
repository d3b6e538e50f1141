/*
 * batchnorm: y = (x - mean) r gamma + beta with r = 1/sqrt(var + eps), where mean, var, gamma and beta
 * are the channel's own; the axis of channels is any of x.
 */
#include "layer/norm.h"
#include "layer/pieces.h"

#include <math.h>

enum { DIM, AXIS, EPS, SCALE, OFFSET };
enum { GAMMA, BETA, MEAN, VAR };
enum { GRAIN = 4096 }; /* elements that are worth a thread */

struct job {
	const struct lm_call *call;
	const struct lm_affine *line; /* one for each channel */
	size_t channels;
	size_t inner; /* values of a channel that lie together */
};

/* A block: the values of one channel that lie together. */
static void
blocks(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const float *x = j->call->in[0].data;
	float *y = j->call->out[0].data;
	size_t at;

	(void)worker;
	for (; from < to; from++) {
		at = from * j->inner;
		j->call->kernels->fn->affine(y + at, x + at, &j->line[from % j->channels],
		    j->inner);
	}
}

/* A row: one value of every channel. */
static void
rows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const float *x = j->call->in[0].data;
	float *y = j->call->out[0].data;
	size_t at;

	(void)worker;
	for (; from < to; from++) {
		at = from * j->channels;
		j->call->kernels->fn->affines(y + at, x + at, j->line, j->channels);
	}
}

static void
fill_lines(const struct lm_call *c, struct lm_affine *line, size_t channels)
{
	const struct lm_prepared *slot = c->slot;
	double eps = c->node->param[EPS].real;
	size_t i;

	for (i = 0; i < channels; i++) {
		line[i].mean = slot[MEAN].f32[i];
		line[i].r = 1.0 / sqrt(slot[VAR].f32[i] + eps);
		line[i].gamma = slot[GAMMA].f32 != NULL ? slot[GAMMA].f32[i] : 1;
		line[i].beta = slot[BETA].f32 != NULL ? slot[BETA].f32[i] : -0.0;
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	struct job j = { c, c->scratch, (size_t)c->node->param[DIM].i, 1 };
	int64_t axis = c->node->param[AXIS].i;
	unsigned i = (unsigned)(axis < 0 ? axis + x->rank : axis);
	uint64_t count;

	(void)err;
	if (lm_shape_count(x, &count) < 0 || count == 0)
		return 0;
	for (i++; i < x->rank; i++)
		j.inner *= (size_t)x->dim[i];
	fill_lines(c, c->scratch, j.channels);
	if (j.inner > 1)
		lm_pool_each(c->pool, (size_t)count / j.inner, GRAIN / j.inner + 1, blocks, &j);
	else
		lm_pool_each(c->pool, (size_t)count / j.channels, GRAIN / j.channels + 1, rows, &j);
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
	const union lm_value *p = s->node->param;
	unsigned axis;

	if (lm_want_f32(s, 0, err) < 0 || lm_axis(s, 0, p[AXIS].i, &axis, err) < 0)
		return -1;
	if (s->in[0].dim[axis] != (uint64_t)p[DIM].i)
		return lm_fail_input(s, 0, err, "%lld channels along axis %u", (long long)p[DIM].i,
		    axis);
	s->out[0] = s->in[0];
	return 0;
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	(void)err;
	*scratch = (size_t)s->node->param[DIM].i * sizeof(struct lm_affine);
	return 0;
}

const struct lm_layer_ops lm_layer_batchnorm = {
	.name = "batchnorm",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = (x - mean)/sqrt(var + eps) gamma + beta, each channel along axis its own",
	.params = { [DIM] = { "dim", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [AXIS] = { "axis", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 },
	    [EPS] = { "eps", LM_IS_REAL, 0, 0, NULL, 0 },
	    [SCALE] = { "scale", LM_IS_FLAG, 0, 1, NULL, 0 },
	    [OFFSET] = { "offset", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [GAMMA] = { "gamma", "n", { DIM }, 1 + SCALE, 0, 0, 0 },
	    [BETA] = { "beta", "n", { DIM }, 1 + OFFSET, 0, 0, 0 },
	    [MEAN] = { "mean", "n", { DIM }, 0, 0, 0, 0 },
	    [VAR] = { "var", "n", { DIM }, 0, 0, 0, 0 } },
	.check = check,
	.shape = shape,
	.plan = plan,
	.pieces = lm_pieces_axis,
	.forward = forward,
};
