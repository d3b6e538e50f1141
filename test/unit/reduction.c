/*
 * reduction: sum, mean, max, min, argmax and cumsum of several axes at once against the definition in
 * exact arithmetic, with any number of threads; what they refuse, and in which words.
 */
#include <math.h>

#include "node.h"
#include "vectors.h"

enum { MOST = 1500 };

static struct alone o;

/* The second half takes back the first in another order, so that a sum depends on its own. */
static void
cancelling(float *v, size_t n, uint64_t seed)
{
	size_t i, half = n / 2;

	for (i = 0; i < n; i++) {
		float t = draw(&seed);

		v[i] = (float)ldexp(t, (int)(draw_bits(&seed) % 60));
	}
	for (i = 0; i < half; i++)
		v[half + i] = -v[i * 13 % half];
	if (n % 2 != 0)
		v[n - 1] *= 0x1p-60f;
}

static void
run(const char *op, const struct lm_shape *s, const void *v, void *y, int jobs)
{
	const int axes[] = { -1, 0, 1, 2 };
	struct lm_array in = { s, (void *)v };

	alone_start(&o, op, 1);
	if (lm_layer_param(o.node.op, "axes") >= 0)
		alone_list(&o, "axes", s->rank, axes);
	assert(alone_run(&o, &in, s, y, jobs) == 0);
}

static void
check_vector(struct vectors *v)
{
	static const char *const names[] = { "sum", "mean", "max", "min" };
	static float x[MOST], y[MOST];
	struct lm_shape s = { lm_dtype_get(LM_F32), 0, { 0 } }, flat = s;
	unsigned rank = (unsigned)vectors_count(v);
	size_t n = 1, i;
	int64_t at;

	for (; s.rank < rank; n *= s.dim[s.rank++])
		s.dim[s.rank] = vectors_count(v);
	flat.rank = 1;
	flat.dim[0] = n;
	assert(n <= MOST);
	cancelling(x, n, vectors_count(v));
	for (i = 0; i < 4; i++) {
		uint64_t want = vectors_hex(v);

		run(names[i], &s, x, y, 1);
		assert(shown32(y[0]) == want);
		run(names[i], &s, x, y, 3);
		assert(shown32(y[0]) == want);
	}
	run("argmax", &flat, x, &at, 2);
	assert(at == (int64_t)vectors_count(v));
	run("cumsum", &flat, x, y, 2);
	assert(hash32(y, n) == vectors_hex(v));
}

/* Axes that lie apart or come first are gathered: the result is that of a copy which has them last. */
static void
check_gathered(int jobs)
{
	static float x[4][5][6][7], moved[5][7][24], y[5][7], z[5][7];
	const struct lm_shape s = { lm_dtype_get(LM_F32), 4, { 4, 5, 6, 7 } };
	const struct lm_shape t = { lm_dtype_get(LM_F32), 3, { 5, 7, 24 } };
	struct lm_array in = { &s, x }, last = { &t, moved };
	size_t a, b, c, d;

	cancelling(&x[0][0][0][0], 840, 77);
	for (a = 0; a < 4; a++)
		for (b = 0; b < 5; b++)
			for (c = 0; c < 6; c++)
				for (d = 0; d < 7; d++)
					moved[b][d][a * 6 + c] = x[a][b][c][d];
	alone_start(&o, "sum", 1);
	alone_list(&o, "axes", 2, (int[]){ 2, -4 });
	assert(alone_run(&o, &in, &s, y, jobs) == 0);
	alone_list(&o, "axes", 1, (int[]){ 2 });
	assert(alone_run(&o, &last, &t, z, jobs) == 0);
	assert(hash32(&y[0][0], 35) == hash32(&z[0][0], 35));
}

/* ---- refusals ---- */

static const struct lm_shape *
shape(enum lm_dtype_id dtype, unsigned rank, uint64_t a, uint64_t b)
{
	static struct lm_shape s;

	s = (struct lm_shape){ lm_dtype_get(dtype), rank, { a, b } };
	return &s;
}

static void
check_refusals(void)
{
	alone_start(&o, "sum", 1);
	alone_refuses(&o, shape(LM_F32, 2, 2, 3),
	    "node y (sum): axes is empty, expected at least one axis");
	alone_list(&o, "axes", 2, (int[]){ 1, -1 });
	alone_refuses(&o, shape(LM_F32, 2, 2, 3), "node y (sum): axes has axis 1 twice");
	alone_refuses(&o, shape(LM_BOOL, 2, 2, 3),
	    "layer y (sum): input 0: expected float32 or int64, found bool [2, 3]");
	alone_list(&o, "axes", 1, (int[]){ -3 });
	alone_refuses(&o, shape(LM_F32, 2, 2, 3),
	    "layer y (sum): input 0: expected an axis -3, found float32 [2, 3]");
	alone_list(&o, "axes", 1, (int[]){ 16 });
	alone_refuses(&o, shape(LM_F32, 2, 2, 3),
	    "node y (sum): axes holds 16, expected -16 to 15");
	alone_start(&o, "mean", 1);
	alone_list(&o, "axes", 1, (int[]){ 0 });
	alone_refuses(&o, shape(LM_I64, 2, 2, 3),
	    "layer y (mean): input 0: expected float32, found int64 [2, 3]");
	alone_refuses(&o, shape(LM_F32, 2, 0, 3),
	    "layer y (mean): input 0: expected at least one value along axis 0, found float32 [0, 3]");
	alone_start(&o, "max", 1);
	alone_list(&o, "axes", 2, (int[]){ 0, 1 });
	alone_refuses(&o, shape(LM_I64, 2, 2, 0),
	    "layer y (max): input 0: expected at least one value along axis 1, found int64 [2, 0]");
	alone_start(&o, "argmax", 1);
	alone_int(&o, "axis", -1);
	alone_refuses(&o, shape(LM_F32, 2, 2, 0),
	    "layer y (argmax): input 0: expected at least one value along axis 1, found float32 "
	    "[2, 0]");
	alone_refuses(&o, shape(LM_F32, 0, 0, 0),
	    "layer y (argmax): input 0: expected an axis -1, found float32 []");
	alone_start(&o, "cumsum", 1);
	alone_refuses(&o, shape(LM_BOOL, 1, 3, 0),
	    "layer y (cumsum): input 0: expected float32 or int64, found bool [3]");
	alone_int(&o, "axis", 1);
	alone_refuses(&o, shape(LM_F32, 1, 3, 0),
	    "layer y (cumsum): input 0: expected an axis 1, found float32 [3]");
}

/* The first result that is none is named, whatever the threads. */
static void
check_overflow(const char *op, int axis, int64_t *x, const char *text)
{
	const struct lm_shape s = { lm_dtype_get(LM_I64), 2, { 5000, 3 } };
	struct lm_array in = { &s, x };
	static int64_t y[15000];
	int jobs;

	for (jobs = 1; jobs < 8; jobs += 3) {
		alone_start(&o, op, 1);
		if (lm_layer_param(o.node.op, "axes") >= 0)
			alone_list(&o, "axes", 1, &axis);
		else
			alone_int(&o, "axis", axis);
		assert(alone_run(&o, &in, &s, y, jobs) == -1);
		assert(o.err.code == LOOM_ESHAPE && strcmp(o.err.text, text) == 0);
	}
}

static void
check_overflows(void)
{
	static int64_t x[5000][3];

	x[4998][1] = x[4998][2] = x[1700][0] = INT64_MIN;
	x[1700][1] = -1;
	x[1700][2] =
	    1; /* the exact sum of the row is no overflow, that up to its second value is */
	check_overflow("sum", 1, &x[0][0], "layer y (sum): result 4998 is no int64 (overflow)");
	check_overflow("cumsum", 1, &x[0][0],
	    "layer y (cumsum): -9223372036854775808 + -1 has no int64 result (overflow)");
	check_overflow("cumsum", 0, &x[0][0],
	    "layer y (cumsum): -1 + -9223372036854775808 has no int64 result (overflow)");
}

int
main(void)
{
	static struct vectors v;
	size_t cases = 0;

	vectors_open(&v, "reductions.txt");
	for (; vectors_next(&v); cases++)
		check_vector(&v);
	assert(cases == 10);
	check_gathered(1);
	check_gathered(4);
	check_refusals();
	check_overflows();
	printf("reduction: %zu vectors\n", cases);
	return 0;
}
