/* pair: functions of two binary32 numbers. */
#ifndef NUM_PAIR_H
#define NUM_PAIR_H

#include <math.h>

/* IEEE 754-2019 minimum and maximum: a NaN wins, -0 is less than +0. */
static inline float
lm_minimum(float x, float y)
{
	if (x == y)
		return signbit(x) ? x : y;
	return x != x || x < y ? x : y;
}

static inline float
lm_maximum(float x, float y)
{
	if (x == y)
		return signbit(x) ? y : x;
	return x != x || x > y ? x : y;
}

/*
 * The floor of the exact quotient, rounded once; x/y where y is 0.  An infinite x leaves no
 * remainder to count, so it gives a NaN; an infinite y gives 0, or -1 where the signs differ.
 */
float lm_floor_divide(float x, float y);
/* What is left of x then: between 0 and y, rounded once; a zero has the sign of x. */
float lm_remainder(float x, float y);

#endif
