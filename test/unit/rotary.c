/*
 * rotary: the bits of attention's rotation, row by row; factors divide frequencies; positions that are
 * given; pieces; and what it refuses, in which words.
 */
#include <math.h>

#include "node.h"
#include "num/rope.h"
#include "vectors.h"

enum { B = 2, H = 3, S = 9, D = 6 };

static float x[B * H * S * D], y[B * H * S * D], one[D];

static struct lm_shape
shape(int dtype, unsigned rank, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return (struct lm_shape){ lm_dtype_get(dtype), rank, { a, b, c, d } };
}

static void
start(struct alone *o, size_t inputs, size_t named[2], int style)
{
	alone_start(o, "rotary", inputs);
	o->node.in = named;
	named[0] = 0;
	named[1] = 1;
	alone_int(o, "head_dim", D);
	alone_int(o, "style", style);
	o->node.param[alone_param(o, "base")].real = 10000;
}

/* ---- attention's own ---- */

static void
check_row(size_t row, size_t position, const float *factor, int style)
{
	double frequency[D / 2];
	float cosine[D / 2], sine[D / 2];
	size_t i;

	lm_rope_frequencies(frequency, D, 10000);
	for (i = 0; factor != NULL && i < D / 2; i++)
		frequency[i] /= factor[i];
	lm_rope_angles(cosine, sine, frequency, D / 2, position);
	memcpy(one, x + row * D, sizeof one);
	lm_rope_turn(one, D, cosine, sine, style);
	assert(memcmp(one, y + row * D, sizeof one) == 0);
}

static void
check_same(void)
{
	static const float factor[D / 2] = { 1, 3, 8 };
	struct lm_shape s[2] = { shape(LM_F32, 4, B, H, S, D), shape(LM_I64, 2, 1, S, 0, 0) };
	int64_t at[S];
	struct lm_array in[2] = { { &s[0], x }, { &s[1], at } };
	static struct alone o;
	size_t named[2], row;
	int style, jobs, kind;

	for (row = 0; row < S; row++)
		at[row] = (int64_t)(row * row * 1001 % 5);
	for (style = 0; style < 2; style++)
		for (kind = 0; kind < 4; kind++)
			for (jobs = 1; jobs <= 7; jobs += 3) {
				start(&o, 1 + (size_t)(kind & 1), named, style);
				alone_int(&o, "factors", kind >> 1);
				if (kind >> 1)
					alone_weight(&o, "factors", factor, D / 2);
				assert(alone_run(&o, in, s, y, jobs) == 0);
				for (row = 0; row < B * H * S; row++)
					check_row(row, (kind & 1) ? (size_t)at[row % S] : row % S,
					    (kind >> 1) ? factor : NULL, style);
				lm_arena_release(&o.arena);
			}
}

/* ---- refusals ---- */

static void
check_shapes(void)
{
	struct lm_shape s[2] = { shape(LM_F32, 2, 3, 5, 0, 0), shape(LM_I64, 1, 3, 0, 0, 0) };
	static struct alone o;
	size_t named[2];

	start(&o, 1, named, 0);
	alone_refuses(&o, s,
	    "layer y (rotary): input 0: expected [..., s, 6], the last head_dim, "
	    "found float32 [3, 5]");
	s[0].dim[1] = D;
	start(&o, 2, named, 0);
	s[1].dim[0] = 2;
	alone_refuses(&o, s,
	    "layer y (rotary): input 1: expected a shape that broadcasts to the axes of input 0 "
	    "before its last, found int64 [2]");
	s[1].dtype = lm_dtype_get(LM_F32);
	alone_refuses(&o, s,
	    "layer y (rotary): input 1: expected int64 positions, found float32 [2]");
	start(&o, 1, named, 1);
	alone_int(&o, "head_dim", 5);
	alone_refuses(&o, s,
	    "node y (rotary): head_dim is 5, expected an even one, since "
	    "interleaved takes pairs");
	start(&o, 1, named, 0);
	o.node.param[alone_param(&o, "base")].real = 0.5;
	alone_refuses(&o, s, "node y (rotary): base is 0.5, expected a number from 1 to 1e300");
}

static void
check_values(void)
{
	static const float factor[D / 2] = { 1, 0, 8 };
	struct lm_shape s[2] = { shape(LM_F32, 2, S, D, 0, 0), shape(LM_I64, 1, 1, 0, 0, 0) };
	int64_t at = -1;
	struct lm_array in[2] = { { &s[0], x }, { &s[1], &at } };
	static struct alone o;
	struct lm_preparing p = { &o.node, o.slot, &lm_kernels_scalar, &o.arena };
	size_t named[2];

	start(&o, 2, named, 0);
	assert(alone_run(&o, in, s, y, 1) < 0);
	assert(strcmp(o.err.text, "layer y (rotary): position -1, expected 0 to 16777215") == 0);
	lm_arena_release(&o.arena);
	start(&o, 1, named, 0);
	alone_int(&o, "factors", 1);
	alone_weight(&o, "factors", factor, D / 2);
	assert(o.node.op->prepare(&p, &o.err) < 0);
	assert(strcmp(o.err.text,
		   "node y (rotary): factor 1 is 0, expected one that makes the "
		   "frequency 1 at the most") == 0);
	lm_arena_release(&o.arena);
}

int
main(void)
{
	uint64_t seed = 1;
	size_t i;

	for (i = 0; i < sizeof x / sizeof *x; i++)
		x[i] = draw(&seed);
	check_same();
	check_shapes();
	check_values();
	return 0;
}
