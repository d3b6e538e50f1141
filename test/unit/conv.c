/*
 * conv: the specification's vectors, and drawn convolutions of all parameters against the sum of
 * their own terms by the accumulator; the same bits from any number of threads and any set of kernels.
 */
#include "convolution.h"

/* ---- the specification's cases ---- */

static void
read_three(struct vectors *v, int list[3])
{
	int i;

	for (i = 0; i < 3; i++)
		list[i] = (int)vectors_count(v);
}

static void
check_case(struct vectors *v, struct conv *c, float *y)
{
	uint64_t seed;
	size_t i, n;

	c->channels = (int)vectors_count(v);
	c->filters = (int)vectors_count(v);
	c->groups = (int)vectors_count(v);
	c->biased = 1;
	read_three(v, c->in);
	read_three(v, c->kernel);
	read_three(v, c->stride);
	read_three(v, c->low);
	memcpy(c->high, c->low, sizeof(c->low));
	read_three(v, c->dilation);
	seed = vectors_count(v);
	describe(c);
	n = (size_t)c->filters * c->outputs;
	fill(&seed, c->x, (size_t)c->channels * c->inputs);
	fill(&seed, c->w, (size_t)c->filters * c->k);
	fill(&seed, c->b, (size_t)c->filters);
	run(c, 1, y, 2);
	for (i = 0; i < 4; i++)
		assert(shown32(y[i]) == (uint32_t)vectors_hex(v));
	assert(shown32(y[n - 1]) == (uint32_t)vectors_hex(v));
	assert(hash32(y, n) == vectors_hex(v));
	lm_arena_release(&c->alone.arena);
}

/* Each as a convolution of three axes, and of as few as it has. */
static size_t
check_cases(struct conv *c, float *y)
{
	static struct vectors v, again;
	size_t cases = 0;
	unsigned least;

	vectors_open(&v, "conv.txt");
	for (; vectors_next(&v); cases++) {
		least = (unsigned)vectors_count(&v);
		for (c->axes = least; c->axes <= 3; c->axes++) {
			memcpy(&again, &v, sizeof(v));
			again.rest = again.line + (v.rest - v.line);
			check_case(&again, c, y);
		}
	}
	return cases;
}

/* ---- drawn ones ---- */

static int
between(uint64_t *seed, int least, int most)
{
	return least + (int)(draw_bits(seed) % (uint32_t)(most - least + 1));
}

static void
draw_conv(uint64_t *seed, struct conv *c)
{
	int i, reach;

	c->axes = (unsigned)between(seed, 1, 3);
	c->groups = between(seed, 1, 3);
	c->channels = c->groups * between(seed, 1, 3);
	c->filters = c->groups * between(seed, 1, 8);
	c->biased = between(seed, 0, 1);
	for (i = 0; i < 3; i++) {
		int whole = i + (int)c->axes >= 3;

		c->kernel[i] = whole ? between(seed, 1, 4) : 1;
		c->stride[i] = whole ? between(seed, 1, 3) : 1;
		c->dilation[i] = whole ? between(seed, 1, 3) : 1;
		c->low[i] = whole ? between(seed, 0, 4) : 0;
		c->high[i] = whole ? between(seed, 0, 4) : 0;
		reach = c->dilation[i] * (c->kernel[i] - 1) + 1 - c->low[i] - c->high[i];
		reach = reach > 1 ? reach : 1;
		c->in[i] = whole ? between(seed, reach, reach + 5) : 1;
	}
}

static size_t
check_drawn(struct conv *c, float *y, float *again)
{
	uint64_t seed = 7;
	size_t turn, i, n, batch, checks = 0;

	for (turn = 0; turn < 600; turn++) {
		draw_conv(&seed, c);
		describe(c);
		n = (size_t)c->filters * c->outputs;
		batch = 3 * n > CONV_MOST ? 1 : 1 + turn % 3;
		assert(batch * n <= CONV_MOST);
		draw_values(&seed, c, batch, (enum values)between(&seed, 0, 4));
		alone_use(&c->alone, turn);
		run(c, batch, y, 1);
		for (i = 0; i < batch; i++)
			checks += check_sample(c, c->x + i * (size_t)c->channels * c->inputs,
			    y + i * n);
		alone_use(&c->alone, turn + 1);
		run(c, batch, again, 2 + (int)turn % 6);
		for (i = 0; i < batch * n; i++)
			assert(shown32(y[i]) == shown32(again[i]));
		lm_arena_release(&c->alone.arena);
	}
	return checks;
}

/*
 * Rows of windows that are longer than what is worked on together, and enough work for all threads: of
 * many terms, and of a filter or two by themselves.
 */
static void
check_long(struct conv *c, float *y, int channels, int filters, int groups, int wide)
{
	uint64_t seed = 3;
	int jobs;

	*c = (struct conv){ .axes = 2,
		.channels = channels,
		.filters = filters,
		.groups = groups,
		.biased = 1,
		.in = { 1, 3, wide },
		.kernel = { 1, 3, 3 },
		.stride = { 1, 1, 1 },
		.dilation = { 1, 1, 1 },
		.low = { 0, 1, 1 },
		.high = { 0, 1, 1 } };
	describe(c);
	fill(&seed, c->x, (size_t)c->channels * c->inputs);
	fill(&seed, c->w, (size_t)c->filters * c->k);
	fill(&seed, c->b, (size_t)c->filters);
	for (jobs = 1; jobs < 8; jobs++) {
		alone_use(&c->alone, (size_t)jobs);
		run(c, 1, y, jobs);
		(void)check_sample(c, c->x, y);
	}
	lm_arena_release(&c->alone.arena);
}

/* ---- what is refused ---- */

static void
check_refusals(struct conv *c)
{
	struct lm_shape x = { lm_dtype_get(LM_F32), 3, { 2, 4, 5 } };
	struct alone *o = &c->alone;

	*c = (struct conv){ .axes = 1,
		.channels = 4,
		.filters = 6,
		.groups = 2,
		.in = { 1, 1, 5 },
		.kernel = { 1, 1, 4 },
		.stride = { 1, 1, 1 },
		.dilation = { 1, 1, 3 },
		.low = { 0, 0, 1 },
		.high = { 0, 0, 2 } };
	describe(c);
	alone_refuses(o, &x,
	    "layer y (conv1): input 0: expected at least 7 values along axis 2 for a window of 10, "
	    "found float32 [2, 4, 5]");
	x.dim[2] = 0;
	alone_refuses(o, &x,
	    "layer y (conv1): input 0: expected at least one value along axis 2, found float32 "
	    "[2, 4, 0]");
	x.dim[1] = 3;
	alone_refuses(o, &x,
	    "layer y (conv1): input 0: expected [..., 4, w], found float32 [2, 3, 0]");
	x.rank = 1;
	alone_refuses(o, &x, "layer y (conv1): input 0: expected [..., 4, w], found float32 [2]");
	x.dtype = lm_dtype_get(LM_I64);
	alone_refuses(o, &x, "layer y (conv1): input 0: expected float32, found int64 [2]");
	alone_int(o, "out_channels", 5);
	alone_refuses(o, &x,
	    "node y (conv1): groups is 2, which does not divide in_channels 4 and out_channels 5");
	alone_list(o, "pad_low", 1, (int[]){ (1 << 20) + 1 });
	alone_refuses(o, &x, "node y (conv1): pad_low holds 1048577, expected 0 to 1048576");
}

int
main(void)
{
	static struct conv c;
	static float y[CONV_MOST], again[CONV_MOST];
	size_t cases = check_cases(&c, y), drawn = check_drawn(&c, y, again);

	check_long(&c, y, 300, 8, 1, 50);
	check_long(&c, y, 70, 2, 1, 200);
	check_long(&c, y, 90, 90, 90, 200);
	check_refusals(&c);
	assert(cases == 6);
	printf("conv: %zu cases, %zu drawn outputs\n", cases, drawn);
	return 0;
}
