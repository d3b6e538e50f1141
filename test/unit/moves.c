/* moves: what pad, expand, squeeze, unsqueeze, split and gather_elements refuse, and in which words. */
#include "node.h"

enum { CONSTANT, REFLECT, REPLICATE, CIRCULAR };

static const struct lm_shape *
shape(int dtype, unsigned rank, uint64_t a, uint64_t b, uint64_t c)
{
	static struct lm_shape s;

	s = (struct lm_shape){ lm_dtype_get(dtype), rank, { a, b, c } };
	return &s;
}

static void
padded(struct alone *o, int mode, int axis, int low, int high)
{
	alone_start(o, "pad", 1);
	alone_int(o, "mode", mode);
	alone_list(o, "axes", 2, (int[]){ 0, axis });
	alone_list(o, "low", 2, (int[]){ 0, low });
	alone_list(o, "high", 2, (int[]){ 0, high });
}

static void
check_pad_places(struct alone *o)
{
	padded(o, REFLECT, 1, 2, 4);
	alone_refuses(o, shape(LM_F32, 2, 0, 4, 0),
	    "layer y (pad): input 0: expected 5 or more along axis 1, since mode is reflect, found "
	    "float32 [0, 4]");
	padded(o, CIRCULAR, -1, 5, 2);
	alone_refuses(o, shape(LM_BOOL, 2, 3, 4, 0),
	    "layer y (pad): input 0: expected 5 or more along axis 1, since mode is circular, found "
	    "bool [3, 4]");
	padded(o, REPLICATE, 1, 0, 1);
	alone_refuses(o, shape(LM_I64, 2, 3, 0, 0),
	    "layer y (pad): input 0: expected 1 or more along axis 1, since mode is replicate, found "
	    "int64 [3, 0]");
	padded(o, CONSTANT, 1, 7, 7);
	alone_refuses(o, shape(LM_BOOL, 2, 3, INT64_MAX - 13, 0),
	    "layer y (pad): input 0: expected less than 2^63 values along axis 1, found bool [3, "
	    "9223372036854775794]");
	padded(o, CONSTANT, -2, 1, 1);
	alone_refuses(o, shape(LM_F32, 2, 3, 4, 0), "node y (pad): axes has axis 0 twice");
	padded(o, CONSTANT, 2, 1, 1);
	alone_refuses(o, shape(LM_F32, 2, 3, 4, 0),
	    "layer y (pad): input 0: expected an axis 2, found float32 [3, 4]");
	padded(o, CONSTANT, 1, -1, 1);
	alone_refuses(o, shape(LM_F32, 2, 3, 4, 0),
	    "node y (pad): low holds -1, expected 0 to 9223372036854775807");
	alone_list(o, "low", 1, (int[]){ 0 });
	alone_refuses(o, shape(LM_F32, 2, 3, 4, 0), "node y (pad): low has 1 entries, axes has 2");
}

static void
check_pad_value(struct alone *o)
{
	union lm_value *value;

	padded(o, CONSTANT, 1, 1, 1);
	value = &o->node.param[alone_param(o, "value")];
	value->real = 0.5;
	alone_refuses(o, shape(LM_I64, 2, 3, 4, 0),
	    "layer y (pad): input 0: expected float32, since value is 0.5, found int64 [3, 4]");
	alone_refuses(o, shape(LM_BOOL, 2, 3, 4, 0),
	    "layer y (pad): input 0: expected no bool, since value is 0.5, found bool [3, 4]");
	value->real = 0x1p63;
	alone_refuses(o, shape(LM_I64, 2, 3, 4, 0),
	    "layer y (pad): input 0: expected float32, since value is 9.2233720368547758e+18, "
	    "found int64 [3, 4]");
	value->real = 2;
	alone_refuses(o, shape(LM_BOOL, 2, 3, 4, 0),
	    "layer y (pad): input 0: expected no bool, since value is 2, found bool [3, 4]");
}

static void
check_expand(struct alone *o)
{
	alone_start(o, "expand", 1);
	alone_list(o, "shape", 2, (int[]){ 3, 4 });
	alone_refuses(o, shape(LM_F32, 2, 3, 2, 0),
	    "layer y (expand): input 0: expected a shape that broadcasts to float32 [3, 4], found "
	    "float32 [3, 2]");
	alone_refuses(o, shape(LM_F32, 3, 1, 3, 4),
	    "layer y (expand): input 0: expected a shape that broadcasts to float32 [3, 4], found "
	    "float32 [1, 3, 4]");
}

static void
check_squeeze(struct alone *o)
{
	alone_start(o, "squeeze", 1);
	alone_list(o, "axes", 2, (int[]){ 0, -1 });
	alone_refuses(o, shape(LM_F32, 3, 1, 1, 2),
	    "layer y (squeeze): input 0: expected an extent of 1 along axis 2, found float32 [1, 1, "
	    "2]");
	alone_refuses(o, shape(LM_F32, 1, 1, 0, 0), "node y (squeeze): axes has axis 0 twice");
	alone_list(o, "axes", 1, (int[]){ 2 });
	alone_refuses(o, shape(LM_F32, 2, 1, 1, 0),
	    "layer y (squeeze): input 0: expected an axis 2, found float32 [1, 1]");
}

static void
check_unsqueeze(struct alone *o)
{
	alone_start(o, "unsqueeze", 1);
	alone_list(o, "axes", 2, (int[]){ 0, 4 });
	alone_refuses(o, shape(LM_F32, 2, 3, 4, 0),
	    "layer y (unsqueeze): input 0: expected more axes, since axes has 4 and the result has "
	    "4, found float32 [3, 4]");
	alone_list(o, "axes", 2, (int[]){ 0, -5 });
	alone_refuses(o, shape(LM_F32, 2, 3, 4, 0),
	    "layer y (unsqueeze): input 0: expected more axes, since axes has -5 and the result has "
	    "4, found float32 [3, 4]");
	alone_list(o, "axes", 2, (int[]){ 1, -3 });
	alone_refuses(o, shape(LM_F32, 2, 3, 4, 0), "node y (unsqueeze): axes has axis 1 twice");
	alone_refuses(o, shape(LM_F32, 15, 1, 1, 1),
	    "layer y (unsqueeze): input 0: expected at most 14 axes, found float32 [1, 1, 1, 0, 0, 0, "
	    "0, 0, 0, 0, 0, 0, 0, 0, 0]");
}

/* The shapes of as many outputs are filled. */
static void
split_refuses(struct alone *o, size_t outputs, const struct lm_shape *x, const char *text)
{
	static const struct lm_sizes no_names;
	struct lm_shape y[3];
	struct lm_shaping s = { &o->node, x, y, &no_names };
	int failed;

	o->node.n_out = outputs;
	memset(&o->err, 0, sizeof(o->err));
	failed = o->node.op->check(&o->node, &o->err) < 0 || o->node.op->shape(&s, &o->err) < 0;
	if (!failed || strcmp(o->err.text, text) != 0) {
		fprintf(stderr, "split: \"%s\", not \"%s\"\n", o->err.text, text);
		exit(1);
	}
}

static void
check_split(struct alone *o)
{
	alone_start(o, "split", 1);
	alone_int(o, "axis", 1);
	alone_list(o, "sizes", 3, (int[]){ 2, 3, 4 });
	split_refuses(o, 2, shape(LM_F32, 2, 3, 9, 0),
	    "node y (split): sizes has 3 entries, but the node names 2 outputs");
	split_refuses(o, 3, shape(LM_F32, 2, 3, 10, 0),
	    "layer y (split): input 0: expected what sizes add up to along axis 1, 9, found float32 "
	    "[3, 10]");
	split_refuses(o, 3, shape(LM_F32, 2, 3, 8, 0),
	    "layer y (split): input 0: expected what sizes add up to along axis 1, at least 9, found "
	    "float32 [3, 8]");
	split_refuses(o, 3, shape(LM_F32, 2, 3, 4, 0),
	    "layer y (split): input 0: expected what sizes add up to along axis 1, at least 5, found "
	    "float32 [3, 4]");
	split_refuses(o, 3, shape(LM_F32, 1, 3, 0, 0),
	    "layer y (split): input 0: expected an axis 1, found float32 [3]");
}

/* An index outside is known only when the network runs. */
static void
check_indices(struct alone *o, int64_t bad, const char *text)
{
	const float x[6] = { 1, 2, 3, 4, 5, 6 };
	int64_t indices[4] = { 0, 2, bad, bad + 1 };
	struct lm_shape s[2] = { { lm_dtype_get(LM_F32), 2, { 2, 3 } },
		{ lm_dtype_get(LM_I64), 2, { 2, 2 } } };
	struct lm_array in[2] = { { &s[0], (void *)x }, { &s[1], indices } };
	float y[4];

	assert(alone_run(o, in, s, y, 2) == -1);
	assert(o->err.code == LOOM_ESHAPE && strcmp(o->err.text, text) == 0);
}

static void
check_gather_elements(struct alone *o)
{
	struct lm_shape s[2] = { { lm_dtype_get(LM_BOOL), 2, { 2, 3 } },
		{ lm_dtype_get(LM_F32), 2, { 2, 5 } } };

	alone_start(o, "gather_elements", 2);
	alone_int(o, "axis", 1);
	check_indices(o, 3, "layer y (gather_elements): index 2 is 3, the axis has 3 values");
	check_indices(o, -1, "layer y (gather_elements): index 2 is -1, the axis has 3 values");
	alone_refuses(o, s,
	    "layer y (gather_elements): input 1: expected int64, found float32 [2, 5]");
	s[1].dtype = lm_dtype_get(LM_I64);
	s[1].dim[0] = 1;
	alone_refuses(o, s,
	    "layer y (gather_elements): input 1: expected the extents of bool [2, 3] but for axis 1, "
	    "found int64 [1, 5]");
	s[1].rank = 1;
	alone_refuses(o, s,
	    "layer y (gather_elements): input 1: expected the extents of bool [2, 3] but for axis 1, "
	    "found int64 [1]");
	alone_int(o, "axis", 2);
	alone_refuses(o, s,
	    "layer y (gather_elements): input 0: expected an axis 2, found bool [2, 3]");
}

int
main(void)
{
	static struct alone o;

	check_pad_places(&o);
	check_pad_value(&o);
	check_expand(&o);
	check_squeeze(&o);
	check_unsqueeze(&o);
	check_split(&o);
	check_gather_elements(&o);
	return 0;
}
