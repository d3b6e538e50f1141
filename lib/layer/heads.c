/* heads: attention of all heads of a few samples: rotary positions, masks, grouped keys. */
#include "layer/heads.h"

#include "num/rope.h"

enum { WORK = 1 << 16 }; /* products that are worth a thread */
enum { ANGLE = 32 };	 /* products that an angle is worth */

uint64_t
lm_extent(const struct lm_shape *s, unsigned from_end)
{
	return s->rank > from_end ? s->dim[s->rank - 1 - from_end] : 1;
}

size_t
lm_heads_floats(const struct lm_heads *h)
{
	return h->sq * h->heads * (h->head_dim + h->value_dim) +
	    h->sk * h->kv_heads * (h->head_dim + 2 * h->value_dim);
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
	size_t width = h->kv_heads * h->value_dim, i;

	(void)worker;
	for (; from < to; from++) {
		const float *v = h->v + from / width * h->sk * width + from % width;

		for (i = 0; i < h->sk; i++)
			h->t[from * h->sk + i] = v[i * width];
	}
}

/* ---- masks ---- */

/* Where the mask's row for a query of a head of a sample begins: the mask is broadcast. */
static size_t
mask_offset(const struct lm_heads *h, size_t sample, size_t head, size_t row)
{
	const struct lm_shape *m = h->mask->shape, *q = h->query->shape;
	size_t offset = 0, stride = (size_t)lm_extent(m, 0), index;
	unsigned i;

	for (i = 1; i < m->rank; i++) {
		index = i == 1 ? row : head;
		if (i > 2) {
			index = sample % (size_t)lm_extent(q, i - 1);
			sample /= (size_t)lm_extent(q, i - 1);
		}
		offset += lm_extent(m, i) > 1 ? index * stride : 0;
		stride *= (size_t)lm_extent(m, i);
	}
	return offset;
}

/* ---- queries ---- */

struct lm_attend
lm_heads_query(const struct lm_heads *h, size_t i, size_t head, size_t row)
{
	struct lm_attend a = h->attend;
	size_t group = head / (h->heads / h->kv_heads), size = a.kind == LM_ADD ? sizeof(float) : 1;

	a.q = h->q + ((i * h->sq + row) * h->heads + head) * h->head_dim;
	a.k = h->k + (i * h->sk * h->kv_heads + group) * h->head_dim;
	a.v = h->t + (i * h->kv_heads + group) * h->value_dim * h->sk;
	a.seen = h->causal ? row + 1 : h->sk;
	if (a.kind != LM_NO_MASK)
		a.mask = (const char *)h->mask->data +
		    mask_offset(h, h->first + i, head, row) * size;
	return a;
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
		    h->o + ((i * h->sq + row) * h->heads + head) * h->value_dim);
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
