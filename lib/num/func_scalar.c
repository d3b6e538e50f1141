/* func_scalar: functions and rows in plain C, for any machine. */
#include "num/functions.h"

#include "num/vec_scalar.h"

#include "num/func.inc"
#include "num/rows.inc"

const struct lm_functions lm_functions_scalar = { LM_MAPS, LM_ROWS };
