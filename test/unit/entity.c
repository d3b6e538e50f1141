/*
 * Checkpoints: what Loom wrote is read and written as it was, and written anew from the graph alone it
 * is the same again; the one-pass writer; every prefix.
 */
#define _GNU_SOURCE /* memmem */
#include <assert.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/entity.h"
#include "format/entity_parts.h"
#include "format/format.h"
#include "layer/weight.h"

#define FIXTURES "fixtures/entity/"

struct bytes {
	unsigned char *data;
	size_t size;
};

static struct bytes
slurp(const char *name)
{
	struct bytes b = { malloc(1 << 17), 0 };
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), FIXTURES "%s", name);
	f = fopen(path, "rb");
	assert(f != NULL && b.data != NULL);
	b.size = fread(b.data, 1, 1 << 17, f);
	fclose(f);
	return b;
}

static struct loom_model *
open_bytes(struct bytes b, const char *name)
{
	struct loom_error err = { 0 };
	struct loom_model *m;

	if (loom_model_open_memory(&m, b.data, b.size, name, &err) == 0)
		return m;
	fprintf(stderr, "%s: %s\n", name, err.text);
	assert(0);
	return NULL;
}

static struct bytes
saved(const struct loom_model *m, int plain)
{
	struct loom_error err = { 0 };
	struct lm_sink *sink;
	struct bytes b;

	assert(lm_sink_memory(&sink, &err) == 0);
	if (lm_entity_save(m, sink, plain, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		assert(0);
	}
	b.data = lm_sink_take(sink, &b.size);
	lm_sink_free(sink);
	return b;
}

static void
same(struct bytes a, struct bytes b, const char *name)
{
	if (a.size == b.size && memcmp(a.data, b.data, a.size) == 0)
		return;
	fprintf(stderr, "%s: %zu and %zu bytes differ\n", name, a.size, b.size);
	assert(0);
}

/* As a model that nobody read from a file. */
static void
forget(struct loom_model *m)
{
	m->document_free(m->document);
	m->document = NULL;
	m->document_free = NULL;
}

/* canonical: the grid is a row and nothing stands in the file but what the graph says. */
static void
identity(const char *name, int canonical)
{
	struct bytes b = slurp(name), c;
	struct loom_model *m = open_bytes(b, name);

	c = saved(m, 0);
	same(b, c, name);
	lm_free(c.data);
	if (canonical) {
		forget(m);
		c = saved(m, 1);
		same(b, c, name);
		lm_free(c.data);
	}
	loom_model_free(m);
	free(b.data);
}

/* ---- written from the graph alone ---- */

static void
same_weight(const struct lm_weight *a, const struct lm_weight *b, const char *name)
{
	struct lm_arena arena = { 0 };
	struct loom_error err = { 0 };

	assert(a->dtype == b->dtype && a->bytes == b->bytes && a->scale == b->scale);
	assert((a->same == NULL) == (b->same == NULL));
	if (a->dtype != NULL &&
	    memcmp(lm_weight_bytes(a, &arena, &err), lm_weight_bytes(b, &arena, &err),
		(size_t)a->bytes) != 0) {
		fprintf(stderr, "%s: weights differ\n", name);
		assert(0);
	}
	lm_arena_release(&arena);
}

static void
same_graph(const struct loom_model *a, const struct loom_model *b, const char *name)
{
	const struct lm_node *p, *q;
	size_t i, k;

	assert(a->n_nodes == b->n_nodes && a->n_values == b->n_values);
	assert(a->n_inputs == b->n_inputs && a->inputs[0].any == b->inputs[0].any);
	assert(a->n_outputs == b->n_outputs && a->outputs[0] == b->outputs[0]);
	for (i = 0; i < a->n_nodes; i++) {
		p = a->nodes[i];
		q = b->nodes[i];
		assert(p->op == q->op && strcmp(p->name, q->name) == 0 && p->n_in == q->n_in);
		for (k = 0; k < p->n_in; k++)
			assert(p->in[k] == q->in[k]);
		for (k = 0; k < LM_SLOTS; k++)
			same_weight(&p->weight[k], &q->weight[k], name);
	}
}

/* The same graph comes back, in a file that is written from its graph as the same bytes. */
static void
anew(struct bytes b, const char *name)
{
	struct loom_model *m = open_bytes(b, name), *again;
	struct bytes c, d;

	forget(m);
	c = saved(m, 0);
	again = open_bytes(c, name);
	same_graph(m, again, name);
	forget(again);
	d = saved(again, 0);
	same(c, d, name);
	lm_free(d.data);
	lm_free(c.data);
	loom_model_free(again);
	loom_model_free(m);
}

/* ---- goldens ---- */

/* What cannot be run: a transformer, a layer without sizes, two ways to combine branches. */
static const char *const refused[] = { "builder", "parallel-filter-float32", "spec-example-b",
	"text-escapes-float32" };

/*
 * Files that are nothing but what the graph says, as Loom and the reference write it.  Loom keeps a scale
 * for types that ignore it, which the graph does not.
 */
static const char *const canonical[] = { "activation-", "cnn1-", "cnn2-", "cnn3-", "dense-",
	"layernorm-", "swiglu-", "rmsnorm-float32", "residual-", "spec-example-a", "spec-example-c",
	"reference-stream-dense" };

static int
starts(const char *name, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strncmp(name, list[i], strlen(list[i])) == 0)
			return 1;
	return 0;
}

static void
golden(const char *path)
{
	const char *name = path + strlen(FIXTURES);
	struct loom_error err = { 0 };
	struct loom_model *m;
	struct bytes b;

	if (starts(name, refused, sizeof(refused) / sizeof(*refused))) {
		assert(loom_model_open(&m, path, &err) == -1);
		assert(err.code == LOOM_EFORMAT || err.code == LOOM_EUNSUPPORTED);
		return;
	}
	identity(name,
	    starts(name, canonical, sizeof(canonical) / sizeof(*canonical)) &&
		strstr(name, "float16") == NULL && strstr(name, "float64") == NULL);
	b = slurp(name);
	anew(b, name);
	free(b.data);
}

static void
goldens(void)
{
	glob_t found;
	size_t i;

	assert(glob(FIXTURES "*/model.entity", 0, NULL, &found) == 0);
	assert(found.gl_pathc > 230);
	for (i = 0; i < found.gl_pathc; i++)
		golden(found.gl_pathv[i]);
	globfree(&found);
	identity("bridge.entity", 0);
	identity("cells.entity", 0);
}

static const char *const keys[] = { "unknown", "bridge.what" };

/* A header with unknown keys, odd spaces, an escape that we would not write. */
static void
unknown_keys(void)
{
	static const char head[] =
	    "{ \"format_version\":1,\"odd\":[1.50,\"\\/\"],\"network\":{\"id\":\"other\",\"depth\":0,"
	    "\"rows\":0,\"cols\":0,\"layers_per_cell\":0,\"layers\":[],\"why\":null},\"blobs\":[{\"x\":1,"
	    "\"path\":\"else.where\",\"offset\":1,\"length\":2,\"dtype\":\"int8\",\"scale\":1e-10,"
	    "\"native\":true}]}\n \n";
	struct bytes b = { malloc(1000), sizeof(head) - 1 + 20 + 4 }, c;
	struct loom_model *m;

	memcpy(b.data, "ENTITY\0\0\1\0\0\0\0\0\0\0\0\0\0", 20);
	b.data[12] = (unsigned char)((sizeof(head) - 1) & 255);
	b.data[13] = (unsigned char)((sizeof(head) - 1) >> 8);
	memcpy(b.data + 20, head, sizeof(head) - 1);
	memcpy(b.data + 20 + sizeof(head) - 1, "abcd", 4);
	m = open_bytes(b, keys[0]);
	assert(m->n_findings == 3);
	assert(strcmp(m->findings[0], "blob else.where is of no known kind and is not used") == 0);
	assert(
	    strcmp(m->findings[1], "blob else.where: bytes before it that belong to none: 1") == 0);
	assert(strcmp(m->findings[2], "bytes after the last blob that belong to none: 1") == 0);
	c = saved(m, 0);
	same(b, c, keys[0]);
	lm_free(c.data);
	loom_model_free(m);
	free(b.data);
}

/* A layer of each type, with what Loom's has no place for. */
static void
cells(void)
{
	struct bytes b = slurp("cells.entity"), c;
	struct loom_model *m = open_bytes(b, "cells.entity");
	struct loom_error err = { 0 };
	json_t *info = json_pack("{s:s}", "mode", "eval");

	forget(m);
	assert(info != NULL && lm_entity_info(m, info, &err) == 0);
	c = saved(m, 0);
	same(b, c, "cells.entity");
	lm_free(c.data);
	loom_model_free(m);
	anew(b, "cells.entity");
	free(b.data);
}

/* From the graph alone; info and names stay, but in plain form. */
static void
written_anew(void)
{
	struct bytes b = slurp("bridge.entity"), c, d;
	struct loom_model *m = open_bytes(b, "bridge.entity"), *again;
	struct loom_error err = { 0 };
	json_t *info = json_pack("{s:{s:s},s:s}", "versions", "torch", "2.15.0", "mode", "eval");

	forget(m);
	assert(info != NULL && lm_entity_info(m, info, &err) == 0);
	c = saved(m, 0);
	same(b, c, "bridge.entity");
	lm_free(c.data);
	/* It cannot be plain: only the info goes. */
	c = saved(m, 1);
	assert(memmem(c.data, c.size, "\"info\"", 6) == NULL);
	assert(memmem(c.data, c.size, "\"outputs\":[\"y\",\"act\"]}}", 23) != NULL);
	again = open_bytes(c, "without info");
	assert(again->n_nodes == m->n_nodes && again->planet == NULL);
	d = saved(again, 0);
	same(c, d, "without info");
	lm_free(d.data);
	loom_model_free(again);
	lm_free(c.data);
	loom_model_free(m);
	free(b.data);
}

static void
every_prefix(void)
{
	static const char *const names[] = { "bridge.entity", "cells.entity",
		"dense-float32/model.entity", "dense-int2/model.entity",
		"parallel-nested-float32/model.entity", "reference-stream-dense/model.entity",
		"spec-example-a/model.entity", "spec-example-c/model.entity" };
	struct loom_model *m;
	size_t i, n;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct bytes b = slurp(names[i]);

		for (n = 0; n < b.size; n++) {
			struct loom_error err = { 0 };
			unsigned char *cut = malloc(n > 0 ? n : 1);

			memcpy(cut, b.data, n);
			assert(loom_model_open_memory(&m, cut, n, "cut", &err) == -1);
			assert(err.code >= LOOM_ETRUNCATED && err.code <= LOOM_ESHAPE);
			assert(err.text[0] != '\0' && strcmp(err.source, "cut") == 0);
			free(cut);
		}
		free(b.data);
	}
}

/* ---- the one-pass writer ---- */

static struct lm_entity_writer *
begin(const struct loom_model *m, struct lm_sink **sink, int plain)
{
	struct loom_error err = { 0 };
	struct lm_entity_writer *w;

	assert(lm_sink_memory(sink, &err) == 0);
	assert(lm_entity_begin(&w, m, *sink, plain, &err) == 0);
	return w;
}

static void
pieces(void)
{
	struct bytes b = slurp("reference-stream-dense/model.entity"), c;
	struct loom_model *m = open_bytes(b, "reference");
	struct loom_error err = { 0 };
	struct lm_entity_writer *w;
	const struct lm_weight *weight;
	struct lm_sink *sink;
	size_t i, k, at;

	forget(m);
	w = begin(m, &sink, 1);
	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < LM_SLOTS; k++) {
			weight = &m->nodes[i]->weight[k];
			for (at = 0; weight->dtype != NULL && at < weight->bytes; at += 4)
				assert(lm_entity_weight(w, m->nodes[i], k, weight->data + at, 4,
					   &err) == 0);
		}
	assert(lm_entity_end(w, &err) == 0);
	c.data = lm_sink_take(sink, &c.size);
	same(b, c, "in pieces");
	lm_free(c.data);
	lm_sink_free(sink);
	lm_entity_free(w);
	loom_model_free(m);
	free(b.data);
}

static void
says(int result, struct loom_error *err, const char *message)
{
	if (result != -1 || err->code != LOOM_EARG || strcmp(err->text, message) != 0) {
		fprintf(stderr, "%s\n", err->text);
		assert(0);
	}
	memset(err, 0, sizeof(*err));
}

static void
out_of_turn(void)
{
	struct bytes b = slurp("reference-stream-dense/model.entity");
	struct loom_model *m = open_bytes(b, "reference");
	struct loom_error err = { 0 };
	struct lm_entity_writer *w;
	struct lm_sink *sink;
	const struct lm_node *first = m->nodes[0];

	w = begin(m, &sink, 1);
	says(lm_entity_weight(w, first, 1, "abcd", 4, &err), &err,
	    "node layers.0: its bias comes out of turn");
	says(lm_entity_weight(w, first, 0, b.data, 49, &err), &err,
	    "node layers.0: more bytes than its weight has");
	assert(lm_entity_weight(w, first, 0, b.data, 40, &err) == 0);
	says(lm_entity_end(w, &err), &err, "node layers.0: 8 bytes of its weight are missing");
	lm_entity_free(w);
	lm_sink_free(sink);
	loom_model_free(m);
	free(b.data);
}

/* What decides between plain and not: the same two layers, connected or declared otherwise. */
static struct loom_model *
two_layers(struct lm_dim *dims, size_t n_dims, const struct lm_dtype *bias, const char *output)
{
	struct loom_error err = { 0 };
	struct loom_model *m;
	struct lm_dims shape = { n_dims, dims };
	struct lm_node *node;
	static float zeros[4];

	assert(lm_model_new(&m, "made", &err) == 0);
	assert(lm_model_add_input(m, "x", lm_dtype_get(LM_F32), 0, shape, &err) == 0);
	node = lm_model_add_node(m, "first", lm_layer_find("dense"), &err);
	node->param[0].i = node->param[1].i = 2;
	node->param[2].i = 1;
	assert(lm_node_check(m, node, &err) == 0);
	assert(lm_node_put(node, 0, lm_dtype_get(LM_F32), 1, &err) == 0);
	assert(lm_node_put(node, 1, bias, 1, &err) == 0);
	node->weight[0].data = node->weight[1].data = (const unsigned char *)zeros;
	node = lm_model_add_node(m, "second", lm_layer_find("tanh"), &err);
	assert(lm_node_check(m, node, &err) == 0);
	assert(lm_model_add_output(m, output, &err) == 0);
	return m;
}

static int
is_plain(struct lm_dim *dims, size_t n_dims, const struct lm_dtype *bias, const char *output)
{
	struct loom_model *m = two_layers(dims, n_dims, bias, output);
	struct bytes b = saved(m, 1);
	int plain = memmem(b.data, b.size, "\"bridge\":", 9) == NULL;

	lm_free(b.data);
	loom_model_free(m);
	return plain;
}

static void
plain_or_not(void)
{
	struct lm_dim rows[] = { { "batch", 0 }, { NULL, 2 } };
	struct lm_dim tokens[] = { { "batch", 0 }, { "s", 0 }, { NULL, 2 } };
	struct lm_dim fixed[] = { { NULL, 5 }, { NULL, 2 } };
	const struct lm_dtype *f32 = lm_dtype_get(LM_F32);

	assert(is_plain(rows, 2, f32, "second"));
	assert(!is_plain(tokens, 3, f32, "second"));
	assert(!is_plain(fixed, 2, f32, "second"));
	assert(!is_plain(rows, 2, lm_dtype_get(LM_F16), "second"));
	assert(!is_plain(rows, 2, f32, "first"));
}

int
main(void)
{
	goldens();
	unknown_keys();
	cells();
	written_anew();
	every_prefix();
	pieces();
	out_of_turn();
	plain_or_not();
	return 0;
}
