/*
 * elementwise: what operations of one value refuse, and in which words; and that threads change no bit
 * of results long enough for several.
 */
#include <math.h>

#include "node.h"

enum { LONG = 20011, JOBS = 7 };

static const struct lm_shape *
shape(enum lm_dtype_id dtype, unsigned rank, uint64_t a, uint64_t b)
{
	static struct lm_shape s;

	s = (struct lm_shape){ lm_dtype_get(dtype), rank, { a, b } };
	return &s;
}

static void
check_dtypes(struct alone *o)
{
	static const char *const real[] = { "exp", "relu6", "clip", "softplus", "log_softmax" };
	char message[200];
	size_t i;

	for (i = 0; i < sizeof real / sizeof real[0]; i++) {
		alone_start(o, real[i], 1);
		(void)snprintf(message, sizeof message,
		    "layer y (%s): input 0: expected float32, found int64 [3]", real[i]);
		alone_refuses(o, shape(LM_I64, 1, 3, 0), message);
	}
	alone_start(o, "neg", 1);
	alone_refuses(o, shape(LM_BOOL, 1, 3, 0),
	    "layer y (neg): input 0: expected float32 or int64, found bool [3]");
	alone_start(o, "not", 1);
	alone_refuses(o, shape(LM_F32, 0, 0, 0),
	    "layer y (not): input 0: expected bool, found float32 []");
}

static void
check_prelu(struct alone *o)
{
	alone_start(o, "prelu", 1);
	alone_list(o, "shape", 2, (int[]){ 3, 1 });
	alone_refuses(o, shape(LM_F32, 2, 4, 5),
	    "layer y (prelu): input 0: expected a shape to which the slope, float32 [3, 1], "
	    "broadcasts, found float32 [4, 5]");
	alone_refuses(o, shape(LM_F32, 1, 3, 0),
	    "layer y (prelu): input 0: expected a shape to which the slope, float32 [3, 1], "
	    "broadcasts, found float32 [3]");
	alone_refuses(o, shape(LM_F32, 2, 1, 5),
	    "layer y (prelu): input 0: expected a shape to which the slope, float32 [3, 1], "
	    "broadcasts, found float32 [1, 5]");
}

static void
check_axis(struct alone *o)
{
	alone_start(o, "log_softmax", 1);
	alone_int(o, "axis", 1);
	alone_refuses(o, shape(LM_F32, 1, 3, 0),
	    "layer y (log_softmax): input 0: expected an axis 1, found float32 [3]");
	alone_refuses(o, shape(LM_F32, 2, 3, 0),
	    "layer y (log_softmax): input 0: expected at least one value along axis 1, found "
	    "float32 [3, 0]");
}

/* The last of n values is refused in these words, whatever the threads, and gives a result without it. */
static void
refuses_value(struct alone *o, const struct lm_shape *s, void *x, size_t n, const char *text)
{
	static int64_t y[LONG];
	struct lm_shape in = *s;
	struct lm_array array = { &in, x };

	in.dim[0] = n;
	if (alone_run(o, &array, &in, y, JOBS) == 0 || strcmp(o->err.text, text) != 0 ||
	    o->err.code != LOOM_ESHAPE) {
		fprintf(stderr, "\"%s\", not \"%s\"\n", o->err.text, text);
		exit(1);
	}
	in.dim[0] = n - 1;
	assert(alone_run(o, &array, &in, y, JOBS) == 0);
}

static void
check_whole(struct alone *o)
{
	static int64_t x[LONG];

	x[0] = INT64_MAX;
	x[1] = INT64_MIN + 1;
	x[LONG - 1] = INT64_MIN;
	alone_start(o, "abs", 1);
	refuses_value(o, shape(LM_I64, 1, 0, 0), x, LONG,
	    "layer y (abs): -9223372036854775808 has no int64 result (overflow)");
	alone_start(o, "neg", 1);
	refuses_value(o, shape(LM_I64, 1, 0, 0), x, LONG,
	    "layer y (neg): -9223372036854775808 has no int64 result (overflow)");
}

static void
check_cast(struct alone *o)
{
	static const struct {
		float x;
		const char *text;
	} bad[] = { { 0x1p63f, "layer y (cast): 9.22337204e+18 is no int64" },
		{ -0x1.000002p63f, "layer y (cast): -9.22337314e+18 is no int64" },
		{ NAN, "layer y (cast): nan is no int64" },
		{ -NAN, "layer y (cast): nan is no int64" },
		{ INFINITY, "layer y (cast): inf is no int64" },
		{ -INFINITY, "layer y (cast): -inf is no int64" } };
	static float x[LONG] = { -0x1p63f, 0x1.fffffep62f };
	size_t i;

	alone_start(o, "cast", 1);
	alone_int(o, "to", 1);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		x[LONG - 1] = bad[i].x;
		refuses_value(o, shape(LM_F32, 1, 0, 0), x, LONG, bad[i].text);
	}
}

/* Long results are those of seven threads too, and end where they should. */
static void
check_threads(struct alone *o, enum lm_dtype_id from, const void *x)
{
	static unsigned char one[8 * (LONG + 1)], many[8 * (LONG + 1)];
	struct lm_shape s = *shape(from, 1, LONG, 0);
	struct lm_array array = { &s, (void *)(uintptr_t)x };

	memset(one, 0x55, sizeof one);
	memset(many, 0x55, sizeof many);
	assert(alone_run(o, &array, &s, one, 1) == 0);
	assert(alone_run(o, &array, &s, many, JOBS) == 0);
	assert(memcmp(one, many, sizeof one) == 0);
	assert(one[8 * LONG] == 0x55);
}

static void
check_long(void)
{
	static const char *const real[] = { "exp", "sin", "log1p", "floor", "selu", "abs" };
	static float x[LONG];
	static int64_t k[LONG];
	static struct alone o;
	size_t i;

	for (i = 0; i < LONG; i++) {
		x[i] = ((float)i - 9000) / 512;
		k[i] = (int64_t)i * 7 - 40000;
	}
	for (i = 0; i < sizeof real / sizeof real[0]; i++) {
		alone_start(&o, real[i], 1);
		check_threads(&o, LM_F32, x);
	}
	alone_start(&o, "sign", 1);
	check_threads(&o, LM_I64, k);
	alone_start(&o, "cast", 1);
	for (i = 0; i < 3; i++) {
		alone_int(&o, "to", (int64_t)i);
		check_threads(&o, LM_F32, x);
		check_threads(&o, LM_I64, k);
	}
}

int
main(void)
{
	static struct alone o;

	check_dtypes(&o);
	check_prelu(&o);
	check_axis(&o);
	check_whole(&o);
	check_cast(&o);
	check_long();
	return 0;
}
