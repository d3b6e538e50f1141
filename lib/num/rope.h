/* rope: rotary position embedding: pairs of a vector's elements turned by angles of its position. */
#ifndef NUM_ROPE_H
#define NUM_ROPE_H

#include <stddef.h>

/* d/2 frequencies base^(-2i/d); 1 <= base <= 10^300 */
void lm_rope_frequencies(double *frequency, size_t d, double base);

/* The cosines and sines of n frequencies at a position below 2^24. */
void lm_rope_angles(float *cosine, float *sine, const double *frequency, size_t n, size_t position);

/*
 * Turn the d elements of v by d/2 angles.  Pairs are (i, i + d/2), or (2i, 2i + 1) where
 * interleaved; with an odd d the last element stays.
 */
void lm_rope_turn(float *v, size_t d, const float *cosine, const float *sine, int interleaved);

#endif
