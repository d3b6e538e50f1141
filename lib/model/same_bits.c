/* same_bits: made-up inputs for a network, and two networks on the same ones. */
#include <string.h>

#include "model/same.h"
#include "num/bytes.h"

enum { SMALL = 2, MANY = 1 << 20 }; /* what indices are below where no table says more */

struct making {
	const struct loom_model *model;
	struct lm_made *made;
	uint32_t seed;
	uint64_t indices;
};

/* Numerical Recipes' generator of 32 bits: nothing but bits that are the same everywhere. */
static uint32_t
next(struct making *t)
{
	t->seed = t->seed * 1664525u + 1013904223u;
	return t->seed >> 8;
}

static void
fill(struct making *t, const struct lm_dtype *dtype, unsigned char *to, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		if (dtype == lm_dtype_get(LM_F32))
			lm_put_f32(to + 4 * i, (float)((double)next(t) * 0x1p-23 - 1));
		else if (dtype == lm_dtype_get(LM_I64))
			lm_put_u64(to + 8 * i, next(t) % t->indices);
		else
			to[i] = next(t) & 1;
	}
}

static int
make_input(struct making *t, size_t i, const struct lm_shape *shape, struct loom_error *err)
{
	const struct lm_input *in = &t->model->inputs[i];
	struct loom_tensor *x = &t->made->inputs[i];
	unsigned char *data;
	uint64_t count, bytes;

	if (lm_shape_count(shape, &count) < 0 || lm_dtype_bytes(in->dtype, count, &bytes) < 0)
		return lm_fail(err, LOOM_ESHAPE, "input %.80s is too large", in->name);
	data = lm_arena_alloc(&t->made->arena, (size_t)bytes, 1, err);
	if (data == NULL)
		return -1;
	fill(t, in->dtype, data, count);
	x->name = in->name;
	x->dtype = in->dtype->name;
	x->rank = shape->rank;
	memcpy(x->shape, shape->dim, sizeof(x->shape));
	x->data = data;
	return 0;
}

/* The smallest table that indices may reach into. */
static uint64_t
vocabulary(const struct loom_model *m)
{
	uint64_t least = MANY;
	size_t i;
	int p;

	for (i = 0; i < m->n_nodes; i++) {
		p = lm_layer_param(m->nodes[i]->op, "vocab_size");
		if (p >= 0 && (uint64_t)m->nodes[i]->param[p].i < least)
			least = (uint64_t)m->nodes[i]->param[p].i;
	}
	return least < MANY ? least : SMALL;
}

static int
run(struct loom_run **out, const struct loom_model *m, const struct lm_made *made,
    struct loom_error *err)
{
	size_t i;

	if (loom_run_new(out, m, 1, err) < 0)
		return -1;
	for (i = 0; i < m->n_inputs; i++)
		if (loom_run_set(*out, i, &made->inputs[i], err) < 0)
			return -1;
	return loom_run_forward(*out, err);
}

/* With inputs of these shapes. */
static int
try_shapes(struct making *t, const struct lm_shape *shapes, struct loom_error *err)
{
	size_t i;

	t->seed = 1;
	for (i = 0; i < t->model->n_inputs; i++)
		if (make_input(t, i, &shapes[t->model->inputs[i].tensor], err) < 0)
			return -1;
	loom_run_free(t->made->run);
	t->made->run = NULL;
	return run(&t->made->run, t->model, t->made, err);
}

/* The sizes of named dimensions are one of these. */
static int
try_sizes(struct making *t, struct loom_error *err)
{
	static const uint64_t sizes[] = { 2, 3, 4, 1, 5, 6, 7, 8, 16, 32, 64 };
	struct lm_shape *shapes;
	struct loom_error first = { 0 }, now;
	size_t i;
	int r = -1;

	shapes = lm_arena_alloc(&t->made->arena, t->model->n_values, sizeof(*shapes), err);
	for (i = 0; shapes != NULL && r < 0 && i < sizeof(sizes) / sizeof(*sizes); i++) {
		memset(&now, 0, sizeof(now));
		r = lm_model_try(t->model, sizes[i], 1, shapes, &now);
		if (r == 0)
			r = try_shapes(t, shapes, &now);
		if (i == 0)
			first = now;
	}
	if (r < 0 && err->code == LOOM_OK)
		*err = first;
	return r;
}

static int
make(struct making *t, struct loom_error *err)
{
	struct lm_made *made = t->made;
	size_t i;

	t->indices = vocabulary(t->model);
	made->n_inputs = t->model->n_inputs;
	made->n_outputs = t->model->n_outputs;
	made->inputs = lm_arena_alloc(&made->arena, made->n_inputs, sizeof(*made->inputs), err);
	made->outputs = lm_arena_alloc(&made->arena, made->n_outputs, sizeof(*made->outputs), err);
	if (made->inputs == NULL || made->outputs == NULL || try_sizes(t, err) < 0)
		return -1;
	for (i = 0; i < made->n_outputs; i++)
		made->outputs[i] = loom_run_output(made->run, i);
	return 0;
}

int
lm_made_inputs(struct lm_made *made, const struct loom_model *m, struct loom_error *err)
{
	struct making t = { .model = m, .made = made };

	memset(made, 0, sizeof(*made));
	if (make(&t, err) == 0)
		return 0;
	lm_made_release(made);
	return -1;
}

void
lm_made_release(struct lm_made *made)
{
	loom_run_free(made->run);
	lm_arena_release(&made->arena);
	memset(made, 0, sizeof(*made));
}

/* ---- two of them ---- */

static int
same_outputs(const struct lm_made *made, const struct loom_run *y, struct lm_buf *why,
    struct loom_error *err)
{
	char a[65], b[65];
	struct loom_tensor q;
	size_t i;

	for (i = 0; i < made->n_outputs; i++) {
		q = loom_run_output(y, i);
		if (loom_tensor_hash(&made->outputs[i], a, err) < 0 ||
		    loom_tensor_hash(&q, b, err) < 0)
			return -1;
		if (strcmp(a, b) == 0)
			continue;
		return lm_buf_printf(why, err, "output %.80s has other values on a made-up input",
			   made->outputs[i].name) < 0
		    ? -1
		    : 0;
	}
	return 1;
}

int
lm_same_bits(const struct loom_model *a, const struct loom_model *b, struct lm_buf *why,
    struct loom_error *err)
{
	struct loom_run *other = NULL;
	struct lm_made made;
	int r;

	if (a->n_inputs != b->n_inputs || a->n_outputs != b->n_outputs)
		return lm_buf_str(why, "other inputs or outputs", err) < 0 ? -1 : 0;
	if (lm_made_inputs(&made, a, err) < 0)
		return -1;
	r = run(&other, b, &made, err);
	if (r == 0)
		r = same_outputs(&made, other, why, err);
	loom_run_free(other);
	lm_made_release(&made);
	return r;
}
