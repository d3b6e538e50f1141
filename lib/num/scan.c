/*
 * scan: decimal text to binary floating point.  Digits are gathered into an integer w and a power of
 * ten q.  Small ones take one exact operation of binary64 (Clinger); the others a 128-bit product
 * with a truncated power of five, which decides the rounding (Lemire, "Number parsing at a gigabyte
 * per second", 2021; Mushtak and Lemire show that it needs no way out).  What has more than 19
 * digits, or a power outside the table, goes to lm_text_parse.
 */
#include "num/scan.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "num/bytes.h"
#include "num/text.h"

__extension__ typedef unsigned __int128 u128;

/* The walk over an array keeps its place in registers only if all of it is one function. */
#define INLINE static inline __attribute__((always_inline))

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

/* What stands in the text: (-1)^negative * w * 10^q, and how many digits w has, leading zeros and all. */
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

/* ---- eight digits at a time (Lemire, as above) ---- */

enum { EIGHT = 8 };
#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* How many of 8 bytes, the first in the lowest, are digits before the first that is none. */
static int
count_digits(uint64_t v)
{
	/* A sum may carry, but only out of a byte that is no digit, into those behind it. */
	uint64_t other = (v & EACH_BYTE(0xf0)) ^ EACH_BYTE(0x30);

	other |= ((v + EACH_BYTE(0x06)) & EACH_BYTE(0xf0)) ^ EACH_BYTE(0x30);
	return other == 0 ? EIGHT : __builtin_ctzll(other) / 8;
}

/* The number of 8 digits: pairs, fours and all. */
static uint64_t
join_eight(uint64_t v)
{
	const uint64_t pairs = UINT64_C(0x000000ff000000ff);

	v = v * 10 + (v >> 8);
	return ((v & pairs) * (100 + (UINT64_C(1000000) << 32)) +
		   (v >> 16 & pairs) * (1 + (UINT64_C(10000) << 32))) >>
	    32;
}

/* Of the first n digits, n of 1 to 8: as if there were zeros before them. */
static uint64_t
join_digits(uint64_t v, int n)
{
	return join_eight((v - EACH_BYTE('0')) << (64 - 8 * n));
}

/*
 * Digits into w, which wraps after DIGITS of them.  Eight are passed by a constant, which the
 * processor foresees, so that the next load waits for no count.
 */
INLINE const char *
gather(const char *p, const char *end, struct decimal *d)
{
	static const uint32_t powers[EIGHT + 1] = { 1, 10, 100, 1000, 10000, 100000, 1000000,
		10000000, 100000000 };
	const char *first = p;
	uint64_t w = d->w, v;
	int n = EIGHT;

	for (; end - p >= EIGHT; p += EIGHT) {
		v = lm_get_u64((const unsigned char *)p);
		n = count_digits(v);
		if (n < EIGHT)
			break;
		w = w * powers[EIGHT] + join_digits(v, EIGHT);
	}
	if (n > 0 && n < EIGHT) {
		w = w * powers[n] + join_digits(v, n);
		p += n;
	}
	for (; n == EIGHT && is_digit(p, end); p++)
		w = w * 10 + (unsigned char)(*p - '0');
	d->w = w;
	d->digits += p - first;
	return p;
}

/* Digits that are not leading zeros, of a number from p to end that is written in so many. */
static int64_t
significant(const char *p, const char *end, int64_t digits)
{
	for (; p < end && (*p == '-' || *p == '0' || *p == '.'); p++)
		digits -= *p == '0';
	return digits;
}

/* From its e on.  Exponents are kept within what any text of numbers can need, so that they cannot overflow. */
static const char *
exponent(const char *p, const char *end, struct decimal *d)
{
	int64_t e = 0;
	int minus;

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
INLINE const char *
read_decimal(const char *p, const char *end, struct decimal *d)
{
	const char *point;

	*d = (struct decimal){ .negative = p < end && *p == '-' };
	p += d->negative; /* without a branch: nothing foretells signs */
	if (!is_digit(p, end))
		return NULL;
	if (*p == '0' && is_digit(p + 1, end))
		return NULL;
	if (end - p > 1 && p[1] == '.') { /* as most numbers of networks have it */
		d->w = (unsigned char)(*p++ - '0');
		d->digits = 1;
	} else {
		p = gather(p, end, d);
	}
	if (p < end && *p == '.') {
		point = ++p;
		p = gather(p, end, d);
		if (p == point)
			return NULL;
		d->q = -(int64_t)(p - point);
	}
	return p < end && (*p | 0x20) == 'e' ? exponent(p, end, d) : p;
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

INLINE double
magnitude(const struct decimal *d)
{
	if (d->w == 0)
		return 0;
	if (d->w <= EXACT_INTEGER && d->q >= -EXACT_POWER && d->q <= EXACT_POWER)
		return d->q < 0 ? (double)d->w / tens[-d->q] : (double)d->w * tens[d->q];
	return lemire(d->w, d->q);
}

INLINE void
skip_space(struct lm_scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

void
lm_scan_space(struct lm_scan *s)
{
	skip_space(s);
}

/* What the table and a uint64_t do not hold: NAN where it is beyond memory or sense. */
static double
slow(const char *p, const char *after)
{
	double v;

	return lm_text_parse(p, (size_t)(after - p), &v) < 0 ? NAN : v;
}

INLINE int
scan_number(struct lm_scan *s, double *value)
{
	struct decimal d;
	const char *after = read_decimal(s->p, s->end, &d);

	if (after == NULL)
		return -1;
	if ((d.digits > DIGITS && significant(s->p, after, d.digits) > DIGITS) ||
	    (d.w > 0 && (d.q < -FIVES || d.q > FIVES))) {
		*value = slow(s->p, after);
		if (isnan(*value))
			return -1;
	} else {
		*value = lm_from_bits64(lm_bits64(magnitude(&d)) | (uint64_t)d.negative << 63);
	}
	s->p = after;
	return 0;
}

int
lm_scan_number(struct lm_scan *s, double *value)
{
	return scan_number(s, value);
}

INLINE enum lm_scan_stop
scan_floats(struct lm_scan *s, float *dst, size_t room, size_t *n)
{
	const char *start;
	double v;

	for (*n = 0;; s->p++) {
		skip_space(s);
		if (*n == room)
			return LM_SCAN_FULL;
		start = s->p;
		if (scan_number(s, &v) < 0)
			return LM_SCAN_OTHER;
		if (v - v != 0) {
			s->p = start;
			return LM_SCAN_OTHER;
		}
		dst[(*n)++] = (float)v;
		skip_space(s);
		if (s->p < s->end && *s->p == ']') {
			s->p++;
			return LM_SCAN_END;
		}
		if (s->p >= s->end || *s->p != ',')
			return LM_SCAN_BAD;
	}
}

enum lm_scan_stop
lm_scan_floats(struct lm_scan *s, float *dst, size_t room, size_t *n)
{
	struct lm_scan own = *s;
	size_t count;
	enum lm_scan_stop stop = scan_floats(&own, dst, room, &count);

	*s = own;
	*n = count;
	return stop;
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
