/* prelu: y = x < 0 ? slope x : x, where slope broadcasts to the shape of x as NumPy's arrays do. */
#include "layer/layer.h"
#include "layer/pieces.h"

#include "layer/strided.h"
#include "layer/walk.h"
#include "num/func.h"

enum { SHAPE };
enum { SLOPE };
enum { GRAIN = 4096 };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	struct lm_shape slope;
	char other[LM_SHAPE_TEXT];
	unsigned i, missing;

	if (lm_want_f32(s, 0, err) < 0 || lm_slot_shape(s->node, SLOPE, &slope, err) < 0)
		return -1;
	slope.dtype = lm_dtype_get(LM_F32);
	s->out[0] = *x;
	missing = x->rank - slope.rank;
	for (i = 0; i < slope.rank; i++)
		if (slope.rank > x->rank ||
		    (slope.dim[i] != 1 && slope.dim[i] != x->dim[missing + i]))
			return lm_fail_input(s, 0, err,
			    "a shape to which the slope, %s, broadcasts",
			    lm_shape_text(other, &slope));
	return 0;
}

struct job {
	const struct lm_call *call;
	struct lm_walk walk; /* over x, which lies in one piece, to where slope lies */
};

/* Values from..to-1, in pieces of lines along the fastest axis. */
static void
part(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const lm_f32u *slope = j->call->slot[SLOPE].f32;
	const float *x = j->call->in[0].data;
	float *y = j->call->out[0].data;
	size_t wide = lm_walk_wide(&j->walk), step = lm_walk_step(&j->walk, 0), at, i, n, place;

	(void)worker;
	for (at = from; at < to; at += n) {
		n = wide - at % wide < to - at ? wide - at % wide : to - at;
		place = lm_walk_place(&j->walk, 0, at);
		for (i = 0; i < n; i++)
			y[at + i] = lm_leaky_relu(x[at + i], slope[place + i * step]);
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape;
	struct job j = { .call = c, .walk.operands = 1 };
	size_t dense[LOOM_RANK], step[LM_WALKED] = { 0 };
	struct lm_shape slope;
	uint64_t count;
	unsigned i, missing;

	if (lm_slot_shape(c->node, SLOPE, &slope, err) < 0)
		return -1;
	if (lm_shape_count(x, &count) < 0 || count == 0)
		return 0;
	lm_strides(&slope, dense);
	missing = x->rank - slope.rank;
	for (i = 0; i < x->rank; i++) {
		step[0] = i < missing || slope.dim[i - missing] == 1 ? 0 : dense[i - missing];
		lm_walk_axis(&j.walk, (size_t)x->dim[i], step);
	}
	lm_pool_each(c->pool, (size_t)count, GRAIN, part, &j);
	return 0;
}

const struct lm_layer_ops lm_layer_prelu = {
	.name = "prelu",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x < 0 ? slope x : x, slope broadcasting to x",
	.params = { [SHAPE] = { "shape", LM_IS_INTS, 0, INT64_MAX, NULL, 0 } },
	.slots = { [SLOPE] = { "slope", "", { 0 }, 0, 1 + SHAPE, 0, 0 } },
	.shape = shape,
	.pieces = lm_pieces_each,
	.forward = forward,
};
