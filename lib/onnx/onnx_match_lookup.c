/* onnx_match_lookup: rmsnorm, embeddings that look at their ids, and pads of axes that are listed. */
#include <math.h>
#include <string.h>

#include "onnx/onnx_match.h"
#include "onnx/onnx_to.h"

/* ---- rmsnorm ---- */

enum { DIM, EPS, SCALE };
enum { GAMMA };

/* A node Constant's tensor, which stands where there is no gamma. */
static const struct lm_onnx_tensor *
constant_of(const struct lm_onnx_proposal *p, const struct lm_onnx_node *mul)
{
	const struct lm_onnx_node *made = lm_onnx_before(p->file, mul, 1, "Constant");
	const struct lm_onnx_attribute *a = made != NULL ? lm_onnx_attribute(made, "value") : NULL;

	return a != NULL && a->type == LM_ONNX_IS_TENSOR ? a->tensor : NULL;
}

int
lm_onnx_propose_rmsnorm(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_node *add = lm_onnx_before(p->file, at, 0, "Add");
	const struct lm_onnx_node *mean = lm_onnx_before(p->file, add, 0, "ReduceMean");
	const struct lm_onnx_node *square = lm_onnx_before(p->file, mean, 0, "Mul");
	const struct lm_onnx_node *div = lm_onnx_read_by(p->file, lm_onnx_result(at), "Div"), *mul;
	const struct lm_onnx_tensor *gamma, *ones;
	float eps;
	int r;

	mul = div != NULL ? lm_onnx_read_by(p->file, lm_onnx_result(div), "Mul") : NULL;
	if (square == NULL || mul == NULL)
		return 0;
	r = lm_onnx_stored_number(p->file, lm_onnx_arg(add, 1), &eps, err);
	gamma = lm_onnx_stored(p->file, lm_onnx_arg(mul, 1));
	ones = gamma == NULL ? constant_of(p, mul) : NULL;
	if (r <= 0 || (gamma == NULL && ones == NULL))
		return r < 0 ? -1 : 0;
	p->n_in = p->n_out = 1;
	p->in[0] = lm_onnx_arg(square, 0);
	p->out[0] = lm_onnx_result(mul);
	p->node->param[DIM].i = (int64_t)(gamma != NULL ? gamma->count : ones->count);
	p->node->param[EPS].real = lm_onnx_real(eps);
	p->node->param[SCALE].i = gamma != NULL;
	return gamma == NULL || lm_onnx_propose_slot(p, GAMMA, gamma, NULL, err) == 0 ? 1 : -1;
}

/* ---- embedding ---- */

enum { VOCAB, EMBEDDING_DIM, OUTSIDE, WRAP };
enum { TABLE };
enum { ZERO, NOT_A_NUMBER, ERROR };

/* Ids below 0 wrap where the least that is valid is below 0: 1, 0, -1. */
static int
set_wrap(struct lm_onnx_proposal *p, const struct lm_onnx_node *low, int real,
    struct loom_error *err)
{
	int64_t least = 0;
	float below = 0;
	size_t n;
	int r;

	r = real ? lm_onnx_stored_number(p->file, lm_onnx_arg(low, 1), &below, err)
		 : lm_onnx_stored_integers(p->file, lm_onnx_arg(low, 1), &least, 1, &n, err);
	p->node->param[WRAP].i = real ? below < -1 : least < 0;
	return r;
}

/* What stands where an id has no row: 1, 0, -1. */
static int
set_outside(struct lm_onnx_proposal *p, const struct lm_onnx_node *rows, const char *valid,
    struct loom_error *err)
{
	const struct lm_onnx_node *where = lm_onnx_read_by(p->file, lm_onnx_result(rows), "Where");
	const struct lm_onnx_node *mask = lm_onnx_before(p->file, where, 0, "Unsqueeze");
	float filling;
	int r;

	p->n_in = p->n_out = 1;
	p->node->param[OUTSIDE].i = ERROR;
	p->out[0] = lm_onnx_result(rows);
	if (mask == NULL || strcmp(lm_onnx_arg(mask, 0), valid) != 0)
		return 1;
	r = lm_onnx_stored_number(p->file, lm_onnx_arg(where, 2), &filling, err);
	p->out[0] = lm_onnx_result(where);
	p->node->param[OUTSIDE].i = r == 1 && isnan(filling) ? NOT_A_NUMBER : ZERO;
	return r;
}

int
lm_onnx_propose_embedding(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_tensor *table = lm_onnx_stored(p->file, lm_onnx_arg(at, 0));
	const struct lm_onnx_node *cast = lm_onnx_before(p->file, at, 1, "Cast"), *safe, *valid,
				  *low;
	int r;

	safe = lm_onnx_before(p->file, cast != NULL ? cast : at, cast != NULL ? 0 : 1, "Where");
	valid = lm_onnx_before(p->file, safe, 0, "And");
	low = lm_onnx_before(p->file, valid, 0, NULL);
	if (table == NULL || table->rank != 2 || low == NULL)
		return 0;
	r = set_wrap(p, low, cast != NULL, err);
	if (r == 1)
		r = set_outside(p, at, lm_onnx_result(valid), err);
	if (r <= 0)
		return r;
	p->in[0] = lm_onnx_arg(safe, 1);
	p->dtype = cast != NULL ? NULL : lm_dtype_get(LM_I64);
	p->node->param[VOCAB].i = (int64_t)table->dim[0];
	p->node->param[EMBEDDING_DIM].i = (int64_t)table->dim[1];
	return lm_onnx_propose_slot(p, TABLE, table, NULL, err) < 0 ? -1 : 1;
}

/* ---- pad ---- */

enum { AXES, LOW, HIGH, MODE, VALUE };
enum { CIRCULAR = 3 };

static int
set_list(struct lm_onnx_proposal *p, size_t param, const char *value, struct loom_error *err)
{
	int64_t v[LOOM_RANK];
	struct lm_dim *dim;
	size_t n, i;
	int r = lm_onnx_stored_integers(p->file, value, v, LOOM_RANK, &n, err);

	if (r <= 0)
		return r;
	dim = lm_arena_alloc(p->arena, n + 1, sizeof(*dim), err);
	if (dim == NULL)
		return -1;
	for (i = 0; i < n; i++)
		dim[i].value = v[i];
	p->node->param[param].dims.n = n;
	p->node->param[param].dims.dim = dim;
	return 1;
}

/* The number, which tells what x is of; 1, 0, -1. */
static int
set_value(struct lm_onnx_proposal *p, const char *value, struct loom_error *err)
{
	const struct lm_onnx_tensor *t = lm_onnx_stored(p->file, value);
	int64_t whole = 0;
	float real = 0;
	size_t n;
	int r = 1;

	if (value[0] == '\0')
		return 1;
	if (t != NULL && t->type == LM_ONNX_FLOAT) {
		r = lm_onnx_stored_number(p->file, value, &real, err);
		p->node->param[VALUE].real = lm_onnx_real(real);
	} else if (t != NULL && t->type == LM_ONNX_INT64) {
		r = lm_onnx_stored_integers(p->file, value, &whole, 1, &n, err);
		p->node->param[VALUE].real = (double)whole;
		p->dtype = lm_dtype_get(LM_I64);
	} else {
		p->node->param[VALUE].real = 1;
		p->dtype = lm_dtype_get(LM_BOOL);
	}
	return r;
}

static int
set_mode(struct lm_onnx_proposal *p, const struct lm_onnx_node *at)
{
	static const char *const modes[] = { "constant", "reflect", "edge", "wrap", NULL };
	struct loom_error quiet = { 0 };
	const char *mode;

	if (lm_onnx_text(at, "mode", modes[0], &mode, &quiet) < 0)
		return 0;
	while (modes[p->node->param[MODE].i] != NULL &&
	    strcmp(modes[p->node->param[MODE].i], mode) != 0)
		p->node->param[MODE].i++;
	return modes[p->node->param[MODE].i] != NULL;
}

int
lm_onnx_propose_pad(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_node *pads = lm_onnx_before(p->file, at, 1, "Concat");
	const struct lm_onnx_node *low = lm_onnx_before(p->file, pads, 0, "ScatterElements");
	const struct lm_onnx_node *high = lm_onnx_before(p->file, pads, 1, "ScatterElements");
	int r;

	if (low == NULL || high == NULL || !set_mode(p, at))
		return 0;
	r = set_list(p, AXES, lm_onnx_arg(low, 1), err);
	if (r == 1)
		r = set_list(p, LOW, lm_onnx_arg(low, 2), err);
	if (r == 1)
		r = set_list(p, HIGH, lm_onnx_arg(high, 2), err);
	if (r == 1)
		r = set_value(p, lm_onnx_arg(at, 2), err);
	p->n_in = p->n_out = 1;
	p->in[0] = lm_onnx_arg(at, 0);
	p->out[0] = lm_onnx_result(at);
	return r;
}

/* ---- circular pads ---- */

/* Input k of a Concat is a Slice of x: from where, or to where; 1, 0, -1. */
static int
slice_of(const struct lm_onnx_proposal *p, const struct lm_onnx_node *concat, size_t k,
    const char *x, size_t end, int64_t *v, struct loom_error *err)
{
	const struct lm_onnx_node *slice = lm_onnx_before(p->file, concat, k, "Slice");
	size_t n;

	if (slice == NULL || strcmp(lm_onnx_arg(slice, 0), x) != 0)
		return 0;
	return lm_onnx_stored_integers(p->file, lm_onnx_arg(slice, end), v, 1, &n, err);
}

/* The end of x, x, and the start of x: how many of each, either of which may be 0; 1, 0, -1. */
static int
around(const struct lm_onnx_proposal *p, const struct lm_onnx_node *concat, const char **x,
    int64_t *low, int64_t *high, struct loom_error *err)
{
	int r;

	*low = *high = 0;
	if (concat->n_in < 2 || concat->n_in > 3)
		return 0;
	*x = lm_onnx_arg(concat, 1);
	r = slice_of(p, concat, 0, *x, 1, low, err);
	if (r == 0 && concat->n_in == 2) {
		*x = lm_onnx_arg(concat, 0);
		return slice_of(p, concat, 1, *x, 2, high, err);
	}
	*low = -*low;
	return r == 1 && concat->n_in == 3 ? slice_of(p, concat, 2, *x, 2, high, err) : r;
}

/* One axis more than n at the front of three lists. */
static void
push(struct lm_dim *const list[3], size_t n, const int64_t v[3])
{
	size_t k;

	for (k = 0; k < 3; k++) {
		memmove(list[k] + 1, list[k], n * sizeof(*list[k]));
		list[k][0].text = NULL;
		list[k][0].value = v[k];
	}
}

/* Is it the one for that axis of the pad that ends with the anchor? */
static int
is_step(const struct lm_onnx_node *concat, const struct lm_onnx_node *anchor)
{
	size_t n = strlen(anchor->name);

	return concat != NULL && strcmp(concat->op, "Concat") == 0 &&
	    strncmp(concat->name, anchor->name, n) == 0 &&
	    strncmp(concat->name + n, "/around", 7) == 0;
}

int
lm_onnx_propose_circular(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	static const size_t to[3] = { AXES, LOW, HIGH };
	const struct lm_onnx_node *concat = at;
	struct lm_dim *list[3];
	const char *x = "";
	int64_t v[3];
	size_t n, k;
	int r;

	for (k = 0; k < 3; k++) {
		list[k] = lm_arena_alloc(p->arena, LOOM_RANK, sizeof(*list[k]), err);
		if (list[k] == NULL)
			return -1;
	}
	for (n = 0; n < LOOM_RANK && (n == 0 || is_step(concat, at)); n++) {
		r = around(p, concat, &x, &v[1], &v[2], err);
		if (r <= 0 || lm_onnx_int(concat, "axis", 0, &v[0], err) < 0)
			return r <= 0 ? r : -1;
		push(list, n, v);
		concat = lm_onnx_made_by(p->file, x);
	}
	for (k = 0; k < 3; k++) {
		p->node->param[to[k]].dims.n = n;
		p->node->param[to[k]].dims.dim = list[k];
	}
	p->node->param[MODE].i = CIRCULAR;
	p->n_in = p->n_out = 1;
	p->in[0] = x;
	p->out[0] = lm_onnx_result(at);
	return 1;
}
