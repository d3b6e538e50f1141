/*
 * power: x^y in binary32, correctly rounded.  A twin (num/twin.h) with an error below 2^-48 of the
 * result settles nearly all; else x^y may lie exactly between two values, which integers find out,
 * or very near the middle, where 256 bits see the side.
 */
#include <math.h>
#include <string.h>

#include "num/func.h"
#include "num/func_log.h"

/* ---- numbers of 32 bits before the point and 288 behind it ---- */

enum { WORDS = 10, TERMS_LOG = 100, TERMS_EXP = 64 };

struct fixed {
	uint32_t w[WORDS]; /* the most significant first */
};

static struct fixed
add(struct fixed a, const struct fixed *b)
{
	uint64_t c = 0;
	int i;

	for (i = WORDS; i-- > 0;) {
		c += (uint64_t)a.w[i] + b->w[i];
		a.w[i] = (uint32_t)c;
		c >>= 32;
	}
	return a;
}

/* a - b, where a >= b */
static struct fixed
sub(struct fixed a, const struct fixed *b)
{
	uint64_t borrow = 0, d;
	int i;

	for (i = WORDS; i-- > 0;) {
		d = (uint64_t)a.w[i] - b->w[i] - borrow;
		a.w[i] = (uint32_t)d;
		borrow = d >> 63;
	}
	return a;
}

static int
less(const struct fixed *a, const struct fixed *b)
{
	int i;

	for (i = 0; i < WORDS - 1 && a->w[i] == b->w[i]; i++)
		;
	return a->w[i] < b->w[i];
}

static struct fixed
times(struct fixed a, uint32_t n)
{
	uint64_t c = 0;
	int i;

	for (i = WORDS; i-- > 0;) {
		c += (uint64_t)a.w[i] * n;
		a.w[i] = (uint32_t)c;
		c >>= 32;
	}
	return a;
}

static struct fixed
over(struct fixed a, uint32_t n)
{
	uint64_t rest = 0;
	int i;

	for (i = 0; i < WORDS; i++) {
		rest = rest << 32 | a.w[i];
		a.w[i] = (uint32_t)(rest / n);
		rest %= n;
	}
	return a;
}

/* a 2^n */
static struct fixed
shifted(struct fixed a, int n)
{
	for (; n > 0; n--)
		a = times(a, 2);
	for (; n < 0; n++)
		a = over(a, 2);
	return a;
}

static struct fixed
product(const struct fixed *a, const struct fixed *b)
{
	uint32_t full[2 * WORDS] = { 0 };
	struct fixed p;
	uint64_t c;
	int i, j;

	for (i = WORDS; i-- > 0;) {
		c = 0;
		for (j = WORDS; j-- > 0;) {
			c += (uint64_t)a->w[i] * b->w[j] + full[i + j + 1];
			full[i + j + 1] = (uint32_t)c;
			c >>= 32;
		}
		full[i] = (uint32_t)c;
	}
	memcpy(p.w, full + 1, sizeof p.w);
	return p;
}

/* 2 atanh(p/q) = log((q + p)/(q - p)), p/q <= 1/3, q < 2^25 */
static struct fixed
twice_atanh(uint32_t p, uint32_t q)
{
	struct fixed power = { { 2 } }, sum, term;
	uint32_t j;

	power = sum = over(times(power, p), q);
	for (j = 3; j < 2 * TERMS_LOG; j += 2) {
		power = over(times(over(times(power, p), q), p), q);
		term = over(power, j);
		sum = add(sum, &term);
	}
	return sum;
}

/* e^r, 0 <= r < 1 */
static struct fixed
exponential(const struct fixed *r)
{
	struct fixed sum = { { 1 } }, term = sum;
	uint32_t j;

	for (j = 1; j < TERMS_EXP; j++) {
		term = over(product(&term, r), j);
		sum = add(sum, &term);
	}
	return sum;
}

/* |v| = *whole * 2^(the result), 2^23 <= *whole < 2^24 */
static int
whole_of(float v, uint32_t *whole)
{
	uint64_t u = lm_bits64(fabs((double)v));

	*whole = (uint32_t)(u >> 29 & 0x7fffff) | 0x800000;
	return (int)(u >> 52) - 1023 - 23;
}

/* a^y, known not to lie exactly between two values of binary32, and its exponent to be small. */
static float
by_fixed(float a, float y)
{
	uint32_t m, n;
	int e = whole_of(a, &m) + 23, q = whole_of(y, &n), k = 0;
	struct fixed log2 = twice_atanh(1, 3), part = twice_atanh(m - 0x800000, m + 0x800000);
	struct fixed all = times(log2, (uint32_t)(e < 0 ? -e : e)), r;
	int down = (e < 0) != (y < 0);

	all = e < 0 ? sub(all, &part) : add(all, &part);
	r = shifted(times(all, n), q);
	for (; !less(&r, &log2); k++)
		r = sub(r, &log2);
	if (down) {
		r = sub(log2, &r);
		k = -k - 1;
	}
	r = exponential(&r);
	/* To odd: what follows is never nothing. */
	return (float)((double)((uint64_t)1 << 52 | (uint64_t)r.w[1] << 20 | r.w[2] >> 12 | 1) *
	    lm_two_to(k - 52));
}

/* ---- exactly between two values ---- */

/* v = m 2^e, m odd */
static double
odd_part(float v, int *e)
{
	uint32_t m;

	*e = whole_of(v, &m);
	for (; m % 2 == 0; m /= 2)
		++*e;
	return m;
}

/*
 * Is a^y a number of at most 25 bits?  Then it is stored.  An odd m > 1 to the power y is a whole
 * number of so few bits only if y = n/2^j, n <= 15, and m is a whole number to the power 2^j, j <= 3.
 */
static int
short_power(float a, double y, double *power)
{
	int e, i;
	double m = odd_part(a, &e), two = e * y, root;

	*power = 1;
	if (m > 1 && (y < 0 || y > 15))
		return 0;
	for (; m > 1 && y < 16 && y != (int)y; y *= 2) {
		root = sqrt(m);
		if (root != (int)root)
			return 0;
		m = root;
	}
	for (i = 0; m > 1 && i < y && *power < 0x1p25; i++)
		*power *= m;
	if (*power >= 0x1p25 || two != (int)two)
		return 0;
	*power *= lm_two_to(two);
	return 1;
}

/* ---- the function ---- */

/*
 * a^y for finite a > 0 and y.  The logarithm is known to 2^-56 and at most 104 where it matters, so the
 * power to less than 2^-49.
 */
static float
positive(float a, float y)
{
	struct lm_twin l = lm_log_parts(a), x = lm_twin_product(y, l.high), w;
	struct lm_wide_power e;
	float down, up;
	double power;

	x = lm_twin_sum(x.high, x.low + y * l.low);
	if (fabs(x.high) > 110)
		return x.high > 0 ? INFINITY : 0;
	e = lm_exp_twin(x);
	w = lm_twin_sum(1, e.high);
	w.low += e.low;
	down = (float)((w.high + (w.low - 0x1p-48)) * e.power);
	up = (float)((w.high + (w.low + 0x1p-48)) * e.power);
	if (lm_bits32(down) == lm_bits32(up))
		return down;
	return short_power(a, y, &power) ? (float)power : by_fixed(a, y);
}

/* Of whole numbers; those from 2^24 are even. */
static int
is_odd(float y)
{
	return fabsf(y) < 0x1p24f && ((int)y & 1) != 0;
}

static int
is_whole(float y)
{
	return fabsf(y) >= 0x1p24f || y == (float)(int)y;
}

/*
 * By one rounded operation, or for the cube by two: of no mantissa of 24 bits does the cube, rounded
 * to binary64, lie so that rounding it again is wrong, to 24 bits or, as for subnormals, to fewer.
 */
static int
by_steps(float x, float y, float *z)
{
	if (y == 2)
		*z = x * x;
	else if (y == -1)
		*z = 1 / x;
	else if (y == 3)
		*z = (float)((double)x * x * x);
	else if (y == 0.5f && x > 0)
		*z = sqrtf(x);
	else
		return 0;
	return 1;
}

float
lm_pow(float x, float y)
{
	float a = fabsf(x), z;

	if (x == 1 || y == 0)
		return 1;
	if (by_steps(x, y, &z))
		return z;
	if (x != x || y != y || (x < 0 && a < INFINITY && !is_whole(y)))
		return NAN;
	if (fabsf(y) == INFINITY)
		z = a == 1 ? 1 : (a > 1) == (y > 0) ? INFINITY : 0;
	else if (a == 0 || a == INFINITY)
		z = (a == 0) == (y < 0) ? INFINITY : 0;
	else
		z = positive(a, y);
	return signbit(x) && is_whole(y) && is_odd(y) ? -z : z;
}
