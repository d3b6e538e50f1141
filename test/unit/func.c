/*
 * func: every case of the vectors, by the scalar functions and by every set of kernels that this
 * machine has, and a sum over each 257th input that changes with any bit of any result; `make
 * exhaustive` takes all of them.
 */
#include <math.h>

#include "num/func.h"
#include "num/kernel.h"
#include "vectors.h"

#define FUNCTION(name) #name, lm_##name, offsetof(struct lm_functions, name)

static const struct {
	const char *name;
	float (*one)(float);
	size_t array; /* offset in struct lm_functions */
} functions[] = { { FUNCTION(exp) }, { FUNCTION(tanh) }, { FUNCTION(sigmoid) }, { FUNCTION(silu) },
	{ FUNCTION(mish) }, { FUNCTION(erf) }, { FUNCTION(gelu_erf) }, { FUNCTION(gelu_tanh) },
	{ FUNCTION(rsqrt) }, { FUNCTION(log) }, { FUNCTION(log1p) }, { FUNCTION(expm1) },
	{ FUNCTION(sin) }, { FUNCTION(cos) }, { FUNCTION(softplus) } };

enum { FUNCTIONS = sizeof functions / sizeof functions[0], STRIP = 4096, STEP = 257 };

static size_t
function_named(const char *name)
{
	size_t i;

	for (i = 0; i < FUNCTIONS; i++)
		if (strcmp(functions[i].name, name) == 0)
			return i;
	fprintf(stderr, "no function %s\n", name);
	exit(1);
}

static lm_map_fn *
array_of(const struct lm_functions *fn, size_t i)
{
	lm_map_fn *f;

	memcpy(&f, (const char *)fn + functions[i].array, sizeof f);
	return f;
}

static void
expect(const char *name, float x, float got, uint32_t want)
{
	if (shown32(got) == want)
		return;
	fprintf(stderr, "%s(%a): %08x, not %08x\n", name, (double)x, shown32(got), want);
	exit(1);
}

static size_t
check_cases(const char *file)
{
	static struct vectors v;
	const struct lm_kernels *k;
	size_t cases = 0, set;

	vectors_open(&v, file);
	while (vectors_next(&v)) {
		size_t f = function_named(vectors_word(&v));
		float x = (float)vectors_number(&v);
		uint32_t want = (uint32_t)vectors_hex(&v);

		expect(functions[f].name, x, functions[f].one(x), want);
		for (set = 0; (k = lm_kernels_at(set)) != NULL; set++) {
			float y[3] = { 5, x, 5 };

			array_of(k->fn, f)(y + 1, y + 1, 1);
			expect(functions[f].name, x, y[1], want);
			assert(y[0] == 5 && y[2] == 5);
		}
		cases++;
	}
	return cases;
}

/* The sum of bits(f(x)) * (2u+1) over every 257th bit pattern u. */
static uint64_t
sum_over_inputs(lm_map_fn *f)
{
	static float x[STRIP], y[STRIP];
	uint64_t u = 0, first, sum = 0;
	size_t i, n;

	while (u < (uint64_t)1 << 32) {
		first = u;
		for (n = 0; n < STRIP && u < (uint64_t)1 << 32; n++, u += STEP)
			x[n] = lm_from_bits32((uint32_t)u);
		f(y, x, n);
		for (i = 0; i < n; i++)
			sum += shown32(y[i]) * (2 * (first + i * STEP) + 1);
	}
	return sum;
}

static void
check_sums(void)
{
	static struct vectors v;
	const struct lm_kernels *k;
	size_t set;

	vectors_open(&v, "sum64.txt");
	while (vectors_next(&v)) {
		size_t f = function_named(vectors_word(&v));
		uint64_t some, got;

		(void)vectors_hex(&v);
		some = vectors_hex(&v);
		for (set = 0; (k = lm_kernels_at(set)) != NULL; set++) {
			got = sum_over_inputs(array_of(k->fn, f));
			if (got == some)
				continue;
			fprintf(stderr, "%s by %s: sum over inputs is %016llx\n", functions[f].name,
			    k->name, (unsigned long long)got);
			exit(1);
		}
	}
}

/* Of all sizes and of both signs, and now and then what is special. */
static float
input(uint64_t *seed)
{
	static const uint32_t special[] = { 0, 0x80000000, 1, 0x80000001, 0x007fffff, 0x80800000,
		0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f7fffff, 0xc1a00000, 0x42d00000,
		0xc2d00000, 0x41880000, 0x00ffffff };
	uint32_t u = draw_bits(seed);

	if (u % 8 == 0)
		return lm_from_bits32(special[u / 8 % (sizeof special / sizeof special[0])]);
	return (u % 2 == 0 ? 1.0f : 12.0f) * draw(seed);
}

/* Each length and place within a block: each element as by the scalar function, nothing else written. */
static void
check_lengths(const struct lm_functions *fn)
{
	enum { LONGEST = 70, ROOM = LONGEST + 8 };
	float x[ROOM], y[ROOM];
	uint64_t seed = 7;
	size_t f, n, i, at;

	for (f = 0; f < FUNCTIONS; f++)
		for (n = 0; n <= LONGEST; n++) {
			at = n % 5;
			for (i = 0; i < ROOM; i++) {
				x[i] = input(&seed);
				y[i] = 99;
			}
			array_of(fn, f)(y + at, x + at, n);
			for (i = 0; i < ROOM; i++)
				assert(shown32(y[i]) ==
				    shown32(i >= at && i < at + n ? functions[f].one(x[i]) : 99));
			array_of(fn, f)(x + at, x + at, n);
			for (i = at; i < at + n; i++)
				assert(shown32(x[i]) == shown32(y[i]));
		}
}

/* e^(x - m), where x - m may or may not be rounded alike in one step and in two. */
static void
check_less(const struct lm_functions *fn)
{
	enum { LONGEST = 70 };
	static const double less[] = { 0, 1.25, 0x1.000001p+3, 0.1, -HUGE_VAL, HUGE_VAL };
	float x[LONGEST], y[LONGEST], z[LONGEST], want;
	double wide[LONGEST];
	uint64_t seed = 9;
	size_t n, i, m;

	for (n = 0; n <= LONGEST; n++)
		for (m = 0; m < sizeof less / sizeof less[0]; m++) {
			for (i = 0; i < n; i++) {
				x[i] = input(&seed);
				wide[i] = x[i] + 0x1p-30 * draw(&seed);
			}
			fn->exp_less(y, x, less[m], n);
			fn->exp_less64(z, wide, less[m], n);
			for (i = 0; i < n; i++) {
				want = lm_exp((float)(x[i] - less[m]));
				assert(shown32(y[i]) == shown32(want));
				want = lm_exp((float)(wide[i] - less[m]));
				assert(shown32(z[i]) == shown32(want));
			}
			fn->exp_less(x, x, less[m], n);
			for (i = 0; i < n; i++)
				assert(shown32(x[i]) == shown32(y[i]));
		}
}

static size_t
check_simple(void)
{
	static struct vectors v;
	size_t cases = 0;

	vectors_open(&v, "simple.txt");
	while (vectors_next(&v)) {
		float x = (float)vectors_number(&v);

		expect("relu", x, lm_relu(x), (uint32_t)vectors_hex(&v));
		expect("leaky_relu", x, lm_leaky_relu(x, 0.01), (uint32_t)vectors_hex(&v));
		expect("relu2", x, lm_relu2(x), (uint32_t)vectors_hex(&v));
		cases++;
	}
	return cases;
}

static float
elu(float x)
{
	return lm_elu(x, 0.3);
}

static size_t
check_activations(void)
{
	static const struct {
		const char *name;
		float (*f)(float);
	} activations[] = { { "relu6", lm_relu6 }, { "hard_sigmoid", lm_hard_sigmoid },
		{ "hard_swish", lm_hard_swish }, { "selu", lm_selu }, { "elu(0.3)", elu } };
	static struct vectors v;
	size_t i, cases = 0;

	vectors_open(&v, "activations.txt");
	while (vectors_next(&v)) {
		const char *name = vectors_word(&v);
		float x = (float)vectors_number(&v);

		for (i = 0; strcmp(activations[i].name, name) != 0; i++)
			assert(i + 1 < sizeof activations / sizeof activations[0]);
		expect(name, x, activations[i].f(x), (uint32_t)vectors_hex(&v));
		cases++;
	}
	return cases;
}

int
main(void)
{
	size_t cases = check_cases("elementwise.txt") + check_cases("functions.txt");
	size_t simple = check_simple() + check_activations(), set;
	const struct lm_kernels *k;

	assert(cases == 544 + 863 && simple == 12 + 550);
	for (set = 0; (k = lm_kernels_at(set)) != NULL; set++) {
		check_lengths(k->fn);
		check_less(k->fn);
	}
	if (getenv("LOOM_EMULATED") == NULL) /* it would take minutes */
		check_sums();
	printf(
	    "func: %zu cases of %d functions, %zu of activations, every %dth input by %zu sets\n",
	    cases, (int)FUNCTIONS, simple, STEP, set);
	return 0;
}
