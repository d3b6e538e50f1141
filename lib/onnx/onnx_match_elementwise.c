/* onnx_match_elementwise: what onnx_to_elementwise.c and onnx_to_shapes.c write as several nodes. */
#include <math.h>
#include <string.h>

#include "onnx/onnx_match.h"
#include "onnx/onnx_to.h"

typedef const struct lm_onnx_node *node_t;

/* The node with that operator that reads what n makes; NULL: there is none, or n is none. */
static node_t
behind(const struct lm_onnx_proposal *p, node_t n, const char *op)
{
	return n != NULL ? lm_onnx_read_by(p->file, n->out[0], op) : NULL;
}

/* The last of those that read each other, from n on: operators up to a NULL. */
static node_t
follow(const struct lm_onnx_proposal *p, node_t n, const char *const *ops)
{
	for (; *ops != NULL; ops++)
		n = behind(p, n, *ops);
	return n;
}

static node_t
before(const struct lm_onnx_proposal *p, node_t n, size_t k, const char *op)
{
	return n != NULL ? lm_onnx_before(p->file, n, k, op) : NULL;
}

/* It reads x, and y where there are two, and makes what the last node makes. */
static int
values(struct lm_onnx_proposal *p, node_t last, size_t n, const char *x, const char *y)
{
	if (last == NULL || x == NULL || (n > 1 && y == NULL))
		return 0;
	p->n_in = n;
	p->in[0] = x;
	p->in[1] = y;
	p->n_out = 1;
	p->out[0] = last->out[0];
	return 1;
}

/* The same of integers or flags. */
static int
values_of(struct lm_onnx_proposal *p, enum lm_dtype_id dtype, node_t last, size_t n, const char *x,
    const char *y)
{
	p->dtype = lm_dtype_get(dtype);
	return values(p, last, n, x, y);
}

/* Input k of a node, NULL where there is none. */
static const char *
input(node_t n, size_t k)
{
	return n != NULL && k < n->n_in ? n->in[k] : NULL;
}

#define PROPOSE(name)                                                                         \
	int lm_onnx_propose_##name(struct lm_onnx_proposal *, const struct lm_onnx_node *,    \
	    struct loom_error *);                                                             \
	int lm_onnx_propose_##name(struct lm_onnx_proposal *p, const struct lm_onnx_node *at, \
	    struct loom_error *err)

/* ---- of one value ---- */

/* The anchor is the last; x goes into the node that makes its input k. */
#define LAST(name, k, op)                                                      \
	PROPOSE(name)                                                          \
	{                                                                      \
		(void)err;                                                     \
		return values(p, at, 1, input(before(p, at, k, op), 0), NULL); \
	}
LAST(relu2, 0, "Relu")
LAST(relu6, 0, "Relu")
LAST(expm1, 0, "Exp")
LAST(log1p, 0, "Add")
LAST(rsqrt, 1, "Sqrt")

/* The anchor is the first, which reads x. */
#define FIRST(name, ...)                                                     \
	PROPOSE(name)                                                        \
	{                                                                    \
		static const char *const ops[] = { __VA_ARGS__, NULL };      \
		(void)err;                                                   \
		return values(p, follow(p, at, ops), 1, input(at, 0), NULL); \
	}
FIRST(silu, "Mul")
FIRST(mish, "Tanh", "Mul")

PROPOSE(gelu)
{
	node_t sum = behind(p, at, "Add"), first = before(p, at, 0, NULL);
	int erf = strcmp(at->op, "Erf") == 0;

	(void)err;
	p->node->param[0].i = !erf;
	if (!erf)
		first = before(p, first, 0, "Add");
	return values(p, behind(p, sum, "Mul"), 1, input(first, 0), NULL);
}

/* 1, 0, -1: the number that is stored there. */
static int
number(const struct lm_onnx_proposal *p, const char *value, double *v, struct loom_error *err)
{
	float f = 0;
	int r = value != NULL ? lm_onnx_stored_number(p->file, value, &f, err) : 0;

	*v = lm_onnx_real(f);
	return r;
}

PROPOSE(softplus)
{
	node_t scaled = before(p, at, 0, "Mul"), divided = behind(p, at, "Div");
	node_t where = behind(p, divided, "Where"), beyond = before(p, where, 0, "Greater");
	union lm_value *param = p->node->param;
	int r = number(p, input(scaled, 1), &param[0].real, err);

	param[1].real = NAN;
	if (r == 1 && beyond != NULL)
		r = number(p, beyond->in[1], &param[1].real, err);
	if (r != 1)
		return r;
	return values(p, beyond != NULL ? where : divided, 1, input(scaled, 0), NULL);
}

/* ---- of two ---- */

PROPOSE(remainder)
{
	static const char *const ops[] = { "Sign", "Mul", "Less", "Where", NULL };

	(void)err;
	return values(p, follow(p, at, ops), 2, input(at, 0), input(at, 1));
}

/* Of float32 it begins with Mod, of int64 with Div. */
PROPOSE(floor_divide)
{
	static const char *const real[] = { "Sign", "Mul", "Less", "Cast", "Sub", "Where", "Cast",
		NULL };
	static const char *const whole[] = { "Mul", "Sub", "Sign", "Mul", "Less", "Cast", "Sub",
		NULL };

	(void)err;
	if (strcmp(at->op, "Mod") == 0)
		return values(p, follow(p, at, real), 2, input(at, 0), input(at, 1));
	return values_of(p, LM_I64, follow(p, at, whole), 2, input(at, 0), input(at, 1));
}

PROPOSE(not_equal)
{
	(void)err;
	return values(p, behind(p, at, "Not"), 2, input(at, 0), input(at, 1));
}

/* Flags, of which one is turned round, and And or Or: on which side says which order it is. */
static int
flags(struct lm_onnx_proposal *p, node_t turned, const char *op, size_t side)
{
	node_t last = behind(p, turned, op);
	const char *other = input(last, 1 - side), *own = input(turned, 0);

	return side == 0 ? values_of(p, LM_BOOL, last, 2, own, other)
			 : values_of(p, LM_BOOL, last, 2, other, own);
}

PROPOSE(less)
{
	(void)err;
	return flags(p, at, "And", 0);
}

PROPOSE(less_equal)
{
	(void)err;
	return flags(p, at, "Or", 0);
}

PROPOSE(greater)
{
	(void)err;
	return flags(p, at, "And", 1);
}

PROPOSE(greater_equal)
{
	(void)err;
	return flags(p, at, "Or", 1);
}

/* Of flags. */
PROPOSE(where)
{
	node_t other = behind(p, at, "And"), last = behind(p, other, "Or");
	node_t taken = before(p, last, 0, "And");

	(void)err;
	if (taken == NULL || !values_of(p, LM_BOOL, last, 2, input(taken, 0), input(taken, 1)))
		return 0;
	p->n_in = 3;
	p->in[2] = input(other, 1);
	return p->in[2] != NULL;
}

/* ---- extents ---- */

PROPOSE(flatten)
{
	node_t list = before(p, at, 1, "Concat"), first = before(p, list, 0, "Shape");
	node_t rest = list != NULL && list->n_in == 3 ? before(p, list, 2, "Shape") : NULL;
	union lm_value *param = p->node->param;

	if (first == NULL)
		return 0;
	if (lm_onnx_int(first, "end", 0, &param[0].i, err) < 0)
		return -1;
	param[1].i = 0;
	if (rest != NULL && lm_onnx_int(rest, "start", 0, &param[1].i, err) < 0)
		return -1;
	param[1].i--;
	return values(p, at, 1, input(at, 0), NULL);
}
