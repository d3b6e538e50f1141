/*
 * onnx_compose: an extent that a file computes from others, as the expression that it computes: what we
 * wrote as nodes (onnx_dims.c) comes back as it was.
 */
#include <inttypes.h>
#include <string.h>

#include "onnx/onnx_known.h"
#include "num/bytes.h"

enum { TEXT = 200, JOINED = 2 * TEXT + 8 };
enum { SUM, PRODUCT, ATOM };

struct operand {
	char text[TEXT];
	int binds; /* how tightly */
	int64_t value[LM_ONNX_TRIALS];
};

/* What is outermost in an expression. */
static int
binding(const char *text)
{
	int depth = 0, binds = ATOM;

	for (; *text != '\0'; text++) {
		depth += (*text == '(') - (*text == ')');
		if (depth == 0 && (*text == '+' || *text == '-'))
			return SUM;
		if (depth == 0 && (*text == '*' || *text == '/'))
			binds = PRODUCT;
	}
	return binds;
}

/* Input k, if it is one extent or one integer; 1, 0, -1. */
static int
read_operand(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t k,
    struct operand *o, struct loom_error *err)
{
	struct lm_onnx_known *in = lm_onnx_in(r, node, k);
	int64_t v = 0;
	size_t n, t;

	if (in == NULL)
		return 0;
	if (in->elements != NULL && in->n_elements == 1 && in->elements[0].text != NULL) {
		for (t = 0; t < r->trials->n; t++)
			if (r->trials->alive[t])
				o->value[t] = (int64_t)lm_get_u64(in->tried->small[t]->data);
		(void)snprintf(o->text, sizeof(o->text), "%s", in->elements[0].text);
	} else {
		if (in->tensor == NULL || in->tensor->count != 1 ||
		    in->dtype != lm_dtype_get(LM_I64))
			return 0;
		if (lm_onnx_integers(r, in, &v, 1, &n, err) < 0)
			return -1;
		for (t = 0; t < LM_ONNX_TRIALS; t++)
			o->value[t] = v;
		(void)snprintf(o->text, sizeof(o->text), "%" PRId64, v);
	}
	o->binds = binding(o->text);
	return v >= 0 && o->text[0] != '?' && strlen(o->text) < TEXT / 2;
}

static int
compute(char op, int64_t a, int64_t b, int64_t *v)
{
	if (op == '+')
		return !__builtin_add_overflow(a, b, v);
	if (op == '-')
		return !__builtin_sub_overflow(a, b, v);
	if (op == '*')
		return !__builtin_mul_overflow(a, b, v);
	if (b == 0 || b == -1)
		return 0;
	*v = a / b - (a % b != 0 && (a < 0) != (b < 0));
	return 1;
}

/* "(a+b)*c" */
static void
join(const struct operand *a, const char *op, const struct operand *b, char dst[JOINED])
{
	int sum = op[0] == '+' || op[0] == '-';
	int left = !sum && a->binds == SUM,
	    right = b->binds == SUM || (!sum && b->binds == PRODUCT);

	(void)snprintf(dst, JOINED, "%s%s%s%s%s%s%s", left ? "(" : "", a->text, left ? ")" : "", op,
	    right ? "(" : "", b->text, right ? ")" : "");
}

int
lm_onnx_composed(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct lm_onnx_term *term, struct loom_error *err)
{
	static const struct {
		const char *theirs, *ours;
	} ops[] = { { "Add", "+" }, { "Sub", "-" }, { "Mul", "*" }, { "Div", "//" } };
	struct operand a = { .binds = ATOM }, b = { .binds = ATOM };
	char text[JOINED];
	size_t i, t;
	int got;

	for (i = 0; i < sizeof(ops) / sizeof(*ops) && strcmp(ops[i].theirs, node->op) != 0; i++)
		;
	if (i == sizeof(ops) / sizeof(*ops) || node->n_in != 2)
		return 0;
	got = read_operand(r, node, 0, &a, err);
	if (got == 1)
		got = read_operand(r, node, 1, &b, err);
	if (got != 1)
		return got;
	for (t = 0; t < r->trials->n; t++)
		if (r->trials->alive[t] &&
		    !compute(ops[i].ours[0], a.value[t], b.value[t], &term->value[t]))
			return 0;
	join(&a, ops[i].ours, &b, text);
	term->text = lm_arena_string(&r->arena, text, err);
	return term->text != NULL ? 1 : -1;
}
