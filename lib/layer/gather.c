/* gather: y[i..., j..., k...] = x[i..., indices[j...], k...], as NumPy's take along one axis. */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <string.h>

enum { DATA, INDICES };
enum { AXIS };
enum { GRAIN = 1 << 16 }; /* bytes that are worth a thread */

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[DATA], *at = &s->in[INDICES];
	struct lm_shape *y = &s->out[0];
	unsigned axis, i;

	if (lm_axis(s, DATA, s->node->param[AXIS].i, &axis, err) < 0)
		return -1;
	if (at->dtype != lm_dtype_get(LM_I64))
		return lm_fail_input(s, INDICES, err, "int64");
	if (x->rank - 1 + at->rank > LOOM_RANK)
		return lm_fail_input(s, INDICES, err, "at most %u axes", LOOM_RANK + 1 - x->rank);
	y->dtype = x->dtype;
	y->rank = x->rank - 1 + at->rank;
	for (i = 0; i < axis; i++)
		y->dim[i] = x->dim[i];
	for (i = 0; i < at->rank; i++)
		y->dim[axis + i] = at->dim[i];
	for (i = axis + 1; i < x->rank; i++)
		y->dim[i - 1 + at->rank] = x->dim[i];
	return 0;
}

struct job {
	const struct lm_call *call;
	const int64_t *index;
	size_t count, extent; /* indices; values along the axis */
	size_t bytes;	      /* that one index brings */
};

/* Block i of y. */
static void
blocks(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const char *x = j->call->in[DATA].data;
	char *y = j->call->out[0].data;
	size_t i, at;

	(void)worker;
	for (i = from; i < to; i++) {
		at = i / j->count * j->extent + (size_t)j->index[i % j->count];
		memcpy(y + i * j->bytes, x + at * j->bytes, j->bytes);
	}
}

/* The first index that is none is named, whatever the threads. */
static int
check_indices(const struct job *j, struct loom_error *err)
{
	const struct lm_node *n = j->call->node;
	size_t i;

	for (i = 0; i < j->count; i++)
		if (j->index[i] < 0 || (uint64_t)j->index[i] >= j->extent)
			return lm_fail(err, LOOM_ESHAPE,
			    "layer %s (%s): index %zu is %" PRId64 ", the axis has %zu values",
			    n->name, n->op->name, i, j->index[i], j->extent);
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[DATA].shape;
	struct job j = { .call = c, .index = c->in[INDICES].data };
	int64_t axis = c->node->param[AXIS].i;
	size_t outer = 1;
	uint64_t count;
	unsigned i, a = (unsigned)(axis < 0 ? axis + x->rank : axis);

	if (lm_shape_count(c->in[INDICES].shape, &count) < 0 || count == 0)
		return 0;
	j.count = (size_t)count;
	j.extent = (size_t)x->dim[a];
	j.bytes = x->dtype->bits / 8;
	for (i = 0; i < a; i++)
		outer *= (size_t)x->dim[i];
	for (i = a + 1; i < x->rank; i++)
		j.bytes *= (size_t)x->dim[i];
	if (check_indices(&j, err) < 0)
		return -1;
	if (j.bytes > 0)
		lm_pool_each(c->pool, outer * j.count, GRAIN / j.bytes + 1, blocks, &j);
	return 0;
}

/* Positions lie along another axis of x, or in the indices. */
static int
pieces(const struct lm_pieces *p)
{
	int64_t axis = p->node->param[AXIS].i;

	if (axis < 0)
		axis += (int64_t)p->in[0].rank;
	if (p->in_at[0] != LM_NOWHERE && p->in_at[1] != LM_NOWHERE)
		return 0;
	return !p->varies && (int64_t)p->in_at[0] != axis;
}

const struct lm_layer_ops lm_layer_gather = {
	.name = "gather",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 2,
	.in_most = 2,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x taken along axis at indices, int64 from 0 to its extent - 1",
	.params = { [AXIS] = { "axis", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 } },
	.shape = shape,
	.pieces = pieces,
	.forward = forward,
};
