/*
 * moduli: what products by residues rest on, in integers: the moduli, their product and reciprocals,
 * and sums that are known to be multiples.
 */
#include <math.h>

#include "num/residues.h"
#include "sums.h"

__extension__ typedef unsigned __int128 wide;

static int
divisor(int a, int b)
{
	return b == 0 ? a : divisor(b, a % b);
}

static void
check_plan(size_t k, int moduli)
{
	struct lm_residue_plan plan = lm_residue_plan(k);
	wide product = 1;
	int i;

	assert(plan.moduli == moduli);
	for (i = 0; i < moduli; i++) {
		double m = lm_moduli[i], left = plan.high[i] * m - 1;

		product *= (wide)lm_moduli[i];
		assert(plan.high[i] * 0x1p33 == floor(plan.high[i] * 0x1p33));
		assert(fabs(plan.low[i]) <= 0x1p-34);
		/* 1/m = high + low, but for the rounding of low */
		assert(fabs(left + plan.low[i] * m) <= m * fabs(plan.low[i]) * 0x1p-52);
	}
	assert(plan.product == (double)product);
	assert(plan.bits <= LM_RESIDUE_BITS && plan.bits_w <= LM_RESIDUE_BITS);
	assert(((wide)1 << (plan.bits + plan.bits_w)) * 2000 < product * 972);
}

static void
check_moduli(void)
{
	int i, j;

	for (i = 0; i < LM_MODULI; i++)
		for (j = 0; j < i; j++)
			assert(lm_moduli[i] <= 256 && divisor(lm_moduli[i], lm_moduli[j]) == 1);
	check_plan(1, 10);
	check_plan(512, 10);
	check_plan(513, 11);
	check_plan(4096, 11);
	check_plan(4097, 12);
	check_plan(LM_RESIDUE_LONGEST, 12);
}

/* Off by almost half of the grid it is found; where it may be off by half, nothing is known. */
static size_t
check_exact(void)
{
	static const float biases[][2] = { { 0, 0 }, { -0.0f, -0.0f }, { 1.5f, 0 },
		{ 0x1p-100f, 3 }, { 0x1p-60f, 0x1p60f } };
	uint64_t seed = 8;
	size_t i, found = 0;

	for (i = 0; i < 20000; i++) {
		double grid = ldexp(1, (int)(draw_bits(&seed) % 180) - 120);
		double off = draw(&seed) * 0.499;
		float a[2] = { draw_bits(&seed) % 4 == 0 ? 0
							 : floorf(draw(&seed) * 0x1p20f) * 0x1p22f,
			(float)(draw_bits(&seed) % 3 == 0 ? 0 : draw_bits(&seed) % 0x400000) };
		float b[2] = { (float)grid, (float)grid }, y;
		const float *bias = biases[draw_bits(&seed) % 5];
		double sum = (double)a[0] + a[1];

		if (lm_residue_exact(&y, (sum + off) * grid, 0.499 * grid, grid, bias)) {
			assert(shown32(y) == shown32(lm_xdot_exact(a, b, 2, bias, 2, 1)));
			found++;
		}
		assert(!lm_residue_exact(&y, sum * grid, 0.5 * grid, grid, bias));
	}
	assert(found > 10000);
	return found;
}

int
main(void)
{
	check_moduli();
	printf("moduli: %zu multiples\n", check_exact());
	return 0;
}
