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

/*
 * The lowest bit of a number, by its pattern without the sign, as the pattern of its value: the number
 * less itself without that bit.  Of zero infinity; without branches, for vectors.
 */
static int32_t
lowest_bit(uint32_t u)
{
	float rest = lm_from_bits32(u) - lm_from_bits32(u & (u - 1));
	int32_t bit = (int32_t)(u & 0x7fffff ? lm_bits32(rest) : u);

	return u == 0 ? 0x7f800000 : bit;
}

double
lm_grid(const lm_f32u *v, size_t n)
{
	int32_t least = 0x7f800000, most = 0, bit, u;
	size_t i;

	for (i = 0; i < n; i++) {
		u = (int32_t)(lm_bits32(v[i]) & 0x7fffffff);
		bit = lowest_bit((uint32_t)u);
		least = bit < least ? bit : least;
		most = u > most ? u : most;
	}
	return most >= 0x7f800000 ? 0 : lm_from_bits32((uint32_t)least);
}
