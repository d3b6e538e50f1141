/*
 * trial_products: sums of products, some of them with known results, in every form of the factors.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "num/trial.h"

enum form { ROWS, PANELS, RESIDUES, FORMS };

static const char *const form_names[FORMS] = { "rows", "panels", "residues" };

/* A product and what it is made of.  Rows of factors and of results lie apart. */
struct rig {
	struct lm_product p;
	struct lm_matrix w;
	lm_f32u *x, *rows;
	size_t size; /* of the results */
	float *y;
	double *wide;
};

/* n values one byte off any alignment. */
static lm_f32u *
values(struct lm_trial *t, size_t n, struct loom_error *err)
{
	unsigned char *p = lm_arena_alloc(&t->arena, n + 1, sizeof(float), err);

	return p != NULL ? (lm_f32u *)(p + 1) : NULL;
}

static int
rig_start(struct rig *g, struct lm_trial *t, size_t m, size_t n, size_t k, struct loom_error *err)
{
	memset(g, 0, sizeof(*g));
	g->size = m * (n + 1);
	g->x = values(t, m * (k + 3), err);
	g->rows = values(t, n * (k + 1), err);
	g->y = lm_arena_alloc(&t->arena, g->size, sizeof(*g->y), err);
	g->wide = lm_arena_alloc(&t->arena, g->size, sizeof(*g->wide), err);
	if (g->x == NULL || g->rows == NULL || g->y == NULL || g->wide == NULL)
		return -1;
	g->w = lm_matrix_of(g->rows, k + 1, n, k);
	g->p =
	    (struct lm_product){ .m = m, .x = g->x, .x_step = k + 3, .w = &g->w, .y_step = n + 1 };
	return 0;
}

static int
add_panels(struct rig *g, struct lm_trial *t, struct loom_error *err)
{
	size_t columns = (g->w.n + LM_PANEL - 1) / LM_PANEL * LM_PANEL;
	float *panels = lm_arena_alloc(&t->arena, lm_panels_size(g->w.n, g->w.k), sizeof(*panels),
	    err);
	double *norm = lm_arena_alloc(&t->arena, columns, sizeof(*norm), err);

	if (panels == NULL || norm == NULL)
		return -1;
	lm_matrix_pack(&g->w, panels, norm);
	return 0;
}

static int
add_tiles(struct rig *g, struct lm_trial *t, struct loom_error *err)
{
	const struct lm_kernels *kernels = t->kernels;
	struct lm_product *p = &g->p;
	double *tiles, *norm;
	size_t r;

	if (kernels->tile == NULL)
		return 0;
	tiles = lm_arena_alloc(&t->arena, kernels->tiles_size(p->m, g->w.k), sizeof(*tiles), err);
	norm = lm_arena_alloc(&t->arena, p->m, sizeof(*norm), err);
	if (tiles == NULL || norm == NULL)
		return -1;
	kernels->tile(tiles, p->x, p->x_step, p->m, g->w.k);
	for (r = 0; r < p->m; r++)
		norm[r] = lm_norm(p->x + r * p->x_step, g->w.k);
	p->tiles = tiles;
	p->x_norm = norm;
	return 0;
}

static int
add_form(struct rig *g, struct lm_trial *t, enum form form, struct loom_error *err)
{
	if (form == PANELS)
		return add_panels(g, t, err);
	if (form == RESIDUES)
		return t->kernels->residues(&g->w, &t->arena, err);
	return 0;
}

/* The results come to y or to wide: from r0..m-1, in one piece or as workers might cut it. */
static void
multiply(struct rig *g, struct lm_trial *t, void *room, int cut)
{
	size_t m = g->p.m, n = g->w.n, r = cut ? m / 2 : 0, c = cut && n > LM_PANEL ? LM_PANEL : 0;
	size_t i;

	for (i = 0; i < g->size; i++) {
		g->y[i] = 7; /* stays between the rows */
		g->wide[i] = 7;
	}
	t->kernels->product(&g->p, r, m, c, n, room, NULL);
	if (c > 0)
		t->kernels->product(&g->p, r, m, 0, c, room, NULL);
	if (r > 0 && c > 0)
		t->kernels->product(&g->p, 0, r, c, n, room, NULL);
	if (r > 0)
		t->kernels->product(&g->p, 0, r, 0, c > 0 ? c : n, room, NULL);
}

typedef void told_fn(struct rig *, struct lm_trial *, const void *context);

/* Every form gives the same results, as binary32 and wide; tell is what hands them over. */
static int
each_form(struct rig *g, struct lm_trial *t, told_fn *tell, const void *context,
    struct loom_error *err)
{
	char name[sizeof(t->name)];
	void *room = lm_arena_alloc(&t->arena, t->kernels->room + 1, 1, err);
	int form;

	if (room == NULL)
		return -1;
	memcpy(name, t->name, sizeof(name));
	for (form = ROWS; form < FORMS; form++) {
		if (form == RESIDUES && t->kernels->residues == NULL)
			continue;
		lm_trial_name(t, "%.80s, %s", name, form_names[form]);
		lm_trial_again(t);
		if (add_form(g, t, form, err) < 0 || (form > ROWS && add_tiles(g, t, err) < 0))
			return -1;
		g->p.y = g->y;
		g->p.wide = NULL;
		multiply(g, t, room, form > ROWS);
		tell(g, t, context);
		g->p.y = NULL;
		g->p.wide = g->wide;
		multiply(g, t, room, form == ROWS);
		tell(g, t, context);
	}
	return 0;
}

/* ---- sums whose results are known ---- */

struct sum {
	size_t k, biases;
	double scale;
	uint32_t r32;
	uint64_t rw;
	float v[10]; /* k of a, k of b, biases */
};

/* Cases of fixtures/numerics/exact.txt, in its order: exact arithmetic made them. */
static const struct sum sums[] = {
#include "num/trial_sums.def"
};

/*
 * Of fixtures/numerics/sums.txt: 1 + 2^-24, less some of what comes, then terms of just under half a
 * unit of that, which a binary64 sum loses one by one.  They stand so far apart that they meet in
 * one of so many lanes.
 */
static const struct stair {
	size_t k, apart;
	double less;
} stairs[] = { { 130, 1, 0 }, { 130, 16, .3 }, { 255, 2, .99 }, { 255, 8, .5 }, { 1000, 1, .5 },
	{ 1000, 4, .99 }, { 1000, 8, 0 }, { 1000, 16, .3 } };

enum { SUMS = sizeof sums / sizeof sums[0], STAIRS = sizeof stairs / sizeof stairs[0] };

/* Rows of x are alike, and rows of w: each place of a tile gives the sum. */
static void
put_term(struct rig *g, size_t i, float a, float b)
{
	size_t r;

	for (r = 0; r < g->p.m; r++)
		g->x[r * g->p.x_step + i] = a;
	for (r = 0; r < g->w.n; r++)
		g->rows[r * g->w.step + i] = b;
}

static void
put_stair(struct rig *g, const struct stair *s)
{
	size_t places = (s->k - 1) / s->apart + 1, i;
	float a[3] = { 1, 0x1p-12f, (float)(s->less * (double)(places - 3) * 0x1p-53) };
	float b[3] = { 1, 0x1p-12f, -1 };

	for (i = 0; i < places; i++)
		put_term(g, i * s->apart, i < 3 ? a[i] : 0x1p-30f,
		    i < 3 ? b[i] : (float)(0x1p-23 - 0x1p-43));
}

/* All results are the sum; what lies between the rows is as it was. */
static void
tell_sum(struct rig *g, struct lm_trial *t, const void *context)
{
	const struct sum *s = context;
	size_t i;

	for (i = 0; i < g->size; i++)
		if (i % g->p.y_step == g->w.n)
			lm_trial_expect(t, g->p.y != NULL ? g->y[i] : (float)g->wide[i],
			    0x40e00000);
		else if (g->p.y != NULL)
			lm_trial_expect(t, g->y[i], s->r32);
		else
			lm_trial_expect64(t, g->wide[i], s->rw);
}

enum { SUM_ROWS = 7, SUM_COLUMNS = 19 };

/* One bias is a column's, two are a column's and a row's. */
static int
put_biases(struct rig *g, struct lm_trial *t, const float *bias, size_t biases,
    struct loom_error *err)
{
	lm_f32u *to = values(t, SUM_ROWS + SUM_COLUMNS, err);
	size_t i;

	if (to == NULL)
		return -1;
	for (i = 0; i < SUM_COLUMNS && biases > 0; i++)
		to[i] = bias[0];
	for (i = 0; i < SUM_ROWS && biases > 1; i++)
		to[SUM_COLUMNS + i] = bias[1];
	g->p.bias = biases > 0 ? to : NULL;
	g->p.row_bias = biases > 1 ? to + SUM_COLUMNS : NULL;
	return 0;
}

static int
run_sum(struct lm_trial *t, size_t which, struct loom_error *err)
{
	struct sum stair = { .scale = 1, .r32 = 0x3f800001, .rw = 0x3ff0000010000000 };
	const struct sum *s = which < SUMS ? &sums[which] : &stair;
	struct rig g;
	size_t i;

	if (which >= SUMS)
		stair.k = stairs[which - SUMS].k;
	lm_trial_name(t, which < SUMS ? "sum %zu of %zu terms" : "staircase %zu of %zu terms",
	    which < SUMS ? which : which - SUMS, s->k);
	if (rig_start(&g, t, SUM_ROWS, SUM_COLUMNS, s->k, err) < 0 ||
	    put_biases(&g, t, s->v + 2 * (which < SUMS ? s->k : 0), s->biases, err) < 0)
		return -1;
	if (s->scale != 1)
		g.p.scale = &s->scale;
	for (i = 0; i < s->k && which < SUMS; i++)
		put_term(&g, i, s->v[i], s->v[s->k + i]);
	if (which >= SUMS)
		put_stair(&g, &stairs[which - SUMS]);
	return each_form(&g, t, tell_sum, s, err);
}

const struct lm_trials lm_trial_sums = { SUMS + STAIRS, run_sum };

/* ---- random products ---- */

/* About every edge of a tile, of a panel, of a block of terms. */
static const struct {
	size_t m, n, k;
} shapes[] = { { 1, 1, 1 }, { 1, 37, 50 }, { 2, 16, 64 }, { 3, 33, 7 }, { 4, 18, 129 },
	{ 5, 48, 16 }, { 9, 17, 257 }, { 13, 35, 33 }, { 17, 31, 600 }, { 6, 5, 0 } };

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void
tell_all(struct rig *g, struct lm_trial *t, const void *context)
{
	(void)context;
	if (g->p.y != NULL)
		lm_trial_f32(t, g->y, g->size);
	else
		lm_trial_f64(t, g->wide, g->size);
}

/* At most two of three biases, and none, one or a row's scale, in turns. */
static int
put_turns(struct rig *g, struct lm_trial *t, size_t turn, uint64_t *seed, struct loom_error *err)
{
	float *bias = lm_arena_alloc(&t->arena, 2 * g->w.n + g->p.m, sizeof(*bias), err);
	double *scale = lm_arena_alloc(&t->arena, g->p.m, sizeof(*scale), err);
	size_t i;

	if (bias == NULL || scale == NULL)
		return -1;
	lm_trial_fill(bias, 2 * g->w.n + g->p.m, 0, seed);
	for (i = 0; i < g->p.m; i++)
		scale[i] = 0.125 + lm_trial_gauss(seed) / 32;
	if (turn % 6 == 1 || turn % 6 == 2 || turn % 6 == 4)
		g->p.bias = bias;
	if (turn % 6 == 2 || turn % 6 == 5)
		g->p.bias2 = bias + g->w.n;
	if (turn % 6 == 3 || turn % 6 == 4)
		g->p.row_bias = bias + 2 * g->w.n;
	if (turn % 4 > 1)
		g->p.scale = scale;
	g->p.scale_step = turn % 4 == 3;
	return 0;
}

/* Any class meets normal numbers and itself. */
static int
run_product(struct lm_trial *t, size_t which, struct loom_error *err)
{
	size_t shape = which % SHAPES, class = which / SHAPES / 2, own = which / SHAPES % 2;
	size_t m = shapes[shape].m, n = shapes[shape].n, k = shapes[shape].k, i;
	uint64_t seed = which + 1;
	struct rig g;
	float *v;

	lm_trial_name(t, "product %zux%zux%zu of %s and %s numbers", m, n, k, lm_trial_class(class),
	    lm_trial_class(own ? class : 0));
	v = lm_arena_alloc(&t->arena, k, sizeof(*v), err);
	if (v == NULL || rig_start(&g, t, m, n, k, err) < 0 ||
	    put_turns(&g, t, which + which / SHAPES, &seed, err) < 0)
		return -1;
	for (i = 0; i < m + n; i++) {
		lm_trial_fill(v, k, i < m || own ? class : 0, &seed);
		memcpy(i < m ? g.x + i * g.p.x_step : g.rows + (i - m) * g.w.step, v,
		    k * sizeof(*v));
	}
	return each_form(&g, t, tell_all, NULL, err);
}

const struct lm_trials lm_trial_products = { 2 * SHAPES * LM_TRIAL_CLASSES, run_product };
