/*
 * Files of tensors: what is written, byte for byte (as numpy.save and the ZIP and safetensors formats
 * have it, worked out by hand); reading in pieces; and every allocation failing once.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/tensors.h"
#include "heap.h"

static const unsigned char values[24] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
	17, 18, 19, 20, 21, 22, 23 };

static const struct loom_tensor pair[] = {
	{ .name = "w/0", .dtype = "float32", .rank = 2, .shape = { 2, 3 }, .data = values },
	{ .name = "b", .dtype = "int8", .rank = 1, .shape = { 3 }, .data = values },
};

static void *
written(const char *format, const struct loom_tensor *t, size_t n, size_t *size)
{
	struct loom_error err = { 0 };
	struct lm_sink *sink;
	void *data;

	assert(lm_sink_memory(&sink, &err) == 0);
	assert(lm_format_find(format)->write_tensors(sink, t, n, &err) == 0);
	data = lm_sink_take(sink, size);
	lm_sink_free(sink);
	return data;
}

static struct loom_tensors *
opened(const void *data, size_t size)
{
	struct loom_error err = { 0 };
	struct lm_source *source;
	struct loom_tensors *t;

	assert(lm_source_memory(&source, data, size, "memory", &err) == 0);
	assert(lm_tensors_open(&t, source, &err) == 0);
	return t;
}

/* ---- writing ---- */

static void
writes_npy(void)
{
	static const char header[] =
	    "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
	    "                                                          \n";
	struct loom_error err = { 0 };
	unsigned char *data;
	struct lm_sink *sink;
	size_t size;

	data = written("npy", pair, 1, &size);
	assert(sizeof(header) - 1 == 128 && size == 128 + 24);
	assert(memcmp(data, header, 128) == 0 && memcmp(data + 128, values, 24) == 0);
	lm_free(data);
	assert(lm_sink_memory(&sink, &err) == 0);
	assert(lm_format_find("npy")->write_tensors(sink, pair, 2, &err) < 0);
	assert(err.code == LOOM_EARG && lm_sink_tell(sink) == 0);
	assert(strcmp(err.text, "an .npy holds one tensor, not 2: write npz or safetensors") == 0);
	lm_sink_free(sink);
}

static void
refuses_what_npy_lacks(void)
{
	struct loom_tensor t = { .name = "h", .dtype = "bfloat16", .data = values };
	struct loom_error err = { 0 };

	assert(loom_tensors_write("/nowhere/x", "npz", &t, 1, &err) < 0 && err.code == LOOM_EIO);
	memset(&err, 0, sizeof(err));
	assert(loom_tensors_write("/dev/null", "npz", &t, 1, &err) < 0);
	assert(err.code == LOOM_EUNSUPPORTED);
	assert(strcmp(err.text,
		   "tensor h is bfloat16, which .npy cannot hold: "
		   "write safetensors or convert it") == 0);
	memset(&err, 0, sizeof(err));
	assert(loom_tensors_write("/dev/null", "entity", &t, 1, &err) < 0 && err.code == LOOM_EARG);
}

static void
writes_safetensors(void)
{
	static const char header[] =
	    "{\"w/0\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
	    "\"b\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[24,27]}}";
	size_t n = sizeof(header) - 1, padded = (n + 7) / 8 * 8, size;
	unsigned char *data = written("safetensors", pair, 2, &size);

	assert(size == 8 + padded + 27 && data[0] == padded && data[1] == 0);
	assert(
	    memcmp(data + 8, header, n) == 0 && data[8 + padded - 1] == (padded > n ? ' ' : '}'));
	assert(memcmp(data + 8 + padded, values, 24) == 0);
	lm_free(data);
}

/* The fields that a stranger reads: names, sizes, the checksum, and the date that never changes. */
static void
writes_npz(void)
{
	size_t size, again;
	unsigned char *data = written("npz", pair, 2, &size), *twice;

	assert(memcmp(data, "PK\3\4\x14\0\0\x08\0\0\0\0\x21\0", 14) == 0);
	assert(data[18] == 152 && data[22] == 152 && data[26] == 7 && data[28] == 0);
	assert(memcmp(data + 30, "w/0.npy\x93NUMPY", 13) == 0);
	assert(memcmp(data + size - 22, "PK\5\6\0\0\0\0\2\0\2\0", 12) == 0);
	twice = written("npz", pair, 2, &again);
	assert(size == again && memcmp(data, twice, size) == 0);
	lm_free(data);
	lm_free(twice);
}

static void
writes_raw(void)
{
	size_t size;
	unsigned char *data = written("raw", pair, 2, &size);

	assert(size == 27 && memcmp(data, values, 24) == 0 && memcmp(data + 24, values, 3) == 0);
	lm_free(data);
}

/* ---- reading ---- */

static void
reads_back(const char *format, size_t n)
{
	struct loom_error err = { 0 };
	struct loom_tensor found;
	unsigned char piece[24];
	size_t size, i, j;
	void *data = written(format, pair, n, &size);
	struct loom_tensors *t = opened(data, size);

	assert(strcmp(loom_tensors_format(t), format) == 0 && loom_tensors_count(t) == n);
	for (i = 0; i < n; i++) {
		found = loom_tensors_at(t, i);
		assert(strcmp(found.name, strcmp(format, "npy") ? pair[i].name : "array") == 0);
		assert(strcmp(found.dtype, pair[i].dtype) == 0 && found.rank == pair[i].rank);
		assert(memcmp(found.shape, pair[i].shape, sizeof(found.shape)) == 0);
		for (j = 0; j < 2; j++) { /* a second time from the start */
			assert(loom_tensors_read(t, i, piece, 1, &err) == 0);
			assert(loom_tensors_read(t, i,
				   piece + t->entries[i].bytes / t->entries[i].count,
				   t->entries[i].count - 1, &err) == 0);
			assert(memcmp(piece, values, (size_t)t->entries[i].bytes) == 0);
		}
		assert(loom_tensors_load(t, i, &found, &err) == 0);
		assert(memcmp(found.data, values, (size_t)t->entries[i].bytes) == 0);
	}
	assert(loom_tensors_read(t, 0, piece, 7, &err) < 0 && err.code == LOOM_EARG);
	loom_tensors_free(t);
	lm_free(data);
}

/* Tensors of an archive are read in turns, each going on where it was. */
static void
reads_in_turns(void)
{
	struct loom_error err = { 0 };
	unsigned char w[24], b[3];
	size_t size;
	void *data = written("npz", pair, 2, &size);
	struct loom_tensors *t = opened(data, size);

	assert(loom_tensors_read(t, 0, w, 2, &err) == 0);
	assert(loom_tensors_read(t, 1, b, 1, &err) == 0);
	assert(loom_tensors_read(t, 0, w + 8, 4, &err) == 0);
	assert(loom_tensors_read(t, 1, b + 1, 2, &err) == 0);
	assert(memcmp(w, values, 24) == 0 && memcmp(b, values, 3) == 0);
	loom_tensors_free(t);
	lm_free(data);
}

static const char fortran[] =
    "\x93NUMPY\1\0\x76\0{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }"
    "                                                           \n"
    "\0\1\0\4\0\2\0\5\0\3\0\6";

static void
reorders(void)
{
	static const unsigned char ordered[] = { 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0 };
	struct loom_error err = { 0 };
	unsigned char got[12];
	struct loom_tensor all;
	struct loom_tensors *t = opened(fortran, sizeof(fortran) - 1);

	assert(loom_tensors_read(t, 0, got, 5, &err) == 0);
	assert(loom_tensors_read(t, 0, got + 10, 1, &err) == 0);
	assert(memcmp(got, ordered, 12) == 0);
	assert(loom_tensors_load(t, 0, &all, &err) == 0 && memcmp(all.data, ordered, 12) == 0);
	loom_tensors_free(t);
}

/* ---- one tensor ---- */

static void
describes(void)
{
	struct loom_error err = { 0 };
	struct loom_tensor t = { .name = "abc", .dtype = "uint8", .rank = 1, .shape = { 3 } };
	char text[64], hex[65];

	t.data = "abc"; /* FIPS 180-2, appendix B.1 */
	assert(loom_tensor_hash(&t, hex, &err) == 0);
	assert(
	    strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0);
	assert(strcmp(loom_tensor_describe(&t, text, sizeof(text)), "uint8 [3]") == 0);
	assert(strcmp(loom_tensor_describe(&pair[0], text, 12), "float32 [2,") == 0);
	t.rank = 0;
	assert(strcmp(loom_tensor_describe(&t, text, sizeof(text)), "uint8 []") == 0);
	t.dtype = "float33";
	assert(loom_tensor_hash(&t, hex, &err) < 0 && err.code == LOOM_EARG);
}

/* ---- memory ---- */

/* Read, compare with itself and report; 0 when no allocation failed. */
static int
work(const void *data, size_t size, struct loom_error *err)
{
	struct loom_compare_options options = { .jobs = 1 };
	struct loom_tensors *t[2] = { NULL };
	struct lm_source *source;
	struct loom_comparison *c = NULL;
	struct loom_tensor loaded;
	const char *text = NULL;
	size_t i, n;

	for (i = 0; i < 2; i++)
		if (lm_source_memory(&source, data, size, "memory", err) < 0 ||
		    lm_tensors_open(&t[i], source, err) < 0)
			goto out;
	if (loom_tensors_load(t[0], 0, &loaded, err) == 0 &&
	    loom_compare(&c, t[0], t[1], &options, err) == 0)
		text = loom_comparison_report(c, "json", &n, err);
out:
	loom_comparison_free(c);
	loom_tensors_free(t[0]);
	loom_tensors_free(t[1]);
	return text != NULL ? 0 : -1;
}

static void
survives(const void *data, size_t size)
{
	struct loom_error err;
	int r;

	loom_set_alloc(heap_allocate, NULL);
	heap.fail = 0;
	do {
		memset(&err, 0, sizeof(err));
		heap.count = heap.alive = 0;
		r = work(data, size, &err);
		assert(r == 0 || err.code == LOOM_ENOMEM);
		assert(heap.alive == 0);
		heap.fail++;
	} while (r < 0);
	assert(heap.fail > 10);
	heap.fail = -1;
	loom_set_alloc(NULL, NULL);
}

static void
survives_all(void)
{
	static const char *const formats[] = { "npy", "npz", "safetensors" };
	unsigned char kept[4096];
	size_t i, size;
	void *data;

	for (i = 0; i < 3; i++) {
		data = written(formats[i], pair, i == 0 ? 1 : 2, &size);
		assert(size <= sizeof(kept));
		memcpy(kept, data, size);
		lm_free(data);
		survives(kept, size);
	}
	survives(fortran, sizeof(fortran) - 1);
}

int
main(void)
{
	writes_npy();
	refuses_what_npy_lacks();
	writes_safetensors();
	writes_npz();
	writes_raw();
	reads_back("npy", 1);
	reads_back("npz", 2);
	reads_back("safetensors", 2);
	reads_in_turns();
	reorders();
	describes();
	survives_all();
	return 0;
}
