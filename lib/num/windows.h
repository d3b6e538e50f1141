/*
 * windows: the inner loops of convolutions.  Values stand in lines, so that windows side by side
 * have the values of a tap side by side; where a tap's stand, a table says.
 */
#ifndef NUM_WINDOWS_H
#define NUM_WINDOWS_H

#include "num/product.h"

/* Windows side by side in a panel: lanes lane..lane+n-1; the first one's place in the lines. */
struct lm_piece {
	size_t lane, n, from;
};

/* Value t of window o in row r is from[r * from_step + tap[t] + o]. */
struct lm_windows {
	const float *from;
	size_t from_step, rows, n;
	const size_t *tap;
	const double *w; /* a filter: the weight of each tap */
	size_t k;
	double bias; /* finite */
	/*
	 * How far a sum with the bias may be off: no sum more than bound, finite; each no more than gain
	 * times the sum of its terms' magnitudes, and what the bias has of it.  Weights are finite, so
	 * that a sum that is not finite is right.
	 */
	double bound, gain, bias_bound;
	float *y; /* result r * y_step + o */
	size_t y_step;
};

/*
 * What a part of a line has: pad `skip` times, n values that are `step` apart in a row of x from its
 * value `from` on, pad again up to length.
 */
struct lm_stretch {
	size_t skip, n, from, step, length;
	float pad;
};

/* Whatever reads lines may read LM_PANEL values more than it was asked for. */
struct lm_windowing {
	/*
	 * The same part of so many lines, to_step apart, of rows x_step apart.  No value of x is read
	 * that is not taken; behind a part pad is left up to LM_PANEL times.
	 */
	void (*fill)(float *to, size_t to_step, const float *x, size_t x_step, size_t lines,
	    const struct lm_stretch *);
	/* The greatest magnitude of a number that is finite. */
	double (*size)(const float *x, size_t n);
	/* y[i] += x[i] x[i]. */
	void (*squares)(double *y, const float *x, size_t n);
	/* LM_PANEL norms: the root of the sum of y[i] = squares[tap[t] + i] over t. */
	void (*norms)(double *y, const double *squares, const size_t *tap, size_t taps);
	/* A whole panel, and up to LM_PANEL floats of anything behind it. */
	void (*gather)(float *panel, const float *from, const size_t *tap, size_t k,
	    const struct lm_piece *pieces, size_t n);
	/* Sums; returns how many are not decided, and which: r * n + o. */
	size_t (*sums)(const struct lm_windows *, size_t *undecided);
	/* Without weights: the greatest values, and LANE16 divided, as pooling has them. */
	void (*greatest)(const struct lm_windows *);
	void (*mean)(const struct lm_windows *, double divisor);
};

#endif
