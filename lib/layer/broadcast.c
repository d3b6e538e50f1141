/* broadcast: operands that meet as NumPy's do. */
#include "layer/broadcast.h"

enum { GRAIN = 4096 }; /* results that are worth a thread */

/* The extent of a value along an axis of a result that has at least as many. */
static uint64_t
extent(const struct lm_shape *s, unsigned rank, unsigned axis)
{
	unsigned missing = rank - s->rank;

	return axis < missing ? 1 : s->dim[axis - missing];
}

/* What two shapes make; -1 when they do not meet. */
static int
meet(const struct lm_shape *x, const struct lm_shape *y, struct lm_shape *out)
{
	struct lm_shape z = x->rank >= y->rank ? *x : *y;
	uint64_t a, b;
	unsigned i;

	for (i = 0; i < z.rank; i++) {
		a = extent(x, z.rank, i);
		b = extent(y, z.rank, i);
		if (a != b && a != 1 && b != 1)
			return -1;
		z.dim[i] = a != 1 ? a : b;
	}
	*out = z;
	return 0;
}

int
lm_broadcast_shape(const struct lm_shaping *s, struct lm_shape *out, struct loom_error *err)
{
	const struct lm_dtype *dtype = out->dtype;
	struct lm_shape z = s->in[0];
	char other[LM_SHAPE_TEXT];
	size_t i;

	for (i = 1; i < s->node->n_in; i++) {
		z.dtype = s->in[i].dtype;
		if (meet(&z, &s->in[i], &z) < 0)
			return lm_fail_input(s, i, err, "a shape that broadcasts with %s",
			    lm_shape_text(other, &z));
	}
	*out = z;
	out->dtype = dtype;
	return 0;
}

/* Each worker keeps the first result that it missed. */
int
lm_broadcast_plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	(void)s;
	(void)err;
	*scratch = sizeof(size_t);
	return 0;
}

struct job {
	const struct lm_call *call;
	lm_line_fn *line;
	struct lm_walk walk;
	size_t *missed; /* one per worker; SIZE_MAX: none */
};

/* Elements between neighbours along each axis of the result; 0 where an operand is spread. */
static void
set_walk(const struct lm_call *c, struct lm_walk *w)
{
	const struct lm_shape *out = c->out[0].shape, *in;
	size_t step[LOOM_RANK][LM_WALKED], next[LM_WALKED] = { 1, 1, 1 };
	uint64_t n;
	unsigned axis, k;

	w->operands = (unsigned)c->node->n_in;
	for (axis = out->rank; axis-- > 0;)
		for (k = 0; k < w->operands; k++) {
			in = c->in[k].shape;
			n = extent(in, out->rank, axis);
			step[axis][k] = n != 1 ? next[k] : 0;
			next[k] *= (size_t)n;
		}
	for (axis = 0; axis < out->rank; axis++)
		lm_walk_axis(w, (size_t)out->dim[axis], step[axis]);
}

/* Results from..to-1, in pieces of lines along the fastest axis. */
static void
part(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_array *in = j->call->in, *out = &j->call->out[0];
	size_t step[LM_WALKED] = { 0 }, wide = lm_walk_wide(&j->walk), at, n, good;
	const void *x[LM_WALKED] = { NULL };
	unsigned k;

	for (k = 0; k < j->walk.operands; k++)
		step[k] = lm_walk_step(&j->walk, k);
	for (at = from; at < to; at += n) {
		n = wide - at % wide < to - at ? wide - at % wide : to - at;
		for (k = 0; k < j->walk.operands; k++)
			x[k] = (const char *)in[k].data +
			    lm_walk_place(&j->walk, k, at) * (in[k].shape->dtype->bits / 8);
		good = j->line((char *)out->data + at * (out->shape->dtype->bits / 8), x, step, n);
		if (good < n && at + good < j->missed[worker])
			j->missed[worker] = at + good;
	}
}

int
lm_broadcast(const struct lm_call *c, lm_line_fn *line, size_t place[LM_WALKED])
{
	struct job j = { .call = c, .line = line, .missed = c->scratch };
	size_t missed = SIZE_MAX;
	uint64_t count;
	unsigned k;
	int w;

	if (lm_shape_count(c->out[0].shape, &count) < 0 || count == 0)
		return 0;
	set_walk(c, &j.walk);
	for (w = 0; w < lm_pool_jobs(c->pool); w++)
		j.missed[w] = SIZE_MAX;
	lm_pool_each(c->pool, (size_t)count, GRAIN, part, &j);
	for (w = 0; w < lm_pool_jobs(c->pool); w++)
		missed = j.missed[w] < missed ? j.missed[w] : missed;
	for (k = 0; k < j.walk.operands && missed != SIZE_MAX; k++)
		place[k] = lm_walk_place(&j.walk, k, missed);
	return missed != SIZE_MAX ? -1 : 0;
}
