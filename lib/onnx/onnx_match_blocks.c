/* onnx_match_blocks: rotary and swiglu as onnx_to_blocks.c writes them, and parts of attention. */
#include "onnx/onnx_match_blocks.h"

#include <string.h>

static int
is(const struct lm_onnx_node *n, const char *op)
{
	return n != NULL && strcmp(n->op, op) == 0;
}

/* ---- projections ---- */

const char *
lm_onnx_projected(const struct lm_onnx_matching *f, const struct lm_onnx_node *product,
    struct lm_onnx_projection *p)
{
	const struct lm_onnx_node *sum;

	p->weight = lm_onnx_stored(f, lm_onnx_arg(product, 1));
	p->bias = NULL;
	p->x = lm_onnx_arg(product, 0);
	if (p->weight == NULL || p->weight->rank != 2)
		return NULL;
	sum = lm_onnx_read_by(f, lm_onnx_result(product), "Add");
	if (sum == NULL || strcmp(lm_onnx_arg(sum, 0), lm_onnx_result(product)) != 0)
		return lm_onnx_result(product);
	p->bias = lm_onnx_stored(f, lm_onnx_arg(sum, 1));
	return p->bias != NULL ? lm_onnx_result(sum) : lm_onnx_result(product);
}

int
lm_onnx_unprojected(const struct lm_onnx_matching *f, const char *y, struct lm_onnx_projection *p)
{
	const struct lm_onnx_node *n = lm_onnx_made_by(f, y);
	const char *made;

	if (is(n, "Add"))
		n = lm_onnx_before(f, n, 0, "MatMul");
	if (!is(n, "MatMul"))
		return 0;
	made = lm_onnx_projected(f, n, p);
	return made != NULL && strcmp(made, y) == 0;
}

/* ---- rotary ---- */

/* The base of angles' frequencies: 1, 0, -1. */
static int
find_base(const struct lm_onnx_matching *f, const struct lm_onnx_node *angles, double *base,
    const struct lm_onnx_tensor **factors, struct loom_error *err)
{
	const struct lm_onnx_node *n = lm_onnx_before(f, angles, 1, NULL), *cast;

	*factors = NULL;
	if (is(n, "Div")) {
		cast = lm_onnx_before(f, n, 1, "Cast");
		*factors = cast != NULL ? lm_onnx_stored(f, lm_onnx_arg(cast, 0)) : NULL;
		n = lm_onnx_before(f, n, 0, NULL);
	}
	return is(n, "Pow") ? lm_onnx_stored_double(f, lm_onnx_arg(n, 0), base, err) : 0;
}

/* What the cosines that a product takes were made of. */
static const struct lm_onnx_node *
angles_of(const struct lm_onnx_matching *f, const struct lm_onnx_node *product)
{
	const struct lm_onnx_node *n = lm_onnx_before(f, product, 1, NULL);

	if (is(n, "Unsqueeze") || is(n, "Expand"))
		n = lm_onnx_before(f, n, 0, NULL);
	n = is(n, "Cast") ? lm_onnx_before(f, n, 0, "Cos") : NULL;
	return lm_onnx_before(f, n, 0, "Mul");
}

int
lm_onnx_base_of(const struct lm_onnx_matching *f, const struct lm_onnx_node *rotary, double *base,
    struct loom_error *err)
{
	const struct lm_onnx_node *angles = angles_of(f, rotary);
	const struct lm_onnx_tensor *factors;

	return angles != NULL ? find_base(f, angles, base, &factors, err) : 0;
}

const struct lm_onnx_node *
lm_onnx_unturned(const struct lm_onnx_matching *f, const struct lm_onnx_node *joined, double *base,
    struct loom_error *err)
{
	const struct lm_onnx_node *sub = lm_onnx_before(f, joined, 0, "Sub"), *product, *angles;
	const struct lm_onnx_tensor *factors;

	product = lm_onnx_before(f, sub, 0, "Mul");
	angles = product != NULL ? angles_of(f, product) : NULL;
	if (angles == NULL || find_base(f, angles, base, &factors, err) != 1)
		return NULL;
	return lm_onnx_before(f, product, 0, "Split");
}

enum { HEAD_DIM, STYLE, BASE, SCALED };
enum { X, POSITIONS };
enum { FACTORS };

/* How many elements a row has, by the powers of its frequencies. */
static int64_t
row_of(const struct lm_onnx_matching *f, const struct lm_onnx_node *split,
    const struct lm_onnx_node *angles, int interleaved, struct loom_error *err)
{
	const struct lm_onnx_node *pow = lm_onnx_before(f, angles, 1, NULL);
	const struct lm_onnx_tensor *powers;
	int64_t sizes[3], row = 0;
	size_t n = 0, i;

	if (is(pow, "Div"))
		pow = lm_onnx_before(f, pow, 0, NULL);
	powers = is(pow, "Pow") ? lm_onnx_stored(f, lm_onnx_arg(pow, 1)) : NULL;
	if (interleaved)
		return powers != NULL ? 2 * (int64_t)powers->count : 0;
	if (split->n_in < 2 ||
	    lm_onnx_stored_integers(f, lm_onnx_arg(split, 1), sizes, 3, &n, err) != 1)
		return 0;
	for (i = 0; i < n; i++)
		row += sizes[i];
	return row;
}

/* Positions that are given, or counted: then nothing. */
static const char *
positions_of(const struct lm_onnx_matching *f, const struct lm_onnx_node *angles,
    const struct lm_onnx_node *split, int interleaved)
{
	const struct lm_onnx_node *cast = lm_onnx_before(f, angles, 0, "Unsqueeze"), *range, *shape;
	const char *x = lm_onnx_arg(split, 0);

	if (interleaved && lm_onnx_before(f, split, 0, "Reshape") != NULL)
		x = lm_onnx_arg(lm_onnx_before(f, split, 0, "Reshape"), 0);
	cast = lm_onnx_before(f, cast, 0, "Cast");
	range = lm_onnx_before(f, cast, 0, "Range");
	shape = lm_onnx_before(f, lm_onnx_before(f, range, 1, "Squeeze"), 0, "Shape");
	if (shape != NULL && strcmp(lm_onnx_arg(shape, 0), x) == 0 &&
	    lm_onnx_stored(f, lm_onnx_arg(range, 0)) != NULL)
		return NULL;
	return cast != NULL ? lm_onnx_arg(cast, 0) : NULL;
}

/* The rank of the reshaped rows, or 2 more than the axis that positions are counted along, or 0. */
static unsigned
rank_of(const struct lm_onnx_matching *f, const struct lm_onnx_node *angles,
    const struct lm_onnx_node *split, int interleaved, struct loom_error *err)
{
	const struct lm_onnx_node *n = lm_onnx_before(f, angles, 0, "Unsqueeze");
	int64_t shape[LM_ONNX_RANK], start = 0;
	size_t count;

	n = lm_onnx_before(f, lm_onnx_before(f, n, 0, "Cast"), 0, "Range");
	n = lm_onnx_before(f, lm_onnx_before(f, n, 1, "Squeeze"), 0, "Shape");
	if (interleaved) {
		n = lm_onnx_before(f, split, 0, "Reshape");
		if (n == NULL || n->n_in < 2 ||
		    lm_onnx_stored_integers(f, lm_onnx_arg(n, 1), shape, LM_ONNX_RANK, &count,
			err) != 1)
			return 0;
		return (unsigned)count - 1;
	}
	if (n == NULL)
		return 0;
	return lm_onnx_int(n, "start", 0, &start, err) == 0 ? (unsigned)(start + 2) : 0;
}

/* The Concat that joins what a Split took apart. */
static const struct lm_onnx_node *
joined_by(const struct lm_onnx_matching *f, const struct lm_onnx_node *product)
{
	const struct lm_onnx_node *n = lm_onnx_read_by(f, lm_onnx_result(product), "Sub");

	return n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), "Concat") : NULL;
}

/* The product of the first half and the cosines, from these on. */
static const struct lm_onnx_node *
product_of(const struct lm_onnx_matching *f, const struct lm_onnx_node *cosine, int *interleaved)
{
	const struct lm_onnx_node *n = lm_onnx_read_by(f, lm_onnx_result(cosine), "Cast"), *next;

	next = n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), NULL) : NULL;
	*interleaved = is(next, "Unsqueeze");
	if (*interleaved)
		next = lm_onnx_read_by(f, lm_onnx_result(next), NULL);
	return is(next, "Mul") ? next : NULL;
}

/* The same since opset 23: the operator that takes the cosines. */
static int
propose_operator(struct lm_onnx_proposal *p, const struct lm_onnx_node *rotary,
    const struct lm_onnx_node *angles, struct loom_error *err)
{
	const struct lm_onnx_tensor *factors;
	union lm_value *param = p->node->param;

	if (angles == NULL || find_base(p->file, angles, &param[BASE].real, &factors, err) != 1 ||
	    lm_onnx_int(rotary, "interleaved", 0, &param[STYLE].i, err) < 0)
		return 0;
	param[SCALED].i = factors != NULL;
	param[HEAD_DIM].i = row_of(p->file, rotary, angles, 1, err);
	p->rank[X] = 4;
	p->in[X] = lm_onnx_arg(rotary, 0);
	p->n_in = 1;
	p->out[0] = lm_onnx_result(rotary);
	p->n_out = 1;
	return lm_onnx_propose_slot(p, FACTORS, factors, NULL, err) < 0 ? -1 : 1;
}

/* The RotaryEmbedding that reads a table of cosines for each sample, or NULL. */
static const struct lm_onnx_node *
operator_of(const struct lm_onnx_matching *f, const struct lm_onnx_node *cosine)
{
	const struct lm_onnx_node *n = lm_onnx_read_by(f, lm_onnx_result(cosine), "Cast");

	n = n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), "Expand") : NULL;
	return n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), "RotaryEmbedding") : NULL;
}

int
lm_onnx_propose_rotary(struct lm_onnx_proposal *p, const struct lm_onnx_node *cosine,
    struct loom_error *err)
{
	const struct lm_onnx_matching *f = p->file;
	int interleaved;
	const struct lm_onnx_node *angles = lm_onnx_before(f, cosine, 0, "Mul"), *split, *joined;
	const struct lm_onnx_node *product = product_of(f, cosine, &interleaved);
	const struct lm_onnx_tensor *factors;
	union lm_value *param = p->node->param;

	if (operator_of(f, cosine) != NULL)
		return propose_operator(p, operator_of(f, cosine), angles, err);
	split = lm_onnx_before(f, product, 0, "Split");
	joined = product != NULL ? joined_by(f, product) : NULL;
	if (joined != NULL && interleaved)
		joined = lm_onnx_read_by(f, lm_onnx_result(joined), "Reshape");
	if (angles == NULL || split == NULL || joined == NULL ||
	    find_base(f, angles, &param[BASE].real, &factors, err) != 1)
		return 0;
	param[STYLE].i = interleaved;
	param[SCALED].i = factors != NULL;
	param[HEAD_DIM].i = row_of(f, split, angles, interleaved, err);
	p->rank[X] = rank_of(f, angles, split, interleaved, err);
	p->in[X] = lm_onnx_arg(split, 0);
	if (interleaved && lm_onnx_before(f, split, 0, "Reshape") != NULL)
		p->in[X] = lm_onnx_arg(lm_onnx_before(f, split, 0, "Reshape"), 0);
	p->in[POSITIONS] = positions_of(f, angles, split, interleaved);
	p->n_in = p->in[POSITIONS] != NULL ? 2 : 1;
	p->out[0] = lm_onnx_result(joined);
	p->n_out = 1;
	return lm_onnx_propose_slot(p, FACTORS, factors, NULL, err) < 0 ? -1 : 1;
}

/* ---- swiglu ---- */

enum { IN, HIDDEN, ACTIVATION, BIASED };
enum { GATE, UP, DOWN, GATE_BIAS };

static int
put_swiglu(struct lm_onnx_proposal *p, const struct lm_onnx_projection *pr, struct loom_error *err)
{
	size_t i;

	p->node->param[IN].i = (int64_t)pr[GATE].weight->dim[0];
	p->node->param[HIDDEN].i = (int64_t)pr[GATE].weight->dim[1];
	p->node->param[BIASED].i = pr[GATE].bias != NULL;
	for (i = 0; i < 3; i++)
		if (lm_onnx_propose_turned(p, GATE + i, pr[i].weight, err) < 0 ||
		    lm_onnx_propose_slot(p, GATE_BIAS + i, pr[i].bias, NULL, err) < 0)
			return -1;
	return 1;
}

/* From the Sigmoid or Relu of its gate. */
int
lm_onnx_propose_swiglu(struct lm_onnx_proposal *p, const struct lm_onnx_node *active,
    struct loom_error *err)
{
	const struct lm_onnx_matching *f = p->file;
	struct lm_onnx_projection pr[3];
	const struct lm_onnx_node *n = lm_onnx_read_by(f, lm_onnx_result(active), "Mul");

	p->node->param[ACTIVATION].i = is(active, "Relu");
	n = n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), "Mul") : NULL;
	if (n == NULL || lm_onnx_unprojected(f, lm_onnx_arg(active, 0), &pr[GATE]) != 1 ||
	    lm_onnx_unprojected(f, lm_onnx_arg(n, 1), &pr[UP]) != 1)
		return 0;
	n = lm_onnx_read_by(f, lm_onnx_result(n), "MatMul");
	p->out[0] = n != NULL ? lm_onnx_projected(f, n, &pr[DOWN]) : NULL;
	if (p->out[0] == NULL)
		return 0;
	p->n_out = 1;
	p->in[0] = pr[GATE].x;
	p->n_in = 1;
	return put_swiglu(p, pr, err);
}

/* ---- residual ---- */

int
lm_onnx_propose_residual(struct lm_onnx_proposal *p, const struct lm_onnx_node *sum,
    struct loom_error *err)
{
	(void)err;
	if (sum->n_in < 1 || sum->n_in > 2)
		return 0;
	p->in[0] = sum->in[0];
	p->in[1] = sum->in[sum->n_in - 1];
	p->n_in = sum->n_in;
	p->alike = 1;
	p->out[0] = lm_onnx_result(sum);
	p->n_out = 1;
	return 1;
}
