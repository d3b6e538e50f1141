/*
 * func: every case of the vectors, by the scalar functions and by the kernels, and a sum over many
 * inputs that changes with any bit of any result: each 257th input, or with LOOM_EXHAUSTIVE in the
 * environment each of the 2^32.
 */
#include <math.h>

#include "num/func.h"
#include "num/kernel.h"
#include "vectors.h"

static const struct {
	const char *name;
	float (*one)(float);
	size_t array; /* offset of the kernel */
} functions[] = {
	{ "exp", lm_exp, offsetof(struct lm_functions, exp) },
	{ "tanh", lm_tanh, offsetof(struct lm_functions, tanh) },
	{ "sigmoid", lm_sigmoid, offsetof(struct lm_functions, sigmoid) },
	{ "silu", lm_silu, offsetof(struct lm_functions, silu) },
	{ "erf", lm_erf, offsetof(struct lm_functions, erf) },
	{ "gelu_erf", lm_gelu_erf, offsetof(struct lm_functions, gelu_erf) },
	{ "gelu_tanh", lm_gelu_tanh, offsetof(struct lm_functions, gelu_tanh) },
	{ "rsqrt", lm_rsqrt, offsetof(struct lm_functions, rsqrt) },
	{ "log", lm_log, offsetof(struct lm_functions, log) },
	{ "log1p", lm_log1p, offsetof(struct lm_functions, log1p) },
	{ "expm1", lm_expm1, offsetof(struct lm_functions, expm1) },
	{ "sin", lm_sin, offsetof(struct lm_functions, sin) },
	{ "cos", lm_cos, offsetof(struct lm_functions, cos) },
	{ "softplus", lm_softplus, offsetof(struct lm_functions, softplus) },
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0], STRIP = 4096 };

typedef void array_fn(float *, const float *, size_t);

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

static array_fn *
array_of(size_t i)
{
	array_fn *f;

	memcpy(&f, (const char *)&lm_functions_scalar + functions[i].array, sizeof f);
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
	size_t cases = 0;

	vectors_open(&v, file);
	while (vectors_next(&v)) {
		size_t f = function_named(vectors_word(&v));
		float x = (float)vectors_number(&v), y[3] = { 5, x, 5 };
		uint32_t want = (uint32_t)vectors_hex(&v);

		expect(functions[f].name, x, functions[f].one(x), want);
		array_of(f)(y + 1, y + 1, 1);
		expect(functions[f].name, x, y[1], want);
		assert(y[0] == 5 && y[2] == 5);
		cases++;
	}
	return cases;
}

/* The sum of bits(f(x)) * (2u+1) over every step-th bit pattern u. */
static uint64_t
sum_over_inputs(array_fn *f, uint64_t step)
{
	static float x[STRIP], y[STRIP];
	uint64_t u = 0, first, sum = 0;
	size_t i, n;

	while (u < (uint64_t)1 << 32) {
		first = u;
		for (n = 0; n < STRIP && u < (uint64_t)1 << 32; n++, u += step)
			x[n] = lm_from_bits32((uint32_t)u);
		f(y, x, n);
		for (i = 0; i < n; i++)
			sum += shown32(y[i]) * (2 * (first + i * step) + 1);
	}
	return sum;
}

static void
check_sums(void)
{
	static struct vectors v;
	int exhaustive = getenv("LOOM_EXHAUSTIVE") != NULL;

	vectors_open(&v, "sum64.txt");
	while (vectors_next(&v)) {
		size_t f = function_named(vectors_word(&v));
		uint64_t all = vectors_hex(&v), some = vectors_hex(&v);
		uint64_t got = sum_over_inputs(array_of(f), exhaustive ? 1 : 257);

		if (got == (exhaustive ? all : some))
			continue;
		fprintf(stderr, "%s: sum over inputs is %016llx\n", functions[f].name,
		    (unsigned long long)got);
		exit(1);
	}
}

/* Lengths around the strip of the reference kernels: each element as by the scalar function. */
static void
check_lengths(void)
{
	float x[70], y[70];
	uint64_t seed = 7;
	size_t f, n, i;

	for (f = 0; f < FUNCTIONS; f++)
		for (n = 0; n < 66; n++) {
			for (i = 0; i < 70; i++) {
				x[i] = 12 * draw(&seed);
				y[i] = 99;
			}
			array_of(f)(y, x, n);
			for (i = 0; i < 70; i++)
				assert(
				    shown32(y[i]) == shown32(i < n ? functions[f].one(x[i]) : 99));
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
	size_t simple = check_simple() + check_activations();

	assert(cases == 544 + 733 && simple == 12 + 550);
	check_lengths();
	check_sums();
	printf("func: %zu cases of %d functions, %zu of activations, every %s input\n", cases,
	    (int)FUNCTIONS, simple, getenv("LOOM_EXHAUSTIVE") != NULL ? "single" : "257th");
	return 0;
}
