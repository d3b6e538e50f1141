/* broadcast: what operations on several values, arange and size refuse, and in which words. */
#include "node.h"

static struct alone o;

static const struct lm_shape *
shapes(enum lm_dtype_id a, uint64_t an, enum lm_dtype_id b, uint64_t bn)
{
	static struct lm_shape s[2];

	s[0] = (struct lm_shape){ lm_dtype_get(a), 2, { 2, an } };
	s[1] = (struct lm_shape){ lm_dtype_get(b), 1, { bn } };
	return s;
}

static void
check_binary(void)
{
	alone_start(&o, "maximum", 2);
	alone_refuses(&o, shapes(LM_BOOL, 3, LM_BOOL, 3),
	    "layer y (maximum): input 0: expected float32 or int64, found bool [2, 3]");
	alone_refuses(&o, shapes(LM_I64, 3, LM_F32, 3),
	    "layer y (maximum): input 1: expected int64 as input 0 has, found float32 [3]");
	alone_refuses(&o, shapes(LM_F32, 3, LM_F32, 2),
	    "layer y (maximum): input 1: expected a shape that broadcasts with float32 [2, 3], found "
	    "float32 [2]");
	alone_start(&o, "less", 2);
	alone_refuses(&o, shapes(LM_BOOL, 3, LM_I64, 3),
	    "layer y (less): input 1: expected bool as input 0 has, found int64 [3]");
	alone_refuses(&o, shapes(LM_F64, 3, LM_F64, 3),
	    "layer y (less): input 0: expected float32 or int64 or bool, found float64 [2, 3]");
	alone_start(&o, "and", 2);
	alone_refuses(&o, shapes(LM_F32, 3, LM_BOOL, 3),
	    "layer y (and): input 0: expected bool, found float32 [2, 3]");
}

static void
check_where(void)
{
	struct lm_shape s[3] = { { lm_dtype_get(LM_F32), 1, { 3 } },
		{ lm_dtype_get(LM_I64), 2, { 2, 1 } }, { lm_dtype_get(LM_F32), 1, { 4 } } };

	alone_start(&o, "where", 3);
	alone_refuses(&o, s, "layer y (where): input 0: expected bool, found float32 [3]");
	s[0].dtype = lm_dtype_get(LM_BOOL);
	alone_refuses(&o, s,
	    "layer y (where): input 2: expected int64 as input 1 has, found float32 [4]");
	s[2].dtype = s[1].dtype;
	alone_refuses(&o, s,
	    "layer y (where): input 2: expected a shape that broadcasts with int64 [2, 3], found "
	    "int64 [4]");
	s[1].dim[1] = 2;
	alone_refuses(&o, s,
	    "layer y (where): input 1: expected a shape that broadcasts with int64 [3], found int64 "
	    "[2, 2]");
}

/* 6000 rows of 3, with two that have no result: the first is named, whatever the threads. */
static void
check_integers(const char *op, int64_t a, int64_t b, const char *text)
{
	static int64_t x[6000], y[3], z[18000];
	const struct lm_shape s[2] = { { lm_dtype_get(LM_I64), 2, { 6000, 1 } },
		{ lm_dtype_get(LM_I64), 1, { 3 } } };
	struct lm_array in[2] = { { &s[0], x }, { &s[1], y } };
	size_t i;
	int jobs;

	for (i = 0; i < 6000; i++)
		x[i] = i == 5990 ? INT64_MAX : i == 4321 ? a : 0;
	y[0] = y[2] = 1;
	y[1] = b;
	for (jobs = 1; jobs < 8; jobs += 3) {
		alone_start(&o, op, 2);
		assert(alone_run(&o, in, s, z, jobs) == -1);
		if (o.err.code != LOOM_ESHAPE || strcmp(o.err.text, text) != 0) {
			fprintf(stderr, "\"%s\", not \"%s\"\n", o.err.text, text);
			exit(1);
		}
	}
}

static void
check_overflows(void)
{
	check_integers("add", INT64_MIN, -1,
	    "layer y (add): -9223372036854775808 and -1 have no int64 result (overflow)");
	check_integers("mul", (int64_t)1 << 62, 2,
	    "layer y (mul): 4611686018427387904 and 2 have no int64 result (overflow)");
	check_integers("div", 7, 2,
	    "layer y (div): 7 and 2 have no int64 result (overflow, division by zero, or a quotient "
	    "that is not whole)");
	check_integers("floor_divide", INT64_MIN, -1,
	    "layer y (floor_divide): -9223372036854775808 and -1 have no int64 result (overflow or "
	    "division by zero)");
	check_integers("floor_divide", 3, 0,
	    "layer y (floor_divide): 0 and 0 have no int64 result (overflow or division by zero)");
	check_integers("remainder", 3, 0,
	    "layer y (remainder): 0 and 0 have no int64 result (division by zero)");
}

static void
check_extents(void)
{
	alone_start(&o, "arange", 0);
	alone_list(&o, "start", 1, (int[]){ 0 });
	alone_list(&o, "stop", 1, (int[]){ 3 });
	alone_refuses(&o, NULL, "node y (arange): step is 0, which leads nowhere");
	alone_int(&o, "step", 1);
	alone_list(&o, "stop", 1, (int[]){ -3 });
	alone_refuses(&o, NULL,
	    "node y (arange): stop holds -3, expected 0 to 9223372036854775807");
	alone_list(&o, "stop", 2, (int[]){ 3, 4 });
	alone_refuses(&o, NULL, "node y (arange): stop has 2 entries, expected 1");
	o.list[alone_param(&o, "stop")][0].text = "s-1";
	o.node.param[alone_param(&o, "stop")].dims.n = 1;
	alone_refuses(&o, NULL,
	    "dimension \"s-1\" uses the name s, which no input's shape declares");
	alone_start(&o, "size", 0);
	alone_refuses(&o, NULL, "node y (size): of has 0 entries, expected 1");
	alone_list(&o, "of", 1, (int[]){ 0 });
	o.list[alone_param(&o, "of")][0].text = "2-3";
	alone_refuses(&o, NULL, "dimension \"2-3\" is -1, less than nothing");
}

int
main(void)
{
	check_binary();
	check_where();
	check_overflows();
	check_extents();
	return 0;
}
