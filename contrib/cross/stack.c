/*
 * stack: what a compiler's library for WebAssembly asks for where it was itself compiled with guards on
 * the stack, and the C library has none.
 */
#include <stdint.h>

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard = 0x5bd1e995;

void __stack_chk_fail(void);

void
__stack_chk_fail(void)
{
	__builtin_trap();
}
