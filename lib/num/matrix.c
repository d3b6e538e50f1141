/* matrix: the forms of a right factor, and which of them a product gains from. */
#include <string.h>

#include "base/mem.h"
#include "num/kernel.h"

enum form { PANELS, RESIDUES };

/*
 * The rules: products of so many rows or more, of matrices so large, gain from a form in that set;
 * with fewer rows a matrix is used as it came.
 */
static const struct rule {
	const char *set; /* NULL: any */
	enum form form;
	size_t m, n, k;
} rules[] = {
	{ "amx", RESIDUES, 32, 256, 256 },
	{ NULL, PANELS, 4, 1, 1 },
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

void
lm_matrix_pack(struct lm_matrix *m, float *panels, double *norm)
{
	size_t c, i;
	float *to;

	memset(panels, 0, lm_panels_size(m->n, m->k) * sizeof *panels);
	memset(norm, 0, panels_of(m->n) * LM_PANEL * sizeof *norm);
	for (c = 0; c < m->n; c++) {
		to = panels + c / LM_PANEL * LM_PANEL * m->k + c % LM_PANEL;
		for (i = 0; i < m->k; i++)
			to[i * LM_PANEL] = m->rows[c * m->step + i];
		norm[c] = lm_norm(m->rows + c * m->step, m->k);
	}
	m->panels = panels;
	m->stride = LM_PANEL;
	m->apart = LM_PANEL * m->k;
	m->norm = norm;
}

static int
make_panels(struct lm_matrix *m, struct lm_arena *arena, struct loom_error *err)
{
	float *panels = lm_arena_alloc(arena, lm_panels_size(m->n, m->k), sizeof(*panels), err);
	double *norm = lm_arena_alloc(arena, panels_of(m->n) * LM_PANEL, sizeof(*norm), err);

	if (panels == NULL || norm == NULL)
		return -1;
	lm_matrix_pack(m, panels, norm);
	return 0;
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
		if ((r->set == NULL || strcmp(r->set, kernels->name) == 0) && rows >= r->m &&
		    m->n >= r->n && m->k >= r->k)
			return make(m, r->form, kernels, arena, err);
	}
	return 0;
}
