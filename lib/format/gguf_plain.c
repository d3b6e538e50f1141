/*
 * gguf_plain: any network in a GGUF file that llama.cpp does not run, but every reader of the
 * container lists: the architecture is "loom", the graph stands in loom.topology as in the bridge
 * section of a checkpoint, the weights are l.NODE.SLOT.  What has more than four axes is folded
 * into them.
 */
#include <string.h>

#include "format/entity.h"
#include "format/gguf.h"
#include "format/topology.h"

enum { LONGEST_NAME = 64, LONGEST_KEY = 100 };

#define TOPOLOGY "loom.topology"
#define CHECKPOINT "loom.checkpoint"

static const char *
name_of(char dst[LONGEST_NAME], size_t node, const char *slot)
{
	(void)snprintf(dst, LONGEST_NAME, "l.%zu.%s", node, slot);
	return dst;
}

/* What stands in the file: one axis at least, four at most, the leading ones folded. */
static void
fold(struct lm_shape *s)
{
	unsigned more = s->rank > LM_GGUF_RANK ? s->rank - LM_GGUF_RANK : 0, i;

	if (s->rank == 0)
		s->dim[s->rank++] = 1;
	for (i = 1; i <= more; i++)
		s->dim[0] *= s->dim[i];
	for (i = 1; more > 0 && i < LM_GGUF_RANK; i++)
		s->dim[i] = s->dim[i + more];
	s->rank -= more;
}

/* ---- reading ---- */

/* bool stands as int8. */
static int
read_dtype(const struct lm_gguf *g, struct lm_gguf_tensor *t, struct loom_error *err)
{
	char key[LONGEST_KEY], shown[LM_SHOWN];
	const char *name = NULL;
	int r;

	(void)snprintf(key, sizeof(key), "loom.dtype.%s", t->name);
	r = lm_gguf_text(g, key, 0, &name, err);
	if (r != 1)
		return r;
	if (strcmp(name, "bool") != 0 || t->dtype != lm_dtype_get(LM_I8))
		return lm_fail(err, LOOM_EFORMAT, "key %s is %s, expected bool of an I8", key,
		    lm_shown(shown, name));
	t->dtype = lm_dtype_get(LM_BOOL);
	return 0;
}

static int
put_view(struct loom_model *m, struct lm_gguf_tensor *t, struct lm_node *n, size_t slot,
    struct loom_error *err)
{
	struct lm_view *view = lm_arena_alloc(&m->arena, 1, sizeof(*view), err);
	struct lm_shape shape;

	if (view == NULL || lm_slot_shape(n, slot, &shape, err) < 0)
		return -1;
	fold(&shape);
	if (lm_gguf_view(t, &shape, view, err) < 0 || lm_node_put(n, slot, view->dtype, 1, err) < 0)
		return -1;
	n->weight[slot].view = view;
	return 0;
}

static int
read_slot(struct loom_model *m, struct lm_gguf *g, struct lm_node *n, size_t slot,
    struct loom_error *err)
{
	char name[LONGEST_NAME], shown[LM_SHOWN];
	struct lm_gguf_tensor *t;

	t = lm_gguf_tensor(g, name_of(name, m->n_nodes - 1, n->op->slots[slot].name));
	if (t == NULL)
		return lm_fail(err, LOOM_EFORMAT, "tensor %s, the %s of node %s, is missing", name,
		    n->op->slots[slot].name, lm_shown(shown, n->name));
	return read_dtype(g, t, err) < 0 ? -1 : put_view(m, t, n, slot, err);
}

static int
read_slots(struct loom_model *m, struct lm_node *n, void *context, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < lm_layer_slots(n->op); i++)
		if (lm_slot_wanted(n, i) && n->weight[i].same == NULL &&
		    read_slot(m, context, n, i, err) < 0)
			return -1;
	return 0;
}

/* The header of the checkpoint that it was, which loom-import may use. */
static int
keep_checkpoint(struct loom_model *m, const struct lm_gguf *g, struct loom_error *err)
{
	const char *text = NULL;
	int r = lm_gguf_text(g, CHECKPOINT, 0, &text, err);

	if (r != 1)
		return r;
	m->restore = lm_arena_string(&m->arena, text, err);
	m->restore_size = strlen(text);
	return m->restore != NULL ? 0 : -1;
}

int
lm_gguf_read_plain(struct loom_model *m, struct lm_gguf *g, struct loom_error *err)
{
	const char *text;

	if (lm_gguf_text(g, TOPOLOGY, 1, &text, err) < 0 ||
	    lm_topology_read(m, text, strlen(text), read_slots, g, err) < 0 ||
	    keep_checkpoint(m, g, err) < 0)
		return -1;
	return lm_gguf_all_used(g, "the network in " TOPOLOGY, err);
}

/* ---- writing ---- */

static int
put_topology(struct lm_gguf_writing *w, struct loom_error *err)
{
	struct lm_buf text;
	int r;

	lm_buf_init(&text, SIZE_MAX / 4);
	r = lm_topology_write(w->e->model, &text, err);
	if (r == 0)
		r = lm_gguf_put_text(w, TOPOLOGY, text.data, err);
	lm_buf_clear(&text);
	if (r == 0)
		r = lm_entity_text(w->e->model, &text, err);
	if (r == 0 && text.len > 0)
		r = lm_gguf_put_text(w, CHECKPOINT, text.data, err);
	lm_buf_release(&text);
	return r;
}

/* The extents that folding hides, for those who read the file without us. */
static int
put_shape(struct lm_gguf_writing *w, const char *name, const struct lm_shape *shape,
    struct loom_error *err)
{
	char key[LONGEST_KEY];
	unsigned i;

	(void)snprintf(key, sizeof(key), "loom.shape.%s", name);
	if (lm_gguf_put_array(w, key, LM_GGUF_U64, shape->rank, err) < 0)
		return -1;
	for (i = 0; i < shape->rank; i++)
		if (lm_gguf_put_element_u64(w, shape->dim[i], err) < 0)
			return -1;
	return 0;
}

static int
put_slot(struct lm_gguf_writing *w, size_t node, size_t slot, struct loom_error *err)
{
	const struct lm_node *n = w->e->model->nodes[node];
	char name[LONGEST_NAME], key[LONGEST_KEY];
	struct lm_shape shape, folded;

	if (lm_slot_shape(n, slot, &shape, err) < 0)
		return -1;
	(void)name_of(name, node, n->op->slots[slot].name);
	folded = shape;
	fold(&folded);
	if (folded.rank != shape.rank && put_shape(w, name, &shape, err) < 0)
		return -1;
	(void)snprintf(key, sizeof(key), "loom.dtype.%s", name);
	if (n->weight[slot].dtype == lm_dtype_get(LM_BOOL) &&
	    lm_gguf_put_text(w, key, "bool", err) < 0)
		return -1;
	return lm_gguf_put_slot(w, name, n, slot, &folded, err) != NULL ? 0 : -1;
}

static int
put_slots(struct lm_gguf_writing *w, struct loom_error *err)
{
	const struct loom_model *m = w->e->model;
	size_t i, k;

	if (lm_gguf_put_room(w, m->n_nodes * LM_SLOTS, err) < 0)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < lm_layer_slots(m->nodes[i]->op); k++)
			if (lm_slot_wanted(m->nodes[i], k) && m->nodes[i]->weight[k].same == NULL &&
			    put_slot(w, i, k, err) < 0)
				return -1;
	return 0;
}

int
lm_gguf_export_plain(struct lm_gguf_writing *w, struct loom_error *err)
{
	if (lm_gguf_put_general(w, "loom", err) < 0 || put_topology(w, err) < 0 ||
	    put_slots(w, err) < 0 || lm_gguf_put_file_type(w, err) < 0)
		return -1;
	return lm_gguf_write(w, err);
}
