/*
 * torch: a state dict: the arrays that a network's weights came from, whole and under the names that they had
 * there, as a .safetensors that load_state_dict and the like take.
 */
#include <stdlib.h>
#include <string.h>

#include "format/flat.h"
#include "layer/layout.h"

/* A slot that is in an array. */
struct part {
	const struct lm_node *node;
	size_t slot, order;
	const struct lm_weight *weight;
	struct lm_shape shape;
};

struct array {
	const struct part *parts;
	size_t n;
};

/* A name of an array; first, so that lm_flat_order sorts these. */
struct entry {
	struct lm_outgoing as;
	const struct array *array;
};

struct plan {
	struct lm_export *e;
	const struct lm_dtype *narrow; /* what float32 becomes, or NULL */
	struct part *parts;	       /* of one array after those of another */
	struct array *arrays;
	struct entry *entries;
	size_t n_parts, n_arrays, n_entries;
};

/* ---- what is in it ---- */

static int
no_place(const struct lm_node *node, size_t slot, struct loom_error *err)
{
	const char *source = node->weight[slot].source;
	char shown[LM_SHOWN], array[LM_SHOWN];

	if (source == NULL)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s: tensor %s has no place in a state dict: it was computed, or nobody "
		    "said from where it came; write -f safetensors",
		    lm_shown(shown, node->name), node->op->slots[slot].name);
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "node %s: tensor %s has no place in a state dict: nobody said where in %s it lies; "
	    "write -f safetensors",
	    lm_shown(shown, node->name), node->op->slots[slot].name, lm_shown(array, source));
}

static int
add_part(struct plan *p, const struct lm_node *node, size_t slot, struct loom_error *err)
{
	const struct lm_weight *w = &node->weight[slot];
	struct part *part = &p->parts[p->n_parts];

	if (w->layout == NULL)
		return strcmp(node->op->name, "constant") == 0 ? 0 : no_place(node, slot, err);
	part->node = node;
	part->slot = slot;
	part->order = p->n_parts++;
	part->weight = w;
	return lm_slot_shape(node, slot, &part->shape, err);
}

static int
by_source(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int r = strcmp(x->weight->source, y->weight->source);

	return r != 0 ? r : x->order < y->order ? -1 : 1;
}

static int
find_parts(struct plan *p, struct loom_error *err)
{
	const struct loom_model *m = p->e->model;
	size_t i, k;

	p->parts = lm_arena_alloc(p->e->arena, m->n_nodes * LM_SLOTS, sizeof(*p->parts), err);
	if (p->parts == NULL)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < lm_layer_slots(m->nodes[i]->op); k++)
			if (m->nodes[i]->weight[k].dtype != NULL &&
			    m->nodes[i]->weight[k].same == NULL &&
			    add_part(p, m->nodes[i], k, err) < 0)
				return -1;
	if (p->n_parts > 0)
		qsort(p->parts, p->n_parts, sizeof(*p->parts), by_source);
	return 0;
}

/* ---- arrays ---- */

static int
other_array(const struct part *a, const struct part *b, struct loom_error *err)
{
	const struct lm_layout *x = a->weight->layout, *y = b->weight->layout;
	struct lm_shape one = { .dtype = lm_outgoing_dtype(a->node, a->slot), .rank = x->rank };
	struct lm_shape two = { .dtype = lm_outgoing_dtype(b->node, b->slot), .rank = y->rank };
	char array[LM_SHOWN], u[LM_SHAPE_TEXT], v[LM_SHAPE_TEXT];

	memcpy(one.dim, x->shape, sizeof(one.dim));
	memcpy(two.dim, y->shape, sizeof(two.dim));
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "array %s: it is %s for tensor %s of node %.80s, and %s for tensor %s of node %.80s",
	    lm_shown(array, a->weight->source), lm_shape_text(u, &one),
	    a->node->op->slots[a->slot].name, a->node->name, lm_shape_text(v, &two),
	    b->node->op->slots[b->slot].name, b->node->name);
}

/* Parts of one name follow each other; they must be of one array. */
static int
find_arrays(struct plan *p, struct loom_error *err)
{
	const struct part *first;
	struct array *a = NULL;
	size_t i;

	p->arrays = lm_arena_alloc(p->e->arena, p->n_parts + 1, sizeof(*p->arrays), err);
	if (p->arrays == NULL)
		return -1;
	for (i = 0; i < p->n_parts; i++) {
		first = a != NULL ? a->parts : NULL;
		if (first == NULL ||
		    strcmp(first->weight->source, p->parts[i].weight->source) != 0) {
			a = &p->arrays[p->n_arrays++];
			a->parts = first = &p->parts[i];
		}
		if (!lm_layout_same_array(first->weight->layout, p->parts[i].weight->layout) ||
		    lm_outgoing_dtype(first->node, first->slot) !=
			lm_outgoing_dtype(p->parts[i].node, p->parts[i].slot))
			return other_array(first, &p->parts[i], err);
		a->n++;
	}
	return 0;
}

/* ---- names ---- */

static int
add_entry(struct plan *p, const struct array *a, const char *name, struct loom_error *err)
{
	struct entry *entry = &p->entries[p->n_entries++];
	const struct part *part = a->parts;
	const struct lm_layout *l = part->weight->layout;
	const struct lm_dtype *dtype = lm_outgoing_dtype(part->node, part->slot);
	struct lm_shape shape = { .rank = l->rank };
	char shown[LM_SHOWN];

	if (strlen(name) > LM_TENSOR_NAME)
		return lm_fail(err, LOOM_EUNSUPPORTED, "array %s: a name of more than %d bytes",
		    lm_shown(shown, name), LM_TENSOR_NAME);
	memcpy(shape.dim, l->shape, sizeof(shape.dim));
	if (p->narrow != NULL && dtype == lm_dtype_get(LM_F32))
		dtype = p->narrow;
	entry->array = a;
	return lm_outgoing_begin(&entry->as, p->e->arena, name, dtype, &shape, 0, err);
}

/* Once, however many of the parts say so. */
static int
add_name(struct plan *p, const struct array *a, const char *name, struct lm_names *names,
    struct loom_error *err)
{
	size_t at = lm_names_find(names, name), array = (size_t)(a - p->arrays);
	char shown[LM_SHOWN], x[LM_SHOWN], y[LM_SHOWN];

	if (at == array)
		return 0;
	if (at != LM_NO_NAME)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "array %s: by its aliases it is both %s and %s", lm_shown(shown, name),
		    lm_shown(x, p->arrays[at].parts->weight->source),
		    lm_shown(y, a->parts->weight->source));
	if (lm_names_add(names, p->e->arena, name, array, err) < 0)
		return -1;
	return add_entry(p, a, name, err);
}

static int
add_aliases(struct plan *p, const struct array *a, struct lm_names *names, struct loom_error *err)
{
	const char *const *alias;
	size_t i;

	for (i = 0; i < a->n; i++)
		for (alias = a->parts[i].weight->aliases; alias != NULL && *alias != NULL; alias++)
			if (add_name(p, a, *alias, names, err) < 0)
				return -1;
	return 0;
}

static size_t
count_names(const struct plan *p)
{
	size_t n = p->n_arrays, i;
	const char *const *alias;

	for (i = 0; i < p->n_parts; i++)
		for (alias = p->parts[i].weight->aliases; alias != NULL && *alias != NULL; alias++)
			n++;
	return n;
}

static int
find_entries(struct plan *p, struct loom_error *err)
{
	struct lm_names names = { 0 };
	size_t i;

	p->entries = lm_arena_alloc(p->e->arena, count_names(p) + 1, sizeof(*p->entries), err);
	if (p->entries == NULL)
		return -1;
	for (i = 0; i < p->n_arrays; i++)
		if (add_name(p, &p->arrays[i], p->arrays[i].parts->weight->source, &names, err) < 0)
			return -1;
	for (i = 0; i < p->n_arrays; i++)
		if (add_aliases(p, &p->arrays[i], &names, err) < 0)
			return -1;
	if (p->n_entries > 0)
		qsort(p->entries, p->n_entries, sizeof(*p->entries), lm_flat_order);
	return 0;
}

/* ---- the bytes of an array ---- */

struct gathering {
	const struct lm_outgoing *to;
	unsigned char *data, *seen; /* seen: a bit for each element that some part gave */
	uint64_t n_seen;
};

static int
fail_twice(const struct gathering *g, const struct part *part, uint64_t element,
    struct loom_error *err)
{
	char shown[LM_SHOWN];

	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "array %s: tensor %s of node %.80s says another value for element %llu than the "
	    "tensor before it",
	    lm_shown(shown, g->to->name), part->node->op->slots[part->slot].name, part->node->name,
	    (unsigned long long)element);
}

static int
fail_missing(const struct gathering *g, uint64_t count, struct loom_error *err)
{
	uint64_t element = 0;
	char shown[LM_SHOWN];

	while (g->seen[element / 8] >> element % 8 & 1)
		element++;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "array %s: the network has %llu of its %llu elements (not element %llu), a state dict "
	    "all of them; write -f safetensors",
	    lm_shown(shown, g->to->name), (unsigned long long)g->n_seen, (unsigned long long)count,
	    (unsigned long long)element);
}

/* What is there already must be the same. */
static int
put_again(const struct gathering *g, const struct part *part, uint64_t element,
    const unsigned char *value, size_t size, struct loom_error *err)
{
	return memcmp(g->data + element * size, value, size) == 0
	    ? 0
	    : fail_twice(g, part, element, err);
}

/* n values to elements that are step apart (modulo 2^64). */
static int
put_row(struct gathering *g, const struct part *part, uint64_t element, uint64_t step,
    const unsigned char *value, uint64_t n, size_t size, struct loom_error *err)
{
	unsigned char bit, *seen;
	uint64_t i;

	for (i = 0; i < n; i++, element += step, value += size) {
		bit = (unsigned char)(1u << element % 8);
		seen = &g->seen[element / 8];
		if (*seen & bit) {
			if (put_again(g, part, element, value, size, err) < 0)
				return -1;
			continue;
		}
		*seen |= bit;
		g->n_seen++;
		if (size == sizeof(float))
			memcpy(g->data + element * sizeof(float), value, sizeof(float));
		else
			memcpy(g->data + element * size, value, size);
	}
	return 0;
}

/* The part's values, in canonical order, to their places. */
static int
scatter(struct gathering *g, const struct part *part, const unsigned char *values,
    struct loom_error *err)
{
	const struct lm_layout *l = part->weight->layout;
	uint64_t at[LOOM_RANK] = { 0 }, element = l->first, i, n, step;
	size_t size = g->to->dtype->bits / 8;
	unsigned k;

	n = l->axes > 0 ? part->shape.dim[l->axes - 1] : 1;
	step = l->axes > 0 ? (uint64_t)l->stride[l->axes - 1] : 1;
	for (i = 0; i < part->weight->count; i += n, values += n * size) {
		if (put_row(g, part, element, step, values, n, size, err) < 0)
			return -1;
		for (k = l->axes; k-- > 1;) {
			element += (uint64_t)l->stride[k - 1]; /* modulo 2^64 */
			if (++at[k - 1] < part->shape.dim[k - 1])
				break;
			element -= at[k - 1] * (uint64_t)l->stride[k - 1];
			at[k - 1] = 0;
		}
	}
	return 0;
}

/* A part as it is written, in the dtype of its array. */
static int
part_as(struct lm_outgoing *t, const struct part *part, const struct lm_outgoing *array,
    struct lm_arena *arena, struct loom_error *err)
{
	if (lm_outgoing_slot(t, arena, array->name, part->node, part->slot, err) < 0)
		return -1;
	return lm_outgoing_as(t, array->dtype, NULL, err);
}

static int
gather_part(struct gathering *g, const struct part *part, struct lm_loss *loss,
    struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	const unsigned char *values = NULL;
	unsigned char *copy;
	struct lm_outgoing t;
	int r = part_as(&t, part, g->to, &arena, err);

	if (r == 0 && part->weight->dtype == t.dtype)
		values = lm_weight_bytes(part->weight, &arena, err);
	else if (r == 0) {
		copy = lm_arena_alloc(&arena, (size_t)t.bytes + 1, 1, err);
		if (copy != NULL && lm_outgoing_copy(&t, copy, loss, err) == 0)
			values = copy;
	}
	r = values != NULL ? scatter(g, part, values, err) : -1;
	lm_arena_release(&arena);
	return r;
}

static int
gather(struct gathering *g, const struct array *a, struct lm_sink *sink, struct lm_loss *loss,
    struct loom_error *err)
{
	uint64_t count = lm_layout_count(a->parts->weight->layout);
	size_t i;
	int r = 0;

	g->data = lm_alloc((size_t)g->to->bytes + 1, 1, err);
	g->seen = g->data != NULL ? lm_alloc((size_t)(count / 8 + 1), 1, err) : NULL;
	if (g->seen == NULL)
		return -1;
	for (i = 0; r == 0 && i < a->n; i++)
		r = gather_part(g, &a->parts[i], loss, err);
	if (r == 0 && g->n_seen < count)
		r = fail_missing(g, count, err);
	return r == 0 ? lm_sink_write(sink, g->data, (size_t)g->to->bytes, err) : -1;
}

static int
write_array(const struct lm_flat *f, size_t i, struct lm_sink *sink, struct lm_loss *loss,
    struct loom_error *err)
{
	const struct plan *p = f->context;
	const struct array *a = p->entries[i].array;
	const struct part *part = a->parts;
	struct gathering g = { .to = &f->tensors[i] };
	struct lm_arena arena = { 0 };
	struct lm_outgoing t;
	int r;

	if (a->n > 1 || !lm_layout_whole(part->weight->layout, part->shape.dim)) {
		r = gather(&g, a, sink, loss, err);
		lm_free(g.data);
		lm_free(g.seen);
		return r;
	}
	r = part_as(&t, part, &f->tensors[i], &arena, err);
	if (r == 0)
		r = lm_outgoing_write(&t, sink, loss, err);
	lm_arena_release(&arena);
	return r;
}

/* ---- the file ---- */

static int
find_all(struct plan *p, struct lm_flat *f, struct loom_error *err)
{
	size_t i;

	if (lm_flat_dtype(p->e, 1, &p->narrow, err) < 0 || find_parts(p, err) < 0 ||
	    find_arrays(p, err) < 0 || find_entries(p, err) < 0)
		return -1;
	f->n = p->n_entries;
	f->tensors = lm_arena_alloc(p->e->arena, f->n + 1, sizeof(*f->tensors), err);
	for (i = 0; f->tensors != NULL && i < f->n; i++)
		f->tensors[i] = p->entries[i].as;
	return f->tensors != NULL ? 0 : -1;
}

static int
export_network(struct lm_export *e, struct loom_error *err)
{
	struct plan plan = { .e = e };
	struct lm_flat f = { .write = write_array, .context = &plan };

	if (find_all(&plan, &f, err) < 0)
		return -1;
	return lm_flat_put(&f, e, lm_safetensors_write, err);
}

/* By the layouts, as anyone's state dict is read. */
static int
read_back(const struct lm_export *e, struct loom_model **out, struct loom_error *err)
{
	return lm_flat_open_like(out, lm_place_path(e->place), e->model, err);
}

const struct lm_format_ops lm_format_torch = {
	.name = "torch",
	.about =
	    "a state dict: .safetensors with the names and arrays of where a network came from",
	.holds = LM_HOLDS_MODEL,
	.can = LM_EXPORT,
	.takes = LM_TAKES_DTYPE,
	.export = export_network,
	.read_back = read_back,
};
