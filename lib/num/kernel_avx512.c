/* kernel_avx512: products with AVX-512; nothing where the compiler has another target. */
#include "num/kernel_amx.h"

#if defined(__AVX512F__)

#include "num/vec_avx512.h"

#define NAME "avx512"
#define KERNELS lm_kernels_avx512
#define FUNCTIONS lm_functions_avx512
#include "num/product.inc"

_Static_assert(sizeof(struct room) <= LM_AMX_ROOM, "avx512 products use the room as well");

const struct lm_kernels lm_kernels_amx = {
	.name = "amx",
	.room = LM_AMX_ROOM,
	.product = lm_amx_product,
	.residues = lm_amx_residues,
	SHARED,
};

#endif
