/*
 * onnx_to_attention: attention and scaled_dot_product_attention, written out: scores, what hides keys,
 * softmax, values.  With opset 23 there is an operator for the usual ones.
 */
#include "onnx/onnx_blocks.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "onnx/onnx_heads.h"
#include "layer/heads.h"

#define TO(op) \
	int lm_onnx_to_##op(struct lm_onnx_writing *, const struct lm_node *, struct loom_error *);
#include "onnx/onnx.def"

struct heads {
	struct lm_onnx_writing *w;
	const struct lm_node *n;
	struct loom_error *err;
	const struct lm_seeing *see;
	unsigned rank; /* of q, k and v: [..., heads, positions, elements] */
	int64_t group; /* heads that share their keys */
	const char *q, *k, *v;
};

static int64_t
param(const struct heads *h, size_t k)
{
	return h->n->param[k].i;
}

/* ---- what a hidden score becomes ---- */

/* Does it matter what hidden scores become, or what is where all are hidden? */
static int
fill_counts(const struct heads *h)
{
	return param(h, h->see->causal) || param(h, h->see->mask) == LM_KEEP ||
	    param(h, h->see->mask) == LM_HIDE;
}

static int
empty_counts(const struct heads *h)
{
	return (param(h, h->see->mask) == LM_KEEP || param(h, h->see->mask) == LM_HIDE) &&
	    param(h, h->see->fill) == LM_FILL_LEFT_OUT;
}

/* Parameters that make no difference here, as a number; 0 where they are the usual ones. */
static int64_t
idle(const struct heads *h)
{
	int64_t v = 0;

	if (!fill_counts(h))
		v += LM_ONNX_IDLE_FILL * param(h, h->see->fill);
	if (!empty_counts(h))
		v += param(h, h->see->empty);
	return v;
}

static const char *
fill(const struct heads *h, const char *what)
{
	static const float values[] = { -INFINITY, -FLT_MAX, -1e9f };

	return lm_onnx_scalar(h->w, h->n, what, values[param(h, h->see->fill)], h->err);
}

/* ---- scores ---- */

static const char *
scale(const struct heads *h)
{
	double v = h->n->param[h->see->scale].real;
	const char *in[1];

	if (!isnan(v)) {
		in[0] = lm_onnx_double(h->w, h->n, "scale.double", v, h->err);
		return lm_onnx_made_with(h->w, h->n, "scale", "Cast", 1, in, "to", LM_ONNX_FLOAT,
		    h->err);
	}
	in[0] = lm_onnx_measured(h->w, h->n, "elements", h->q, (int64_t)h->rank - 1, 0, h->err);
	in[0] = lm_onnx_made_with(h->w, h->n, "elements.float32", "Cast", 1, in, "to",
	    LM_ONNX_FLOAT, h->err);
	return lm_onnx_made(h->w, h->n, "scale", "Sqrt", 1, in, h->err);
}

/* What makes no difference is the branch that is not taken. */
static const char *
scale_and_idle(const struct heads *h)
{
	static const unsigned char yes = 1;
	const char *in[3] = { NULL, scale(h), NULL };

	if (idle(h) == 0)
		return in[1];
	in[0] = lm_onnx_inner(h->w, h->n, "idle.never", h->err);
	if (in[0] == NULL ||
	    lm_onnx_add_initializer(h->w->to, in[0], LM_ONNX_BOOL, 0, NULL, &yes, NULL, h->err) < 0)
		return NULL;
	in[2] = lm_onnx_scalar(h->w, h->n, "idle", (float)idle(h), h->err);
	return lm_onnx_made(h->w, h->n, "scale.used", "Where", 3, in, h->err);
}

/* The extents [..., all heads, positions, elements] that for_each_head ends with. */
static const char *
all_heads(const struct heads *h, const char *what, const char *x)
{
	int64_t lead[LM_ONNX_RANK] = { 0 };
	const char *in[2];

	lead[h->rank - 3] = -1;
	in[0] = lm_onnx_list(h->w, h->n, lm_onnx_word(h->w, what, "lead", h->err), lead,
	    h->rank - 2, h->err);
	in[1] = lm_onnx_measured(h->w, h->n, lm_onnx_word(h->w, what, "tail", h->err), x,
	    (int64_t)h->rank - 2, 0, h->err);
	return lm_onnx_made_with(h->w, h->n, lm_onnx_word(h->w, what, "shape", h->err), "Concat", 2,
	    in, "axis", 0, h->err);
}

/* Keys or values for each head of the query. */
static const char *
for_each_head(const struct heads *h, const char *what, const char *x)
{
	int64_t extents[3] = { h->group, 1, 1 }, axis = (int64_t)h->rank - 2;
	const char *in[2] = { x, NULL };

	if (h->group == 1)
		return x;
	in[1] = lm_onnx_list(h->w, h->n, lm_onnx_word(h->w, what, "axis", h->err), &axis, 1,
	    h->err);
	in[0] = lm_onnx_made(h->w, h->n, lm_onnx_word(h->w, what, "group", h->err), "Unsqueeze", 2,
	    in, h->err);
	in[1] = lm_onnx_list(h->w, h->n, lm_onnx_word(h->w, what, "share", h->err), extents, 3,
	    h->err);
	in[0] = lm_onnx_made(h->w, h->n, lm_onnx_word(h->w, what, "each", h->err), "Expand", 2, in,
	    h->err);
	in[1] = all_heads(h, what, x);
	return lm_onnx_made(h->w, h->n, lm_onnx_word(h->w, what, "all", h->err), "Reshape", 2, in,
	    h->err);
}

static const char *
scores(const struct heads *h)
{
	int64_t perm[LM_ONNX_RANK], i;
	const char *in[2] = { h->q, for_each_head(h, "k", h->k) };

	for (i = 0; i < (int64_t)h->rank; i++)
		perm[i] = i;
	perm[h->rank - 2] = (int64_t)h->rank - 1;
	perm[h->rank - 1] = (int64_t)h->rank - 2;
	in[1] = lm_onnx_transposed(h->w, h->n, "k.columns", in[1], perm, h->rank, h->err);
	in[0] = lm_onnx_made(h->w, h->n, "products", "MatMul", 2, in, h->err);
	in[1] = scale_and_idle(h);
	return lm_onnx_made(h->w, h->n, "scores",
	    isnan(h->n->param[h->see->scale].real) ? "Div" : "Mul", 2, in, h->err);
}

static const char *
masked(const struct heads *h, const char *s)
{
	const char *mask = lm_onnx_input(h->w, h->n, LM_MASK), *in[3] = { s, mask, NULL };

	switch (param(h, h->see->mask)) {
	case LM_ADD:
		return lm_onnx_made(h->w, h->n, "masked", "Add", 2, in, h->err);
	case LM_KEEP:
	case LM_HIDE:
		in[0] = mask;
		in[1] = s;
		in[2] = fill(h, "fill");
		if (param(h, h->see->mask) == LM_HIDE) {
			in[1] = in[2];
			in[2] = s;
		}
		return lm_onnx_made(h->w, h->n, "masked", "Where", 3, in, h->err);
	default:
		return s;
	}
}

/* Keys behind the query's own position are hidden. */
static const char *
in_order(const struct heads *h, const char *s)
{
	static const int64_t last = -1;
	const char *in[3];

	if (!param(h, h->see->causal))
		return s;
	in[0] = lm_onnx_count(h->w, h->n, "row", h->q, (int64_t)h->rank - 2, h->err);
	in[1] = lm_onnx_list(h->w, h->n, "row.axis", &last, 1, h->err);
	in[0] = lm_onnx_made(h->w, h->n, "row.column", "Unsqueeze", 2, in, h->err);
	in[1] = lm_onnx_count(h->w, h->n, "key", h->k, (int64_t)h->rank - 2, h->err);
	in[0] = lm_onnx_made(h->w, h->n, "seen", "GreaterOrEqual", 2, in, h->err);
	in[1] = s;
	in[2] = fill(h, "fill.causal");
	return lm_onnx_made(h->w, h->n, "causal", "Where", 3, in, h->err);
}

/* ---- weights and results ---- */

/*
 * Zeros where a query sees no key.  Not by the greatest score: there are engines that take that of infinities
 * alone for the least finite number.
 */
static const char *
unless_blind(const struct heads *h, const char *s, const char *weights)
{
	static const int64_t last = -1;
	const char *in[3] = { s, NULL, NULL };
	struct lm_onnx_node *all;

	if (!empty_counts(h) || param(h, h->see->empty) != LM_EMPTY_ZERO)
		return weights;
	in[1] = lm_onnx_scalar(h->w, h->n, "least", -INFINITY, h->err);
	in[0] = lm_onnx_made(h->w, h->n, "hidden", "Equal", 2, in, h->err);
	in[0] = lm_onnx_made_with(h->w, h->n, "hidden.float32", "Cast", 1, in, "to", LM_ONNX_FLOAT,
	    h->err);
	if (h->w->opset >= 18)
		in[1] = lm_onnx_list(h->w, h->n, "hidden.axes", &last, 1, h->err);
	all = lm_onnx_step(h->w, h->n, "hidden.all", "ReduceMin", h->w->opset >= 18 ? 2 : 1, in,
	    h->err);
	if (all == NULL || lm_onnx_add_int(h->w->to, all, "keepdims", 1, h->err) < 0 ||
	    (h->w->opset < 18 && lm_onnx_add_ints(h->w->to, all, "axes", &last, 1, h->err) < 0))
		return NULL;
	in[0] = all->out[0];
	in[0] = lm_onnx_made_with(h->w, h->n, "blind", "Cast", 1, in, "to", LM_ONNX_BOOL, h->err);
	in[1] = lm_onnx_scalar(h->w, h->n, "zero", 0, h->err);
	in[2] = weights;
	return lm_onnx_made(h->w, h->n, "weights.seen", "Where", 3, in, h->err);
}

/* Does the mask have all of queries and keys?  The operator that there is does not broadcast these. */
static int
is_whole(const struct heads *h)
{
	const struct lm_shape *mask, *q, *k;
	size_t i;

	for (i = 0; i < 2; i++) {
		mask = &h->w->shapes[i][h->n->in[LM_MASK]];
		q = &h->w->shapes[i][h->n->in[LM_QUERY]];
		k = &h->w->shapes[i][h->n->in[LM_KEY]];
		if (mask->rank < 2 || mask->rank > 4 || lm_extent(mask, 0) != lm_extent(k, 1) ||
		    lm_extent(mask, 1) != lm_extent(q, 1))
			return 0;
	}
	return 1;
}

/* What a mask is stands in its type, which who reads attention does not know yet when it matters. */
static int
takes_mask(const struct heads *h)
{
	int64_t mask = param(h, h->see->mask);

	if (mask == LM_NO_MASK)
		return 1;
	return h->see == &lm_onnx_seeing_alone && mask != LM_HIDE && is_whole(h) &&
	    (mask == LM_ADD || param(h, h->see->empty) == LM_EMPTY_ZERO);
}

/* Since opset 23 there is an operator, which leaves hidden keys out and gives zeros where all are hidden. */
static int
has_operator(const struct heads *h)
{
	double v = h->n->param[h->see->scale].real;

	return h->w->opset >= 23 && h->rank == 4 && idle(h) == 0 && takes_mask(h) &&
	    (isnan(v) || (v > 0 && lm_onnx_real((float)v) == v)) &&
	    (!fill_counts(h) || param(h, h->see->fill) == LM_FILL_LEFT_OUT);
}

static const char *
attend_by_operator(const struct heads *h, const char *what)
{
	const char *in[4] = { h->q, h->k, h->v, lm_onnx_input(h->w, h->n, LM_MASK) };
	size_t n_in = in[3][0] != '\0' ? 4 : 3;
	struct lm_onnx_node *made = what != NULL
	    ? lm_onnx_step(h->w, h->n, what, "Attention", n_in, in, h->err)
	    : lm_onnx_last(h->w, h->n, "Attention", n_in, in, h->err);

	if (made == NULL ||
	    lm_onnx_add_int(h->w->to, made, "is_causal", param(h, h->see->causal), h->err) < 0)
		return NULL;
	if (!isnan(h->n->param[h->see->scale].real) &&
	    lm_onnx_add_real(h->w, made, "scale", h->n, h->see->scale, h->err) < 0)
		return NULL;
	return made->out[0];
}

/* What the rows of all heads become; what NULL: the node's last. */
static const char *
attend(const struct heads *h, const char *what)
{
	const struct lm_onnx_node *last;
	const char *s, *in[2];

	if (has_operator(h))
		return attend_by_operator(h, what);
	s = in_order(h, masked(h, scores(h)));

	in[0] = lm_onnx_made_with(h->w, h->n, "weights", "Softmax", 1, &s, "axis", -1, h->err);
	in[0] = unless_blind(h, s, in[0]);
	in[1] = for_each_head(h, "v", h->v);
	if (what != NULL)
		return lm_onnx_made(h->w, h->n, what, "MatMul", 2, in, h->err);
	last = lm_onnx_last(h->w, h->n, "MatMul", 2, in, h->err);
	return last != NULL ? last->out[0] : NULL;
}

/* ---- what there is nothing for ---- */

static int
refuse(const struct heads *h, int rank)
{
	if (rank < 0)
		return lm_fail(h->err, LOOM_EUNSUPPORTED,
		    "node %s (%s): onnx wants to know how many axes its input has", h->n->name,
		    h->n->op->name);
	if (h->group < 1)
		return lm_fail(h->err, LOOM_EUNSUPPORTED,
		    "node %s (%s): onnx wants to know how many heads share a key", h->n->name,
		    h->n->op->name);
	if (empty_counts(h) && param(h, h->see->empty) == LM_EMPTY_ERROR)
		return lm_fail(h->err, LOOM_EUNSUPPORTED,
		    "node %s (%s): empty is error, and onnx has nothing that fails where a query "
		    "sees no key",
		    h->n->name, h->n->op->name);
	if (rank > LM_ONNX_RANK - 2)
		return lm_fail(h->err, LOOM_EUNSUPPORTED,
		    "node %s (%s): %d axes, at most %d go into onnx", h->n->name, h->n->op->name,
		    rank, LM_ONNX_RANK - 2);
	return 0;
}

static int
all_well(const struct loom_error *err, const char *made)
{
	return made != NULL && err->code == LOOM_OK ? 0 : -1;
}

/* ---- scaled_dot_product_attention ---- */

/* Heads of the query for each of the key, the same in both trials; 0: not known. */
static int64_t
group_of(const struct lm_onnx_writing *w, const struct lm_node *n)
{
	uint64_t q[2], k[2];
	size_t i;

	for (i = 0; i < 2; i++) {
		q[i] = lm_extent(&w->shapes[i][n->in[LM_QUERY]], 2);
		k[i] = lm_extent(&w->shapes[i][n->in[LM_KEY]], 2);
		if (k[i] == 0 || q[i] % k[i] != 0)
			return 0;
	}
	return q[0] / k[0] == q[1] / k[1] ? (int64_t)(q[0] / k[0]) : 0;
}

int
lm_onnx_to_scaled_dot_product_attention(struct lm_onnx_writing *w, const struct lm_node *n,
    struct loom_error *err)
{
	int rank = lm_onnx_input_rank(w, n, LM_QUERY);
	struct heads h = { w, n, err, &lm_onnx_seeing_alone, (unsigned)rank, 1, NULL, NULL, NULL };

	h.group = rank > 0 ? group_of(w, n) : 1;
	if (refuse(&h, rank) < 0)
		return -1;
	h.q = lm_onnx_input(w, n, LM_QUERY);
	h.k = lm_onnx_input(w, n, LM_KEY);
	h.v = lm_onnx_input(w, n, LM_VALUE);
	return all_well(err, attend(&h, NULL));
}

/* ---- attention ---- */

/*
 * The input that a role's rows come from: key is query, value is key where it is not given.  Where it is
 * given and the same, it goes through an Identity.
 */
static const char *
input_of(const struct heads *h, size_t role, const char *what)
{
	const char *x = lm_onnx_input(h->w, h->n, role), *before;

	if (role == LM_QUERY)
		return x;
	before = lm_onnx_input(h->w, h->n, LM_KEY);
	if (role == LM_KEY || before[0] == '\0')
		before = lm_onnx_input(h->w, h->n, LM_QUERY);
	if (x[0] == '\0')
		return before;
	return strcmp(x, before) != 0 ? x
				      : lm_onnx_made(h->w, h->n, what, "Identity", 1, &x, h->err);
}

/* Rows [..., positions, heads elements] as [..., heads, positions, elements]. */
static const char *
headed(const struct heads *h, const char *what, const char *x, int64_t heads, int64_t elements)
{
	int64_t two[2] = { heads, elements }, perm[LM_ONNX_RANK], i;

	for (i = 0; i < (int64_t)h->rank; i++)
		perm[i] = i;
	perm[h->rank - 3] = (int64_t)h->rank - 2;
	perm[h->rank - 2] = (int64_t)h->rank - 3;
	x = lm_onnx_recut(h->w, h->n, lm_onnx_word(h->w, what, "rows", h->err), x, h->rank - 2, two,
	    2, h->err);
	return x != NULL ? lm_onnx_transposed(h->w, h->n, lm_onnx_word(h->w, what, "heads", h->err),
			       x, perm, h->rank, h->err)
			 : NULL;
}

/* Queries and keys turned by their positions, which are the same for both where one input makes both. */
static int
turn(struct heads *h, const char *query, const char *key)
{
	struct lm_onnx_rope r = { .d = param(h, LM_ATTENTION_HEAD_DIM),
		.base = h->n->param[LM_ATTENTION_ROPE_BASE].real,
		.interleaved = param(h, LM_ATTENTION_ROPE) == LM_ROPE_INTERLEAVED };
	int64_t axis = (int64_t)h->rank - 3;

	if (param(h, LM_ATTENTION_ROPE) == LM_ROPE_NONE)
		return 0;
	if (lm_onnx_turns(h->w, (int)h->rank, r.d))
		r.batch = h->q;
	if (lm_onnx_angles(h->w, h->n, "position",
		lm_onnx_count(h->w, h->n, "position", query, axis, h->err), &r, h->err) < 0)
		return -1;
	h->q = lm_onnx_turn(h->w, h->n, "q.turned", h->q, h->rank, &r, h->err);
	if (strcmp(query, key) != 0 &&
	    lm_onnx_angles(h->w, h->n, "key.position",
		lm_onnx_count(h->w, h->n, "key.position", key, axis, h->err), &r, h->err) < 0)
		return -1;
	h->k = lm_onnx_turn(h->w, h->n, "k.turned", h->k, h->rank, &r, h->err);
	return h->q != NULL && h->k != NULL ? 0 : -1;
}

static int
project(struct heads *h)
{
	const char *query = input_of(h, LM_QUERY, NULL), *key = input_of(h, LM_KEY, "key.given");
	const char *value = input_of(h, LM_VALUE, "value.given");
	int64_t heads = param(h, LM_ATTENTION_HEADS), keys = param(h, LM_ATTENTION_KV_HEADS);
	int64_t d = param(h, LM_ATTENTION_HEAD_DIM), v = param(h, LM_ATTENTION_VALUE_DIM);

	if (key == NULL || value == NULL)
		return -1;
	h->q = headed(h, "q",
	    lm_onnx_project(h->w, h->n, "q", query, LM_ATTENTION_WQ, LM_ATTENTION_BQ, h->err),
	    heads, d);
	h->k = headed(h, "k",
	    lm_onnx_project(h->w, h->n, "k", key, LM_ATTENTION_WK, LM_ATTENTION_BK, h->err), keys,
	    d);
	h->v = headed(h, "v",
	    lm_onnx_project(h->w, h->n, "v", value, LM_ATTENTION_WV, LM_ATTENTION_BV, h->err), keys,
	    v);
	if (h->q == NULL || h->k == NULL || h->v == NULL)
		return -1;
	return turn(h, query, key);
}

int
lm_onnx_to_attention(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	int rank = lm_onnx_input_rank(w, n, LM_QUERY);
	struct heads h = { w, n, err, &lm_onnx_seeing_attention, (unsigned)rank + 1, 1, NULL, NULL,
		NULL };
	int64_t perm[LM_ONNX_RANK], width, i;
	const char *o;

	h.group = param(&h, LM_ATTENTION_HEADS) / param(&h, LM_ATTENTION_KV_HEADS);
	if (refuse(&h, rank < 0 ? rank : rank + 1) < 0 || project(&h) < 0)
		return -1;
	o = attend(&h, "mixed");
	for (i = 0; i < rank + 1; i++)
		perm[i] = i;
	perm[rank - 2] = rank - 1;
	perm[rank - 1] = rank - 2;
	width = param(&h, LM_ATTENTION_HEADS) * param(&h, LM_ATTENTION_VALUE_DIM);
	if (o == NULL)
		return -1;
	o = lm_onnx_transposed(w, n, "mixed.rows", o, perm, h.rank, err);
	o = lm_onnx_recut(w, n, "mixed.joined", o, (unsigned)rank - 1, &width, 1, err);
	return all_well(err, lm_onnx_project(w, n, NULL, o, LM_ATTENTION_WO, LM_ATTENTION_BO, err));
}
