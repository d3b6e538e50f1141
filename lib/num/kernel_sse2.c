/* kernel_sse2: products with SSE2; nothing where the compiler has another target. */
#include "num/kernel.h"

#if defined(__SSE2__)

#include "num/vec_sse2.h"

#define NAME "sse2"
#define KERNELS lm_kernels_sse2
#define FUNCTIONS lm_functions_sse2
#include "num/product.inc"

#endif
