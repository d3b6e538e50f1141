/* fpenv: the floating-point modes of the calling thread, and whether the machine computes right. */
#include "num/fpenv.h"

#include <fenv.h>
#include <float.h>

#include "base/err.h"

_Static_assert(FLT_EVAL_METHOD == 0,
    "float and double expressions must be evaluated in their own type: use -std=gnu11, and SSE2 on i386");

#if defined(__SSE2__)

/* Exceptions masked, to nearest, neither FTZ nor DAZ. */
#define OURS 0x1f80

static uint64_t
get_control(void)
{
	return __builtin_ia32_stmxcsr();
}

static void
set_control(uint64_t control)
{
	__builtin_ia32_ldmxcsr((unsigned)control);
}

#elif defined(__aarch64__)

#define OURS 0

static uint64_t
get_control(void)
{
	uint64_t control;

	__asm__ volatile("mrs %0, fpcr" : "=r"(control));
	return control;
}

static void
set_control(uint64_t control)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(control));
}

#else

#define OURS FE_TONEAREST

static uint64_t
get_control(void)
{
	return (uint64_t)fegetround();
}

static void
set_control(uint64_t control)
{
	(void)fesetround((int)control);
}

#endif

void
lm_fpenv_set(struct lm_fpenv *saved)
{
	saved->control = get_control();
	set_control(OURS);
}

void
lm_fpenv_restore(const struct lm_fpenv *saved)
{
	set_control(saved->control);
}

/* Operands are volatile, so that the machine computes and not the compiler. */

static int
rounds_to_nearest(void)
{
	volatile double one = 1, tiny = 0x1p-60;

	return one + tiny == 1 && one - tiny == 1 && -one - tiny == -1 && -one + tiny == -1;
}

static int
keeps_subnormals(void)
{
	volatile float v = 0x1p-140f, half = 0.5f;

	return v * half != 0;
}

static int
rounds_every_step(void)
{
	volatile float one = 1, tiny = 0x1p-24f;

	return one + tiny + tiny == 1;
}

static int
contracts_nothing(void)
{
	volatile double a = 1 + 0x1p-27, one = 1;
	volatile double square = a * a;
	volatile double two_steps = square - one;

	return a * a - one == two_steps;
}

int
lm_numeric_check(struct loom_error *err)
{
	const char *fault = NULL;

	if (!rounds_to_nearest())
		fault = "it does not round to nearest even";
	else if (!keeps_subnormals())
		fault = "it flushes subnormal numbers to zero";
	else if (!rounds_every_step())
		fault = "it keeps excess precision in float expressions";
	else if (!contracts_nothing())
		fault = "it contracts a*b-c into one rounding; build with -ffp-contract=off";
	if (fault == NULL)
		return 0;
	return lm_fail(err, LOOM_EMACHINE, "this machine's arithmetic is unsuitable: %s", fault);
}
