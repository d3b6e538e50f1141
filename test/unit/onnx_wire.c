/*
 * ONNX's wire format: what the onnx package wrote (fixtures/onnx) is read and written again byte for byte;
 * varints, packed numbers and depth as protobuf's own description has them; tensors that stay in their
 * file, and in a file beside; every allocation failing once.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>

#include "format/external.h"
#include "onnx/onnx.h"
#include "onnx/protobuf.h"
#include "heap.h"

enum { ROOM = 1 << 16, LARGE = 50000 };

static unsigned char golden[ROOM];
static size_t golden_size;

static size_t
load(const char *path, unsigned char *dst)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert(f != NULL);
	n = fread(dst, 1, ROOM, f);
	assert(n > 0 && n < ROOM);
	fclose(f);
	return n;
}

/* A graph in the model's arena, from a source that the model takes over. */
static int
read_graph(struct lm_onnx *x, struct loom_model **m, struct lm_source *s, struct loom_error *err)
{
	memset(x, 0, sizeof(*x));
	if (lm_model_new(m, lm_source_name(s), err) < 0) {
		lm_source_free(s);
		*m = NULL;
		return -1;
	}
	(*m)->source = s;
	x->arena = &(*m)->arena;
	return lm_onnx_read(x, *m, s, err);
}

static int
read_bytes(struct lm_onnx *x, struct loom_model **m, const void *p, size_t n,
    struct loom_error *err)
{
	struct lm_source *s;

	*m = NULL;
	if (lm_source_memory(&s, p, n, "memory", err) < 0)
		return -1;
	return read_graph(x, m, s, err);
}

static void *
written(const struct lm_onnx *x, size_t *size)
{
	struct loom_error err = { 0 };
	struct lm_sink *sink;
	void *p;

	assert(lm_sink_memory(&sink, &err) == 0 && lm_onnx_write_sink(x, sink, &err) == 0);
	p = lm_sink_take(sink, size);
	lm_sink_free(sink);
	return p;
}

/* ---- the package's files ---- */

static void
writes_again(const char *path)
{
	static unsigned char data[ROOM];
	struct loom_error err = { 0 };
	struct loom_model *m;
	struct lm_onnx x;
	size_t n = load(path, data), size;
	void *again;

	assert(read_bytes(&x, &m, data, n, &err) == 0);
	again = written(&x, &size);
	assert(size == golden_size && memcmp(again, golden, size) == 0);
	lm_free(again);
	loom_model_free(m);
}

static void
reads_what_it_says(void)
{
	struct loom_error err = { 0 };
	const struct lm_onnx_node *odd;
	const struct lm_onnx_value *in;
	struct loom_model *m;
	struct lm_onnx x;

	assert(read_bytes(&x, &m, golden, golden_size, &err) == 0);
	assert(x.ir == 8 && x.n_opsets == 2 && x.opsets[0].version == 17);
	assert(strcmp(x.opsets[1].key, "somewhere") == 0 && strcmp(x.graph, "a graph") == 0);
	assert(x.n_nodes == 3 && x.n_tensors == 15 && x.n_inputs == 1 && x.n_outputs == 2);
	odd = &x.nodes[1];
	assert(odd->n_in == 3 && odd->in[1][0] == '\0' && odd->n_out == 3);
	assert(strcmp(odd->domain, "somewhere") == 0 && odd->n_attributes == 11);
	in = &x.inputs[0];
	assert(in->type == LM_ONNX_FLOAT && in->ranked && in->rank == 4);
	assert(strcmp(in->dim[0].name, "batch") == 0 && in->dim[1].value == 3);
	assert(in->dim[1].name == NULL && in->dim[2].name[0] == '\0');
	assert(in->dim[3].name == NULL && in->dim[3].value == 0);
	assert(!x.outputs[0].ranked && x.outputs[1].ranked && x.outputs[1].rank == 0);
	assert(strcmp(lm_onnx_node_name(&x.nodes[2]), "out") == 0);
	assert(x.nodes[0].attributes[0].tensor->count == 6);
	loom_model_free(m);
}

static void
reads_attributes(void)
{
	struct loom_error err = { 0 };
	const struct lm_onnx_node *odd;
	const struct lm_onnx_attribute *a;
	struct loom_model *m;
	struct lm_onnx x;
	const int64_t *ints;
	const char *s;
	int64_t i;
	size_t n;
	float f;

	assert(read_bytes(&x, &m, golden, golden_size, &err) == 0);
	odd = &x.nodes[1];
	assert(lm_onnx_int(odd, "least", 0, &i, &err) == 0 && i == INT64_MIN);
	assert(lm_onnx_int(odd, "absent", 7, &i, &err) == 0 && i == 7);
	assert(lm_onnx_float(odd, "half", 0, &f, &err) == 0 && f == 0.5f);
	assert(lm_onnx_float(odd, "absent", 2.5f, &f, &err) == 0 && f == 2.5f);
	assert(lm_onnx_text(odd, "text", "", &s, &err) == 0 && strcmp(s, "text") == 0);
	assert(lm_onnx_text(odd, "nothing", "x", &s, &err) == 0 && s[0] == '\0');
	assert(lm_onnx_text(odd, "absent", "x", &s, &err) == 0 && s[0] == 'x');
	assert(lm_onnx_ints(odd, "ints", &ints, &n, &err) == 0 && n == 3 && ints[1] == -1);
	assert(lm_onnx_ints(odd, "absent", &ints, &n, &err) == 0 && n == 0);
	a = lm_onnx_attribute(odd, "bytes");
	assert(a->n == 3 && memcmp(a->s, "\xff\0\xfe", 4) == 0);
	a = lm_onnx_attribute(odd, "strings");
	assert(a->n == 2 && strcmp(a->strings[1], "bc") == 0);
	a = lm_onnx_attribute(odd, "floats");
	assert(a->n == 2 && a->floats[0] == 0.5f);
	assert(lm_onnx_int(odd, "half", 0, &i, &err) < 0 && err.code == LOOM_EFORMAT);
	assert(strcmp(err.text, "node odd (Odd): attribute half is not an integer") == 0);
	loom_model_free(m);
}

/* Each proper prefix is refused: the file ends with what it has to have. */
static void
refuses_prefixes(void)
{
	struct loom_model *m;
	struct lm_onnx x;
	size_t n, refused = 0;

	for (n = 0; n < golden_size; n++) {
		struct loom_error err = { 0 };

		if (read_bytes(&x, &m, golden, n, &err) < 0) {
			assert(err.code == LOOM_ETRUNCATED || err.code == LOOM_EFORMAT ||
			    err.code == LOOM_EUNSUPPORTED);
			assert(err.text[0] != '\0');
			refused++;
		}
		loom_model_free(m);
	}
	/* Whole but for the second domain and the metadata, or for these, it is a file. */
	assert(refused == golden_size - 3);
}

/* ---- numbers ---- */

static int
first_field(const void *p, size_t n, struct lm_field *f, struct loom_error *err)
{
	struct lm_message whole;
	struct lm_source *s;
	struct lm_wire wire;
	int r;

	assert(lm_source_memory(&s, p, n, "memory", err) == 0);
	assert(lm_wire_open(&wire, s, &whole, err) == 0);
	r = lm_message_next(&whole, f, err);
	lm_wire_close(&wire);
	lm_source_free(s);
	return r;
}

static void
reads_varint(const char *bytes, size_t n, uint64_t value)
{
	struct loom_error err = { 0 };
	struct lm_field f;

	assert(first_field(bytes, n, &f, &err) == 1);
	assert(f.number == 1 && f.type == LM_WIRE_VARINT && f.value == value);
}

static void
reads_varints(void)
{
	struct loom_error err = { 0 };
	struct lm_field f;

	reads_varint("\x08\x96\x01", 3, 150); /* the example of protobuf's description */
	reads_varint("\x08\x00", 2, 0);
	reads_varint("\x08\x80\x00", 3, 0); /* longer than it needs to be */
	reads_varint("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, UINT64_MAX);
	reads_varint("\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, INT64_MAX);
	assert(first_field("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, &f, &err) < 0);
	assert(err.code == LOOM_EFORMAT && err.placed && err.offset == 1);
	memset(&err, 0, sizeof(err));
	assert(first_field("\x08\x80", 2, &f, &err) < 0 && err.code == LOOM_ETRUNCATED);
	memset(&err, 0, sizeof(err));
	assert(first_field("", 0, &f, &err) == 0);
}

static void
writes_varints(void)
{
	static const char expected[] = "\x08\x96\x01"
				       "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
				       "\x15\x00\x00\x80\x3f"
				       "\xa2\x01\x02hi";
	struct loom_error err = { 0 };
	struct lm_wire_out out = { 0 };
	struct lm_sink *sink;
	size_t size;
	void *p;

	assert(lm_sink_memory(&sink, &err) == 0);
	out.sink = sink;
	assert(lm_wire_put_int(&out, 1, 150, &err) == 0 && lm_wire_put_int(&out, 1, -1, &err) == 0);
	assert(lm_wire_put_float(&out, 2, 1.0f, &err) == 0);
	assert(lm_wire_put_text(&out, 20, "hi", &err) == 0);
	p = lm_sink_take(sink, &size);
	assert(size == sizeof(expected) - 1 && out.size == size && memcmp(p, expected, size) == 0);
	lm_free(p);
	lm_sink_free(sink);
}

/* Messages within messages, one deeper than is read. */
static void
refuses_depth(void)
{
	static const unsigned char deep[] = { 0x0a, 14, 0x0a, 12, 0x0a, 10, 0x0a, 8, 0x0a, 6, 0x0a,
		4, 0x0a, 2, 0x0a, 0 };
	struct loom_error err = { 0 };
	struct lm_message m, inner;
	struct lm_source *s;
	struct lm_wire wire;
	struct lm_field f;
	int depth;

	assert(lm_source_memory(&s, deep, sizeof(deep), "memory", &err) == 0);
	assert(lm_wire_open(&wire, s, &m, &err) == 0);
	for (depth = 1; depth < LM_WIRE_DEPTH; depth++) {
		assert(lm_message_next(&m, &f, &err) == 1);
		assert(lm_message_enter(&m, &f, &inner, &err) == 0);
		m = inner;
	}
	assert(lm_message_next(&m, &f, &err) == 1 && lm_message_enter(&m, &f, &inner, &err) < 0);
	assert(strcmp(err.text, "messages more than 8 deep") == 0 && err.offset == sizeof(deep));
	lm_wire_close(&wire);
	lm_source_free(s);
}

/* ---- large tensors ---- */

static float large[LARGE];

/* x -> Add(x, big) -> Add(., small) -> y */
static void
build(struct lm_onnx *x, struct lm_arena *arena)
{
	static const char *const first[] = { "x", "big" }, *const second[] = { "m", "small" };
	static const char *const made[] = { "m", "y" };
	struct lm_onnx_value in = { .name = "x", .type = LM_ONNX_FLOAT, .ranked = 1, .rank = 1 };
	const uint64_t dims[] = { LARGE }, one[] = { 1 };
	struct loom_error err = { 0 };
	size_t i;

	for (i = 0; i < LARGE; i++)
		large[i] = (float)i;
	memset(x, 0, sizeof(*x));
	x->arena = arena;
	x->ir = 8;
	in.dim[0].value = LARGE;
	assert(lm_onnx_add_opset(x, "", 17, &err) == 0);
	assert(lm_onnx_add_node(x, "a", "Add", 2, first, 1, &made[0], &err) != NULL);
	assert(lm_onnx_add_node(x, "b", "Add", 2, second, 1, &made[1], &err) != NULL);
	assert(lm_onnx_add_initializer(x, "big", LM_ONNX_FLOAT, 1, dims, large, NULL, &err) == 0);
	assert(lm_onnx_add_initializer(x, "small", LM_ONNX_FLOAT, 1, one, large, NULL, &err) == 0);
	assert(lm_onnx_add_initializer(x, "more", LM_ONNX_FLOAT, 1, dims, large, NULL, &err) == 0);
	assert(lm_onnx_add_value(x, &x->inputs, &x->n_inputs, &in, &err) == 0);
	in.name = "y";
	assert(lm_onnx_add_value(x, &x->outputs, &x->n_outputs, &in, &err) == 0);
}

static void
stays_in_its_file(void)
{
	struct loom_error err = { 0 };
	struct lm_arena arena = { 0 };
	struct loom_model *m;
	struct lm_onnx x, back;
	size_t size, again;
	unsigned char *p, *twice;

	build(&x, &arena);
	p = written(&x, &size);
	assert(read_bytes(&back, &m, p, size, &err) == 0);
	assert(strcmp(back.producer, "planetbridging") == 0);
	assert(back.tensors[0].data == NULL && back.tensors[0].view.source == m->source);
	assert(memcmp(p + back.tensors[0].view.offset, large, sizeof(large)) == 0);
	assert(back.tensors[1].data != NULL && back.tensors[1].count == 1);
	back.producer = NULL;
	twice = written(&back, &again);
	assert(again == size && memcmp(p, twice, size) == 0);
	lm_free(p);
	lm_free(twice);
	loom_model_free(m);
	lm_arena_release(&arena);
}

/* The graph at a path; whether its tensors are those of build. */
static int
reads_back(const char *path, int outside)
{
	static float values[LARGE];
	struct loom_error err = { 0 };
	struct loom_model *m;
	struct lm_source *s;
	struct lm_onnx x;

	assert(lm_source_open(&s, path, &err) == 0 && read_graph(&x, &m, s, &err) == 0);
	assert(x.n_tensors == 3 && x.tensors[2].data == NULL && x.tensors[1].data != NULL);
	assert((x.tensors[2].view.source != m->source) == outside);
	if (outside)
		assert(x.tensors[0].view.offset == 0 && m->n_files == 1 &&
		    x.tensors[2].view.offset == (sizeof(large) + 4095) / 4096 * 4096);
	assert(lm_view_read(&x.tensors[2].view, values, &err) == 0);
	loom_model_free(m);
	return memcmp(values, large, sizeof(large)) == 0;
}

static void
goes_beside(void)
{
	char dir[] = "/tmp/onnx_wire.XXXXXX", path[64], beside[64];
	struct loom_error err = { 0 };
	struct lm_arena arena = { 0 };
	struct lm_place *place;
	struct lm_onnx x;
	struct stat st;
	int split;

	assert(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/net.onnx", dir);
	(void)snprintf(beside, sizeof(beside), "%s/net.onnx.data", dir);
	build(&x, &arena);
	for (split = 1; split >= 0; split--) {
		assert(lm_place_open(&place, path, 0, &err) == 0);
		assert(lm_onnx_write_split(&x, place,
			   2 * sizeof(large) + sizeof(*large) + (split ? 0 : 1), &err) == 0);
		assert(lm_place_commit(place, &err) == 0);
		lm_place_free(place);
		assert((stat(beside, &st) == 0) == split);
		assert(!split || st.st_size == 4096 * 49 + (off_t)sizeof(large));
		assert(reads_back(path, split));
		assert(unlink(path) == 0 && (!split || unlink(beside) == 0));
	}
	assert(rmdir(dir) == 0);
	lm_arena_release(&arena);
}

/* ---- files that are named, where the system cannot look within a directory ---- */

static void
walks(void)
{
	char dir[] = "/tmp/onnx_wire.XXXXXX";
	struct loom_error err = { 0 };
	int at, fd;

	assert(mkdtemp(dir) != NULL);
	at = open(dir, O_RDONLY | O_DIRECTORY);
	assert(at >= 0 && mkdirat(at, "a", 0700) == 0 && mkdirat(at, "a/b", 0700) == 0);
	fd = openat(at, "a/b/file", O_WRONLY | O_CREAT, 0600);
	assert(fd >= 0 && close(fd) == 0);
	assert(symlinkat("a", at, "link") == 0 && symlinkat("file", at, "a/b/link") == 0);
	fd = lm_external_walk(at, "a/b/file", &err);
	assert(fd >= 0 && close(fd) == 0);
	assert(lm_external_walk(at, "link/b/file", &err) < 0 && err.code == LOOM_EFORMAT);
	memset(&err, 0, sizeof(err));
	assert(lm_external_walk(at, "a/b/link", &err) < 0);
	assert(strstr(err.text, "symbolic link") != NULL);
	memset(&err, 0, sizeof(err));
	assert(lm_external_walk(at, "a/none", &err) < 0 && strcmp(err.text, "is not there") == 0);
	assert(unlinkat(at, "a/b/link", 0) == 0 && unlinkat(at, "a/b/file", 0) == 0);
	assert(unlinkat(at, "link", 0) == 0 && unlinkat(at, "a/b", AT_REMOVEDIR) == 0);
	assert(unlinkat(at, "a", AT_REMOVEDIR) == 0 && close(at) == 0 && rmdir(dir) == 0);
}

/* ---- limits ---- */

static void
keeps_to_the_memory(void)
{
	struct loom_error err = { 0 };
	struct loom_model *m;
	struct lm_source *s;
	struct lm_onnx x = { 0 };

	assert(lm_source_memory(&s, golden, golden_size, "memory", &err) == 0);
	assert(lm_model_new(&m, "memory", &err) == 0);
	m->source = s;
	m->how.most_memory = 4096;
	x.arena = &m->arena;
	assert(lm_onnx_read(&x, m, s, &err) < 0 && err.code == LOOM_EUNSUPPORTED);
	assert(strstr(err.text, "needs more than 4096 bytes of memory") != NULL);
	loom_model_free(m);
}

/* Allocation number heap.fail fails, or all from it on: 1 when none did. */
static int
survives(void)
{
	struct loom_error err = { 0 };
	struct loom_model *m = NULL;
	struct lm_sink *sink = NULL;
	struct lm_onnx x;
	size_t size;
	int r;

	heap.count = heap.failed = 0;
	r = read_bytes(&x, &m, golden, golden_size, &err);
	if (r == 0)
		r = lm_sink_memory(&sink, &err);
	if (r == 0)
		r = lm_onnx_write_sink(&x, sink, &err);
	if (sink != NULL)
		lm_free(lm_sink_take(sink, &size));
	lm_sink_free(sink);
	loom_model_free(m);
	assert(heap.alive == 0 && (r < 0) == heap.failed);
	assert(r == 0 || err.code == LOOM_ENOMEM);
	return !heap.failed;
}

static void
survives_failures(void)
{
	loom_set_alloc(heap_allocate, NULL);
	for (heap.on = 0; heap.on < 2; heap.on++)
		for (heap.fail = 0; !survives(); heap.fail++)
			;
	assert(heap.fail > 8);
	loom_set_alloc(NULL, NULL);
}

int
main(void)
{
	golden_size = load("fixtures/onnx/raw.onnx", golden);
	writes_again("fixtures/onnx/raw.onnx");
	writes_again("fixtures/onnx/typed.onnx");
	writes_again("fixtures/onnx/unpacked.onnx");
	writes_again("fixtures/onnx/foreign.onnx");
	reads_what_it_says();
	reads_attributes();
	refuses_prefixes();
	reads_varints();
	writes_varints();
	refuses_depth();
	stays_in_its_file();
	goes_beside();
	walks();
	keeps_to_the_memory();
	survives_failures();
	return 0;
}
