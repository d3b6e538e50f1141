/*
 * measure: how far two arrays are apart.  Both sides are widened to binary64 a few KiB at a time; the
 * usual case, finite values, has no branch per value, and what it finds unusual is done again with care.
 */
#include "model/measure.h"

#include <math.h>
#include <string.h>

#include "model/ordinal.h"
#include "num/bytes.h"

enum { STEP = 1024, LANES = 4 };

typedef double v2d __attribute__((vector_size(16)));
typedef int64_t v2i __attribute__((vector_size(16)));

/* A few values of either side; places past n hold zeros.  The second half of 64-bit integers is low. */
struct step {
	double x[STEP] __attribute__((aligned(16))), y[STEP] __attribute__((aligned(16)));
	double x_low[STEP], y_low[STEP];
	size_t n;
	uint64_t first; /* place of x[0] in the block */
};

struct lanes {
	double p[LM_SUMS][LANES] __attribute__((aligned(16)));
};

/* ---- widening ---- */

static int
is_wide(const struct lm_dtype *dtype)
{
	return dtype->bits == 64 && dtype->kind != LM_FLOATING;
}

/* high + low is the integer: neither half is rounded. */
static void
widen_integers(double *high, double *low, const struct lm_dtype *dtype, const unsigned char *src,
    size_t n)
{
	uint64_t u;
	size_t i;

	for (i = 0; i < n; i++) {
		u = lm_get_u64(src + 8 * i);
		low[i] = (double)(u & 0xffffffffu);
		high[i] = dtype->kind == LM_SIGNED ? (double)(int32_t)(u >> 32) : (double)(u >> 32);
		high[i] *= 0x1p32;
	}
}

static void
widen(double *high, double *low, const struct lm_dtype *dtype, const unsigned char *src, size_t n)
{
	if (n < STEP) {
		memset(high, 0, STEP * sizeof(*high));
		memset(low, 0, STEP * sizeof(*low));
	}
	if (is_wide(dtype))
		widen_integers(high, low, dtype, src, n);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	else if (dtype == lm_dtype_get(LM_F32) && n == STEP) {
		float f[STEP];
		size_t i;

		memcpy(f, src, sizeof(f));
		for (i = 0; i < STEP; i++)
			high[i] = (double)f[i];
	}
#endif
	else
		dtype->to_f64(high, src, 0, n);
}

/* ---- values that are finite and need no second half ---- */

/*
 * Two lanes at a time: vectors of 16 bytes are what every machine has, and a loop over half of the
 * lanes keeps all it adds to in registers.
 */
#define V_AT(p) (*(const v2d *)(p))
#define V_ABS(v) ((v2d)((v2i)(v) & (v2i){ INT64_MAX, INT64_MAX }))
/* The greater of each pair; m is never a NaN. */
#define V_MAX(m, v)                                                    \
	do {                                                           \
		v2i over_ = (v) > (m);                                 \
		(m) = (v2d)((over_ & (v2i)(v)) | (~over_ & (v2i)(m))); \
	} while (0)

static double
greater(double a, double b)
{
	return a > b ? a : b;
}

/* Sums of lanes at and at + 1, and the greatest |x - y| and |y| there. */
static void
sum_lanes(const struct step *s, size_t at, struct lanes *lanes, double *max_d, double *max_y)
{
	v2d sum = V_AT(&lanes->p[LM_SUM_ABS][at]), dd = V_AT(&lanes->p[LM_SUM_DD][at]);
	v2d xx = V_AT(&lanes->p[LM_SUM_AA][at]), yy = V_AT(&lanes->p[LM_SUM_BB][at]);
	v2d xy = V_AT(&lanes->p[LM_SUM_AB][at]), most_d = { 0 }, most_y = { 0 }, x, y, d, ad;
	size_t i;

	for (i = at; i < STEP; i += LANES) {
		x = V_AT(s->x + i);
		y = V_AT(s->y + i);
		d = x - y;
		ad = V_ABS(d);
		sum += ad;
		dd += d * d;
		xx += x * x;
		yy += y * y;
		xy += x * y;
		V_MAX(most_d, ad);
		y = V_ABS(y);
		V_MAX(most_y, y);
	}
	*(v2d *)&lanes->p[LM_SUM_ABS][at] = sum;
	*(v2d *)&lanes->p[LM_SUM_DD][at] = dd;
	*(v2d *)&lanes->p[LM_SUM_AA][at] = xx;
	*(v2d *)&lanes->p[LM_SUM_BB][at] = yy;
	*(v2d *)&lanes->p[LM_SUM_AB][at] = xy;
	*max_d = greater(*max_d, greater(most_d[0], most_d[1]));
	*max_y = greater(*max_y, greater(most_y[0], most_y[1]));
}

/* The same where both sides are the same bytes: one square serves three sums. */
static void
sum_equal_lanes(const struct step *s, size_t at, struct lanes *lanes, double *max_y)
{
	v2d xx = V_AT(&lanes->p[LM_SUM_AA][at]), yy = V_AT(&lanes->p[LM_SUM_BB][at]);
	v2d xy = V_AT(&lanes->p[LM_SUM_AB][at]), most = { 0 }, x, square;
	size_t i;

	for (i = at; i < STEP; i += LANES) {
		x = V_AT(s->x + i);
		square = x * x;
		xx += square;
		yy += square;
		xy += square;
		x = V_ABS(x);
		V_MAX(most, x);
	}
	*(v2d *)&lanes->p[LM_SUM_AA][at] = xx;
	*(v2d *)&lanes->p[LM_SUM_BB][at] = yy;
	*(v2d *)&lanes->p[LM_SUM_AB][at] = xy;
	*max_y = greater(*max_y, greater(most[0], most[1]));
}

/* The greatest |x - y| / |y|; where y is zero it is divided by infinity. */
static double
relative_step(const struct step *s)
{
	const v2d zero = { 0 }, infinite = { INFINITY, INFINITY };
	v2d most = { 0 }, d, ay, ratio;
	v2i none;
	size_t i;

	for (i = 0; i < STEP; i += 2) {
		d = V_AT(s->x + i) - V_AT(s->y + i);
		ay = V_ABS(V_AT(s->y + i));
		none = ay == zero;
		ay = (v2d)((none & (v2i)infinite) | (~none & (v2i)ay));
		ratio = V_ABS(d) / ay;
		V_MAX(most, ratio);
	}
	return greater(most[0], most[1]);
}

static uint64_t
unlike_step(const struct step *s)
{
	uint64_t count = 0;
	size_t i;

	for (i = 0; i < STEP; i++)
		count += lm_bits64(s->x[i]) != lm_bits64(s->y[i]);
	return count;
}

static uint64_t
beyond_step(const struct lm_measuring *with, const struct step *s)
{
	uint64_t count = 0;
	size_t i;

	for (i = 0; i < STEP; i++)
		count += fabs(s->x[i] - s->y[i]) > with->limit + with->rtol * fabs(s->y[i]);
	return count;
}

/* The first place of a difference greater than all before. */
static void
note_max_abs(struct lm_measure *m, const struct step *s, double d)
{
	size_t i = 0;

	if (!(d > m->max_abs))
		return;
	while (fabs(s->x[i] - s->y[i]) != d)
		i++;
	m->max_abs = d;
	m->max_abs_at = s->first + i;
}

static void
note_step(const struct lm_measuring *with, struct lm_measure *m, const struct step *s,
    const unsigned char *a, const unsigned char *b, double d)
{
	uint64_t ulp;
	double rel;

	m->unlike += unlike_step(s);
	if (!(d > 0))
		return;
	note_max_abs(m, s, d);
	if (with->rtol > 0)
		m->beyond += beyond_step(with, s);
	rel = relative_step(s);
	m->max_rel = rel > m->max_rel ? rel : m->max_rel;
	if (with->a == with->b)
		ulp = lm_ordinal_same(with->a, a, b, s->n);
	else
		ulp = lm_ordinal_mixed(lm_measure_unit(with->a, with->b), s->x, s->y, s->n);
	m->max_ulp = ulp > m->max_ulp ? ulp : m->max_ulp;
}

/* -1, with nothing changed, if the step holds an infinity, a NaN or what overflows. */
static int
plain_step(const struct lm_measuring *with, struct lm_measure *m, struct lanes *lanes,
    const struct step *s, const unsigned char *a, const unsigned char *b)
{
	struct lanes next = *lanes;
	double d = 0, y = 0, finite;
	const double *check;
	int same = with->a == with->b && memcmp(a, b, s->n * (with->a->bits / 8)) == 0;
	size_t at;

	for (at = 0; at < LANES; at += 2)
		if (same)
			sum_equal_lanes(s, at, &next, &y);
		else
			sum_lanes(s, at, &next, &d, &y);
	check = next.p[same ? LM_SUM_AA : LM_SUM_ABS];
	finite = check[0] + check[1] + check[2] + check[3];
	if (!(finite < INFINITY))
		return -1;
	*lanes = next;
	m->max_b = y > m->max_b ? y : m->max_b;
	if (!same)
		note_step(with, m, s, a, b, d);
	return 0;
}

/* ---- any values ---- */

/* Exactly zero only for equal numbers, else the difference rounded once, or nearly so. */
static double
difference(double x, double x_low, double y, double y_low)
{
	double low = x_low - y_low, s = x - y, t, e, u, v;

	if (low == 0 || !isfinite(s))
		return s;
	t = s - x;
	e = (x - (s - t)) + (-y - t); /* s + e is x - y */
	u = e + low;
	t = u - e;
	v = (e - (u - t)) + (low - t); /* u + v is e + low */
	return (s + u) + v;
}

static void
note_value(const struct lm_measuring *with, struct lm_measure *m, struct lanes *lanes,
    const struct step *s, size_t i, double d)
{
	const struct lm_dtype *unit = lm_measure_unit(with->a, with->b);
	double x = s->x[i] + s->x_low[i], y = s->y[i] + s->y_low[i], ay = fabs(y), rel;
	double(*p)[LANES] = lanes->p;
	size_t lane = i % LANES;
	uint64_t ulp;

	p[LM_SUM_ABS][lane] += fabs(d);
	p[LM_SUM_DD][lane] += d * d;
	p[LM_SUM_AA][lane] += x * x;
	p[LM_SUM_BB][lane] += y * y;
	p[LM_SUM_AB][lane] += x * y;
	m->max_b = ay > m->max_b ? ay : m->max_b;
	m->unlike += d != 0 || signbit(x) != signbit(y);
	m->beyond += with->rtol > 0 && fabs(d) > with->limit + with->rtol * ay;
	rel = ay > 0 ? fabs(d) / ay : 0;
	m->max_rel = rel > m->max_rel ? rel : m->max_rel;
	ulp = d != 0 && unit != NULL ? lm_ordinal_mixed(unit, &x, &y, 1) : 0;
	m->max_ulp = ulp > m->max_ulp ? ulp : m->max_ulp;
	if (fabs(d) > m->max_abs) {
		m->max_abs = fabs(d);
		m->max_abs_at = s->first + i;
	}
}

static void
careful_step(const struct lm_measuring *with, struct lm_measure *m, struct lanes *lanes,
    const struct step *s)
{
	double x, y;
	size_t i;

	for (i = 0; i < s->n; i++) {
		x = s->x[i];
		y = s->y[i];
		if (isfinite(x) && isfinite(y)) {
			note_value(with, m, lanes, s, i,
			    difference(x, s->x_low[i], y, s->y_low[i]));
			continue;
		}
		if (isfinite(y) && fabs(y) > m->max_b)
			m->max_b = fabs(y);
		if (x == y || (with->equal_nan && isnan(x) && isnan(y))) {
			m->alike++;
			continue;
		}
		if (m->no_difference++ == 0)
			m->no_difference_at = s->first + i;
		m->unlike++;
	}
}

/* ---- blocks ---- */

void
lm_measure_block(const struct lm_measuring *with, const unsigned char *a, const unsigned char *b,
    size_t n, struct lm_measure *m)
{
	size_t size_a = with->a->bits / 8, size_b = with->b->bits / 8, i;
	int wide = is_wide(with->a) || is_wide(with->b);
	struct lanes lanes = { 0 };
	struct step s;

	memset(m, 0, sizeof(*m));
	m->values = n;
	memset(s.x_low, 0, sizeof(s.x_low));
	memset(s.y_low, 0, sizeof(s.y_low));
	for (s.first = 0; s.first < n; s.first += s.n, a += s.n * size_a, b += s.n * size_b) {
		s.n = n - s.first < STEP ? (size_t)(n - s.first) : STEP;
		widen(s.x, s.x_low, with->a, a, s.n);
		widen(s.y, s.y_low, with->b, b, s.n);
		if (wide || plain_step(with, m, &lanes, &s, a, b) < 0)
			careful_step(with, m, &lanes, &s);
	}
	for (i = 0; i < LM_SUMS; i++)
		m->sum[i] = (lanes.p[i][0] + lanes.p[i][2]) + (lanes.p[i][1] + lanes.p[i][3]);
}

void
lm_measure_add(struct lm_measure *total, const struct lm_measure *block, uint64_t first)
{
	double s, t;
	size_t i;

	if (block->no_difference > 0 && total->no_difference == 0)
		total->no_difference_at = first + block->no_difference_at;
	if (block->max_abs > total->max_abs) {
		total->max_abs = block->max_abs;
		total->max_abs_at = first + block->max_abs_at;
	}
	total->values += block->values;
	total->unlike += block->unlike;
	total->beyond += block->beyond;
	total->no_difference += block->no_difference;
	total->alike += block->alike;
	total->max_rel = fmax(total->max_rel, block->max_rel);
	total->max_b = fmax(total->max_b, block->max_b);
	if (block->max_ulp > total->max_ulp)
		total->max_ulp = block->max_ulp;
	for (i = 0; i < LM_SUMS; i++) {
		s = total->sum[i] + block->sum[i];
		t = s - total->sum[i];
		if (isfinite(s))
			total->rest[i] += (total->sum[i] - (s - t)) + (block->sum[i] - t);
		total->sum[i] = s;
	}
}

double
lm_measure_greatest(const struct lm_dtype *dtype, const unsigned char *v, size_t n)
{
	double x[STEP], low[STEP], most = 0, ax;
	size_t i, j, m;

	memset(low, 0, sizeof(low));
	for (i = 0; i < n; i += m) {
		m = n - i < STEP ? n - i : STEP;
		widen(x, low, dtype, v + i * (dtype->bits / 8), m);
		for (j = 0; j < m; j++) {
			ax = fabs(x[j] + low[j]);
			most = ax > most && ax < INFINITY ? ax : most;
		}
	}
	return most;
}

/* Of float16 and bfloat16 the latter has fewer digits. */
const struct lm_dtype *
lm_measure_unit(const struct lm_dtype *a, const struct lm_dtype *b)
{
	if (a->kind != LM_FLOATING)
		return b->kind == LM_FLOATING ? b : NULL;
	if (b->kind != LM_FLOATING)
		return a;
	if (a->bits != b->bits)
		return a->bits < b->bits ? a : b;
	return lm_dtype_id(a) == LM_BF16 ? a : b;
}
