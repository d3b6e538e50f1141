/* loss: integers of 32 bits throughout the common case, which compilers do many at a time. */
#include "num/loss.h"

#include <math.h>

#include "num/bytes.h"

enum { AT_ONCE = 1 << 12 };

#define INFINITE 0x7f800000u

/* ---- half precision ---- */

struct tally {
	uint32_t changed, overflow, underflow, flushed;
	int32_t most_abs, most_ulp; /* bits of floats that are not negative: in their order */
};

static inline int32_t
larger(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

/*
 * The difference has few enough bits to be exact, and so has its quotient by the distance between
 * neighbours, which is 2^-10 of the value's power of two, at least 2^-24.
 */
static inline void
tally_half(struct tally *t, float was, float is)
{
	uint32_t a = lm_bits32(was), b = lm_bits32(is) & 0x7fffffff, size = a & 0x7fffffff;
	uint32_t changed = (uint32_t)(lm_bits32(is) != a) & (uint32_t)(size <= INFINITE);
	uint32_t overflow = changed & (uint32_t)(b == INFINITE), rest = changed & ~overflow;
	uint32_t zero = rest & (uint32_t)(b == 0);
	uint32_t exponent = size >> 23 > 113 ? size >> 23 : 113;
	float d = lm_from_bits32(lm_bits32(is - was) & 0x7fffffff & (0 - rest));
	float ulp = d * lm_from_bits32((264 - exponent) << 23);

	t->changed += changed;
	t->overflow += overflow;
	t->underflow += zero;
	t->flushed += rest & ~zero & (uint32_t)(b < 0x38800000);
	t->most_abs = larger(t->most_abs, (int32_t)lm_bits32(d));
	t->most_ulp = larger(t->most_ulp, (int32_t)lm_bits32(ulp));
}

static void
count_halves(struct lm_loss *l, const float *was, const float *is, size_t n)
{
	struct tally t = { 0 };
	size_t i;

	for (i = 0; i < n; i++)
		tally_half(&t, was[i], is[i]);
	l->changed += t.changed;
	l->overflow += t.overflow;
	l->underflow += t.underflow;
	l->flushed += t.flushed;
	l->most_abs = fmax(l->most_abs, (double)lm_from_bits32((uint32_t)t.most_abs));
	l->most_ulp = fmax(l->most_ulp, (double)lm_from_bits32((uint32_t)t.most_ulp));
}

/* ---- any ---- */

/* The distance between bfloat16's neighbours around v. */
static double
spacing(float v)
{
	int exponent;

	(void)frexp((double)v, &exponent);
	return ldexp(1, (exponent > -125 ? exponent : -125) - 8);
}

static void
count_one(struct lm_loss *l, enum lm_narrow to, float was, float is)
{
	double d;

	if (lm_bits32(was) == lm_bits32(is) || (isnan(was) && isnan(is)))
		return;
	l->changed++;
	if (isinf(is) && !isinf(was)) {
		l->overflow++;
		return;
	}
	d = fabs((double)is - (double)was);
	l->most_abs = fmax(l->most_abs, d);
	if (is == 0 && was != 0)
		l->underflow++;
	else if (to != LM_NARROW_BLOCKS && fabsf(is) < 0x1p-126f)
		l->flushed++;
	if (to != LM_NARROW_BLOCKS)
		l->most_ulp = fmax(l->most_ulp, d / spacing(was));
}

void
lm_loss_count(struct lm_loss *l, enum lm_narrow to, const float *was, const float *is, size_t n)
{
	size_t i, k;

	l->count += n;
	for (i = 0; to == LM_NARROW_F16 && i < n; i += k) {
		k = n - i < AT_ONCE ? n - i : AT_ONCE;
		count_halves(l, was + i, is + i, k);
	}
	for (i = 0; to != LM_NARROW_F16 && i < n; i++)
		count_one(l, to, was[i], is[i]);
}
