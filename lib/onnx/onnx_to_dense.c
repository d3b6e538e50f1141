/* onnx_to_dense: dense and matmul.  MatMul takes any rank and the weight as [in, out], Gemm as it is. */
#include "onnx/onnx_frame.h"

enum { IN, OUT, BIASED };
enum { WEIGHT, BIAS };

/* A tied weight stays what the other node has, and is transposed on the way. */
static const char *
transposed_on_the_way(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	static const int64_t perm[] = { 1, 0 };
	const char *weight = lm_onnx_slot(w, n, WEIGHT, err);
	struct lm_onnx_node *at = LM_ONNX_STEP(w, n, "transposed", "Transpose", err, weight);

	return at != NULL && lm_onnx_add_ints(w->to, at, "perm", perm, 2, err) == 0 ? at->out[0]
										    : NULL;
}

static const char *
transposed(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	uint64_t in = (uint64_t)n->param[IN].i, out = (uint64_t)n->param[OUT].i;
	const struct lm_shape shape = { NULL, 2, { in, out } };
	const struct lm_view order = { .rank = 2, .extent = { in, out }, .stride = { 1, in } };

	if (n->weight[WEIGHT].same != NULL)
		return transposed_on_the_way(w, n, err);
	return lm_onnx_ordered(w, n, WEIGHT, &shape, &order, err);
}

static int
gemm(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const char *in[3] = { lm_onnx_input(w, n, 0), lm_onnx_slot(w, n, WEIGHT, err), NULL };
	size_t count = n->param[BIASED].i ? 3 : 2;
	struct lm_onnx_node *at;

	if (count == 3)
		in[2] = lm_onnx_slot(w, n, BIAS, err);
	at = lm_onnx_last(w, n, "Gemm", count, in, err);
	return at != NULL ? lm_onnx_add_int(w->to, at, "transB", 1, err) : -1;
}

LM_ONNX_WRITER(dense)
{
	const char *x = lm_onnx_input(w, n, 0), *weight, *product, *bias;

	if (lm_onnx_input_rank(w, n, 0) == 2)
		return gemm(w, n, err);
	weight = transposed(w, n, err);
	if (!n->param[BIASED].i)
		return LM_ONNX_LAST(w, n, "MatMul", err, x, weight) != NULL ? 0 : -1;
	/* First, since what may widen it is to stand before the sum that takes it for a bias. */
	bias = lm_onnx_slot(w, n, BIAS, err);
	product = LM_ONNX_MADE(w, n, "product", "MatMul", err, x, weight);
	return LM_ONNX_LAST(w, n, "Add", err, product, bias) != NULL ? 0 : -1;
}

LM_ONNX_WRITER(matmul)
{
	return lm_onnx_alone(w, n, "MatMul", err) != NULL ? 0 : -1;
}
