/* func_avx2: functions and rows with AVX2 and FMA. */
#include "num/functions.h"

#ifdef __AVX2__

#include "num/vec_avx2.h"

#include "num/func.inc"
#include "num/rows.inc"

const struct lm_functions lm_functions_avx2 = { LM_MAPS, LM_ROWS };

#endif
