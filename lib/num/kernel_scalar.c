/* kernel_scalar: products in plain C, for any machine. */
#include <math.h>
#include <string.h>

#include "num/kernel.h"
#include "num/proof.h"

enum { BLOCK = 128 }; /* terms summed before they are added to the total */

/* One row against the columns of a panel. */
static void
sum_panel(double *sum, const lm_f32u *x, const float *w, size_t stride, size_t k)
{
	double part[LM_PANEL];
	size_t from, to, i, c;

	memset(sum, 0, LM_PANEL * sizeof *sum);
	for (from = 0; from < k; from = to) {
		to = k - from < BLOCK ? k : from + BLOCK;
		memset(part, 0, sizeof part);
		for (i = from; i < to; i++)
			for (c = 0; c < LM_PANEL; c++)
				part[c] += (double)x[i] * w[i * stride + c];
		for (c = 0; c < LM_PANEL; c++)
			sum[c] += part[c];
	}
}

/* The same against columns that are rows of w. */
static void
sum_rows(double *sum, const lm_f32u *x, const lm_f32u *w, size_t step, size_t k, size_t columns)
{
	size_t from, to, i, c;
	double part;

	for (c = 0; c < columns; c++, w += step) {
		sum[c] = 0;
		for (from = 0; from < k; from = to) {
			to = k - from < BLOCK ? k : from + BLOCK;
			for (part = 0, i = from; i < to; i++)
				part += (double)x[i] * w[i];
			sum[c] += part;
		}
	}
}

/* The column itself, out of its panel if need be. */
static const lm_f32u *
column(const struct lm_matrix *w, size_t c, float *room)
{
	size_t i;

	if (w->rows != NULL)
		return w->rows + c * w->step;
	for (i = 0; i < w->k; i++)
		room[i] = w->panels[c / LM_PANEL * w->apart + i * w->stride + c % LM_PANEL];
	return room;
}

static void
finish(const struct lm_product *p, size_t r, size_t c, double sum, double norm, float *room,
    struct lm_counts *counts)
{
	float bias[3];
	size_t k = p->w->k, n = 0, i;
	double scale = p->scale != NULL ? p->scale[r * p->scale_step] : 1, size = 0, t, bound;
	int wide = p->wide != NULL, decided;
	const lm_f32u *x = p->x + r * p->x_step, *w;

	if (p->bias != NULL)
		bias[n++] = p->bias[c];
	if (p->bias2 != NULL)
		bias[n++] = p->bias2[c];
	if (p->row_bias != NULL)
		bias[n++] = p->row_bias[r];
	t = sum * scale;
	for (i = 0; i < n; i++) {
		t += bias[i];
		size += fabs((double)bias[i]);
	}
	bound = lm_bound(BLOCK + k / BLOCK + 1, norm, fabs(scale), size);
	decided = k <= LM_LONGEST_PROOF && lm_decided(t, bound, wide);
	if (decided && counts != NULL)
		counts->stage[0]++;
	w = decided ? NULL : column(p->w, c, room);
	if (wide)
		p->wide[r * p->y_step + c] = decided
		    ? lm_round32(t)
		    : lm_xdotw_undecided(x, w, k, bias, n, scale, lm_pairs_plain, counts);
	else
		p->y[r * p->y_step + c] = decided
		    ? (float)t
		    : lm_xdot_undecided(x, w, k, bias, n, scale, lm_pairs_plain, counts);
}

static void
product(const struct lm_product *p, size_t m0, size_t m1, size_t n0, size_t n1, void *room,
    struct lm_counts *counts)
{
	const struct lm_matrix *w = p->w;
	size_t r, c, i, columns;
	double sum[LM_PANEL], norm, own;
	const lm_f32u *x;

	for (r = m0; r < m1; r++) {
		x = p->x + r * p->x_step;
		norm = lm_norm(x, w->k);
		for (c = n0; c < n1; c += LM_PANEL) {
			columns = n1 - c < LM_PANEL ? n1 - c : LM_PANEL;
			if (w->panels != NULL)
				sum_panel(sum, x, w->panels + c / LM_PANEL * w->apart, w->stride,
				    w->k);
			else
				sum_rows(sum, x, w->rows + c * w->step, w->step, w->k, columns);
			for (i = 0; i < columns; i++) {
				own = w->norm != NULL ? w->norm[c + i]
						      : lm_norm(w->rows + (c + i) * w->step, w->k);
				finish(p, r, c + i, sum[i], norm * own, room, counts);
			}
		}
	}
}

static size_t
tiles_size(size_t m, size_t k)
{
	(void)m;
	(void)k;
	return 0;
}

static void
tile(double *tiles, const lm_f32u *x, size_t x_step, size_t m, size_t k)
{
	(void)tiles;
	(void)x;
	(void)x_step;
	(void)m;
	(void)k;
}

const struct lm_kernels lm_kernels_scalar = {
	.name = "scalar",
	.room = 1 << 20,
	.product = product,
	.tiles_size = tiles_size,
	.tile = tile,
	.pairs = lm_pairs_plain,
	.fn = &lm_functions_scalar,
};
