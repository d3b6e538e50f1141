/* text: the shortest digits of a binary floating-point number. */
#include "num/text.h"

#include <assert.h>
#include <string.h>

#include "num/bytes.h"
#include "num/natural.h"

/* 0.DIGITS * 10^point */
struct decimal {
	char digits[18];
	int count, point;
};

/*
 * What is left to print and how far one may stray, all over the same denominator: the value is
 * rest/unit, and numbers from rest - below to rest + above read back to it.
 */
struct interval {
	struct lm_natural rest, unit, below, above;
	int closed; /* the ends themselves read back, by ties to even */
};

/*
 * m * 2^e.  narrow: the next smaller number is half as far as the next greater one, because m is
 * the least of its binade.
 */
static void
interval_init(struct interval *v, uint64_t m, int e, int narrow)
{
	int up = e > 0 ? e : 0;

	lm_natural_set(&v->rest, m);
	lm_natural_set(&v->unit, 1);
	lm_natural_set(&v->below, 1);
	lm_natural_set(&v->above, 1);
	lm_natural_shift(&v->rest, up + 1 + narrow);
	lm_natural_shift(&v->unit, up - e + 1 + narrow);
	lm_natural_shift(&v->below, up);
	lm_natural_shift(&v->above, up + narrow);
	v->closed = (m & 1) == 0;
}

/* Whether the upper end reaches a whole unit. */
static int
reaches_unit(const struct interval *v)
{
	struct lm_natural end = v->rest;

	lm_natural_add(&end, &v->above);
	return lm_natural_compare(&end, &v->unit) >= (v->closed ? 0 : 1);
}

static int
reaches_zero(const struct interval *v)
{
	return lm_natural_compare(&v->rest, &v->below) <= (v->closed ? 0 : -1);
}

static int
floor_log10_of_power_of_two(int e)
{
	int p = e * 78913; /* log10(2) * 2^18: right for |e| < 1650 */

	return p >= 0 ? p >> 18 : -((-p + (1 << 18) - 1) >> 18);
}

/* Divide by a power of ten so that the first digit is the one behind the point; returns the power. */
static int
interval_scale(struct interval *v, int log2)
{
	int point = floor_log10_of_power_of_two(log2) + 1;

	if (point >= 0) {
		lm_natural_mul_ten(&v->unit, point);
	} else {
		lm_natural_mul_ten(&v->rest, -point);
		lm_natural_mul_ten(&v->below, -point);
		lm_natural_mul_ten(&v->above, -point);
	}
	if (reaches_unit(v)) {
		lm_natural_mul(&v->unit, 10, 0);
		point++;
	}
	return point;
}

/* Take the next digit off the value. */
static int
next_digit(struct interval *v)
{
	int d = 0;

	lm_natural_mul(&v->rest, 10, 0);
	lm_natural_mul(&v->below, 10, 0);
	lm_natural_mul(&v->above, 10, 0);
	for (; lm_natural_compare(&v->rest, &v->unit) >= 0; d++)
		lm_natural_sub(&v->rest, &v->unit);
	return d;
}

/* Both d and d+1 read back: the nearer one, the even one if equally near. */
static int
nearer(const struct interval *v, int d)
{
	struct lm_natural twice = v->rest;
	int order;

	lm_natural_shift(&twice, 1);
	order = lm_natural_compare(&twice, &v->unit);
	return order > 0 || (order == 0 && d % 2 != 0) ? d + 1 : d;
}

/* ---- numbers of usual size, in integers of 128 bits ---- */

__extension__ typedef unsigned __int128 wide;

enum { MOST_FIVES = 27 }; /* 5^27 < 2^63 */

static void
set_digits(struct decimal *out, uint64_t n, int exponent)
{
	char reversed[20];
	int all = 0, i;

	for (; n % 10 == 0; n /= 10)
		exponent++;
	for (; n > 0; n /= 10)
		reversed[all++] = (char)('0' + n % 10);
	for (i = 0; i < all; i++)
		out->digits[i] = reversed[all - 1 - i];
	out->count = all;
	out->point = all + exponent;
}

/*
 * m * 2^e in units of 10^-k is m * 5^k / 2^shift.  Fewer and fewer of its digits are kept, the last one
 * rounded, as long as the number is less than 5^k/2 away and so reads back.  0: too large, too small,
 * midway between two texts, or less than half a digit.
 */
static int
shortest_quickly(struct decimal *out, uint64_t m, int e)
{
	int k = 16 - floor_log10_of_power_of_two(e + 63 - __builtin_clzll(m)), shift = -(e + k), j;
	uint64_t fives = 1, tens = 1, kept, best = 0;
	wide value, low, high;

	if (k < 0 || k > MOST_FIVES || shift < 1 || shift > 63)
		return 0;
	for (j = 0; j < k; j++)
		fives *= 5;
	value = (wide)m * fives;
	for (j = 0; j < 17; j++, tens *= 10) {
		kept = (uint64_t)(value >> shift) / tens;
		low = value - ((wide)(kept * tens) << shift);
		high = ((wide)tens << shift) - low;
		if (low == high)
			return 0;
		kept += high < low;
		low = 2 * (low < high ? low : high);
		if (low > fives || (low == fives && (m & 1) != 0))
			break;
		best = kept;
	}
	if (j == 0)
		return 0;
	set_digits(out, best, j - 1 - k);
	return 1;
}

static void
shortest(struct decimal *out, uint64_t m, int e, int narrow)
{
	struct interval v;
	int d, low, high;

	if (!narrow && shortest_quickly(out, m, e))
		return;
	interval_init(&v, m, e, narrow);
	out->point = interval_scale(&v, e + 63 - __builtin_clzll(m));
	out->count = 0;
	do {
		d = next_digit(&v);
		low = reaches_zero(&v);
		high = reaches_unit(&v);
		if (low && high)
			d = nearer(&v, d);
		else if (high)
			d++;
		assert(d <= 9 && out->count < 17);
		out->digits[out->count++] = (char)('0' + d);
	} while (!low && !high);
}

/* Without an exponent: 0.00012, 1.5, 1500. */
static char *
put_positional(char *p, const struct decimal *d)
{
	int i;

	if (d->point <= 0) {
		*p++ = '0';
		*p++ = '.';
	}
	for (i = d->point; i < 0; i++)
		*p++ = '0';
	for (i = 0; i < d->count || i < d->point; i++) {
		if (i == d->point && i > 0)
			*p++ = '.';
		*p++ = i < d->count ? d->digits[i] : '0';
	}
	return p;
}

/* 1.5e-9, 1e+21: the exponent has its sign and no leading zero. */
static char *
put_scientific(char *p, const struct decimal *d)
{
	int exponent = d->point - 1;
	int size = exponent < 0 ? -exponent : exponent;

	*p++ = d->digits[0];
	if (d->count > 1) {
		*p++ = '.';
		memcpy(p, d->digits + 1, (size_t)d->count - 1);
		p += d->count - 1;
	}
	*p++ = 'e';
	*p++ = exponent < 0 ? '-' : '+';
	if (size >= 100)
		*p++ = (char)('0' + size / 100);
	if (size >= 10)
		*p++ = (char)('0' + size / 10 % 10);
	*p++ = (char)('0' + size % 10);
	return p;
}

static size_t
put(char dst[LM_TEXT_SIZE], const struct decimal *d, int negative, int positional)
{
	char *p = dst;

	if (negative)
		*p++ = '-';
	p = positional ? put_positional(p, d) : put_scientific(p, d);
	*p = '\0';
	return (size_t)(p - dst);
}

static const struct decimal zero = { "0", 1, 1 };

/* 2^-12 in binary32 lies midway between two texts, and Go takes the odd one: the only such case. */
static const struct decimal odd_tie = { "24414063", 8, -3 };
enum { ODD_TIE = 0x39800000 };

size_t
lm_text_f64(char dst[LM_TEXT_SIZE], double v)
{
	uint64_t u = lm_bits64(v), m = u & 0xfffffffffffff;
	int exponent = (int)(u >> 52 & 0x7ff), negative = u >> 63 != 0;
	double size = negative ? -v : v;
	struct decimal d = zero;

	assert(exponent != 0x7ff);
	if (exponent != 0)
		shortest(&d, m | (uint64_t)1 << 52, exponent - 1075, m == 0 && exponent > 1);
	else if (m != 0)
		shortest(&d, m, -1074, 0);
	return put(dst, &d, negative, size == 0 || (size >= 1e-6 && size < 1e21));
}

size_t
lm_text_f32(char dst[LM_TEXT_SIZE], float v)
{
	uint32_t u = lm_bits32(v), m = u & 0x7fffff;
	int exponent = (int)(u >> 23 & 0xff), negative = u >> 31 != 0;
	float size = negative ? -v : v;
	struct decimal d = zero;

	assert(exponent != 0xff);
	if ((u & 0x7fffffff) == ODD_TIE)
		d = odd_tie;
	else if (exponent != 0)
		shortest(&d, m | (uint32_t)1 << 23, exponent - 150, m == 0 && exponent > 1);
	else if (m != 0)
		shortest(&d, m, -149, 0);
	return put(dst, &d, negative, size == 0 || (size >= 1e-6f && size < 1e21f));
}
