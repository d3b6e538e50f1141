/*
 * reduce: reductions along a row, in 16 interleaved partial sums and one fixed tree, so that the
 * bits are the same for every vector width.
 */
#ifndef NUM_REDUCE_H
#define NUM_REDUCE_H

#include <stddef.h>

/* p[i mod 16] += v[i], then the lanes are folded 8, 4, 2, 1. */
double lm_lane16(const double *v, size_t n);
double lm_lane16_f32(const float *v, size_t n);

/* The greatest element, the first of equal ones; NaNs are passed over; -inf if nothing is left. */
float lm_max(const float *v, size_t n);

#endif
