/* pad: places before and after x along each of axes: a value, or x mirrored, held or repeated. */
#include "layer/axes.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { AXES, LOW, HIGH, MODE, VALUE };
enum { CONSTANT, REFLECT, REPLICATE, CIRCULAR };
enum { GRAIN = 1 << 14 }; /* elements that are worth a thread */
#define OUTSIDE SIZE_MAX

static const char *const modes[] = { "constant", "reflect", "replicate", "circular", NULL };

/* Places before and after along each axis of x. */
struct widths {
	uint64_t low[LOOM_RANK], high[LOOM_RANK];
};

static int
check(const struct lm_node *n, struct loom_error *err)
{
	return lm_axes_lists(n, AXES, LOW, HIGH, err);
}

static int
read_widths(const struct lm_shaping *s, struct widths *w, struct loom_error *err)
{
	const union lm_value *p = s->node->param;
	unsigned axis, seen = 0;
	size_t k;

	memset(w, 0, sizeof(*w));
	for (k = 0; k < p[AXES].dims.n; k++)
		if (lm_axes_next(s, &p[AXES].dims, k, &axis, &seen, err) < 0 ||
		    lm_dim_eval(&p[LOW].dims.dim[k], s->sizes, &w->low[axis], err) < 0 ||
		    lm_dim_eval(&p[HIGH].dims.dim[k], s->sizes, &w->high[axis], err) < 0)
			return -1;
	return 0;
}

/* Is there a value of x for each place?  Reflected, x's edge is no source. */
static int
sources_fit(const struct lm_shaping *s, unsigned axis, uint64_t low, uint64_t high,
    struct loom_error *err)
{
	int64_t mode = s->node->param[MODE].i;
	uint64_t most = low > high ? low : high, least = most;

	if (mode == REFLECT)
		least = most + 1;
	if (mode == REPLICATE)
		least = 1;
	if (mode != CONSTANT && most > 0 && s->in[0].dim[axis] < least)
		return lm_fail_input(s, 0, err,
		    "%" PRIu64 " or more along axis %u, since mode is %s", least, axis,
		    modes[mode]);
	return 0;
}

/* Is value one of the input's dtype? */
static int
value_fits(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_dtype *dtype = s->in[0].dtype;
	double v = s->node->param[VALUE].real;

	if (dtype == lm_dtype_get(LM_I64) && !(v == floor(v) && v >= -0x1p63 && v < 0x1p63))
		return lm_fail_input(s, 0, err, "float32, since value is %.17g", v);
	if (dtype == lm_dtype_get(LM_BOOL) && v != 0 && v != 1)
		return lm_fail_input(s, 0, err, "no bool, since value is %.17g", v);
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[0];
	struct widths w;
	unsigned i;

	if (read_widths(s, &w, err) < 0)
		return -1;
	if (s->node->param[MODE].i == CONSTANT && value_fits(s, err) < 0)
		return -1;
	s->out[0] = *x;
	for (i = 0; i < x->rank; i++) {
		if (w.low[i] > INT64_MAX - w.high[i] ||
		    x->dim[i] > INT64_MAX - w.high[i] - w.low[i])
			return lm_fail_input(s, 0, err, "less than 2^63 values along axis %u", i);
		if (sources_fit(s, i, w.low[i], w.high[i], err) < 0)
			return -1;
		s->out[0].dim[i] += w.low[i] + w.high[i];
	}
	return 0;
}

struct job {
	const struct lm_call *call;
	struct widths widths;
	int64_t mode;
	size_t size;		 /* of an element */
	size_t wide, from;	 /* elements of y and x along the last axis */
	unsigned char value[16]; /* the first size bytes of it */
};

/* The place along an axis of n values that place o of y shows. */
static size_t
source(const struct job *j, size_t o, size_t low, size_t n)
{
	if (o >= low && o - low < n)
		return o - low;
	if (j->mode == CONSTANT)
		return OUTSIDE;
	if (j->mode == REPLICATE)
		return o < low ? 0 : n - 1;
	if (j->mode == CIRCULAR)
		return o < low ? n - (low - o) : o - low - n;
	return o < low ? low - o : n - 2 - (o - low - n);
}

static void
fill(const struct job *j, unsigned char *y, size_t n)
{
	size_t all = n * j->size, done = j->size, more;

	if (n == 0)
		return;
	memcpy(y, j->value, j->size);
	for (; done < all; done += more) {
		more = done < all - done ? done : all - done;
		memcpy(y + done, y, more);
	}
}

/* Places from..to-1 of a line that lie beside the values of x. */
static void
beside(const struct job *j, unsigned char *y, const unsigned char *x, size_t low, size_t from,
    size_t to)
{
	size_t o;

	if (j->mode == CONSTANT)
		fill(j, y + from * j->size, to - from);
	else
		for (o = from; o < to; o++)
			memcpy(y + o * j->size, x + source(j, o, low, j->from) * j->size, j->size);
}

static void
lines(void *context, int worker, size_t from, size_t to)
{
	const struct job *j = context;
	const struct lm_shape *y = j->call->out[0].shape, *x = j->call->in[0].shape;
	unsigned axis, last = x->rank > 0 ? x->rank - 1 : 0;
	size_t low = (size_t)j->widths.low[last], stride, left, at, place, i;

	(void)worker;
	for (i = from; i < to; i++) {
		unsigned char *line = (unsigned char *)j->call->out[0].data + i * j->wide * j->size;
		const unsigned char *of = j->call->in[0].data;

		stride = j->from;
		left = i;
		for (axis = last, at = 0; axis-- > 0 && at != OUTSIDE;) {
			place = source(j, left % (size_t)y->dim[axis], (size_t)j->widths.low[axis],
			    (size_t)x->dim[axis]);
			at = place == OUTSIDE ? OUTSIDE : at + place * stride;
			left /= (size_t)y->dim[axis];
			stride *= (size_t)x->dim[axis];
		}
		if (at == OUTSIDE) {
			fill(j, line, j->wide);
			continue;
		}
		of += at * j->size;
		beside(j, line, of, low, 0, low);
		if (j->from > 0)
			memcpy(line + low * j->size, of, j->from * j->size);
		beside(j, line, of, low, low + j->from, j->wide);
	}
}

/* The bytes of value in the input's dtype. */
static void
value_bytes(struct job *j, const struct lm_dtype *dtype, double value)
{
	float real = (float)value;
	int64_t whole;

	if (j->mode != CONSTANT)
		return;
	if (dtype == lm_dtype_get(LM_F32)) {
		memcpy(j->value, &real, sizeof(real));
	} else if (dtype == lm_dtype_get(LM_I64)) {
		whole = (int64_t)value;
		memcpy(j->value, &whole, sizeof(whole));
	} else {
		j->value[0] = value != 0;
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[0].shape, *y = c->out[0].shape;
	struct lm_shaping s = { c->node, x, NULL, c->sizes };
	struct job j = { .call = c,
		.mode = c->node->param[MODE].i,
		.size = x->dtype->bits / 8,
		.wide = 1,
		.from = 1 };
	uint64_t count;

	if (read_widths(&s, &j.widths, err) < 0)
		return -1;
	if (lm_shape_count(y, &count) < 0 || count == 0)
		return 0;
	if (x->rank > 0) {
		j.wide = (size_t)y->dim[x->rank - 1];
		j.from = (size_t)x->dim[x->rank - 1];
	}
	value_bytes(&j, x->dtype, c->node->param[VALUE].real);
	lm_pool_each(c->pool, (size_t)count / j.wide, GRAIN / j.wide + 1, lines, &j);
	return 0;
}

const struct lm_layer_ops lm_layer_pad = {
	.name = "pad",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y = x with low places before and high ones after it along each of axes",
	.params = { [AXES] = { "axes", LM_IS_INTS, -LOOM_RANK, LOOM_RANK - 1, NULL, 0 },
	    [LOW] = { "low", LM_IS_DIMS, 0, INT64_MAX, NULL, 0 },
	    [HIGH] = { "high", LM_IS_DIMS, 0, INT64_MAX, NULL, 0 },
	    [MODE] = { "mode", LM_IS_ENUM, 0, 3, modes, 0 },
	    [VALUE] = { "value", LM_IS_REAL, 0, 0, NULL, 0 } },
	.check = check,
	.shape = shape,
	.pieces = lm_pieces_axes,
	.forward = forward,
};
