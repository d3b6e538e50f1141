/*
 * onnx_fold: nodes whose inputs are known numbers.  What they give is what a network of that one operation
 * gives, so it is built and run: once for constants, in each trial for numbers that are made of extents.
 */
#include <string.h>

#include "onnx/onnx_known.h"
#include "num/bytes.h"

enum { MOST = 1 << 20 }; /* values that are folded; larger constants are values of the network */

struct lm_onnx_tensor *
lm_onnx_tensor_new(struct lm_onnx_reading *r, int type, unsigned rank, const uint64_t *dim,
    const void *data, struct loom_error *err)
{
	struct lm_onnx_tensor *t = lm_arena_alloc(&r->arena, 1, sizeof(*t), err);
	unsigned char *copy;
	unsigned i;

	if (t == NULL)
		return NULL;
	t->name = "";
	t->type = type;
	t->rank = rank;
	t->count = 1;
	for (i = 0; i < rank; i++) {
		t->dim[i] = dim[i];
		t->count *= dim[i];
	}
	copy = lm_arena_alloc(&r->arena, (size_t)lm_onnx_tensor_bytes(t) + 1, 1, err);
	if (copy == NULL)
		return NULL;
	if (t->count > 0)
		memcpy(copy, data, (size_t)lm_onnx_tensor_bytes(t));
	t->data = copy;
	return t;
}

/* ---- a network of one node ---- */

enum { OUTPUTS = 8 };

struct fold {
	struct lm_onnx_reading *r;
	const struct lm_onnx_node *node;
	size_t n_out;
	const struct lm_onnx_tensor *out[OUTPUTS]; /* NULL: not given */
};

/* 0: done; 1: it cannot be; -1: no memory. */
static int
run_network(struct fold *f, struct loom_model *m, const size_t at[OUTPUTS], struct loom_error *err)
{
	struct loom_error quiet = { 0 };
	struct loom_run *run = NULL;
	struct loom_tensor t;
	size_t i;
	int rc = 0;

	if (loom_run_new(&run, m, 1, &quiet) < 0 || loom_run_forward(run, &quiet) < 0)
		rc = quiet.code == LOOM_ENOMEM ? lm_fail(err, LOOM_ENOMEM, "%s", quiet.text) : 1;
	for (i = 0; rc == 0 && i < f->n_out; i++) {
		if (at[i] == LM_ABSENT)
			continue;
		t = loom_run_output(run, at[i]);
		if (t.rank > LM_ONNX_RANK)
			rc = 1;
		else
			f->out[i] = lm_onnx_tensor_new(f->r, lm_onnx_type(lm_dtype_find(t.dtype)),
			    t.rank, t.shape, t.data, err);
		if (rc == 0 && f->out[i] == NULL)
			rc = -1;
	}
	loom_run_free(run);
	return rc;
}

static int
small_enough(const struct loom_model *m, struct lm_arena *arena)
{
	struct loom_error quiet = { 0 };
	struct lm_shape *shapes = lm_arena_alloc(arena, m->n_values + 1, sizeof(*shapes), &quiet);
	uint64_t count;
	size_t i;

	if (shapes == NULL || lm_model_try(m, 1, 1, shapes, &quiet) < 0)
		return 0;
	for (i = 0; i < m->n_values; i++)
		if (lm_shape_count(&shapes[i], &count) < 0 || count > MOST)
			return 0;
	return 1;
}

/* The outputs of the node that was read: constants as they are, and values by a run. */
static int
results(struct fold *f, struct lm_onnx_reading *sub, struct loom_error *err)
{
	size_t at[OUTPUTS], i, n = 0;
	struct lm_onnx_known *k;

	for (i = 0; i < f->n_out; i++) {
		at[i] = LM_ABSENT;
		k = f->node->out[i][0] != '\0' ? lm_onnx_find(sub, f->node->out[i]) : NULL;
		if (k == NULL)
			continue;
		if (k->tensor != NULL) {
			f->out[i] = lm_onnx_tensor_new(f->r, k->tensor->type, k->tensor->rank,
			    k->tensor->dim, lm_onnx_stored_bytes(sub, k->tensor, err), err);
			if (f->out[i] == NULL)
				return -1;
			continue;
		}
		if (k->value == LM_ABSENT)
			return 1;
		at[i] = n++;
		if (lm_model_add_output(sub->model, sub->model->values[k->value].name, err) < 0)
			return -1;
	}
	if (n == 0)
		return 0;
	return small_enough(sub->model, &sub->arena) ? run_network(f, sub->model, at, err) : 1;
}

static int
read_one(struct fold *f, struct lm_onnx_reading *sub, const struct lm_onnx_tensor *tensors,
    size_t n, struct loom_error *err)
{
	struct loom_error quiet = { 0 };
	struct lm_onnx x = *f->r->from;
	unsigned char done = 0;
	size_t i;

	x.n_nodes = 1;
	x.nodes = (struct lm_onnx_node *)f->node;
	x.n_inputs = x.n_outputs = x.n_values = 0;
	x.n_tensors = 0;
	sub->from = &x;
	sub->done = &done;
	sub->opset = f->r->opset;
	sub->folding = 1;
	for (i = 0; i < n; i++)
		if (lm_onnx_find(sub, tensors[i].name) == NULL &&
		    lm_onnx_know_constant(sub, tensors[i].name, &tensors[i], 1, err) < 0)
			return -1;
	if (lm_onnx_trials_begin(sub, NULL, 0, err) < 0)
		return -1;
	if (lm_onnx_know_all(sub, &quiet) < 0 || lm_onnx_know_users(sub, NULL, 0, &quiet) < 0 ||
	    lm_onnx_read_nodes(sub, &quiet) < 0)
		return quiet.code == LOOM_ENOMEM ? lm_fail(err, LOOM_ENOMEM, "%s", quiet.text) : 1;
	return results(f, sub, err);
}

/* 0: out has what the node gives for these inputs; 1: no; -1. */
static int
evaluate(struct fold *f, const struct lm_onnx_tensor *tensors, size_t n, struct loom_error *err)
{
	struct lm_onnx_reading sub = { 0 };
	int rc;

	if (lm_model_new(&sub.model, "a constant", err) < 0)
		return -1;
	rc = read_one(f, &sub, tensors, n, err);
	lm_arena_release(&sub.arena);
	loom_model_free(sub.model);
	return rc;
}

/* ---- quotients of integers, which are cut off toward zero ---- */

static int
divide(struct fold *f, const struct lm_onnx_tensor *x, const struct lm_onnx_tensor *y,
    struct loom_error *err)
{
	const struct lm_onnx_tensor *wide = x->count >= y->count ? x : y;
	size_t n = (size_t)wide->count, i;
	int64_t *a = lm_arena_alloc(&f->r->arena, n + 1, sizeof(*a), err);
	int64_t *b = lm_arena_alloc(&f->r->arena, n + 1, sizeof(*b), err);

	if (a == NULL || b == NULL || lm_onnx_tensor_integers(f->r, x, a, err) < 0 ||
	    lm_onnx_tensor_integers(f->r, y, b, err) < 0)
		return -1;
	for (i = n; i-- > 0;) {
		a[i] = a[x->count == 1 ? 0 : i];
		b[i] = b[y->count == 1 ? 0 : i];
	}
	for (i = 0; i < n; i++) {
		if (b[i] == 0 || (a[i] == INT64_MIN && b[i] == -1))
			return 1;
		lm_put_u64((unsigned char *)&a[i], (uint64_t)(a[i] / b[i]));
	}
	f->out[0] = lm_onnx_tensor_new(f->r, LM_ONNX_INT64, wide->rank, wide->dim, a, err);
	return f->out[0] != NULL ? 0 : -1;
}

static int
are_integers(const struct lm_onnx_tensor *x, const struct lm_onnx_tensor *y)
{
	return lm_onnx_run_dtype(x->type) == lm_dtype_get(LM_I64) &&
	    lm_onnx_run_dtype(y->type) == lm_dtype_get(LM_I64) &&
	    ((x->count == y->count && x->rank == y->rank) ||
		(x->count == 1 && x->rank <= y->rank) || (y->count == 1 && y->rank <= x->rank));
}

/* ---- inputs ---- */

/* Whether all inputs are numbers that are known, and whether any depends on extents. */
static int
all_known(struct lm_onnx_reading *r, const struct lm_onnx_node *node, int *symbolic, int *weight)
{
	struct lm_onnx_known *k;
	uint64_t count = 0;
	size_t i;

	*symbolic = *weight = 0;
	for (i = 0; i < node->n_in; i++) {
		k = lm_onnx_in(r, node, i);
		if (k == NULL)
			continue;
		if (k->tensor == NULL &&
		    (k->tried == NULL || k->tried->small[lm_onnx_alive(r)] == NULL))
			return 0;
		if (k->tensor != NULL && k->tensor->type == LM_ONNX_STRING)
			return 0;
		count += k->tensor != NULL ? k->tensor->count : 1;
		*symbolic |= k->tensor == NULL;
		*weight |= k->tensor == NULL || k->weight;
	}
	return node->n_in > 0 && count <= MOST;
}

static size_t
inputs_of(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t trial,
    struct lm_onnx_tensor *to)
{
	struct lm_onnx_known *k;
	size_t i, n = 0;

	for (i = 0; i < node->n_in; i++) {
		k = lm_onnx_in(r, node, i);
		if (k == NULL)
			continue;
		to[n] = k->tensor != NULL ? *k->tensor : *k->tried->small[trial];
		to[n++].name = node->in[i];
	}
	return n;
}

static int
fold_once(struct fold *f, size_t trial, struct loom_error *err)
{
	struct lm_onnx_tensor *in = lm_alloc(f->node->n_in, sizeof(*in), err);
	size_t n;
	int rc;

	if (in == NULL)
		return -1;
	n = inputs_of(f->r, f->node, trial, in);
	if (strcmp(f->node->op, "Div") == 0 && n == 2 && are_integers(&in[0], &in[1]))
		rc = divide(f, &in[0], &in[1], err);
	else
		rc = evaluate(f, in, n, err);
	lm_free(in);
	return rc;
}

/* ---- small numbers that are made of extents ---- */

static int
same_tensor(const struct lm_onnx_tensor *a, const struct lm_onnx_tensor *b, int data)
{
	if (a->type != b->type || a->rank != b->rank ||
	    memcmp(a->dim, b->dim, a->rank * sizeof(a->dim[0])) != 0)
		return 0;
	return !data || memcmp(a->data, b->data, (size_t)lm_onnx_tensor_bytes(a)) == 0;
}

static int
fit_elements(struct lm_onnx_reading *r, struct lm_onnx_known *k, const struct lm_onnx_term *near,
    size_t n_near, struct loom_error *err)
{
	size_t n = (size_t)k->tried->small[lm_onnx_alive(r)]->count, i, t;
	struct lm_dim *dim = lm_arena_alloc(&r->arena, n + 1, sizeof(*dim), err);
	int64_t value[LM_ONNX_TRIALS] = { 0 };

	for (i = 0; dim != NULL && i < n; i++) {
		for (t = 0; t < r->trials->n; t++)
			if (r->trials->alive[t])
				value[t] = (int64_t)lm_get_u64(k->tried->small[t]->data + 8 * i);
		if (lm_onnx_fit(r, value, near, n_near, &dim[i], err) < 0)
			return -1;
	}
	k->elements = dim;
	k->n_elements = n;
	return dim != NULL ? 0 : -1;
}

int
lm_onnx_know_small(struct lm_onnx_reading *r, struct lm_onnx_known *k,
    const struct lm_onnx_tensor *const small[LM_ONNX_TRIALS], const struct lm_onnx_term *near,
    size_t n_near, int weight, struct loom_error *err)
{
	const struct lm_onnx_tensor *first = small[lm_onnx_alive(r)];
	int same = 1;
	size_t t;

	for (t = 0; t < r->trials->n; t++)
		if (r->trials->alive[t])
			same = same && same_tensor(first, small[t], 1);
	if (lm_onnx_know_constant(r, k->name, first, weight, err) < 0)
		return -1;
	if (same)
		return 0;
	k->tensor = NULL;
	if (lm_onnx_tried(r, k, err) < 0)
		return -1;
	memcpy(k->tried->small, small, sizeof(k->tried->small));
	if (first->type != LM_ONNX_INT64 || first->rank > 1)
		return 0;
	return fit_elements(r, k, near, n_near, err);
}

/* Elements of the inputs that are no integers. */
static size_t
terms_of(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_term *to,
    size_t room)
{
	struct lm_onnx_known *k;
	size_t i, j, t, n = 0;

	for (i = 0; i < node->n_in; i++) {
		k = lm_onnx_in(r, node, i);
		for (j = 0; k != NULL && k->elements != NULL && j < k->n_elements && n < room;
		     j++) {
			if (k->elements[j].text == NULL || k->elements[j].text[0] == '?')
				continue;
			to[n].text = k->elements[j].text;
			for (t = 0; t < r->trials->n; t++)
				if (r->trials->alive[t])
					to[n].value[t] = (int64_t)lm_get_u64(
					    k->tried->small[t]->data + 8 * j);
			n++;
		}
	}
	return n;
}

enum { NEAR = 32 };

static int
know_symbolic(struct fold *f, const struct lm_onnx_tensor *(*got)[OUTPUTS], struct loom_error *err)
{
	const struct lm_onnx_tensor *small[LM_ONNX_TRIALS] = { 0 };
	struct lm_onnx_term *near = lm_alloc(NEAR, sizeof(*near), err);
	struct lm_onnx_known *k;
	size_t n = 0, i, t;
	int rc = near != NULL ? lm_onnx_composed(f->r, f->node, near, err) : -1;

	if (rc >= 0) {
		n = (size_t)rc + terms_of(f->r, f->node, near + rc, (size_t)(NEAR - rc));
		rc = 0;
	}
	for (i = 0; rc == 0 && i < f->n_out; i++) {
		if (got[lm_onnx_alive(f->r)][i] == NULL)
			continue;
		for (t = 0; t < f->r->trials->n; t++)
			small[t] = got[t][i];
		k = lm_onnx_find(f->r, f->node->out[i]);
		rc = lm_onnx_know_small(f->r, k, small, near, n, 1, err);
	}
	lm_free(near);
	return rc;
}

/* In each trial; their outputs must have the same dims. */
static int
fold_symbolic(struct fold *f, struct loom_error *err)
{
	const struct lm_onnx_tensor *got[LM_ONNX_TRIALS][OUTPUTS] = { { 0 } };
	unsigned char alive[LM_ONNX_TRIALS];
	size_t t, i, first = LM_ABSENT;
	int rc;

	memcpy(alive, f->r->trials->alive, sizeof(alive));
	for (t = 0; t < f->r->trials->n; t++) {
		if (!alive[t])
			continue;
		memset(f->out, 0, sizeof(f->out));
		rc = fold_once(f, t, err);
		if (rc < 0)
			return -1;
		alive[t] = rc == 0;
		if (rc > 0)
			continue;
		memcpy(got[t], f->out, sizeof(f->out));
		first = first == LM_ABSENT ? t : first;
		for (i = 0; i < f->n_out; i++)
			if ((got[t][i] == NULL) != (got[first][i] == NULL) ||
			    (got[t][i] != NULL && !same_tensor(got[first][i], got[t][i], 0)))
				return 0;
	}
	if (first == LM_ABSENT)
		return 0;
	memcpy(f->r->trials->alive, alive, sizeof(alive));
	return know_symbolic(f, got, err) < 0 ? -1 : 1;
}

/* ---- constants whose values stay where they are ---- */

/* A stored weight of another width counts as float32; a transposed one is seen in another order. */
static int
fold_stored(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0), *y = lm_onnx_find(r, node->out[0]);
	const struct lm_dtype *from;
	int64_t to = 0;

	if (strcmp(node->op, "Cast") != 0 || x == NULL || x->tensor == NULL || y == NULL)
		return 0;
	from = lm_onnx_dtype(x->tensor->type);
	if (lm_onnx_int(node, "to", 0, &to, err) < 0)
		return -1;
	if (to != LM_ONNX_FLOAT || from == NULL || from->kind != LM_FLOATING)
		return 0;
	lm_onnx_alias(y, x);
	y->dtype = lm_dtype_get(LM_F32);
	return 1;
}

static int
fold_transposed(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0), *y = lm_onnx_find(r, node->out[0]);
	struct lm_onnx_tensor *t;
	unsigned perm[LM_ONNX_RANK], i;
	const int64_t *given;
	const struct lm_dtype *dtype;
	size_t n;

	if (strcmp(node->op, "Transpose") != 0 || x == NULL || x->tensor == NULL || y == NULL ||
	    x->tensor->data != NULL)
		return 0;
	if (lm_onnx_ints(node, "perm", &given, &n, err) < 0)
		return -1;
	t = lm_arena_alloc(&r->arena, 1, sizeof(*t), err);
	if (t == NULL)
		return -1;
	*t = *x->tensor;
	for (i = 0; i < t->rank; i++) {
		if (n > 0 && (n != t->rank || given[i] < 0 || given[i] >= (int64_t)t->rank))
			return 0;
		perm[i] = n > 0 ? (unsigned)given[i] : t->rank - 1 - i;
		t->dim[i] = x->tensor->dim[perm[i]];
	}
	lm_view_transpose(&t->view, perm);
	dtype = x->dtype;
	if (lm_onnx_know_constant(r, y->name, t, x->weight, err) < 0)
		return -1;
	y->dtype = dtype;
	return 1;
}

/* ---- all of it ---- */

static int
know_constants(struct fold *f, int weight, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < f->n_out; i++)
		if (f->out[i] != NULL &&
		    lm_onnx_know_constant(f->r, f->node->out[i], f->out[i], weight, err) < 0)
			return -1;
	return 1;
}

int
lm_onnx_fold(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	struct fold f = { .r = r, .node = node, .n_out = node->n_out };
	int symbolic, weight, rc;

	if (r->folding || node->n_out == 0 || node->n_out > OUTPUTS || node->out[0][0] == '\0' ||
	    strcmp(node->op, "Shape") == 0 || strcmp(node->op, "Size") == 0)
		return 0;
	rc = fold_stored(r, node, err);
	if (rc == 0)
		rc = fold_transposed(r, node, err);
	if (rc != 0 || !all_known(r, node, &symbolic, &weight))
		return rc;
	if (symbolic)
		return fold_symbolic(&f, err);
	rc = fold_once(&f, 0, err);
	return rc != 0 ? (rc < 0 ? -1 : 0) : know_constants(&f, weight, err);
}
