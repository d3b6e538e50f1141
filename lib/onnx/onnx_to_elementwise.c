/* onnx_to_elementwise: functions of values one by one, of one value or of some that broadcast. */
#include <math.h>

#include "onnx/onnx_to.h"

#define WRITER(op)                                                              \
	int lm_onnx_to_##op(struct lm_onnx_writing *, const struct lm_node *,   \
	    struct loom_error *);                                               \
	int lm_onnx_to_##op(struct lm_onnx_writing *w, const struct lm_node *n, \
	    struct loom_error *err)

/* ---- one operator, or a few that take the place of one ---- */

#define PLAIN(op, theirs, since)                                           \
	WRITER(op)                                                         \
	{                                                                  \
		return lm_onnx_alone(w, n, #theirs, err) != NULL ? 0 : -1; \
	}
#include "onnx/onnx_plain.def"
#undef PLAIN

#define RECIPE(op, text)                                \
	WRITER(op)                                      \
	{                                               \
		return lm_onnx_recipe(w, n, text, err); \
	}

RECIPE(linear, "Identity(x)")
RECIPE(relu2, "relu = Relu(x); Pow(relu, 2)")
RECIPE(relu6, "relu = Relu(x); Min(relu, 6)")
RECIPE(silu, "sigmoid = Sigmoid(x); Mul(x, sigmoid)")
RECIPE(expm1, "exp = Exp(x); Sub(exp, 1)")
RECIPE(log1p, "sum = Add(x, 1); Log(sum)")
RECIPE(rsqrt, "sqrt = Sqrt(x); Div(1, sqrt)")
RECIPE(pow, "Pow(x, y)")
RECIPE(minimum, "Min(x, y)")
RECIPE(maximum, "Max(x, y)")
RECIPE(not_equal, "equal = Equal(x, y); Not(equal)")
RECIPE(prelu, "PRelu(x, @slope)")
RECIPE(selu, "Selu(x)")

WRITER(mish)
{
	static const char steps[] = "softplus = Softplus(x); tanh = Tanh(softplus); Mul(x, tanh)";

	return lm_onnx_recipe(w, n, w->opset >= 18 ? "Mish(x)" : steps, err);
}

static const char gelu_erf[] = "scaled = Div(x, 1.41421356237309504880); erf = Erf(scaled); "
			       "sum = Add(erf, 1); half = Mul(x, 0.5); Mul(half, sum)";
static const char gelu_tanh[] =
    "square = Mul(x, x); cube = Mul(square, x); scaled = Mul(cube, 0.044715); "
    "inner = Add(x, scaled); argument = Mul(inner, 0.79788456080286535588); "
    "tanh = Tanh(argument); sum = Add(tanh, 1); half = Mul(x, 0.5); Mul(half, sum)";

WRITER(gelu)
{
	static const char *const form[] = { "none", "tanh" };
	int64_t i = n->param[0].i;
	struct lm_onnx_node *gelu;

	if (w->opset < 20)
		return lm_onnx_recipe(w, n, i == 0 ? gelu_erf : gelu_tanh, err);
	gelu = lm_onnx_alone(w, n, "Gelu", err);
	return gelu != NULL ? lm_onnx_add_string(w->to, gelu, "approximate", form[i], err) : -1;
}

/* The operator's own slope of 0.2 is another function. */
WRITER(hard_sigmoid)
{
	struct lm_onnx_node *to = lm_onnx_alone(w, n, "HardSigmoid", err);

	if (to == NULL)
		return -1;
	return lm_onnx_add_float(w->to, to, "alpha", (float)(1.0 / 6), err) < 0
	    ? -1
	    : lm_onnx_add_float(w->to, to, "beta", 0.5f, err);
}

/* ---- with a parameter ---- */

WRITER(leaky_relu)
{
	return lm_onnx_add_real(w, lm_onnx_alone(w, n, "LeakyRelu", err), "alpha", n, 0, err);
}

WRITER(elu)
{
	return lm_onnx_add_real(w, lm_onnx_alone(w, n, "Elu", err), "alpha", n, 0, err);
}

enum { BETA, THRESHOLD };

/* A beta of 1 and no threshold is what the operator has. */
WRITER(softplus)
{
	double beta = n->param[BETA].real, threshold = n->param[THRESHOLD].real;

	if (threshold == threshold)
		return lm_onnx_recipe(w, n,
		    "scaled = Mul(x, $beta); softplus = Softplus(scaled); "
		    "divided = Div(softplus, $beta); beyond = Greater(scaled, $threshold); "
		    "Where(beyond, x, divided)",
		    err);
	return lm_onnx_recipe(w, n,
	    beta == 1 ? "Softplus(x)"
		      : "scaled = Mul(x, $beta); softplus = Softplus(scaled); Div(softplus, $beta)",
	    err);
}

/* One that is not given is the greatest number in ONNX Runtime, which lies below an infinity. */
static const char *
bound(struct lm_onnx_writing *w, const struct lm_node *n, size_t param, float otherwise,
    struct loom_error *err)
{
	double v = n->param[param].real;

	return v == v ? lm_onnx_param_scalar(w, n, param, err)
		      : lm_onnx_scalar(w, n, n->op->params[param].key, otherwise, err);
}

WRITER(clip)
{
	const char *in[3];

	in[0] = lm_onnx_input(w, n, 0);
	in[1] = bound(w, n, 0, -INFINITY, err);
	in[2] = bound(w, n, 1, INFINITY, err);
	return lm_onnx_last(w, n, "Clip", 3, in, err) != NULL ? 0 : -1;
}

WRITER(cast)
{
	static const int type[] = { LM_ONNX_FLOAT, LM_ONNX_INT64, LM_ONNX_BOOL };
	struct lm_onnx_node *to = lm_onnx_alone(w, n, "Cast", err);

	return to != NULL ? lm_onnx_add_int(w->to, to, "to", type[n->param[0].i], err) : -1;
}

/* ---- by what the operands are ---- */

static int
is_real(const struct lm_onnx_writing *w, const struct lm_node *n)
{
	return lm_onnx_input_dtype(w, n, 0) == lm_dtype_get(LM_F32);
}

/*
 * In binary64 the quotient without what the rest adds to it is next to a whole number; a rest on the other
 * side of 0 than y takes one more away.  What y = 0 gives is the quotient.
 */
static const char floor_divide_real[] =
    "rest = Mod<fmod=1>(x, y); sign = Sign(rest); side = Sign(y); product = Mul(sign, side); "
    "apart = Less(product, 0); one = Cast<to=11>(apart); dividend = Cast<to=11>(x); "
    "divisor = Cast<to=11>(y); left = Cast<to=11>(rest); quotient = Div(dividend, divisor); "
    "part = Div(left, divisor); near = Sub(quotient, part); whole = Round(near); "
    "floor = Sub(whole, one); zero = Equal(y, 0); chosen = Where(zero, quotient, floor); "
    "Cast<to=1>(chosen)";
static const char floor_divide_whole[] =
    "quotient = Div(x, y); product = Mul(quotient, y); rest = Sub(x, product); "
    "sign = Sign(rest); side = Sign(y); signs = Mul(sign, side); apart = Less(signs, 0i); "
    "one = Cast<to=7>(apart); Sub(quotient, one)";

WRITER(floor_divide)
{
	return lm_onnx_recipe(w, n, is_real(w, n) ? floor_divide_real : floor_divide_whole, err);
}

/* What C's fmod leaves has the sign of x. */
WRITER(remainder)
{
	return lm_onnx_recipe(w, n,
	    is_real(w, n)
		? "rest = Mod<fmod=1>(x, y); sign = Sign(rest); side = Sign(y); "
		  "product = Mul(sign, side); apart = Less(product, 0); moved = Add(rest, y); "
		  "Where(apart, moved, rest)"
		: "Mod(x, y)",
	    err);
}

/* ONNX orders numbers alone: of flags, false comes before true. */
static int
order(struct lm_onnx_writing *w, const struct lm_node *n, const char *numbers, const char *flags,
    struct loom_error *err)
{
	int whole = lm_onnx_input_dtype(w, n, 0) == lm_dtype_get(LM_I64);

	return lm_onnx_recipe(w, n, whole || is_real(w, n) ? numbers : flags, err);
}

WRITER(less)
{
	return order(w, n, "Less(x, y)", "not = Not(x); And(not, y)", err);
}

WRITER(less_equal)
{
	return order(w, n, "LessOrEqual(x, y)", "not = Not(x); Or(not, y)", err);
}

WRITER(greater)
{
	return order(w, n, "Greater(x, y)", "not = Not(y); And(x, not)", err);
}

WRITER(greater_equal)
{
	return order(w, n, "GreaterOrEqual(x, y)", "not = Not(y); Or(x, not)", err);
}

/* Consumers lack the operator for flags. */
WRITER(where)
{
	const struct lm_dtype *dtype = lm_onnx_input_dtype(w, n, 1);
	int flags = dtype != lm_dtype_get(LM_F32) && dtype != lm_dtype_get(LM_I64);

	return lm_onnx_recipe(w, n,
	    flags ? "taken = And(x, y); not = Not(x); other = And(not, z); Or(taken, other)"
		  : "Where(x, y, z)",
	    err);
}

/* ---- what the network carries ---- */

WRITER(constant)
{
	struct lm_onnx_tensor t = { .name = "", .count = 1 };
	struct lm_outgoing *from = lm_arena_alloc(w->arena, 1, sizeof(*from), err);
	struct lm_onnx_node *to;
	unsigned i;

	if (from == NULL || lm_outgoing_slot(from, w->arena, "value", n, 0, err) < 0)
		return -1;
	if (from->dtype != lm_dtype_get(LM_I64) && from->dtype != lm_dtype_get(LM_BOOL) &&
	    lm_outgoing_as(from, lm_dtype_get(LM_F32), NULL, err) < 0)
		return -1;
	t.type = lm_onnx_type(from->dtype);
	t.rank = from->rank;
	t.from = from;
	if (t.rank > LM_ONNX_RANK)
		return lm_fail(err, LOOM_EUNSUPPORTED, "node %s (%s): %u axes, onnx takes %d",
		    n->name, n->op->name, t.rank, LM_ONNX_RANK);
	for (i = 0; i < t.rank; i++) {
		t.dim[i] = from->shape[i];
		t.count *= t.dim[i];
	}
	to = lm_onnx_alone(w, n, "Constant", err);
	return to != NULL ? lm_onnx_add_tensor_attribute(w->to, to, "value", &t, err) : -1;
}
