/*
 * request_mixer: version-1 requests whose layers are of many kinds.  The protocol has no words for how
 * they are joined: that follows from the kinds, and here it becomes nodes.
 */
#include "format/request_kinds.h"

#include <inttypes.h>
#include <string.h>

/* What flows: a value and the extents of one sample. */
struct flow {
	struct lm_building *b;
	const char *value;
	unsigned rank;
	int64_t dim[4];
	const char *once, *lasting; /* skips that wait; NULL: none */
};

static const uint64_t volume[] = { 1, 2, 2, 2 }, tokens[] = { 2 };

void
lm_request_mixer_shapes(struct lm_shape shape[2])
{
	const struct lm_dtype *f32 = lm_dtype_get(LM_F32);

	shape[0] = (struct lm_shape){ .dtype = f32, .rank = 4 };
	shape[1] = (struct lm_shape){ .dtype = f32, .rank = 1 };
	memcpy(shape[0].dim, volume, sizeof(volume));
	memcpy(shape[1].dim, tokens, sizeof(tokens));
}

static int64_t
count(const struct flow *f)
{
	int64_t n = 1;
	unsigned i;

	for (i = 0; i < f->rank; i++)
		n *= f->dim[i];
	return n;
}

static void
flows(struct flow *f, const struct lm_node *node, unsigned rank, const int64_t *dim)
{
	f->value = node->name;
	f->rank = rank;
	memmove(f->dim, dim, rank * sizeof(*dim));
}

/* ---- nodes between layers ---- */

static struct lm_node *
between(struct flow *f, const char *op, const char *what)
{
	struct lm_building *b = f->b;
	struct lm_node *node;
	char name[48];

	snprintf(name, sizeof(name), "%zu.%s", b->index, what);
	node = lm_model_add_node(b->model, name, lm_layer_find(op), b->err);
	if (node == NULL || lm_node_add_in(b->model, node, f->value, b->err) < 0)
		return NULL;
	return node;
}

/* A list of one dimension, or with the batch before it. */
static int
list(struct flow *f, struct lm_dims *dims, int batch, unsigned n, const int64_t *value)
{
	struct lm_dim *dim = lm_arena_alloc(&f->b->model->arena, n + 1, sizeof(*dim), f->b->err);
	unsigned i;

	if (dim == NULL)
		return -1;
	*dims = (struct lm_dims){ n + (batch != 0), dim };
	if (batch)
		dim++->text = "batch";
	for (i = 0; i < n; i++)
		dim[i].value = value[i];
	return 0;
}

static int
reshape(struct flow *f, const char *what, unsigned rank, const int64_t *dim)
{
	struct lm_node *node;

	if (f->rank == rank && memcmp(f->dim, dim, rank * sizeof(*dim)) == 0)
		return 0;
	node = between(f, "reshape", what);
	if (node == NULL ||
	    list(f, &node->param[lm_layer_param(node->op, "shape")].dims, 1, rank, dim) < 0 ||
	    lm_node_check(f->b->model, node, f->b->err) < 0)
		return -1;
	flows(f, node, rank, dim);
	return 0;
}

/* The first n values of a sample that is flat already. */
static int
head(struct flow *f, int64_t n)
{
	static const int64_t axis = 1, from, step = 1;
	struct lm_node *node;

	if (f->dim[0] <= n || n < 1)
		return 0;
	node = between(f, "slice", "head");
	if (node == NULL ||
	    list(f, &node->param[lm_layer_param(node->op, "axes")].dims, 0, 1, &axis) < 0 ||
	    list(f, &node->param[lm_layer_param(node->op, "starts")].dims, 0, 1, &from) < 0 ||
	    list(f, &node->param[lm_layer_param(node->op, "stops")].dims, 0, 1, &n) < 0 ||
	    list(f, &node->param[lm_layer_param(node->op, "steps")].dims, 0, 1, &step) < 0 ||
	    lm_node_check(f->b->model, node, f->b->err) < 0)
		return -1;
	flows(f, node, 1, &n);
	return 0;
}

/* ---- before and after a layer ---- */

static int
prepare(struct flow *f, const struct lm_request_kind *kind)
{
	int64_t all = count(f);

	if (kind->mixed_rank > 0)
		return reshape(f, "in", kind->mixed_rank, kind->mixed);
	if (!(kind->mixing & LM_MIX_FLATTENS))
		return 0;
	if (reshape(f, "in", 1, &all) < 0)
		return -1;
	return head(f, lm_building_integer(f->b, LM_REQ_INPUT_DIM));
}

/* Extents of the layer's output, from those of its input as the network's own rules give them. */
static int
measure(struct flow *f, const struct lm_node *node)
{
	struct lm_shape in[2], out[2];
	struct lm_size batch = { "batch", 2 };
	struct lm_sizes sizes = { 1, &batch };
	struct lm_shaping s = { node, in, out, &sizes };
	int64_t dim[4];
	unsigned i;

	memset(in, 0, sizeof(in));
	in[0] = (struct lm_shape){ .dtype = lm_dtype_get(LM_F32),
		.rank = f->rank + 1,
		.dim = { 2 } };
	for (i = 0; i < f->rank; i++)
		in[0].dim[i + 1] = (uint64_t)f->dim[i];
	in[1] = in[0];
	if (node->op->shape(&s, f->b->err) < 0)
		return -1;
	if (out[0].rank > 5)
		return lm_fail(f->b->err, LOOM_EUNSUPPORTED, "layer %zu gives %u axes", f->b->index,
		    out[0].rank);
	for (i = 1; i < out[0].rank; i++)
		dim[i - 1] = (int64_t)out[0].dim[i];
	flows(f, node, out[0].rank - 1, dim);
	return 0;
}

static const struct lm_node *
made(const struct flow *f, size_t from_end)
{
	return f->b->model->nodes[f->b->model->n_nodes - from_end];
}

static int
finish(struct flow *f, const struct lm_request_kind *kind)
{
	static const int64_t rows[] = { 2, 4 };
	int64_t all = count(f);

	f->value = made(f, 1)->name;
	if (kind->mixing & LM_MIX_MARKS)
		f->once = f->value;
	if (kind->mixing & LM_MIX_MARKS_LASTING)
		f->lasting = f->value;
	if (kind->mixing & LM_MIX_THEN_FLAT)
		return reshape(f, "out", 1, &all);
	if (kind->mixing & LM_MIX_THEN_ROWS)
		return reshape(f, "out", 2, rows);
	return 0;
}

/* The skip that is added: the one that counts once, else the lasting one. */
static const char *
take_skip(struct flow *f)
{
	const char *skip = f->once != NULL ? f->once : f->lasting;

	if (f->once != NULL)
		f->once = NULL;
	return skip;
}

static int
add_layer(struct flow *f)
{
	struct lm_building *b = f->b;
	const struct lm_request_kind *kind = lm_request_layer_kind(b->kind, b->layer);
	const char *said = LM_LAYER_FIELD(b->layer, LM_REQ_KIND)->text, *in[2] = { NULL };
	size_t nodes;
	char shown[LM_SHOWN];

	if (kind == NULL)
		return lm_fail(b->err, LOOM_EFORMAT,
		    "layer %zu: \"kind\" is \"%s\", which is no layer's", b->index,
		    lm_shown(shown, said != NULL ? said : ""));
	if (prepare(f, kind) < 0)
		return -1;
	in[0] = f->value;
	if (kind->mixing & LM_MIX_LOOKS_UP) {
		in[0] = b->kind->input[1];
		f->rank = 1;
		f->dim[0] = (int64_t)tokens[0];
	}
	if (kind->mixing & LM_MIX_ADDS)
		in[1] = take_skip(f);
	nodes = b->model->n_nodes;
	if (lm_building_layer(b, kind, in) < 0 || measure(f, b->model->nodes[nodes]) < 0)
		return -1;
	return finish(f, kind);
}

static int
add_inputs(const struct flow *f)
{
	const struct lm_building *b = f->b;
	struct lm_shape shape[2];
	struct lm_dim *dim;
	unsigned i, k;

	lm_request_mixer_shapes(shape);
	for (i = 0; i < 2; i++) {
		dim = lm_arena_alloc(&b->model->arena, shape[i].rank + 1, sizeof(*dim), b->err);
		if (dim == NULL)
			return -1;
		dim[0].text = "batch";
		for (k = 0; k < shape[i].rank; k++)
			dim[k + 1].value = (int64_t)shape[i].dim[k];
		if (lm_model_add_input(b->model, b->kind->input[i], shape[i].dtype, 0,
			(struct lm_dims){ shape[i].rank + 1, dim }, b->err) < 0)
			return -1;
	}
	return 0;
}

/* The protocol knows two networks of this kind and tells them by their name. */
static int
check_count(const struct lm_building *b)
{
	const char *id = b->q->body->field[LM_REQ_MODEL_ID].text;
	size_t wanted = id != NULL && strcmp(id, "mixer_all_v2") == 0 ? 16 : 10;

	if (b->q->body->n == wanted)
		return 0;
	return lm_fail(b->err, LOOM_EFORMAT, "\"layers\" has %zu layers, where %s has %zu",
	    b->q->body->n, wanted == 16 ? "mixer_all_v2" : "a mixer", wanted);
}

int
lm_request_mixer(struct lm_building *b)
{
	struct flow f = { .b = b, .value = b->kind->input[0], .rank = 4, .dim = { 1, 2, 2, 2 } };

	if (check_count(b) < 0 || add_inputs(&f) < 0)
		return -1;
	for (b->index = 0; b->index < b->q->body->n; b->index++) {
		b->layer = &b->q->body->layer[b->index];
		if (lm_building_index(b) < 0 || add_layer(&f) < 0)
			return -1;
	}
	return 0;
}
