/*
 * angle: exp, log, sine and cosine in binary64.  Each operation below is one rounding; none may be
 * moved, merged or fused.
 */
#include "num/angle.h"

#define LM_UNFUSED
#include "num/func_core.h"

double
lm_exp64(double x)
{
	return lm_exp_core64(x);
}

/* log m = 2 atanh s = 2 s + s^3 g(s^2), m in [sqrt(1/2), sqrt 2), s = (m - 1)/(m + 1) */
double
lm_log64(double x)
{
	const double least = 0x1.6a09e667f3bcdp-1;
	uint64_t u = lm_bits64(x);
	double e = (double)((int)(u >> 52) - 1022);
	double m = lm_from_bits64((u & 0xfffffffffffff) | (uint64_t)1022 << 52);
	double f, s, z, r = 0x1.0f64e24fe3f21p-3;

	if (m < least) {
		m = 2 * m;
		e = e - 1;
	}
	f = m - 1;
	s = f / (2 + f);
	z = s * s;
	r = r * z + 0x1.0f5c963e76a8ep-3;
	r = r * z + 0x1.3b20adcc8dfa3p-3;
	r = r * z + 0x1.745cde2899287p-3;
	r = r * z + 0x1.c71c725927115p-3;
	r = r * z + 0x1.249249242b1e5p-2;
	r = r * z + 0x1.9999999999e01p-2;
	r = r * z + 0x1.5555555555555p-1;
	return e * LM_LN2_HIGH + ((2 * s + (s * z) * r) + e * LM_LN2_LOW);
}

/* sin r = r + r^3 p(r^2), |r| <= pi/4 */
static double
sine_near(double r, double u)
{
	double p = 0x1.5d9300f0abe64p-33;

	p = p * u + -0x1.ae5e663a69a30p-26;
	p = p * u + 0x1.71de3577b66c7p-19;
	p = p * u + -0x1.a01a019c11992p-13;
	p = p * u + 0x1.111111110f87ap-7;
	p = p * u + -0x1.5555555555549p-3;
	return r + (r * u) * p;
}

/* cos r = 1 - r^2/2 + r^4 c(r^2) */
static double
cosine_near(double u)
{
	double c = -0x1.8fae9c6680bf8p-37;

	c = c * u + 0x1.1ee9ebe90d829p-29;
	c = c * u + -0x1.27e4f809f0714p-22;
	c = c * u + 0x1.a01a019cb1bd7p-16;
	c = c * u + -0x1.6c16c16c1517ep-10;
	c = c * u + 0x1.555555555554cp-5;
	return (1 - 0.5 * u) + (u * u) * c;
}

/* a less a multiple n of pi/2, which is taken off in pieces of 29 bits. */
void
lm_sincos64(double a, double *sine, double *cosine)
{
	double t = a * 0x1.45f306dc9c883p-1 + LM_MAGIC;
	double n = t - LM_MAGIC;
	double r = ((a - n * 0x1.921fb54000000p+0) - n * 0x1.10b4611000000p-30) -
	    n * 0x1.4c4c662000000p-59;
	double s, c;
	unsigned quarter = (unsigned)lm_bits64(t) & 3;

	r = r - n * 0x1.1701b839a2520p-88;
	s = sine_near(r, r * r);
	c = cosine_near(r * r);
	*sine = quarter % 2 == 0 ? s : c;
	*cosine = quarter % 2 == 0 ? c : s;
	if (quarter >= 2)
		*sine = -*sine;
	if (quarter == 1 || quarter == 2)
		*cosine = -*cosine;
}
