/* onnx_blocks: what attention, rotary and swiglu are made of, as ONNX nodes. */
#include "onnx/onnx_blocks.h"

#include <string.h>

const char *
lm_onnx_word(struct lm_onnx_writing *w, const char *what, const char *piece, struct loom_error *err)
{
	size_t size = strlen(what) + strlen(piece) + 2;
	char *text = lm_arena_alloc(w->arena, size, 1, err);

	if (text == NULL)
		return piece;
	(void)snprintf(text, size, "%s.%s", what, piece);
	return text;
}

/* ---- nodes ---- */

const char *
lm_onnx_made_with(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const char *op, size_t n_in, const char *const *in, const char *attribute, int64_t v,
    struct loom_error *err)
{
	struct lm_onnx_node *made = lm_onnx_step(w, n, what, op, n_in, in, err);

	if (made == NULL || lm_onnx_add_int(w->to, made, attribute, v, err) < 0)
		return NULL;
	return made->out[0];
}

const char *
lm_onnx_transposed(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const char *x, const int64_t *perm, size_t count, struct loom_error *err)
{
	struct lm_onnx_node *made = lm_onnx_step(w, n, what, "Transpose", 1, &x, err);

	if (made == NULL || lm_onnx_add_ints(w->to, made, "perm", perm, count, err) < 0)
		return NULL;
	return made->out[0];
}

const char *
lm_onnx_measured(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const char *x, int64_t from, int64_t to, struct loom_error *err)
{
	struct lm_onnx_node *made = lm_onnx_step(w, n, what, "Shape", 1, &x, err);

	if (made == NULL || lm_onnx_add_int(w->to, made, "start", from, err) < 0 ||
	    (to != 0 && lm_onnx_add_int(w->to, made, "end", to, err) < 0))
		return NULL;
	return made->out[0];
}

const char *
lm_onnx_recut(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *x,
    unsigned kept, const int64_t *then, size_t count, struct loom_error *err)
{
	int64_t list[LM_ONNX_RANK] = { 0 };
	const char *in[2] = { x, NULL };
	const struct lm_onnx_node *last;

	if (kept + count > LM_ONNX_RANK) {
		(void)lm_fail(err, LOOM_EUNSUPPORTED, "node %s (%s): onnx takes at most %d axes",
		    n->name, n->op->name, LM_ONNX_RANK);
		return NULL;
	}
	memcpy(list + kept, then, count * sizeof(*then));
	in[1] = lm_onnx_list(w, n, lm_onnx_word(w, what != NULL ? what : "out", "shape", err), list,
	    kept + count, err);
	if (what != NULL)
		return lm_onnx_made(w, n, what, "Reshape", 2, in, err);
	last = lm_onnx_last(w, n, "Reshape", 2, in, err);
	return last != NULL ? last->out[0] : NULL;
}

const char *
lm_onnx_count(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *x,
    int64_t axis, struct loom_error *err)
{
	const char *in[3] = { NULL, NULL, NULL }, *list;

	list = lm_onnx_measured(w, n, lm_onnx_word(w, what, "extent", err), x, axis, axis + 1, err);
	if (list == NULL)
		return NULL;
	in[1] = lm_onnx_made(w, n, lm_onnx_word(w, what, "stop", err), "Squeeze", 1, &list, err);
	in[0] = lm_onnx_whole(w, n, lm_onnx_word(w, what, "start", err), 0, err);
	in[2] = lm_onnx_whole(w, n, lm_onnx_word(w, what, "step", err), 1, err);
	return lm_onnx_made(w, n, what, "Range", 3, in, err);
}

/* Of that many numbers; rank 0 or 1. */
static const char *
doubles(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, unsigned rank,
    uint64_t count, const double *v, struct loom_error *err)
{
	const char *name = lm_onnx_inner(w, n, what, err);

	if (name == NULL ||
	    lm_onnx_add_initializer(w->to, name, LM_ONNX_DOUBLE, rank, &count, v, NULL, err) < 0)
		return NULL;
	return name;
}

const char *
lm_onnx_double(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, double v,
    struct loom_error *err)
{
	return doubles(w, n, what, 0, 1, &v, err);
}

/* ---- projections ---- */

static const char *
matrix(struct lm_onnx_writing *w, const struct lm_node *n, size_t slot, struct loom_error *err)
{
	static const unsigned swap[] = { 1, 0 };
	struct lm_outgoing *t = lm_arena_alloc(w->arena, 1, sizeof(*t), err);
	uint64_t rows;

	if (t == NULL || lm_outgoing_slot(t, w->arena, n->op->slots[slot].name, n, slot, err) < 0)
		return NULL;
	rows = t->shape[0];
	t->shape[0] = t->shape[1];
	t->shape[1] = rows;
	lm_view_transpose(&t->strands[0].order, swap);
	return lm_onnx_weight(w, n, n->weight[slot].source, t, err);
}

/* On the way, or the last one. */
static const char *
two_sided(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *op,
    const char *x, const char *y, struct loom_error *err)
{
	const char *in[2] = { x, y };
	const struct lm_onnx_node *made = what != NULL ? lm_onnx_step(w, n, what, op, 2, in, err)
						       : lm_onnx_last(w, n, op, 2, in, err);

	return made != NULL ? made->out[0] : NULL;
}

const char *
lm_onnx_project(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *x,
    size_t slot, size_t bias, struct loom_error *err)
{
	const char *product = what, *weight = matrix(w, n, slot, err);

	if (!lm_slot_wanted(n, bias))
		return two_sided(w, n, what, "MatMul", x, weight, err);
	product = lm_onnx_word(w, what != NULL ? what : "out", "product", err);
	product = two_sided(w, n, product, "MatMul", x, weight, err);
	return two_sided(w, n, what, "Add", product, lm_onnx_slot(w, n, bias, err), err);
}

/* ---- rotary positions ---- */

/* base^(-2i/d), divided by factors. */
static const char *
frequencies(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const struct lm_onnx_rope *r, struct loom_error *err)
{
	size_t pairs = (size_t)r->d / 2, i;
	double *power = lm_arena_alloc(w->arena, pairs + 1, sizeof(*power), err);
	const char *in[2] = { NULL, NULL }, *f;

	if (power == NULL)
		return NULL;
	for (i = 0; i < pairs; i++)
		power[i] = -((double)(2 * i) / (double)r->d);
	in[0] = lm_onnx_double(w, n, lm_onnx_word(w, what, "base", err), r->base, err);
	in[1] = doubles(w, n, lm_onnx_word(w, what, "powers", err), 1, pairs, power, err);
	f = lm_onnx_made(w, n, lm_onnx_word(w, what, "frequencies", err), "Pow", 2, in, err);
	if (r->factors == NULL)
		return f;
	in[0] = f;
	in[1] = lm_onnx_made_with(w, n, lm_onnx_word(w, what, "factors", err), "Cast", 1,
	    &r->factors, "to", LM_ONNX_DOUBLE, err);
	return lm_onnx_made(w, n, lm_onnx_word(w, what, "scaled", err), "Div", 2, in, err);
}

/* The operator wants a table for each sample. */
static const char *
for_each_sample(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const char *table, const char *batch, struct loom_error *err)
{
	static const int64_t ones[] = { 1, 1 };
	const char *in[2];

	in[0] = lm_onnx_measured(w, n, lm_onnx_word(w, what, "batch", err), batch, 0, 1, err);
	in[1] = lm_onnx_list(w, n, lm_onnx_word(w, what, "ones", err), ones, 2, err);
	in[1] = lm_onnx_made_with(w, n, lm_onnx_word(w, what, "shape", err), "Concat", 2, in,
	    "axis", 0, err);
	in[0] = table;
	return lm_onnx_made(w, n, lm_onnx_word(w, what, "samples", err), "Expand", 2, in, err);
}

/* Cosines or sines in float32. */
static const char *
of_angle(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *op,
    const char *angle, const struct lm_onnx_rope *r, struct loom_error *err)
{
	static const int64_t last = -1;
	const char *in[2] = { NULL, NULL }, *name = lm_onnx_word(w, what, op, err);

	in[0] = lm_onnx_made(w, n, lm_onnx_word(w, what, op, err), op, 1, &angle, err);
	in[0] = lm_onnx_made_with(w, n, lm_onnx_word(w, name, "float32", err), "Cast", 1, in, "to",
	    LM_ONNX_FLOAT, err);
	if (r->batch != NULL)
		return for_each_sample(w, n, name, in[0], r->batch, err);
	if (!r->interleaved || in[0] == NULL)
		return in[0];
	in[1] = lm_onnx_list(w, n, lm_onnx_word(w, name, "axes", err), &last, 1, err);
	return lm_onnx_made(w, n, lm_onnx_word(w, name, "pairs", err), "Unsqueeze", 2, in, err);
}

int
lm_onnx_angles(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const char *positions, struct lm_onnx_rope *r, struct loom_error *err)
{
	static const int64_t last = -1;
	const char *in[2] = { positions, NULL }, *angle;

	in[0] = lm_onnx_made_with(w, n, lm_onnx_word(w, what, "double", err), "Cast", 1, in, "to",
	    LM_ONNX_DOUBLE, err);
	in[1] = lm_onnx_list(w, n, lm_onnx_word(w, what, "axes", err), &last, 1, err);
	in[0] = lm_onnx_made(w, n, lm_onnx_word(w, what, "column", err), "Unsqueeze", 2, in, err);
	in[1] = frequencies(w, n, what, r, err);
	angle = lm_onnx_made(w, n, lm_onnx_word(w, what, "angles", err), "Mul", 2, in, err);
	if (angle == NULL)
		return -1;
	r->cosine = of_angle(w, n, what, "Cos", angle, r, err);
	r->sine = of_angle(w, n, what, "Sin", angle, r, err);
	return r->cosine != NULL && r->sine != NULL ? 0 : -1;
}

/* The two halves, or the members of pairs, and what an odd d has behind them (NULL: nothing). */
static int
halves(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *x,
    const struct lm_onnx_rope *r, const char *out[3], struct loom_error *err)
{
	static const char *const pieces[] = { "a", "b", "rest" };
	int64_t sizes[3] = { r->interleaved ? 1 : r->d / 2, r->interleaved ? 1 : r->d / 2, 1 };
	size_t parts = r->interleaved || r->d % 2 == 0 ? 2 : 3, i;
	const char *in[2] = { x, NULL }, *name = lm_onnx_inner(w, n, what, err);
	struct lm_onnx_node *made;

	in[1] = lm_onnx_list(w, n, lm_onnx_word(w, what, "sizes", err), sizes, parts, err);
	out[2] = NULL;
	for (i = 0; i < parts; i++) {
		out[i] = lm_onnx_inner(w, n, lm_onnx_word(w, what, pieces[i], err), err);
		if (out[i] == NULL)
			return -1;
	}
	if (name == NULL || in[0] == NULL || in[1] == NULL)
		return -1;
	made = lm_onnx_add_node(w->to, name, "Split", 2, in, parts, out, err);
	return made != NULL ? lm_onnx_add_int(w->to, made, "axis", -1, err) : -1;
}

/* op(x c, y s) */
static const char *
mixed(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *op,
    const char *x, const char *c, const char *y, const char *s, struct loom_error *err)
{
	const char *both[2], *in[2] = { x, c };

	both[0] = lm_onnx_made(w, n, lm_onnx_word(w, what, "x", err), "Mul", 2, in, err);
	in[0] = y;
	in[1] = s;
	both[1] = lm_onnx_made(w, n, lm_onnx_word(w, what, "y", err), "Mul", 2, in, err);
	return lm_onnx_made(w, n, what, op, 2, both, err);
}

int
lm_onnx_turns(const struct lm_onnx_writing *w, int rank, int64_t d)
{
	return w->opset >= 23 && rank == 4 && d % 2 == 0;
}

static const char *
turn_by_operator(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const char *x, const struct lm_onnx_rope *r, struct loom_error *err)
{
	const char *in[3] = { x, r->cosine, r->sine };
	struct lm_onnx_node *made = what != NULL
	    ? lm_onnx_step(w, n, what, "RotaryEmbedding", 3, in, err)
	    : lm_onnx_last(w, n, "RotaryEmbedding", 3, in, err);

	if (made == NULL || lm_onnx_add_int(w->to, made, "interleaved", r->interleaved, err) < 0)
		return NULL;
	return made->out[0];
}

const char *
lm_onnx_turn(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *x,
    unsigned rank, const struct lm_onnx_rope *r, struct loom_error *err)
{
	const char *part[3], *in[3], *begin = what != NULL ? what : "turn";
	int64_t pairs[2] = { r->d / 2, 2 }, row = r->d;
	struct lm_onnx_node *made;
	int last = what == NULL && !r->interleaved;

	if (r->batch != NULL)
		return turn_by_operator(w, n, what, x, r, err);
	if (r->interleaved)
		x = lm_onnx_recut(w, n, lm_onnx_word(w, begin, "pairs", err), x, rank - 1, pairs, 2,
		    err);
	if (x == NULL || halves(w, n, lm_onnx_word(w, begin, "halves", err), x, r, part, err) < 0)
		return NULL;
	in[0] = mixed(w, n, lm_onnx_word(w, begin, "turned_a", err), "Sub", part[0], r->cosine,
	    part[1], r->sine, err);
	in[1] = mixed(w, n, lm_onnx_word(w, begin, "turned_b", err), "Add", part[0], r->sine,
	    part[1], r->cosine, err);
	in[2] = part[2];
	if (r->interleaved || what == NULL)
		begin = lm_onnx_word(w, begin, "joined", err);
	if (in[0] == NULL || in[1] == NULL)
		return NULL;
	made = last ? lm_onnx_last(w, n, "Concat", part[2] != NULL ? 3 : 2, in, err)
		    : lm_onnx_step(w, n, begin, "Concat", part[2] != NULL ? 3 : 2, in, err);
	if (made == NULL || lm_onnx_add_int(w->to, made, "axis", -1, err) < 0)
		return NULL;
	if (!r->interleaved)
		return made->out[0];
	return lm_onnx_recut(w, n, what, made->out[0], rank - 1, &row, 1, err);
}
