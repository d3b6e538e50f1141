/* topology_fill: weights for a network from a file of tensors. */
#include <string.h>

#include "format/topology.h"
#include "layer/weight.h"

int
lm_topology_name(struct lm_buf *buf, const struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	return lm_buf_printf(buf, err, "%s.%s", node->name, node->op->slots[slot].name);
}

enum { PIECE = 1 << 14 };

struct filling {
	struct loom_model *model;
	struct loom_tensors *tensors;
	struct lm_names names;
	const struct loom_model *like;
	unsigned char *used;
	int state_dict; /* no topology, and arrays that layouts of the template lie in */
};

/* ---- a slot and its tensor ---- */

struct pair {
	struct lm_node *node;
	size_t slot, entry;
	const struct lm_weight *twin;	/* what the template has there, or NULL */
	const struct lm_layout *layout; /* where in the tensor it lies; NULL: it is all of it */
	struct lm_shape extents, stored;
};

static int
wrong_type(const struct pair *p, const struct lm_entry *e, struct loom_error *err)
{
	char shown[LM_SHOWN];

	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "tensor %s is %s; the %s of node %.80s takes real numbers",
	    lm_shown(shown, e->tensor.name), e->dtype->name, p->node->op->slots[p->slot].name,
	    p->node->name);
}

/* Fills extents and stored. */
static int
check_entry(struct pair *p, const struct lm_entry *e, struct loom_error *err)
{
	char shown[LM_SHOWN], a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
	struct lm_shape want;

	if (lm_slot_shape(p->node, p->slot, &p->extents, err) < 0)
		return -1;
	want = p->extents;
	if (p->layout != NULL) {
		want.rank = p->layout->rank;
		memcpy(want.dim, p->layout->shape, sizeof(want.dim));
	}
	p->stored.rank = e->tensor.rank;
	memcpy(p->stored.dim, e->tensor.shape, sizeof(p->stored.dim));
	want.dtype = p->stored.dtype = e->dtype;
	if (!lm_shape_same(&want, &p->stored))
		return lm_fail(err, LOOM_ESHAPE, "tensor %s: expected %s, found %s",
		    lm_shown(shown, e->tensor.name), lm_shape_text(a, &want),
		    lm_shape_text(b, &p->stored));
	if (!p->node->op->slots[p->slot].any && e->dtype->kind != LM_FLOATING)
		return wrong_type(p, e, err);
	return 0;
}

/* ---- values ---- */

/* All values of an entry, in memory of the arena. */
static unsigned char *
load(struct loom_tensors *t, size_t i, struct lm_arena *arena, struct loom_error *err)
{
	const struct lm_entry *e = &t->entries[i];
	unsigned char *data = lm_arena_alloc(arena, (size_t)e->bytes, 1, err);

	return data != NULL && loom_tensors_read(t, i, data, (size_t)e->count, err) == 0 ? data
											 : NULL;
}

/* A copy in the model's memory. */
static int
copy(struct filling *f, const struct pair *p, struct loom_error *err)
{
	struct lm_weight *w = &p->node->weight[p->slot];
	struct lm_view part = { .dtype = w->dtype };
	struct lm_arena whole = { 0 };
	unsigned char *from, *to = NULL;

	if (p->layout == NULL) {
		w->data = load(f->tensors, p->entry, &f->model->arena, err);
		return w->data != NULL ? 0 : -1;
	}
	if (lm_layout_view(p->layout, p->extents.dim, &part, err) < 0)
		return -1;
	from = load(f->tensors, p->entry, &whole, err);
	if (from != NULL)
		to = lm_arena_alloc(&f->model->arena, (size_t)w->bytes, 1, err);
	if (to != NULL)
		lm_view_gather(&part, from, to);
	lm_arena_release(&whole);
	w->data = to;
	return to != NULL ? 0 : -1;
}

/* Where its values lie in the file. */
static int
look(struct filling *f, const struct pair *p, uint64_t offset, struct loom_error *err)
{
	const struct lm_entry *e = &f->tensors->entries[p->entry];
	struct lm_view *view = lm_arena_alloc(&f->model->arena, 1, sizeof(*view), err);
	struct lm_shape flat = { .dtype = e->dtype, .rank = 1, .dim = { e->count } };

	if (view == NULL ||
	    lm_view_whole(view, e->source != NULL ? e->source : f->tensors->source, offset,
		e->dtype, NULL, p->layout != NULL ? &flat : &p->stored, err) < 0 ||
	    (p->layout != NULL && lm_layout_view(p->layout, p->extents.dim, view, err) < 0))
		return -1;
	p->node->weight[p->slot].view = view;
	return 0;
}

/* 1 and where an entry lies in its source as it is; 0: nowhere. */
static int
find_place(struct loom_tensors *t, const struct lm_entry *e, uint64_t *offset,
    struct loom_error *err)
{
	*offset = e->offset;
	return t->place != NULL ? t->place(t, e, offset, err) : 1;
}

/* The slot becomes a view of the entry, or a copy where the file does not have the values as they are. */
static int
put(struct filling *f, struct pair *p, struct loom_error *err)
{
	const struct lm_entry *e = &f->tensors->entries[p->entry];
	uint64_t offset;
	int there;

	if (check_entry(p, e, err) < 0 || lm_node_put(p->node, p->slot, e->dtype, 1, err) < 0)
		return -1;
	f->used[p->entry] = 1;
	there = find_place(f->tensors, e, &offset, err);
	if (there < 0)
		return -1;
	return there > 0 ? look(f, p, offset, err) : copy(f, p, err);
}

/* ---- one array under several names ---- */

static int
same_loaded(struct filling *f, size_t a, size_t b, struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	const unsigned char *x = load(f->tensors, a, &arena, err);
	const unsigned char *y = x != NULL ? load(f->tensors, b, &arena, err) : NULL;
	int same = y != NULL ? memcmp(x, y, (size_t)f->tensors->entries[a].bytes) == 0 : -1;

	lm_arena_release(&arena);
	return same;
}

static int
same_placed(struct filling *f, const struct lm_entry *a, uint64_t at_a, const struct lm_entry *b,
    uint64_t at_b, struct loom_error *err)
{
	unsigned char x[PIECE], y[PIECE];
	uint64_t done;
	size_t n;

	for (done = 0; done < a->bytes; done += n) {
		n = a->bytes - done < PIECE ? (size_t)(a->bytes - done) : PIECE;
		if (lm_source_at(a->source != NULL ? a->source : f->tensors->source, at_a + done, x,
			n, err) < 0 ||
		    lm_source_at(b->source != NULL ? b->source : f->tensors->source, at_b + done, y,
			n, err) < 0)
			return -1;
		if (memcmp(x, y, n) != 0)
			return 0;
	}
	return 1;
}

/* 1: the entries are one array; 0; -1. */
static int
same_entries(struct filling *f, size_t i, size_t k, struct loom_error *err)
{
	const struct lm_entry *a = &f->tensors->entries[i], *b = &f->tensors->entries[k];
	uint64_t at_a, at_b;
	int there_a, there_b;

	if (a->dtype != b->dtype || a->tensor.rank != b->tensor.rank ||
	    memcmp(a->tensor.shape, b->tensor.shape, a->tensor.rank * sizeof(*a->tensor.shape)) !=
		0)
		return 0;
	there_a = find_place(f->tensors, a, &at_a, err);
	there_b = there_a < 0 ? -1 : find_place(f->tensors, b, &at_b, err);
	if (there_b < 0)
		return -1;
	if (there_a > 0 && there_b > 0)
		return same_placed(f, a, at_a, b, at_b, err);
	return same_loaded(f, i, k, err);
}

/* All its names that the file has mean the same values: here it is one array. */
static int
check_aliases(struct filling *f, const struct pair *p, struct loom_error *err)
{
	const char *const *alias = p->twin->aliases;
	const struct lm_entry *e = &f->tensors->entries[p->entry];
	char a[LM_SHOWN], b[LM_SHOWN];
	size_t other;
	int same;

	for (; alias != NULL && *alias != NULL; alias++) {
		other = lm_names_find(&f->names, *alias);
		if (other == LM_NO_NAME || f->used[other])
			continue;
		same = same_entries(f, p->entry, other, err);
		if (same < 0)
			return -1;
		if (!same)
			return lm_fail(err, LOOM_EFORMAT,
			    "tensors %s and %s are one array in the network, and differ here",
			    lm_shown(a, e->tensor.name), lm_shown(b, *alias));
		f->used[other] = 1;
	}
	return 0;
}

/* ---- which tensor is it? ---- */

/* By the names of the array that the template's slot came from. */
static size_t
by_source(const struct filling *f, const struct lm_weight *twin)
{
	const char *const *alias = twin != NULL ? twin->aliases : NULL;
	size_t at = LM_NO_NAME;

	if (twin != NULL && twin->source != NULL)
		at = lm_names_find(&f->names, twin->source);
	for (; at == LM_NO_NAME && alias != NULL && *alias != NULL; alias++)
		at = lm_names_find(&f->names, *alias);
	return at;
}

static int
put_source(struct filling *f, struct pair *p, struct loom_error *err)
{
	p->layout = p->twin->layout;
	if (put(f, p, err) < 0)
		return -1;
	return check_aliases(f, p, err);
}

/* A value that the network computes with and that is no weight is the template's. */
static int
put_constant(struct filling *f, struct pair *p, struct loom_error *err)
{
	struct lm_weight *w = &p->node->weight[p->slot];
	struct lm_arena arena = { 0 };
	const unsigned char *bytes;
	unsigned char *data;

	if (lm_node_put(p->node, p->slot, p->twin->dtype, p->twin->scale, err) < 0)
		return -1;
	data = lm_arena_alloc(&f->model->arena, (size_t)w->bytes + 1, 1, err);
	bytes = data != NULL ? lm_weight_bytes(p->twin, &arena, err) : NULL;
	if (bytes != NULL)
		memcpy(data, bytes, (size_t)w->bytes);
	lm_arena_release(&arena);
	w->data = data;
	return bytes != NULL ? 0 : -1;
}

static int
computed(const struct pair *p, struct loom_error *err)
{
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "node %.80s: its %s is computed from arrays of a state dict, or nobody said where in them "
	    "it lies: it cannot be taken from one",
	    p->node->name, p->node->op->slots[p->slot].name);
}

static int
no_tensor(const struct pair *p, const char *name, struct loom_error *err)
{
	char shown[LM_SHOWN];

	if (p->twin == NULL || p->twin->source == NULL)
		return lm_fail(err, LOOM_EFORMAT, "no tensor is called %.200s", name);
	return lm_fail(err, LOOM_EFORMAT, "no tensor is called %s or %.200s",
	    lm_shown(shown, p->twin->source), name);
}

/*
 * A file with a topology has the names of its slots; any other is a state dict first: it has the names of
 * where the network came from.
 */
static int
fill_named(struct filling *f, struct pair *p, const char *name, struct loom_error *err)
{
	int ours = f->tensors->topology != NULL;
	int constant = strcmp(p->node->op->name, "constant") == 0;
	size_t source = by_source(f, p->twin);

	if (f->state_dict && p->twin != NULL && p->twin->layout == NULL)
		return constant ? put_constant(f, p, err) : computed(p, err);
	p->entry = source;
	if (!ours && source != LM_NO_NAME)
		return put_source(f, p, err);
	p->entry = lm_names_find(&f->names, name);
	if (p->entry != LM_NO_NAME)
		return put(f, p, err);
	p->entry = source;
	if (source != LM_NO_NAME)
		return put_source(f, p, err);
	if (!ours && p->twin != NULL && p->twin->layout == NULL && constant)
		return put_constant(f, p, err);
	return no_tensor(p, name, err);
}

/* Where the template's slot lies in the arrays of another engine, this one does. */
static int
keep_origin(struct filling *f, struct lm_weight *w, const struct lm_weight *twin,
    struct loom_error *err)
{
	struct lm_arena *arena = &f->model->arena;
	struct lm_layout *layout;
	const char **aliases;
	size_t n = 0, i;

	if (twin->source == NULL)
		return 0;
	while (twin->aliases != NULL && twin->aliases[n] != NULL)
		n++;
	layout = lm_arena_alloc(arena, 1, sizeof(*layout), err);
	aliases = lm_arena_alloc(arena, n + 1, sizeof(*aliases), err);
	w->source = lm_arena_string(arena, twin->source, err);
	if (layout == NULL || aliases == NULL || w->source == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		aliases[i] = lm_arena_string(arena, twin->aliases[i], err);
		if (aliases[i] == NULL)
			return -1;
	}
	w->aliases = n > 0 ? aliases : NULL;
	if (twin->layout != NULL) {
		*layout = *twin->layout;
		w->layout = layout;
	}
	return 0;
}

static int
fill_slot(struct filling *f, struct lm_node *node, size_t slot, struct loom_error *err)
{
	const struct lm_node *twin = f->like != NULL ? lm_model_find(f->like, node->name) : NULL;
	struct pair p = { .node = node, .slot = slot };
	struct lm_buf name;
	int r;

	if (twin != NULL)
		p.twin = &twin->weight[slot];
	lm_buf_init(&name, 1 << 16);
	r = lm_topology_name(&name, node, slot, err);
	if (r == 0)
		r = fill_named(f, &p, name.data, err);
	lm_buf_release(&name);
	if (r == 0 && p.twin != NULL)
		r = keep_origin(f, &node->weight[slot], p.twin, err);
	return r;
}

static int
fill_node(struct loom_model *m, struct lm_node *node, void *context, struct loom_error *err)
{
	size_t k;

	(void)m;
	for (k = 0; k < lm_layer_slots(node->op); k++)
		if (lm_slot_wanted(node, k) && node->weight[k].same == NULL &&
		    fill_slot(context, node, k, err) < 0)
			return -1;
	return 0;
}

/* ---- the whole ---- */

/* Has the file an array in which a slot of the template is known to lie? */
static int
is_state_dict(const struct filling *f)
{
	const struct lm_weight *twin;
	size_t i, k;

	if (f->tensors->topology != NULL || f->like == NULL)
		return 0;
	for (i = 0; i < f->like->n_nodes; i++)
		for (k = 0; k < LM_SLOTS; k++) {
			twin = &f->like->nodes[i]->weight[k];
			if (twin->layout != NULL && by_source(f, twin) != LM_NO_NAME)
				return 1;
		}
	return 0;
}

/* PyTorch's batch norms count how often they were trained, which changes nothing. */
static int
is_count(const char *name)
{
	static const char count[] = ".num_batches_tracked";
	size_t n = strlen(name), k = sizeof(count) - 1;

	return n >= k && strcmp(name + n - k, count) == 0;
}

static int
all_used(const struct filling *f, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < f->tensors->n; i++)
		if (!f->used[i] && !is_count(f->tensors->entries[i].tensor.name))
			return lm_fail(err, LOOM_EFORMAT, "tensor %s belongs to no node",
			    lm_shown(shown, f->tensors->entries[i].tensor.name));
	return 0;
}

int
lm_topology_fill(struct loom_model *m, const char *text, size_t n, struct loom_tensors *t,
    const struct loom_model *like, struct loom_error *err)
{
	struct filling f = { .model = m, .tensors = t, .like = like };
	struct lm_arena arena = { 0 };
	size_t i;
	int r;

	f.used = lm_arena_alloc(&arena, t->n, 1, err);
	r = f.used != NULL ? 0 : -1;
	for (i = 0; r == 0 && i < t->n; i++)
		r = lm_names_add(&f.names, &arena, t->entries[i].tensor.name, i, err);
	f.state_dict = r == 0 && is_state_dict(&f);
	if (r == 0)
		r = lm_topology_read(m, text, n, fill_node, &f, err);
	if (r == 0)
		r = all_used(&f, err);
	lm_arena_release(&arena);
	return r;
}
