/* heads: attention of all heads of a few samples: rotary positions, masks, grouped keys. */
#include "layer/heads.h"

#include <float.h>
#include <math.h>

#include "num/rope.h"

enum {
	WORK = 1 << 21, /* products that are worth a thread */
	ANGLE = 32,	/* products that an angle is worth */
	PACKED = 4	/* queries that keys are put into panels for */
};

const char *const lm_masks[] = { "none", "keep", "hide", "add", NULL };
const char *const lm_fills[] = { "-inf", "least", "-1e9", NULL };
const char *const lm_empties[] = { "zero", "nan", "error", NULL };

uint64_t
lm_extent(const struct lm_shape *s, unsigned from_end)
{
	return s->rank > from_end ? s->dim[s->rank - 1 - from_end] : 1;
}

/* ---- what is to be done ---- */

/* Queries that have the same keys, a line of them, and how it is cut into blocks. */
struct lines {
	const struct lm_heads *heads;
	int across; /* those of the heads of a group at one position; else of one head at all */
	size_t queries, block, blocks;
};

static struct lines
lines_of(const struct lm_heads *h)
{
	struct lines l = { h, h->sq == 1, h->sq, 0, 0 };

	if (l.across)
		l.queries = h->heads / h->kv_heads;
	l.block = lm_attend_queries(h->keys.positions, l.queries);
	l.blocks = (l.queries + l.block - 1) / l.block;
	return l;
}

void
lm_heads_fit(struct lm_heads *h)
{
	size_t queries = h->sq * (h->heads / h->kv_heads);

	h->keys.positions = h->most > 0 ? h->most : h->sk;
	h->keys.head_dim = h->head_dim;
	h->keys.value_dim = h->value_dim;
	h->keys.kept = h->most > 0;
	h->keys.rows = h->most == 0 && queries < PACKED;
	h->keys.along = h->most == 0 && queries == 1;
}

size_t
lm_heads_keys(const struct lm_heads *h)
{
	return h->kv_heads * lm_keys_size(&h->keys);
}

/* The room of a block of queries, or the cosines and sines of one position. */
size_t
lm_heads_part(const struct lm_heads *h)
{
	struct lines l = lines_of(h);
	size_t room = lm_attend_room(l.block, h->keys.positions);
	size_t angles = (h->head_dim / 2) * 2 * sizeof(float);

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
		lm_rope_angles(cosine, sine, t->heads->frequency, d / 2,
		    t->heads->before + from % t->positions);
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
		.keys = h->before + h->sk,
		.scale = p[see->scale].real,
		.kind = (enum lm_mask)p[see->mask].i };

	h->call = c;
	h->kept = c->kept;
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

/* ---- keys ---- */

/* Keys and values of a head that come with this call; group counts the heads of all samples. */
static struct lm_incoming
incoming(const struct lm_heads *h, size_t group)
{
	size_t at = vector(h, group / h->kv_heads, h->sk, h->kv_heads, 0, group % h->kv_heads);
	size_t side = h->apart ? 1 : h->kv_heads;

	return (struct lm_incoming){ .before = h->before,
		.n = h->sk,
		.k = h->k + at * h->head_dim,
		.k_step = side * h->head_dim,
		.v = h->v + at * h->value_dim,
		.v_step = side * h->value_dim };
}

static void
add_keys(void *context, int worker, size_t from, size_t to)
{
	const struct lm_heads *h = context;
	struct lm_incoming in;

	(void)worker;
	for (; from < to; from++) {
		in = incoming(h, from);
		lm_keys_add(&h->keys, from, &in, h->call->kernels);
	}
}

/* ---- pieces ---- */

int
lm_heads_pieces(const struct lm_pieces *p, const struct lm_seeing *see)
{
	const struct lm_node *n = p->node;
	size_t i;

	for (i = 0; i < n->n_in; i++)
		if (n->in[i] != LM_ABSENT && p->in_at[i] + 2 != p->in[i].rank)
			return 0;
	return !p->varies && n->param[see->causal].i && n->param[see->mask].i == LM_NO_MASK;
}

int
lm_heads_kept(const struct lm_heads *h, const struct lm_node *n, size_t *bytes,
    struct loom_error *err)
{
	double most = (double)h->most * (double)h->kv_heads * (double)h->batch *
	    (double)(h->head_dim + h->value_dim + 64);

	if (most > (double)(SIZE_MAX / 64))
		return lm_fail(err, LOOM_ENOMEM, "no memory for the keys of %s", n->name);
	*bytes = h->batch * lm_heads_keys(h);
	return 0;
}

/* ---- queries ---- */

static struct lm_sight
sight(const struct lm_heads *h, size_t sample, size_t head, size_t row)
{
	size_t size = h->attend.kind == LM_ADD ? sizeof(float) : 1;
	struct lm_sight s = { .seen = h->causal ? h->before + row + 1 : h->sk };

	if (h->attend.kind != LM_NO_MASK)
		s.mask = (const char *)h->mask->data + mask_offset(h, sample, head, row) * size;
	return s;
}

int
lm_heads_seen(const struct lm_heads *h, const struct lm_seeing *see, struct loom_error *err)
{
	const struct lm_node *n = h->call->node;
	size_t rows = h->batch * h->heads * h->sq, r, row, head, sample;
	struct lm_sight s;

	if (n->param[see->empty].i != LM_EMPTY_ERROR || h->attend.kind == LM_NO_MASK)
		return 0;
	for (r = 0; r < rows; r++) {
		row = r % h->sq;
		head = r / h->sq % h->heads;
		sample = r / h->sq / h->heads;
		s = sight(h, sample, head, row);
		if (!lm_attend_any(&h->attend, &s))
			return lm_fail(err, LOOM_ESHAPE,
			    "layer %s (%s): query %zu of head %zu in sample %zu sees no key, and "
			    "empty is error",
			    n->name, n->op->name, row, head, sample);
	}
	return 0;
}

/* Queries of the i-th sample at hand, the first of them that of a row of a head. */
static void
attend_block(const struct lines *l, int worker, size_t i, size_t head, size_t row, size_t n)
{
	const struct lm_heads *h = l->heads;
	size_t at = vector(h, i, h->sq, h->heads, row, head), j;
	size_t step = l->across || h->apart ? 1 : h->heads;
	size_t group = i * h->kv_heads + head / (h->heads / h->kv_heads);
	struct lm_incoming in = incoming(h, group);
	struct lm_attend a = h->attend;

	a.counts = &h->call->counts[worker];
	a.room = lm_call_room(h->call, worker);
	a.k = lm_keys_of(&h->keys, group, &in);
	a.v = lm_values_of(&h->keys, group, &in);
	a.norms = lm_keys_norms(&h->keys, group);
	a.queries = n;
	a.q = h->q + at * h->head_dim;
	a.q_step = step * h->head_dim;
	a.o = h->o + at * h->value_dim;
	a.o_step = step * h->value_dim;
	for (j = 0; j < n; j++)
		a.sight[j] = l->across ? sight(h, h->first + i, head + j, row)
				       : sight(h, h->first + i, head, row + j);
	lm_attend(&a, part_of(h, worker));
}

static void
attend_blocks(void *context, int worker, size_t from, size_t to)
{
	const struct lines *l = context;
	const struct lm_heads *h = l->heads;
	size_t heads = l->across ? h->kv_heads : h->heads, line, first, n, head;

	for (; from < to; from++) {
		line = from / l->blocks;
		first = from % l->blocks * l->block;
		n = l->queries - first < l->block ? l->queries - first : l->block;
		head = line % heads;
		if (l->across)
			attend_block(l, worker, line / heads, head * l->queries + first, 0, n);
		else
			attend_block(l, worker, line / heads, head, first, n);
	}
}

void
lm_heads_run(struct lm_heads *h)
{
	struct lm_pool *pool = h->call->pool;
	struct lines l = lines_of(h);

	if (h->kept != NULL)
		h->keys.memory = h->kept + h->first * lm_heads_keys(h);
	if (h->rope != LM_ROPE_NONE) {
		turn(h, h->q, h->sq, h->heads);
		turn(h, h->k, h->sk, h->kv_heads);
	}
	lm_pool_each(pool, h->count * h->kv_heads, grain(h->sk * (h->head_dim + h->value_dim)),
	    add_keys, h);
	lm_pool_each(pool, h->count * h->heads * h->sq / l.queries * l.blocks,
	    grain(l.block * h->sk * (h->head_dim + h->value_dim)), attend_blocks, &l);
}
