/* product: what a product's proof needs of each row. */
#include "num/product.h"

#include <math.h>

#include "num/bytes.h"

enum { LANES = 4 };

/* Squares of binary32 numbers are exact in binary64, so only the additions round. */
double
lm_norm(const lm_f32u *v, size_t n)
{
	double p[LANES] = { 0 };
	size_t i = 0, j;

	for (; n - i >= LANES; i += LANES)
		for (j = 0; j < LANES; j++)
			p[j] += (double)v[i + j] * v[i + j];
	for (j = 0; i + j < n; j++)
		p[j] += (double)v[i + j] * v[i + j];
	return sqrt((p[0] + p[1]) + (p[2] + p[3]));
}

/* The exponent of the lowest bit that is set, of a finite number that is not zero. */
static int
lowest_bit(uint32_t u)
{
	int exponent = (int)(u >> 23 & 255), bit = 0;
	uint32_t m = (u & 0x7fffff) | (exponent > 0 ? 0x800000 : 0);

	while ((m >> bit & 1) == 0)
		bit++;
	return (exponent > 0 ? exponent : 1) - 150 + bit;
}

double
lm_grid(const lm_f32u *v, size_t n)
{
	int least = 1000, bit;
	uint32_t u;
	size_t i;

	for (i = 0; i < n; i++) {
		u = lm_bits32(v[i]);
		if ((u & 0x7fffffff) == 0)
			continue;
		if ((u >> 23 & 255) == 255)
			return 0;
		bit = lowest_bit(u);
		least = bit < least ? bit : least;
	}
	return least == 1000 ? HUGE_VAL : ldexp(1, least);
}
