/*
 * transposed: transposed convolutions of drawn parameters and of the reference's cases against the sum
 * of what reaches each result, by the accumulator; the same bits from any number of threads and
 * any set of kernels.
 */
#include <math.h>

#include "node.h"
#include "num/exact.h"
#include "vectors.h"

enum { MOST = 1 << 16, TERMS = 1 << 12 };

struct transposed {
	unsigned axes;
	int channels, filters, groups, biased;
	int in[3], kernel[3], stride[3], dilation[3], low[3], high[3], out[3];
	size_t inputs, outputs, k;
	struct alone alone;
	float x[MOST], w[MOST], b[128];
};

/* Fewer than three axes are the last ones. */
static void
describe(struct transposed *c)
{
	static const char *const names[] = { "convtranspose1", "convtranspose2", "convtranspose3" };
	struct alone *o = &c->alone;
	unsigned first = 3 - c->axes, i;

	alone_start(o, names[c->axes - 1], 1);
	alone_int(o, "in_channels", c->channels);
	alone_int(o, "out_channels", c->filters);
	alone_int(o, "groups", c->groups);
	alone_int(o, "bias", c->biased);
	alone_list(o, "kernel", c->axes, c->kernel + first);
	alone_list(o, "stride", c->axes, c->stride + first);
	alone_list(o, "dilation", c->axes, c->dilation + first);
	alone_list(o, "pad_low", c->axes, c->low + first);
	alone_list(o, "pad_high", c->axes, c->high + first);
	c->inputs = c->outputs = 1;
	c->k = (size_t)(c->channels / c->groups);
	for (i = 0; i < 3; i++) {
		c->out[i] = (c->in[i] - 1) * c->stride[i] + (c->kernel[i] - 1) * c->dilation[i];
		c->out[i] += 1 - c->low[i] - c->high[i];
		c->inputs *= (size_t)c->in[i];
		c->outputs *= (size_t)c->out[i];
		c->k *= (size_t)c->kernel[i];
	}
	assert((size_t)c->filters * c->k <= MOST && c->filters <= 128);
	alone_weight(o, "weight", c->w, (size_t)c->filters * c->k);
	if (c->biased)
		alone_weight(o, "bias", c->b, (size_t)c->filters);
}

static void
run(struct transposed *c, size_t batch, float *y, int jobs)
{
	struct lm_shape shape = { lm_dtype_get(LM_F32), 0, { 0 } };
	struct lm_array x = { &shape, c->x };
	unsigned i;

	shape.dim[shape.rank++] = batch;
	shape.dim[shape.rank++] = (uint64_t)c->channels;
	for (i = 3 - c->axes; i < 3; i++)
		shape.dim[shape.rank++] = (uint64_t)c->in[i];
	assert(alone_run(&c->alone, &x, &shape, y, jobs) == 0);
}

static void
fill(uint64_t *seed, float *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = draw(seed);
}

static void
fill_all(uint64_t *seed, struct transposed *c, size_t batch)
{
	fill(seed, c->x, batch * (size_t)c->channels * c->inputs);
	fill(seed, c->w, (size_t)c->filters * c->k);
	fill(seed, c->b, (size_t)c->filters);
}

/* ---- the reference's cases ---- */

static void
read_three(struct vectors *v, int list[3])
{
	int i;

	for (i = 0; i < 3; i++)
		list[i] = (int)strtol(vectors_word(v), NULL, 10);
}

static size_t
check_cases(struct transposed *c, float *y)
{
	static struct vectors v;
	size_t cases = 0, n, i;
	uint64_t seed;

	vectors_open(&v, "transposed.txt");
	for (; vectors_next(&v); cases++) {
		c->axes = (unsigned)vectors_count(&v);
		c->channels = (int)vectors_count(&v);
		c->filters = (int)vectors_count(&v);
		c->groups = (int)vectors_count(&v);
		c->biased = 1;
		read_three(&v, c->in);
		read_three(&v, c->kernel);
		read_three(&v, c->stride);
		read_three(&v, c->low);
		read_three(&v, c->high);
		read_three(&v, c->dilation);
		seed = vectors_count(&v);
		describe(c);
		fill_all(&seed, c, 1);
		run(c, 1, y, 2);
		n = (size_t)c->filters * c->outputs;
		for (i = 0; i < 4; i++)
			assert(shown32(y[i]) == (uint32_t)vectors_hex(&v));
		assert(shown32(y[n - 1]) == (uint32_t)vectors_hex(&v));
		assert(hash32(y, n) == vectors_hex(&v));
		lm_arena_release(&c->alone.arena);
	}
	return cases;
}

/* ---- drawn ones ---- */

static int
between(uint64_t *seed, int least, int most)
{
	return least + (int)(draw_bits(seed) % (uint32_t)(most - least + 1));
}

/* Pads cut off all but one result at the most, or append some. */
static void
draw_axis(uint64_t *seed, struct transposed *c, int i)
{
	int whole = i + (int)c->axes >= 3, full;

	c->in[i] = whole ? between(seed, 1, 5) : 1;
	c->kernel[i] = whole ? between(seed, 1, 5) : 1;
	c->stride[i] = whole ? between(seed, 1, 4) : 1;
	c->dilation[i] = whole ? between(seed, 1, 4) : 1;
	full = (c->in[i] - 1) * c->stride[i] + (c->kernel[i] - 1) * c->dilation[i] + 1;
	c->low[i] = whole ? between(seed, -4, full - 1 < 5 ? full - 1 : 5) : 0;
	full -= c->low[i];
	c->high[i] = whole ? between(seed, -4, full - 1 < 5 ? full - 1 : 5) : 0;
}

/* Every fifth has infinities and NaNs among its weights or its input, every fifth sums near ties. */
static void
draw_values(uint64_t *seed, struct transposed *c, size_t batch)
{
	static const float odd[4] = { HUGE_VALF, -HUGE_VALF, NAN, 0 };
	static const float coarse[4] = { 1, 0x1p-24f, -0x1p-24f, 0x1p-60f };
	size_t n = batch * (size_t)c->channels * c->inputs, m = (size_t)c->filters * c->k, i;
	int which = between(seed, 0, 4);

	assert(n <= MOST);
	fill_all(seed, c, batch);
	c->b[0] = which == 3 ? -0.0f : c->b[0];
	for (i = 0; i < 3 && which == 0; i++)
		c->w[draw_bits(seed) % m] = odd[draw_bits(seed) % 4];
	for (i = 0; i < 3 && which == 1; i++)
		c->x[draw_bits(seed) % n] = odd[draw_bits(seed) % 4];
	for (i = 0; i < n && which == 2; i++)
		c->x[i] = coarse[draw_bits(seed) % 4];
	for (i = 0; i < m && which == 2; i++)
		c->w[i] = coarse[draw_bits(seed) % 4];
}

/* The place whose tap t reaches result o along an axis, or -1. */
static int
place(const struct transposed *c, int axis, int o, int t)
{
	int at;

	for (at = 0; at < c->in[axis]; at++)
		if (at * c->stride[axis] + t * c->dilation[axis] - c->low[axis] == o)
			return at;
	return -1;
}

/* Result (f, o) of a sample by the definition. */
static float
expected(const struct transposed *c, const float *x, int f, const int o[3])
{
	static float a[TERMS], b[TERMS];
	int most = c->channels / c->groups, channel, d, h, w, at[3];
	size_t n = 0, tap = (size_t)f * c->k;

	x += (size_t)(f / (c->filters / c->groups) * most) * c->inputs;
	for (channel = 0; channel < most; channel++, x += c->inputs)
		for (d = 0; d < c->kernel[0]; d++)
			for (h = 0; h < c->kernel[1]; h++)
				for (w = 0; w < c->kernel[2]; w++, tap++) {
					at[0] = place(c, 0, o[0], d);
					at[1] = place(c, 1, o[1], h);
					at[2] = place(c, 2, o[2], w);
					if (at[0] < 0 || at[1] < 0 || at[2] < 0)
						continue;
					assert(n < TERMS);
					b[n] = c->w[tap];
					a[n++] = x[(at[0] * c->in[1] + at[1]) * c->in[2] + at[2]];
				}
	return lm_xdot_exact(a, b, n, &c->b[f], (size_t)c->biased, 1);
}

static size_t
check_sample(const struct transposed *c, const float *x, const float *y)
{
	int f, o[3];
	size_t n = 0;

	for (f = 0; f < c->filters; f++)
		for (o[0] = 0; o[0] < c->out[0]; o[0]++)
			for (o[1] = 0; o[1] < c->out[1]; o[1]++)
				for (o[2] = 0; o[2] < c->out[2]; o[2]++, n++)
					assert(shown32(y[n]) == shown32(expected(c, x, f, o)));
	return n;
}

static size_t
check_drawn(struct transposed *c, float *y, float *again)
{
	uint64_t seed = 11;
	size_t turn, i, n, batch, checks = 0;

	for (turn = 0; turn < 300; turn++) {
		c->axes = (unsigned)between(&seed, 1, 3);
		c->groups = between(&seed, 1, 3);
		c->channels = c->groups * between(&seed, 1, 2);
		c->filters = c->groups * between(&seed, 1, 8);
		c->biased = between(&seed, 0, 1);
		for (i = 0; i < 3; i++)
			draw_axis(&seed, c, (int)i);
		describe(c);
		batch = 1 + turn % 2;
		n = (size_t)c->filters * c->outputs;
		if (batch * n > MOST)
			continue;
		draw_values(&seed, c, batch);
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

/* ---- what is refused ---- */

static void
check_refusals(struct transposed *c)
{
	struct lm_shape x = { lm_dtype_get(LM_F32), 3, { 2, 4, 5 } };
	struct alone *o = &c->alone;

	*c = (struct transposed){ .axes = 1,
		.channels = 4,
		.filters = 6,
		.groups = 2,
		.in = { 1, 1, 5 },
		.kernel = { 1, 1, 4 },
		.stride = { 1, 1, 2 },
		.dilation = { 1, 1, 3 },
		.low = { 0, 0, 9 },
		.high = { 0, 0, 9 } };
	describe(c);
	alone_refuses(o, &x,
	    "layer y (convtranspose1): input 0: expected at least 6 values along axis 2, for a result "
	    "there, found float32 [2, 4, 5]");
	alone_list(o, "pad_high", 1, (int[]){ -20 });
	x.dim[2] = 0;
	alone_refuses(o, &x,
	    "layer y (convtranspose1): input 0: expected at least 1 value along axis 2, for a result "
	    "there, found float32 [2, 4, 0]");
	x.dim[2] = (uint64_t)1 << 40;
	alone_refuses(o, &x,
	    "layer y (convtranspose1): input 0: expected less than 2^40 values along axis 2, found "
	    "float32 [2, 4, 1099511627776]");
	x.dim[1] = 3;
	alone_refuses(o, &x,
	    "layer y (convtranspose1): input 0: expected [..., 4, w], found float32 [2, 3, "
	    "1099511627776]");
	x.rank = 1;
	alone_refuses(o, &x,
	    "layer y (convtranspose1): input 0: expected [..., 4, w], found float32 [2]");
	x.dtype = lm_dtype_get(LM_I64);
	alone_refuses(o, &x,
	    "layer y (convtranspose1): input 0: expected float32, found int64 [2]");
	alone_int(o, "out_channels", 5);
	alone_refuses(o, &x,
	    "node y (convtranspose1): groups is 2, which does not divide in_channels 4 and "
	    "out_channels 5");
	alone_list(o, "pad_low", 1, (int[]){ -(1 << 20) - 1 });
	alone_refuses(o, &x,
	    "node y (convtranspose1): pad_low holds -1048577, expected -1048576 to 1048576");
}

/* At the least number of values there is a result. */
static void
check_least(struct transposed *c)
{
	struct lm_shape x = { lm_dtype_get(LM_F32), 3, { 2, 4, 6 } }, y;

	alone_int(&c->alone, "out_channels", 6);
	alone_list(&c->alone, "pad_low", 1, (int[]){ 9 });
	alone_list(&c->alone, "pad_high", 1, (int[]){ 9 });
	assert(alone_shape(&c->alone, &x, &y) == 0 && y.dim[2] == 2);
	alone_list(&c->alone, "pad_high", 1, (int[]){ 10 });
	assert(alone_shape(&c->alone, &x, &y) == 0 && y.dim[2] == 1);
	alone_list(&c->alone, "pad_high", 1, (int[]){ 11 });
	assert(alone_shape(&c->alone, &x, &y) < 0);
}

int
main(void)
{
	static struct transposed c;
	static float y[MOST], again[MOST];
	size_t cases = check_cases(&c, y), drawn = check_drawn(&c, y, again);

	check_refusals(&c);
	check_least(&c);
	assert(cases == 7);
	printf("transposed: %zu cases, %zu drawn results\n", cases, drawn);
	return 0;
}
