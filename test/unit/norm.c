/*
 * norm: layernorm, rmsnorm and swiglu give the bits of the vectors, each row of a batch its own, by
 * every set of kernels that this machine has.
 */
#include "layer/layer.h"
#include "vectors.h"

enum { MOST = 1000, ROWS = 3, HIDDEN = 64, MANY = 70 };

static const struct lm_kernels *kernels;

/* One node of one input and one output, called as a run calls it. */
struct one {
	struct lm_node node;
	struct lm_prepared slot[LM_SLOTS];
	size_t in, out; /* the last axes */
};

static void
start(struct one *o, const char *op, size_t in, size_t out)
{
	memset(o, 0, sizeof(*o));
	o->node.name = "y";
	o->node.op = lm_layer_find(op);
	assert(o->node.op != NULL);
	o->node.n_in = o->node.n_out = 1;
	o->in = in;
	o->out = out;
}

static union lm_value *
param(struct one *o, const char *key)
{
	int i = lm_layer_param(o->node.op, key);

	assert(i >= 0);
	return &o->node.param[i];
}

static struct lm_prepared *
slot(struct one *o, const char *name)
{
	int i = lm_layer_slot(o->node.op, name);

	assert(i >= 0);
	return &o->slot[i];
}

static void
call(struct one *o, float *y, float *x, size_t rows, int jobs)
{
	struct lm_shape sx = { lm_dtype_get(LM_F32), 2, { rows, o->in } }, sy;
	struct lm_shaping shaping = { &o->node, &sx, &sy, NULL };
	struct lm_array in = { &sx, x }, out = { &sy, y };
	struct lm_counts counts[8] = { 0 };
	struct lm_call c = { .node = &o->node,
		.in = &in,
		.out = &out,
		.slot = o->slot,
		.kernels = kernels,
		.counts = counts };
	struct loom_error err = { 0 };
	size_t scratch = 0;

	assert(lm_pool_new(&c.pool, jobs, &err) == 0);
	assert(o->node.op->shape(&shaping, &err) == 0);
	assert(sy.rank == 2 && sy.dim[0] == rows && sy.dim[1] == o->out);
	if (o->node.op->plan != NULL)
		assert(o->node.op->plan(&shaping, &scratch, &err) == 0);
	c.scratch = malloc(scratch * (size_t)jobs + 1);
	c.room = aligned_alloc(64, c.kernels->room * (size_t)jobs);
	assert(c.scratch != NULL && c.room != NULL && o->node.op->forward(&c, &err) == 0);
	free(c.scratch);
	free(c.room);
	lm_pool_free(c.pool);
}

/* ---- norms ---- */

struct norm_case {
	int given;
	const char *op;
	double eps;
	size_t n, gammas, betas;
	float x[ROWS * MOST], gamma[MOST], beta[MOST];
};

static void
take_or_draw(struct vectors *v, uint64_t *seed, float *values, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		values[i] = seed == NULL ? (float)vectors_number(v) : draw(seed);
}

static void
trip(float *x, size_t n, const char *wire)
{
	size_t i;

	for (i = 0; i < n && strcmp(wire, "order") == 0; i++) {
		if (i % 3 == 0)
			x[i] *= (float)(UINT64_C(1) << 37 * (i / 3) % 41);
		if (i % 3 == 2)
			x[i] = -x[i - 2];
	}
	for (i = 0; i < n && strcmp(wire, "cancellation") == 0; i++)
		x[i] += 65536;
}

static void
read_case(struct vectors *v, struct norm_case *c)
{
	uint64_t seed = 0, *drawn = NULL;

	c->given = strcmp(vectors_word(v), "given") == 0;
	c->op = vectors_word(v);
	c->eps = vectors_number(v);
	c->n = vectors_count(v);
	c->gammas = vectors_count(v);
	c->betas = vectors_count(v);
	assert(c->n <= MOST);
	if (!c->given) {
		seed = vectors_count(v);
		drawn = &seed;
	}
	take_or_draw(v, drawn, c->x, c->n);
	take_or_draw(v, drawn, c->gamma, c->gammas);
	take_or_draw(v, drawn, c->beta, c->betas);
	if (!c->given)
		trip(c->x, c->n, vectors_word(v));
}

/* The row of the vectors stands between two others, which must not matter. */
static const float *
compute(struct norm_case *c, int jobs)
{
	static float y[ROWS * MOST];
	struct one o;
	size_t i;

	start(&o, c->op, c->n, c->n);
	param(&o, "dim")->i = (int64_t)c->n;
	param(&o, "eps")->real = c->eps;
	slot(&o, "gamma")->f32 = c->gammas > 0 ? c->gamma : NULL;
	if (c->betas > 0 && lm_layer_slot(o.node.op, "beta") >= 0)
		slot(&o, "beta")->f32 = c->beta;
	memmove(c->x + c->n, c->x, c->n * sizeof(float));
	for (i = 0; i < c->n; i++)
		c->x[i] = c->x[2 * c->n + i] = (float)i * -1e3f;
	call(&o, y, c->x, ROWS, jobs);
	memmove(c->x, c->x + c->n, c->n * sizeof(float));
	return y + c->n;
}

static size_t
check_norms(int jobs)
{
	static struct vectors v;
	static struct norm_case c;
	size_t cases = 0, i, head;
	const float *y;

	vectors_open(&v, "norm.txt");
	for (; vectors_next(&v); cases++) {
		read_case(&v, &c);
		y = compute(&c, jobs);
		head = c.given || c.n < 4 ? c.n : 4;
		for (i = 0; i < head; i++)
			assert(shown32(y[i]) == vectors_hex(&v));
		if (c.given)
			continue;
		assert(shown32(y[c.n - 1]) == vectors_hex(&v));
		assert(hash32(y, c.n) == vectors_hex(&v));
	}
	return cases;
}

/* ---- swiglu ---- */

/* Weights that pick: the first half of x is the gate, the second is up, the first half of y hidden. */
static void
pick(struct one *o, float w[3][2 * HIDDEN * HIDDEN])
{
	static const char *const names[] = { "Wg", "Wu", "Wd" };
	size_t i;

	memset(w, 0, 3 * sizeof(w[0]));
	for (i = 0; i < HIDDEN; i++) {
		w[0][i * 2 * HIDDEN + i] = 1;
		w[1][i * 2 * HIDDEN + HIDDEN + i] = 1;
		w[2][i * HIDDEN + i] = 1;
	}
	for (i = 0; i < 3; i++) {
		slot(o, names[i])->f32 = w[i];
		slot(o, names[i])->matrix = i < 2
		    ? lm_matrix_of(w[i], 2 * HIDDEN, HIDDEN, 2 * HIDDEN)
		    : lm_matrix_of(w[i], HIDDEN, 2 * HIDDEN, HIDDEN);
	}
}

static size_t
check_swiglu(void)
{
	static struct vectors v;
	static float w[3][2 * HIDDEN * HIDDEN], x[2 * HIDDEN], y[2 * HIDDEN];
	size_t cases = 0, i;
	uint64_t seed;
	struct one o;

	start(&o, "swiglu", 2 * HIDDEN, 2 * HIDDEN);
	param(&o, "in_features")->i = 2 * HIDDEN;
	param(&o, "hidden_features")->i = HIDDEN;
	pick(&o, w);
	vectors_open(&v, "swiglu.txt");
	for (; vectors_next(&v); cases++) {
		assert(vectors_count(&v) == HIDDEN);
		seed = vectors_count(&v);
		for (i = 0; i < 2 * HIDDEN; i++)
			x[i] = (i < HIDDEN ? 8 : 1) * draw(&seed);
		call(&o, y, x, 1, 1);
		for (i = 0; i < 4; i++)
			assert(shown32(y[i]) == vectors_hex(&v));
		assert(shown32(y[HIDDEN - 1]) == vectors_hex(&v));
		assert(hash32(y, HIDDEN) == vectors_hex(&v));
		for (i = HIDDEN; i < 2 * HIDDEN; i++)
			assert(shown32(y[i]) == 0);
	}
	return cases;
}

/* Many rows by five threads. */
static void
check_threads(void)
{
	static float w[3][2 * HIDDEN * HIDDEN], x[MANY * MOST], y[2][MANY * MOST];
	static const char *const ops[] = { "layernorm", "rmsnorm", "swiglu" };
	uint64_t seed = 5;
	struct one o;
	size_t i, k, n, round;

	for (i = 0; i < MANY * MOST; i++)
		x[i] = draw(&seed);
	for (k = 0; k < 3; k++) {
		n = k < 2 ? MOST : 2 * HIDDEN;
		start(&o, ops[k], n, n);
		param(&o, k < 2 ? "dim" : "in_features")->i = (int64_t)n;
		if (k < 2)
			param(&o, "eps")->real = 1e-5;
		else
			param(&o, "hidden_features")->i = HIDDEN;
		if (k == 2)
			pick(&o, w);
		call(&o, y[0], x, MANY, 1);
		for (round = 0; round < 20; round++) {
			call(&o, y[1], x, MANY, 5);
			assert(memcmp(y[0], y[1], MANY * n * sizeof(float)) == 0);
		}
	}
}

int
main(void)
{
	size_t set;

	for (set = 0; (kernels = lm_kernels_at(set)) != NULL; set++) {
		assert(check_norms(1) == 14 && check_norms(3) == 14);
		assert(check_swiglu() == 1);
		check_threads();
	}
	printf("norm: 14 rows of norms, one of swiglu, by %zu sets\n", set);
	return 0;
}
