/*
 * onnx_match_attention: what onnx_to_attention.c writes, proposed from its softmax.  Nothing here has to be
 * certain: what is proposed is written once more and compared.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "onnx/onnx_heads.h"
#include "onnx/onnx_match.h"
#include "onnx/onnx_match_blocks.h"
#include "onnx/onnx_to.h"

struct trail {
	struct lm_onnx_proposal *p;
	const struct lm_onnx_matching *f;
	const struct lm_seeing *see;
	struct loom_error *err;
	const char *scores, *mask, *q, *k, *v, *out;
	unsigned rank;
	int64_t group, idle;
	int filled; /* what hidden scores become stands there */
};

static int
is(const struct lm_onnx_node *n, const char *op)
{
	return n != NULL && strcmp(n->op, op) == 0;
}

static union lm_value *
param(const struct trail *t, size_t k)
{
	return &t->p->node->param[k];
}

/* ---- scores ---- */

/* Which of the fills it is. */
static int
set_fill(struct trail *t, const char *value)
{
	float v;
	int r = lm_onnx_stored_number(t->f, value, &v, t->err);

	param(t, t->see->fill)->i = v == -FLT_MAX ? LM_FILL_LEAST
	    : v == -1e9f			  ? LM_FILL_1E9
						  : LM_FILL_LEFT_OUT;
	t->filled = 1;
	return r;
}

static int
find_causal(struct trail *t)
{
	const struct lm_onnx_node *n = lm_onnx_made_by(t->f, t->scores), *seen;

	seen = is(n, "Where") ? lm_onnx_before(t->f, n, 0, "GreaterOrEqual") : NULL;
	if (lm_onnx_before(t->f, lm_onnx_before(t->f, seen, 0, "Unsqueeze"), 0, "Range") == NULL)
		return 1;
	param(t, t->see->causal)->i = 1;
	t->scores = lm_onnx_arg(n, 1);
	return set_fill(t, lm_onnx_arg(n, 2));
}

static int
find_mask(struct trail *t)
{
	const struct lm_onnx_node *n = lm_onnx_made_by(t->f, t->scores);
	size_t kept;

	if (is(n, "Add")) {
		param(t, t->see->mask)->i = LM_ADD;
		t->mask = lm_onnx_arg(n, 1);
		t->scores = lm_onnx_arg(n, 0);
		return 1;
	}
	if (!is(n, "Where"))
		return 1;
	kept = lm_onnx_stored(t->f, lm_onnx_arg(n, 2)) != NULL ? 1 : 2;
	param(t, t->see->mask)->i = kept == 1 ? LM_KEEP : LM_HIDE;
	t->mask = lm_onnx_arg(n, 0);
	t->scores = lm_onnx_arg(n, kept);
	return set_fill(t, lm_onnx_arg(n, 3 - kept));
}

/* What scores are multiplied with, or divided by. */
static int
find_scale(struct trail *t)
{
	const struct lm_onnx_node *n = lm_onnx_made_by(t->f, t->scores), *by;
	float idle = 0;

	if (!is(n, "Mul") && !is(n, "Div"))
		return 0;
	by = lm_onnx_made_by(t->f, lm_onnx_arg(n, 1));
	if (is(by, "Where")) {
		if (lm_onnx_stored_number(t->f, lm_onnx_arg(by, 2), &idle, t->err) != 1 ||
		    !(idle >= 0) || idle > 2 * LM_ONNX_IDLE_FILL + 2)
			return 0;
		by = lm_onnx_made_by(t->f, lm_onnx_arg(by, 1));
	}
	t->idle = (int64_t)idle;
	t->scores = lm_onnx_arg(n, 0);
	param(t, t->see->scale)->real = NAN;
	if (is(n, "Div"))
		return 1;
	return is(by, "Cast") ? lm_onnx_stored_double(t->f, lm_onnx_arg(by, 0),
				    &param(t, t->see->scale)->real, t->err)
			      : 0;
}

/* Before keys or values were given to each head of the query. */
static const char *
before_group(struct trail *t, const char *x)
{
	const struct lm_onnx_node *all = lm_onnx_made_by(t->f, x), *each, *group;
	int64_t share[3];
	size_t n;

	each = is(all, "Reshape") ? lm_onnx_before(t->f, all, 0, "Expand") : NULL;
	group = lm_onnx_before(t->f, each, 0, "Unsqueeze");
	if (group == NULL || each->n_in < 2 ||
	    lm_onnx_stored_integers(t->f, lm_onnx_arg(each, 1), share, 3, &n, t->err) != 1 ||
	    n != 3)
		return x;
	t->group = share[0];
	return lm_onnx_arg(group, 0);
}

static int
find_products(struct trail *t)
{
	const struct lm_onnx_node *n = lm_onnx_made_by(t->f, t->scores), *columns;
	const int64_t *perm;
	size_t rank;

	columns = is(n, "MatMul") ? lm_onnx_before(t->f, n, 1, "Transpose") : NULL;
	if (columns == NULL || lm_onnx_ints(columns, "perm", &perm, &rank, t->err) < 0 ||
	    rank < 3 || rank > LM_ONNX_RANK)
		return 0;
	t->rank = (unsigned)rank;
	t->q = lm_onnx_arg(n, 0);
	t->k = before_group(t, lm_onnx_arg(columns, 0));
	return 1;
}

/* ---- weights and results ---- */

static int
find_results(struct trail *t, const struct lm_onnx_node *softmax)
{
	const struct lm_onnx_node *n = lm_onnx_read_by(t->f, lm_onnx_result(softmax), NULL);
	int hiding = param(t, t->see->mask)->i == LM_KEEP || param(t, t->see->mask)->i == LM_HIDE;

	if (!t->filled)
		param(t, t->see->fill)->i = t->idle / LM_ONNX_IDLE_FILL;
	param(t, t->see->empty)->i = t->idle % LM_ONNX_IDLE_FILL;
	if (hiding && param(t, t->see->fill)->i == LM_FILL_LEFT_OUT)
		param(t, t->see->empty)->i = is(n, "Where") ? LM_EMPTY_ZERO : LM_EMPTY_NAN;
	if (is(n, "Where"))
		n = lm_onnx_read_by(t->f, lm_onnx_result(n), "MatMul");
	if (!is(n, "MatMul"))
		return 0;
	t->v = before_group(t, lm_onnx_arg(n, 1));
	t->out = lm_onnx_result(n);
	return 1;
}

/* From softmax back to queries, keys and values, and on to what they become: 1, 0, -1. */
static int
follow(struct trail *t, const struct lm_onnx_node *softmax)
{
	int r;

	t->scores = lm_onnx_arg(softmax, 0);
	t->group = 1;
	r = find_causal(t);
	if (r == 1)
		r = find_mask(t);
	if (r == 1)
		r = find_scale(t);
	if (r == 1)
		r = find_products(t);
	return r == 1 ? find_results(t, softmax) : r;
}

/* The same from the operator that there is since opset 23; a mask is one that is added. */
static int
follow_operator(struct trail *t, const struct lm_onnx_node *n)
{
	float scale;

	param(t, t->see->scale)->real = NAN;
	if (lm_onnx_int(n, "is_causal", 0, &param(t, t->see->causal)->i, t->err) < 0)
		return -1;
	if (lm_onnx_attribute(n, "scale") != NULL) {
		if (lm_onnx_float(n, "scale", 0, &scale, t->err) < 0)
			return -1;
		param(t, t->see->scale)->real = lm_onnx_real(scale);
	}
	t->q = lm_onnx_arg(n, LM_QUERY);
	t->k = lm_onnx_arg(n, LM_KEY);
	t->v = lm_onnx_arg(n, LM_VALUE);
	if (n->n_in > LM_MASK) {
		t->mask = lm_onnx_arg(n, LM_MASK);
		param(t, t->see->mask)->i = LM_ADD;
	}
	t->rank = 4;
	t->out = lm_onnx_result(n);
	return 1;
}

int
lm_onnx_propose_sdpa(struct lm_onnx_proposal *p, const struct lm_onnx_node *softmax,
    struct loom_error *err)
{
	struct trail t = { .p = p, .f = p->file, .see = &lm_onnx_seeing_alone, .err = err };
	int r = follow(&t, softmax);

	if (r != 1)
		return r;
	p->in[LM_QUERY] = t.q;
	p->in[LM_KEY] = t.k;
	p->in[LM_VALUE] = t.v;
	p->in[LM_MASK] = t.mask;
	p->n_in = t.mask != NULL ? LM_HEADS_INPUTS : LM_MASK;
	p->rank[LM_QUERY] = p->rank[LM_KEY] = p->rank[LM_VALUE] = t.rank;
	p->dim[LM_QUERY][t.rank - 3] = (uint64_t)t.group;
	p->dim[LM_KEY][t.rank - 3] = p->dim[LM_VALUE][t.rank - 3] = 1;
	p->out[0] = t.out;
	p->n_out = 1;
	return 1;
}

/* ---- projections ---- */

static const char *
before_rotary(struct trail *t, const struct lm_onnx_node *n)
{
	int64_t interleaved;

	if (lm_onnx_int(n, "interleaved", 0, &interleaved, t->err) < 0 ||
	    lm_onnx_base_of(t->f, n, &param(t, LM_ATTENTION_ROPE_BASE)->real, t->err) != 1)
		return lm_onnx_result(n);
	param(t, LM_ATTENTION_ROPE)->i = interleaved ? LM_ROPE_INTERLEAVED : LM_ROPE_HALF;
	return lm_onnx_arg(n, 0);
}

/* Rows of heads before they were turned, and how. */
static const char *
before_turn(struct trail *t, const char *x)
{
	const struct lm_onnx_node *n = lm_onnx_made_by(t->f, x), *joined, *heads;
	int interleaved = is(n, "Reshape");

	if (is(n, "RotaryEmbedding"))
		return before_rotary(t, n);
	joined = interleaved ? lm_onnx_before(t->f, n, 0, "Concat") : n;
	if (!is(joined, "Concat"))
		return x;
	heads = lm_onnx_unturned(t->f, joined, &param(t, LM_ATTENTION_ROPE_BASE)->real, t->err);
	if (heads == NULL)
		return x;
	param(t, LM_ATTENTION_ROPE)->i = interleaved ? LM_ROPE_INTERLEAVED : LM_ROPE_HALF;
	if (interleaved)
		heads = lm_onnx_before(t->f, heads, 0, "Reshape");
	return heads != NULL ? lm_onnx_arg(heads, 0) : x;
}

/* What was projected to be the rows of heads, how many there are, of how many elements. */
static const char *
before_heads(const struct trail *t, const char *x, size_t heads, size_t elements)
{
	const struct lm_onnx_node *n = lm_onnx_made_by(t->f, x);
	int64_t shape[LM_ONNX_RANK];
	size_t count;

	n = is(n, "Transpose") ? lm_onnx_before(t->f, n, 0, "Reshape") : NULL;
	if (n == NULL || n->n_in < 2 ||
	    lm_onnx_stored_integers(t->f, lm_onnx_arg(n, 1), shape, LM_ONNX_RANK, &count, t->err) !=
		1 ||
	    count < 3)
		return NULL;
	param(t, heads)->i = shape[count - 2];
	param(t, elements)->i = shape[count - 1];
	return lm_onnx_arg(n, 0);
}

/* The role's rows. */
static const char *
before_projection(struct trail *t, const char *x, size_t weight, struct lm_onnx_projection *pr)
{
	if (x == NULL || lm_onnx_unprojected(t->f, x, pr) != 1)
		return NULL;
	param(t, LM_ATTENTION_Q_BIAS + (weight - LM_ATTENTION_WQ))->i = pr->bias != NULL;
	param(t, LM_ATTENTION_MODEL + (weight - LM_ATTENTION_WQ))->i = (int64_t)pr->weight->dim[0];
	return pr->x;
}

/* An input that is the one before it, though it is given: behind an Identity. */
static const char *
given(const struct trail *t, const char *x, const char *before)
{
	const struct lm_onnx_node *n = lm_onnx_made_by(t->f, x);

	if (strcmp(x, before) == 0)
		return NULL;
	return is(n, "Identity") && strcmp(lm_onnx_arg(n, 0), before) == 0 ? before : x;
}

static int
set_inputs(struct trail *t, const char *query, const char *key, const char *value)
{
	struct lm_onnx_proposal *p = t->p;

	if (query == NULL || key == NULL || value == NULL)
		return 0;
	p->in[LM_QUERY] = query;
	p->in[LM_KEY] = given(t, key, query);
	p->in[LM_VALUE] = given(t, value, p->in[LM_KEY] != NULL ? p->in[LM_KEY] : query);
	p->in[LM_MASK] = t->mask;
	p->n_in = LM_HEADS_INPUTS;
	while (p->in[p->n_in - 1] == NULL)
		p->n_in--;
	p->rank[LM_QUERY] = t->rank - 1;
	return 1;
}

/* The last projection, behind rows that stand side by side again. */
static int
find_last(struct trail *t, struct lm_onnx_projection *pr)
{
	const struct lm_onnx_node *n = lm_onnx_read_by(t->f, t->out, "Transpose");

	n = n != NULL ? lm_onnx_read_by(t->f, lm_onnx_result(n), "Reshape") : NULL;
	n = n != NULL ? lm_onnx_read_by(t->f, lm_onnx_result(n), "MatMul") : NULL;
	t->p->out[0] = n != NULL ? lm_onnx_projected(t->f, n, pr) : NULL;
	t->p->n_out = 1;
	if (t->p->out[0] == NULL)
		return 0;
	param(t, LM_ATTENTION_O_BIAS)->i = pr->bias != NULL;
	param(t, LM_ATTENTION_OUT_FEATURES)->i = (int64_t)pr->weight->dim[1];
	return 1;
}

static int
put_weights(const struct trail *t, const struct lm_onnx_projection *pr)
{
	size_t i;

	for (i = 0; i < 4; i++)
		if (lm_onnx_propose_turned(t->p, LM_ATTENTION_WQ + i, pr[i].weight, t->err) < 0 ||
		    lm_onnx_propose_slot(t->p, LM_ATTENTION_BQ + i, pr[i].bias, NULL, t->err) < 0)
			return -1;
	return 1;
}

/* From softmax, or from the operator. */
int
lm_onnx_propose_attention(struct lm_onnx_proposal *p, const struct lm_onnx_node *anchor,
    struct loom_error *err)
{
	struct trail t = { .p = p, .f = p->file, .see = &lm_onnx_seeing_attention, .err = err };
	struct lm_onnx_projection pr[4] = { 0 };
	const char *q, *k, *v;
	int r = is(anchor, "Attention") ? follow_operator(&t, anchor) : follow(&t, anchor);

	if (r != 1)
		return r;
	p->node->param[LM_ATTENTION_ROPE_BASE].real = NAN;
	q = before_heads(&t, before_turn(&t, t.q), LM_ATTENTION_HEADS, LM_ATTENTION_HEAD_DIM);
	k = before_heads(&t, before_turn(&t, t.k), LM_ATTENTION_KV_HEADS, LM_ATTENTION_HEAD_DIM);
	v = before_heads(&t, t.v, LM_ATTENTION_KV_HEADS, LM_ATTENTION_VALUE_DIM);
	q = before_projection(&t, q, LM_ATTENTION_WQ, &pr[0]);
	k = before_projection(&t, k, LM_ATTENTION_WK, &pr[1]);
	v = before_projection(&t, v, LM_ATTENTION_WV, &pr[2]);
	if (!set_inputs(&t, q, k, v) || !find_last(&t, &pr[3]))
		return 0;
	return put_weights(&t, pr);
}
