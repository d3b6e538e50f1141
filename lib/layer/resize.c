/*
 * resize: new extents along the last 1 to 3 axes, by the nearest value or by linear weights.  A place
 * of y has an exact rational place in x; only the weight, and what is weighed, is rounded.
 */
#include "layer/layer.h"

#include <inttypes.h>
#include <string.h>

enum { MODE, SIZE, COORDINATES };
enum { NEAREST, LINEAR };
enum { HALF_PIXEL, ASYMMETRIC, ALIGN_CORNERS };
enum { SPATIAL = 3, CORNERS = 1 << (SPATIAL - 1) };
enum { GRAIN = 1 << 13 };	    /* elements that are worth a thread */
#define LONGEST ((uint64_t)1 << 31) /* extents whose places are computed in 64 bits */

static const char *const modes[] = { "nearest", "linear", NULL };
static const char *const coordinates[] = { "half_pixel", "asymmetric", "align_corners", NULL };

/* Where a place of y lies along one axis: from low, t of the way to high. */
struct place {
	size_t low, high;
	double t;
};

static int
check(const struct lm_node *n, struct loom_error *err)
{
	size_t axes = n->param[SIZE].dims.n;

	if (axes < 1 || axes > SPATIAL)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): size has %zu entries, expected 1 to %d", n->name, n->op->name,
		    axes, SPATIAL);
	if (n->param[MODE].i == NEAREST && n->param[COORDINATES].i == ALIGN_CORNERS)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): coordinates is align_corners, which goes with mode linear only",
		    n->name, n->op->name);
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const union lm_value *p = s->node->param;
	const struct lm_shape *x = &s->in[0];
	unsigned axes = (unsigned)p[SIZE].dims.n, i, axis;
	uint64_t to;

	if (p[MODE].i == LINEAR && lm_want_f32(s, 0, err) < 0)
		return -1;
	if (x->rank < axes)
		return lm_fail_input(s, 0, err, "at least %u axes, as size has", axes);
	s->out[0] = *x;
	for (i = 0; i < axes; i++) {
		axis = x->rank - axes + i;
		if (lm_dim_eval(&p[SIZE].dims.dim[i], s->sizes, &to, err) < 0)
			return -1;
		if (x->dim[axis] > LONGEST || to > LONGEST)
			return lm_fail_input(s, 0, err,
			    "at most 2^31 values along axis %u, before and after", axis);
		if (x->dim[axis] == 0 && to > 0)
			return lm_fail_input(s, 0, err, "at least one value along axis %u", axis);
		s->out[0].dim[axis] = to;
	}
	return 0;
}

/* ---- places ---- */

/* num/den is the place of o, den > 0; num may be negative. */
static void
rational(int64_t how, int centred, uint64_t o, uint64_t in, uint64_t out, int64_t *num,
    uint64_t *den)
{
	if (how == ALIGN_CORNERS) {
		*den = out > 1 ? out - 1 : 1;
		*num = out > 1 ? (int64_t)(o * (in - 1)) : 0;
	} else if (how == ASYMMETRIC) {
		*den = out;
		*num = (int64_t)(o * in);
	} else {
		*den = 2 * out;
		*num = (int64_t)((2 * o + 1) * in) - (centred ? (int64_t)out : 0);
	}
}

static struct place
place_of(const struct lm_node *n, uint64_t o, uint64_t in, uint64_t out)
{
	int linear = n->param[MODE].i == LINEAR;
	struct place p = { 0, 0, 0 };
	uint64_t den, low;
	int64_t num;

	rational(n->param[COORDINATES].i, linear, o, in, out, &num, &den);
	low = num < 0 ? 0 : (uint64_t)num / den;
	if (low >= in - 1) {
		p.low = p.high = (size_t)in - 1;
		return p;
	}
	p.low = (size_t)low;
	p.high = p.low + 1;
	if (linear && num > 0)
		p.t = (double)((uint64_t)num % den) / (double)den;
	return p;
}

/* The places of all of y along its resized axes, one axis after another. */
static size_t
places(const struct lm_shape *y, size_t axes)
{
	size_t n = 0, i;

	for (i = 0; i < axes; i++)
		n += (size_t)y->dim[y->rank - axes + i];
	return n;
}

static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	size_t n = places(&s->out[0], s->node->param[SIZE].dims.n);

	if (lm_mul(n, sizeof(struct place), scratch) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for the places of %s", s->node->name);
	return 0;
}

/* ---- lines ---- */

struct job {
	const struct lm_call *call;
	unsigned axes;
	const struct place *place[SPATIAL]; /* the last is that along a line */
	size_t in[SPATIAL], out[SPATIAL];
	size_t size; /* of an element */
};

/* The places of line i along the outer axes; returns which part of x, whole over the axes, it is of. */
static size_t
outer(const struct job *j, size_t i, struct place at[SPATIAL])
{
	unsigned a;

	for (a = j->axes - 1; a-- > 0;) {
		at[a] = j->place[a][i % j->out[a]];
		i /= j->out[a];
	}
	return i;
}

static void
nearest_lines(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	unsigned last = j->axes - 1, a;
	size_t row, o, wide = j->out[last];
	struct place at[SPATIAL];

	(void)worker;
	for (; from < to; from++) {
		unsigned char *y = (unsigned char *)j->call->out[0].data + from * wide * j->size;
		const unsigned char *x = j->call->in[0].data;

		row = outer(j, from, at);
		for (a = 0; a < last; a++)
			row = row * j->in[a] + at[a].low;
		x += row * j->in[last] * j->size;
		for (o = 0; o < wide; o++)
			memcpy(y + o * j->size, x + j->place[last][o].low * j->size, j->size);
	}
}

static double
mix(double a, double b, double t)
{
	return a * (1 - t) + b * t;
}

/* The lines of x that are mixed: the last of the outer axes changes fastest. */
static unsigned
corners(const struct job *j, size_t part, const struct place *at, const float *row[CORNERS])
{
	unsigned n = 1u << (j->axes - 1), k, a, high;
	size_t line;

	for (k = 0; k < n; k++) {
		line = part;
		for (a = 0; a + 1 < j->axes; a++) {
			high = k >> (j->axes - 2 - a) & 1;
			line = line * j->in[a] + (high ? at[a].high : at[a].low);
		}
		row[k] = (const float *)j->call->in[0].data + line * j->in[j->axes - 1];
	}
	return n;
}

static void
linear_lines(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct place *along = j->place[j->axes - 1];
	size_t wide = j->out[j->axes - 1], o;
	const float *row[CORNERS] = { NULL };
	struct place at[SPATIAL];
	double v[CORNERS];
	unsigned n, k, a;

	(void)worker;
	for (; from < to; from++) {
		float *y = (float *)j->call->out[0].data + from * wide;
		size_t part = outer(j, from, at);

		n = corners(j, part, at, row);
		for (o = 0; o < wide; o++) {
			for (k = 0; k < n; k++)
				v[k] = mix(row[k][along[o].low], row[k][along[o].high], along[o].t);
			for (a = j->axes - 1; a-- > 0;)
				for (k = 0; k < 1u << a; k++)
					v[k] = mix(v[2 * k], v[2 * k + 1], at[a].t);
			y[o] = (float)v[0];
		}
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape, *y = c->out[0].shape;
	struct job j = { .call = c,
		.axes = (unsigned)c->node->param[SIZE].dims.n,
		.size = x->dtype->bits / 8 };
	struct place *next = c->scratch;
	uint64_t count;
	unsigned a;
	size_t o;

	(void)err;
	if (lm_shape_count(y, &count) < 0 || count == 0)
		return 0;
	for (a = 0; a < j.axes; a++) {
		j.in[a] = (size_t)x->dim[x->rank - j.axes + a];
		j.out[a] = (size_t)y->dim[y->rank - j.axes + a];
		j.place[a] = next;
		for (o = 0; o < j.out[a]; o++)
			*next++ = place_of(c->node, o, j.in[a], j.out[a]);
	}
	o = j.out[j.axes - 1];
	lm_pool_each(c->pool, (size_t)count / o, GRAIN / o + 1,
	    c->node->param[MODE].i == LINEAR ? linear_lines : nearest_lines, &j);
	return 0;
}

const struct lm_layer_ops lm_layer_resize = {
	.name = "resize",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x resampled to the extents size along its last axes",
	.params = { [MODE] = { "mode", LM_IS_ENUM, 0, 1, modes, 0 },
	    [SIZE] = { "size", LM_IS_DIMS, 0, INT64_MAX, NULL, 0 },
	    [COORDINATES] = { "coordinates", LM_IS_ENUM, 0, 2, coordinates, 0 } },
	.check = check,
	.shape = shape,
	.plan = plan,
	.forward = forward,
};
