/* natural: natural numbers wide enough to convert any binary64 to decimal digits and back. */
#ifndef NUM_NATURAL_H
#define NUM_NATURAL_H

#include <stdint.h>

/*
 * 4352 bits.  Reading needs most: 801 digits over a power of ten down to 10^-1145, which is 3804
 * bits, and 64 bits of quotient.
 */
enum { LM_NATURAL_LIMBS = 136 };

struct lm_natural {
	int n;				 /* limbs in use; the last is not 0 */
	uint32_t limb[LM_NATURAL_LIMBS]; /* lowest first */
};

void lm_natural_set(struct lm_natural *, uint64_t v);
void lm_natural_mul(struct lm_natural *, uint32_t by, uint32_t plus); /* a*by + plus */
void lm_natural_mul_ten(struct lm_natural *, int power);	      /* a * 10^power */
void lm_natural_shift(struct lm_natural *, int bits);		      /* a * 2^bits */
int lm_natural_compare(const struct lm_natural *, const struct lm_natural *);
void lm_natural_add(struct lm_natural *, const struct lm_natural *);
void lm_natural_sub(struct lm_natural *, const struct lm_natural *); /* not below 0 */
int lm_natural_bits(const struct lm_natural *);			     /* 0 for 0 */

#endif
