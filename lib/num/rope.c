/* rope: rotary position embedding. */
#include "num/rope.h"

#include "num/angle.h"

void
lm_rope_frequencies(double *frequency, size_t d, double base)
{
	double log = lm_log64(base);
	size_t i;

	for (i = 0; i < d / 2; i++)
		frequency[i] = lm_exp64(-((double)(2 * i) / (double)d * log));
}

void
lm_rope_angles(float *cosine, float *sine, const double *frequency, size_t n, size_t position)
{
	double c, s;
	size_t i;

	for (i = 0; i < n; i++) {
		lm_sincos64((double)position * frequency[i], &s, &c);
		cosine[i] = (float)c;
		sine[i] = (float)s;
	}
}

/* Products of binary32 numbers are exact in binary64: one rounding there, and one to binary32. */
void
lm_rope_turn(float *v, size_t d, const float *cosine, const float *sine, int interleaved)
{
	size_t n = d / 2, step = interleaved ? 2 : 1, apart = interleaved ? 1 : n, i;

	for (i = 0; i < n; i++) {
		float *a = &v[i * step], *b = a + apart;
		double x = *a, y = *b, c = cosine[i], s = sine[i];

		*a = (float)(x * c - y * s);
		*b = (float)(x * s + y * c);
	}
}
