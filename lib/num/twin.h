/*
 * twin: a number as the sum of two binary64, the second far smaller than the first, for functions
 * whose binary64 value would not settle the rounding to binary32.
 */
#ifndef NUM_TWIN_H
#define NUM_TWIN_H

#include "num/func_core.h"

struct lm_twin {
	double high, low;
};

/* a + b, exactly, where a is 0 or |a| >= |b|. */
LM_CORE struct lm_twin
lm_twin_sum(double a, double b)
{
	struct lm_twin s;

	s.high = a + b;
	s.low = b - (s.high - a);
	return s;
}

/* a b, exactly, where nothing overflows or underflows; by halves of 26 and 27 bits without fma. */
LM_CORE struct lm_twin
lm_twin_product(double a, double b)
{
	struct lm_twin p;
#ifdef LM_FUSED
	p.high = a * b;
	p.low = __builtin_fma(a, b, -p.high);
#else
	double ah = lm_top26(a), al = a - ah;
	double bh = lm_top26(b), bl = b - bh;

	p.high = a * b;
	p.low = ((ah * bh - p.high) + (ah * bl + al * bh)) + al * bl;
#endif
	return p;
}

/*
 * To binary32 with one rounding: the sum is first rounded to odd, which keeps on which side of a
 * midpoint it lies.
 */
LM_CORE float
lm_twin_round(double high, double low)
{
	double t = high + low, rest = low - (t - high), moved;
	uint64_t u = lm_bits64(t), even = ~u & 1, less = (lm_bits64(rest) ^ u) >> 63;

	/* One unit up or down, as the rest points, where that makes it odd. */
	moved = lm_from_bits64(u + ((even ^ (0 - less)) + less));
	t = rest > 0 ? moved : t;
	return (float)(rest < 0 ? moved : t);
}

#endif
