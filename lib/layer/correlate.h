/*
 * correlate: exact sums over windows, as convolutions are made of: channels of x against filters,
 * in groups.  Taps in the padding are left out of a sum: an infinite weight does not meet a zero
 * there.
 */
#ifndef LAYER_CORRELATE_H
#define LAYER_CORRELATE_H

#include "layer/lines.h"

/* Along an axis window o makes the result at first + o step, of extent. */
struct lm_places {
	size_t first, step, extent;
};

/* Filters of k weights, in groups of so many. */
struct lm_bank {
	size_t groups, filters, k;
	const lm_f32u *w;    /* [groups * filters][k] */
	const double *norm;  /* of each filter */
	const double *tiles; /* of each group, as kernels->tile makes them; or NULL */
};

struct lm_correlation {
	struct lm_window window; /* on a channel of x */
	struct lm_places places[LM_SPATIAL];
	size_t samples, channels; /* channels of a group */
	struct lm_bank bank;
	const lm_f32u *bias; /* of each filter, or NULL */
};

/* One result of each window in order: as a convolution has it. */
void lm_places_all(struct lm_correlation *);
/* Doubles of a bank's tiles; 0: it has none. */
size_t lm_bank_tiles(const struct lm_bank *, const struct lm_kernels *);
/* Norms, and tiles if there are some. */
void lm_bank_prepare(const struct lm_bank *, const struct lm_kernels *, double *norm,
    double *tiles);
/* Bytes for a worker. */
int lm_correlation_plan(const struct lm_correlation *, size_t *scratch,
    struct loom_error *) LOOM_MUST_CHECK;
/* From the call's input to its output. */
void lm_correlate(const struct lm_call *, const struct lm_correlation *);

/* ---- between the two ways that it is done ---- */

struct lm_correlating {
	const struct lm_call *call;
	struct lm_correlation c;
	struct lm_window filter; /* a filter as the values of one window */
	size_t inputs;		 /* of a channel */
	size_t plane;		 /* results of a filter */
	/* How it is cut: */
	struct lm_lines lines;
	struct lm_blocks blocks; /* of each group */
	size_t parts;		 /* of a group's filters */
	size_t together;	 /* groups whose lines stand beside each other */
	int few;		 /* groups of few filters: no panels */
	int in_place;		 /* x itself is the lines */
	int direct;		 /* results go to y at once */
	size_t memory;		 /* of a worker, in bytes */
};

/* A worker's memory. */
struct lm_desk {
	size_t *tap;		    /* of each term */
	struct lm_stretch *stretch; /* of each part of a line */
	size_t *undecided;	    /* windows, where filters are few */
	double *weights;	    /* of one filter, where they are few */
	double *squares;	    /* summed over channels, of each place in a channel's lines */
	double *norm;		    /* of each window */
	float *lines, *panels;
	float *y;     /* [filters][windows] of a block */
	float *pairs; /* values and weights of one window */
};

/* The result of a window of a block, by the window's number there. */
float *lm_correlating_at(const struct lm_correlating *, const struct lm_block *, size_t filter,
    size_t window);
/*
 * The same window's values that lie inside, and the filter's weights there, into pairs; returns how
 * many they are.  Their number is less than k where the window reaches into the padding.
 */
size_t lm_correlating_pairs(const struct lm_correlating *, const struct lm_block *, size_t filter,
    size_t window, float *pairs);
/* Results from the desk to where they belong. */
void lm_correlating_spread(const struct lm_correlating *, const struct lm_block *, size_t filter,
    const float *y);
/* Sums of so many groups' filters over lines, where they are few. */
void lm_correlate_few(const struct lm_correlating *, const struct lm_block *, size_t group,
    size_t groups, const struct lm_desk *, struct lm_counts *);

#endif
