/* onnx_from_dense: MatMul and Gemm: dense where the right side is an initializer, else matmul. */
#include "onnx/onnx_reads.h"

#include <string.h>

enum { WEIGHT, BIAS };

/* A matrix that a slot can be. */
static int
is_matrix(const struct lm_onnx_known *k)
{
	return lm_onnx_is_weight(k) && k->tensor->rank == 2 && k->tensor->count > 0;
}

/* One value per column, for all rows; x has rank axes or more. */
static int
is_bias(const struct lm_onnx_known *k, uint64_t columns, size_t rank)
{
	const struct lm_onnx_tensor *t = k != NULL ? k->tensor : NULL;

	return lm_onnx_is_weight(k) && t->rank >= 1 && t->rank <= rank && t->count == columns &&
	    t->dim[t->rank - 1] == columns;
}

/* dense: of a weight [out, in] as it is, or of one [in, out]; ended by whoever asked. */
static struct lm_node *
dense(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x,
    const struct lm_onnx_known *weight, int by_output, const struct lm_onnx_known *bias,
    const char *what, struct loom_error *err)
{
	static const unsigned swapped[] = { 1, 0 };
	const uint64_t *dim = weight->tensor->dim;
	struct lm_node *n = lm_onnx_begin(r, node, what, "dense", 1, &x, err);
	struct lm_view order;

	if (n == NULL || lm_onnx_view(r, weight, &order, err) < 0)
		return NULL;
	if (!by_output)
		lm_view_transpose(&order, swapped);
	lm_onnx_set(n, "in_features", (int64_t)dim[by_output ? 1 : 0]);
	lm_onnx_set(n, "out_features", (int64_t)dim[by_output ? 0 : 1]);
	lm_onnx_set(n, "bias", bias != NULL);
	if (lm_onnx_put(r, n, WEIGHT, weight, by_output ? NULL : &order, err) < 0 ||
	    (bias != NULL && lm_onnx_put(r, n, BIAS, bias, NULL, err) < 0))
		return NULL;
	return n;
}

/* ---- MatMul ---- */

/* The bias that the only reader of the product adds, if it is a weight; add is that node. */
static const struct lm_onnx_known *
added_bias(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    const struct lm_onnx_known *x, uint64_t columns, const struct lm_onnx_node **add)
{
	const struct lm_onnx_known *bias;
	size_t k;

	*add = lm_onnx_only_user(r, node->out[0]);
	if (*add == NULL || strcmp((*add)->op, "Add") != 0 || (*add)->domain[0] != '\0' ||
	    (*add)->n_in != 2 || (*add)->n_attributes > 0)
		return NULL;
	for (k = 0; k < 2; k++) {
		bias = lm_onnx_in(r, *add, k);
		if (is_bias(bias, columns, x->ranked ? x->dims.n : 1))
			return bias;
	}
	return NULL;
}

static struct lm_onnx_known *
as_matrix(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x,
    int64_t axis, struct loom_error *err)
{
	const char *what = axis == 0 ? "row" : "column";
	struct lm_node *n = lm_onnx_begin(r, node, what, "unsqueeze", 1, &x, err);

	if (n == NULL || lm_onnx_set_list(r, n, "axes", &axis, 1, err) < 0)
		return NULL;
	return lm_onnx_ended(r, node, what, n, err);
}

/* Vectors are matrices of one row or one column, whose axis goes again. */
static int
matmul_of_vectors(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct lm_onnx_known *x, struct lm_onnx_known *y, struct loom_error *err)
{
	int vector_x = x->dims.n == 1, vector_y = y->dims.n == 1;
	struct lm_onnx_known *in[2], *z;
	struct lm_node *n;
	int64_t axes[2];
	size_t gone = 0;

	in[0] = vector_x ? as_matrix(r, node, x, 0, err) : x;
	in[1] = vector_y ? as_matrix(r, node, y, 1, err) : y;
	z = in[0] != NULL && in[1] != NULL
	    ? lm_onnx_plain(r, node, "product", "matmul", in[0], in[1], err)
	    : NULL;
	if (vector_x)
		axes[gone++] = -2;
	if (vector_y)
		axes[gone++] = -1;
	n = lm_onnx_begin(r, node, NULL, "squeeze", 1, &z, err);
	if (n == NULL || lm_onnx_set_list(r, n, "axes", axes, gone, err) < 0)
		return -1;
	return lm_onnx_done(r, node, n, err);
}

LM_ONNX_READER(matmul)
{
	struct lm_onnx_known *x = lm_onnx_in(r, node, 0), *y = lm_onnx_in(r, node, 1);
	const struct lm_onnx_node *add = NULL;
	const struct lm_onnx_known *bias;
	struct lm_node *n;

	if (x == NULL || y == NULL)
		return lm_onnx_refuse(r, node, err, "two inputs are expected");
	if (x->ranked && y->ranked && (x->dims.n == 1 || y->dims.n == 1) &&
	    !(is_matrix(y) && x->dims.n == 1))
		return matmul_of_vectors(r, node, x, y, err);
	if (!is_matrix(y))
		return lm_onnx_plain(r, node, NULL, "matmul", x, y, err) != NULL ? 0 : -1;
	bias = added_bias(r, node, x, y->tensor->dim[1], &add);
	if (bias != NULL)
		lm_onnx_take(r, add);
	n = dense(r, bias != NULL ? add : node, x, y, 0, bias, NULL, err);
	return n != NULL ? lm_onnx_done(r, bias != NULL ? add : node, n, err) : -1;
}

/* ---- Gemm: alpha A' B' + beta C ---- */

struct gemm {
	struct lm_onnx_known *a, *b, *c;
	float alpha, beta;
	int64_t trans_a, trans_b;
};

static int
read_gemm(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct gemm *g,
    struct loom_error *err)
{
	g->a = lm_onnx_in(r, node, 0);
	g->b = lm_onnx_in(r, node, 1);
	g->c = lm_onnx_in(r, node, 2);
	if (g->a == NULL || g->b == NULL)
		return lm_onnx_refuse(r, node, err, "two or three inputs are expected");
	if (lm_onnx_float(node, "alpha", 1, &g->alpha, err) < 0 ||
	    lm_onnx_float(node, "beta", 1, &g->beta, err) < 0 ||
	    lm_onnx_int(node, "transA", 0, &g->trans_a, err) < 0)
		return -1;
	return lm_onnx_int(node, "transB", 0, &g->trans_b, err);
}

static struct lm_onnx_known *
turned(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x,
    const char *what, struct loom_error *err)
{
	static const int64_t perm[] = { 1, 0 };
	struct lm_node *n = lm_onnx_begin(r, node, what, "transpose", 1, &x, err);

	if (n == NULL || lm_onnx_set_list(r, n, "perm", perm, 2, err) < 0)
		return NULL;
	return lm_onnx_ended(r, node, what, n, err);
}

/* A' B', with C where it is a bias of dense. */
static struct lm_onnx_known *
product(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct gemm *g,
    const struct lm_onnx_known *bias, const char *what, struct loom_error *err)
{
	struct lm_onnx_known *a = g->a, *b = g->b;

	if (g->trans_a)
		a = turned(r, node, a, "a", err);
	if (a != NULL && is_matrix(b))
		return lm_onnx_ended(r, node, what,
		    dense(r, node, a, b, g->trans_b != 0, bias, what, err), err);
	if (a != NULL && g->trans_b)
		b = turned(r, node, b, "b", err);
	return a != NULL && b != NULL ? lm_onnx_plain(r, node, what, "matmul", a, b, err) : NULL;
}

static struct lm_onnx_known *
times(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x, float by,
    const char *number, const char *what, struct loom_error *err)
{
	struct lm_onnx_known *factor;

	if (x == NULL || by == 1)
		return x;
	factor = lm_onnx_constant_real(r, node, number, by, err);
	return factor != NULL ? lm_onnx_plain(r, node, what, "mul", x, factor, err) : NULL;
}

LM_ONNX_READER(gemm)
{
	const struct lm_onnx_known *bias = NULL;
	struct lm_onnx_known *y, *c;
	struct gemm g;

	if (read_gemm(r, node, &g, err) < 0)
		return -1;
	c = g.beta != 0 ? g.c : NULL;
	if (c != NULL && g.alpha == 1 && g.beta == 1 && is_matrix(g.b) &&
	    is_bias(c, g.b->tensor->dim[g.trans_b ? 0 : 1], 2)) {
		bias = c;
		c = NULL;
	}
	y = product(r, node, &g, bias, g.alpha == 1 && c == NULL ? NULL : "product", err);
	y = times(r, node, y, g.alpha, "alpha", c == NULL ? NULL : "scaled", err);
	if (y == NULL || c == NULL)
		return y != NULL ? 0 : -1;
	c = times(r, node, c, g.beta, "beta", "offset", err);
	return c != NULL && lm_onnx_plain(r, node, NULL, "add", y, c, err) != NULL ? 0 : -1;
}
