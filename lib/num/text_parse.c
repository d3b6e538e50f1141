/* text_parse: the binary64 nearest to decimal text, by integers. */
#include <string.h>

#include "num/bytes.h"
#include "num/natural.h"
#include "num/text.h"

enum {
	MOST_DIGITS = 800,     /* no number between two binary64 has more digits that matter */
	MOST_EXPONENT = 100000 /* beyond, in either direction, an exponent is as good as this */
};

/* digits * 10^exponent */
struct number {
	unsigned char digits[MOST_DIGITS + 1]; /* values 0..9, no leading zeros */
	int count;
	long exponent;
	int negative;
};

struct cursor {
	const char *at, *end;
};

static int
take(struct cursor *c, char what)
{
	if (c->at == c->end || *c->at != what)
		return 0;
	c->at++;
	return 1;
}

static int
is_digit(const struct cursor *c)
{
	return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

/*
 * One more digit.  What comes after MOST_DIGITS only tells whether the number is above a midpoint:
 * a 1 in the last place stands for it.
 */
static void
add_digit(struct number *x, int d, int fraction)
{
	if (x->count == 0 && d == 0) {
		x->exponent -= fraction;
	} else if (x->count < MOST_DIGITS) {
		x->digits[x->count++] = (unsigned char)d;
		x->exponent -= fraction;
	} else {
		if (d != 0 && x->count == MOST_DIGITS) {
			x->digits[x->count++] = 1;
			x->exponent--;
		}
		x->exponent += !fraction;
	}
}

/* Digits up to the next other character; -1 if there is none. */
static int
take_digits(struct cursor *c, struct number *x, int fraction)
{
	const char *from = c->at;

	for (; is_digit(c); c->at++)
		add_digit(x, *c->at - '0', fraction);
	return c->at > from ? 0 : -1;
}

static int
take_exponent(struct cursor *c, struct number *x)
{
	int negative = take(c, '-');
	long e = 0;

	if (!negative)
		(void)take(c, '+');
	if (!is_digit(c))
		return -1;
	for (; is_digit(c); c->at++)
		if (e < MOST_EXPONENT)
			e = e * 10 + (*c->at - '0');
	x->exponent += negative ? -e : e;
	return 0;
}

static int
take_number(struct cursor *c, struct number *x)
{
	int whole, fraction = -1;

	x->count = 0;
	x->exponent = 0;
	x->negative = take(c, '-');
	if (!x->negative)
		(void)take(c, '+');
	whole = take_digits(c, x, 0);
	if (take(c, '.'))
		fraction = take_digits(c, x, 1);
	if (whole < 0 && fraction < 0)
		return -1;
	if ((take(c, 'e') || take(c, 'E')) && take_exponent(c, x) < 0)
		return -1;
	return c->at == c->end ? 0 : -1;
}

/*
 * q * 2^e rounded to binary64, where q has at least 55 bits, or is exact; its lowest bit is set if
 * something was cut off below it.
 */
static double
round_to_double(uint64_t q, int e)
{
	int bits = 64 - __builtin_clzll(q);
	int drop = bits - 53 > -1074 - e ? bits - 53 : -1074 - e;
	uint64_t rest, half;

	if (drop > 64)
		return 0;
	if (drop > 0) {
		rest = drop == 64 ? q : q & (((uint64_t)1 << drop) - 1);
		half = (uint64_t)1 << (drop - 1);
		q = drop == 64 ? 0 : q >> drop;
		q += rest > half || (rest == half && (q & 1));
		e += drop;
	} else {
		q <<= -drop;
		e += drop;
	}
	if (q >> 53 != 0) { /* carried into the next binade */
		q >>= 1;
		e++;
	}
	if (q >> 52 == 0) /* subnormal: e is -1074 */
		return lm_from_bits64(q);
	if (e > 971)
		return lm_from_bits64((uint64_t)0x7ff << 52);
	return lm_from_bits64((q & 0xfffffffffffff) | (uint64_t)(e + 1075) << 52);
}

/* By long division, any number of digits. */
static double
convert_long(const struct number *x)
{
	struct lm_natural n, d;
	uint64_t q = 0;
	int i, shift;

	lm_natural_set(&n, 0);
	lm_natural_set(&d, 1);
	for (i = 0; i < x->count; i++)
		lm_natural_mul(&n, 10, x->digits[i]);
	if (x->exponent >= 0)
		lm_natural_mul_ten(&n, (int)x->exponent);
	else
		lm_natural_mul_ten(&d, (int)-x->exponent);
	shift = lm_natural_bits(&n) - lm_natural_bits(&d);
	if (shift > 0)
		lm_natural_shift(&d, shift);
	else
		lm_natural_shift(&n, -shift);
	for (i = 0; i < 60; i++) { /* n < 2d */
		q <<= 1;
		if (lm_natural_compare(&n, &d) >= 0) {
			lm_natural_sub(&n, &d);
			q |= 1;
		}
		lm_natural_shift(&n, 1);
	}
	return round_to_double(q | (n.n != 0), shift - 59);
}

#ifdef __SIZEOF_INT128__

__extension__ typedef unsigned __int128 wide;

/* q * 2^e with all below the upper 64 bits folded into the lowest. */
static double
round_wide(wide q, int e, int inexact)
{
	int drop = 0;

	if (q >> 64 != 0)
		drop = 64 - __builtin_clzll((uint64_t)(q >> 64));
	if (drop > 0 && (q & (((wide)1 << drop) - 1)) != 0)
		inexact = 1;
	return round_to_double((uint64_t)(q >> drop) | (uint64_t)inexact, e + drop);
}

/*
 * At most 19 digits and a power of ten up to 27, which is nearly every number in practice: the
 * digits and the power of five fit in 64 bits each.
 */
static int
convert_short(const struct number *x, double *value)
{
	uint64_t m = 0, five = 1;
	long i, size = x->exponent < 0 ? -x->exponent : x->exponent;
	int zeros;
	wide n;

	if (x->count > 19 || size > 27)
		return 0;
	for (i = 0; i < x->count; i++)
		m = m * 10 + x->digits[i];
	for (i = 0; i < size; i++)
		five *= 5;
	if (x->exponent >= 0) {
		*value = round_wide((wide)m * five, (int)x->exponent, 0);
		return 1;
	}
	zeros = __builtin_clzll(m);
	n = (wide)(m << zeros) << 64; /* so that the quotient has at least 64 bits */
	*value = round_wide(n / five, (int)x->exponent - 64 - zeros, n % five != 0);
	return 1;
}

#else

static int
convert_short(const struct number *x, double *value)
{
	(void)x;
	(void)value;
	return 0;
}

#endif

int
lm_text_parse(const char *text, size_t len, double *value)
{
	struct cursor c = { text, text + len };
	struct number x;
	double v;

	if (take_number(&c, &x) < 0)
		return -1;
	if (x.count == 0 || x.exponent + x.count < -330)
		v = 0;
	else if (x.exponent + x.count > 310)
		v = lm_from_bits64((uint64_t)0x7ff << 52);
	else if (!convert_short(&x, &v))
		v = convert_long(&x);
	*value = x.negative ? -v : v;
	return 0;
}
