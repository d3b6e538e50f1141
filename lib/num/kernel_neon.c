/* kernel_neon: products on 64-bit ARM; nothing where the compiler has another target. */
#include "num/kernel.h"

#if defined(__aarch64__)

#include "num/vec_neon.h"

#define NAME "neon"
#define KERNELS lm_kernels_neon
#define FUNCTIONS lm_functions_neon
#include "num/product.inc"

#endif
