/* gguf: the format of llama.cpp: which network a file holds, and which form a network leaves in. */
#include "format/gguf.h"

#include <string.h>

enum { MOST_SPLITS = 1000, LONGEST_TAIL = 32 };

static int
sniff(const unsigned char *head, size_t len)
{
	return len >= 4 && memcmp(head, "GGUF", 4) == 0 ? 100 : 0;
}

/* ---- tensors ---- */

int
lm_gguf_view(struct lm_gguf_tensor *t, const struct lm_shape *want, struct lm_view *view,
    struct loom_error *err)
{
	char expected[LM_SHAPE_TEXT], found[LM_SHAPE_TEXT], shown[LM_SHOWN];
	struct lm_shape like = *want;

	like.dtype = t->shape.dtype;
	if (!lm_shape_same(&t->shape, &like))
		return lm_fail(err, LOOM_EFORMAT, "tensor %s: expected %s, found %s",
		    lm_shown(shown, t->name), lm_shape_text(expected, &like),
		    lm_shape_text(found, &t->shape));
	t->used = 1;
	return lm_view_whole(view, t->source, t->offset, t->dtype, t->quant, &t->shape, err);
}

int
lm_gguf_all_used(const struct lm_gguf *g, const char *what, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < g->n_tensors; i++)
		if (!g->tensors[i].used)
			return lm_fail(err, LOOM_EUNSUPPORTED, "tensor %s is none that %s has",
			    lm_shown(shown, g->tensors[i].name), what);
	return 0;
}

/* ---- files in parts ---- */

/* NAME-00001-of-00003.gguf: where the number begins, or NULL. */
static const char *
part_number(const char *path, uint64_t parts)
{
	char tail[LONGEST_TAIL];
	size_t n = strlen(path), k;

	k = (size_t)snprintf(tail, sizeof(tail), "-00001-of-%05llu.gguf",
	    (unsigned long long)parts);
	if (n <= k || strcmp(path + n - k, tail) != 0)
		return NULL;
	return path + n - k + 1;
}

static int
open_part(struct loom_model *m, const char *path, uint64_t part, uint64_t parts,
    struct lm_source **s, struct loom_error *err)
{
	const char *number = part_number(path, parts);
	char name[300];

	(void)snprintf(name, sizeof(name), "%.*s%05llu%s", (int)(number - path), path,
	    (unsigned long long)part + 1, number + 5);
	if (lm_source_open(s, name, err) < 0 || lm_model_add_file(m, *s, err) < 0)
		return -1;
	return lm_source_spool(*s, err);
}

/* It says which part it is; a part's own values count no more than that. */
static int
parse_part(struct lm_gguf *g, struct lm_source *s, uint64_t part, uint64_t parts,
    struct loom_error *err)
{
	struct lm_gguf own = { .arena = g->arena,
		.tensors = g->tensors,
		.n_tensors = g->n_tensors,
		.names = g->names };
	uint64_t number = 0, count = 0;

	if (lm_gguf_parse(&own, s, err) < 0 ||
	    lm_gguf_natural(&own, "split.no", 1, &number, err) < 0 ||
	    lm_gguf_natural(&own, "split.count", 1, &count, err) < 0)
		return lm_fail_in(err, lm_source_name(s));
	g->tensors = own.tensors;
	g->n_tensors = own.n_tensors;
	g->names = own.names;
	if (number == part && count == parts)
		return 0;
	(void)lm_fail(err, LOOM_EFORMAT, "says it is part %llu of %llu, expected %llu of %llu",
	    (unsigned long long)number + 1, (unsigned long long)count, (unsigned long long)part + 1,
	    (unsigned long long)parts);
	return lm_fail_in(err, lm_source_name(s));
}

static int
check_first(const struct lm_gguf *g, const char *path, uint64_t *parts, struct loom_error *err)
{
	uint64_t number = 0;

	if (lm_gguf_natural(g, "split.no", 0, &number, err) < 0)
		return -1;
	if (*parts > MOST_SPLITS)
		return lm_fail(err, LOOM_EFORMAT, "%llu parts, at most %d are read",
		    (unsigned long long)*parts, MOST_SPLITS);
	if (number != 0)
		return lm_fail(err, LOOM_EFORMAT, "is part %llu of %llu: name the first",
		    (unsigned long long)number + 1, (unsigned long long)*parts);
	if (part_number(path, *parts) == NULL)
		return lm_fail(err, LOOM_EFORMAT,
		    "is the first of %llu parts, but its name does not end in "
		    "-00001-of-%05llu.gguf",
		    (unsigned long long)*parts, (unsigned long long)*parts);
	return 0;
}

int
lm_gguf_parse_splits(struct lm_gguf *g, struct loom_model *m, struct loom_error *err)
{
	uint64_t parts = 1, part, total = 0;
	struct lm_source *s;

	if (lm_gguf_natural(g, "split.count", 0, &parts, err) < 0)
		return -1;
	if (parts <= 1)
		return 0;
	if (check_first(g, m->name, &parts, err) < 0)
		return -1;
	for (part = 1; part < parts; part++)
		if (open_part(m, m->name, part, parts, &s, err) < 0 ||
		    parse_part(g, s, part, parts, err) < 0)
			return -1;
	if (lm_gguf_natural(g, "split.tensors.count", 1, &total, err) < 0)
		return -1;
	if (total != g->n_tensors)
		return lm_fail(err, LOOM_EFORMAT, "the parts hold %zu tensors, the first says %llu",
		    g->n_tensors, (unsigned long long)total);
	return 0;
}

/* ---- reading ---- */

static int
read_network(struct loom_model *m, struct lm_gguf *g, struct loom_error *err)
{
	char shown[LM_SHOWN];
	const char *a;

	if (lm_gguf_text(g, "general.architecture", 1, &a, err) < 0)
		return -1;
	if (strcmp(a, "loom") == 0)
		return lm_gguf_read_plain(m, g, err);
	if (strcmp(a, "llama") != 0 && strcmp(a, "qwen2") != 0 && strcmp(a, "qwen3") != 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "architecture %s is not one that is read: llama, qwen2, qwen3, loom",
		    lm_shown(shown, a));
	if (g->n_tensors == 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "holds no tensors: a vocabulary alone is no network");
	return lm_gguf_read_decoder(m, g, a, err);
}

static int
read_title(struct loom_model *m, const struct lm_gguf *g, struct loom_error *err)
{
	const struct lm_gguf_value *v = lm_gguf_find(g, "general.name");

	if (m->how.blind || v == NULL || v->type != LM_GGUF_STRING)
		return 0;
	m->title = lm_arena_string(&m->arena, v->text, err);
	return m->title != NULL ? 0 : -1;
}

static int
read_model(struct loom_model *m, struct lm_source *s, struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	struct lm_gguf g = { .arena = &arena };
	int r;

	r = lm_source_spool(s, err);
	if (r == 0)
		r = lm_gguf_parse(&g, s, err);
	if (r == 0)
		r = lm_gguf_parse_splits(&g, m, err);
	if (r == 0)
		r = read_network(m, &g, err);
	if (r == 0)
		r = read_title(m, &g, err);
	lm_arena_release(&arena);
	return r;
}

/* ---- export ---- */

static int
no_dtype(const char *name, struct loom_error *err)
{
	char list[128] = "", shown[LM_SHOWN];
	const struct lm_quant *q;
	size_t i, used = 0;

	for (i = 0; (q = lm_quant_at(i)) != NULL; i++)
		if (q->encode != NULL)
			used += (size_t)snprintf(list + used, sizeof(list) - used, " %s", q->name);
	return lm_fail(err, LOOM_EARG,
	    "dtype %s is not one that GGUF is written in: f32 f16 bf16%s", lm_shown(shown, name),
	    list);
}

static int
choose_dtype(struct lm_gguf_writing *w, struct loom_error *err)
{
	const char *name = w->e->options->dtype;
	enum lm_dtype_id id;

	if (name == NULL)
		return 0;
	w->quant = lm_quant_find(name);
	if (w->quant != NULL && w->quant->encode == NULL)
		return no_dtype(name, err);
	id = strcmp(name, "f16") == 0 ? LM_F16 : strcmp(name, "bf16") == 0 ? LM_BF16 : LM_F32;
	if (w->quant == NULL && id == LM_F32 && strcmp(name, "f32") != 0)
		return no_dtype(name, err);
	w->dtype = lm_dtype_get(id);
	return 0;
}

static int
export_as(struct lm_gguf_writing *w, struct loom_error *err)
{
	struct lm_decoder d;
	const char *why;
	int r = lm_decoder_match(w->e->model, &d, w->e->arena, &why, err);

	if (r < 0)
		return -1;
	if (r == 1)
		return lm_gguf_export_decoder(w, &d, err);
	if (lm_buf_printf(w->e->notes, err,
		"no decoder that llama.cpp runs (%s): written as a plain container of tensors\n",
		why) < 0)
		return -1;
	return lm_gguf_export_plain(w, err);
}

static int
export_model(struct lm_export *e, struct loom_error *err)
{
	struct lm_gguf_writing w = { .e = e, .said = json_object() };
	int r;

	lm_buf_init(&w.values, SIZE_MAX / 4);
	r = w.said != NULL ? 0 : lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	if (r == 0)
		r = choose_dtype(&w, err);
	if (r == 0)
		r = export_as(&w, err);
	lm_buf_release(&w.values);
	json_decref(w.said);
	return r;
}

const struct lm_format_ops lm_format_gguf = {
	.name = "gguf",
	.about = "a GGUF file",
	.holds = LM_HOLDS_MODEL,
	.can = LM_READ | LM_EXPORT,
	.takes = LM_TAKES_DTYPE | LM_TAKES_TOKENIZER,
	.sniff = sniff,
	.read = read_model,
	.export = export_model,
};
