/*
 * selfcheck: a thread whose modes are unfit is refused with the reason, lm_fpenv_set makes it fit,
 * lm_fpenv_restore gives the caller's modes back; and which kernels LOOM_ISA may name.
 */
#include <fenv.h>

#include "loom.h"
#include "num/fpenv.h"
#include "num/kernel.h"
#include "vectors.h"

static void
expect_refusal(const char *why)
{
	struct loom_error err = { 0 };
	char want[256];
	int status = lm_numeric_check(&err);

	snprintf(want, sizeof want, "this machine's arithmetic is unsuitable: %s", why);
	assert(status == -1 && err.code == LOOM_EMACHINE && strcmp(err.text, want) == 0);
}

static void
expect_fit(void)
{
	struct loom_error err = { 0 };

	assert(lm_numeric_check(&err) == 0 && err.code == LOOM_OK);
}

static void
check_rounding_modes(void)
{
	static const int modes[3] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
	struct lm_fpenv saved;
	int i;

	for (i = 0; i < 3; i++) {
		fesetround(modes[i]);
		expect_refusal("it does not round to nearest even");
		lm_fpenv_set(&saved);
		expect_fit();
		lm_fpenv_restore(&saved);
		expect_refusal("it does not round to nearest even");
	}
	fesetround(FE_TONEAREST);
}

#if defined(__SSE2__)

/* Subnormal results flushed, and subnormal operands taken as zero. */
static void
check_flushing(void)
{
	static const unsigned modes[2] = { 0x9f80, 0x1fc0 };
	struct lm_fpenv saved;
	int i;

	for (i = 0; i < 2; i++) {
		__builtin_ia32_ldmxcsr(modes[i]);
		expect_refusal("it flushes subnormal numbers to zero");
		lm_fpenv_set(&saved);
		expect_fit();
		lm_fpenv_restore(&saved);
		assert((__builtin_ia32_stmxcsr() & 0xffc0) == modes[i]);
	}
	__builtin_ia32_ldmxcsr(0x1f80);
}

#else

static void
check_flushing(void)
{
}

#endif

static void
check_kernels(void)
{
	struct loom_error err = { 0 };

	unsetenv("LOOM_ISA");
	assert(lm_kernels_pick(&err) == &lm_kernels_scalar);
	setenv("LOOM_ISA", "scalar", 1);
	assert(lm_kernels_pick(&err) == &lm_kernels_scalar && err.code == LOOM_OK);
	setenv("LOOM_ISA", "avx2", 1);
	assert(lm_kernels_pick(&err) == NULL && err.code == LOOM_EARG);
	assert(strcmp(err.text,
		   "LOOM_ISA is avx2, but this build has only scalar kernels; "
		   "unset it or set it to scalar") == 0);
}

int
main(void)
{
	expect_fit();
	check_rounding_modes();
	check_flushing();
	check_kernels();
	printf("selfcheck: 5 unfit modes refused, 3 settings of LOOM_ISA\n");
	return 0;
}
