/* pair: functions of two binary32 numbers. */
#include "num/pair.h"

/*
 * Below 2^50 the quotient q errs by less than 2^-3 and that of the remainder by less, so what they
 * leave is next to one whole number, the quotient cut off.  Above, the floor decides no rounding: a
 * quotient of 24-bit numbers is no tie of binary32 and lies further than 1 from the nearest one.
 */
float
lm_floor_divide(float x, float y)
{
	double q = (double)x / y, rest = fmodf(x, y), whole;

	if (y == 0)
		return (float)q;
	if (isinf(x))
		return NAN;
	if (!(fabs(q) < 0x1p50))
		return (float)q;
	whole = nearbyint(q - rest / y);
	if (rest != 0 && (rest < 0) != (y < 0))
		whole -= 1;
	return (float)(whole == 0 ? copysign(0, q) : whole);
}

/* fmodf is exact. */
float
lm_remainder(float x, float y)
{
	float rest = fmodf(x, y);

	return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}
