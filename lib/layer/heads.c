/* heads: attention of all heads of a few samples: rotary positions, masks, grouped keys. */
#include "layer/heads.h"

#include <float.h>
#include <math.h>

#include "num/rope.h"

enum { WORK = 1 << 16 }; /* products that are worth a thread */
enum { ANGLE = 32 };	 /* products that an angle is worth */

const char *const lm_masks[] = { "none", "keep", "hide", "add", NULL };
const char *const lm_fills[] = { "-inf", "least", "-1e9", NULL };
const char *const lm_empties[] = { "zero", "nan", "error", NULL };

uint64_t
lm_extent(const struct lm_shape *s, unsigned from_end)
{
	return s->rank > from_end ? s->dim[s->rank - 1 - from_end] : 1;
}

/* The room of one query, or the cosines and sines of one position. */
size_t
lm_heads_part(const struct lm_heads *h)
{
	size_t room = lm_attend_room(h->sk), angles = (h->head_dim / 2) * 2 * sizeof(float);

	return room > angles ? room : angles;
}

static void *
part_of(const struct lm_heads *h, int worker)
{
	return h->part + (size_t)worker * lm_heads_part(h);
}

static size_t
grain(size_t work)
{
	return WORK / (work + 1) + 1;
}

/* Which vector of elements is that of a row of a head. */
static size_t
vector(const struct lm_heads *h, size_t sample, size_t rows, size_t heads, size_t row, size_t head)
{
	if (h->apart)
		return (sample * heads + head) * rows + row;
	return (sample * rows + row) * heads + head;
}

/* ---- rotary positions ---- */

struct turning {
	const struct lm_heads *heads;
	float *rows; /* [sample][position][head][element] */
	size_t positions, per_row;
};

static void
turn_rows(void *context, int worker, size_t from, size_t to)
{
	const struct turning *t = context;
	size_t d = t->heads->head_dim, i;
	float *cosine = part_of(t->heads, worker), *sine = cosine + d / 2;
	int interleaved = t->heads->rope == LM_ROPE_INTERLEAVED;

	for (; from < to; from++) {
		lm_rope_angles(cosine, sine, t->heads->frequency, d / 2, from % t->positions);
		for (i = 0; i < t->per_row; i++)
			lm_rope_turn(t->rows + (from * t->per_row + i) * d, d, cosine, sine,
			    interleaved);
	}
}

static void
turn(const struct lm_heads *h, float *rows, size_t positions, size_t per_row)
{
	struct turning t = { h, rows, positions, per_row };

	lm_pool_each(h->call->pool, h->count * positions, grain((per_row + ANGLE) * h->head_dim),
	    turn_rows, &t);
}

/* ---- values ---- */

/* A row for each element of each head of each sample: its values at all positions. */
static void
transpose_rows(void *context, int worker, size_t from, size_t to)
{
	const struct lm_heads *h = context;
	size_t step = (h->apart ? 1 : h->kv_heads) * h->value_dim, i;

	(void)worker;
	for (; from < to; from++) {
		size_t head = from / h->value_dim % h->kv_heads;
		size_t sample = from / h->value_dim / h->kv_heads;
		const float *v = h->v + from % h->value_dim +
		    vector(h, sample, h->sk, h->kv_heads, 0, head) * h->value_dim;

		for (i = 0; i < h->sk; i++)
			h->t[from * h->sk + i] = v[i * step];
	}
}

/* ---- masks ---- */

/* The extent of the scores' axis, counted from the end: [..., heads, sq, sk]. */
static uint64_t
score_extent(const struct lm_heads *h, unsigned from_end)
{
	if (from_end == 0)
		return h->sk;
	if (from_end == 1)
		return h->sq;
	return from_end == 2 ? h->heads : lm_extent(h->query, from_end - (h->apart ? 0 : 1));
}

static int
mask_fits(const struct lm_shaping *s, int kind, const struct lm_heads *h, struct loom_error *err)
{
	const struct lm_shape *m = &s->in[LM_MASK];
	unsigned i, rank = h->query->rank + (h->apart ? 0 : 1);

	if (m->dtype != lm_dtype_get(kind == LM_ADD ? LM_F32 : LM_BOOL))
		return lm_fail_input(s, LM_MASK, err, kind == LM_ADD ? "float32" : "bool");
	for (i = 0; i < m->rank; i++)
		if (i >= rank || (lm_extent(m, i) != 1 && lm_extent(m, i) != score_extent(h, i)))
			return lm_fail_input(s, LM_MASK, err,
			    "a shape that broadcasts to [..., %zu, %zu, %zu]", h->heads, h->sq,
			    h->sk);
	return 0;
}

int
lm_heads_mask(const struct lm_shaping *s, const struct lm_seeing *see, const struct lm_heads *h,
    struct loom_error *err)
{
	const struct lm_node *n = s->node;
	int kind = (int)n->param[see->mask].i, masked = kind != LM_NO_MASK;

	if (masked != (n->n_in > LM_MASK && n->in[LM_MASK] != LM_ABSENT))
		return lm_fail(err, LOOM_ESHAPE, "layer %s (%s): mask is %s, but %s mask is given",
		    n->name, n->op->name, lm_masks[kind], masked ? "no" : "a");
	return masked ? mask_fits(s, kind, h, err) : 0;
}

/* Where the mask's row for a query of a head of a sample begins: the mask is broadcast. */
static size_t
mask_offset(const struct lm_heads *h, size_t sample, size_t head, size_t row)
{
	const struct lm_shape *m = h->mask->shape;
	size_t offset = 0, stride = (size_t)lm_extent(m, 0), index;
	unsigned i;

	for (i = 1; i < m->rank; i++) {
		index = i == 1 ? row : head;
		if (i > 2) {
			index = sample % (size_t)score_extent(h, i);
			sample /= (size_t)score_extent(h, i);
		}
		offset += lm_extent(m, i) > 1 ? index * stride : 0;
		stride *= (size_t)lm_extent(m, i);
	}
	return offset;
}

/* ---- parameters ---- */

int
lm_heads_check(const struct lm_node *n, const struct lm_seeing *see, struct loom_error *err)
{
	double scale = n->param[see->scale].real;

	if (!isnan(scale) && !(fabs(scale) >= 0x1p-500 && fabs(scale) <= 0x1p500))
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): scale is %.17g, expected 2^-500 to 2^500 in magnitude", n->name,
		    n->op->name, scale);
	return 0;
}

void
lm_heads_start(struct lm_heads *h, const struct lm_call *c, const struct lm_seeing *see)
{
	const union lm_value *p = c->node->param;
	struct lm_attend a = { .kernels = c->kernels,
		.keys = h->sk,
		.head_dim = h->head_dim,
		.value_dim = h->value_dim,
		.k_step = (h->apart ? 1 : h->kv_heads) * h->head_dim,
		.scale = p[see->scale].real,
		.kind = (enum lm_mask)p[see->mask].i };

	h->call = c;
	h->mask = c->node->n_in > LM_MASK ? &c->in[LM_MASK] : NULL;
	h->causal = (int)p[see->causal].i;
	if (isnan(a.scale))
		a.scale = 1 / sqrt((double)h->head_dim);
	if (a.kind != LM_NO_MASK)
		a.mask_step = lm_extent(h->mask->shape, 0) > 1;
	a.filled = p[see->fill].i != LM_FILL_LEFT_OUT;
	a.fill = p[see->fill].i == LM_FILL_LEAST ? -(double)FLT_MAX : -1e9;
	a.empty = p[see->empty].i == LM_EMPTY_NAN ? NAN : 0;
	h->attend = a;
}

/* ---- queries ---- */

struct lm_attend
lm_heads_query(const struct lm_heads *h, size_t i, size_t head, size_t row)
{
	struct lm_attend a = h->attend;
	size_t group = head / (h->heads / h->kv_heads), size = a.kind == LM_ADD ? sizeof(float) : 1;

	a.q = h->q + vector(h, i, h->sq, h->heads, row, head) * h->head_dim;
	a.k = h->k + vector(h, i, h->sk, h->kv_heads, 0, group) * h->head_dim;
	a.v = h->t + (i * h->kv_heads + group) * h->value_dim * h->sk;
	a.seen = h->causal ? row + 1 : h->sk;
	if (a.kind != LM_NO_MASK)
		a.mask = (const char *)h->mask->data +
		    mask_offset(h, h->first + i, head, row) * size;
	return a;
}

int
lm_heads_seen(const struct lm_heads *h, const struct lm_seeing *see, struct loom_error *err)
{
	const struct lm_node *n = h->call->node;
	size_t rows = h->batch * h->heads * h->sq, r, row, head;
	struct lm_heads at = *h;
	struct lm_attend a;

	if (n->param[see->empty].i != LM_EMPTY_ERROR || h->attend.kind == LM_NO_MASK)
		return 0;
	for (r = 0; r < rows; r++) {
		row = r % h->sq;
		head = r / h->sq % h->heads;
		at.first = r / h->sq / h->heads;
		a = lm_heads_query(&at, 0, head, row);
		if (!lm_attend_any(&a))
			return lm_fail(err, LOOM_ESHAPE,
			    "layer %s (%s): query %zu of head %zu in sample %zu sees no key, and "
			    "empty is error",
			    n->name, n->op->name, row, head, at.first);
	}
	return 0;
}

static void
attend_rows(void *context, int worker, size_t from, size_t to)
{
	const struct lm_heads *h = context;

	for (; from < to; from++) {
		size_t row = from % h->sq, head = from / h->sq % h->heads;
		size_t i = from / h->sq / h->heads;
		struct lm_attend a = lm_heads_query(h, i, head, row);

		a.counts = &h->call->counts[worker];
		lm_attend(&a, part_of(h, worker),
		    h->o + vector(h, i, h->sq, h->heads, row, head) * h->value_dim);
	}
}

void
lm_heads_run(struct lm_heads *h)
{
	struct lm_pool *pool = h->call->pool;

	if (h->rope != LM_ROPE_NONE) {
		turn(h, h->q, h->sq, h->heads);
		turn(h, h->k, h->sk, h->kv_heads);
	}
	lm_pool_each(pool, h->count * h->kv_heads * h->value_dim, grain(h->sk), transpose_rows, h);
	lm_pool_each(pool, h->count * h->heads * h->sq, grain(h->sk * (h->head_dim + h->value_dim)),
	    attend_rows, h);
}
