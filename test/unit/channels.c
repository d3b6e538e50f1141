/*
 * channels: batchnorm, groupnorm and instancenorm give the bits of the vectors, wherever the channels
 * lie, whoever else is in the batch and whatever the threads; and what they refuse, in which words.
 */
#include "node.h"
#include "vectors.h"

enum { MOST = 4096, CHANNELS = 64, BATCH = 3 };

struct channels_case {
	char op[16];
	int64_t groups;
	double eps;
	size_t channels, n, gammas, betas;
	float gamma[CHANNELS], beta[CHANNELS], mean[CHANNELS], var[CHANNELS];
	float x[MOST]; /* [channel][value] */
	uint32_t y[MOST];
};

static void
take(struct vectors *v, float *values, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		values[i] = (float)vectors_number(v);
}

static void
read_case(struct vectors *v, struct channels_case *c)
{
	int batch;
	size_t i;

	(void)snprintf(c->op, sizeof c->op, "%s", vectors_word(v));
	c->channels = vectors_count(v);
	c->n = vectors_count(v);
	c->groups = (int64_t)vectors_count(v);
	c->eps = vectors_number(v);
	c->gammas = vectors_count(v);
	c->betas = vectors_count(v);
	assert(c->channels <= CHANNELS && BATCH * c->channels * c->n <= MOST);
	batch = strcmp(c->op, "batchnorm") == 0;
	take(v, c->gamma, c->gammas);
	take(v, c->beta, c->betas);
	take(v, c->mean, batch ? c->channels : 0);
	take(v, c->var, batch ? c->channels : 0);
	take(v, c->x, c->channels * c->n);
	for (i = 0; i < c->channels * c->n; i++)
		c->y[i] = (uint32_t)vectors_hex(v);
}

static void
set_slot(struct alone *o, const char *name, const float *v)
{
	int i = lm_layer_slot(o->node.op, name);

	assert(i >= 0);
	o->slot[i].f32 = v;
}

static void
start(struct alone *o, const struct channels_case *c)
{
	alone_start(o, c->op, 1);
	o->node.param[alone_param(o, "eps")].real = c->eps;
	set_slot(o, "gamma", c->gammas > 0 ? c->gamma : NULL);
	set_slot(o, "beta", c->betas > 0 ? c->beta : NULL);
	if (strcmp(c->op, "batchnorm") == 0) {
		alone_int(o, "dim", (int64_t)c->channels);
		set_slot(o, "mean", c->mean);
		set_slot(o, "var", c->var);
	} else {
		alone_int(o, "channels", (int64_t)c->channels);
	}
	if (strcmp(c->op, "groupnorm") == 0)
		alone_int(o, "groups", c->groups);
}

static void
same(const struct channels_case *c, const float *y)
{
	size_t i;

	for (i = 0; i < c->channels * c->n; i++)
		if (shown32(y[i]) != c->y[i]) {
			fprintf(stderr, "%s %zu x %zu: value %zu is %08x, not %08x\n", c->op,
			    c->channels, c->n, i, shown32(y[i]), c->y[i]);
			exit(1);
		}
}

/* [batch][channel][value], the case between two samples that must not matter. */
static void
check_batch(struct alone *o, const struct channels_case *c, int jobs)
{
	static float x[MOST], y[MOST];
	struct lm_shape s = { lm_dtype_get(LM_F32), 3, { BATCH, c->channels, c->n } };
	struct lm_array in = { &s, x };
	size_t size = c->channels * c->n, i;

	for (i = 0; i < size; i++) {
		x[i] = (float)i * -1e3f;
		x[size + i] = c->x[i];
		x[2 * size + i] = 1e30f;
	}
	assert(alone_run(o, &in, &s, y, jobs) == 0);
	same(c, y + size);
}

/* [value][channel]: a batchnorm whose channels lie last. */
static void
check_last(struct alone *o, const struct channels_case *c, int jobs)
{
	static float x[MOST], y[MOST], turned[MOST];
	struct lm_shape s = { lm_dtype_get(LM_F32), 2, { c->n, c->channels } };
	struct lm_array in = { &s, x };
	size_t i, k;

	for (i = 0; i < c->n; i++)
		for (k = 0; k < c->channels; k++)
			x[i * c->channels + k] = c->x[k * c->n + i];
	alone_int(o, "axis", -1);
	assert(alone_run(o, &in, &s, y, jobs) == 0);
	for (i = 0; i < c->n; i++)
		for (k = 0; k < c->channels; k++)
			turned[k * c->n + i] = y[i * c->channels + k];
	same(c, turned);
}

static size_t
check_cases(void)
{
	static struct vectors v;
	static struct channels_case c;
	static struct alone o;
	size_t cases = 0;
	int jobs;

	vectors_open(&v, "channels.txt");
	for (; vectors_next(&v); cases++) {
		read_case(&v, &c);
		for (jobs = 1; jobs <= 5; jobs += 2) {
			start(&o, &c);
			if (strcmp(c.op, "batchnorm") == 0) {
				check_last(&o, &c, jobs);
				alone_int(&o, "axis", 1);
			}
			check_batch(&o, &c, jobs);
		}
	}
	return cases;
}

/* Enough work that threads share it: the scratch of each is its own. */
static void
check_threads(void)
{
	static float x[8 * 16 * 1000], y[2][8 * 16 * 1000], ones[16];
	struct lm_shape s = { lm_dtype_get(LM_F32), 3, { 8, 16, 1000 } };
	struct lm_array in = { &s, x };
	static struct alone o;
	uint64_t seed = 6;
	size_t i, round;

	for (i = 0; i < sizeof x / sizeof *x; i++)
		x[i] = draw(&seed);
	for (i = 0; i < 16; i++)
		ones[i] = 1;
	alone_start(&o, "groupnorm", 1);
	alone_int(&o, "channels", 16);
	alone_int(&o, "groups", 4);
	assert(alone_run(&o, &in, &s, y[0], 1) == 0);
	for (round = 0; round < 20; round++) {
		assert(alone_run(&o, &in, &s, y[1], 7) == 0);
		assert(memcmp(y[0], y[1], sizeof x) == 0);
	}
	alone_start(&o, "batchnorm", 1);
	alone_int(&o, "dim", 16);
	alone_int(&o, "axis", 1);
	set_slot(&o, "mean", ones);
	set_slot(&o, "var", ones);
	assert(alone_run(&o, &in, &s, y[0], 1) == 0);
	for (round = 0; round < 20; round++) {
		assert(alone_run(&o, &in, &s, y[1], 7) == 0);
		assert(memcmp(y[0], y[1], sizeof x) == 0);
	}
}

static const struct lm_shape *
shape(int dtype, unsigned rank, uint64_t a, uint64_t b, uint64_t c)
{
	static struct lm_shape s;

	s = (struct lm_shape){ lm_dtype_get(dtype), rank, { a, b, c } };
	return &s;
}

static void
check_batchnorm_refusals(void)
{
	static struct alone o;

	alone_start(&o, "batchnorm", 1);
	alone_int(&o, "dim", 5);
	alone_int(&o, "axis", 1);
	alone_refuses(&o, shape(LM_F32, 3, 5, 4, 5),
	    "layer y (batchnorm): input 0: expected 5 channels along axis 1, found float32 [5, 4, 5]");
	alone_int(&o, "axis", -2);
	alone_refuses(&o, shape(LM_F32, 3, 5, 4, 5),
	    "layer y (batchnorm): input 0: expected 5 channels along axis 1, found float32 [5, 4, 5]");
	alone_int(&o, "axis", 3);
	alone_refuses(&o, shape(LM_F32, 3, 5, 4, 5),
	    "layer y (batchnorm): input 0: expected an axis 3, found float32 [5, 4, 5]");
	alone_int(&o, "axis", 0);
	alone_refuses(&o, shape(LM_I64, 3, 5, 4, 5),
	    "layer y (batchnorm): input 0: expected float32, found int64 [5, 4, 5]");
	o.node.param[alone_param(&o, "eps")].real = -0.5;
	alone_refuses(&o, shape(LM_F32, 3, 5, 4, 5),
	    "node y (batchnorm): eps is -0.5, expected 0 or more");
}

static void
check_group_refusals(void)
{
	static struct alone o;

	alone_start(&o, "groupnorm", 1);
	alone_int(&o, "channels", 6);
	alone_int(&o, "groups", 4);
	alone_refuses(&o, shape(LM_F32, 3, 2, 6, 5),
	    "node y (groupnorm): channels is 6, expected a multiple of groups 4");
	alone_int(&o, "groups", 3);
	alone_refuses(&o, shape(LM_F32, 3, 6, 2, 5),
	    "layer y (groupnorm): input 0: expected [b, 6, ...], the second channels, found "
	    "float32 [6, 2, 5]");
	alone_refuses(&o, shape(LM_F32, 1, 6, 0, 0),
	    "layer y (groupnorm): input 0: expected [b, 6, ...], the second channels, found "
	    "float32 [6]");
	o.node.param[alone_param(&o, "eps")].real = -1;
	alone_refuses(&o, shape(LM_F32, 3, 2, 6, 5),
	    "node y (groupnorm): eps is -1, expected 0 or more");
	alone_start(&o, "instancenorm", 1);
	alone_int(&o, "channels", 6);
	alone_refuses(&o, shape(LM_F32, 3, 2, 5, 6),
	    "layer y (instancenorm): input 0: expected [b, 6, ...], the second channels, found "
	    "float32 [2, 5, 6]");
	alone_refuses(&o, shape(LM_BOOL, 3, 2, 6, 5),
	    "layer y (instancenorm): input 0: expected float32, found bool [2, 6, 5]");
}

int
main(void)
{
	size_t cases = check_cases();

	assert(cases == 46);
	check_threads();
	check_batchnorm_refusals();
	check_group_refusals();
	printf("channels: %zu cases\n", cases);
	return 0;
}
