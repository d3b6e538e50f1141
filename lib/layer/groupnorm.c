/*
 * groupnorm and instancenorm: layernorm's line over the values of a group of channels in the order
 * of memory, gamma and beta by channel; x is [b, channels, k...].  An instance is a group of one.
 */
#include "layer/norm.h"

enum { CHANNELS, EPS, SCALE, OFFSET, GROUPS };
enum { GAMMA, BETA };
enum { GRAIN = 1024 }; /* elements that are worth a thread */

static size_t
groups_of(const struct lm_node *n)
{
	return (size_t)n->param[lm_layer_param(n->op, "groups") < 0 ? CHANNELS : GROUPS].i;
}

struct job {
	const struct lm_call *call;
	size_t channels, inner; /* of a group; values of a channel */
	size_t groups;
};

static void
channel(const struct job *j, float *y, const float *x, size_t at, struct lm_affine *line)
{
	const struct lm_prepared *slot = j->call->slot;

	line->gamma = slot[GAMMA].f32 != NULL ? slot[GAMMA].f32[at] : 1;
	line->beta = slot[BETA].f32 != NULL ? slot[BETA].f32[at] : -0.0;
	j->call->kernels->fn->affine(y, x, line, j->inner);
}

static void
groups(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_call *c = j->call;
	const struct lm_functions *fn = c->kernels->fn;
	size_t n = j->channels * j->inner, k;
	struct lm_affine line = { 0 };

	(void)worker;
	for (; from < to; from++) {
		const float *x = (const float *)c->in[0].data + from * n;
		float *y = (float *)c->out[0].data + from * n;

		line.mean = fn->lane16_f32(x, n) / (double)n;
		line.r = lm_inverse_deviation(fn, x, line.mean, n, c->node->param[EPS].real);
		for (k = 0; k < j->channels; k++)
			channel(j, y + k * j->inner, x + k * j->inner,
			    from % j->groups * j->channels + k, &line);
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	struct job j = { .call = c, .inner = 1, .groups = groups_of(c->node) };
	uint64_t count;
	size_t n;
	unsigned i;

	(void)err;
	if (lm_shape_count(x, &count) < 0 || count == 0)
		return 0;
	j.channels = (size_t)x->dim[1] / j.groups;
	for (i = 2; i < x->rank; i++)
		j.inner *= (size_t)x->dim[i];
	n = j.channels * j.inner;
	lm_pool_each(c->pool, (size_t)count / n, GRAIN / n + 1, groups, &j);
	return 0;
}

static int
check(const struct lm_node *n, struct loom_error *err)
{
	int64_t channels = n->param[CHANNELS].i;

	if (channels % (int64_t)groups_of(n) != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): channels is %lld, expected a multiple of groups %lld", n->name,
		    n->op->name, (long long)channels, (long long)n->param[GROUPS].i);
	return lm_norm_check(n, EPS, err);
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	int64_t channels = s->node->param[CHANNELS].i;

	if (lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < 2 || x->dim[1] != (uint64_t)channels)
		return lm_fail_input(s, 0, err, "[b, %lld, ...], the second channels",
		    (long long)channels);
	s->out[0] = *x;
	return 0;
}

const struct lm_layer_ops lm_layer_groupnorm = {
	.name = "groupnorm",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = (x - mean)/sqrt(variance + eps) gamma + beta, over groups of channels",
	.params = { [CHANNELS] = { "channels", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [EPS] = { "eps", LM_IS_REAL, 0, 0, NULL, 0 },
	    [SCALE] = { "scale", LM_IS_FLAG, 0, 1, NULL, 0 },
	    [OFFSET] = { "offset", LM_IS_FLAG, 0, 1, NULL, 0 },
	    [GROUPS] = { "groups", LM_IS_SIZE, 1, 1 << 24, NULL, 0 } },
	.slots = { [GAMMA] = { "gamma", "n", { CHANNELS }, 1 + SCALE, 0, 0, 0 },
	    [BETA] = { "beta", "n", { CHANNELS }, 1 + OFFSET, 0, 0, 0 } },
	.check = check,
	.shape = shape,
	.forward = forward,
};

const struct lm_layer_ops lm_layer_instancenorm = {
	.name = "instancenorm",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = (x - mean)/sqrt(variance + eps) gamma + beta, over each channel",
	.params = { [CHANNELS] = { "channels", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [EPS] = { "eps", LM_IS_REAL, 0, 0, NULL, 0 },
	    [SCALE] = { "scale", LM_IS_FLAG, 0, 1, NULL, 0 },
	    [OFFSET] = { "offset", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [GAMMA] = { "gamma", "n", { CHANNELS }, 1 + SCALE, 0, 0, 0 },
	    [BETA] = { "beta", "n", { CHANNELS }, 1 + OFFSET, 0, 0, 0 } },
	.check = check,
	.shape = shape,
	.forward = forward,
};
