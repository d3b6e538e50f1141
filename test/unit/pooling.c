/*
 * pooling: drawn pools of all parameters against windows that are walked tap by tap; the same bits
 * from any number of threads; what is refused.
 */
#include <math.h>

#include "node.h"
#include "num/functions.h"
#include "vectors.h"

enum { MOST = 1 << 15, TAPS = 1 << 13, CHANNELS = 6 };

struct pool {
	unsigned axes;
	int mean, ceil, count_pad;
	int in[3], kernel[3], stride[3], dilation[3], low[3], high[3], out[3];
	size_t inputs, outputs;
	struct alone alone;
	float x[MOST];
};

static int
between(uint64_t *seed, int least, int most)
{
	return least + (int)(draw_bits(seed) % (uint32_t)(most - least + 1));
}

/* How many windows begin where they may: counted one by one. */
static int
count_windows(const struct pool *p, int i)
{
	int start = 0, n = 0, end = p->low[i] + p->in[i] + p->high[i];
	int reach = p->dilation[i] * (p->kernel[i] - 1) + 1;

	for (; start + reach <= end; start += p->stride[i])
		n++;
	if (p->ceil && n > 0 && start - p->stride[i] + reach < end && start < p->low[i] + p->in[i])
		n++;
	return n;
}

static void
draw_pool(uint64_t *seed, struct pool *p)
{
	int i, reach;

	p->axes = (unsigned)between(seed, 1, 3);
	p->mean = between(seed, 0, 1);
	p->ceil = between(seed, 0, 1);
	p->count_pad = between(seed, 0, 1);
	p->inputs = p->outputs = 1;
	for (i = 0; i < 3; i++) {
		int whole = i + (int)p->axes >= 3;

		p->kernel[i] = whole ? between(seed, 1, 4) : 1;
		p->stride[i] = whole ? between(seed, 1, 5) : 1;
		p->dilation[i] = whole && !p->mean ? between(seed, 1, 3) : 1;
		reach = p->dilation[i] * (p->kernel[i] - 1) + 1;
		p->low[i] = whole ? between(seed, 0, reach - 1) : 0;
		p->high[i] = whole ? between(seed, 0, reach - 1) : 0;
		/* at least as long as a window leaves none empty */
		p->in[i] = whole ? between(seed, reach, reach + 6) : 1;
		p->out[i] = count_windows(p, i);
		p->inputs *= (size_t)p->in[i];
		p->outputs *= (size_t)p->out[i];
	}
}

static void
describe(struct pool *p)
{
	char name[16];
	struct alone *o = &p->alone;
	unsigned first = 3 - p->axes;

	snprintf(name, sizeof(name), "%spool%u", p->mean ? "avg" : "max", p->axes);
	alone_start(o, name, 1);
	alone_list(o, "kernel", p->axes, p->kernel + first);
	alone_list(o, "stride", p->axes, p->stride + first);
	alone_list(o, "pad_low", p->axes, p->low + first);
	alone_list(o, "pad_high", p->axes, p->high + first);
	alone_int(o, "ceil", p->ceil);
	if (p->mean)
		alone_int(o, "count_pad", p->count_pad);
	else
		alone_list(o, "dilation", p->axes, p->dilation + first);
}

/* Zeros of both signs, infinities and NaNs among the values of every third pool. */
static void
draw_values(uint64_t *seed, struct pool *p)
{
	static const float odd[5] = { HUGE_VALF, -HUGE_VALF, NAN, 0, -0.0f };
	size_t i, n = CHANNELS * p->inputs;
	int special = between(seed, 0, 2) == 0;

	assert(n <= MOST && CHANNELS * p->outputs <= MOST);
	for (i = 0; i < n; i++) {
		p->x[i] = draw(seed);
		if (special && draw_bits(seed) % 3 == 0)
			p->x[i] = odd[draw_bits(seed) % 5];
	}
}

static void
run(struct pool *p, float *y, int jobs)
{
	struct lm_shape shape = { lm_dtype_get(LM_F32), 2, { 2, CHANNELS / 2 } };
	struct lm_array x = { &shape, p->x };
	unsigned i;

	for (i = 3 - p->axes; i < 3; i++)
		shape.dim[shape.rank++] = (uint64_t)p->in[i];
	assert(alone_run(&p->alone, &x, &shape, y, jobs) == 0);
}

/* Tap t of window o on an axis: in the input, in the padding, beyond both. */
enum where { INSIDE, PADDING, BEYOND };

static enum where
place(const struct pool *p, int axis, int o, int t, int *at)
{
	*at = o * p->stride[axis] + t * p->dilation[axis] - p->low[axis];
	if (*at >= 0 && *at < p->in[axis])
		return INSIDE;
	return *at < p->in[axis] + p->high[axis] ? PADDING : BEYOND;
}

static float
expected(const struct pool *p, const float *x, const int o[3])
{
	int d, h, w, at[3], counted = 0;
	enum where worst, there[3];
	float v[TAPS];
	size_t n = 0;

	for (d = 0; d < p->kernel[0]; d++)
		for (h = 0; h < p->kernel[1]; h++)
			for (w = 0; w < p->kernel[2]; w++) {
				there[0] = place(p, 0, o[0], d, &at[0]);
				there[1] = place(p, 1, o[1], h, &at[1]);
				there[2] = place(p, 2, o[2], w, &at[2]);
				worst = there[0] > there[1] ? there[0] : there[1];
				worst = there[2] > worst ? there[2] : worst;
				counted += worst != BEYOND;
				if (worst == INSIDE)
					v[n++] = x[(at[0] * p->in[1] + at[1]) * p->in[2] + at[2]];
			}
	if (!p->mean)
		return lm_functions_scalar.max(v, n);
	return (float)(lm_functions_scalar.lane16_f32(v, n) / (p->count_pad ? counted : (int)n));
}

static size_t
check_channel(const struct pool *p, const float *x, const float *y)
{
	size_t n = 0;
	int o[3];

	for (o[0] = 0; o[0] < p->out[0]; o[0]++)
		for (o[1] = 0; o[1] < p->out[1]; o[1]++)
			for (o[2] = 0; o[2] < p->out[2]; o[2]++, n++)
				assert(shown32(y[n]) == shown32(expected(p, x, o)));
	return n;
}

static size_t
check_drawn(struct pool *p, float *y, float *again)
{
	uint64_t seed = 11;
	size_t turn, i, checks = 0;

	for (turn = 0; turn < 1000; turn++) {
		draw_pool(&seed, p);
		describe(p);
		draw_values(&seed, p);
		alone_use(&p->alone, turn);
		run(p, y, 1);
		for (i = 0; i < CHANNELS; i++)
			checks += check_channel(p, p->x + i * p->inputs, y + i * p->outputs);
		alone_use(&p->alone, turn + 1);
		run(p, again, 2 + (int)turn % 6);
		for (i = 0; i < CHANNELS * p->outputs; i++)
			assert(shown32(y[i]) == shown32(again[i]));
	}
	return checks;
}

/* Enough work for all threads. */
static void
check_threads(struct pool *p, float *y)
{
	uint64_t seed = 5;
	size_t i;
	int jobs;

	*p = (struct pool){ .axes = 3,
		.mean = 1,
		.in = { 16, 16, 16 },
		.kernel = { 5, 5, 5 },
		.stride = { 1, 1, 1 },
		.dilation = { 1, 1, 1 },
		.out = { 12, 12, 12 },
		.inputs = 4096,
		.outputs = 1728 };
	describe(p);
	draw_values(&seed, p);
	for (jobs = 1; jobs < 8; jobs++) {
		alone_use(&p->alone, (size_t)jobs);
		run(p, y, jobs);
		for (i = 0; i < CHANNELS; i++)
			(void)check_channel(p, p->x + i * p->inputs, y + i * p->outputs);
	}
}

static size_t
check_one(struct pool *p, uint64_t *seed, size_t set, float *y)
{
	size_t i, checks = 0;

	for (p->inputs = p->outputs = 1, i = 0; i < 3; i++) {
		p->out[i] = p->in[i] + p->low[i] + p->high[i] - p->kernel[i];
		p->out[i] = p->out[i] / p->stride[i] + 1;
		p->inputs *= (size_t)p->in[i];
		p->outputs *= (size_t)p->out[i];
	}
	describe(p);
	draw_values(seed, p);
	alone_use(&p->alone, set);
	run(p, y, 1 + (int)set % 3);
	for (i = 0; i < CHANNELS; i++)
		checks += check_channel(p, p->x + i * p->inputs, y + i * p->outputs);
	return checks;
}

/* Rows of each length up to several vectors, and windows too large for that. */
static size_t
check_rows(struct pool *p, float *y)
{
	uint64_t seed = 13;
	size_t checks = 0, set;
	int wide;

	for (wide = 1; wide < 60; wide++)
		for (set = 0; lm_kernels_at(set) != NULL; set++) {
			*p = (struct pool){ .axes = 2,
				.mean = wide % 2,
				.in = { 1, 4, wide + 2 },
				.kernel = { 1, 3, 3 },
				.stride = { 1, 1 + wide % 2, 1 + wide % 3 },
				.dilation = { 1, 1, 1 },
				.low = { 0, 1, 1 },
				.high = { 0, 1, 1 } };
			checks += check_one(p, &seed, set, y);
		}
	for (p->mean = 0; p->mean < 2; p->mean++) {
		p->in[1] = p->in[2] = 66;
		p->kernel[1] = p->kernel[2] = 65;
		p->low[1] = 2;
		checks += check_one(p, &seed, 1, y);
	}
	return checks;
}

/* ---- what is refused ---- */

static void
check_sliding(struct pool *p)
{
	struct lm_shape x = { lm_dtype_get(LM_F32), 3, { 2, 4, 3 } };
	struct alone *o = &p->alone;

	*p = (struct pool){ .axes = 2,
		.kernel = { 1, 2, 2 },
		.stride = { 1, 1, 1 },
		.dilation = { 1, 1, 5 },
		.low = { 0, 0, 1 },
		.high = { 0, 0, 2 } };
	describe(p);
	alone_refuses(o, &x,
	    "layer y (maxpool2): input 0: expected a value in every window along axis 2, found "
	    "float32 [2, 4, 3]");
	x.dim[1] = 1;
	alone_refuses(o, &x,
	    "layer y (maxpool2): input 0: expected at least 2 values along axis 1 for a window of "
	    "2, found float32 [2, 1, 3]");
	x.rank = 1;
	alone_refuses(o, &x,
	    "layer y (maxpool2): input 0: expected at least 2 axes, found float32 [2]");
	x.dtype = lm_dtype_get(LM_BOOL);
	alone_refuses(o, &x, "layer y (maxpool2): input 0: expected float32, found bool [2]");
	p->high[1] = 2;
	describe(p);
	alone_refuses(o, &x,
	    "node y (maxpool2): padding of 2 and windows of 2 along spatial axis 0: the padding "
	    "must be less");
}

static void
check_global(struct alone *o)
{
	struct lm_shape x = { lm_dtype_get(LM_F32), 2, { 2, 0 } };

	alone_start(o, "global_avgpool", 1);
	alone_int(o, "spatial", 1);
	alone_refuses(o, &x,
	    "layer y (global_avgpool): input 0: expected at least one value along axis 1, found "
	    "float32 [2, 0]");
	alone_int(o, "spatial", 3);
	alone_refuses(o, &x,
	    "layer y (global_avgpool): input 0: expected at least 3 axes, found float32 [2, 0]");
	alone_int(o, "spatial", 4);
	alone_refuses(o, &x, "node y (global_avgpool): spatial is 4, expected 1 to 3");
}

int
main(void)
{
	static struct pool p;
	static float y[MOST], again[MOST];
	size_t drawn = check_drawn(&p, y, again) + check_rows(&p, y);

	check_threads(&p, y);
	check_sliding(&p);
	check_global(&p.alone);
	printf("pooling: %zu drawn outputs\n", drawn);
	return 0;
}
