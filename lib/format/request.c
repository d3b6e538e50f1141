/*
 * request: version 1 from fields to a network.  A kind of request is a row: its operation, and which
 * field of a layer is which parameter or weight slot of it.
 */
#include "format/request.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "num/bytes.h"

enum { MOST_MEANINGS = 8 };

struct meaning {
	enum lm_field_id field;
	const char *name; /* of a parameter, or of a slot where the field takes numbers */
};

struct lm_request_kind {
	const char *op;
	uint64_t body, layer; /* the fields that it reads */
	enum lm_field_id in, out;
	struct meaning meanings[MOST_MEANINGS]; /* parameters before slots; ends with a NULL name */
};

static const struct lm_request_kind dense = {
	.op = "dense",
	.body = LM_USES(PLANET) | LM_USES(MODEL_ID) | LM_USES(BODY_FIXTURE_VERSION) |
	    LM_USES(BODY_INPUT_DIM) | LM_USES(LAYERS),
	.layer = LM_USES(INDEX) | LM_USES(INPUT_DIM) | LM_USES(OUTPUT_DIM) | LM_USES(ACTIVATION) |
	    LM_USES(WEIGHTS) | LM_USES(BIAS),
	.in = LM_REQ_INPUT_DIM,
	.out = LM_REQ_OUTPUT_DIM,
	.meanings = { { LM_REQ_INPUT_DIM, "in_features" }, { LM_REQ_OUTPUT_DIM, "out_features" },
	    { LM_REQ_WEIGHTS, "weight" }, { LM_REQ_BIAS, "bias" } },
};

static const struct {
	const char *id;
	const struct lm_request_kind *kind;
} kinds[] = {
#define FIELD(scope, id, key, kind)
#define BEDROCK(name, kind) { #name, kind },
#include "format/request.def"
#undef FIELD
#undef BEDROCK
};

/* The protocol's activations; all other names mean linear. */
static const char *const activations[] = { "relu", "tanh", "sigmoid", "linear", NULL };

const struct lm_request_kind *
lm_request_kind(const char *id, int *known)
{
	size_t i;

	*known = 1;
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].id, id) == 0)
			return kinds[i].kind;
	*known = 0;
	return NULL;
}

static char *
lower(struct lm_request *q, const char *s, struct loom_error *err)
{
	char *copy = lm_arena_string(&q->arena, s, err), *p;

	for (p = copy; p != NULL && *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return copy;
}

const char *
lm_request_detect(struct lm_request *q, struct loom_error *err)
{
	const struct lm_request_body *b = q->body;
	const struct lm_field *said = &b->field[LM_REQ_BODY_BEDROCK];
	const char *kind;

	if (b->fault[LM_REQ_PAYLOAD].at > 0)
		return NULL;
	if (b->fault[LM_REQ_BODY_BEDROCK].at == 0 && said->text != NULL && said->text[0] != '\0')
		return lower(q, said->text, err);
	if (b->fault[LM_REQ_LAYERS].at > 0 || b->fault[LM_REQ_KIND].at > 0 || b->n == 0)
		return NULL;
	kind = LM_LAYER_FIELD(&b->layer[0], LM_REQ_KIND)->text;
	return kind == NULL || kind[0] == '\0' ? "dense" : lower(q, kind, err);
}

static int
blank(const struct lm_field *f)
{
	return f->text == NULL || f->text[0] == '\0';
}

int
lm_request_check(const struct lm_request_kind *kind, const struct lm_request *q,
    struct loom_error *err)
{
	const struct lm_request_body *b = q->body;

	if (lm_request_fault(b->fault, kind->body | kind->layer | LM_USES(PAYLOAD), err) < 0)
		return -1;
	if (blank(&b->field[LM_REQ_PLANET]) || blank(&b->field[LM_REQ_MODEL_ID]))
		return lm_fail(err, LOOM_EFORMAT, "\"planet\" and \"model_id\" are required");
	if (b->n == 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "\"layers\" is required, with at least one layer");
	return 0;
}

/* ---- layers ---- */

struct building {
	const struct lm_request_kind *kind;
	struct loom_model *model;
	const struct lm_request_layer *layer;
	size_t index;
	struct lm_buf *notes;
	struct loom_error *err;
};

static const struct lm_field *
field(const struct building *b, enum lm_field_id id)
{
	return LM_LAYER_FIELD(b->layer, id);
}

/* Does the layer stand where it says, and does it take what the one before gives? */
static int
check_place(const struct building *b, int64_t width)
{
	int64_t index = field(b, LM_REQ_INDEX)->integer, in = field(b, b->kind->in)->integer;

	if (index != (int64_t)b->index)
		return lm_fail(b->err, LOOM_EFORMAT, "layer %zu: \"index\" is %" PRId64, b->index,
		    index);
	if (in != width)
		return lm_fail(b->err, LOOM_ESHAPE,
		    "layer %zu: \"input_dim\" is %" PRId64 ", but %s is %" PRId64, b->index, in,
		    b->index == 0 ? "the request's" : "\"output_dim\" of the layer before", width);
	return 0;
}

/* Parameters by value; a flag that guards a slot says whether its numbers were given. */
static void
set_params(const struct building *b, struct lm_node *node)
{
	const struct meaning *m;
	int i;

	for (m = b->kind->meanings; m->name != NULL; m++) {
		i = lm_layer_param(node->op, m->name);
		if (i >= 0 && node->op->params[i].kind != LM_IS_FLAG)
			node->param[i].i = field(b, m->field)->integer;
		i = lm_layer_slot(node->op, m->name);
		if (i >= 0 && node->op->slots[i].when > 0)
			node->param[node->op->slots[i].when - 1].i = field(b, m->field)->floats.n >
			    0;
	}
}

/* Checkpoints are little-endian. */
static void
as_stored(const struct lm_floats *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		lm_put_f32((unsigned char *)&f->v[i], f->v[i]);
}

static int
put_slots(const struct building *b, struct lm_node *node)
{
	const struct meaning *m;
	const struct lm_floats *f;
	char shape[LM_SHAPE_TEXT];
	struct lm_shape s;
	int i;

	for (m = b->kind->meanings; m->name != NULL; m++) {
		i = lm_layer_slot(node->op, m->name);
		if (i < 0 || !lm_slot_wanted(node, (size_t)i))
			continue;
		f = &field(b, m->field)->floats;
		if (lm_node_put(node, (size_t)i, lm_dtype_get(LM_F32), 1, b->err) < 0 ||
		    lm_slot_shape(node, (size_t)i, &s, b->err) < 0)
			return -1;
		if (node->weight[i].count != f->n)
			return lm_fail(b->err, LOOM_ESHAPE,
			    "layer %zu: %s has %zu numbers, not the %" PRIu64 " of %s", b->index,
			    m->name, f->n, node->weight[i].count, lm_shape_text(shape, &s));
		as_stored(f);
		node->weight[i].data = (const unsigned char *)f->v;
	}
	return 0;
}

static const char *
activation(const struct building *b)
{
	const char *said = field(b, LM_REQ_ACTIVATION)->text;
	char name[16] = "", shown[LM_SHOWN];
	size_t i, n = said != NULL ? strlen(said) : 0;

	for (i = 0; i < n && n < sizeof(name); i++)
		name[i] = (char)(said[i] >= 'A' && said[i] <= 'Z' ? said[i] - 'A' + 'a' : said[i]);
	for (i = 0; activations[i] != NULL; i++)
		if (strcmp(activations[i], name) == 0)
			return activations[i];
	if (n > 0 &&
	    lm_buf_printf(b->notes, b->err,
		"layer %zu: activation \"%s\" is none of version 1, which takes it for linear\n",
		b->index, lm_shown(shown, said)) < 0)
		return NULL;
	return "linear";
}

/* The network applies linear by doing nothing. */
static int
add_activation(const struct building *b)
{
	const char *name = activation(b);
	char node_name[48];
	struct lm_node *node;

	if (name == NULL || strcmp(name, "linear") == 0)
		return name != NULL ? 0 : -1;
	snprintf(node_name, sizeof(node_name), "%zu.%s", b->index, name);
	node = lm_model_add_node(b->model, node_name, lm_layer_find(name), b->err);
	return node != NULL ? lm_node_check(b->model, node, b->err) : -1;
}

static int
add_layer(const struct building *b)
{
	char name[24];
	struct lm_node *node;

	snprintf(name, sizeof(name), "%zu", b->index);
	node = lm_model_add_node(b->model, name, lm_layer_find(b->kind->op), b->err);
	if (node == NULL)
		return -1;
	set_params(b, node);
	if (lm_node_check(b->model, node, b->err) < 0 || put_slots(b, node) < 0)
		return -1;
	return add_activation(b);
}

static int
add_input(struct loom_model *model, int64_t width, struct loom_error *err)
{
	struct lm_dim *dim = lm_arena_alloc(&model->arena, 1, sizeof(*dim), err);
	struct lm_dims dims = { 1, dim };

	if (dim == NULL)
		return -1;
	if (width < 1)
		return lm_fail(err, LOOM_EFORMAT, "\"input_dim\" is %" PRId64 ", not 1 or more",
		    width);
	dim->value = width;
	return lm_model_add_input(model, "x", lm_dtype_get(LM_F32), 1, dims, err);
}

/* Loom's cells have no other way of saying which output counts: it is the last node's. */
static int
add_output(struct loom_model *model, struct loom_error *err)
{
	const struct lm_node *last = model->nodes[model->n_nodes - 1];

	return lm_model_add_output(model, model->values[last->out[0]].name, err);
}

static int
fill_model(struct building *b, const struct lm_request *q)
{
	int64_t width = q->body->field[LM_REQ_BODY_INPUT_DIM].integer;

	if (add_input(b->model, width, b->err) < 0)
		return -1;
	for (b->index = 0; b->index < q->body->n; b->index++) {
		b->layer = &q->body->layer[b->index];
		if (check_place(b, width) < 0 || add_layer(b) < 0)
			return -1;
		width = field(b, b->kind->out)->integer;
	}
	if (add_output(b->model, b->err) < 0)
		return -1;
	return lm_model_check(b->model, b->err);
}

int
lm_request_build(const struct lm_request_kind *kind, const struct lm_request *q,
    struct loom_model **out, struct lm_buf *notes, struct loom_error *err)
{
	struct building b = { .kind = kind, .notes = notes, .err = err };

	*out = NULL;
	if (lm_model_new(&b.model, "<request>", err) < 0)
		return -1;
	if (fill_model(&b, q) < 0) {
		loom_model_free(b.model);
		return -1;
	}
	*out = b.model;
	return 0;
}

/* ---- inputs ---- */

int
lm_request_inputs(const struct lm_request *q, size_t cols, struct lm_matrix *m,
    struct loom_error *err)
{
	const struct lm_rows *rows = &q->envelope[LM_REQ_INPUTS].rows;
	size_t i;

	for (i = 0; i < rows->n; i++)
		if (rows->row[i].n < cols)
			return lm_fail(err, LOOM_ESHAPE,
			    "\"inputs\": row %zu has %zu numbers, fewer than \"input_dim\", %zu", i,
			    rows->row[i].n, cols);
	m->rows = rows->n;
	m->cols = cols;
	m->v = lm_alloc(m->rows, cols * sizeof(*m->v), err);
	for (i = 0; m->v != NULL && i < m->rows; i++)
		memcpy(m->v + i * cols, rows->row[i].v, cols * sizeof(*m->v));
	return m->v != NULL ? 0 : -1;
}

int
lm_matrix_copy(struct lm_matrix *m, const struct loom_tensor *t, struct loom_error *err)
{
	const unsigned char *p = t->data;
	size_t i, n;

	m->cols = (size_t)t->shape[t->rank - 1];
	m->rows = 1;
	for (i = 0; i + 1 < t->rank; i++)
		m->rows *= (size_t)t->shape[i];
	n = m->rows * m->cols;
	m->v = lm_alloc(n, sizeof(*m->v), err);
	for (i = 0; m->v != NULL && i < n; i++)
		m->v[i] = lm_get_f32(p + 4 * i);
	return m->v != NULL ? 0 : -1;
}

void
lm_matrix_release(struct lm_matrix *m)
{
	lm_free(m->v);
	memset(m, 0, sizeof(*m));
}
