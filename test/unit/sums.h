/*
 * sums: the terms of the sums in fixtures/numerics/sums.txt, by class, seed and length: what
 * terms() in fixtures/numerics/make.py draws.
 */
#ifndef UNIT_SUMS_H
#define UNIT_SUMS_H

#include <math.h>

#include "num/exact.h"
#include "vectors.h"

enum { SUM_MOST = 5000 }; /* terms */

struct terms {
	const char *name;
	uint64_t seed;
	size_t k;
	float a[SUM_MOST], b[SUM_MOST];
};

typedef float value_fn(uint64_t *);

static inline float
draw_gauss(uint64_t *s)
{
	double v = draw(s);

	v += draw(s);
	v += draw(s);
	v += draw(s);
	return (float)v;
}

static inline float
draw_relu(uint64_t *s)
{
	float v = draw_gauss(s);

	return v > 0 ? v : 0;
}

static inline float
draw_wide(uint64_t *s)
{
	float v = draw(s);
	int e = (int)(draw_bits(s) % 41) - 20;

	return ldexpf(v, e);
}

static inline float
draw_integer(uint64_t *s)
{
	return (float)(draw_bits(s) % 255) - 127;
}

static inline float
draw_large(uint64_t *s)
{
	return (float)(draw_bits(s) % 65535) - 32767;
}

static inline float
draw_bfloat(uint64_t *s)
{
	return lm_from_bits32(lm_bits32(draw_gauss(s)) & 0xffff0000);
}

/* Any finite pattern. */
static inline float
draw_pattern(uint64_t *s)
{
	uint32_t u = draw_bits(s) << 8;

	u ^= draw_bits(s) >> 16;
	return lm_from_bits32((u >> 23 & 255) == 255 ? u ^ 0x40000000 : u);
}

static inline float
draw_subnormal(uint64_t *s)
{
	uint32_t u = draw_bits(s) & 0x7fffff;

	return lm_from_bits32(u | (draw_bits(s) % 2 == 0 ? 0x80000000 : 0));
}

static inline float
draw_huge(uint64_t *s)
{
	return draw(s) * 0x1p100f;
}

static inline float
draw_less_huge(uint64_t *s)
{
	return draw(s) * 0x1p27f;
}

static inline float
draw_zeros(uint64_t *s)
{
	uint32_t kind = draw_bits(s) % 4;

	if (kind == 0)
		return draw(s);
	return kind == 1 ? -0.0f : 0.0f;
}

static inline float
draw_tenth(uint64_t *s)
{
	(void)s;
	return 0x1.99999ap-4f;
}

static inline float
draw_third(uint64_t *s)
{
	(void)s;
	return 0x1.555556p-2f;
}

static const struct drawn {
	const char *name;
	value_fn *a, *b;
} drawn[] = {
	{ "gauss", draw_gauss, draw_gauss },
	{ "relu", draw_relu, draw_gauss },
	{ "uniform", draw, draw },
	{ "wide", draw_wide, draw_wide },
	{ "integers", draw_integer, draw_integer },
	{ "large", draw_large, draw_large },
	{ "bfloat", draw_bfloat, draw_bfloat },
	{ "pattern", draw_pattern, draw_pattern },
	{ "subnormal", draw_subnormal, draw },
	{ "huge", draw_huge, draw_less_huge },
	{ "zeros", draw_zeros, draw_zeros },
	{ "constant", draw_tenth, draw_third },
};

enum { DRAWN = sizeof drawn / sizeof drawn[0] };

static inline void
terms_drawn(struct terms *t, const struct drawn *d)
{
	uint64_t s = t->seed;
	size_t i;

	for (i = 0; i < t->k; i++) {
		t->a[i] = d->a(&s);
		t->b[i] = d->b(&s);
	}
}

static inline void
terms_gauss(struct terms *t, uint64_t *s)
{
	size_t i;

	for (i = 0; i < t->k; i++)
		t->a[i] = draw_gauss(s);
	for (i = 0; i < t->k; i++)
		t->b[i] = draw_gauss(s);
}

/* Pairs that cancel, and one small term. */
static inline void
terms_cancelled(struct terms *t)
{
	uint64_t s = t->seed;
	size_t i;

	terms_gauss(t, &s);
	for (i = 0; i + 1 < t->k; i += 2) {
		t->a[i + 1] = t->a[i];
		t->b[i + 1] = -t->b[i];
	}
	if (t->k > 0)
		t->a[t->k - 1] *= 0x1p-40f;
}

/* One to three infinities or NaNs, some of them against a zero. */
static inline void
terms_special(struct terms *t)
{
	const float kinds[4] = { HUGE_VALF, -HUGE_VALF, lm_from_bits32(0x7fc00000), HUGE_VALF };
	uint64_t s = t->seed;
	uint32_t left;
	size_t i;

	terms_gauss(t, &s);
	for (left = 1 + draw_bits(&s) % 3; left > 0 && t->k > 0; left--) {
		i = draw_bits(&s) % t->k;
		t->a[i] = kinds[draw_bits(&s) % 4];
		if (draw_bits(&s) % 4 == 0)
			t->b[i] = 0;
	}
}

static inline void
terms_put(struct terms *t, size_t i, float a, float b)
{
	t->a[i] = a;
	t->b[i] = b;
}

static inline void
terms_clear(struct terms *t)
{
	memset(t->a, 0, sizeof t->a);
	memset(t->b, 0, sizeof t->b);
}

/*
 * 1 + 2^-24, less t, and terms of just under half a unit of that, which a binary64 sum loses one by
 * one.  All stand `stride` apart, so that they meet in one of that many lanes.
 */
static inline void
terms_stair(struct terms *t)
{
	size_t stride = t->seed / 1000, i;
	size_t places = t->k == 0 ? 0 : (t->k - 1) / stride + 1;
	size_t n = places > 3 ? places - 3 : 0;
	double less = (double)(t->seed % 1000) / 1000 * (double)n * 0x1p-53;
	float a[3] = { 1, 0x1p-12f, (float)less }, b[3] = { 1, 0x1p-12f, -1 };

	terms_clear(t);
	for (i = 0; i < places; i++)
		terms_put(t, i * stride, i < 3 ? a[i] : 0x1p-30f,
		    i < 3 ? b[i] : (float)(0x1p-23 - 0x1p-43));
}

/* The same about the middle of two numbers of 32 bits. */
static inline void
terms_stair32(struct terms *t)
{
	size_t stride = t->seed / 1000;

	terms_stair(t);
	if (t->k > stride)
		terms_put(t, stride, 0x1p-16f, 0x1p-16f);
}

/* The same one level down: 2^-54 in the low part of a double-double sum loses the terms. */
static inline void
terms_stair2(struct terms *t)
{
	size_t stride = t->seed / 1000, i;
	size_t places = t->k == 0 ? 0 : (t->k - 1) / stride + 1;
	size_t n = places > 5 ? places - 5 : 0;
	double less = (double)(t->seed % 1000) / 1000 * (double)n * 0x1p-107;
	float a[4] = { 1, 0x1p-12f, 0x1p-27f, (float)less }, b[4] = { 1, 0x1p-12f, 0x1p-27f, -1 };

	terms_clear(t);
	for (i = 0; i < places; i++)
		terms_put(t, i * stride, i < 4 ? a[i] : 0x1p-53f,
		    i < 4 ? b[i] : (float)(0x1p-54 - 0x1p-74));
	if (places > 4)
		terms_put(t, (places - 1) * stride, 0x1p-27f, -0x1p-27f);
}

/*
 * And so that what is left is below the middle: the double-double sum loses all terms, and then gets
 * what is taken from them.
 */
static inline void
terms_stair3(struct terms *t)
{
	size_t stride = t->seed / 1000, places = t->k == 0 ? 0 : (t->k - 1) / stride + 1;
	float less;

	terms_stair2(t);
	if (places < 6)
		return;
	less = t->a[3 * stride];
	terms_put(t, 3 * stride, 0x1p-53f, (float)(0x1p-54 - 0x1p-74));
	terms_put(t, (places - 2) * stride, 0x1p-27f, -0x1p-27f);
	terms_put(t, (places - 1) * stride, less, -1);
}

/*
 * Terms below half a unit between two that cancel: the sum underflows, and only its sign is left.
 * The seed is the stride.
 */
static inline void
terms_minus(struct terms *t)
{
	size_t places = (t->k - 1) / t->seed + 1, i;

	terms_clear(t);
	for (i = 0; i < places; i++)
		terms_put(t, i * t->seed, 0x1p-95f, -0x1p-95f);
	terms_put(t, (places - 1) * t->seed, 0x1p-65f, -0x1p-65f);
	terms_put(t, 0, 0x1p-65f, 0x1p-65f);
}

/* 2^-24 (1 + 2^-52), for a scale and biases that leave 2^-128 of errors that are larger. */
static inline void
terms_lost(struct terms *t)
{
	assert(t->k == 2);
	terms_put(t, 0, 0x1p-24f, 1);
	terms_put(t, 1, 0x1p-76f, 1);
}

/* 2^-24 - 2^-54 among zeros: with a bias of 1 + 2^-23 just below a tie. */
static inline void
terms_tie(struct terms *t)
{
	uint64_t s = t->seed;
	size_t i;

	for (i = 0; i < t->k; i++)
		terms_put(t, i, 0, draw_gauss(&s));
	if (t->k < 2)
		return;
	terms_put(t, t->k / 2, 0x1p-24f, 1);
	terms_put(t, t->k - 1, -0x1p-30f, 0x1p-24f);
}

static inline void
terms_fill(struct terms *t, const char *name, uint64_t seed, size_t k)
{
	static const struct {
		const char *name;
		void (*fill)(struct terms *);
	} crafted[] = {
		{ "cancelled", terms_cancelled },
		{ "special", terms_special },
		{ "stair", terms_stair },
		{ "stair2", terms_stair2 },
		{ "stair3", terms_stair3 },
		{ "stair32", terms_stair32 },
		{ "tie", terms_tie },
		{ "minus", terms_minus },
		{ "lost", terms_lost },
	};
	size_t i;

	assert(k <= SUM_MOST);
	t->name = name;
	t->seed = seed;
	t->k = k;
	for (i = 0; i < DRAWN; i++)
		if (strcmp(name, drawn[i].name) == 0) {
			terms_drawn(t, &drawn[i]);
			return;
		}
	for (i = 0; i < sizeof crafted / sizeof crafted[0]; i++)
		if (strcmp(name, crafted[i].name) == 0) {
			crafted[i].fill(t);
			return;
		}
	fprintf(stderr, "no class %s\n", name);
	exit(1);
}

#endif
