/* kernel: which set of inner loops to use. */
#include "num/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static int
always(void)
{
	return 1;
}

#if defined(__x86_64__)

static int
has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int
has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && has_avx2();
}

#endif

/* What the compiler had as targets, the best last, and whether this machine has it. */
static const struct set {
	const struct lm_kernels *kernels;
	int (*is_here)(void);
} sets[] = {
	{ &lm_kernels_scalar, always },
#if defined(__x86_64__)
	{ &lm_kernels_sse2, always },
	{ &lm_kernels_avx2, has_avx2 },
	{ &lm_kernels_avx512, has_avx512 },
	{ &lm_kernels_amx, lm_amx_here },
#elif defined(__aarch64__)
	{ &lm_kernels_neon, always },
#elif defined(__wasm_simd128__)
	{ &lm_kernels_simd128, always },
#endif
};

const struct lm_kernels *
lm_kernels_at(size_t i)
{
	size_t j;

	for (j = 0; j < sizeof sets / sizeof sets[0]; j++)
		if (sets[j].is_here() && i-- == 0)
			return sets[j].kernels;
	return NULL;
}

/* The names of the sets that this machine has. */
static void
list(char *to, size_t size)
{
	const struct lm_kernels *k;
	size_t i, n = 0;

	for (i = 0; (k = lm_kernels_at(i)) != NULL && n < size; i++)
		n += (size_t)snprintf(to + n, size - n, "%s%s", i > 0 ? ", " : "", k->name);
}

const struct lm_kernels *
lm_kernels_pick(struct loom_error *err)
{
	const char *name = getenv("LOOM_ISA");
	const struct lm_kernels *k, *best = NULL;
	char shown[LM_SHOWN], here[128];
	size_t i;

	for (i = 0; (k = lm_kernels_at(i)) != NULL; i++) {
		best = k;
		if (name != NULL && strcmp(name, k->name) == 0)
			return k;
	}
	if (name == NULL || name[0] == '\0')
		return best;
	list(here, sizeof here);
	(void)lm_fail(err, LOOM_EARG, "LOOM_ISA is %s, but this machine has only %s",
	    lm_shown(shown, name), here);
	return NULL;
}
