/* huggingface: a directory of config.json and .safetensors as a network. */
#define _GNU_SOURCE /* O_DIRECTORY, O_CLOEXEC */
#include "format/huggingface.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/facts.h"
#include "format/flat.h"
#include "format/shards.h"
#include "layer/layout.h"

enum { CONFIG = 4 << 20, PIECE = 1 << 16, PATH = 4096 };

struct reading {
	struct loom_model *model;
	struct lm_external files;
	struct loom_tensors *tensors;
	struct lm_arena arena;
	struct lm_names names; /* of tensors */
	unsigned char *used;
	struct lm_decoder d;
};

/* ---- files ---- */

static int
there(const char *path, const char *name)
{
	char file[PATH];
	struct stat st;
	int n = snprintf(file, sizeof(file), "%s/%s", path, name);

	return n > 0 && (size_t)n < sizeof(file) && lstat(file, &st) == 0;
}

static int
sniff_directory(const char *path)
{
	return there(path, LM_HUGGINGFACE_CONFIG);
}

static int
read_text(struct reading *r, const char *name, size_t most, struct lm_buf *text,
    struct loom_error *err)
{
	struct loom_error inner = { 0 };
	struct lm_source *source;

	if (lm_shards_open(&r->files, name, &source, err) < 0)
		return -1;
	if (lm_shards_text(source, most, text, &inner) == 0)
		return 0;
	err->sys = inner.sys;
	return lm_fail(err, inner.code, "%s: %s", name, inner.text);
}

static int
parse_config(struct reading *r, const struct lm_buf *text, int *tied, struct loom_error *err)
{
	struct loom_error inner = { 0 };
	json_t *root;
	int status;

	if (lm_json_parse(&root, text->data, text->len, &inner) < 0)
		return lm_fail(err, inner.code, "%s: byte %llu: %s", LM_HUGGINGFACE_CONFIG,
		    (unsigned long long)inner.offset, inner.text);
	status = lm_huggingface_config(&r->d, tied, root, &r->arena, err);
	if (status == 0)
		status = lm_facts_keep(r->model, lm_facts_of(root, r->d.context, err), err);
	json_decref(root);
	return status;
}

static int
read_config(struct reading *r, int *tied, struct loom_error *err)
{
	struct lm_buf text;
	int status;

	lm_buf_init(&text, (size_t)CONFIG + (2 * PIECE));
	status = read_text(r, LM_HUGGINGFACE_CONFIG, CONFIG, &text, err);
	if (status == 0)
		status = parse_config(r, &text, tied, err);
	lm_buf_release(&text);
	return status;
}

static int
read_index(struct reading *r, struct loom_error *err)
{
	struct lm_buf text;
	int status;

	lm_buf_init(&text, (size_t)LM_SHARDS_INDEX + (2 * PIECE));
	status = read_text(r, LM_HUGGINGFACE_INDEX, LM_SHARDS_INDEX, &text, err);
	if (status == 0)
		status = lm_shards_all(&r->tensors, &r->files, LM_HUGGINGFACE_INDEX, &text, err);
	lm_buf_release(&text);
	return status;
}

/* One file where there is one, as transformers has it. */
static int
open_tensors(struct reading *r, const char *path, struct loom_error *err)
{
	if (there(path, LM_HUGGINGFACE_WEIGHTS))
		return lm_shards_one(&r->tensors, &r->files, LM_HUGGINGFACE_WEIGHTS, err);
	if (there(path, LM_HUGGINGFACE_INDEX))
		return read_index(r, err);
	return lm_fail(err, LOOM_EFORMAT,
	    "has neither " LM_HUGGINGFACE_WEIGHTS " nor " LM_HUGGINGFACE_INDEX
	    ": weights in other files are not read");
}

/* ---- tensors ---- */

static int
name_tensors(struct reading *r, struct loom_error *err)
{
	const struct loom_tensors *t = r->tensors;
	size_t i;

	r->used = lm_arena_alloc(&r->arena, t->n, 1, err);
	if (r->used == NULL)
		return -1;
	for (i = 0; i < t->n; i++)
		if (lm_names_add(&r->names, &r->arena, t->entries[i].tensor.name, i, err) < 0)
			return -1;
	return 0;
}

/* By its name, or without the "model." that files of the part below the logits lack. */
static size_t
find_tensor(const struct reading *r, const char *name)
{
	static const char prefix[] = "model.";
	size_t at = lm_names_find(&r->names, name);

	if (at == LM_NO_NAME && strncmp(name, prefix, sizeof(prefix) - 1) == 0)
		at = lm_names_find(&r->names, name + sizeof(prefix) - 1);
	return at;
}

static int
check_entry(const struct lm_entry *e, const struct lm_shape *expected, struct loom_error *err)
{
	struct lm_shape found = { .dtype = e->dtype, .rank = e->tensor.rank };
	struct lm_shape want = *expected;
	char shown[LM_SHOWN], a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];

	memcpy(found.dim, e->tensor.shape, sizeof(found.dim));
	want.dtype = e->dtype;
	(void)lm_shown(shown, e->tensor.name);
	if (e->dtype->kind != LM_FLOATING)
		return lm_fail(err, LOOM_EUNSUPPORTED, "tensor %s is %s, expected real numbers",
		    shown, e->dtype->name);
	if (!lm_shape_same(&want, &found))
		return lm_fail(err, LOOM_ESHAPE, "tensor %s: expected %s, found %s", shown,
		    lm_shape_text(a, &want), lm_shape_text(b, &found));
	return 0;
}

static int
find(void *context, enum lm_decoder_role role, size_t layer, struct lm_view *view,
    const char **source, struct loom_error *err)
{
	struct reading *r = context;
	char name[LM_DECODER_NAME];
	struct lm_entry *e;
	struct lm_shape want;
	size_t at = find_tensor(r, lm_decoder_name(name, LM_NAMES_HF, role, layer));

	if (at == LM_NO_NAME)
		return lm_fail(err, LOOM_EFORMAT, "tensor %s is missing", name);
	e = &r->tensors->entries[at];
	lm_decoder_shape(&r->d, role, &want);
	if (check_entry(e, &want, err) < 0 ||
	    lm_view_whole(view, e->source, e->offset, e->dtype, NULL, &want, err) < 0)
		return -1;
	r->used[at] = 1;
	*source = e->tensor.name;
	return 0;
}

/* 1: both are the same bytes; 0; -1. */
static int
same_bytes(const struct lm_entry *a, const struct lm_entry *b, struct loom_error *err)
{
	unsigned char x[PIECE], y[PIECE];
	uint64_t at;
	size_t n;

	if (a->dtype != b->dtype || a->bytes != b->bytes)
		return 0;
	for (at = 0; at < a->bytes; at += n) {
		n = a->bytes - at < PIECE ? (size_t)(a->bytes - at) : PIECE;
		if (lm_source_at(a->source, a->offset + at, x, n, err) < 0 ||
		    lm_source_at(b->source, b->offset + at, y, n, err) < 0)
			return -1;
		if (memcmp(x, y, n) != 0)
			return 0;
	}
	return 1;
}

/* Is the logits' weight the embedding's table?  It may be in the file all the same. */
static int
settle_tied(struct reading *r, int says, struct loom_error *err)
{
	char name[LM_DECODER_NAME];
	size_t logits, table;
	int same;

	logits = find_tensor(r, lm_decoder_name(name, LM_NAMES_HF, LM_ROLE_LOGITS, 0));
	table = find_tensor(r, lm_decoder_name(name, LM_NAMES_HF, LM_ROLE_EMBEDDING, 0));
	r->d.tied = says == 1 || (says < 0 && logits == LM_NO_NAME);
	if (!r->d.tied || logits == LM_NO_NAME || table == LM_NO_NAME)
		return 0;
	same = same_bytes(&r->tensors->entries[logits], &r->tensors->entries[table], err);
	if (same == 0)
		return lm_fail(err, LOOM_EFORMAT,
		    LM_HUGGINGFACE_CONFIG
		    ": \"tie_word_embeddings\" is true, but tensor %s is not %s",
		    r->tensors->entries[logits].tensor.name,
		    r->tensors->entries[table].tensor.name);
	r->used[logits] = 1;
	return same < 0 ? -1 : 0;
}

/* Frequencies that old files hold, which follow from config.json. */
static int
ignored(const char *name)
{
	static const char end[] = "rotary_emb.inv_freq";
	size_t n = strlen(name);

	return n >= sizeof(end) - 1 && strcmp(name + n - (sizeof(end) - 1), end) == 0;
}

static int
all_used(const struct reading *r, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < r->tensors->n; i++)
		if (!r->used[i] && !ignored(r->tensors->entries[i].tensor.name))
			return lm_fail(err, LOOM_EUNSUPPORTED,
			    "tensor %s is none of the decoder that " LM_HUGGINGFACE_CONFIG
			    " describes",
			    lm_shown(shown, r->tensors->entries[i].tensor.name));
	return 0;
}

/* ---- origins ---- */

/* Each tensor is a slot, whole and in its order; a table that is the logits' weight has two names. */
static int
put_origin(struct reading *r, struct lm_weight *w, struct loom_error *err)
{
	struct lm_arena *arena = &r->model->arena;
	struct lm_layout *l = lm_arena_alloc(arena, 1, sizeof(*l), err);
	char table[LM_DECODER_NAME], logits[LM_DECODER_NAME];
	const char **aliases;

	if (l == NULL)
		return -1;
	l->rank = l->axes = w->view->rank;
	memcpy(l->shape, w->view->extent, sizeof(*l->shape) * l->rank);
	memcpy(l->stride, w->view->stride, sizeof(*l->stride) * l->rank);
	w->layout = l;
	if (!r->d.tied ||
	    strcmp(w->source, lm_decoder_name(table, LM_NAMES_HF, LM_ROLE_EMBEDDING, 0)) != 0)
		return 0;
	aliases = lm_arena_alloc(arena, 2, sizeof(*aliases), err);
	if (aliases == NULL)
		return -1;
	aliases[0] = lm_arena_string(arena, lm_decoder_name(logits, LM_NAMES_HF, LM_ROLE_LOGITS, 0),
	    err);
	w->aliases = aliases;
	return aliases[0] != NULL ? 0 : -1;
}

static int
put_origins(struct reading *r, struct loom_error *err)
{
	struct lm_node *n;
	size_t i, k;

	for (i = 0; i < r->model->n_nodes; i++)
		for (n = r->model->nodes[i], k = 0; k < LM_SLOTS; k++)
			if (n->weight[k].source != NULL && n->weight[k].same == NULL &&
			    n->weight[k].view != NULL && put_origin(r, &n->weight[k], err) < 0)
				return -1;
	return 0;
}

/* ---- the whole ---- */

static int
read_all(struct reading *r, const char *path, struct loom_error *err)
{
	int tied;

	if (read_config(r, &tied, err) < 0 || open_tensors(r, path, err) < 0 ||
	    name_tensors(r, err) < 0 || settle_tied(r, tied, err) < 0 ||
	    lm_decoder_build(r->model, &r->d, find, r, err) < 0 || all_used(r, err) < 0 ||
	    put_origins(r, err) < 0)
		return -1;
	return lm_flat_keep(r->model, r->tensors, err);
}

static int
read_directory(struct loom_model *m, const char *path, struct loom_error *err)
{
	struct reading r = { .model = m };
	int status;

	lm_external_start(&r.files, m, NULL);
	r.files.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	status = r.files.directory < 0 ? lm_fail_sys(err, errno, "cannot be opened")
				       : read_all(&r, path, err);
	loom_tensors_free(r.tensors);
	lm_external_stop(&r.files);
	lm_arena_release(&r.arena);
	return status;
}

const struct lm_format_ops lm_format_huggingface = {
	.name = "huggingface",
	.about = "a directory of config.json and .safetensors",
	.holds = LM_HOLDS_MODEL,
	.can = LM_READ | LM_EXPORT,
	.takes = LM_TAKES_LINKED | LM_TAKES_DTYPE | LM_TAKES_TOKENIZER,
	.sniff_directory = sniff_directory,
	.read_directory = read_directory,
	.directory = 1,
	.export = lm_huggingface_export,
};
