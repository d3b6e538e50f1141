/*
 * product: y[r][c] = scale[r] * the exact sum of x[r][i]*w[c][i] over i, plus biases, rounded once.
 * What is multiplied, and by which of its forms; kernels->product of num/kernel.h does it.
 */
#ifndef NUM_PRODUCT_H
#define NUM_PRODUCT_H

#include "num/exact.h"

struct lm_arena;
struct lm_kernels;
struct lm_residues;
struct loom_error;

enum { LM_PANEL = 16 }; /* rows of w side by side; no bit depends on it */

/*
 * The right factor: n rows of k values, in one or more forms.  All forms are of the same numbers.
 * In panels each value stands beside those of its 15 neighbours: value i of row c is
 * panels[c / 16 * apart + i * stride + c % 16].  The last panel is whole; behind row n stands anything
 * finite.
 */
struct lm_matrix {
	size_t n, k;
	const lm_f32u *rows; /* row c at rows + c * step; NULL: in panels alone */
	size_t step;
	const float *panels; /* or NULL */
	size_t stride, apart;
	/* lm_norm of each row, then zeros up to a multiple of 16; NULL: not known, no panels but for norms */
	const double *norm;
	const double
	    *grid; /* of each panel: lm_grid of all its values, 0 if that helps no sum; or NULL */
	const struct lm_residues *residues; /* of int8 tiles, for sets that have them; or NULL */
};

/*
 * Results go to y, rounded to binary32, or to wide, rounded to 32 significant bits, or sums to sums; the
 * others are NULL.  At most two of the biases are there.
 */
struct lm_product {
	size_t m;
	const lm_f32u *x; /* row r at x + r * x_step */
	size_t x_step;
	const double *tiles; /* x as kernels->tile makes it, for factors that come often; or NULL */
	const double *x_norm; /* lm_norm of each row of x, where there are tiles */
	const struct lm_matrix *w;
	const lm_f32u *bias, *bias2; /* of each column */
	const lm_f32u *row_bias;     /* of each row */
	const double *scale;	     /* of each row, scale_step (0 or 1) apart; NULL: 1 */
	size_t scale_step;
	float *y; /* result (r, c) at y + r * y_step + c */
	double *wide;
	size_t y_step;
	/*
	 * Instead of results the binary64 sums themselves, by the panel kernels and not proved: another
	 * product goes on from them.  There each sum of x and w is joined with that of the same row and
	 * column of begun, so that a result is one exact sum over both, and w->norm is that of both
	 * rows together.
	 */
	double *sums;
	const struct lm_product *begun; /* with k no greater than LM_LONGEST_PROOF; or NULL */
	/*
	 * Where the norms go of a factor in panels that has none: they come along with the sums of a
	 * single row and no others, as many as there are lanes in the panels; or NULL.
	 */
	double *norms;
};

/* The binary64 square root of the sum of squares, in any order: what the proof needs of a row. */
double lm_norm(const lm_f32u *v, size_t n);
/* The largest power of two of which every entry is a multiple; 0 where there is none, HUGE_VAL of zeros. */
double lm_grid(const lm_f32u *v, size_t n);

/* n rows of k values, step apart, as they came: no other form yet. */
struct lm_matrix lm_matrix_of(const lm_f32u *rows, size_t step, size_t n, size_t k);
/* Floats of the panels of so many rows. */
size_t lm_panels_size(size_t n, size_t k);
/*
 * The forms that products with m rows of x gain from, by the rules in matrix.c; what is there
 * already is not made again.  The matrix may be used at the same time by nobody else.
 */
int lm_matrix_suit(struct lm_matrix *, size_t m, const struct lm_kernels *, struct lm_arena *,
    struct loom_error *);
/*
 * What is worth a look at all values of a matrix that products are made with again: its norms, if a
 * cache may hold it.  Where memory is the limit their sums come along with the products for nothing.
 */
int lm_matrix_settle(struct lm_matrix *, struct lm_arena *, struct loom_error *);
/*
 * The next 16 rows, or the n that are left, as a panel of stride 16: 16 * k floats, with zeros for rows
 * that are not there; and 16 norms.
 */
void lm_panel_pack(float *to, const lm_f32u *rows, size_t step, size_t n, size_t k, double *norm);
/* Rows as panels, into room for lm_panels_size floats and n rounded up to a multiple of 16 norms. */
void lm_matrix_pack(struct lm_matrix *, float *panels, double *norm);

#endif
