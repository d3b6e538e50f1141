/* extent: values that the sizes of a run alone decide: arange and size, which have no input. */
#include "layer/layer.h"

/* ---- arange: y[i] = start + i step, as long as it is before stop ---- */

enum { START, STOP, STEP };

static int
check(const struct lm_node *n, struct loom_error *err)
{
	if (n->param[STEP].i == 0)
		return lm_fail(err, LOOM_EFORMAT, "node %s (%s): step is 0, which leads nowhere",
		    n->name, n->op->name);
	return 0;
}

/* ceil((stop - start)/step), or 0 where stop lies the other way. */
static uint64_t
steps(uint64_t start, uint64_t stop, int64_t step)
{
	uint64_t far = step > 0 ? stop - start : start - stop;
	uint64_t each = step > 0 ? (uint64_t)step : -(uint64_t)step;

	if (step > 0 ? stop <= start : start <= stop)
		return 0;
	return far / each + (far % each != 0);
}

static int
arange_shape(const struct lm_shaping *s, struct loom_error *err)
{
	const union lm_value *p = s->node->param;
	struct lm_shape *y = &s->out[0];
	uint64_t start, stop;

	if (lm_dim_eval(p[START].dims.dim, s->sizes, &start, err) < 0 ||
	    lm_dim_eval(p[STOP].dims.dim, s->sizes, &stop, err) < 0)
		return -1;
	y->dtype = lm_dtype_get(LM_I64);
	y->rank = 1;
	y->dim[0] = steps(start, stop, p[STEP].i);
	return 0;
}

static int
arange_forward(const struct lm_call *c, struct loom_error *err)
{
	const union lm_value *p = c->node->param;
	int64_t *y = c->out[0].data;
	uint64_t start, i;

	if (lm_dim_eval(p[START].dims.dim, c->sizes, &start, err) < 0)
		return -1;
	for (i = 0; i < c->out[0].shape->dim[0]; i++)
		y[i] = (int64_t)start + (int64_t)i * p[STEP].i;
	return 0;
}

const struct lm_layer_ops lm_layer_arange = {
	.name = "arange",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.out_least = 1,
	.out_most = 1,
	.about = "y = start, start + step, ... before stop, int64",
	.params = { [START] = { "start", LM_IS_DIMS, 0, INT64_MAX, NULL, 1 },
	    [STOP] = { "stop", LM_IS_DIMS, 0, INT64_MAX, NULL, 1 },
	    [STEP] = { "step", LM_IS_INT, INT64_MIN, INT64_MAX, NULL, 0 } },
	.check = check,
	.shape = arange_shape,
	.forward = arange_forward,
};

/* ---- size: y = an extent, or what an expression makes of extents ---- */

enum { OF };

static int
size_shape(const struct lm_shaping *s, struct loom_error *err)
{
	uint64_t v;

	s->out[0].dtype = lm_dtype_get(LM_I64);
	s->out[0].rank = 0;
	return lm_dim_eval(s->node->param[OF].dims.dim, s->sizes, &v, err);
}

static int
size_forward(const struct lm_call *c, struct loom_error *err)
{
	uint64_t v;

	if (lm_dim_eval(c->node->param[OF].dims.dim, c->sizes, &v, err) < 0)
		return -1;
	*(int64_t *)c->out[0].data = (int64_t)v;
	return 0;
}

const struct lm_layer_ops lm_layer_size = {
	.name = "size",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.out_least = 1,
	.out_most = 1,
	.about = "y = of, a number made of the extents of the inputs, int64",
	.params = { [OF] = { "of", LM_IS_DIMS, 0, INT64_MAX, NULL, 1 } },
	.shape = size_shape,
	.forward = size_forward,
};
