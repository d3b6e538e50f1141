/* refused: what layernorm, rmsnorm, embedding, swiglu and residual do not take, message by message. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "layer/layer.h"

enum { IN = 2 };

static struct lm_node node;
static size_t in[IN], out;
static struct lm_shape x[IN], y;

static void
start(const char *op, size_t n_in)
{
	memset(&node, 0, sizeof(node));
	memset(x, 0, sizeof(x));
	node.name = "n";
	node.op = lm_layer_find(op);
	assert(node.op != NULL);
	node.n_in = n_in;
	node.n_out = 1;
	node.in = in;
	node.out = &out;
}

static void
set(const char *key, int64_t value)
{
	int i = lm_layer_param(node.op, key);

	assert(i >= 0);
	node.param[i].i = value;
}

static void
give(size_t input, enum lm_dtype_id dtype, unsigned rank, uint64_t first, uint64_t last)
{
	x[input].dtype = lm_dtype_get(dtype);
	x[input].rank = rank;
	x[input].dim[0] = first;
	x[input].dim[1] = last;
}

static void
says(int result, const struct loom_error *err, enum loom_code code, const char *message)
{
	if (result == -1 && err->code == code && strcmp(err->text, message) == 0)
		return;
	fprintf(stderr, "expected: %s\nfound:    %s (code %d)\n", message, err->text, err->code);
	assert(0);
}

static void
refuses(const char *message)
{
	struct lm_shaping s = { &node, x, &y, NULL };
	struct loom_error err = { 0 };

	says(node.op->shape(&s, &err), &err, LOOM_ESHAPE, message);
}

static void
check_norms(const char *op)
{
	struct loom_error err = { 0 };
	char message[200];

	start(op, 1);
	set("dim", 7);
	give(0, LM_F32, 2, 3, 6);
	(void)snprintf(message, sizeof(message),
	    "layer n (%s): input 0: expected a last axis of 7, found float32 [3, 6]", op);
	refuses(message);
	give(0, LM_F32, 0, 0, 0);
	(void)snprintf(message, sizeof(message),
	    "layer n (%s): input 0: expected a last axis of 7, found float32 []", op);
	refuses(message);
	give(0, LM_I64, 1, 7, 0);
	(void)snprintf(message, sizeof(message),
	    "layer n (%s): input 0: expected float32, found int64 [7]", op);
	refuses(message);
	node.param[lm_layer_param(node.op, "eps")].real = -1e-5;
	(void)snprintf(message, sizeof(message), "node n (%s): eps is -1e-05, expected 0 or more",
	    op);
	says(node.op->check(&node, &err), &err, LOOM_EFORMAT, message);
	node.param[lm_layer_param(node.op, "eps")].real = 0;
	memset(&err, 0, sizeof(err));
	assert(node.op->check(&node, &err) == 0);
}

static void
check_embedding(void)
{
	start("embedding", 1);
	give(0, LM_BOOL, 1, 3, 0);
	refuses("layer n (embedding): input 0: expected int64 or float32, found bool [3]");
	give(0, LM_I64, LOOM_RANK, 1, 1);
	refuses("layer n (embedding): input 0: expected at most 15 axes, found int64 "
		"[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]");
}

static void
check_swiglu(void)
{
	start("swiglu", 1);
	set("in_features", 4);
	give(0, LM_F32, 2, 4, 3);
	refuses("layer n (swiglu): input 0: expected a last axis of 4, found float32 [4, 3]");
	give(0, LM_I64, 2, 4, 4);
	refuses("layer n (swiglu): input 0: expected float32, found int64 [4, 4]");
}

static void
check_residual(void)
{
	start("residual", 2);
	in[0] = 0;
	in[1] = 1;
	give(0, LM_F32, 2, 2, 3);
	give(1, LM_F32, 1, 3, 0);
	refuses("layer n (residual): input 1: expected the shape of input 0, float32 [2, 3], "
		"found float32 [3]");
	give(1, LM_I64, 2, 2, 3);
	refuses("layer n (residual): input 1: expected float32, found int64 [2, 3]");
	give(0, LM_I64, 2, 2, 3);
	refuses("layer n (residual): input 0: expected float32, found int64 [2, 3]");
}

int
main(void)
{
	check_norms("layernorm");
	check_norms("rmsnorm");
	check_embedding();
	check_swiglu();
	check_residual();
	return 0;
}
