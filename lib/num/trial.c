/* trial: words of results, and numbers to get them from. */
#include "num/trial.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "num/bytes.h"

#define NAN32 0x7fc00000u
#define NAN64 0x7ff8000000000000u

/* ---- results ---- */

void
lm_trial_name(struct lm_trial *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(t->name, sizeof(t->name), fmt, ap);
	va_end(ap);
}

void
lm_trial_again(struct lm_trial *t)
{
	t->at = 0;
}

static void
compare(struct lm_trial *t, uint32_t found, uint32_t expected)
{
	if (found == expected || t->faulty)
		return;
	t->faulty = 1;
	memcpy(t->where, t->name, sizeof(t->where));
	t->found = found;
	t->expected = expected;
}

void
lm_trial_u32(struct lm_trial *t, uint32_t word)
{
	assert(t->at < t->n || (t->first && t->n < LM_TRIAL_WORDS));
	if (t->at == t->n)
		t->words[t->n++] = word;
	compare(t, word, t->words[t->at++]);
}

static uint32_t
sealed32(float v)
{
	return isnan(v) ? NAN32 : lm_bits32(v);
}

static uint64_t
sealed64(double v)
{
	return isnan(v) ? NAN64 : lm_bits64(v);
}

void
lm_trial_f32(struct lm_trial *t, const float *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		lm_trial_u32(t, sealed32(v[i]));
}

void
lm_trial_f64(struct lm_trial *t, const double *v, size_t n)
{
	uint64_t u;
	size_t i;

	for (i = 0; i < n; i++) {
		u = sealed64(v[i]);
		lm_trial_u32(t, (uint32_t)u);
		lm_trial_u32(t, (uint32_t)(u >> 32));
	}
}

void
lm_trial_expect(struct lm_trial *t, float found, uint32_t expected)
{
	compare(t, sealed32(found), expected);
	lm_trial_f32(t, &found, 1);
}

void
lm_trial_expect64(struct lm_trial *t, double found, uint64_t expected)
{
	uint64_t u = sealed64(found);

	compare(t, (uint32_t)(u >> 32), (uint32_t)(expected >> 32));
	compare(t, (uint32_t)u, (uint32_t)expected);
	lm_trial_f64(t, &found, 1);
}

/* ---- numbers ---- */

uint32_t
lm_trial_bits(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 40);
}

/* A multiple of 2^-23 in [-1, 1). */
static double
uniform(uint64_t *seed)
{
	return ((double)lm_trial_bits(seed) - 0x1p23) * 0x1p-23;
}

float
lm_trial_gauss(uint64_t *seed)
{
	double v = uniform(seed);

	v += uniform(seed);
	v += uniform(seed);
	v += uniform(seed);
	return (float)v;
}

static float
rectified(uint64_t *seed)
{
	float v = lm_trial_gauss(seed);

	return v > 0 ? v : 0;
}

static float
integer(uint64_t *seed)
{
	return (float)(lm_trial_bits(seed) % 255) - 127;
}

/* Multiples of 2^-7: sums of their products meet ties. */
static float
coarse(uint64_t *seed)
{
	return lm_from_bits32(lm_bits32(lm_trial_gauss(seed)) & 0xffff0000);
}

/* Over 41 binades. */
static float
spread(uint64_t *seed)
{
	uint32_t power = 127 - 20 + lm_trial_bits(seed) % 41;

	return lm_trial_gauss(seed) * lm_from_bits32(power << 23);
}

/* Any finite pattern. */
static float
pattern(uint64_t *seed)
{
	uint32_t u = lm_trial_bits(seed) << 8;

	u ^= lm_trial_bits(seed) >> 16;
	return lm_from_bits32((u >> 23 & 255) == 255 ? u ^ 0x40000000 : u);
}

static float
subnormal(uint64_t *seed)
{
	uint32_t u = lm_trial_bits(seed);

	return lm_from_bits32((u & 0x7fffff) | (u >> 23) << 31);
}

static float
zero(uint64_t *seed)
{
	uint32_t kind = lm_trial_bits(seed) % 4;

	if (kind == 0)
		return lm_trial_gauss(seed);
	return kind == 1 ? -0.0f : 0.0f;
}

/* One in 64 is no finite number. */
static float
special(uint64_t *seed)
{
	static const uint32_t specials[] = { 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345 };
	uint32_t kind = lm_trial_bits(seed) % 64;

	return kind == 0 ? lm_from_bits32(specials[lm_trial_bits(seed) % 4]) : lm_trial_gauss(seed);
}

static const struct {
	const char *name;
	float (*draw)(uint64_t *);
} classes[] = {
	{ "normal", lm_trial_gauss },
	{ "rectified", rectified },
	{ "integer", integer },
	{ "coarse", coarse },
	{ "spread", spread },
	{ "pattern", pattern },
	{ "subnormal", subnormal },
	{ "zero", zero },
	{ "special", special },
};

_Static_assert(sizeof classes / sizeof classes[0] == LM_TRIAL_CLASSES, "count the classes");

const char *
lm_trial_class(size_t i)
{
	return classes[i].name;
}

void
lm_trial_fill(float *v, size_t n, size_t class, uint64_t *seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = classes[class].draw(seed);
}
