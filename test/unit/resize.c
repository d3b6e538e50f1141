/* resize: linear weights give the bits of the vectors, and what is refused, in which words. */
#include "node.h"
#include "vectors.h"

enum { MOST = 1024, HALF_PIXEL = 0, ASYMMETRIC, ALIGN_CORNERS, LINEAR = 1 };

static int
coordinates_of(const char *word)
{
	return strcmp(word, "half_pixel") == 0 ? HALF_PIXEL
	    : strcmp(word, "asymmetric") == 0  ? ASYMMETRIC
					       : ALIGN_CORNERS;
}

static void
check_case(struct vectors *v)
{
	static struct alone o;
	static float x[8], y[MOST];
	struct lm_shape s = { lm_dtype_get(LM_F32), 0, { 0 } };
	struct lm_array in = { &s, x };
	int size[3] = { 0 }, jobs;
	size_t axes, i, n, count = 1;
	uint32_t want[MOST];

	alone_start(&o, "resize", 1);
	alone_int(&o, "mode", LINEAR);
	alone_int(&o, "coordinates", coordinates_of(vectors_word(v)));
	axes = vectors_count(v);
	for (i = 0; i < axes; i++) {
		size[i] = (int)vectors_count(v);
		count *= (size_t)size[i];
		s.dim[s.rank++] = 2;
	}
	alone_list(&o, "size", axes, size);
	for (i = 0; i < (size_t)1 << axes; i++)
		x[i] = (float)vectors_number(v);
	for (n = 0; n < count; n++)
		want[n] = (uint32_t)vectors_hex(v);
	for (jobs = 1; jobs <= 3; jobs += 2) {
		assert(alone_run(&o, &in, &s, y, jobs) == 0);
		for (i = 0; i < count; i++)
			if (shown32(y[i]) != want[i]) {
				fprintf(stderr, "resize: value %zu is %08x, not %08x\n", i,
				    shown32(y[i]), want[i]);
				exit(1);
			}
	}
}

static size_t
check_cases(void)
{
	static struct vectors v;
	size_t cases = 0;

	vectors_open(&v, "resize.txt");
	for (; vectors_next(&v); cases++)
		check_case(&v);
	return cases;
}

/* Lines enough for seven threads. */
static void
check_threads(void)
{
	static float x[40 * 30 * 20], y[2][40 * 70 * 50];
	struct lm_shape s = { lm_dtype_get(LM_F32), 3, { 40, 30, 20 } };
	struct lm_array in = { &s, x };
	static struct alone o;
	uint64_t seed = 8;
	size_t i;
	int mode;

	for (i = 0; i < sizeof x / sizeof *x; i++)
		x[i] = draw(&seed);
	for (mode = 0; mode <= LINEAR; mode++) {
		alone_start(&o, "resize", 1);
		alone_int(&o, "mode", mode);
		alone_list(&o, "size", 2, (int[]){ 70, 50 });
		assert(alone_run(&o, &in, &s, y[0], 1) == 0);
		assert(alone_run(&o, &in, &s, y[1], 7) == 0);
		assert(memcmp(y[0], y[1], sizeof y[0]) == 0);
	}
}

static const struct lm_shape *
shape(int dtype, unsigned rank, uint64_t a, uint64_t b, uint64_t c)
{
	static struct lm_shape s;

	s = (struct lm_shape){ lm_dtype_get(dtype), rank, { a, b, c } };
	return &s;
}

static void
check_refusals(void)
{
	static struct alone o;

	alone_start(&o, "resize", 1);
	alone_refuses(&o, shape(LM_F32, 2, 3, 4, 0),
	    "node y (resize): size has 0 entries, expected 1 to 3");
	alone_list(&o, "size", 4, (int[]){ 1, 2, 3, 4 });
	alone_refuses(&o, shape(LM_F32, 2, 3, 4, 0),
	    "node y (resize): size has 4 entries, expected 1 to 3");
	alone_list(&o, "size", 3, (int[]){ 1, 2, 3 });
	alone_refuses(&o, shape(LM_F32, 2, 3, 4, 0),
	    "layer y (resize): input 0: expected at least 3 axes, as size has, found float32 [3, 4]");
	alone_list(&o, "size", 2, (int[]){ 1, 2 });
	alone_refuses(&o, shape(LM_BOOL, 2, 3, 0, 0),
	    "layer y (resize): input 0: expected at least one value along axis 1, found bool [3, 0]");
	alone_refuses(&o, shape(LM_BOOL, 2, ((uint64_t)1 << 31) + 1, 4, 0),
	    "layer y (resize): input 0: expected at most 2^31 values along axis 0, before and after, "
	    "found bool [2147483649, 4]");
	alone_int(&o, "coordinates", ALIGN_CORNERS);
	alone_refuses(&o, shape(LM_F32, 2, 3, 4, 0),
	    "node y (resize): coordinates is align_corners, which goes with mode linear only");
	alone_int(&o, "mode", LINEAR);
	alone_refuses(&o, shape(LM_I64, 2, 3, 4, 0),
	    "layer y (resize): input 0: expected float32, found int64 [3, 4]");
}

int
main(void)
{
	size_t cases = check_cases();

	assert(cases == 120);
	check_threads();
	check_refusals();
	printf("resize: %zu cases\n", cases);
	return 0;
}
