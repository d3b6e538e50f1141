/*
 * keys: keys in panels and values in rows are those that came, however they were cut, with norms that
 * are no less than theirs.
 */
#include "layer/keys.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vectors.h"

enum { LONG = 53, DIM = 40, HEADS = 2 };

static float k[HEADS * LONG * DIM], v[HEADS * LONG * DIM];

/* Of the positions of a head, which lie side by side with those of the other. */
static struct lm_incoming
incoming(const struct lm_keys *keys, size_t head, size_t before, size_t n)
{
	return (struct lm_incoming){ .before = before,
		.n = n,
		.k = k + (before * HEADS + head) * keys->head_dim,
		.k_step = HEADS * keys->head_dim,
		.v = v + (before * HEADS + head) * keys->value_dim,
		.v_step = HEADS * keys->value_dim };
}

static float
value_at(const struct lm_matrix *m, size_t row, size_t i)
{
	if (m->panels == NULL)
		return m->rows[row * m->step + i];
	return m->panels[row / LM_PANEL * m->apart + i * m->stride + row % LM_PANEL];
}

/* The norm of a row is that of its values, but for roundings; behind the last row there is none. */
static void
check_norms(const struct lm_matrix *m)
{
	size_t r, i, whole = (m->n + LM_PANEL - 1) / LM_PANEL * LM_PANEL;
	double square;

	for (r = 0; m->norm != NULL && r < whole; r++) {
		for (square = 0, i = 0; r < m->n && i < m->k; i++)
			square += (double)value_at(m, r, i) * value_at(m, r, i);
		assert(fabs(m->norm[r] - sqrt(square)) <= 0x1p-40 * m->norm[r]);
	}
}

static void
check_head(const struct lm_keys *keys, size_t head, size_t positions,
    const struct lm_incoming *last)
{
	struct lm_matrix mk = lm_keys_of(keys, head, last), mv = lm_values_of(keys, head, last);
	struct lm_incoming all = incoming(keys, head, 0, positions);
	size_t p, i;

	assert(mk.n == positions && mk.k == keys->head_dim);
	assert(mv.k == positions && mv.n == keys->value_dim);
	for (p = 0; p < positions; p++) {
		for (i = 0; i < keys->head_dim; i++)
			assert(value_at(&mk, p, i) == all.k[p * all.k_step + i]);
		for (i = 0; i < keys->value_dim; i++)
			assert(value_at(&mv, i, p) == all.v[p * all.v_step + i]);
	}
	assert(mk.norm != NULL || keys->rows);
	check_norms(&mk);
	check_norms(&mv);
	assert((mv.norm == NULL) == keys->along);
	assert((lm_keys_norms(keys, head) != NULL) == keys->along);
}

/* Pieces of so many positions; after each all is there. */
static void
check_cut(const struct lm_keys *keys, size_t piece, const struct lm_kernels *set)
{
	size_t head, from, n;
	struct lm_incoming in;

	for (from = 0; from < LONG; from += n) {
		n = piece < LONG - from ? piece : LONG - from;
		for (head = 0; head < HEADS; head++) {
			in = incoming(keys, head, from, n);
			lm_keys_add(keys, head, &in, set);
		}
		for (head = 0; head < HEADS; head++) {
			in = incoming(keys, head, from, n);
			check_head(keys, head, from + n, &in);
		}
	}
}

/* What is in the memory from before must not matter. */
static size_t
check_dims(size_t head_dim, size_t value_dim)
{
	struct lm_keys keys = { LONG, head_dim, value_dim, 0, 0, 0, NULL };
	const struct lm_kernels *set;
	size_t i, piece, checked = 0;

	for (i = 0; (set = lm_kernels_at(i)) != NULL; i++)
		for (piece = 1; piece <= LONG; piece += 4, checked++) {
			keys.kept = piece < LONG;
			keys.rows = piece == LONG && i % 2 == 0;
			keys.along = piece == LONG && i % 3 == 0;
			keys.memory = aligned_alloc(64, HEADS * lm_keys_size(&keys));
			assert(keys.memory != NULL && lm_keys_size(&keys) % 64 == 0);
			memset(keys.memory, 0xff, HEADS * lm_keys_size(&keys));
			check_cut(&keys, piece, set);
			free(keys.memory);
		}
	return checked;
}

int
main(void)
{
	uint64_t seed = 21;
	size_t i, checked = 0;

	for (i = 0; i < HEADS * LONG * DIM; i++) {
		k[i] = draw(&seed);
		v[i] = draw(&seed);
	}
	checked += check_dims(1, 16);
	checked += check_dims(5, 3);
	checked += check_dims(40, 32);
	checked += check_dims(16, 40);
	printf("keys: %zu ways to cut\n", checked);
	return 0;
}
