/* accumulator: a fixed-point number wide enough for any sum of products, scale and bias. */
#include "num/accumulator.h"

#include <string.h>

#include "num/bytes.h"

#define LOW32 0xffffffff

/*
 * An addition changes a digit by less than 2^33, so after this many no digit has left 63 bits.
 */
enum { MOST_PENDING = 1 << 29 };

void
lm_accumulator_init(struct lm_accumulator *s)
{
	memset(s, 0, sizeof *s);
}

/* Bring all digits but the last into 0..2^32-1; the last keeps the sign. */
static void
carry(struct lm_accumulator *s)
{
	int64_t c = 0;
	int i;

	for (i = 0; i < LM_DIGITS - 1; i++) {
		c += s->digit[i];
		s->digit[i] = c & LOW32;
		c >>= 32;
	}
	s->digit[i] += c;
	s->pending = 0;
}

/* m * 2^e, |m| < 2^53, in three pieces of 32 bits. */
static void
add_scaled(struct lm_accumulator *s, uint64_t m, int e, int negative)
{
	unsigned at = (unsigned)(e + LM_DIGIT_BIAS);
	int64_t *d = &s->digit[at / 32];
	int64_t sign = negative ? -1 : 1;
	uint64_t low = (m & LOW32) << at % 32;
	uint64_t high = (m >> 32) << at % 32;

	if (++s->pending == MOST_PENDING)
		carry(s);
	d[0] += sign * (int64_t)(low & LOW32);
	d[1] += sign * (int64_t)((low >> 32) + (high & LOW32));
	d[2] += sign * (int64_t)(high >> 32);
}

/* |v| = m * 2^e with an integer m < 2^53. */
static uint64_t
split(double v, int *e)
{
	uint64_t u = lm_bits64(v);
	int exponent = (int)(u >> 52 & 0x7ff);
	uint64_t fraction = u & 0xfffffffffffff;

	*e = (exponent == 0 ? 1 : exponent) - 1075;
	return exponent == 0 ? fraction : fraction | (uint64_t)1 << 52;
}

void
lm_accumulator_add(struct lm_accumulator *s, double v)
{
	int e;
	uint64_t m = split(v, &e);

	if (m != 0)
		add_scaled(s, m, e, lm_bits64(v) >> 63 != 0);
}

/* Make the value its magnitude, all digits in 0..2^32-1; returns whether it was negative. */
static int
take_sign(struct lm_accumulator *s)
{
	int i;

	carry(s);
	if (s->digit[LM_DIGITS - 1] >= 0)
		return 0;
	for (i = 0; i < LM_DIGITS; i++)
		s->digit[i] = -s->digit[i];
	carry(s);
	return 1;
}

void
lm_accumulator_scale(struct lm_accumulator *s, double c)
{
	struct lm_accumulator r;
	uint64_t half[2];
	int e, i, h, negative;
	uint64_t m = split(c, &e);

	negative = take_sign(s) != (lm_bits64(c) >> 63 != 0);
	half[0] = m & 0x7ffffff; /* 27 and 26 bits: times a digit below 2^59 */
	half[1] = m >> 27;
	lm_accumulator_init(&r);
	for (i = 0; i < LM_DIGITS; i++)
		for (h = 0; h < 2; h++) {
			uint64_t p = (uint64_t)s->digit[i] * half[h];
			int weight = 32 * i - LM_DIGIT_BIAS + e + 27 * h;

			if (p == 0)
				continue;
			add_scaled(&r, p & LOW32, weight, negative);
			add_scaled(&r, p >> 32, weight + 32, negative);
		}
	*s = r;
}

/* The 53 bits from bit `lowest` up, everything below folded into the last one. */
static uint64_t
significant_bits(const struct lm_accumulator *s, int lowest)
{
	uint64_t m = 0;
	int sticky = 0;
	int i;

	for (i = 0; i < LM_DIGITS; i++) {
		uint64_t v = (uint64_t)s->digit[i];
		int shift = 32 * i - lowest;

		if (v == 0)
			continue;
		if (shift >= 0) {
			m |= v << shift;
		} else if (shift > -32) {
			m |= v >> -shift;
			sticky |= v << (64 + shift) != 0;
		} else {
			sticky = 1;
		}
	}
	return m | (uint64_t)sticky;
}

double
lm_accumulator_odd(struct lm_accumulator *s)
{
	int negative = take_sign(s);
	int top = LM_DIGITS - 1;
	int highest, exponent;
	uint64_t u;

	while (top >= 0 && s->digit[top] == 0)
		top--;
	if (top < 0)
		return 0.0;
	highest = 32 * top + 63 - __builtin_clzll((uint64_t)s->digit[top]);
	exponent = highest - LM_DIGIT_BIAS;
	if (exponent > 1023) /* far above all that is stored: an infinity */
		u = (uint64_t)0x7ff << 52;
	else if (exponent < -1022) /* far below: only the sign matters */
		u = 1;
	else
		u = (significant_bits(s, highest - 52) & 0xfffffffffffff) |
		    (uint64_t)(exponent + 1023) << 52;
	return lm_from_bits64(u | (uint64_t)negative << 63);
}
