/* structure: what flatten, transpose, slice and gather refuse, and in which words. */
#include "node.h"

static const struct lm_shape *
shape(unsigned rank, uint64_t a, uint64_t b, uint64_t c)
{
	static struct lm_shape s[2];

	s[0] = s[1] = (struct lm_shape){ lm_dtype_get(LM_F32), rank, { a, b, c } };
	return s;
}

static void
check_flatten(struct alone *o)
{
	alone_start(o, "flatten", 1);
	alone_int(o, "start", 2);
	alone_int(o, "end", -2);
	alone_refuses(o, shape(3, 2, 3, 4),
	    "layer y (flatten): input 0: expected axis 2 (start) not after axis 1 (end), found "
	    "float32 [2, 3, 4]");
	alone_refuses(o, shape(2, 2, 3, 0),
	    "layer y (flatten): input 0: expected an axis 2, found float32 [2, 3]");
	alone_int(o, "start", 0);
	alone_int(o, "end", -1);
	alone_refuses(o, shape(3, (uint64_t)1 << 40, (uint64_t)1 << 40, 1),
	    "layer y (flatten): input 0: expected less than 2^64 elements, found float32 "
	    "[1099511627776, 1099511627776, 1]");
}

static void
check_transpose(struct alone *o)
{
	alone_start(o, "transpose", 1);
	alone_list(o, "perm", 3, (int[]){ 2, 0, 2 });
	alone_refuses(o, shape(3, 2, 3, 4),
	    "node y (transpose): perm must name each of the axes 0 to 2 once");
	alone_list(o, "perm", 3, (int[]){ 1, 0, 3 });
	alone_refuses(o, shape(3, 2, 3, 4),
	    "node y (transpose): perm must name each of the axes 0 to 2 once");
	alone_list(o, "perm", 2, (int[]){ 1, 0 });
	alone_refuses(o, shape(3, 2, 3, 4),
	    "layer y (transpose): input 0: expected 2 axes, found float32 [2, 3, 4]");
}

static void
cut(struct alone *o, int axis, int start, int stop, int step)
{
	alone_start(o, "slice", 1);
	alone_list(o, "axes", 2, (int[]){ 0, axis });
	alone_list(o, "starts", 2, (int[]){ 0, start });
	alone_list(o, "stops", 2, (int[]){ 2, stop });
	alone_list(o, "steps", 2, (int[]){ 1, step });
}

static void
check_slice(struct alone *o)
{
	cut(o, 1, 2, 5, 1);
	alone_refuses(o, shape(3, 2, 4, 3),
	    "layer y (slice): input 0: expected at least 5 values along axis 1, found float32 [2, "
	    "4, 3]");
	cut(o, 2, 2, 1, 1);
	alone_refuses(o, shape(3, 2, 4, 3),
	    "layer y (slice): input 0: expected a start not after its stop along axis 2, not 2 "
	    "and 1, found float32 [2, 4, 3]");
	cut(o, -3, 0, 1, 1);
	alone_refuses(o, shape(3, 2, 4, 3), "node y (slice): axes has axis 0 twice");
	cut(o, 3, 0, 1, 1);
	alone_refuses(o, shape(3, 2, 4, 3),
	    "layer y (slice): input 0: expected an axis 3, found float32 [2, 4, 3]");
	cut(o, 1, 0, 1, 0);
	alone_refuses(o, shape(3, 2, 4, 3),
	    "node y (slice): steps holds 0, expected 1 to 9223372036854775807");
	alone_list(o, "steps", 1, (int[]){ 1 });
	alone_refuses(o, shape(3, 2, 4, 3), "node y (slice): steps has 1 entries, axes has 2");
}

/* An index outside is known only when the network runs. */
static void
check_indices(struct alone *o, int64_t bad, const char *text)
{
	const float x[4] = { 1, 2, 3, 4 };
	int64_t indices[3] = { 3, bad, bad + 1 };
	struct lm_shape s[2] = { { lm_dtype_get(LM_F32), 1, { 4 } },
		{ lm_dtype_get(LM_I64), 1, { 3 } } };
	struct lm_array in[2] = { { &s[0], (void *)x }, { &s[1], indices } };
	float y[3];

	assert(alone_run(o, in, s, y, 2) == -1);
	assert(o->err.code == LOOM_ESHAPE && strcmp(o->err.text, text) == 0);
}

static void
check_gather(struct alone *o)
{
	struct lm_shape s[2] = { { lm_dtype_get(LM_BOOL), 15, { 1 } }, { NULL, 3, { 1 } } };

	alone_start(o, "gather", 2);
	alone_int(o, "axis", 0);
	check_indices(o, 4, "layer y (gather): index 1 is 4, the axis has 4 values");
	check_indices(o, -1, "layer y (gather): index 1 is -1, the axis has 4 values");
	alone_refuses(o, shape(2, 2, 3, 0),
	    "layer y (gather): input 1: expected int64, found float32 [2, 3]");
	s[1].dtype = lm_dtype_get(LM_I64);
	alone_refuses(o, s,
	    "layer y (gather): input 1: expected at most 2 axes, found int64 [1, 0, 0]");
	alone_int(o, "axis", 2);
	alone_refuses(o, shape(2, 2, 3, 0),
	    "layer y (gather): input 0: expected an axis 2, found float32 [2, 3]");
}

int
main(void)
{
	static struct alone o;

	check_flatten(&o);
	check_transpose(&o);
	check_slice(&o);
	check_gather(&o);
	return 0;
}
