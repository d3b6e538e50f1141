/* accumulator: a fixed-point number wide enough for any sum of products, scale and bias. */
#ifndef NUM_ACCUMULATOR_H
#define NUM_ACCUMULATOR_H

#include <stdint.h>

/* Digit i weighs 2^(32 i - LM_DIGIT_BIAS); digits are signed and may exceed 32 bits. */
enum { LM_DIGITS = 96, LM_DIGIT_BIAS = 1536 };

struct lm_accumulator {
	int64_t digit[LM_DIGITS];
	uint32_t pending; /* additions since carries were last propagated */
};

void lm_accumulator_init(struct lm_accumulator *);
void lm_accumulator_add(struct lm_accumulator *, double v);   /* v finite */
void lm_accumulator_scale(struct lm_accumulator *, double c); /* exact; c finite */

/* The value rounded to odd: 53 bits, the last of which stands for all that is below. */
double lm_accumulator_odd(struct lm_accumulator *);

#endif
