/* kernel_scalar: products in plain C, for any machine. */
#include "num/vec_scalar.h"

#define NAME "scalar"
#define KERNELS lm_kernels_scalar
#define FUNCTIONS lm_functions_scalar
#include "num/product.inc"
