/*
 * kernel_ref: the reference set of inner loops, complete and in plain C.  Loops of fixed length
 * are laid out so that a compiler makes them vector code for whatever the target has.
 */
#include <math.h>
#include <string.h>

#include "num/func.h"
#include "num/func_log.h"
#include "num/kernel.h"
#include "num/proof.h"
#include "num/reduce.h"

enum {
	ROWS = 4,     /* outputs computed together: so many rows, */
	COLS = 2,     /* so many columns */
	ROW_COLS = 4, /* the same where fewer than ROWS rows are left */
	LANES = 2,    /* partial sums of each */
	BLOCK = 256,  /* terms summed before they are added to the total */
	BAND = 64     /* rows that share one pass over the columns */
};

struct part {
	double lane[ROWS][ROW_COLS][LANES];
};

/*
 * How many additions a term can pass through: those of its lane, the joining of the lanes, those
 * of the blocks' sums, and the one of the last term where the length is odd.
 */
static size_t
depth(size_t k)
{
	return BLOCK / LANES + LANES + k / BLOCK;
}

/*
 * part[i][j] = the products of x[i] and w[j] over the terms from..to-1, an even number of them, in
 * lanes.  A macro, since compilers keep partial sums in registers only if their array has just the
 * size used; and the lanes are joined elsewhere, since else they are taken for scalars.
 */
#define SUM(name, rows, cols)                                                                 \
	static void name(struct part *part, const lm_f32u *const *x, const lm_f32u *const *w, \
	    size_t from, size_t to)                                                           \
	{                                                                                     \
		double acc[rows][cols][LANES] = { { { 0 } } };                                \
		size_t c;                                                                     \
		int i, j, l;                                                                  \
                                                                                              \
		for (c = from; c < to; c += LANES) {                                          \
			EACH(rows, cols) acc[i][j][l] += (double)x[i][c + l] * w[j][c + l];   \
		}                                                                             \
		EACH(rows, cols) part->lane[i][j][l] = acc[i][j][l];                          \
	}

/* For each lane of each output, unrolled: i, j, l. */
#define EACH(rows, cols) UNROLLED(i, rows) UNROLLED(j, cols) UNROLLED(l, LANES)
#define UNROLLED(i, n) _Pragma("GCC unroll 8") for (i = 0; i < n; i++)

SUM(sum_tile, ROWS, COLS)
SUM(sum_row, 1, ROW_COLS)

/* Store one output if its sum decides it, else send it to the later stages. */
static void
finish(const struct lm_product *p, size_t m, size_t n, double sum, double x_norm,
    struct lm_counts *counts)
{
	float bias[2] = { p->bias != NULL ? p->bias[n] : 0, p->bias2 != NULL ? p->bias2[n] : 0 };
	double t = sum + bias[0] + bias[1], size = fabs((double)bias[0]) + fabs((double)bias[1]);
	double bound = lm_bound(depth(p->k), x_norm * p->w_norm[n], 1, size);
	float *y = &p->y[m * p->n + n];

	if (p->k <= LM_LONGEST_PROOF && lm_decided(t, bound, 0)) {
		*y = (float)t;
		if (counts != NULL)
			counts->stage[0]++;
	} else {
		*y = lm_xdot_undecided(p->x + m * p->k, p->w + n * p->k, p->k, bias, 2, 1, counts);
	}
}

/* The sums of rows x cols outputs, over all terms. */
static void
sum_all(double sum[ROWS][ROW_COLS], const lm_f32u *const *x, const lm_f32u *const *w, size_t k,
    int rows, int cols)
{
	size_t even = k - k % LANES, from, to;
	struct part part;
	int i, j;

	memset(sum, 0, ROWS * sizeof sum[0]);
	for (from = 0; from < even; from = to) {
		to = even - from < BLOCK ? even : from + BLOCK;
		(rows > 1 ? sum_tile : sum_row)(&part, x, w, from, to);
		for (i = 0; i < rows; i++)
			for (j = 0; j < cols; j++)
				sum[i][j] += part.lane[i][j][0] + part.lane[i][j][1];
	}
	for (i = 0; i < rows && even < k; i++)
		for (j = 0; j < cols; j++)
			sum[i][j] += (double)x[i][even] * w[j][even];
}

/*
 * rows x cols outputs from (m, n).  A tile reaching over the edge is filled up with the last row
 * or column, whose sums are dropped.
 */
static void
tile(const struct lm_product *p, size_t m, size_t n, int rows, int cols, const double *x_norm,
    struct lm_counts *counts)
{
	double sum[ROWS][ROW_COLS];
	const lm_f32u *x[ROWS], *w[ROW_COLS];
	int i, j;

	for (i = 0; i < ROWS; i++)
		x[i] = p->x + (m + (size_t)(i < rows ? i : rows - 1)) * p->k;
	for (j = 0; j < ROW_COLS; j++)
		w[j] = p->w + (n + (size_t)(j < cols ? j : cols - 1)) * p->k;
	sum_all(sum, x, w, p->k, rows, cols);
	for (i = 0; i < rows; i++)
		for (j = 0; j < cols; j++)
			finish(p, m + (size_t)i, n + (size_t)j, sum[i][j], x_norm[i], counts);
}

static int
least(size_t left, int most)
{
	return left < (size_t)most ? (int)left : most;
}

/* At most BAND rows: each pair of columns is used for all of them while it is near. */
static void
band(const struct lm_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
    struct lm_counts *counts)
{
	double x_norm[BAND];
	size_t m, n, whole = m0 + (m1 - m0) / ROWS * ROWS;

	for (m = m0; m < m1; m++)
		x_norm[m - m0] = lm_norm(p->x + m * p->k, p->k);
	for (n = n0; n < n1; n += COLS)
		for (m = m0; m < whole; m += ROWS)
			tile(p, m, n, ROWS, least(n1 - n, COLS), x_norm + (m - m0), counts);
	for (n = n0; n < n1; n += ROW_COLS)
		for (m = whole; m < m1; m++)
			tile(p, m, n, 1, least(n1 - n, ROW_COLS), x_norm + (m - m0), counts);
}

static void
product(const struct lm_product *p, size_t m0, size_t m1, size_t n0, size_t n1,
    struct lm_counts *counts)
{
	size_t m;

	for (m = m0; m < m1; m += BAND)
		band(p, m, m1 - m < BAND ? m1 : m + BAND, n0, n1, counts);
}

/*
 * Arrays go through a buffer of fixed length: such a loop becomes vector code also where y is x.
 */
enum { STRIP = 16 };

#define MAP(name)                                                    \
	static void name##_array(float *y, const float *x, size_t n) \
	{                                                            \
		float t[STRIP] = { 0 };                              \
		size_t i, j, left;                                   \
                                                                     \
		for (i = 0; i < n; i += STRIP) {                     \
			left = n - i < STRIP ? n - i : STRIP;        \
			memcpy(t, x + i, left * sizeof *t);          \
			for (j = 0; j < STRIP; j++)                  \
				t[j] = lm_##name##_core(t[j]);       \
			memcpy(y + i, t, left * sizeof *t);          \
		}                                                    \
	}

MAP(exp)
MAP(tanh)
MAP(sigmoid)
MAP(silu)
MAP(erf)
MAP(gelu_erf)
MAP(gelu_tanh)
MAP(rsqrt)
MAP(log)
MAP(log1p)
MAP(expm1)
MAP(softplus)

/* Nothing to gain from strips: each value takes its own way. */
#define EACH_VALUE(name)                                             \
	static void name##_array(float *y, const float *x, size_t n) \
	{                                                            \
		size_t i;                                            \
                                                                     \
		for (i = 0; i < n; i++)                              \
			y[i] = lm_##name(x[i]);                      \
	}

EACH_VALUE(sin)
EACH_VALUE(cos)

const struct lm_kernels lm_kernels_ref = {
	.name = "scalar",
	.product = product,
	.exp = exp_array,
	.tanh = tanh_array,
	.sigmoid = sigmoid_array,
	.silu = silu_array,
	.erf = erf_array,
	.gelu_erf = gelu_erf_array,
	.gelu_tanh = gelu_tanh_array,
	.rsqrt = rsqrt_array,
	.log = log_array,
	.log1p = log1p_array,
	.expm1 = expm1_array,
	.softplus = softplus_array,
	.sin = sin_array,
	.cos = cos_array,
	.max = lm_max,
	.lane16_f32 = lm_lane16_f32,
	.lane16 = lm_lane16,
};
