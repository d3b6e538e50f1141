/* onnx_from_attention: Attention and RotaryEmbedding, operators since opset 23. */
#include <math.h>
#include <string.h>

#include "onnx/onnx_heads.h"
#include "onnx/onnx_reads.h"
#include "onnx/onnx_trial.h"

#define FROM(op, domain, least, most, reader)                                            \
	int lm_onnx_from_##reader(struct lm_onnx_reading *, const struct lm_onnx_node *, \
	    struct loom_error *);
#include "onnx/onnx.def"

struct reader {
	struct lm_onnx_reading *r;
	const struct lm_onnx_node *node;
	struct loom_error *err;
};

/* ---- values in another order ---- */

static struct lm_onnx_known *
with_axis(const struct reader *c, const char *what, const char *op, const char *param,
    struct lm_onnx_known *x, int64_t axis)
{
	struct lm_node *n = x != NULL ? lm_onnx_begin(c->r, c->node, what, op, 1, &x, c->err)
				      : NULL;

	if (n == NULL || lm_onnx_set_list(c->r, n, param, &axis, 1, c->err) < 0)
		return NULL;
	return lm_onnx_ended(c->r, c->node, what, n, c->err);
}

/* Rows [sample, position, heads elements] as [sample, head, position, element]. */
static struct lm_onnx_known *
headed(const struct reader *c, const char *what, struct lm_onnx_known *x, int64_t heads)
{
	static const int64_t perm[] = { 0, 2, 1, 3 };
	int64_t width = x->ranked && x->dims.n == 3 ? lm_onnx_fixed(&x->dims.dim[2]) : -1;
	struct lm_dim dim[4];
	struct lm_dims dims = { 4, dim };
	struct lm_node *made;
	char rows[40];

	if (heads <= 0 || width < 0 || width % heads != 0) {
		(void)lm_onnx_refuse(c->r, c->node, c->err,
		    "input %.80s: expected [batch, positions, heads elements], so many heads: %lld",
		    x->name, (long long)heads);
		return NULL;
	}
	dim[0] = x->dims.dim[0];
	dim[1] = x->dims.dim[1];
	dim[2] = (struct lm_dim){ NULL, heads };
	dim[3] = (struct lm_dim){ NULL, width / heads };
	(void)snprintf(rows, sizeof(rows), "%s.rows", what);
	x = lm_onnx_reshaped(c->r, c->node, rows, x, &dims, c->err);
	made = lm_onnx_begin(c->r, c->node, what, "transpose", 1, &x, c->err);
	if (made == NULL || lm_onnx_set_list(c->r, made, "perm", perm, 4, c->err) < 0)
		return NULL;
	return lm_onnx_ended(c->r, c->node, what, made, c->err);
}

/* Back again, as the node's value. */
static int
give_rows(const struct reader *c, struct lm_onnx_known *y)
{
	static const int64_t perm[] = { 0, 2, 1, 3 };
	struct lm_dim dim[3];
	struct lm_dims dims = { 3, dim };
	struct lm_node *made;
	int64_t heads, width;

	made = y != NULL ? lm_onnx_begin(c->r, c->node, "rows", "transpose", 1, &y, c->err) : NULL;
	if (made == NULL || lm_onnx_set_list(c->r, made, "perm", perm, 4, c->err) < 0)
		return -1;
	y = lm_onnx_ended(c->r, c->node, "rows", made, c->err);
	if (y == NULL || y->dims.n != 4)
		return -1;
	heads = lm_onnx_fixed(&y->dims.dim[2]);
	width = lm_onnx_fixed(&y->dims.dim[3]);
	if (heads < 0 || width < 0)
		return lm_onnx_refuse(c->r, c->node, c->err,
		    "how many heads there are is not said");
	dim[0] = y->dims.dim[0];
	dim[1] = y->dims.dim[1];
	dim[2] = (struct lm_dim){ NULL, heads * width };
	return lm_onnx_reshaped(c->r, c->node, NULL, y, &dims, c->err) != NULL ? 0 : -1;
}

/* ---- Attention ---- */

enum { QUERY, KEY, VALUE, MASK, PAST_KEY, PAST_VALUE, LENGTHS };

static int
is_read(const struct reader *c, size_t k)
{
	struct lm_onnx_known *out = k < c->node->n_out && c->node->out[k][0] != '\0'
	    ? lm_onnx_find(c->r, c->node->out[k])
	    : NULL;

	return out != NULL && out->users > 0;
}

static int
refuse(const struct reader *c)
{
	static const char *const inputs[] = { "past_key", "past_value", "nonpad_kv_seqlen" };
	static const char *const outputs[] = { "present_key", "present_value", "qk_matmul_output" };
	float softcap;
	size_t i;

	for (i = PAST_KEY; i <= LENGTHS; i++)
		if (lm_onnx_in(c->r, c->node, i) != NULL)
			return lm_onnx_refuse(c->r, c->node, c->err, "%s", inputs[i - PAST_KEY]);
	for (i = 0; i < 3; i++)
		if (is_read(c, i + 1))
			return lm_onnx_refuse(c->r, c->node, c->err, "%s is read", outputs[i]);
	for (i = QUERY; i <= VALUE; i++)
		if (lm_onnx_in(c->r, c->node, i) == NULL)
			return lm_onnx_refuse(c->r, c->node, c->err, "Q, K or V is not given");
	if (lm_onnx_float(c->node, "softcap", 0, &softcap, c->err) < 0)
		return -1;
	if (softcap != 0)
		return lm_onnx_refuse(c->r, c->node, c->err, "softcap is %g", (double)softcap);
	return lm_onnx_only(c->r, c->node, "left_window_size", -1, c->err) < 0
	    ? -1
	    : lm_onnx_only(c->r, c->node, "right_window_size", -1, c->err);
}

/* Do queries and keys stand side by side, for all that is known? */
static int
are_square(const struct reader *c, const struct lm_onnx_known *q, const struct lm_onnx_known *k)
{
	size_t t;

	if (q->tried == NULL || k->tried == NULL)
		return 0;
	for (t = 0; t < c->r->trials->n; t++)
		if (c->r->trials->alive[t] &&
		    lm_extent(&q->tried->shape[t], 1) != lm_extent(&k->tried->shape[t], 1))
			return 0;
	return 1;
}

/* 0, 1, 2 ... as many as there are positions. */
static struct lm_onnx_known *
count(const struct reader *c, const char *what, const struct lm_onnx_known *x)
{
	struct lm_node *n;
	struct lm_dim none = { NULL, 0 };

	if (!x->ranked || x->dims.n != 4) {
		(void)lm_onnx_refuse(c->r, c->node, c->err,
		    "how long the sequences are is not said");
		return NULL;
	}
	n = lm_onnx_begin(c->r, c->node, what, "arange", 0, NULL, c->err);
	if (n == NULL || lm_onnx_set_dims(c->r, n, "start", &none, 1, c->err) < 0 ||
	    lm_onnx_set_dims(c->r, n, "stop", &x->dims.dim[2], 1, c->err) < 0)
		return NULL;
	lm_onnx_set(n, "step", 1);
	return lm_onnx_ended(c->r, c->node, what, n, c->err);
}

/* Where is_causal is meant for fewer or more keys than queries: the mask that says so, with the given one. */
static struct lm_onnx_known *
in_order(const struct reader *c, struct lm_onnx_known *const *in)
{
	struct lm_onnx_known *row = with_axis(c, "row", "unsqueeze", "axes",
	    count(c, "rows", in[QUERY]), 1);
	struct lm_onnx_known *key = count(c, "keys", in[KEY]), *seen, *given[3];

	seen = row != NULL && key != NULL
	    ? lm_onnx_plain(c->r, c->node, "seen", "greater_equal", row, key, c->err)
	    : NULL;
	if (seen == NULL || in[MASK] == NULL)
		return seen;
	if (in[MASK]->dtype == lm_dtype_get(LM_BOOL))
		return lm_onnx_plain(c->r, c->node, "mask", "and", in[MASK], seen, c->err);
	given[0] = seen;
	given[1] = in[MASK];
	given[2] = lm_onnx_constant_real(c->r, c->node, "hidden", -INFINITY, c->err);
	return lm_onnx_value_between(c->r, c->node, "mask", "where", 3, given, c->err);
}

/* What the node sees; the mask stays what it is. */
static int
set_seeing(const struct reader *c, struct lm_node *n, const struct lm_onnx_known *mask, int causal)
{
	if (lm_onnx_real_of(c->node, "scale", NAN, &n->param[lm_onnx_seeing_alone.scale].real,
		c->err) < 0)
		return -1;
	n->param[lm_onnx_seeing_alone.causal].i = causal;
	if (mask != NULL)
		n->param[lm_onnx_seeing_alone.mask].i = mask->dtype == lm_dtype_get(LM_BOOL)
		    ? LM_KEEP
		    : LM_ADD;
	n->param[lm_onnx_seeing_alone.empty].i = LM_EMPTY_ZERO;
	return 0;
}

/* Of heads apart: the node's value, or one on the way. */
static struct lm_onnx_known *
attend(const struct reader *c, const char *what, struct lm_onnx_known **in)
{
	struct lm_node *n;
	int64_t causal;

	if (lm_onnx_int(c->node, "is_causal", 0, &causal, c->err) < 0)
		return NULL;
	if (causal && !are_square(c, in[QUERY], in[KEY])) {
		in[MASK] = in_order(c, in);
		causal = 0;
		if (in[MASK] == NULL)
			return NULL;
	}
	n = lm_onnx_begin(c->r, c->node, what, "scaled_dot_product_attention",
	    in[MASK] != NULL ? 4 : 3, in, c->err);
	if (n == NULL || set_seeing(c, n, in[MASK], causal != 0) < 0)
		return NULL;
	return lm_onnx_ended(c->r, c->node, what, n, c->err);
}

int
lm_onnx_from_attention(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct loom_error *err)
{
	static const char *const names[] = { "q", "k", "v" };
	const struct reader c = { r, node, err };
	struct lm_onnx_known *in[4];
	int64_t heads[2];
	size_t i;

	if (refuse(&c) < 0 || lm_onnx_int(node, "q_num_heads", 0, &heads[0], err) < 0 ||
	    lm_onnx_int(node, "kv_num_heads", 0, &heads[1], err) < 0)
		return -1;
	for (i = QUERY; i <= MASK; i++)
		in[i] = lm_onnx_in(r, node, i);
	if (in[QUERY]->ranked && in[QUERY]->dims.n == 4)
		return attend(&c, NULL, in) != NULL ? 0 : -1;
	for (i = QUERY; i <= VALUE; i++) {
		in[i] = headed(&c, names[i], in[i], heads[i == QUERY ? 0 : 1]);
		if (in[i] == NULL)
			return -1;
	}
	return give_rows(&c, attend(&c, "heads", in));
}

/* ---- RotaryEmbedding ---- */

enum { X, COSINES, SINES, POSITIONS };

struct turning {
	struct reader c;
	struct lm_onnx_known *x, *cosine, *sine; /* [batch, heads, positions, ...] */
	int64_t d, turned;			 /* elements of a row, and how many are turned */
	int interleaved, rows;			 /* rows: x came as [batch, positions, ...] */
};

/* Cosines or sines of the positions, with an axis for heads, and one for pairs' members. */
static struct lm_onnx_known *
table(const struct turning *t, size_t input, const char *what)
{
	const struct reader *c = &t->c;
	struct lm_onnx_known *in[2] = { lm_onnx_in(c->r, c->node, input),
		lm_onnx_in(c->r, c->node, POSITIONS) },
			     *y = in[0];
	struct lm_node *n;
	char word[40];

	if (in[1] != NULL) {
		(void)snprintf(word, sizeof(word), "%s.rows", what);
		n = lm_onnx_begin(c->r, c->node, word, "gather", 2, in, c->err);
		y = n != NULL ? lm_onnx_ended(c->r, c->node, word, n, c->err) : NULL;
	}
	(void)snprintf(word, sizeof(word), "%s.heads", what);
	y = with_axis(c, word, "unsqueeze", "axes", y, 1);
	(void)snprintf(word, sizeof(word), "%s.pairs", what);
	return t->interleaved ? with_axis(c, word, "unsqueeze", "axes", y, -1) : y;
}

/* Parts of the last axis; n of them. */
static int
parts(const struct reader *c, const char *what, struct lm_onnx_known *x, const int64_t *sizes,
    size_t n, struct lm_onnx_known **part)
{
	struct lm_node *made = lm_onnx_begin(c->r, c->node, what, "split", 1, &x, c->err);
	struct lm_dim dim[2] = { { NULL, sizes[0] }, { NULL, sizes[1] } };
	const char *out[2];
	char word[40];
	size_t i;

	if (made == NULL || lm_onnx_set_dims(c->r, made, "sizes", dim, n, c->err) < 0)
		return -1;
	lm_onnx_set(made, "axis", -1);
	for (i = 0; i < n; i++) {
		(void)snprintf(word, sizeof(word), "%s.%zu", what, i);
		out[i] = lm_onnx_between(c->r, c->node, word, c->err);
		if (out[i] == NULL)
			return -1;
	}
	if (lm_onnx_end_node(c->r, made, out, n, c->err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		part[i] = lm_onnx_find(c->r, out[i]);
	return 0;
}

static struct lm_onnx_known *
two(const struct reader *c, const char *what, const char *op, struct lm_onnx_known *a,
    struct lm_onnx_known *b)
{
	return a != NULL && b != NULL ? lm_onnx_plain(c->r, c->node, what, op, a, b, c->err) : NULL;
}

static struct lm_onnx_known *
joined(const struct reader *c, const char *what, struct lm_onnx_known *a, struct lm_onnx_known *b)
{
	struct lm_onnx_known *in[2] = { a, b };
	struct lm_node *n;

	n = a != NULL && b != NULL ? lm_onnx_begin(c->r, c->node, what, "concat", 2, in, c->err)
				   : NULL;
	if (n == NULL)
		return NULL;
	lm_onnx_set(n, "axis", -1);
	return lm_onnx_ended(c->r, c->node, what, n, c->err);
}

/* x with its last axis, or its last two, cut otherwise. */
static struct lm_onnx_known *
recut(const struct reader *c, const char *what, struct lm_onnx_known *x, size_t kept, int64_t a,
    int64_t b)
{
	struct lm_dim dim[5] = { { NULL, 0 } };
	struct lm_dims dims = { kept + 1, dim };

	if (x == NULL || x->dims.n < kept || kept > 3)
		return NULL;
	memcpy(dim, x->dims.dim, kept * sizeof(*dim));
	dim[kept].value = a;
	if (b > 0)
		dim[dims.n++].value = b;
	return lm_onnx_reshaped(c->r, c->node, what, x, &dims, c->err);
}

static struct lm_onnx_known *
turn(const struct turning *t, const char *what, struct lm_onnx_known *x)
{
	const struct reader *c = &t->c;
	int64_t half[2] = { t->turned / 2, t->turned / 2 }, one[2] = { 1, 1 };
	struct lm_onnx_known *p[2], *a, *b;

	if (t->interleaved)
		x = recut(c, "pairs", x, 3, t->turned / 2, 2);
	if (x == NULL || parts(c, "halves", x, t->interleaved ? one : half, 2, p) < 0)
		return NULL;
	a = two(c, "a", "sub", two(c, "a.x", "mul", p[0], t->cosine),
	    two(c, "a.y", "mul", p[1], t->sine));
	b = two(c, "b", "add", two(c, "b.x", "mul", p[0], t->sine),
	    two(c, "b.y", "mul", p[1], t->cosine));
	if (!t->interleaved)
		return joined(c, what, a, b);
	return recut(c, what, joined(c, "turned.pairs", a, b), 3, t->turned, 0);
}

/* [batch, heads, positions, elements], and how many of these are turned. */
static int
look_at_rows(struct turning *t)
{
	const struct reader *c = &t->c;
	int64_t heads, interleaved;

	t->x = lm_onnx_in(c->r, c->node, X);
	if (t->x == NULL || !t->x->ranked || t->x->dims.n < 3 || t->x->dims.n > 4 ||
	    lm_onnx_in(c->r, c->node, COSINES) == NULL || lm_onnx_in(c->r, c->node, SINES) == NULL)
		return lm_onnx_refuse(c->r, c->node, c->err,
		    "expected X of 3 or 4 axes, cos_cache and sin_cache");
	if (lm_onnx_int(c->node, "num_heads", 0, &heads, c->err) < 0 ||
	    lm_onnx_int(c->node, "interleaved", 0, &interleaved, c->err) < 0 ||
	    lm_onnx_int(c->node, "rotary_embedding_dim", 0, &t->turned, c->err) < 0)
		return -1;
	t->interleaved = interleaved != 0;
	t->rows = t->x->dims.n == 3;
	if (t->rows)
		t->x = headed(c, "heads", t->x, heads);
	if (t->x == NULL)
		return -1;
	t->d = lm_onnx_fixed(&t->x->dims.dim[3]);
	t->turned = t->turned > 0 ? t->turned : t->d;
	if (t->d < 2 || t->turned > t->d || t->turned % 2 != 0)
		return lm_onnx_refuse(c->r, c->node, c->err,
		    "%lld of %lld elements of a row are to be turned", (long long)t->turned,
		    (long long)t->d);
	return 0;
}

int
lm_onnx_from_rotary_embedding(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct loom_error *err)
{
	struct turning t = { .c = { r, node, err } };
	struct lm_onnx_known *part[2] = { NULL, NULL };
	const char *last;
	int64_t sizes[2];

	if (look_at_rows(&t) < 0)
		return -1;
	t.cosine = table(&t, COSINES, "cosine");
	t.sine = table(&t, SINES, "sine");
	part[0] = t.x;
	sizes[0] = t.turned;
	sizes[1] = t.d - t.turned;
	if (t.cosine == NULL || t.sine == NULL ||
	    (sizes[1] > 0 && parts(&t.c, "rows.parts", t.x, sizes, 2, part) < 0))
		return -1;
	last = t.rows ? "turned.rows" : NULL;
	if (sizes[1] == 0)
		t.x = turn(&t, last, part[0]);
	else
		t.x = joined(&t.c, last, turn(&t, "turned", part[0]), part[1]);
	if (t.rows)
		return give_rows(&t.c, t.x);
	return t.x != NULL ? 0 : -1;
}
