/*
 * attend: scaled_dot_product_attention by every kernel set against its definition written as it reads,
 * with sums by the exact accumulator: sizes about the edges of blocks and panels, masks of every
 * kind with holes anywhere, values that are not finite.
 */
#include <float.h>
#include <math.h>

#include "node.h"
#include "num/func.h"
#include "vectors.h"

enum { MOST = 1 << 17, MOST_KEYS = 2100 };
enum { NONE, KEEP, HIDE, ADD };

struct tried {
	size_t batch, heads, groups, sq, sk, e, v;
	int causal, mask, fill;
};

static float q[MOST], k[MOST], v[MOST * 2], y[MOST], expected[MOST], added[MOST * 8];
static unsigned char flags[MOST * 8];
static uint64_t seed = 11;

/* ---- the definition ---- */

/* LANE16, a lane at a time. */
static double
lanes(const float *w, size_t n)
{
	double lane[16] = { 0 };
	size_t i, h;

	for (i = 0; i < n; i++)
		lane[i % 16] += w[i];
	for (h = 8; h > 0; h /= 2)
		for (i = 0; i < h; i++)
			lane[i] += lane[i + h];
	return lane[0];
}

static int
is_hidden(const struct tried *t, size_t row, size_t key)
{
	if (t->causal && key > row % t->sq)
		return 1;
	if (t->mask == KEEP)
		return !flags[row * t->sk + key];
	return t->mask == HIDE && flags[row * t->sk + key];
}

/* The row-th of all queries. */
static void
attend(const struct tried *t, size_t row, float *o)
{
	static double s[MOST_KEYS];
	static float w[MOST_KEYS], column[MOST_KEYS];
	static size_t keys[MOST_KEYS];
	size_t group = row / t->sq / (t->heads / t->groups), n = 0, i, d;
	double most = -HUGE_VAL;

	for (i = 0; i < t->sk; i++) {
		int hidden = is_hidden(t, row, i);

		if (hidden && t->fill == 0)
			continue;
		s[n] = lm_xdotw_exact(q + row * t->e, k + (group * t->sk + i) * t->e, t->e, NULL, 0,
		    1 / sqrt((double)t->e));
		if (t->mask == ADD && !hidden)
			s[n] += added[row * t->sk + i];
		if (hidden)
			s[n] = t->fill == 1 ? -(double)FLT_MAX : -1e9;
		most = s[n] > most ? s[n] : most;
		keys[n++] = i;
	}
	for (i = 0; i < n; i++)
		w[i] = lm_exp((float)(s[i] - most));
	for (d = 0; d < t->v; d++) {
		for (i = 0; i < n; i++)
			column[i] = v[(group * t->sk + keys[i]) * t->v + d];
		o[d] = n == 0 ? 0 : lm_xdot_exact(w, column, n, NULL, 0, 1 / lanes(w, n));
	}
}

/* ---- the operation ---- */

static struct lm_shape
shape(int dtype, size_t batch, size_t heads, size_t positions, size_t elements)
{
	return (struct lm_shape){ lm_dtype_get(dtype), 4, { batch, heads, positions, elements } };
}

static size_t
compare(const struct tried *t, const struct lm_kernels *set)
{
	size_t n = t->batch * t->heads * t->sq * t->v, i;

	for (i = 0; i < n; i++) {
		if (lm_bits32(y[i]) == lm_bits32(expected[i]) ||
		    (isnan(y[i]) && isnan(expected[i])))
			continue;
		fprintf(stderr,
		    "%s: heads %zu/%zu sq %zu sk %zu e %zu v %zu causal %d mask %d fill %d: "
		    "[%zu] is %a, not %a\n",
		    set->name, t->heads, t->groups, t->sq, t->sk, t->e, t->v, t->causal, t->mask,
		    t->fill, i, (double)y[i], (double)expected[i]);
		exit(1);
	}
	return n;
}

static size_t
try_all(const struct tried *t)
{
	struct lm_shape s[4] = { shape(LM_F32, t->batch, t->heads, t->sq, t->e),
		shape(LM_F32, t->batch, t->groups, t->sk, t->e),
		shape(LM_F32, t->batch, t->groups, t->sk, t->v),
		shape(t->mask == ADD ? LM_F32 : LM_BOOL, t->batch, t->heads, t->sq, t->sk) };
	struct lm_array in[4] = { { &s[0], q }, { &s[1], k }, { &s[2], v },
		{ &s[3], t->mask == ADD ? (void *)added : flags } };
	size_t rows = t->batch * t->heads * t->sq, checked = 0, named[4] = { 0, 1, 2, 3 }, i;
	static struct alone o;

	assert(rows * t->v <= MOST && rows * t->e <= MOST && rows * t->sk <= MOST * 8);
	assert(t->batch * t->groups * t->sk * (t->e > t->v ? t->e : t->v) <= MOST);
	for (i = 0; i < rows; i++)
		attend(t, i, expected + i * t->v);
	alone_start(&o, "scaled_dot_product_attention", t->mask == NONE ? 3 : 4);
	o.node.in = named;
	o.node.param[alone_param(&o, "scale")].real = NAN;
	alone_int(&o, "causal", t->causal);
	alone_int(&o, "mask", t->mask);
	alone_int(&o, "fill", t->fill);
	for (i = 0; lm_kernels_at(i) != NULL; i++) {
		alone_use(&o, i);
		assert(alone_run(&o, in, s, y, 1 + 2 * (int)(i % 2)) == 0);
		checked += compare(t, o.kernels);
	}
	return checked;
}

/* Few keys left, holes of every length, or nearly all: from row to row. */
static void
draw_masks(size_t n)
{
	uint32_t odds = 2;
	size_t i;

	for (i = 0; i < n; i++) {
		if (i % 37 == 0)
			odds = 1 + draw_bits(&seed) % 9;
		flags[i] = draw_bits(&seed) % 10 < odds;
		added[i] = draw_bits(&seed) % 10 < odds / 2 ? -HUGE_VALF : draw(&seed);
	}
}

static void
draw_all(void)
{
	size_t i;

	for (i = 0; i < MOST; i++) {
		q[i] = 2 * draw(&seed);
		k[i] = 2 * draw(&seed);
		v[i] = draw(&seed);
	}
	draw_masks(MOST * 8);
}

/* ---- cases ---- */

/* Rows about a tile's and a block's, keys about a panel's. */
static size_t
check_edges(void)
{
	static const size_t rows[] = { 1, 2, 13, 14, 15, 29, 57 };
	static const size_t keys[] = { 1, 15, 16, 17, 33, 57 };
	size_t i, j, checked = 0;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		for (j = 0; j < sizeof keys / sizeof *keys; j++) {
			struct tried t = { 1, 2, 1, rows[i], keys[j], 7, 3 + 13 * (j % 2), 0,
				(int)(i + j) % 4, (int)(i * 2 + j) / 4 % 3 };

			checked += try_all(&t);
			t.causal = rows[i] == keys[j];
			checked += t.causal ? try_all(&t) : 0;
		}
	return checked;
}

/* Masks and fills of every kind, causal and not, across the borders of blocks. */
static size_t
check_masks(void)
{
	size_t checked = 0, i;

	for (i = 0; i < 4 * 3 * 2; i++) {
		struct tried t = { 2, 4, 2, 75, 75, 5, 6 + 10 * (i / 4 % 2), i >= 12, (int)(i % 4),
			(int)(i / 4 % 3) };

		checked += try_all(&t);
	}
	return checked;
}

/* So many keys that fewer queries go together; one query; heads of a group at one position. */
static size_t
check_long(void)
{
	static const struct tried tries[] = { { 1, 1, 1, 33, 2050, 3, 2, 0, KEEP, 0 },
		{ 1, 1, 1, 16, 2050, 4, 16, 0, NONE, 0 }, { 1, 1, 1, 1, 2050, 8, 5, 0, HIDE, 0 },
		{ 2, 3, 3, 1, 300, 64, 64, 0, NONE, 0 }, { 1, 6, 2, 1, 300, 64, 64, 0, ADD, 0 },
		{ 1, 63, 1, 1, 20, 3, 2, 0, KEEP, 0 }, { 1, 10, 1, 3, 3, 3, 2, 1, NONE, 0 } };
	size_t checked = 0, i;

	for (i = 0; i < sizeof tries / sizeof *tries; i++)
		checked += try_all(&tries[i]);
	return checked;
}

/* Infinities and NaNs among values, keys and queries: only what sees them is not finite. */
static size_t
check_special(void)
{
	static const float kinds[3] = { HUGE_VALF, -HUGE_VALF, NAN };
	size_t checked = 0, i;

	for (i = 0; i < 24; i++) {
		int lone = i >= 12; /* a query for each head of keys */
		struct tried t = { 1, 2, lone ? 2 : 1, lone ? 1 : 40, 40, 6, 5 + 11 * (i % 2),
			!lone && i % 3 == 0, (int)(i % 4), i % 12 < 8 ? 0 : 2 };

		v[draw_bits(&seed) % (40 * t.v)] = kinds[i % 3];
		v[draw_bits(&seed) % (40 * t.v)] = kinds[i / 4 % 3];
		if (i % 2 == 0)
			k[draw_bits(&seed) % (40 * t.e)] = kinds[i % 3];
		if (i % 4 == 0)
			q[draw_bits(&seed) % (2 * t.sq * t.e)] = kinds[i / 4 % 3];
		checked += try_all(&t);
		draw_all();
	}
	return checked;
}

int
main(void)
{
	size_t edges, masks, long_ones, special;

	draw_all();
	edges = check_edges();
	masks = check_masks();
	long_ones = check_long();
	special = check_special();
	printf("attend: %zu outputs at edges, %zu with masks, %zu of many keys, %zu special\n",
	    edges, masks, long_ones, special);
	return 0;
}
