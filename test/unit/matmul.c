/*
 * matmul: every value is the exact sum, for shapes around the sizes of tiles, of what is turned together
 * and of the bands of threads; and what is refused, in which words.
 */
#include "node.h"
#include "vectors.h"

static void
fill(float *v, size_t n, uint64_t seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = draw(&seed);
}

static size_t
count_of(const struct lm_shape *s)
{
	uint64_t n;

	assert(lm_shape_count(s, &n) == 0);
	return (size_t)n;
}

/* One value by the accumulator alone. */
static float
exact(const float *x, const float *y, size_t k, size_t n, float *column)
{
	size_t i;

	for (i = 0; i < k; i++)
		column[i] = y[i * n];
	return lm_xdot_exact(x, column, k, NULL, 0, 1);
}

/* Which matrix of an operand with batches a, b belongs to (i, j). */
static size_t
matrix(const struct lm_shape *s, size_t i, size_t j)
{
	return (s->dim[0] > 1 ? i : 0) * (size_t)s->dim[1] + (s->dim[1] > 1 ? j : 0);
}

/* x [xa, xb, m, k], y [ya, yb, k, n]; each step-th value is looked at. */
static void
check_product(const uint64_t batch[4], size_t m, size_t k, size_t n, size_t step, int jobs)
{
	struct lm_shape s[2] = { { lm_dtype_get(LM_F32), 4, { batch[0], batch[1], m, k } },
		{ lm_dtype_get(LM_F32), 4, { batch[2], batch[3], k, n } } };
	struct lm_array in[2] = { { &s[0], malloc(count_of(&s[0]) * sizeof(float)) },
		{ &s[1], malloc(count_of(&s[1]) * sizeof(float)) } };
	size_t b = batch[1] > batch[3] ? batch[1] : batch[3], at, count;
	float *z, *column = malloc(k * sizeof *column);
	static struct alone o;
	struct lm_shape sz;

	alone_start(&o, "matmul", 2);
	assert(alone_shape(&o, s, &sz) == 0);
	count = count_of(&sz);
	z = malloc(count * sizeof *z);
	assert(in[0].data != NULL && in[1].data != NULL && column != NULL && z != NULL);
	fill(in[0].data, count_of(&s[0]), m * 7 + k);
	fill(in[1].data, count_of(&s[1]), n * 5 + k);
	assert(alone_run(&o, in, s, z, jobs) == 0);
	for (at = 0; at < count; at += step) {
		size_t p = at / (m * n), i = at / n % m, j = at % n;
		const float *x = (float *)in[0].data + (matrix(&s[0], p / b, p % b) * m + i) * k;
		const float *y = (float *)in[1].data + matrix(&s[1], p / b, p % b) * k * n + j;

		assert(shown32(z[at]) == shown32(exact(x, y, k, n, column)));
	}
	free(in[0].data);
	free(in[1].data);
	free(column);
	free(z);
}

static void
check_products(void)
{
	static const uint64_t batches[][4] = { { 1, 1, 1, 1 }, { 2, 3, 2, 3 }, { 2, 3, 1, 1 },
		{ 1, 1, 2, 3 }, { 2, 1, 1, 3 }, { 1, 3, 2, 3 }, { 2, 3, 2, 1 }, { 1, 1, 4, 1 } };
	static const size_t sizes[][3] = { { 1, 1, 1 }, { 3, 5, 2 }, { 17, 33, 16 }, { 1, 70, 65 },
		{ 90, 3, 1 }, { 5, 16, 31 } };
	size_t b, i;
	int jobs;

	for (b = 0; b < sizeof batches / sizeof *batches; b++)
		for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
			for (jobs = 1; jobs <= 7; jobs += 3)
				check_product(batches[b], sizes[i][0], sizes[i][1], sizes[i][2], 1,
				    jobs);
	/* More than is turned together, and matrices of which none goes with another. */
	check_product((uint64_t[]){ 1, 40, 1, 40 }, 3, 200, 300, 97, 3);
	check_product((uint64_t[]){ 1, 2, 1, 2 }, 2, 1100, 1000, 97, 3);
}

/* Sums that binary64 loses, in one column after another; the others are zeros. */
static void
check_norms(void)
{
	enum { K = 6, N = 40 };
	const float x[K] = { 0x1p60F, 0, 1, 0, -0x1p60F, 0 };
	struct lm_shape s[2] = { { lm_dtype_get(LM_F32), 2, { 1, K } },
		{ lm_dtype_get(LM_F32), 2, { K, N } } };
	static struct alone o;
	float y[K * N], z[N];
	struct lm_array in[2] = { { &s[0], (void *)x }, { &s[1], y } };
	size_t at, i;

	alone_start(&o, "matmul", 2);
	for (at = 0; at < N; at++) {
		for (i = 0; i < (size_t)K * N; i++)
			y[i] = i % N == at ? 1 : 0;
		assert(alone_run(&o, in, s, z, 1 + (int)(at % 3)) == 0);
		for (i = 0; i < N; i++)
			assert(z[i] == (i == at ? 1.0F : 0.0F));
	}
}

static const struct lm_shape *
shapes(unsigned rank, uint64_t a, uint64_t b, uint64_t c)
{
	static struct lm_shape s[2];

	s[0] = (struct lm_shape){ lm_dtype_get(LM_F32), 3, { 2, 3, 4 } };
	s[1] = (struct lm_shape){ lm_dtype_get(LM_F32), rank, { a, b, c } };
	return s;
}

static void
check_refusals(void)
{
	struct lm_shape ints[2] = { { lm_dtype_get(LM_I64), 2, { 3, 4 } },
		{ lm_dtype_get(LM_F32), 2, { 4, 5 } } };
	static struct alone o;

	alone_start(&o, "matmul", 2);
	alone_refuses(&o, ints, "layer y (matmul): input 0: expected float32, found int64 [3, 4]");
	alone_refuses(&o, shapes(1, 4, 0, 0),
	    "layer y (matmul): input 1: expected at least 2 axes, found float32 [4]");
	alone_refuses(&o, shapes(2, 3, 4, 0),
	    "layer y (matmul): input 1: expected [..., 4, n], as the last axis of input 0, found "
	    "float32 [3, 4]");
	alone_refuses(&o, shapes(3, 3, 4, 5),
	    "layer y (matmul): input 1: expected leading axes that broadcast with float32 [2, 3, 4], "
	    "found float32 [3, 4, 5]");
}

int
main(void)
{
	check_products();
	check_norms();
	check_refusals();
	return 0;
}
