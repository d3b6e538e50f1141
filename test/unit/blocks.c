/*
 * blocks: convolutions of all the ways that windows are cut into blocks and panels, by each set of
 * kernels, against the accumulator; data that a bound too small would get wrong; and how many sums
 * need more than one stage.
 */
#include "convolution.h"
#include "sums.h"

enum { JOBS = 3, STAIR = 500, STAIRS = 40 };

/* ---- shapes ---- */

struct shape {
	unsigned axes;
	int channels, filters, groups;
	size_t batch;
	int in[3], kernel[3], stride[3], dilation[3], low[3], high[3];
};

static const struct shape shapes[] = {
	/* Rows that are cut, with and without what is left over. */
	{ 1, 8, 9, 1, 1, { 1, 1, 1300 }, { 1, 1, 3 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 0, 2 },
	    { 0, 0, 1 } },
	{ 1, 3, 5, 1, 2, { 1, 1, 1100 }, { 1, 1, 4 }, { 1, 1, 2 }, { 1, 1, 3 }, { 0, 0, 5 },
	    { 0, 0, 4 } },
	{ 1, 4, 4, 1, 1, { 1, 1, 1200 }, { 1, 1, 3 }, { 1, 1, 3 }, { 1, 1, 2 }, { 0, 0, 0 },
	    { 0, 0, 7 } },
	/* Taps that have lines of their own. */
	{ 1, 3, 7, 1, 1, { 1, 1, 700 }, { 1, 1, 2 }, { 1, 1, 3 }, { 1, 1, 400 }, { 0, 0, 390 },
	    { 0, 0, 410 } },
	{ 2, 2, 6, 1, 1, { 1, 40, 37 }, { 1, 2, 5 }, { 1, 5, 7 }, { 1, 11, 1 }, { 0, 9, 3 },
	    { 0, 4, 2 } },
	/* Several images in a block, and several rows. */
	{ 2, 4, 6, 1, 5, { 1, 13, 13 }, { 1, 3, 3 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 1, 1 },
	    { 0, 1, 1 } },
	{ 2, 6, 12, 3, 3, { 1, 4, 5 }, { 1, 3, 2 }, { 1, 1, 1 }, { 1, 2, 1 }, { 0, 2, 1 },
	    { 0, 2, 1 } },
	{ 2, 3, 24, 1, 1, { 1, 30, 34 }, { 1, 7, 7 }, { 1, 2, 2 }, { 1, 1, 1 }, { 0, 3, 3 },
	    { 0, 3, 3 } },
	{ 2, 9, 15, 3, 2, { 1, 37, 40 }, { 1, 3, 3 }, { 1, 2, 1 }, { 1, 1, 2 }, { 0, 0, 1 },
	    { 0, 1, 3 } },
	/* Windows of one value, where they lie and copied. */
	{ 2, 20, 33, 1, 2, { 1, 41, 30 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 0, 0 },
	    { 0, 0, 0 } },
	{ 2, 5, 20, 1, 7, { 1, 7, 7 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 0, 0 },
	    { 0, 0, 0 } },
	{ 3, 4, 10, 2, 1, { 9, 8, 7 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 0, 0 },
	    { 0, 0, 0 } },
	{ 2, 6, 5, 1, 1, { 1, 9, 8 }, { 1, 1, 1 }, { 1, 2, 2 }, { 1, 1, 1 }, { 0, 0, 0 },
	    { 0, 0, 0 } },
	{ 2, 6, 5, 1, 1, { 1, 9, 8 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 1, 0 },
	    { 0, 0, 2 } },
	/* More terms than are summed at once, and filters that threads share. */
	{ 2, 60, 17, 1, 1, { 1, 6, 7 }, { 1, 3, 3 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 1, 1 },
	    { 0, 1, 1 } },
	{ 2, 6, 200, 1, 1, { 1, 9, 8 }, { 1, 3, 3 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 1, 1 },
	    { 0, 1, 1 } },
	/* Three axes. */
	{ 3, 4, 5, 1, 2, { 6, 7, 8 }, { 2, 3, 3 }, { 1, 2, 1 }, { 2, 1, 1 }, { 1, 1, 1 },
	    { 1, 0, 2 } },
	{ 3, 4, 4, 4, 2, { 6, 7, 8 }, { 3, 2, 3 }, { 2, 1, 1 }, { 1, 1, 2 }, { 1, 1, 2 },
	    { 1, 0, 2 } },
	/* Few filters: rows that are cut, several images, much padding. */
	{ 1, 2, 4, 2, 1, { 1, 1, 20000 }, { 1, 1, 5 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 0, 2 },
	    { 0, 0, 2 } },
	{ 1, 2, 2, 2, 1, { 1, 1, 20000 }, { 1, 1, 5 }, { 1, 1, 2 }, { 1, 1, 1 }, { 0, 0, 2 },
	    { 0, 0, 2 } },
	{ 2, 5, 5, 5, 6, { 1, 5, 5 }, { 1, 5, 5 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 2, 2 },
	    { 0, 2, 2 } },
	{ 2, 40, 40, 40, 2, { 1, 7, 6 }, { 1, 3, 3 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 1, 1 },
	    { 0, 1, 1 } },
	{ 1, 60, 60, 30, 1, { 1, 1, 50 }, { 1, 1, 3 }, { 1, 1, 2 }, { 1, 1, 1 }, { 0, 0, 1 },
	    { 0, 0, 0 } },
	{ 2, 3, 6, 3, 1, { 1, 3, 4 }, { 1, 3, 3 }, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 20, 30 },
	    { 0, 19, 40 } },
};

static void
take_shape(struct conv *c, const struct shape *s)
{
	c->axes = s->axes;
	c->channels = s->channels;
	c->filters = s->filters;
	c->groups = s->groups;
	memcpy(c->in, s->in, sizeof(c->in));
	memcpy(c->kernel, s->kernel, sizeof(c->kernel));
	memcpy(c->stride, s->stride, sizeof(c->stride));
	memcpy(c->dilation, s->dilation, sizeof(c->dilation));
	memcpy(c->low, s->low, sizeof(c->low));
	memcpy(c->high, s->high, sizeof(c->high));
}

/* Each output was counted once, and of plain ones next to none needed a second stage. */
static void
check_counts(const struct conv *c, size_t n, enum values which)
{
	const uint64_t *stage = c->alone.counts.stage;

	assert(stage[0] + stage[1] + stage[2] == n);
	assert(which != PLAIN || stage[1] + stage[2] <= 2 + n / 1000);
}

/* By each set, with one thread and with several. */
static size_t
check_sets(struct conv *c, size_t batch, enum values which)
{
	static float y[CONV_MOST], again[CONV_MOST];
	size_t n = (size_t)c->filters * c->outputs, inputs = (size_t)c->channels * c->inputs, i,
	       set;

	assert(batch * n <= CONV_MOST);
	for (set = 0; lm_kernels_at(set) != NULL; set++) {
		alone_use(&c->alone, set);
		run(c, batch, set == 0 ? y : again, set % 2 == 0 ? 1 : JOBS);
		check_counts(c, batch * n, which);
		for (i = 0; i < batch && set == 0; i++)
			(void)check_sample(c, c->x + i * inputs, y + i * n);
		run(c, batch, again, set % 2 == 0 ? 7 : 2);
		for (i = 0; i < batch * n; i++)
			assert(shown32(y[i]) == shown32(again[i]));
	}
	lm_arena_release(&c->alone.arena);
	return batch * n;
}

static size_t
check_shapes(struct conv *c)
{
	uint64_t seed = 5;
	size_t i, checks = 0;
	enum values which;

	for (i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
		for (which = ODD_WEIGHTS; which <= PLAIN; which++) {
			take_shape(c, &shapes[i]);
			c->biased = (i + which) % 2;
			describe(c);
			draw_values(&seed, c, shapes[i].batch, which);
			checks += check_sets(c, shapes[i].batch, which);
		}
	return checks;
}

/* Rows of each length up to more vectors than are done together, of one filter and of panels. */
static size_t
check_lengths(struct conv *c, int stride)
{
	uint64_t seed = 9;
	size_t checks = 0;
	int wide;

	for (wide = 1; wide < 150; wide += wide < 75 ? 1 : 11) {
		*c = (struct conv){ .axes = 2,
			.channels = 3,
			.filters = wide % 4 == 0 ? 15 : 3,
			.groups = 3,
			.biased = 1,
			.in = { 1, 1 + wide % 9, wide },
			.kernel = { 1, 3, 3 },
			.stride = { 1, 1, stride },
			.dilation = { 1, 1, 1 },
			.low = { 0, 1, 1 },
			.high = { 0, 1, 1 } };
		describe(c);
		draw_values(&seed, c, 1, (enum values)(wide % 4));
		checks += check_sets(c, 1, (enum values)(wide % 4));
	}
	return checks;
}

/* ---- bounds ---- */

/*
 * Half of the terms are 1, and one makes their sum a tie; then terms that a loop loses one by one,
 * and before them, negative, `part` thousandths of what they add up to.
 */
static void
fill_plateau(struct terms *t, size_t part)
{
	size_t half = STAIR / 2, i;
	double lost = (double)(STAIR - half - 2) * 0x1p-46;

	for (i = 0; i < STAIR; i++)
		terms_put(t, i, 1, i < half ? 1 : (float)(0x1p-46 - 0x1p-70));
	terms_put(t, half, 1, 0x1p-17f);
	terms_put(t, half + 1, (float)((double)part / 1000 * lost), -1);
}

/*
 * Sums of which a loop in binary64 loses nearly as much as its bound allows, as images of one
 * window: by panels and by the rows of few filters.
 */
static size_t
check_losses(struct conv *c, int plateau, int channels, int filters)
{
	static struct terms t;
	size_t i, j, f, part;

	*c = (struct conv){ .axes = 1,
		.channels = channels,
		.filters = filters,
		.groups = 1,
		.in = { 1, 1, STAIR / channels },
		.kernel = { 1, 1, STAIR / channels },
		.stride = { 1, 1, 1 },
		.dilation = { 1, 1, 1 } };
	for (i = 0; i < STAIRS; i++) {
		part = 999 * i / (STAIRS - 1);
		if (plateau)
			fill_plateau(&t, part);
		else
			terms_fill(&t, "stair", 1000 + part, STAIR);
		for (j = 0; j < STAIR; j++)
			c->x[i * STAIR + j] = i % 2 == 0 ? t.a[j] : -t.a[j];
	}
	for (f = 0; f < (size_t)filters; f++)
		memcpy(c->w + f * STAIR, t.b, STAIR * sizeof *t.b);
	describe(c);
	return check_sets(c, STAIRS, COARSE);
}

int
main(void)
{
	static struct conv c;
	size_t shaped = check_shapes(&c), stride;
	int plateau;

	for (stride = 1; stride <= 3; stride++)
		shaped += check_lengths(&c, (int)stride);
	for (plateau = 0; plateau < 2; plateau++) {
		shaped += check_losses(&c, plateau, 1, 6);
		shaped += check_losses(&c, plateau, 50, 6);
		shaped += check_losses(&c, plateau, 10, 1);
	}
	printf("blocks: %zu outputs\n", shaped);
	return 0;
}
