/* matrix: the forms of a right factor, and which of them a product gains from. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "num/kernel.h"

enum {
	PIECE = 1024,  /* values whose grid is looked for at once */
	NEAR = 1 << 23 /* values at most that a cache may hold */
};

enum form { PANELS, RESIDUES };

/*
 * The rules: products of so many rows or more, of matrices so large, gain from a form in that set;
 * with fewer rows a matrix is used as it came, unless it is small.
 */
static const struct rule {
	const char *set; /* NULL: any */
	enum form form;
	size_t m, n, k;
	size_t most; /* values; 0: any number */
} rules[] = {
	{ "amx", RESIDUES, 32, 256, 256, 0 },
	{ "amx", RESIDUES, 128, 128, 128, 0 },
	{ NULL, PANELS, 4, 1, 1, 0 },
	{ NULL, PANELS, 1, 1, 1, 1 << 17 },
};

struct lm_matrix
lm_matrix_of(const lm_f32u *rows, size_t step, size_t n, size_t k)
{
	return (struct lm_matrix){ .n = n, .k = k, .rows = rows, .step = step };
}

static size_t
panels_of(size_t n)
{
	return (n + LM_PANEL - 1) / LM_PANEL;
}

size_t
lm_panels_size(size_t n, size_t k)
{
	return panels_of(n) * LM_PANEL * k;
}

/* A whole panel's terms, in the order in which they are stored; adds their squares to sum. */
static void
pack_whole(float *to, const lm_f32u *rows, size_t step, size_t k, double *sum)
{
	size_t i, c;

	for (i = 0; i < k; i++, to += LM_PANEL) {
		for (c = 0; c < LM_PANEL; c++)
			to[c] = rows[c * step + i];
		for (c = 0; c < LM_PANEL; c++)
			sum[c] += (double)to[c] * to[c];
	}
}

void
lm_panel_pack(float *to, const lm_f32u *rows, size_t step, size_t n, size_t k, double *norm)
{
	double sum[LM_PANEL] = { 0 };
	size_t i, c;

	if (n >= LM_PANEL)
		pack_whole(to, rows, step, k, sum);
	else
		for (i = 0; i < k; i++, to += LM_PANEL)
			for (c = 0; c < LM_PANEL; c++) {
				to[c] = c < n ? rows[c * step + i] : 0;
				sum[c] += (double)to[c] * to[c];
			}
	for (c = 0; c < LM_PANEL; c++)
		norm[c] = sqrt(sum[c]);
}

void
lm_matrix_pack(struct lm_matrix *m, float *panels, double *norm)
{
	size_t c;

	for (c = 0; c < m->n; c += LM_PANEL)
		lm_panel_pack(panels + c * m->k, m->rows + c * m->step, m->step, m->n - c, m->k,
		    norm + c);
	m->panels = panels;
	m->stride = LM_PANEL;
	m->apart = LM_PANEL * m->k;
	m->norm = norm;
}

/*
 * The grid of a panel where sums of its values with others no finer can be free of rounding: where
 * they fill no more than half of what 2^52 units hold.
 */
static double
coarse_grid(const float *panel, size_t values, const double *norm)
{
	double most = 0, grid = HUGE_VAL, least;
	size_t i, c, n;

	for (c = 0; c < LM_PANEL; c++)
		most = norm[c] <= most ? most : norm[c];
	least = most * 0x1p-26;
	for (i = 0; i < values && grid > least; i += n) {
		n = values - i < PIECE ? values - i : PIECE;
		grid = fmin(grid, lm_grid(panel + i, n));
	}
	return grid > least ? grid : 0;
}

/* The grids of panels, if there is one that helps. */
static int
find_grids(struct lm_matrix *m, struct lm_arena *arena, struct loom_error *err)
{
	double *grid = NULL, g;
	size_t j, panels = panels_of(m->n);

	for (j = 0; j < panels; j++) {
		g = coarse_grid(m->panels + j * m->apart, m->apart, m->norm + j * LM_PANEL);
		if (g == 0)
			continue;
		if (grid == NULL)
			grid = lm_arena_alloc(arena, panels, sizeof(*grid), err);
		if (grid == NULL)
			return -1;
		grid[j] = g;
	}
	m->grid = grid;
	return 0;
}

static int
make_panels(struct lm_matrix *m, struct lm_arena *arena, struct loom_error *err)
{
	float *panels = lm_arena_alloc(arena, lm_panels_size(m->n, m->k), sizeof(*panels), err);
	double *norm = lm_arena_alloc(arena, panels_of(m->n) * LM_PANEL, sizeof(*norm), err);

	if (panels == NULL || norm == NULL)
		return -1;
	lm_matrix_pack(m, panels, norm);
	return find_grids(m, arena, err);
}

static int
make(struct lm_matrix *m, enum form form, const struct lm_kernels *kernels, struct lm_arena *arena,
    struct loom_error *err)
{
	if (form == PANELS)
		return m->panels != NULL ? 0 : make_panels(m, arena, err);
	return m->residues != NULL ? 0 : kernels->residues(m, arena, err);
}

int
lm_matrix_suit(struct lm_matrix *m, size_t rows, const struct lm_kernels *kernels,
    struct lm_arena *arena, struct loom_error *err)
{
	const struct rule *r;
	size_t i;

	for (i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		r = &rules[i];
		if ((r->set != NULL && strcmp(r->set, kernels->name) != 0) || rows < r->m ||
		    m->n < r->n || m->k < r->k || (r->most > 0 && m->n * m->k > r->most))
			continue;
		if (make(m, r->form, kernels, arena, err) < 0)
			return -1;
		if (m->panels != NULL || m->residues != NULL) /* there are none of very long rows */
			return 0;
	}
	return 0;
}

int
lm_matrix_settle(struct lm_matrix *m, struct lm_arena *arena, struct loom_error *err)
{
	double *norm;
	size_t c;

	if (m->norm != NULL || m->residues != NULL || m->n * m->k > NEAR)
		return 0;
	norm = lm_arena_alloc(arena, panels_of(m->n) * LM_PANEL, sizeof(*norm), err);
	if (norm == NULL)
		return -1;
	for (c = 0; c < m->n; c++)
		norm[c] = lm_norm(m->rows + c * m->step, m->k);
	m->norm = norm;
	return 0;
}
