/* onnx_to_blocks: rotary, swiglu and residual as ONNX nodes. */
#include "onnx/onnx_blocks.h"

#define TO(op) \
	int lm_onnx_to_##op(struct lm_onnx_writing *, const struct lm_node *, struct loom_error *);
#include "onnx/onnx.def"

/* ---- rotary ---- */

enum { HEAD_DIM, STYLE, BASE, SCALED };
enum { X, POSITIONS };
enum { FACTORS };

int
lm_onnx_to_rotary(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	struct lm_onnx_rope r = { .d = n->param[HEAD_DIM].i,
		.base = n->param[BASE].real,
		.interleaved = (int)n->param[STYLE].i };
	const char *x = lm_onnx_input(w, n, X), *positions = lm_onnx_input(w, n, POSITIONS);
	int rank = lm_onnx_input_rank(w, n, X);

	if (rank < 2 && (r.interleaved || positions[0] == '\0'))
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s (%s): onnx wants to know how many axes its input has", n->name,
		    n->op->name);
	if (n->param[SCALED].i) {
		r.factors = lm_onnx_slot(w, n, FACTORS, err);
		if (r.factors == NULL)
			return -1;
	}
	if (positions[0] == '\0' && lm_onnx_turns(w, rank, r.d))
		r.batch = x;
	if (positions[0] == '\0')
		positions = lm_onnx_count(w, n, "position", x, rank - 2, err);
	if (lm_onnx_angles(w, n, "position", positions, &r, err) < 0 ||
	    lm_onnx_turn(w, n, NULL, x, (unsigned)rank, &r, err) == NULL)
		return -1;
	return err->code == LOOM_OK ? 0 : -1;
}

/* ---- swiglu ---- */

enum { IN, HIDDEN, ACTIVATION, BIASED };
enum { GATE, UP, DOWN, GATE_BIAS, UP_BIAS, DOWN_BIAS };
enum { SILU, RELU2 };

/* silu(g) or relu2(g) */
static const char *
activated(struct lm_onnx_writing *w, const struct lm_node *n, const char *gate,
    struct loom_error *err)
{
	const char *in[2] = { gate, NULL };

	in[1] = lm_onnx_made(w, n, "gate.active",
	    n->param[ACTIVATION].i == SILU ? "Sigmoid" : "Relu", 1, &gate, err);
	if (n->param[ACTIVATION].i == RELU2)
		in[0] = in[1];
	return lm_onnx_made(w, n, "gate.activated", "Mul", 2, in, err);
}

int
lm_onnx_to_swiglu(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const char *x = lm_onnx_input(w, n, 0), *in[2];

	in[0] = lm_onnx_project(w, n, "gate", x, GATE, GATE_BIAS, err);
	in[1] = lm_onnx_project(w, n, "up", x, UP, UP_BIAS, err);
	in[0] = in[0] != NULL ? activated(w, n, in[0], err) : NULL;
	x = lm_onnx_made(w, n, "hidden", "Mul", 2, in, err);
	if (x == NULL || lm_onnx_project(w, n, NULL, x, DOWN, DOWN_BIAS, err) == NULL)
		return -1;
	return err->code == LOOM_OK ? 0 : -1;
}

/* ---- residual ---- */

/* Sum and not Add, which is add: with one input it is that one. */
int
lm_onnx_to_residual(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const char *in[2] = { lm_onnx_input(w, n, 0), lm_onnx_input(w, n, 1) };

	return lm_onnx_last(w, n, "Sum", in[1][0] != '\0' ? 2 : 1, in, err) != NULL ? 0 : -1;
}
