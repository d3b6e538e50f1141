/* onnx_to: names, constants and weights of ONNX nodes that are written. */
#include "onnx/onnx_to.h"

#include <math.h>
#include <string.h>

#include "num/text.h"

/* ---- names ---- */

/* All names that the network gives are there from the start. */
static int
begin_names(struct lm_onnx_writing *w, struct loom_error *err)
{
	size_t i;

	if (w->taken.n > 0)
		return 0;
	for (i = 0; i < w->model->n_values; i++)
		if (lm_names_add(&w->taken, w->arena, w->model->values[i].name, i, err) < 0)
			return -1;
	/* Nodes are called like what they make, or otherwise: no two of the file may be called alike. */
	for (i = 0; i < w->model->n_nodes; i++)
		if (lm_names_find(&w->taken, w->model->nodes[i]->name) == LM_NO_NAME &&
		    lm_names_add(&w->taken, w->arena, w->model->nodes[i]->name, i, err) < 0)
			return -1;
	return 0;
}

/* The name, or the name with a number behind it where it is taken; from now on it is. */
static const char *
unique(struct lm_onnx_writing *w, const char *name, struct loom_error *err)
{
	size_t size = strlen(name) + 16;
	char *text = lm_arena_alloc(w->arena, size, 1, err);
	unsigned n = 1;

	if (text == NULL || begin_names(w, err) < 0)
		return NULL;
	(void)snprintf(text, size, "%s", name);
	while (lm_names_find(&w->taken, text) != LM_NO_NAME)
		(void)snprintf(text, size, "%s.%u", name, ++n);
	return lm_names_add(&w->taken, w->arena, text, 0, err) == 0 ? text : NULL;
}

/* Two words of a name with something between them. */
static const char *
joined(struct lm_onnx_writing *w, const char *a, const char *between, const char *b,
    struct loom_error *err)
{
	size_t size = strlen(a) + strlen(between) + strlen(b) + 1;
	char *text = lm_arena_alloc(w->arena, size, 1, err);

	if (text == NULL)
		return NULL;
	(void)snprintf(text, size, "%s%s%s", a, between, b);
	return unique(w, text, err);
}

const char *
lm_onnx_inner(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    struct loom_error *err)
{
	return joined(w, n->name, "/", what, err);
}

const char *
lm_onnx_name(const struct lm_onnx_writing *w, size_t value)
{
	return w->model->values[value].name;
}

const char *
lm_onnx_input(const struct lm_onnx_writing *w, const struct lm_node *n, size_t k)
{
	return k < n->n_in && n->in[k] != LM_ABSENT ? lm_onnx_name(w, n->in[k]) : "";
}

const struct lm_dtype *
lm_onnx_input_dtype(const struct lm_onnx_writing *w, const struct lm_node *n, size_t k)
{
	return w->shapes[0] != NULL ? w->shapes[0][n->in[k]].dtype : NULL;
}

int
lm_onnx_input_rank(const struct lm_onnx_writing *w, const struct lm_node *n, size_t k)
{
	if (w->shapes[0] == NULL || w->shapes[0][n->in[k]].rank != w->shapes[1][n->in[k]].rank)
		return LM_ONNX_ANY_RANK;
	return (int)w->shapes[0][n->in[k]].rank;
}

/* ---- nodes ---- */

static int
all_there(size_t n, const char *const *names)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (names[i] == NULL)
			return 0;
	return 1;
}

struct lm_onnx_node *
lm_onnx_step(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *op,
    size_t n_in, const char *const *in, struct loom_error *err)
{
	const char *name;

	if (!all_there(n_in, in))
		return NULL;
	name = lm_onnx_inner(w, n, what, err);
	return name != NULL ? lm_onnx_add_node(w->to, name, op, n_in, in, 1, &name, err) : NULL;
}

const char *
lm_onnx_made(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const char *op,
    size_t n_in, const char *const *in, struct loom_error *err)
{
	const struct lm_onnx_node *made = lm_onnx_step(w, n, what, op, n_in, in, err);

	return made != NULL ? made->out[0] : NULL;
}

struct lm_onnx_node *
lm_onnx_last(struct lm_onnx_writing *w, const struct lm_node *n, const char *op, size_t n_in,
    const char *const *in, struct loom_error *err)
{
	const char **out;
	size_t i;

	if (!all_there(n_in, in))
		return NULL;
	out = lm_arena_alloc(w->arena, n->n_out, sizeof(*out), err);
	for (i = 0; out != NULL && i < n->n_out; i++)
		out[i] = lm_onnx_name(w, n->out[i]);
	return out != NULL ? lm_onnx_add_node(w->to, n->name, op, n_in, in, n->n_out, out, err)
			   : NULL;
}

struct lm_onnx_node *
lm_onnx_alone(struct lm_onnx_writing *w, const struct lm_node *n, const char *op,
    struct loom_error *err)
{
	const char **in = lm_arena_alloc(w->arena, n->n_in + 1, sizeof(*in), err);
	size_t i;

	for (i = 0; in != NULL && i < n->n_in; i++)
		in[i] = lm_onnx_input(w, n, i);
	return in != NULL ? lm_onnx_last(w, n, op, n->n_in, in, err) : NULL;
}

/* ---- constants ---- */

static const char *
constant(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, int type,
    unsigned rank, uint64_t count, const void *values, struct loom_error *err)
{
	const char *name = lm_onnx_inner(w, n, what, err);

	if (name == NULL ||
	    lm_onnx_add_initializer(w->to, name, type, rank, &count, values, NULL, err) < 0)
		return NULL;
	return name;
}

const char *
lm_onnx_scalar(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, float v,
    struct loom_error *err)
{
	return constant(w, n, what, LM_ONNX_FLOAT, 0, 1, &v, err);
}

const char *
lm_onnx_whole(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, int64_t v,
    struct loom_error *err)
{
	return constant(w, n, what, LM_ONNX_INT64, 0, 1, &v, err);
}

const char *
lm_onnx_list(struct lm_onnx_writing *w, const struct lm_node *n, const char *what, const int64_t *v,
    size_t count, struct loom_error *err)
{
	static const int64_t nothing;

	return constant(w, n, what, LM_ONNX_INT64, 1, count, count > 0 ? v : &nothing, err);
}

/* A parameter's integers; NULL on failure. */
static const int64_t *
param_integers(struct lm_onnx_writing *w, const struct lm_node *n, size_t param,
    struct loom_error *err)
{
	const struct lm_dims *dims = &n->param[param].dims;
	int64_t *v = lm_arena_alloc(w->arena, dims->n + 1, sizeof(*v), err);
	size_t i;

	for (i = 0; v != NULL && i < dims->n; i++)
		v[i] = dims->dim[i].value;
	return v;
}

const char *
lm_onnx_param_list(struct lm_onnx_writing *w, const struct lm_node *n, size_t param,
    struct loom_error *err)
{
	const int64_t *v = param_integers(w, n, param, err);

	return v == NULL
	    ? NULL
	    : lm_onnx_list(w, n, n->op->params[param].key, v, n->param[param].dims.n, err);
}

int
lm_onnx_param_ints(struct lm_onnx_writing *w, struct lm_onnx_node *to, const char *name,
    const struct lm_node *n, size_t param, struct loom_error *err)
{
	const int64_t *v = to != NULL ? param_integers(w, n, param, err) : NULL;

	return v != NULL ? lm_onnx_add_ints(w->to, to, name, v, n->param[param].dims.n, err) : -1;
}

/* ---- real numbers ---- */

double
lm_onnx_real(float f)
{
	char text[LM_TEXT_SIZE];
	double v = f;
	int exponent;

	/* A power of two, such as the spacing of float32 at 1, was meant as one. */
	if (fabs(frexp(v, &exponent)) == 0.5)
		return v;
	if (isfinite(f) && lm_text_parse(text, lm_text_f32(text, f), &v) < 0)
		return f;
	return v;
}

/* A parameter's value in 32 bits. */
static int
narrow_real(const struct lm_node *n, size_t param, float *f, struct loom_error *err)
{
	double v = n->param[param].real;

	*f = (float)v;
	if (lm_onnx_real(*f) == v)
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "node %s (%s): %s is %.17g, ONNX has 32 bits for it, which hold %.9g", n->name,
	    n->op->name, n->op->params[param].key, v, (double)*f);
}

int
lm_onnx_add_real(struct lm_onnx_writing *w, struct lm_onnx_node *to, const char *name,
    const struct lm_node *n, size_t param, struct loom_error *err)
{
	float f;

	if (to == NULL || narrow_real(n, param, &f, err) < 0)
		return -1;
	return lm_onnx_add_float(w->to, to, name, f, err);
}

const char *
lm_onnx_param_scalar(struct lm_onnx_writing *w, const struct lm_node *n, size_t param,
    struct loom_error *err)
{
	float f;

	if (narrow_real(n, param, &f, err) < 0)
		return NULL;
	return lm_onnx_scalar(w, n, n->op->params[param].key, f, err);
}

/* ---- weights ---- */

static int
same_strand(const struct lm_strand *a, const struct lm_strand *b)
{
	return a->weight == b->weight && a->order.first == b->order.first &&
	    a->order.rank == b->order.rank && a->count == b->count &&
	    memcmp(&a->value, &b->value, sizeof(a->value)) == 0 &&
	    memcmp(a->order.extent, b->order.extent, sizeof(a->order.extent)) == 0 &&
	    memcmp(a->order.stride, b->order.stride, sizeof(a->order.stride)) == 0;
}

static int
same_tensor(const struct lm_outgoing *a, const struct lm_outgoing *b)
{
	size_t i;

	if (a == NULL || a->dtype != b->dtype || a->rank != b->rank ||
	    a->n_strands != b->n_strands ||
	    memcmp(a->shape, b->shape, a->rank * sizeof(*a->shape)) != 0)
		return 0;
	for (i = 0; i < a->n_strands; i++)
		if (!same_strand(&a->strands[i], &b->strands[i]))
			return 0;
	return a->n_strands > 0;
}

/* The value that stands for an initializer: itself, or what a Cast makes of it. */
static const char *
widened(const struct lm_onnx_writing *w, const char *tensor)
{
	size_t i;

	for (i = 0; i < w->to->n_nodes; i++)
		if (strcmp(w->to->nodes[i].op, "Cast") == 0 &&
		    strcmp(w->to->nodes[i].in[0], tensor) == 0)
			return w->to->nodes[i].out[0];
	return tensor;
}

/* Where a tied tensor stands already; NULL: nowhere. */
static const char *
tied(const struct lm_onnx_writing *w, const struct lm_node *n, const struct lm_outgoing *t)
{
	size_t i;
	int shared = 0;

	for (i = 0; i < LM_SLOTS; i++)
		shared |= n->weight[i].same != NULL;
	for (i = 0; shared && i < w->to->n_tensors; i++)
		if (same_tensor(w->to->tensors[i].from, t))
			return widened(w, w->to->tensors[i].name);
	return NULL;
}

/* In the type that it leaves in; a line about what that costs. */
static int
choose_dtype(struct lm_onnx_writing *w, struct lm_outgoing *t, struct loom_error *err)
{
	const char *asked = w->options != NULL ? w->options->dtype : NULL;
	const struct lm_dtype *to = lm_dtype_get(LM_F32);

	if (t->dtype == lm_dtype_get(LM_I64) || t->dtype == lm_dtype_get(LM_BOOL))
		return 0;
	if (asked != NULL)
		to = lm_dtype_parse(asked);
	if (to != lm_dtype_get(LM_F32) && to != lm_dtype_get(LM_F16) && to != lm_dtype_get(LM_BF16))
		return lm_fail(err, LOOM_EARG, "dtype %.40s: onnx has f32, f16 and bf16", asked);
	return lm_outgoing_as(t, to, NULL, err);
}

static int
note_loss(struct lm_onnx_writing *w, const struct lm_outgoing *t, struct loom_error *err)
{
	struct lm_loss loss = { 0 };
	void *copy = lm_alloc((size_t)t->bytes, 1, err);
	int r = -1;

	if (copy != NULL && lm_outgoing_copy(t, copy, &loss, err) == 0)
		r = lm_loss_note(&loss, t, lm_dtype_get(LM_F32), w->notes, err);
	lm_free(copy);
	return r;
}

/* What a narrow tensor is widened by, and the line about it. */
static const char *
widen(struct lm_onnx_writing *w, const struct lm_outgoing *t, struct loom_error *err)
{
	const char *name = joined(w, t->name, "/", "float32", err);
	struct lm_onnx_node *cast;

	if (name == NULL || (w->notes != NULL && note_loss(w, t, err) < 0))
		return NULL;
	cast = lm_onnx_add_node(w->to, name, "Cast", 1, &t->name, 1, &name, err);
	if (cast == NULL || lm_onnx_add_int(w->to, cast, "to", LM_ONNX_FLOAT, err) < 0)
		return NULL;
	return name;
}

const char *
lm_onnx_weight(struct lm_onnx_writing *w, const struct lm_node *n, const char *source,
    struct lm_outgoing *t, struct loom_error *err)
{
	const char *there;

	if (begin_names(w, err) < 0 || choose_dtype(w, t, err) < 0)
		return NULL;
	there = tied(w, n, t);
	if (there != NULL)
		return there;
	if (source != NULL && source[0] != '\0' && lm_names_find(&w->taken, source) == LM_NO_NAME)
		t->name = unique(w, source, err);
	else
		t->name = joined(w, n->name, ".", t->name, err);
	if (t->name == NULL ||
	    lm_onnx_add_initializer(w->to, t->name, lm_onnx_type(t->dtype), t->rank, t->shape, NULL,
		t, err) < 0)
		return NULL;
	if (t->dtype == lm_dtype_get(LM_F16) || t->dtype == lm_dtype_get(LM_BF16))
		return widen(w, t, err);
	return t->name;
}

const char *
lm_onnx_slot(struct lm_onnx_writing *w, const struct lm_node *n, size_t slot,
    struct loom_error *err)
{
	struct lm_outgoing *t = lm_arena_alloc(w->arena, 1, sizeof(*t), err);

	if (t == NULL || lm_outgoing_slot(t, w->arena, n->op->slots[slot].name, n, slot, err) < 0)
		return NULL;
	return lm_onnx_weight(w, n, n->weight[slot].source, t, err);
}
