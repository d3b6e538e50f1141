/*
 * request: version 1 from fields to a network.  What a kind of request is stands as data in
 * request_kinds.c; here are the walks over it.
 */
#include "format/request.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "format/request_kinds.h"
#include "num/bytes.h"

/* The protocol's activations; all other names mean linear. */
static const char *const activations[] = { "relu", "tanh", "sigmoid", "linear", NULL };

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
	const union lm_field *said = &b->field[LM_REQ_BODY_BEDROCK];
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
blank(const union lm_field *f)
{
	return f->text == NULL || f->text[0] == '\0';
}

int
lm_request_check(const struct lm_request_kind *kind, const struct lm_request *q,
    struct loom_error *err)
{
	const struct lm_request_body *b = q->body;
	int64_t width = b->field[LM_REQ_BODY_OUTPUT_DIM].integer;
	unsigned char used[LM_REQ_FIELDS];

	lm_request_uses(kind, used);
	if (lm_request_fault(b->fault, used, err) < 0)
		return -1;
	if (kind->named && (blank(&b->field[LM_REQ_PLANET]) || blank(&b->field[LM_REQ_MODEL_ID])))
		return lm_fail(err, LOOM_EFORMAT, "\"planet\" and \"model_id\" are required");
	if (b->n == 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "\"layers\" is required, with at least one layer");
	if (kind->padded > 0 && (width < 0 || width > LM_WIDEST))
		return lm_fail(err, LOOM_EFORMAT, "\"output_dim\" is %" PRId64 ", expected 0 to %d",
		    width, LM_WIDEST);
	return 0;
}

/* ---- a layer's place ---- */

static const union lm_field *
field(const struct lm_building *b, enum lm_field_id id)
{
	return LM_LAYER_FIELD(b->layer, id);
}

int64_t
lm_building_integer(const struct lm_building *b, enum lm_field_id id)
{
	return field(b, id)->integer;
}

static int64_t
asked(const struct lm_building *b, enum lm_field_id body)
{
	return b->q->body->field[body].integer;
}

static int
check_same(const struct lm_building *b, enum lm_field_id layer, int64_t wanted, int chained)
{
	int64_t is = field(b, layer)->integer;

	if (is == wanted)
		return 0;
	return lm_fail(b->err, LOOM_ESHAPE, "layer %zu: \"%s\" is %" PRId64 ", but %s is %" PRId64,
	    b->index, lm_request_key(layer), is,
	    chained && b->index > 0 ? "what the layer before gives" : "the request's", wanted);
}

/* The kind that a layer says it is, if it says so, is the request's. */
static int
check_kind(const struct lm_building *b, const struct lm_request_kind *kind)
{
	const char *said = field(b, LM_REQ_KIND)->text;
	char shown[LM_SHOWN];

	if (kind->named || said == NULL || said[0] == '\0' || strcmp(said, kind->id) == 0)
		return 0;
	return lm_fail(b->err, LOOM_EFORMAT, "layer %zu: \"kind\" is \"%s\", not \"%s\"", b->index,
	    lm_shown(shown, said), kind->id);
}

int
lm_building_index(const struct lm_building *b)
{
	int64_t index = field(b, LM_REQ_INDEX)->integer;

	if (index == (int64_t)b->index)
		return 0;
	return lm_fail(b->err, LOOM_EFORMAT, "layer %zu: \"index\" is %" PRId64, b->index, index);
}

/* Does the layer stand where it says, and does it take what the one before gives? */
static int
check_place(const struct lm_building *b)
{
	const struct lm_request_kind *kind = b->kind;
	size_t i;

	if (check_kind(b, kind) < 0)
		return -1;
	for (i = 0; i < lm_request_axes(kind); i++)
		if (kind->extent[i].layer != LM_NO_FIELD &&
		    check_same(b, kind->extent[i].layer, b->extent[i], kind->advance != LM_STAYS) <
			0)
			return -1;
	for (i = 0; i < LM_KIND_SAME && kind->same[i].layer != LM_NO_FIELD; i++)
		if (check_same(b, kind->same[i].layer, asked(b, kind->same[i].body), 0) < 0)
			return -1;
	return 0;
}

/* What one axis of a convolution gives; the protocol's division goes toward zero. */
static int64_t
convolved(const struct lm_building *b, int64_t in)
{
	int64_t k = lm_building_integer(b, LM_REQ_KERNEL_SIZE);
	int64_t stride = lm_building_integer(b, LM_REQ_STRIDE);

	return (in + 2 * lm_building_integer(b, LM_REQ_PADDING) - k) / stride + 1;
}

static void
advance(struct lm_building *b)
{
	size_t i;

	if (b->kind->advance == LM_WIDENS)
		b->extent[0] = lm_building_integer(b, LM_REQ_OUTPUT_DIM);
	if (b->kind->advance != LM_CONVOLVES)
		return;
	b->extent[0] = lm_building_integer(b, LM_REQ_FILTERS);
	for (i = 1; i < lm_request_axes(b->kind); i++)
		b->extent[i] = convolved(b, b->extent[i]);
}

/* ---- parameters ---- */

static int
fill_list(const struct lm_building *b, const struct lm_param *param, union lm_value *value,
    int64_t v)
{
	struct lm_dim *dim = lm_arena_alloc(&b->model->arena, param->count, sizeof(*dim), b->err);
	unsigned i;

	if (dim == NULL)
		return -1;
	for (i = 0; i < param->count; i++)
		dim[i].value = v;
	value->dims = (struct lm_dims){ param->count, dim };
	return 0;
}

static int64_t
enumerated(const struct lm_param *param, const char *word)
{
	int64_t i;

	for (i = 0; param->names[i] != NULL && strcmp(param->names[i], word) != 0; i++)
		;
	return i;
}

static int
set_fixed(const struct lm_building *b, struct lm_node *node, const struct lm_fixed *fixed)
{
	int i = lm_layer_param(node->op, fixed->param);
	const struct lm_param *param;

	if (i < 0)
		return 0;
	param = &node->op->params[i];
	if (param->kind == LM_IS_REAL || param->kind == LM_IS_MAYBE)
		node->param[i].real = fixed->real;
	else if (fixed->word != NULL)
		node->param[i].i = enumerated(param, fixed->word);
	else if (param->kind == LM_IS_INTS)
		return fill_list(b, param, &node->param[i], fixed->value);
	else
		node->param[i].i = fixed->value;
	return 0;
}

static int
set_param(const struct lm_building *b, struct lm_node *node, const struct lm_meaning *m)
{
	int64_t v = field(b, m->field)->integer;
	int i = lm_layer_param(node->op, m->name);

	if (v == 0 && m->instead != LM_NO_FIELD)
		v = field(b, m->instead)->integer;
	if (node->op->params[i].kind == LM_IS_INTS)
		return fill_list(b, &node->op->params[i], &node->param[i], v);
	node->param[i].i = v;
	return 0;
}

/* A flag that guards a slot says whether its numbers were given. */
static int
set_params(const struct lm_building *b, const struct lm_request_kind *kind, struct lm_node *node)
{
	const struct lm_meaning *m;
	const struct lm_fixed *fixed;
	int i;

	for (fixed = kind->fixed; fixed->param != NULL; fixed++)
		if (set_fixed(b, node, fixed) < 0)
			return -1;
	for (m = kind->meaning; m->name != NULL; m++) {
		if (m->slots == 0 && set_param(b, node, m) < 0)
			return -1;
		i = m->apart ? lm_layer_slot(node->op, m->name) : -1;
		if (i >= 0)
			node->param[node->op->slots[i].when - 1].i = field(b, m->field)->floats.n >
			    0;
	}
	return 0;
}

/*
 * The protocol's division goes toward zero: a kernel that is longer than what it is laid over, by less
 * than a stride, still gives one output, as if zeros followed.
 */
static int
stretch(const struct lm_building *b, struct lm_node *node)
{
	const int i = lm_layer_param(node->op, "pad_high");
	const struct lm_dims *is = &node->param[i].dims;
	int64_t k = lm_building_integer(b, LM_REQ_KERNEL_SIZE), rest, most = 1 << 24;
	struct lm_dim *dim;
	size_t n;

	if (k < 1 || k > most || is->dim[0].value < 0 || is->dim[0].value > most)
		return 0;
	dim = lm_arena_alloc(&b->model->arena, is->n, sizeof(*dim), b->err);
	if (dim == NULL)
		return -1;
	for (n = 0; n < is->n; n++) {
		rest = b->extent[n + 1] + 2 * is->dim[n].value - k;
		dim[n] = is->dim[n];
		if (rest < 0 && -rest < lm_building_integer(b, LM_REQ_STRIDE))
			dim[n].value -= rest;
	}
	node->param[i].dims.dim = dim;
	return 0;
}

/* ---- weights ---- */

/* Checkpoints are little-endian. */
static void
as_stored(float *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		lm_put_f32((unsigned char *)&v[i], v[i]);
}

/* The numbers of a field, with zeros up to n where the protocol says so; NULL on failure. */
static float *
numbers(const struct lm_building *b, const struct lm_meaning *m, uint64_t n)
{
	const struct lm_floats *f = &field(b, m->field)->floats;
	float *v = f->v;

	if (f->n != n && (!m->filled || f->n > n)) {
		(void)lm_fail(b->err, LOOM_ESHAPE,
		    "layer %zu: \"%s\" has %zu numbers, expected %" PRIu64, b->index,
		    lm_request_key(m->field), f->n, n);
		return NULL;
	}
	if (f->n != n) {
		v = lm_arena_alloc(&b->model->arena, (size_t)n, sizeof(*v), b->err);
		if (v != NULL && f->n > 0)
			memcpy(v, f->v, f->n * sizeof(*v));
	}
	if (v != NULL)
		as_stored(v, f->n);
	return v;
}

static int
put_slots(const struct lm_building *b, struct lm_node *node, const struct lm_meaning *m)
{
	size_t first = (size_t)lm_layer_slot(node->op, m->name), i;
	uint64_t sum = 0, at = 0;
	float *v;

	if (!lm_slot_wanted(node, first))
		return 0;
	for (i = first; i < first + m->slots; i++) {
		if (lm_node_put(node, i, lm_dtype_get(LM_F32), 1, b->err) < 0)
			return -1;
		sum += node->weight[i].count;
	}
	v = numbers(b, m, sum);
	if (v == NULL)
		return -1;
	for (i = first; i < first + m->slots; i++) {
		node->weight[i].data = (const unsigned char *)(v + at);
		at += node->weight[i].count;
	}
	return 0;
}

static const char *
activation(const struct lm_building *b)
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
add_activation(const struct lm_building *b)
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

/* Numbers of a bias are never dropped: a kind that has no place for them refuses them. */
static int
check_biases(const struct lm_building *b, const struct lm_request_kind *kind)
{
	static const enum lm_field_id biases[] = { LM_REQ_BIAS, LM_REQ_Q_BIAS, LM_REQ_K_BIAS,
		LM_REQ_V_BIAS, LM_REQ_O_BIAS };
	unsigned char used[LM_REQ_FIELDS];
	size_t i;

	lm_request_uses(kind, used);
	for (i = 0; i < sizeof(biases) / sizeof(*biases); i++)
		if (!used[biases[i]] && field(b, biases[i])->floats.n > 0)
			return lm_fail(b->err, LOOM_EFORMAT,
			    "layer %zu: \"%s\" has %zu numbers, but a layer of kind \"%s\" has none",
			    b->index, lm_request_key(biases[i]), field(b, biases[i])->floats.n,
			    kind->id);
	return 0;
}

int
lm_building_layer(struct lm_building *b, const struct lm_request_kind *kind,
    const char *const in[2])
{
	const struct lm_meaning *m;
	struct lm_node *node;
	char name[24];
	size_t i;

	snprintf(name, sizeof(name), "%zu", b->index);
	if (check_biases(b, kind) < 0)
		return -1;
	node = lm_model_add_node(b->model, name, lm_layer_find(kind->op), b->err);
	if (node == NULL || set_params(b, kind, node) < 0 ||
	    (b->kind->advance == LM_CONVOLVES && stretch(b, node) < 0))
		return -1;
	for (i = 0; i < 2 && in[i] != NULL; i++)
		if (lm_node_add_in(b->model, node, in[i], b->err) < 0)
			return -1;
	if (lm_node_check(b->model, node, b->err) < 0)
		return -1;
	for (m = kind->meaning; m->name != NULL; m++)
		if (m->slots > 0 && put_slots(b, node, m) < 0)
			return -1;
	return kind->activated ? add_activation(b) : 0;
}

/* ---- the network ---- */

/* Any number of samples, in front of the extents; named where nodes speak of it. */
static int
add_input(const struct lm_building *b, const char *name, int named)
{
	unsigned n = lm_request_axes(b->kind), i;
	struct lm_dim *dim = lm_arena_alloc(&b->model->arena, n + 1, sizeof(*dim), b->err);
	struct lm_dims dims = { n + (named != 0), dim };

	if (dim == NULL)
		return -1;
	if (named)
		dim++->text = "batch";
	for (i = 0; i < n; i++)
		dim[i].value = b->extent[i];
	return lm_model_add_input(b->model, name, lm_dtype_get(LM_F32), !named, dims, b->err);
}

static int
add_inputs(struct lm_building *b)
{
	const struct lm_request_kind *kind = b->kind;
	size_t i;

	for (i = 0; i < lm_request_axes(kind); i++)
		if (lm_request_extent(b->q, &kind->extent[i], &b->extent[i], b->err) < 0)
			return -1;
	for (i = 0; i < LM_KIND_INPUTS && kind->input[i] != NULL; i++)
		if (add_input(b, kind->input[i], kind->input[1] != NULL) < 0)
			return -1;
	return 0;
}

static int
fill_layers(struct lm_building *b)
{
	static const char *const chained[2];
	const struct lm_request_kind *kind = b->kind;

	if (add_inputs(b) < 0)
		return -1;
	for (b->index = 0; b->index < b->q->body->n; b->index++) {
		b->layer = &b->q->body->layer[b->index];
		if (lm_building_index(b) < 0 || check_place(b) < 0 ||
		    lm_building_layer(b, kind, kind->input[1] != NULL ? kind->input : chained) < 0)
			return -1;
		advance(b);
	}
	return 0;
}

static int
fill_model(struct lm_building *b)
{
	const struct lm_node *last;

	if ((b->kind->op != NULL ? fill_layers(b) : lm_request_mixer(b)) < 0)
		return -1;
	last = b->model->nodes[b->model->n_nodes - 1];
	if (lm_model_add_output(b->model, b->model->values[last->out[0]].name, b->err) < 0)
		return -1;
	return lm_model_check(b->model, b->err);
}

int
lm_request_build(const struct lm_request_kind *kind, const struct lm_request *q,
    struct loom_model **out, struct lm_buf *notes, struct loom_error *err)
{
	struct lm_building b = { .kind = kind, .q = q, .notes = notes, .err = err };

	*out = NULL;
	if (lm_model_new(&b.model, "<request>", err) < 0)
		return -1;
	if (fill_model(&b) < 0) {
		loom_model_free(b.model);
		return -1;
	}
	*out = b.model;
	return 0;
}

static uint64_t
layer_weights(const struct lm_request_kind *kind, const struct lm_node *node)
{
	const struct lm_meaning *m;
	uint64_t sum = 0;
	size_t k;

	for (m = kind->meaning; m->name != NULL; m++)
		for (k = 0; k < m->slots && !m->apart; k++)
			sum += node->weight[(size_t)lm_layer_slot(node->op, m->name) + k].bytes;
	return sum;
}

const struct lm_request_kind *
lm_request_layer_kind(const struct lm_request_kind *kind, const struct lm_request_layer *layer)
{
	const char *said = LM_LAYER_FIELD(layer, LM_REQ_KIND)->text;

	if (kind->op != NULL)
		return kind;
	kind = said != NULL ? lm_request_kind(said) : NULL;
	return kind != NULL && kind->op != NULL ? kind : NULL;
}

uint64_t
lm_request_weights(const struct lm_request_kind *kind, const struct lm_request *q,
    const struct loom_model *m)
{
	uint64_t sum = 0;
	char name[24];
	size_t i;

	for (i = 0; i < q->body->n; i++) {
		snprintf(name, sizeof(name), "%zu", i);
		sum += layer_weights(lm_request_layer_kind(kind, &q->body->layer[i]),
		    lm_model_find(m, name));
	}
	return sum;
}
