/* natural: natural numbers wide enough to convert any binary64 to decimal digits and back. */
#include "num/natural.h"

#include <assert.h>
#include <string.h>

void
lm_natural_set(struct lm_natural *a, uint64_t v)
{
	a->n = 0;
	for (; v != 0; v >>= 32)
		a->limb[a->n++] = (uint32_t)v;
}

static void
push(struct lm_natural *a, uint32_t limb)
{
	if (limb == 0)
		return;
	assert(a->n < LM_NATURAL_LIMBS);
	a->limb[a->n++] = limb;
}

void
lm_natural_mul(struct lm_natural *a, uint32_t by, uint32_t plus)
{
	uint64_t carry = plus;
	int i;

	for (i = 0; i < a->n; i++) {
		carry += (uint64_t)a->limb[i] * by;
		a->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	push(a, (uint32_t)carry);
}

void
lm_natural_mul_ten(struct lm_natural *a, int power)
{
	for (; power >= 9; power -= 9)
		lm_natural_mul(a, 1000000000, 0);
	for (; power > 0; power--)
		lm_natural_mul(a, 10, 0);
}

void
lm_natural_shift(struct lm_natural *a, int bits)
{
	int limbs = bits / 32;

	if (a->n == 0)
		return;
	if (bits % 32 != 0)
		lm_natural_mul(a, (uint32_t)1 << bits % 32, 0);
	if (limbs == 0)
		return;
	assert(a->n + limbs <= LM_NATURAL_LIMBS);
	memmove(a->limb + limbs, a->limb, (size_t)a->n * sizeof a->limb[0]);
	memset(a->limb, 0, (size_t)limbs * sizeof a->limb[0]);
	a->n += limbs;
}

int
lm_natural_compare(const struct lm_natural *a, const struct lm_natural *b)
{
	int i;

	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (i = a->n - 1; i >= 0; i--)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] < b->limb[i] ? -1 : 1;
	return 0;
}

void
lm_natural_add(struct lm_natural *a, const struct lm_natural *b)
{
	uint64_t carry = 0;
	int i;

	for (i = 0; i < a->n || i < b->n; i++) {
		carry += (uint64_t)(i < a->n ? a->limb[i] : 0) + (i < b->n ? b->limb[i] : 0);
		a->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	a->n = i;
	push(a, (uint32_t)carry);
}

void
lm_natural_sub(struct lm_natural *a, const struct lm_natural *b)
{
	int64_t borrow = 0;
	int i;

	for (i = 0; i < a->n; i++) {
		borrow += (int64_t)a->limb[i] - (i < b->n ? (int64_t)b->limb[i] : 0);
		a->limb[i] = (uint32_t)borrow;
		borrow >>= 32;
	}
	while (a->n > 0 && a->limb[a->n - 1] == 0)
		a->n--;
}

int
lm_natural_bits(const struct lm_natural *a)
{
	return a->n == 0 ? 0 : 32 * a->n - __builtin_clz(a->limb[a->n - 1]);
}
