/*
 * gguf: where the numbers of permuted rows come from, against loops; what does not make a decoder,
 * message by message; and every allocation failing once while a file is read and written.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "format/decoder.h"
#include "format/format.h"
#include "heap.h"
#include "layer/weight.h"
#include "num/bytes.h"

enum { WIDTH = 8, HEADS = 4, KEYS = 2, HEAD = 6, HIDDEN = 10, VOCAB = 12, LAYERS = 2 };

static struct loom_error none;

/* ---- a decoder whose numbers count up in each tensor ---- */

static struct lm_decoder
sizes(void)
{
	struct lm_decoder d = { .vocab = VOCAB,
		.width = WIDTH,
		.layers = LAYERS,
		.heads = HEADS,
		.kv_heads = KEYS,
		.head_dim = HEAD,
		.hidden = HIDDEN,
		.eps = 1e-5,
		.rope_base = 10000 };

	return d;
}

static int
find(void *context, enum lm_decoder_role role, size_t layer, struct lm_view *view,
    const char **source, struct loom_error *err)
{
	struct lm_shape shape;
	struct lm_decoder d = sizes();

	(void)layer;
	(void)source;
	lm_decoder_shape(&d, role, &shape);
	return lm_view_whole(view, context, 0, lm_dtype_get(LM_F32), NULL, &shape, err);
}

static unsigned char ramp[4 * WIDTH * HEADS * HEAD * 4];

/* The source is the model's. */
static struct loom_model *
built(const struct lm_decoder *d)
{
	struct lm_source *s;
	struct loom_model *m;
	size_t i;

	for (i = 0; i < sizeof(ramp) / 4; i++)
		lm_put_f32(ramp + 4 * i, (float)i / 64);
	assert(lm_source_memory(&s, ramp, sizeof(ramp), "ramp", &none) == 0);
	assert(lm_model_new(&m, "built", &none) == 0);
	m->source = s;
	assert(lm_decoder_build(m, d, find, s, &none) == 0);
	assert(lm_model_check(m, &none) == 0);
	return m;
}

/* ---- is it a decoder? ---- */

static void
is_none(const struct loom_model *m, const char *expected)
{
	struct lm_arena arena = { 0 };
	struct lm_decoder d;
	const char *why;

	assert(lm_decoder_match(m, &d, &arena, &why, &none) == 0);
	if (strcmp(why, expected) != 0) {
		printf("%s\nexpected: %s\n", why, expected);
		assert(0);
	}
	lm_arena_release(&arena);
}

static void
matches_itself(struct lm_decoder d)
{
	struct loom_model *m = built(&d);
	struct lm_arena arena = { 0 };
	struct lm_decoder found;
	const struct lm_decoder_place *at;
	const char *why;

	assert(lm_decoder_match(m, &found, &arena, &why, &none) == 1);
	assert(found.vocab == d.vocab && found.width == d.width && found.layers == d.layers);
	assert(found.heads == d.heads && found.kv_heads == d.kv_heads);
	assert(found.head_dim == d.head_dim && found.hidden == d.hidden);
	assert(found.eps == d.eps && found.rope_base == d.rope_base && found.tied == d.tied);
	assert(found.qkv_bias == d.qkv_bias && found.out_bias == d.out_bias);
	assert(found.mlp_bias == d.mlp_bias && found.norms == d.norms);
	assert((found.factors != NULL) == (d.factors != NULL));
	at = lm_decoder_at(&found, LM_ROLE_DOWN, 1);
	assert(strcmp(at->node->name, "blocks.1.feed_forward") == 0);
	assert(strcmp(at->node->op->slots[at->slot].name, "Wd") == 0);
	at = lm_decoder_at(&found, LM_ROLE_KEY, 0);
	assert(strcmp(at->node->op->slots[at->slot].name,
		   d.norms || d.factors != NULL ? "weight" : "Wk") == 0);
	lm_arena_release(&arena);
	loom_model_free(m);
}

static void
matches(void)
{
	static const float factors[HEAD / 2] = { 1, 2, 4 };
	struct lm_decoder d = sizes();

	matches_itself(d);
	d.tied = 1;
	d.qkv_bias = 1;
	matches_itself(d);
	d.out_bias = d.mlp_bias = 1;
	matches_itself(d);
	d.factors = factors;
	matches_itself(d);
	d = sizes();
	d.norms = 1;
	matches_itself(d);
	d.qkv_bias = 1;
	matches_itself(d);
}

/* One parameter of one node is another one. */
static void
one_parameter(const char *node, const char *key, int64_t i, double real, const char *expected)
{
	struct lm_decoder d = sizes();
	struct loom_model *m = built(&d);
	struct lm_node *n = lm_model_find(m, node);
	int p = lm_layer_param(n->op, key);

	assert(n != NULL && p >= 0);
	if (n->op->params[p].kind == LM_IS_REAL || n->op->params[p].kind == LM_IS_MAYBE)
		n->param[p].real = real;
	else
		n->param[p].i = i;
	is_none(m, expected);
	loom_model_free(m);
}

static void
refuses_parameters(void)
{
	one_parameter("blocks.1.attention", "causal", 0, 0,
	    "node blocks.1.attention (attention): causal is false, expected true");
	one_parameter("blocks.1.attention", "rope", 2, 0,
	    "node blocks.1.attention (attention): rope is interleaved, expected half");
	one_parameter("blocks.1.attention", "rope_base", 0, 9,
	    "node blocks.1.attention (attention): rope_base is 9, expected 10000");
	one_parameter("blocks.0.attention", "scale", 0, 0.5,
	    "node blocks.0.attention (attention): scale is 0.5, expected null");
	one_parameter("blocks.1.attention", "num_kv_heads", 4, 0,
	    "node blocks.1.attention (attention): num_kv_heads is 4, expected 2");
	one_parameter("blocks.1.feed_forward", "activation", 1, 0,
	    "node blocks.1.feed_forward (swiglu): activation is relu2, expected silu");
	one_parameter("norm", "eps", 0, 0.5,
	    "node norm (rmsnorm): eps is 0.5, expected "
	    "1.0000000000000001e-05");
	one_parameter("embedding", "wrap", 1, 0,
	    "node embedding (embedding): wrap is true, expected false");
	one_parameter("logits", "out_features", 11, 0,
	    "node logits (dense): out_features is 11, expected 12");
	one_parameter("blocks.0.attention", "head_dim", 5, 0,
	    "the size of a head is 5, expected an even one");
}

/* One edge leads elsewhere. */
static void
refuses_edges(void)
{
	struct lm_decoder d = sizes();
	struct loom_model *m = built(&d);
	struct lm_node *n = lm_model_find(m, "blocks.1.feed_forward_sum");

	n->in[0] = lm_model_value(m, "blocks.0.feed_forward_sum");
	is_none(m,
	    "node blocks.1.feed_forward_sum (add): input 0 is not what a decoder's "
	    "blocks.1.feed_forward_sum reads");
	n->in[0] = lm_model_value(m, "blocks.1.attention_sum");
	m->outputs[0] = lm_model_value(m, "norm");
	is_none(m, "its output is not the logits alone");
	m->outputs[0] = lm_model_value(m, "logits");
	m->inputs[0].dtype = lm_dtype_get(LM_F32);
	is_none(m, "input input_ids is not int64 [batch, sequence]");
	loom_model_free(m);
}

/* ---- files ---- */

struct file {
	unsigned char data[1 << 16];
	size_t size;
};

static const char tokenizer[] =
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
    "\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}";

static int
export_to(const struct loom_model *m, const char *folder, struct file *out, struct loom_error *err)
{
	char path[256], tokens[256];
	struct loom_export_options options = { .format = "gguf",
		.output = path,
		.tokenizer = tokens };
	struct lm_arena arena = { 0 };
	struct lm_buf notes;
	struct lm_export e = { .model = m, .options = &options, .notes = &notes, .arena = &arena };
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "%s/out.gguf", folder);
	snprintf(tokens, sizeof(tokens), "%s/tokenizer.json", folder);
	lm_buf_init(&notes, 1 << 16);
	r = lm_place_open(&e.place, path, 0, err);
	if (r == 0)
		r = lm_format_find("gguf")->export(&e, err);
	if (r == 0) {
		f = fopen(lm_place_path(e.place), "rb");
		assert(f != NULL);
		out->size = fread(out->data, 1, sizeof(out->data), f);
		assert(out->size > 0 && out->size < sizeof(out->data));
		fclose(f);
	}
	lm_place_free(e.place);
	lm_arena_release(&arena);
	lm_buf_release(&notes);
	return r;
}

static const char *
folder_with_tokenizer(char path[64])
{
	char file[96];
	FILE *f;

	snprintf(path, 64, "/tmp/loom-gguf.XXXXXX");
	assert(mkdtemp(path) != NULL);
	snprintf(file, sizeof(file), "%s/tokenizer.json", path);
	f = fopen(file, "wb");
	assert(
	    f != NULL && fwrite(tokenizer, 1, sizeof(tokenizer) - 1, f) == sizeof(tokenizer) - 1);
	assert(fclose(f) == 0);
	return path;
}

static void
remove_folder(const char *path)
{
	char file[96];

	snprintf(file, sizeof(file), "%s/tokenizer.json", path);
	assert(unlink(file) == 0 && rmdir(path) == 0);
}

/* Where the bytes of a tensor begin: its name is followed by axes, extents, type and offset. */
static const unsigned char *
stored(const struct file *f, const char *name)
{
	size_t n = strlen(name), i, info, end = 0;
	uint32_t rank;

	for (i = 0; i + n < f->size; i++)
		if (lm_get_u64(f->data + i) == n && memcmp(f->data + i + 8, name, n) == 0)
			break;
	assert(i + n < f->size);
	info = i + 8 + n;
	rank = lm_get_u32(f->data + info);
	/* The descriptions end behind the last tensor's. */
	for (i = 0; i + 24 < f->size; i++)
		if (memcmp(f->data + i, "blk.1.ffn_down.weight", 21) == 0)
			end = i + 21 + 4 + 16 + 4 + 8;
	assert(end > 0);
	return f->data + (end + 31) / 32 * 32 + lm_get_u64(f->data + info + 4 + 8 * rank + 4);
}

/*
 * In the file, row (head, pair, half) is our row (head, half, pair); not so for values and for
 * qwen2.
 */
static void
rows_are_permuted(void)
{
	struct lm_decoder d = sizes();
	struct loom_model *m = built(&d);
	static struct file f;
	char path[64];
	size_t h, pair, half, c;
	const unsigned char *q, *v;

	assert(export_to(m, folder_with_tokenizer(path), &f, &none) == 0);
	remove_folder(path);
	q = stored(&f, "blk.1.attn_q.weight");
	v = stored(&f, "blk.1.attn_v.weight");
	for (h = 0; h < HEADS; h++)
		for (pair = 0; pair < HEAD / 2; pair++)
			for (half = 0; half < 2; half++)
				for (c = 0; c < WIDTH; c++, q += 4)
					assert(lm_get_f32(q) ==
					    (float)((h * HEAD + half * (HEAD / 2) + pair) * WIDTH +
						c) /
						64);
	for (c = 0; c < (size_t)KEYS * HEAD * WIDTH; c++)
		assert(lm_get_f32(v + 4 * c) == (float)c / 64);
	loom_model_free(m);
}

/* ---- failing memory ---- */

static int
read_and_write(const struct file *in, const char *folder, struct loom_error *err)
{
	static struct file out;
	struct loom_model *m;
	int r;

	if (loom_model_open_memory(&m, in->data, in->size, "test", err) < 0)
		return -1;
	r = export_to(m, folder, &out, err);
	if (r == 0)
		assert(out.size == in->size && memcmp(out.data, in->data, in->size) == 0);
	loom_model_free(m);
	return r;
}

static void
every_allocation_fails(struct lm_decoder d)
{
	struct loom_model *m = built(&d);
	struct loom_error err;
	static struct file f;
	char path[64];
	long n;

	(void)folder_with_tokenizer(path);
	assert(export_to(m, path, &f, &none) == 0);
	loom_model_free(m);
	loom_set_alloc(heap_allocate, NULL);
	for (heap.on = 0; heap.on < 2; heap.on++)
		for (n = 0, heap.failed = 1; heap.failed; n++) {
			memset(&err, 0, sizeof(err));
			heap.count = heap.alive = heap.failed = 0;
			heap.fail = n;
			if (read_and_write(&f, path, &err) < 0)
				assert(heap.failed && err.code == LOOM_ENOMEM);
			else
				assert(!heap.failed);
			assert(heap.alive == 0);
		}
	loom_set_alloc(NULL, NULL);
	remove_folder(path);
}

int
main(void)
{
	struct lm_decoder d = sizes();

	matches();
	refuses_parameters();
	refuses_edges();
	rows_are_permuted();
	every_allocation_fails(d);
	d.norms = 1;
	every_allocation_fails(d);
	return 0;
}
