/* convolution: one to be run, and each of its outputs by the definition, from the accumulator. */
#ifndef UNIT_CONVOLUTION_H
#define UNIT_CONVOLUTION_H

#include <math.h>

#include "node.h"
#include "num/exact.h"
#include "vectors.h"

enum { CONV_MOST = 1 << 19, CONV_TERMS = 1 << 12 };

struct conv {
	unsigned axes;
	int channels, filters, groups, biased;
	int in[3], kernel[3], stride[3], dilation[3], low[3], high[3], out[3];
	size_t inputs, outputs, k;
	struct alone alone;
	float x[CONV_MOST], w[CONV_MOST], b[256];
};

/* Fewer than three axes are the last ones. */
static void
describe(struct conv *c)
{
	static const char *const names[] = { "conv1", "conv2", "conv3" };
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
		c->out[i] = c->in[i] + c->low[i] + c->high[i] - 1;
		c->out[i] = (c->out[i] - c->dilation[i] * (c->kernel[i] - 1)) / c->stride[i] + 1;
		c->inputs *= (size_t)c->in[i];
		c->outputs *= (size_t)c->out[i];
		c->k *= (size_t)c->kernel[i];
	}
	alone_weight(o, "weight", c->w, (size_t)c->filters * c->k);
	if (c->biased)
		alone_weight(o, "bias", c->b, (size_t)c->filters);
}

static void
run(struct conv *c, size_t batch, float *y, int jobs)
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

	assert(n <= CONV_MOST);
	for (i = 0; i < n; i++)
		v[i] = draw(seed);
}

enum values { ODD_WEIGHTS, ODD_INPUT, COARSE, PLAIN };

/* Plain ones, infinities and NaNs among the weights or in the input, or sums near ties. */
static void
draw_values(uint64_t *seed, struct conv *c, size_t batch, enum values which)
{
	static const float odd[4] = { HUGE_VALF, -HUGE_VALF, NAN, 0 };
	static const float coarse[4] = { 1, 0x1p-24f, -0x1p-24f, 0x1p-60f };
	size_t n = batch * (size_t)c->channels * c->inputs, m = (size_t)c->filters * c->k, i;

	fill(seed, c->x, n);
	fill(seed, c->w, m);
	fill(seed, c->b, (size_t)c->filters);
	for (i = 0; i < 3 && which == ODD_WEIGHTS; i++)
		c->w[draw_bits(seed) % m] = odd[draw_bits(seed) % 4];
	for (i = 0; i < 3 && which == ODD_INPUT; i++)
		c->x[draw_bits(seed) % n] = odd[draw_bits(seed) % 4];
	for (i = 0; i < n && which == COARSE; i++)
		c->x[i] = coarse[draw_bits(seed) % 4];
	for (i = 0; i < m && which == COARSE; i++)
		c->w[i] = coarse[draw_bits(seed) % 4];
}

/* Where tap t of window o is on an axis, or -1 in the padding. */
static int
place(const struct conv *c, int axis, int o, int t)
{
	int at = o * c->stride[axis] + t * c->dilation[axis] - c->low[axis];

	return at < c->in[axis] ? at : -1;
}

/* Output (f, o) of a sample by the definition. */
static float
expected(const struct conv *c, const float *x, int f, const int o[3])
{
	static float a[CONV_TERMS], b[CONV_TERMS];
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
					assert(n < CONV_TERMS);
					b[n] = c->w[tap];
					a[n++] = x[(at[0] * c->in[1] + at[1]) * c->in[2] + at[2]];
				}
	return lm_xdot_exact(a, b, n, &c->b[f], (size_t)c->biased, 1);
}

static size_t
check_sample(const struct conv *c, const float *x, const float *y)
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

#endif
