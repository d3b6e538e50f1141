/* Views of arrays in files, against loops over the whole; and places where files appear together. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/place.h"
#include "layer/layout.h"
#include "num/bytes.h"

static struct loom_error err;

static struct lm_source *
ramp(unsigned char *bytes, size_t n)
{
	struct lm_source *s;
	size_t i;

	for (i = 0; i < n; i++)
		lm_put_f32(bytes + 4 * i, (float)i);
	assert(lm_source_memory(&s, bytes, 4 * n, "ramp", &err) == 0);
	return s;
}

static void
orders_change(void)
{
	enum { A = 3, B = 4, C = 5 };
	static unsigned char bytes[4 * A * B * C];
	struct lm_shape shape = { lm_dtype_get(LM_F32), 3, { A, B, C } };
	unsigned perm[3] = { 2, 0, 1 };
	struct lm_source *s = ramp(bytes, (size_t)A * B * C);
	struct lm_view v;
	float out[A * B * C];
	size_t a, b, c, n = 0;

	assert(lm_view_whole(&v, s, 0, shape.dtype, NULL, &shape, &err) == 0);
	assert(lm_view_packed(&v) && lm_view_count(&v) == (uint64_t)A * B * C);
	lm_view_transpose(&v, perm);
	lm_view_narrow(&v, 2, 1, 2);
	assert(!lm_view_packed(&v) && lm_view_count(&v) == (uint64_t)C * A * 2);
	assert(lm_view_read(&v, out, &err) == 0);
	for (c = 0; c < C; c++)
		for (a = 0; a < A; a++)
			for (b = 1; b < 3; b++)
				assert(out[n++] == (float)((a * B + b) * C + c));
	lm_source_free(s);
}

/* A kernel that was turned by half a turn and transposed, in the middle of an array. */
static void
strides_go_back(void)
{
	enum { A = 3, B = 4, C = 5 };
	static unsigned char bytes[4 * A * B * C];
	struct lm_layout layout = { .rank = 3,
		.shape = { A, B, C },
		.first = 58,
		.axes = 3,
		.stride = { 1, -5, -20 } };
	const uint64_t extent[3] = { 2, 3, 2 };
	struct lm_shape shape = { lm_dtype_get(LM_F32), 3, { A, B, C } };
	struct lm_source *s = ramp(bytes, (size_t)A * B * C);
	struct lm_view v;
	float out[2 * 3 * 2];
	size_t a, b, c, n = 0;

	assert(lm_layout_check(&layout, extent, "slot", &err) == 0);
	assert(!lm_layout_whole(&layout, extent) && lm_layout_count(&layout) == A * B * C);
	assert(lm_view_whole(&v, s, 0, shape.dtype, NULL, &shape, &err) == 0);
	assert(lm_layout_view(&layout, extent, &v, &err) == 0 && !lm_view_packed(&v));
	assert(lm_view_read(&v, out, &err) == 0);
	for (c = 0; c < 2; c++)
		for (b = 0; b < 3; b++)
			for (a = 0; a < 2; a++)
				assert(out[n++] == (float)(((2 - a) * B + 3 - b) * C + 3 + c));
	lm_source_free(s);
}

/* The rows of each head, halves against pairs, as for llama's queries. */
static void
heads_are_turned(void)
{
	enum { HEADS = 2, HALF = 3, D = 4 };
	static unsigned char bytes[4 * HEADS * 2 * HALF * D];
	struct lm_shape shape = { lm_dtype_get(LM_F32), 2, { HEADS * 2 * HALF, D } };
	uint64_t split[4] = { HEADS, 2, HALF, D };
	unsigned perm[4] = { 0, 2, 1, 3 };
	struct lm_source *s = ramp(bytes, (size_t)HEADS * 2 * HALF * D);
	struct lm_view v;
	float out[HEADS * 2 * HALF * D];
	size_t h, i, j;

	assert(lm_view_whole(&v, s, 0, shape.dtype, NULL, &shape, &err) == 0);
	lm_view_reshape(&v, 4, split);
	lm_view_transpose(&v, perm);
	assert(lm_view_read(&v, out, &err) == 0);
	for (h = 0; h < HEADS; h++)
		for (i = 0; i < HALF; i++)
			for (j = 0; j < 2; j++)
				assert(out[((h * HALF + i) * 2 + j) * D] ==
				    (float)(((h * 2 + j) * HALF + i) * D));
	lm_source_free(s);
}

/* A slice that begins and ends within blocks of 32 values: scale 2, values 0 to 31 and again. */
static void
blocks_are_decoded(void)
{
	static unsigned char bytes[3 * 34];
	struct lm_shape shape = { lm_dtype_get(LM_F32), 2, { 3, 32 } };
	const struct lm_quant *q = lm_quant_find("q8_0");
	struct lm_source *s;
	struct lm_view v;
	float out[3 * 4];
	size_t i, k;

	for (i = 0; i < 3; i++) {
		lm_put_u16(bytes + 34 * i, lm_f16_encode(2));
		for (k = 0; k < 32; k++)
			bytes[34 * i + 2 + k] = (unsigned char)(k + i);
	}
	assert(lm_source_memory(&s, bytes, sizeof(bytes), "blocks", &err) == 0);
	assert(lm_view_whole(&v, s, 0, shape.dtype, q, &shape, &err) == 0);
	lm_view_narrow(&v, 1, 7, 4);
	assert(lm_view_read(&v, out, &err) == 0);
	for (i = 0; i < 3; i++)
		for (k = 0; k < 4; k++)
			assert(out[4 * i + k] == 2 * (float)(7 + k + i));
	lm_source_free(s);
}

static void
ends_are_checked(void)
{
	static unsigned char bytes[4 * 10];
	struct lm_shape shape = { lm_dtype_get(LM_F32), 1, { 10 } };
	struct lm_source *s = ramp(bytes, 10);
	struct lm_view v;

	assert(lm_view_whole(&v, s, 4, shape.dtype, NULL, &shape, &err) < 0);
	assert(err.code == LOOM_ETRUNCATED &&
	    strcmp(err.text, "bytes 4 to 44 of a file that has 40") == 0);
	memset(&err, 0, sizeof(err));
	lm_source_free(s);
}

/* ---- places ---- */

static int
there(const char *path)
{
	return access(path, F_OK) == 0;
}

static void
put(struct lm_place *p, const char *name, const char *text)
{
	struct lm_sink *sink;

	assert(lm_place_file(p, name, &sink, &err) == 0);
	assert(lm_sink_write(sink, text, strlen(text), &err) == 0);
	assert(lm_sink_commit(sink, &err) == 0);
	lm_sink_free(sink);
}

static void
files_appear_together(void)
{
	struct lm_place *p;

	assert(lm_place_open(&p, "net.onnx", 0, &err) == 0);
	put(p, ".data", "weights");
	put(p, "", "graph");
	assert(there(lm_place_path(p)) && !there("net.onnx") && !there("net.onnx.data"));
	assert(strcmp(lm_place_name(p, ".data", &err), "net.onnx.data") == 0);
	assert(lm_place_commit(p, &err) == 0);
	lm_place_free(p);
	assert(there("net.onnx") && there("net.onnx.data"));
}

static void
nothing_is_left(void)
{
	struct lm_place *p;
	char path[4096];

	assert(lm_place_open(&p, "gone", 1, &err) == 0);
	put(p, "a", "1");
	(void)snprintf(path, sizeof(path), "%s", lm_place_path(p));
	assert(there(path));
	lm_place_free(p);
	assert(!there(path) && !there("gone"));
}

static void
directories_appear(void)
{
	struct lm_place *p;

	assert(lm_place_open(&p, "dir/", 1, &err) == 0);
	put(p, "config.json", "{}");
	assert(lm_place_commit(p, &err) == 0);
	lm_place_free(p);
	assert(there("dir/config.json"));
	assert(lm_place_open(&p, "dir", 1, &err) < 0 && err.code == LOOM_EIO);
	assert(strcmp(err.text, "cannot make it, name another or remove it: Directory not empty") ==
	    0);
	memset(&err, 0, sizeof(err));
	assert(there("dir/config.json") && !there("dir/b"));
}

int
main(void)
{
	char folder[] = "/tmp/loom-view.XXXXXX";

	orders_change();
	strides_go_back();
	heads_are_turned();
	blocks_are_decoded();
	ends_are_checked();
	assert(mkdtemp(folder) != NULL && chdir(folder) == 0);
	files_appear_together();
	nothing_is_left();
	directories_appear();
	(void)unlink("net.onnx");
	(void)unlink("net.onnx.data");
	(void)unlink("dir/config.json");
	assert(rmdir("dir") == 0 && chdir("/") == 0 && rmdir(folder) == 0);
	return 0;
}
