/*
 * trig: sine and cosine of a binary32 in radians, correctly rounded for each of the 2^32 inputs: x less
 * a multiple of pi/2, as a twin (num/twin.h), then polynomials with their leading terms in twins.
 */
#include <math.h>

#include "num/func.h"
#include "num/twin.h"

#define HALF_PI 0x1.921fb54442d18p+0
#define HALF_PI_LOW 0x1.1a62633145c07p-54

/* x = quarters pi/2 + r, as far as quarters counts modulo 4; |r| <= pi/4 */
struct reduced {
	uint32_t quarters;
	struct lm_twin r;
};

/* 32 bits of 2/pi, from the one that stands for 2^-first; bit 1 is the first behind the point. */
static uint32_t
inverse_bits(int first)
{
	static const uint32_t word[] = { 0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0,
		0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561 };
	int at = first + 31, bit = at % 32;
	uint64_t both = (uint64_t)word[at / 32] << 32 | word[at / 32 + 1];

	return (uint32_t)(both >> (32 - bit));
}

/*
 * x = m 2^e, m < 2^24, times the 128 bits of 2/pi that matter modulo 4: those before give multiples
 * of 4, those behind less than 2^-100.  top has 2 bits before the point.
 */
static struct reduced
reduce(double x)
{
	uint64_t u = lm_bits64(x), m = (u >> 29 & 0x7fffff) | 0x800000, sum;
	int e = (int)(u >> 52) - 1023 - 23, first = e - 1;
	uint32_t top, middle, bottom;
	struct lm_twin turn;
	struct reduced y;

	sum = m * inverse_bits(first + 96);
	sum = m * inverse_bits(first + 64) + (sum >> 32);
	bottom = (uint32_t)sum;
	sum = m * inverse_bits(first + 32) + (sum >> 32);
	middle = (uint32_t)sum;
	top = (uint32_t)(m * inverse_bits(first) + (sum >> 32));
	y.quarters = (top + 0x20000000) >> 30;
	top -= y.quarters << 30;
	turn = lm_twin_sum((double)(int32_t)top * 0x1p-30, middle * 0x1p-62);
	turn = lm_twin_sum(turn.high, turn.low + bottom * 0x1p-94);
	y.r = lm_twin_product(turn.high, HALF_PI);
	y.r.low += turn.high * HALF_PI_LOW + turn.low * HALF_PI;
	return y;
}

/* r - r^3/6 + r^5 p(r^2) */
static struct lm_twin
sine_near(struct lm_twin r)
{
	struct lm_twin u = lm_twin_product(r.high, r.high), cube, sixth, s;
	double z = u.high, p = -0x1.2f49b46814157p-57;

	p = p * z + 0x1.952c77030ad4ap-49;
	p = p * z + -0x1.ae7f3e733b81fp-41;
	p = p * z + 0x1.6124613a86d09p-33;
	p = p * z + -0x1.ae64567f544e4p-26;
	p = p * z + 0x1.71de3a556c734p-19;
	p = p * z + -0x1.a01a01a01a01ap-13;
	p = p * z + 0x1.1111111111111p-7;
	cube = lm_twin_product(r.high, u.high);
	cube.low += r.high * u.low;
	sixth = lm_twin_product(cube.high, -0x1.5555555555555p-3);
	sixth.low += cube.low * -0x1.5555555555555p-3 + cube.high * -0x1.5555555555555p-57;
	s = lm_twin_sum(r.high, sixth.high);
	s.low += (sixth.low + r.low * (1 - 0.5 * z)) + (cube.high * z) * p;
	return s;
}

/* 1 - r^2/2 + r^4 p(r^2) */
static struct lm_twin
cosine_near(struct lm_twin r)
{
	struct lm_twin u = lm_twin_product(r.high, r.high), c;
	double z = u.high, p = -0x1.6827863b97d97p-53;

	p = p * z + 0x1.ae7f3e733b81fp-45;
	p = p * z + -0x1.93974a8c07c9dp-37;
	p = p * z + 0x1.1eed8eff8d898p-29;
	p = p * z + -0x1.27e4fb7789f5cp-22;
	p = p * z + 0x1.a01a01a01a01ap-16;
	p = p * z + -0x1.6c16c16c16c17p-10;
	p = p * z + 0x1.5555555555555p-5;
	c = lm_twin_sum(1, -0.5 * z);
	c.low += (z * z) * p - (0.5 * u.low + r.high * r.low);
	return c;
}

/* The sine of |x|, some quarters of a turn on. */
static float
sine(float x, uint32_t turn)
{
	struct reduced y = { 0, { fabs((double)x), 0 } };
	struct lm_twin s;
	float f;

	if (!(y.r.high < INFINITY))
		return NAN;
	if (y.r.high > 0.75)
		y = reduce(y.r.high);
	turn += y.quarters;
	s = turn % 2 == 0 ? sine_near(y.r) : cosine_near(y.r);
	f = lm_twin_round(s.high, s.low);
	return turn % 4 >= 2 ? -f : f;
}

float
lm_sin(float x)
{
	float s = sine(x, 0);

	return signbit(x) ? -s : s;
}

float
lm_cos(float x)
{
	return sine(x, 1);
}
