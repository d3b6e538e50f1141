/* func_simd128: functions and rows with WebAssembly's vectors. */
#include "num/functions.h"

#ifdef __wasm_simd128__

#include "num/vec_simd128.h"

#include "num/func.inc"
#include "num/rows.inc"

const struct lm_functions lm_functions_simd128 = { LM_MAPS, LM_ROWS };

#endif
