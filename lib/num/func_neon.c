/* func_neon: functions and rows on 64-bit ARM. */
#include "num/functions.h"

#ifdef __aarch64__

#include "num/vec_neon.h"

#include "num/func.inc"
#include "num/rows.inc"

const struct lm_functions lm_functions_neon = { LM_MAPS, LM_ROWS };

#endif
