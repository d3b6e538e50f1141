/* func_sse2: functions and rows with SSE2. */
#include "num/functions.h"

#ifdef __SSE2__

#include "num/vec_sse2.h"

#include "num/func.inc"
#include "num/rows.inc"

const struct lm_functions lm_functions_sse2 = { LM_MAPS, LM_ROWS };

#endif
