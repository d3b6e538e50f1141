/* strided: copies whose source advances by a fixed step along each axis of the result. */
#include "layer/strided.h"

#include <string.h>

enum { GRAIN = 1 << 14 }; /* elements that are worth a thread */

void
lm_strides(const struct lm_shape *s, size_t stride[LOOM_RANK])
{
	size_t step = 1;
	unsigned i;

	for (i = s->rank; i-- > 0; step *= (size_t)s->dim[i])
		stride[i] = step;
}

struct job {
	const struct lm_call *call;
	const struct lm_strided *strided;
	size_t wide; /* elements of y along its last axis */
};

/* n elements of a size; one loop per size, so that each is a move of its own. */
static void
line(unsigned char *y, const unsigned char *x, size_t step, size_t size, size_t n)
{
	size_t i;

	if (step == 1)
		memcpy(y, x, n * size);
	else if (size == 4)
		for (i = 0; i < n; i++)
			memcpy(y + i * 4, x + i * step * 4, 4);
	else if (size == 8)
		for (i = 0; i < n; i++)
			memcpy(y + i * 8, x + i * step * 8, 8);
	else
		for (i = 0; i < n; i++)
			memcpy(y + i * size, x + i * step * size, size);
}

static void
lines(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_array *y = &j->call->out[0], *x = &j->call->in[0];
	size_t size = y->shape->dtype->bits / 8, i, left, at;
	const size_t *step = j->strided->step;
	unsigned axis, rank = y->shape->rank;

	(void)worker;
	for (i = from; i < to; i++) {
		at = j->strided->first;
		left = i;
		for (axis = rank > 0 ? rank - 1 : 0; axis-- > 0;) {
			at += left % (size_t)y->shape->dim[axis] * step[axis];
			left /= (size_t)y->shape->dim[axis];
		}
		line((unsigned char *)y->data + i * j->wide * size,
		    (const unsigned char *)x->data + at * size, rank > 0 ? step[rank - 1] : 1, size,
		    j->wide);
	}
}

void
lm_strided_copy(const struct lm_call *c, const struct lm_strided *strided)
{
	const struct lm_shape *y = c->out[0].shape;
	struct job j = { c, strided, 1 };
	uint64_t count;

	if (lm_shape_count(y, &count) < 0 || count == 0)
		return;
	if (y->rank > 0)
		j.wide = (size_t)y->dim[y->rank - 1];
	lm_pool_each(c->pool, (size_t)count / j.wide, GRAIN / j.wide + 1, lines, &j);
}
