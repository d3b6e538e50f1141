/* flat: networks in files that hold nothing but named tensors. */
#include "format/flat.h"

#include <stdlib.h>
#include <string.h>

#include "format/entity.h"
#include "format/facts.h"
#include "format/topology.h"

/* ---- reading ---- */

static int
no_topology(const struct loom_tensors *t, struct loom_error *err)
{
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "holds %zu tensors and does not say what network they are of: name one with "
	    "loom-import --template MODEL",
	    t->n);
}

int
lm_flat_keep(struct loom_model *m, const struct loom_tensors *t, struct loom_error *err)
{
	if (t->checkpoint == NULL)
		return 0;
	m->restore = lm_arena_string(&m->arena, t->checkpoint, err);
	m->restore_size = strlen(t->checkpoint);
	return m->restore != NULL ? 0 : -1;
}

/* The network that the user named, or the one that the file says. */
static int
put_topology(const struct loom_tensors *t, const struct loom_model *like, struct lm_buf *text,
    struct loom_error *err)
{
	if (like != NULL)
		return lm_topology_write(like, text, err);
	return t->topology != NULL ? lm_buf_str(text, t->topology, err) : no_topology(t, err);
}

/* What is said of the network beside the graph. */
static int
keep_titles(struct loom_model *m, const struct loom_model *like, struct loom_error *err)
{
	if (like->title != NULL) {
		m->title = lm_arena_string(&m->arena, like->title, err);
		if (m->title == NULL)
			return -1;
	}
	if (like->planet != NULL) {
		m->planet = lm_arena_string(&m->arena, like->planet, err);
		if (m->planet == NULL)
			return -1;
	}
	return lm_facts_keep(m, lm_facts(like, err), err);
}

static int
fill_like(struct loom_model *m, struct loom_tensors *t, const struct loom_model *like,
    struct loom_error *err)
{
	struct lm_buf text;
	int r;

	lm_buf_init(&text, SIZE_MAX / 4);
	r = put_topology(t, like, &text, err);
	if (r == 0)
		r = lm_topology_fill(m, text.data, text.len, t, like, err);
	lm_buf_release(&text);
	if (r == 0 && like != NULL)
		r = keep_titles(m, like, err);
	return r < 0 ? -1 : lm_flat_keep(m, t, err);
}

int
lm_flat_fill(struct loom_model *m, struct loom_tensors *t, struct loom_error *err)
{
	struct loom_model *like = NULL;
	int r;

	if (m->how.like != NULL && loom_model_open(&like, m->how.like, err) < 0)
		return -1;
	r = fill_like(m, t, like, err);
	loom_model_free(like);
	return r;
}

/* The tensors are gone then, and the model has their source. */
static int
take_tensors(struct loom_model *m, struct loom_tensors *t, const struct loom_model *like,
    struct loom_error *err)
{
	int r = like != NULL ? fill_like(m, t, like, err) : lm_flat_fill(m, t, err);

	m->source = t->source;
	t->source = NULL;
	loom_tensors_free(t);
	return r;
}

static int
read_source(struct loom_model *m, struct lm_source *source, const struct loom_model *like,
    struct loom_error *err)
{
	struct loom_tensors *t;

	m->source = NULL; /* the tensors have it now, and free it on failure */
	if (lm_tensors_open(&t, source, err) < 0)
		return -1;
	return take_tensors(m, t, like, err);
}

int
lm_flat_read(struct loom_model *m, struct lm_source *source, struct loom_error *err)
{
	return read_source(m, source, NULL, err);
}

int
lm_flat_open(struct loom_model **out, struct loom_tensors *t, struct loom_error *err)
{
	struct loom_model *m;

	*out = NULL;
	if (lm_model_new(&m, lm_source_name(t->source), err) < 0) {
		loom_tensors_free(t);
		return -1;
	}
	if (take_tensors(m, t, NULL, err) < 0 || lm_model_check(m, err) < 0) {
		(void)lm_fail_in(err, m->name);
		loom_model_free(m);
		return -1;
	}
	*out = m;
	return 0;
}

int
lm_flat_open_like(struct loom_model **out, const char *path, const struct loom_model *like,
    struct loom_error *err)
{
	struct lm_source *source;
	struct loom_model *m;

	*out = NULL;
	if (lm_source_open(&source, path, err) < 0)
		return -1;
	if (lm_model_new(&m, lm_source_name(source), err) < 0) {
		lm_source_free(source);
		return -1;
	}
	m->how.windows = 1;
	m->how.blind = 1;
	if (read_source(m, source, like, err) < 0 || lm_model_check(m, err) < 0) {
		loom_model_free(m);
		return -1;
	}
	*out = m;
	return 0;
}

/* ---- writing ---- */

static int
fail_dtype(const char *name, int bf16, struct loom_error *err)
{
	char shown[LM_SHOWN];

	return lm_fail(err, LOOM_EARG, "dtype %s is not one of this format: f16%s",
	    lm_shown(shown, name), bf16 ? " or bf16" : "");
}

int
lm_flat_dtype(const struct lm_export *e, int bf16, const struct lm_dtype **to,
    struct loom_error *err)
{
	const char *name = e->options->dtype;

	*to = NULL;
	if (name == NULL)
		return 0;
	if (strcmp(name, "f16") == 0 || strcmp(name, "float16") == 0)
		*to = lm_dtype_get(LM_F16);
	else if (bf16 && (strcmp(name, "bf16") == 0 || strcmp(name, "bfloat16") == 0))
		*to = lm_dtype_get(LM_BF16);
	return *to != NULL ? 0 : fail_dtype(name, bf16, err);
}

static int
add(struct lm_flat *f, struct lm_export *e, const struct lm_node *node, size_t slot,
    const struct lm_dtype *to, int bf16, struct loom_error *err)
{
	struct lm_outgoing *t = &f->tensors[f->n];
	struct lm_buf name;
	int r;

	lm_buf_init(&name, 1 << 16);
	r = lm_topology_name(&name, node, slot, err);
	if (r == 0)
		r = lm_outgoing_slot(t, e->arena, name.data, node, slot, err);
	lm_buf_release(&name);
	if (r < 0)
		return -1;
	f->n++;
	if (!bf16 && t->dtype == lm_dtype_get(LM_BF16) &&
	    lm_outgoing_as(t, lm_dtype_get(LM_F32), NULL, err) < 0)
		return -1;
	if (to == NULL || t->dtype != lm_dtype_get(LM_F32))
		return 0;
	return lm_outgoing_as(t, to, NULL, err);
}

int
lm_flat_order(const void *a, const void *b)
{
	const struct lm_outgoing *x = a, *y = b;

	if (x->dtype->bits != y->dtype->bits)
		return x->dtype->bits > y->dtype->bits ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
add_all(struct lm_flat *f, struct lm_export *e, int bf16, struct loom_error *err)
{
	const struct loom_model *m = e->model;
	const struct lm_dtype *to;
	size_t i, k;

	if (lm_flat_dtype(e, bf16, &to, err) < 0)
		return -1;
	f->tensors = lm_arena_alloc(e->arena, m->n_nodes * LM_SLOTS, sizeof(*f->tensors), err);
	if (f->tensors == NULL)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < lm_layer_slots(m->nodes[i]->op); k++)
			if (m->nodes[i]->weight[k].dtype != NULL &&
			    m->nodes[i]->weight[k].same == NULL &&
			    add(f, e, m->nodes[i], k, to, bf16, err) < 0)
				return -1;
	if (f->n > 0)
		qsort(f->tensors, f->n, sizeof(*f->tensors), lm_flat_order);
	return 0;
}

int
lm_flat_plan(struct lm_flat *f, struct lm_export *e, int bf16, struct loom_error *err)
{
	memset(f, 0, sizeof(*f));
	lm_buf_init(&f->topology, SIZE_MAX / 4);
	lm_buf_init(&f->checkpoint, SIZE_MAX / 4);
	if (add_all(f, e, bf16, err) < 0 || lm_topology_write(e->model, &f->topology, err) < 0)
		return -1;
	return lm_entity_text(e->model, &f->checkpoint, err);
}

/* A line for what a tensor lost, where something narrower was asked for. */
static int
note_loss(const struct lm_loss *loss, const struct lm_outgoing *t, struct lm_export *e,
    struct loom_error *err)
{
	if (e->options->dtype == NULL || loss->count == 0)
		return 0;
	return lm_loss_note(loss, t, lm_dtype_get(LM_F32), e->notes, err);
}

int
lm_flat_write(const struct lm_flat *f, size_t i, struct lm_export *e, struct lm_sink *sink,
    struct loom_error *err)
{
	struct lm_loss loss = { 0 };

	if ((f->write != NULL ? f->write(f, i, sink, &loss, err)
			      : lm_outgoing_write(&f->tensors[i], sink, &loss, err)) < 0)
		return -1;
	return note_loss(&loss, &f->tensors[i], e, err);
}

int
lm_flat_copy(const struct lm_flat *f, size_t i, struct lm_export *e, void *dst,
    struct loom_error *err)
{
	struct lm_loss loss = { 0 };

	if (lm_outgoing_copy(&f->tensors[i], dst, &loss, err) < 0)
		return -1;
	return note_loss(&loss, &f->tensors[i], e, err);
}

int
lm_flat_put(const struct lm_flat *f, struct lm_export *e, lm_flat_writer *writer,
    struct loom_error *err)
{
	struct lm_sink *sink = NULL;
	int r = lm_place_file(e->place, "", &sink, err);

	if (r == 0)
		r = writer(sink, f, e, err);
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_sink_free(sink);
	return r;
}

int
lm_flat_export(struct lm_export *e, int bf16, lm_flat_writer *writer, struct loom_error *err)
{
	struct lm_flat f;
	int r = lm_flat_plan(&f, e, bf16, err);

	if (r == 0)
		r = lm_flat_put(&f, e, writer, err);
	lm_flat_release(&f);
	return r;
}

void
lm_flat_release(struct lm_flat *f)
{
	lm_buf_release(&f->topology);
	lm_buf_release(&f->checkpoint);
}
