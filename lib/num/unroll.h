/*
 * unroll: before a loop of few and known turns, each of which is to be written out: compilers keep
 * arrays of sums in registers only then.
 */
#ifndef NUM_UNROLL_H
#define NUM_UNROLL_H

#if defined(__clang__)
#define LM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LM_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
