/* product: what a product's proof needs of each row. */
#include "num/product.h"

#include <math.h>

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
