/* fpenv: the floating-point modes of the calling thread, and whether the machine computes right. */
#ifndef NUM_FPENV_H
#define NUM_FPENV_H

#include <stdint.h>

struct loom_error;

struct lm_fpenv {
	uint64_t control;
};

/* Save the caller's modes, then set ours: round to nearest even, subnormals kept, no traps. */
void lm_fpenv_set(struct lm_fpenv *saved);
void lm_fpenv_restore(const struct lm_fpenv *saved);

/*
 * Whether arithmetic under the present modes is what results are defined by: -1 with
 * LOOM_EMACHINE and the failing check if not.  Takes well under a microsecond.
 */
int lm_numeric_check(struct loom_error *err) __attribute__((warn_unused_result));

#endif
