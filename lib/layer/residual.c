/* residual: y = x + skip, or x where no skip is given. */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <string.h>

enum { X, SKIP };
enum { GRAIN = 4096 };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	char other[LM_SHAPE_TEXT];

	if (lm_want_f32(s, X, err) < 0)
		return -1;
	s->out[0] = s->in[X];
	if (s->node->n_in <= SKIP || s->node->in[SKIP] == LM_ABSENT)
		return 0;
	if (lm_want_f32(s, SKIP, err) < 0)
		return -1;
	if (!lm_shape_same(&s->in[X], &s->in[SKIP]))
		return lm_fail_input(s, SKIP, err, "the shape of input 0, %s",
		    lm_shape_text(other, &s->in[X]));
	return 0;
}

static void
part(void *context, int worker, size_t from, size_t to)
{
	const struct lm_call *c = context;
	const float *x = c->in[X].data, *skip = c->in[SKIP].data;
	float *y = c->out[0].data;
	size_t i;

	(void)worker;
	for (i = from; i < to; i++)
		y[i] = x[i] + skip[i];
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	struct lm_call call = *c;
	uint64_t n;

	(void)err;
	if (lm_shape_count(c->out[0].shape, &n) < 0 || n == 0)
		return 0;
	if (c->node->n_in > SKIP && c->node->in[SKIP] != LM_ABSENT)
		lm_pool_each(c->pool, (size_t)n, GRAIN, part, &call);
	else
		memcpy(c->out[0].data, c->in[X].data, (size_t)n * sizeof(float));
	return 0;
}

const struct lm_layer_ops lm_layer_residual = {
	.name = "residual",
	.cell = 18,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 2,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x + skip, or x where no skip is given",
	.shape = shape,
	.pieces = lm_pieces_each,
	.forward = forward,
};
