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

/* Whether this machine has a set; the names of those that it has go to list. */
static int
has_set(const char *name, char *list, size_t size)
{
	const struct lm_kernels *k;
	size_t i, n = 0;
	int has = 0;

	for (i = 0; (k = lm_kernels_at(i)) != NULL; i++) {
		n += (size_t)snprintf(list + n, size - n, "%s%s", i > 0 ? ", " : "", k->name);
		has |= strcmp(k->name, name) == 0;
	}
	return has;
}

static void
check_kernels(void)
{
	static const char *const names[] = { "scalar", "sse2", "avx2", "avx512", "amx", "neon",
		"simd128", "SSE2", "avx" };
	const struct lm_kernels *k;
	char list[200], want[256];
	size_t i;

	assert(strcmp(lm_kernels_at(0)->name, "scalar") == 0);
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct loom_error err = { 0 };

		setenv("LOOM_ISA", names[i], 1);
		k = lm_kernels_pick(&err);
		if (has_set(names[i], list, sizeof list)) {
			assert(k != NULL && strcmp(k->name, names[i]) == 0 && err.code == LOOM_OK);
			continue;
		}
		snprintf(want, sizeof want, "LOOM_ISA is %s, but this machine has only %s",
		    names[i], list);
		assert(k == NULL && err.code == LOOM_EARG && strcmp(err.text, want) == 0);
	}
}

/* Unset or empty it leaves the choice: the last of the list. */
static void
check_best(void)
{
	struct loom_error err = { 0 };
	size_t last = 0;

	while (lm_kernels_at(last + 1) != NULL)
		last++;
	setenv("LOOM_ISA", "", 1);
	assert(lm_kernels_pick(&err) == lm_kernels_at(last));
	unsetenv("LOOM_ISA");
	assert(lm_kernels_pick(&err) == lm_kernels_at(last) && err.code == LOOM_OK);
#if defined(__x86_64__)
	assert(last >= 1 && strcmp(lm_kernels_at(1)->name, "sse2") == 0);
#endif
}

int
main(void)
{
	expect_fit();
	check_rounding_modes();
	check_flushing();
	check_kernels();
	check_best();
	printf("selfcheck: 5 unfit modes refused, 11 settings of LOOM_ISA\n");
	return 0;
}
