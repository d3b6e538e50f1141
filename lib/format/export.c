/*
 * export: a network leaves for another engine.  What was written is read back, without what we wrote
 * beside the network, before it appears.
 */
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "format/format.h"
#include "model/same.h"

static int
no_format(const char *name, struct loom_error *err)
{
	const struct lm_format_ops *of;
	char names[256] = "", shown[LM_SHOWN];
	size_t i, used = 0;

	for (i = 0; (of = lm_format_at(i)) != NULL && used < sizeof(names); i++)
		if (of->can & LM_EXPORT)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
			    used > 0 ? ", " : "", of->name);
	return lm_fail(err, LOOM_EARG, "format %s is not one that is exported: %s",
	    lm_shown(shown, name), names);
}

/* ---- the check ---- */

static int
note(const struct lm_export *e, const char *what, const struct lm_buf *why, struct loom_error *err)
{
	const char *output = e->options->output;

	return lm_buf_printf(e->notes, err, "%s: %s%s%s\n",
	    output != NULL ? output : "standard output", what, why != NULL ? ": " : "",
	    why != NULL && why->len > 0 ? why->data : "");
}

/* What is found out about the files side by side; each writes into its own. */
enum { ON_THE_DISK, NETWORK, BITS, CHECKS };

struct check {
	struct lm_buf why;
	struct loom_error err;
	int r; /* 1 the same, 0 not, with why; -1 */
};

struct checking {
	struct lm_export *e;
	const struct loom_model *back;
	struct check check[CHECKS];
};

static int
look(struct checking *c, size_t what, struct lm_buf *why, struct loom_error *err)
{
	if (what == ON_THE_DISK)
		return lm_place_sync(c->e->place, err) < 0 ? -1 : 1;
	if (what == NETWORK)
		return lm_same_network(c->e->model, c->back, why, err);
	return c->e->options->dtype != NULL ? 1 : lm_same_bits(c->e->model, c->back, why, err);
}

static void
look_at(void *context, int worker, size_t from, size_t to)
{
	struct checking *c = context;
	struct check *check;

	(void)worker;
	for (; from < to; from++) {
		check = &c->check[from];
		check->r = look(c, from, &check->why, &check->err);
		if (check->r != 1)
			return; /* one that is another network need not even run */
	}
}

/* 1, or 0 with a note: the first that is not as it should be counts. */
static int
judge(struct checking *c, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < CHECKS && c->check[i].r == 1; i++)
		continue;
	if (i == CHECKS)
		return 1;
	if (c->check[i].r < 0) {
		*err = c->check[i].err;
		return -1;
	}
	return note(c->e, "reads back as another network, and is not written", &c->check[i].why,
	    err);
}

static int
compare(struct lm_export *e, const struct loom_model *back, struct loom_error *err)
{
	struct checking c = { .e = e, .back = back };
	struct lm_pool *pool;
	size_t i;
	int same;

	if (lm_pool_new(&pool, e->options->jobs > 1 ? e->options->jobs : 1, err) < 0)
		return -1;
	for (i = 0; i < CHECKS; i++) {
		lm_buf_init(&c.check[i].why, 1 << 16);
		c.check[i].r = 1;
	}
	lm_pool_each(pool, CHECKS, 1, look_at, &c);
	same = judge(&c, err);
	for (i = 0; i < CHECKS; i++)
		lm_buf_release(&c.check[i].why);
	lm_pool_free(pool);
	return same;
}

/* By the engine that it is for, if one was named. */
static int
verify(struct lm_export *e, const struct loom_model *back, struct loom_error *err)
{
	struct lm_made made;
	int r;

	if (e->options->verify == NULL)
		return note(e, "reads back identically here", NULL, err) < 0 ? -1 : 1;
	/* What the file computes, which is another thing where weights were rounded on the way. */
	if (lm_made_inputs(&made, back, err) < 0)
		return -1;
	r = e->options->verify(e->options->context, lm_place_path(e->place), made.inputs,
	    made.n_inputs, made.outputs, made.n_outputs, err);
	lm_made_release(&made);
	return r == 0 ? 1 : r == 1 ? 0 : -1;
}

static int
open_back(const struct lm_export *e, const struct lm_format_ops *format, struct loom_model **back,
    struct loom_error *err)
{
	struct loom_open_options how = { .windows = 1, .blind = 1 };

	if (format->read_back != NULL)
		return format->read_back(e, back, err);
	return loom_model_open_with(back, lm_place_path(e->place), &how, err);
}

static int
read_back(struct lm_export *e, const struct lm_format_ops *format, struct loom_error *err)
{
	struct loom_error why = { 0 };
	struct loom_model *back;
	struct lm_buf text;
	int same;

	if (open_back(e, format, &back, &why) < 0) {
		if (why.code == LOOM_ENOMEM || why.code == LOOM_EIO) {
			*err = why;
			return -1;
		}
		lm_buf_init(&text, 1 << 16);
		same = lm_buf_str(&text, why.text, err);
		if (same == 0)
			same = note(e, "does not read back, and is not written", &text, err);
		lm_buf_release(&text);
		return same < 0 ? -1 : 0;
	}
	same = compare(e, back, err);
	if (same == 1)
		same = verify(e, back, err);
	loom_model_free(back);
	return same;
}

/* ---- the way ---- */

static int
export_to(struct lm_export *e, const struct lm_format_ops *format, struct loom_error *err)
{
	int same = -1;

	if (lm_place_open(&e->place, e->options->output, format->directory, err) < 0)
		return -1;
	if (format->export(e, err) == 0)
		same = read_back(e, format, err);
	if (same == 1 && lm_place_commit(e->place, err) < 0)
		same = -1;
	lm_place_free(e->place);
	return same;
}

static int
check_options(const struct lm_format_ops *format, const struct loom_export_options *o,
    struct loom_error *err)
{
	if (format == NULL || (format->can & LM_EXPORT) == 0)
		return no_format(o->format, err);
	return lm_format_takes(format,
	    (o->dtype != NULL ? LM_TAKES_DTYPE : 0U) | (o->opset != 0 ? LM_TAKES_OPSET : 0U) |
		(o->tokenizer != NULL ? LM_TAKES_TOKENIZER : 0U),
	    err);
}

int
loom_export(const char *path, const struct loom_export_options *options, struct loom_exported *out,
    struct loom_error *err)
{
	const struct lm_format_ops *format = lm_format_find(options->format);
	struct loom_open_options how = { .windows = 1 };
	struct lm_arena arena = { 0 };
	struct lm_buf notes;
	struct lm_export e = { .options = options, .notes = &notes, .arena = &arena };
	struct loom_model *m;
	int same;

	memset(out, 0, sizeof(*out));
	if (check_options(format, options, err) < 0)
		return -1;
	if (loom_model_open_with(&m, path, &how, err) < 0)
		return -1;
	e.model = m;
	lm_buf_init(&notes, SIZE_MAX / 4);
	same = export_to(&e, format, err);
	if (same < 0)
		(void)lm_fail_in(err, m->name);
	out->same = same == 1;
	out->notes = notes.len > 0 ? notes.data : NULL;
	if (notes.len == 0)
		lm_buf_release(&notes);
	lm_arena_release(&arena);
	loom_model_free(m);
	return same < 0 ? -1 : 0;
}

void
loom_exported_release(struct loom_exported *out)
{
	lm_free(out->notes);
	memset(out, 0, sizeof(*out));
}
