/*
 * heads: scaled_dot_product_attention gives a head the bits that it has alone, with any number of threads;
 * and what it refuses, in which words.
 */
#include <math.h>

#include "node.h"
#include "vectors.h"

enum { B = 3, H = 4, G = 2, SQ = 5, SK = 7, E = 6, V = 3 };

static void
fill(float *v, size_t n, uint64_t seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = draw(&seed);
}

static struct lm_shape
shape(int dtype, uint64_t batch, uint64_t heads, uint64_t positions, uint64_t elements)
{
	return (struct lm_shape){ lm_dtype_get(dtype), 4, { batch, heads, positions, elements } };
}

static void
start(struct alone *o, size_t inputs, size_t named[4])
{
	size_t i;

	alone_start(o, "scaled_dot_product_attention", inputs);
	o->node.param[alone_param(o, "scale")].real = NAN;
	o->node.in = named;
	for (i = 0; i < 4; i++)
		named[i] = i;
}

/* ---- a head alone ---- */

struct tensors {
	float q[B * H * SQ * E], k[B * G * SK * E], v[B * G * SK * V], mask[B * H * SQ * SK];
	float y[B * H * SQ * V], one[SQ * V];
};

static void
check_head(struct tensors *t, struct alone *o, size_t b, size_t h)
{
	size_t key = b * G + h * G / H;
	struct lm_shape s[4] = { shape(LM_F32, 1, 1, SQ, E), shape(LM_F32, 1, 1, SK, E),
		shape(LM_F32, 1, 1, SK, V), shape(LM_F32, 1, 1, SQ, SK) };
	struct lm_array in[4] = { { &s[0], t->q + (b * H + h) * SQ * E },
		{ &s[1], t->k + key * SK * E }, { &s[2], t->v + key * SK * V },
		{ &s[3], t->mask + (b * H + h) * SQ * SK } };

	assert(alone_run(o, in, s, t->one, 1) == 0);
	assert(memcmp(t->one, t->y + (b * H + h) * SQ * V, sizeof t->one) == 0);
}

static void
check_alone(void)
{
	struct lm_shape s[4] = { shape(LM_F32, B, H, SQ, E), shape(LM_F32, B, G, SK, E),
		shape(LM_F32, B, G, SK, V), shape(LM_F32, B, H, SQ, SK) };
	static struct tensors t;
	struct lm_array in[4] = { { &s[0], t.q }, { &s[1], t.k }, { &s[2], t.v },
		{ &s[3], t.mask } };
	static struct alone o;
	size_t named[4], i;
	int jobs;

	fill(t.q, sizeof t.q / sizeof *t.q, 1);
	fill(t.k, sizeof t.k / sizeof *t.k, 2);
	fill(t.v, sizeof t.v / sizeof *t.v, 3);
	fill(t.mask, sizeof t.mask / sizeof *t.mask, 4);
	start(&o, 4, named);
	alone_int(&o, "mask", 3);
	for (jobs = 1; jobs <= 7; jobs += 3) {
		assert(alone_run(&o, in, s, t.y, jobs) == 0);
		for (i = 0; i < (size_t)B * H; i++)
			check_head(&t, &o, i / H, i % H);
	}
}

/* More than is turned together: what is behind the first samples must be found. */
static void
check_many(void)
{
	enum { SAMPLES = 5, KEYS = 600, WIDE = 700 };
	struct lm_shape s[3] = { shape(LM_F32, SAMPLES, 1, 1, 1),
		shape(LM_F32, SAMPLES, 1, KEYS, 1), shape(LM_F32, SAMPLES, 1, KEYS, WIDE) };
	static float q[SAMPLES], k[SAMPLES * KEYS], v[SAMPLES * KEYS * WIDE];
	static float y[SAMPLES * WIDE], one[WIDE];
	struct lm_array in[3] = { { &s[0], q }, { &s[1], k }, { &s[2], v } };
	static struct alone o;
	size_t named[4], i;

	fill(q, SAMPLES, 5);
	fill(k, SAMPLES * KEYS, 6);
	fill(v, SAMPLES * KEYS * WIDE, 7);
	start(&o, 3, named);
	assert(alone_run(&o, in, s, y, 3) == 0);
	for (i = 0; i < 3; i++)
		s[i].dim[0] = 1;
	for (i = 0; i < SAMPLES; i++) {
		in[0].data = q + i;
		in[1].data = k + i * KEYS;
		in[2].data = v + i * KEYS * WIDE;
		assert(alone_run(&o, in, s, one, 1) == 0);
		assert(memcmp(one, y + i * WIDE, sizeof one) == 0);
	}
}

/* ---- refusals ---- */

/* One input that does not fit the others. */
static const struct {
	size_t input;
	int dtype;
	uint64_t dim[4];
	const char *text;
} bad[] = {
	{ 0, LM_I64, { B, H, SQ, E }, "input 0: expected float32, found int64 [3, 4, 5, 6]" },
	{ 2, LM_BOOL, { B, G, SK, V }, "input 2: expected float32, found bool [3, 2, 7, 3]" },
	{ 0, LM_F32, { B, H, SQ, 0 },
	    "input 0: expected [..., heads, positions, elements], a head and an element at "
	    "least, found float32 [3, 4, 5, 0]" },
	{ 1, LM_F32, { B, 0, SK, E },
	    "input 1: expected [..., heads, positions, elements], a head and an element at "
	    "least, found float32 [3, 0, 7, 6]" },
	{ 1, LM_F32, { B + 1, G, SK, E },
	    "input 1: expected the leading axes of the query, found float32 [4, 2, 7, 6]" },
	{ 1, LM_F32, { B, G, SK, V },
	    "input 1: expected 6 elements, as the query has, found float32 [3, 2, 7, 3]" },
	{ 1, LM_F32, { B, 3, SK, E },
	    "input 1: expected heads that divide the query's 4, found float32 [3, 3, 7, 6]" },
	{ 1, LM_F32, { B, G, 0, E },
	    "input 1: expected at least one position, found float32 [3, 2, 0, 6]" },
	{ 2, LM_F32, { B, G, SQ, V },
	    "input 2: expected 2 heads of 7 positions, as the key has, found float32 [3, 2, 5, "
	    "3]" },
	{ 2, LM_F32, { B, H, SK, V },
	    "input 2: expected 2 heads of 7 positions, as the key has, found float32 [3, 4, 7, "
	    "3]" },
};

static void
check_shapes(void)
{
	struct lm_shape good[3] = { shape(LM_F32, B, H, SQ, E), shape(LM_F32, B, G, SK, E),
		shape(LM_F32, B, G, SK, V) };
	static struct alone o;
	size_t named[4], i;
	struct lm_shape s[3];
	char text[300];

	start(&o, 3, named);
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		memcpy(s, good, sizeof s);
		s[bad[i].input].dtype = lm_dtype_get(bad[i].dtype);
		memcpy(s[bad[i].input].dim, bad[i].dim, sizeof bad[i].dim);
		(void)snprintf(text, sizeof text, "layer y (scaled_dot_product_attention): %s",
		    bad[i].text);
		alone_refuses(&o, s, text);
	}
}

static void
check_params(void)
{
	struct lm_shape s[3] = { shape(LM_F32, B, H, SQ, E), shape(LM_F32, B, G, SK, E),
		shape(LM_F32, B, G, SK, V) };
	static struct alone o;
	size_t named[4];

	start(&o, 3, named);
	s[0].rank = 2;
	alone_refuses(&o, s,
	    "layer y (scaled_dot_product_attention): input 0: expected [..., heads, positions, "
	    "elements], a head and an element at least, found float32 [3, 4]");
	s[0].rank = 4;
	alone_int(&o, "causal", 1);
	alone_refuses(&o, s,
	    "layer y (scaled_dot_product_attention): input 1: expected 5 positions, as the query has, "
	    "since it is causal, found float32 [3, 2, 7, 6]");
	o.node.param[alone_param(&o, "scale")].real = 0x1p-501;
	alone_refuses(&o, s,
	    "node y (scaled_dot_product_attention): scale is 1.5274681817498023e-151, expected 2^-500 "
	    "to 2^500 in magnitude");
}

static void
check_masks(void)
{
	struct lm_shape s[4] = { shape(LM_F32, B, H, SQ, E), shape(LM_F32, B, G, SK, E),
		shape(LM_F32, B, G, SK, V), shape(LM_F32, B, H, SQ, SK) };
	static struct alone o;
	size_t named[4];

	start(&o, 4, named);
	alone_refuses(&o, s,
	    "layer y (scaled_dot_product_attention): mask is none, but a mask is given");
	alone_int(&o, "mask", 2);
	alone_refuses(&o, s,
	    "layer y (scaled_dot_product_attention): input 3: expected bool, found float32 [3, 4, 5, "
	    "7]");
	s[3].dtype = lm_dtype_get(LM_BOOL);
	s[3].dim[1] = G;
	alone_refuses(&o, s,
	    "layer y (scaled_dot_product_attention): input 3: expected a shape that broadcasts to "
	    "[..., 4, 5, 7], found bool [3, 2, 5, 7]");
	s[3] = (struct lm_shape){ lm_dtype_get(LM_BOOL), 5, { 1, B, H, SQ, SK } };
	alone_refuses(&o, s,
	    "layer y (scaled_dot_product_attention): input 3: expected a shape that broadcasts to "
	    "[..., 4, 5, 7], found bool [1, 3, 4, 5, 7]");
	alone_int(&o, "mask", 3);
	alone_refuses(&o, s,
	    "layer y (scaled_dot_product_attention): input 3: expected float32, found bool [1, 3, 4, "
	    "5, 7]");
	named[3] = LM_ABSENT;
	alone_refuses(&o, s,
	    "layer y (scaled_dot_product_attention): mask is add, but no mask is given");
}

/* Query 2 of head 1 in the last sample sees nothing, then only the last key. */
static void
check_unseen(void)
{
	static struct tensors t;
	static unsigned char keep[B * H * SQ * SK];
	struct lm_shape s[4] = { shape(LM_F32, B, H, SQ, E), shape(LM_F32, B, G, SK, E),
		shape(LM_F32, B, G, SK, V), shape(LM_BOOL, B, H, SQ, SK) };
	struct lm_array in[4] = { { &s[0], t.q }, { &s[1], t.k }, { &s[2], t.v }, { &s[3], keep } };
	size_t row = ((B - 1) * H + 1) * SQ + 2, named[4];
	static struct alone o;

	start(&o, 4, named);
	alone_int(&o, "mask", 1);
	alone_int(&o, "empty", 2);
	memset(keep, 1, sizeof keep);
	memset(keep + row * SK, 0, SK);
	assert(alone_run(&o, in, s, t.y, 7) == -1);
	assert(strcmp(o.err.text,
		   "layer y (scaled_dot_product_attention): query 2 of head 1 in sample 2 sees no "
		   "key, and empty is error") == 0);
	keep[row * SK + SK - 1] = 1;
	assert(alone_run(&o, in, s, t.y, 7) == 0);
}

int
main(void)
{
	check_alone();
	check_many();
	check_shapes();
	check_params();
	check_masks();
	check_unseen();
	return 0;
}
