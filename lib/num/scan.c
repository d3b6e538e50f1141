/*
 * scan: decimal text to binary floating point.  Digits are gathered into an integer w and a power of
 * ten q.  Small ones take one exact operation of binary64 (Clinger); the others a 128-bit product
 * with a truncated power of five, which decides the rounding (Lemire, "Number parsing at a gigabyte
 * per second", 2021; Mushtak and Lemire show that it needs no way out).  What has more than 19
 * digits, or a power outside the table, goes to lm_text_parse.
 */
#include "num/scan.h"

#include <stdint.h>
#include <string.h>

#include "num/bytes.h"
#include "num/text.h"

__extension__ typedef unsigned __int128 u128;

enum { DIGITS = 19 };	   /* as many as a uint64_t always holds */
enum { EXACT_POWER = 22 }; /* 10^22 is the last that binary64 holds */
enum { FIVES = 64 };	   /* the table covers 5^-64 to 5^64 */
#define EXACT_INTEGER ((uint64_t)1 << 53)

static const double tens[EXACT_POWER + 1] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* The first 128 bits of 5^q; for q < 0 rounded up. */
static const struct {
	uint64_t high, low;
} fives[2 * FIVES + 1] = {
#define FIVE(high, low) { high, low },
#include "num/fives.def"
#undef FIVE
};

/* What stands in the text: (-1)^negative * w * 10^q, and how many digits w had. */
struct decimal {
	uint64_t w;
	int64_t q, digits;
	int negative;
};

static int
is_digit(const char *p, const char *end)
{
	return p < end && (unsigned char)(*p - '0') <= 9;
}

/* Digits into w, which wraps after DIGITS of them; leading zeros of the whole number do not count. */
static const char *
gather(const char *p, const char *end, struct decimal *d)
{
	const char *first;
	uint64_t w = d->w;

	if (d->digits == 0)
		while (p < end && *p == '0')
			p++;
	for (first = p; p < end && (unsigned char)(*p - '0') <= 9; p++)
		w = w * 10 + (unsigned char)(*p - '0');
	d->w = w;
	d->digits += p - first;
	return p;
}

/* Exponents are kept within what any text of numbers can need, so that they cannot overflow. */
static const char *
exponent(const char *p, const char *end, struct decimal *d)
{
	int64_t e = 0;
	int minus;

	if (p >= end || (*p | 0x20) != 'e')
		return p;
	p++;
	minus = p < end && *p == '-';
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (!is_digit(p, end))
		return NULL;
	for (; is_digit(p, end); p++)
		if (e < (int64_t)1 << 48)
			e = e * 10 + (*p - '0');
	d->q += minus ? -e : e;
	return p;
}

/* JSON's grammar of a number: NULL where the text is none. */
static const char *
read_decimal(const char *p, const char *end, struct decimal *d)
{
	const char *point;

	memset(d, 0, sizeof(*d));
	if (p < end && *p == '-') {
		d->negative = 1;
		p++;
	}
	if (!is_digit(p, end))
		return NULL;
	if (*p == '0') {
		p++;
		if (is_digit(p, end))
			return NULL;
	} else
		p = gather(p, end, d);
	if (p < end && *p == '.') {
		point = ++p;
		p = gather(p, end, d);
		if (p == point)
			return NULL;
		d->q = -(int64_t)(p - point);
	}
	return exponent(p, end, d);
}

/* w * 5^q as 128 bits from the top; the second word of the power only where it could matter. */
static u128
product(uint64_t w, int64_t q)
{
	const uint64_t below = UINT64_MAX >> 55;
	u128 first = (u128)w * fives[q + FIVES].high;

	if (((uint64_t)(first >> 64) & below) == below)
		first += (u128)w * fives[q + FIVES].low >> 64;
	return first;
}

/* The binary64 nearest to w * 10^q, w > 0, |q| <= FIVES: always a normal number. */
static double
lemire(uint64_t w, int64_t q)
{
	int zeros = __builtin_clzll(w), top, shift;
	u128 p = product(w << zeros, q);
	uint64_t high = (uint64_t)(p >> 64), m;
	int64_t power;

	top = (int)(high >> 63);
	shift = top + 64 - 52 - 3;
	m = high >> shift;
	/* floor(q log2(10)) in fixed point, then the exponent's bias */
	power = ((q * (152170 + 65536)) >> 16) + 63 + top - zeros + 1023;
	/* Half way between two: only then are all bits below zero, and only for small powers. */
	if ((uint64_t)p <= 1 && q >= -4 && q <= 23 && (m & 3) == 1 && m << shift == high)
		m &= ~(uint64_t)1;
	m = (m + (m & 1)) >> 1;
	if (m >= (uint64_t)1 << 53) {
		m >>= 1;
		power++;
	}
	return lm_from_bits64((m & (((uint64_t)1 << 52) - 1)) | (uint64_t)power << 52);
}

static double
magnitude(const struct decimal *d)
{
	if (d->digits == 0)
		return 0;
	if (d->w <= EXACT_INTEGER && d->q >= -EXACT_POWER && d->q <= EXACT_POWER)
		return d->q < 0 ? (double)d->w / tens[-d->q] : (double)d->w * tens[d->q];
	return lemire(d->w, d->q);
}

void
lm_scan_space(struct lm_scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

int
lm_scan_number(struct lm_scan *s, double *value)
{
	struct decimal d;
	const char *after = read_decimal(s->p, s->end, &d);
	double v;

	if (after == NULL)
		return -1;
	if (d.digits > DIGITS || (d.digits > 0 && (d.q < -FIVES || d.q > FIVES))) {
		if (lm_text_parse(s->p, (size_t)(after - s->p), value) < 0)
			return -1;
	} else {
		v = magnitude(&d);
		*value = d.negative ? -v : v;
	}
	s->p = after;
	return 0;
}

enum lm_scan_stop
lm_scan_floats(struct lm_scan *s, float *dst, size_t room, size_t *n)
{
	const char *start;
	double v;

	for (*n = 0;; s->p++) {
		lm_scan_space(s);
		if (*n == room)
			return LM_SCAN_FULL;
		start = s->p;
		if (lm_scan_number(s, &v) < 0)
			return LM_SCAN_OTHER;
		if (v - v != 0) {
			s->p = start;
			return LM_SCAN_OTHER;
		}
		dst[(*n)++] = (float)v;
		lm_scan_space(s);
		if (s->p < s->end && *s->p == ']') {
			s->p++;
			return LM_SCAN_END;
		}
		if (s->p >= s->end || *s->p != ',')
			return LM_SCAN_BAD;
	}
}

size_t
lm_scan_count(const struct lm_scan *s)
{
	enum { PIECE = 128 }; /* small enough for a count in a byte, which vectors add quickly */
	const char *p = s->p, *end;
	size_t n = 1, i;
	unsigned char some;

	end = memchr(p, ']', (size_t)(s->end - p));
	if (end == NULL)
		end = s->end;
	for (; end - p >= PIECE; p += PIECE, n += some)
		for (some = 0, i = 0; i < PIECE; i++)
			some = (unsigned char)(some + (p[i] == ','));
	for (; p < end; p++)
		n += *p == ',';
	return n;
}
