/* Measures do not depend on how blocks meet, and the order of numbers is counted right. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/measure.h"
#include "model/ordinal.h"
#include "num/bytes.h"

/* Any sequence will do, if it is always the same. */
static uint32_t
draw(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33);
}

enum { COUNT = 5 * LM_BLOCK / 2 };

/* ---- order ---- */

static double
half(unsigned u)
{
	return (double)lm_f16_decode((uint16_t)u);
}

/* Every finite binary16 against its successor, and against a fixed number by counting bit patterns. */
static void
counts_halves(void)
{
	const struct lm_dtype *f16 = lm_dtype_get(LM_F16);
	unsigned char a[2], b[2];
	double x, y;
	unsigned u;

	for (u = 0; u < 0x7bff; u++) {
		lm_put_u16(a, (uint16_t)u);
		lm_put_u16(b, (uint16_t)(u + 1));
		x = half(u);
		y = half(u + 1);
		assert(lm_ordinal_same(f16, a, b, 1) == 1);
		assert(lm_ordinal_mixed(f16, &x, &y, 1) == 1);
		lm_put_u16(b, 0x8001);
		y = half(0x8001);
		assert(lm_ordinal_same(f16, a, b, 1) == u + 1);
		assert(lm_ordinal_mixed(f16, &x, &y, 1) == u + 1);
	}
}

/* Rounded to binary16 first: a tie goes to even, 65520 is the first that becomes infinite. */
static void
rounds_first(void)
{
	const struct lm_dtype *f16 = lm_dtype_get(LM_F16);
	static const struct {
		double a, b;
		uint64_t steps;
	} rows[] = {
		{ 1 + 0x1p-11, 1, 0 },
		{ 1 + 0x1p-11 + 0x1p-50, 1, 1 },
		{ 1 + 3 * 0x1p-11, 1, 2 },
		{ 0x1p-25, 0, 0 },
		{ 0x1p-25 + 0x1p-70, 0, 1 },
		{ 65519.9, 65504, 0 },
		{ 65520, 65504, 1 },
		{ 1e300, 65504, 1 },
		{ -0.0, 0.0, 0 },
		{ -65504, 65504, 2 * 0x7bff },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert(lm_ordinal_mixed(f16, &rows[i].a, &rows[i].b, 1) == rows[i].steps);
		assert(lm_ordinal_mixed(f16, &rows[i].b, &rows[i].a, 1) == rows[i].steps);
	}
	assert(lm_ordinal_mixed(NULL, &rows[1].a, &rows[1].b, 1) == 0);
}

/* The fast way for binary32 and binary64 against the slow one, at every length and alignment. */
static void
fast_as_slow(void)
{
	enum { MOST = 19 };
	unsigned char room[2][8 * MOST + 8], *a, *b;
	double x[MOST], y[MOST];
	size_t n, at, i;

	for (n = 0; n < MOST; n++)
		for (at = 0; at < 8; at++) {
			a = room[0] + at;
			b = room[1] + (at * 3) % 8;
			for (i = 0; i < n; i++) {
				lm_put_u32(a + 4 * i, draw() & 0xbfffffff);
				lm_put_u32(b + 4 * i, draw() & 0xbfffffff);
				x[i] = (double)lm_get_f32(a + 4 * i);
				y[i] = (double)lm_get_f32(b + 4 * i);
			}
			assert(lm_ordinal_same(lm_dtype_get(LM_F32), a, b, n) ==
			    lm_ordinal_mixed(lm_dtype_get(LM_F32), x, y, n));
			for (i = 0; i < n; i++) {
				x[i] = ldexp((double)draw(), (int)(draw() % 600) - 300);
				y[i] = -x[i] * (double)draw();
				lm_put_f64(a + 8 * i, x[i]);
				lm_put_f64(b + 8 * i, y[i]);
			}
			assert(lm_ordinal_same(lm_dtype_get(LM_F64), a, b, n) ==
			    lm_ordinal_mixed(lm_dtype_get(LM_F64), x, y, n));
		}
}

/* ---- blocks ---- */

static void
fill(unsigned char *a, unsigned char *b, size_t n)
{
	float v;
	size_t i;

	for (i = 0; i < n; i++) {
		v = (float)draw() * 0x1p-31f - 0.5f;
		lm_put_f32(a + 4 * i, v);
		lm_put_f32(b + 4 * i, draw() % 3 ? v : v + (float)draw() * 0x1p-50f);
	}
}

static void
measure(const struct lm_measuring *with, const unsigned char *a, const unsigned char *b, size_t n,
    struct lm_measure *total)
{
	struct lm_measure block;
	size_t i, m, size = with->a->bits / 8;

	memset(total, 0, sizeof(*total));
	for (i = 0; i < n; i += m) {
		m = n - i < LM_BLOCK ? n - i : LM_BLOCK;
		lm_measure_block(with, a + i * size, b + i * (with->b->bits / 8), m, &block);
		lm_measure_add(total, &block, i);
	}
}

/* The same numbers as binary64, where other code reads them, give the same sums and places. */
static void
widening_changes_nothing(const unsigned char *a, const unsigned char *b, size_t n)
{
	struct lm_measuring with = { .a = lm_dtype_get(LM_F32), .b = lm_dtype_get(LM_F32) };
	unsigned char *wide = malloc(8 * n);
	struct lm_measure one, two;
	size_t i;

	assert(wide != NULL);
	for (i = 0; i < n; i++)
		lm_put_f64(wide + 8 * i, (double)lm_get_f32(b + 4 * i));
	measure(&with, a, b, n, &one);
	with.b = lm_dtype_get(LM_F64);
	measure(&with, a, wide, n, &two);
	assert(memcmp(&one, &two, sizeof(one)) == 0);
	assert(one.values == n && one.unlike > 0 && one.max_abs > 0 && one.max_ulp > 0);
	free(wide);
}

/* One NaN sends its neighbours the careful way, which must add them up alike. */
static void
care_changes_nothing(unsigned char *a, unsigned char *b, size_t n)
{
	struct lm_measuring with = { .a = lm_dtype_get(LM_F32), .b = lm_dtype_get(LM_F32) };
	struct lm_measure one, two;
	size_t at = LM_BLOCK + 7;

	lm_put_f32(a + 4 * at, 0);
	lm_put_f32(b + 4 * at, 0);
	measure(&with, a, b, n, &one);
	lm_put_u32(b + 4 * at, 0x7fc00000);
	measure(&with, a, b, n, &two);
	assert(two.no_difference == 1 && two.no_difference_at == at);
	assert(two.unlike == one.unlike + 1 && two.max_abs == one.max_abs);
	assert(two.max_abs_at == one.max_abs_at && two.max_ulp == one.max_ulp);
	assert(two.max_rel == one.max_rel && two.max_b == one.max_b);
	assert(memcmp(two.sum, one.sum, sizeof(one.sum)) == 0);
	assert(memcmp(two.rest, one.rest, sizeof(one.rest)) == 0);
	lm_put_f32(b + 4 * at, 0);
}

/* The greatest of b alone is what the pass over both finds. */
static void
greatest_agrees(const unsigned char *a, const unsigned char *b, size_t n)
{
	struct lm_measuring with = { .a = lm_dtype_get(LM_F32), .b = lm_dtype_get(LM_F32) };
	struct lm_measure m;

	measure(&with, a, b, n, &m);
	assert(lm_measure_greatest(with.b, b, n) == m.max_b && m.max_b > 0);
}

int
main(void)
{
	unsigned char *a = malloc(4 * COUNT), *b = malloc(4 * COUNT);

	assert(a != NULL && b != NULL);
	counts_halves();
	rounds_first();
	fast_as_slow();
	fill(a, b, COUNT);
	widening_changes_nothing(a, b, COUNT - 3);
	care_changes_nothing(a, b, COUNT - 3);
	greatest_agrees(a, b, COUNT - 3);
	free(a);
	free(b);
	return 0;
}
