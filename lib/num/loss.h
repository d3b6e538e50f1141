/* loss: what a narrower type costs the values that are written in it. */
#ifndef NUM_LOSS_H
#define NUM_LOSS_H

#include <stddef.h>
#include <stdint.h>

struct lm_loss {
	uint64_t changed, count;
	double most_abs; /* |written - value| */
	double most_ulp; /* the same in units of the written dtype; of blocks 0 */
	uint64_t overflow, underflow,
	    flushed; /* became infinite; became 0; lost bits as subnormals */
};

enum lm_narrow { LM_NARROW_F16, LM_NARROW_BF16, LM_NARROW_BLOCKS };

/* n more values, and what they have become. */
void lm_loss_count(struct lm_loss *, enum lm_narrow to, const float *was, const float *is,
    size_t n);

#endif
