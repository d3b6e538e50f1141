/*
 * rotary: the rows of the last axis turned by the angles of their positions, as attention's own rotation
 * does it.  Positions count from 0 along the last axis but one, or are given.
 */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <string.h>

#include "num/rope.h"

enum { HEAD_DIM, STYLE, BASE, SCALED };
enum { X, POSITIONS };
enum { FACTORS };
enum { HALF, INTERLEAVED };
enum { FARTHEST = 1 << 24 };	   /* positions that angles are defined for */
enum { GRAIN = 4096, ANGLE = 32 }; /* elements that are worth a thread, that an angle is worth */

static const char *const styles[] = { "half", "interleaved", NULL };

static size_t
head_dim(const struct lm_node *n)
{
	return (size_t)n->param[HEAD_DIM].i;
}

static int
given(const struct lm_node *n)
{
	return n->n_in > POSITIONS && n->in[POSITIONS] != LM_ABSENT;
}

/* ---- parameters and weights ---- */

static int
check(const struct lm_node *n, struct loom_error *err)
{
	double base = n->param[BASE].real;

	if (!(base >= 1 && base <= 1e300))
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (rotary): base is %.17g, expected a number from 1 to 1e300", n->name,
		    base);
	if (n->param[STYLE].i == INTERLEAVED && head_dim(n) % 2 != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (rotary): head_dim is %zu, expected an even one, since interleaved "
		    "takes pairs",
		    n->name, head_dim(n));
	return 0;
}

/* A factor for each frequency. */
static void
slot_shape(const struct lm_node *n, size_t slot, struct lm_shape *s)
{
	(void)slot;
	s->rank = 1;
	s->dim[0] = head_dim(n) / 2;
}

/* The frequencies become what norm points to. */
static int
prepare(struct lm_preparing *p, struct loom_error *err)
{
	size_t d = head_dim(p->node), i;
	double *frequency = lm_arena_alloc(p->arena, d / 2 + 1, sizeof(*frequency), err);
	const lm_f32u *factor;

	if (frequency == NULL || lm_prepare_slots(p, err) < 0)
		return -1;
	lm_rope_frequencies(frequency, d, p->node->param[BASE].real);
	factor = p->slot[FACTORS].f32;
	for (i = 0; factor != NULL && i < d / 2; i++) {
		frequency[i] /= factor[i];
		if (!(factor[i] > 0 && frequency[i] <= 1))
			return lm_fail(err, LOOM_EFORMAT,
			    "node %s (rotary): factor %zu is %g, expected one that makes the "
			    "frequency 1 at the most",
			    p->node->name, i, (double)factor[i]);
	}
	p->slot[FACTORS].norm = frequency;
	return 0;
}

/* ---- shapes ---- */

/* int64 that is broadcast to the axes before the last. */
static int
positions_fit(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *p = &s->in[POSITIONS], *x = &s->in[X];
	unsigned i;

	if (p->dtype != lm_dtype_get(LM_I64))
		return lm_fail_input(s, POSITIONS, err, "int64 positions");
	for (i = 1; i <= p->rank; i++)
		if (i >= x->rank ||
		    (p->dim[p->rank - i] != 1 && p->dim[p->rank - i] != x->dim[x->rank - 1 - i]))
			return lm_fail_input(s, POSITIONS, err,
			    "a shape that broadcasts to the axes of input 0 before its last");
	return 0;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *x = &s->in[X];

	if (lm_want_f32(s, X, err) < 0)
		return -1;
	if (x->rank < 2 || x->dim[x->rank - 1] != head_dim(s->node))
		return lm_fail_input(s, X, err, "[..., s, %zu], the last head_dim",
		    head_dim(s->node));
	if (!given(s->node) && x->dim[x->rank - 2] > FARTHEST)
		return lm_fail_input(s, X, err, "at most %d positions", FARTHEST);
	s->out[0] = *x;
	return given(s->node) ? positions_fit(s, err) : 0;
}

/* ---- the plan ---- */

/* Cosines and sines of one position. */
static int
plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	(void)err;
	*scratch = head_dim(s->node) / 2 * 2 * sizeof(float);
	return 0;
}

static int
keep(const struct lm_shaping *s, size_t positions, size_t *kept, size_t *scratch,
    struct loom_error *err)
{
	if (!given(s->node) && positions > FARTHEST)
		return lm_fail(err, LOOM_EARG,
		    "layer %s (rotary): it goes to %d positions, not to %zu", s->node->name,
		    FARTHEST, positions);
	*kept = 0;
	return plan(s, scratch, err);
}

/* Positions lie where they are counted; those that are given come piece by piece as well. */
static int
pieces(const struct lm_pieces *p)
{
	if (p->varies || p->in_at[X] + 2 != p->in[X].rank || p->out_at[0] != p->in_at[X])
		return 0;
	return !given(p->node) || p->in_at[POSITIONS] + 1 == p->in[POSITIONS].rank;
}

/* ---- the run ---- */

struct turning {
	const struct lm_call *call;
	size_t d, rows, lines; /* elements of a row, rows of a line: its positions */
};

/* Where the position of a row stands among those that are given. */
static size_t
place(const struct turning *t, size_t line, size_t row)
{
	const struct lm_shape *p = t->call->in[POSITIONS].shape, *x = t->call->in[X].shape;
	size_t at = 0, stride = 1, index;
	unsigned i;

	for (i = 1; i <= p->rank; i++) {
		index = row;
		if (i > 1) {
			index = line % (size_t)x->dim[x->rank - 1 - i];
			line /= (size_t)x->dim[x->rank - 1 - i];
		}
		at += p->dim[p->rank - i] > 1 ? index * stride : 0;
		stride *= (size_t)p->dim[p->rank - i];
	}
	return at;
}

static size_t
position(const struct turning *t, size_t line, size_t row)
{
	const int64_t *positions;

	if (!given(t->call->node))
		return t->call->before + row;
	positions = t->call->in[POSITIONS].data;
	return (size_t)positions[place(t, line, row)];
}

/* Rows from..to-1 of all lines: they mostly share their angles. */
static void
turn(void *context, int worker, size_t from, size_t to)
{
	const struct turning *t = context;
	const struct lm_call *c = t->call;
	float *cosine = (float *)c->scratch + (size_t)worker * (t->d / 2 * 2);
	float *sine = cosine + t->d / 2, *y;
	size_t last = SIZE_MAX, line, now;

	for (; from < to; from++)
		for (line = 0; line < t->lines; line++) {
			now = position(t, line, from);
			if (now != last)
				lm_rope_angles(cosine, sine, c->slot[FACTORS].norm, t->d / 2, now);
			last = now;
			y = (float *)c->out[0].data + (line * t->rows + from) * t->d;
			memcpy(y, (const float *)c->in[X].data + (line * t->rows + from) * t->d,
			    t->d * sizeof(*y));
			lm_rope_turn(y, t->d, cosine, sine, c->node->param[STYLE].i == INTERLEAVED);
		}
}

static int
check_positions(const struct lm_call *c, struct loom_error *err)
{
	const int64_t *positions = c->in[POSITIONS].data;
	uint64_t n, i;

	if (lm_shape_count(c->in[POSITIONS].shape, &n) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (positions[i] < 0 || positions[i] >= FARTHEST)
			return lm_fail(err, LOOM_ESHAPE,
			    "layer %s (rotary): position %" PRId64 ", expected 0 to %d",
			    c->node->name, positions[i], FARTHEST - 1);
	return 0;
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[X].shape;
	struct turning t = { c, head_dim(c->node), (size_t)x->dim[x->rank - 2], 1 };
	unsigned i;

	for (i = 0; i + 2 < x->rank; i++)
		t.lines *= (size_t)x->dim[i];
	if (t.rows == 0 || t.lines == 0)
		return 0;
	if (given(c->node) && check_positions(c, err) < 0)
		return -1;
	lm_pool_each(c->pool, t.rows, GRAIN / ((t.lines + ANGLE) * t.d) + 1, turn, &t);
	return 0;
}

const struct lm_layer_ops lm_layer_rotary = {
	.name = "rotary",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 2,
	.out_least = 1,
	.out_most = 1,
	.about =
	    "pairs of a row's elements turned by the angles p base^(-2i/head_dim) / factor_i of "
	    "its position p",
	.params = { [HEAD_DIM] = { "head_dim", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [STYLE] = { "style", LM_IS_ENUM, 0, 1, styles, 0 },
	    [BASE] = { "base", LM_IS_REAL, 0, 0, NULL, 0 },
	    [SCALED] = { "factors", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [FACTORS] = { "factors", "f", { 0 }, 1 + SCALED, 0, 0, 0 } },
	.check = check,
	.slot_shape = slot_shape,
	.shape = shape,
	.prepare = prepare,
	.plan = plan,
	.pieces = pieces,
	.keep = keep,
	.forward = forward,
};
