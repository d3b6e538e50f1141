/* kernel_simd128: products with WebAssembly's vectors; nothing where the compiler has another target. */
#include "num/kernel.h"

#if defined(__wasm_simd128__)

#include "num/vec_simd128.h"

#define NAME "simd128"
#define KERNELS lm_kernels_simd128
#define FUNCTIONS lm_functions_simd128
#include "num/product.inc"

#endif
