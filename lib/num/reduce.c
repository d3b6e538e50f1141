/* reduce: reductions along a row, in 16 interleaved partial sums and one fixed tree. */
#include "num/reduce.h"

#include <math.h>

enum { LANES = 16 };

/* Lanes that no element reached are +0 and are added like the others. */
static double
fold(double *p)
{
	int h, j;

	for (h = LANES / 2; h > 0; h /= 2)
		for (j = 0; j < h; j++)
			p[j] += p[j + h];
	return p[0];
}

double
lm_lane16(const double *v, size_t n)
{
	double p[LANES] = { 0 };
	size_t i = 0, j;

	for (; n - i >= LANES; i += LANES)
		for (j = 0; j < LANES; j++)
			p[j] += v[i + j];
	for (j = 0; i + j < n; j++)
		p[j] += v[i + j];
	return fold(p);
}

double
lm_lane16_f32(const float *v, size_t n)
{
	double p[LANES] = { 0 };
	size_t i = 0, j;

	for (; n - i >= LANES; i += LANES)
		for (j = 0; j < LANES; j++)
			p[j] += v[i + j];
	for (j = 0; i + j < n; j++)
		p[j] += v[i + j];
	return fold(p);
}

/*
 * Zeros of both signs are equal, so which of them a maximum gives depends on the order; the
 * definition takes elements in their order and keeps the first.
 */
static float
first_zero(const float *v)
{
	while (*v != 0)
		v++;
	return *v;
}

float
lm_max(const float *v, size_t n)
{
	float m[LANES], most = -HUGE_VALF;
	size_t i = 0, j;

	for (j = 0; j < LANES; j++)
		m[j] = most;
	for (; n - i >= LANES; i += LANES)
		for (j = 0; j < LANES; j++)
			m[j] = v[i + j] > m[j] ? v[i + j] : m[j];
	for (; i < n; i++)
		most = v[i] > most ? v[i] : most;
	for (j = 0; j < LANES; j++)
		most = m[j] > most ? m[j] : most;
	return most == 0 ? first_zero(v) : most;
}
