/* gather_elements: along one axis, each value from the place that the index in its place says. */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <string.h>

enum { DATA, INDICES };
enum { AXIS };
enum { GRAIN = 1 << 13 }; /* elements that are worth a thread */

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[DATA], *at = &s->in[INDICES];
	char text[LM_SHAPE_TEXT];
	unsigned axis, i;
	int same = at->rank == x->rank;

	if (lm_axis(s, DATA, s->node->param[AXIS].i, &axis, err) < 0)
		return -1;
	if (at->dtype != lm_dtype_get(LM_I64))
		return lm_fail_input(s, INDICES, err, "int64");
	for (i = 0; same && i < x->rank; i++)
		same = i == axis || at->dim[i] == x->dim[i];
	if (!same)
		return lm_fail_input(s, INDICES, err, "the extents of %s but for axis %u",
		    lm_shape_text(text, x), axis);
	s->out[0] = *at;
	s->out[0].dtype = x->dtype;
	return 0;
}

struct job {
	const struct lm_call *call;
	const int64_t *index;
	size_t count;	       /* indices */
	size_t inner;	       /* values from one place along the axis to the next */
	size_t places, extent; /* along the axis, of the indices and of the data */
	size_t size;	       /* of a value */
};

/* Row i: the values of one place along the axis. */
static void
rows(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const char *x = j->call->in[DATA].data;
	char *y = j->call->out[0].data;
	size_t i, k, at;

	(void)worker;
	for (; from < to; from++)
		for (k = 0; k < j->inner; k++) {
			i = from * j->inner + k;
			at = (from / j->places * j->extent + (size_t)j->index[i]) * j->inner + k;
			memcpy(y + i * j->size, x + at * j->size, j->size);
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
	const struct lm_shape *x = c->in[DATA].shape, *at = c->in[INDICES].shape;
	struct job j = { .call = c,
		.index = c->in[INDICES].data,
		.inner = 1,
		.size = x->dtype->bits / 8 };
	int64_t axis = c->node->param[AXIS].i;
	unsigned a = (unsigned)(axis < 0 ? axis + x->rank : axis), i;
	uint64_t count;

	if (lm_shape_count(at, &count) < 0 || count == 0)
		return 0;
	j.count = (size_t)count;
	j.extent = (size_t)x->dim[a];
	j.places = (size_t)at->dim[a];
	for (i = a + 1; i < x->rank; i++)
		j.inner *= (size_t)x->dim[i];
	if (check_indices(&j, err) < 0)
		return -1;
	lm_pool_each(c->pool, j.count / j.inner, GRAIN / j.inner + 1, rows, &j);
	return 0;
}

const struct lm_layer_ops lm_layer_gather_elements = {
	.name = "gather_elements",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 2,
	.in_most = 2,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x with each place along axis from indices, int64 from 0 to its extent - 1",
	.params = { [AXIS] = { "axis", LM_IS_INT, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 } },
	.shape = shape,
	.pieces = lm_pieces_axis,
	.forward = forward,
};
