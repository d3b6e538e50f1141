/* kernel_avx2: products with AVX2 and FMA; nothing where the compiler has another target. */
#include "num/kernel.h"

#if defined(__AVX2__)

#include "num/vec_avx2.h"

#define NAME "avx2"
#define KERNELS lm_kernels_avx2
#define FUNCTIONS lm_functions_avx2
#include "num/product.inc"

#endif
