/* residues: the moduli and what follows from them. */
#include "num/residues.h"

#include <assert.h>
#include <math.h>

#include "num/proof.h"

/* Pairwise coprime, at most 256: residues nearest to zero fit a signed byte. */
const int lm_moduli[LM_MODULI] = { 256, 255, 253, 251, 247, 241, 239, 233, 229, 227, 223, 217 };

/* So many moduli for sums of so many terms: the least that leave few values rounded. */
static const struct size {
	size_t longest;
	int moduli;
	double product; /* nearest binary64 */
	int bits;	/* 2^bits < 0.972 product/2 */
} sizes[] = {
	{ 512, 10, 0x1.2e88a4e387945p+79, 78 },
	{ 4096, 11, 0x1.078907a2331a3p+87, 86 },
	{ LM_RESIDUE_LONGEST, 12, 0x1.bec64ef0faa26p+94, 93 },
};

struct lm_residue_plan
lm_residue_plan(size_t k)
{
	struct lm_residue_plan plan = { 0 };
	const struct size *s = sizes;
	int i;

	assert(k <= LM_RESIDUE_LONGEST);
	while (k > s->longest)
		s++;
	plan.moduli = s->moduli;
	plan.product = s->product;
	plan.bits_w = (s->bits + 1) / 2;
	plan.bits = s->bits - plan.bits_w;
	for (i = 0; i < s->moduli; i++) {
		double m = lm_moduli[i], high = nearbyint(0x1p33 / m);

		plan.high[i] = high * 0x1p-33;
		plan.low[i] = (0x1p33 - high * m) / m * 0x1p-33;
	}
	return plan;
}

/* Of all numbers that are v modulo m the one nearest to zero. */
static int
nearest(int v, int m)
{
	int r = v % m;

	if (r < 0)
		r += m;
	return r > (m - 1) / 2 ? r - m : r;
}

/* The number whose product with a, coprime to m, is 1 modulo m. */
static int
inverse(int a, int m)
{
	int i = 1;

	while (a * i % m != 1)
		i++;
	return i;
}

/* The product of all other moduli, modulo the one at i. */
static int
others(const struct lm_residue_plan *plan, int i)
{
	int m = lm_moduli[i], v = 1, j;

	for (j = 0; j < plan->moduli; j++)
		if (j != i)
			v = v * lm_moduli[j] % m;
	return v;
}

struct lm_residue_bytes
lm_residue_bytes(const struct lm_residue_plan *plan, int w)
{
	struct lm_residue_bytes bytes = { .low = { 0 } };
	int i, j;

	for (i = 0; i < plan->moduli; i++) {
		int m = lm_moduli[i], times = w ? inverse(others(plan, i), m) : 1;
		int power = times; /* of two, times that */

		bytes.inverse[i] = 1 / (float)m;
		for (j = 0; j <= LM_RESIDUE_BITS; j++) {
			uint32_t byte = (uint8_t)nearest(power, m);

			if (j < 32 && j % 8 == 0)
				bytes.low[i] |= byte << j;
			else if (j % 8 == 0)
				bytes.high[i] |= byte << (j - 32);
			if (j == LM_RESIDUE_BITS)
				bytes.less[i] = -nearest(power, m);
			power = power * 2 % m;
		}
	}
	return bytes;
}

double
lm_residue_scale(double norm, int bits)
{
	int e;

	if (!(norm > 0 && norm < HUGE_VAL))
		return 0;
	(void)frexp(norm * (1 + 0x1p-8), &e);
	return ldexp(1, bits - e);
}

int
lm_residue_exact(float *y, double sum, double error, double grid, const float bias[2])
{
	double s, e;

	if (!(2 * error < grid) || !isfinite(bias[0]) || !isfinite(bias[1]))
		return 0;
	s = nearbyint(sum / grid) * grid + 0.0; /* never -0 */
	lm_two_sum(s, bias[1], &s, &e);
	if (e != 0)
		return 0;
	*y = (float)lm_add_to_odd(s, bias[0]);
	return 1;
}
