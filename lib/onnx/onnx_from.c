/* onnx_from: what readers of ONNX nodes share. */
#include "onnx/onnx_from.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/onnx_known.h"
#include "onnx/onnx_recipe.h"
#include "onnx/onnx_to.h"
#include "num/bytes.h"

/* ---- nodes ---- */

struct lm_node *
lm_onnx_with(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    size_t n_in, struct loom_error *err)
{
	struct lm_onnx_known **in = lm_arena_alloc(&r->arena, n_in + 1, sizeof(*in), err);
	const struct lm_layer_ops *ops = lm_layer_find(op);
	size_t i;

	if (in == NULL)
		return NULL;
	if (n_in < ops->in_least || n_in > ops->in_most || node->n_in < n_in) {
		(void)lm_onnx_refuse(r, node, err, "it has %zu inputs", node->n_in);
		return NULL;
	}
	for (i = 0; i < n_in; i++) {
		in[i] = lm_onnx_in(r, node, i);
		if (in[i] == NULL) {
			(void)lm_onnx_refuse(r, node, err, "its input %zu is not given", i);
			return NULL;
		}
	}
	return lm_onnx_new_node(r, node, op, n_in, in, err);
}

struct lm_node *
lm_onnx_same(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op,
    struct loom_error *err)
{
	return lm_onnx_with(r, node, op, node->n_in, err);
}

int
lm_onnx_done(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_node *n,
    struct loom_error *err)
{
	return n != NULL ? lm_onnx_end_node(r, n, node->out, node->n_out, err) : -1;
}

int
lm_onnx_pass_on(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	const struct lm_onnx_known *x = lm_onnx_in(r, node, 0);
	struct lm_onnx_known *y = lm_onnx_know(r, node->out[0], err);

	if (x == NULL || y == NULL)
		return lm_onnx_refuse(r, node, err, "its input is not given");
	lm_onnx_alias(y, x);
	return 0;
}

/* The value that a node of ours makes, which is ended. */
static struct lm_onnx_known *
between(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    struct lm_node *n, struct loom_error *err)
{
	const char *name = n != NULL ? lm_onnx_between(r, node, what, err) : NULL;

	if (name == NULL || lm_onnx_end_node(r, n, &name, 1, err) < 0)
		return NULL;
	return lm_onnx_find(r, name);
}

/* An ONNX node that is called like a value on the way. */
static const struct lm_onnx_node *
called(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    struct lm_onnx_node *dst, struct loom_error *err)
{
	*dst = *node;
	dst->name = lm_onnx_between(r, node, what, err);
	return dst->name != NULL ? dst : NULL;
}

struct lm_onnx_known *
lm_onnx_value_between(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    const char *op, size_t n_in, struct lm_onnx_known *const *in, struct loom_error *err)
{
	struct lm_onnx_node named;
	size_t i;

	for (i = 0; i < n_in; i++)
		if (in[i] == NULL)
			return NULL;
	if (called(r, node, what, &named, err) == NULL)
		return NULL;
	return between(r, node, what, lm_onnx_new_node(r, &named, op, n_in, in, err), err);
}

/* A node constant whose bytes are its values: n of them, or without axes where n is NULL. */
static struct lm_onnx_known *
constant_node(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    const struct lm_dtype *dtype, const int64_t *n, const unsigned char *values,
    struct loom_error *err)
{
	struct lm_onnx_node named;
	struct lm_node *to;

	if (values == NULL || called(r, node, what, &named, err) == NULL)
		return NULL;
	to = lm_onnx_new_node(r, &named, "constant", 0, NULL, err);
	if (to == NULL || lm_onnx_set_list(r, to, "shape", n, n != NULL, err) < 0 ||
	    lm_node_put(to, 0, dtype, 1, err) < 0)
		return NULL;
	to->weight[0].data = values;
	return between(r, node, what, to, err);
}

struct lm_onnx_known *
lm_onnx_constant_real(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    double v, struct loom_error *err)
{
	unsigned char *bytes = lm_arena_alloc(&r->model->arena, 1, 4, err);

	if (bytes != NULL)
		lm_put_f32(bytes, (float)v);
	return constant_node(r, node, what, lm_dtype_get(LM_F32), NULL, bytes, err);
}

struct lm_onnx_known *
lm_onnx_constant_whole(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *what,
    int64_t v, struct loom_error *err)
{
	unsigned char *bytes = lm_arena_alloc(&r->model->arena, 1, 8, err);

	if (bytes != NULL)
		lm_put_u64(bytes, (uint64_t)v);
	return constant_node(r, node, what, lm_dtype_get(LM_I64), NULL, bytes, err);
}

struct lm_onnx_known *
lm_onnx_picked(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct lm_onnx_known *x,
    int64_t axis, const int64_t *indices, size_t n, struct loom_error *err)
{
	unsigned char *bytes = lm_arena_alloc(&r->model->arena, n + 1, 8, err);
	struct lm_onnx_known *in[2] = { x, NULL };
	const int64_t count = (int64_t)n;
	struct lm_onnx_node named;
	struct lm_node *to;
	size_t i;

	for (i = 0; bytes != NULL && i < n; i++)
		lm_put_u64(bytes + 8 * i, (uint64_t)indices[i]);
	in[1] = constant_node(r, node, "indices", lm_dtype_get(LM_I64), &count, bytes, err);
	if (in[1] == NULL || called(r, node, "picked", &named, err) == NULL)
		return NULL;
	to = lm_onnx_new_node(r, &named, "gather", 2, in, err);
	if (to == NULL)
		return NULL;
	lm_onnx_set(to, "axis", axis);
	return between(r, node, "picked", to, err);
}

/* ---- recipes ---- */

struct kitchen {
	struct lm_onnx_reading *r;
	const struct lm_onnx_node *node;
	const double *numbers;
};

static const void *
input(void *context, size_t k, struct loom_error *err)
{
	const struct kitchen *c = context;
	const struct lm_onnx_known *in = lm_onnx_in(c->r, c->node, k);

	if (in == NULL)
		(void)lm_onnx_refuse(c->r, c->node, err, "its input %zu is not given", k);
	return in;
}

static const void *
constant(void *context, const char *text, struct loom_error *err)
{
	const struct kitchen *c = context;
	size_t len = strlen(text);
	char *end;

	if (text[0] == '#')
		return lm_onnx_constant_real(c->r, c->node, text + 1, c->numbers[text[1] - '0'],
		    err);
	if (len > 1 && text[len - 1] == 'i')
		return lm_onnx_constant_whole(c->r, c->node, text, strtoll(text, &end, 10), err);
	return lm_onnx_constant_real(c->r, c->node, text, strtod(text, &end), err);
}

static const void *
make(void *context, const struct lm_recipe_step *s, struct loom_error *err)
{
	const struct kitchen *c = context;
	struct lm_onnx_known *in[LM_RECIPE_INPUTS];
	struct lm_node *n;
	size_t i;

	for (i = 0; i < s->n_in; i++)
		in[i] = lm_onnx_find(c->r, ((const struct lm_onnx_known *)s->in[i])->name);
	if (s->name[0] != '\0')
		return lm_onnx_value_between(c->r, c->node, s->name, s->op, s->n_in, in, err);
	n = lm_onnx_new_node(c->r, c->node, s->op, s->n_in, in, err);
	return lm_onnx_done(c->r, c->node, n, err) == 0 ? n : NULL;
}

int
lm_onnx_from_recipe(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *text,
    const double *numbers, struct loom_error *err)
{
	struct kitchen kitchen = { r, node, numbers };
	const struct lm_cook cook = { &kitchen, input, constant, make };

	return lm_recipe(text, &cook, err);
}

/* ---- attributes and inputs ---- */

int
lm_onnx_real_of(const struct lm_onnx_node *node, const char *name, double otherwise, double *v,
    struct loom_error *err)
{
	float f;

	if (lm_onnx_attribute(node, name) == NULL) {
		*v = otherwise;
		return 0;
	}
	if (lm_onnx_float(node, name, 0, &f, err) < 0)
		return -1;
	*v = lm_onnx_real(f);
	return 0;
}

int
lm_onnx_is(struct lm_onnx_reading *r, const struct lm_onnx_node *node, size_t k,
    const struct lm_dtype *dtype)
{
	const struct lm_onnx_known *in = lm_onnx_in(r, node, k);

	return in != NULL && in->dtype == dtype;
}

int
lm_onnx_only(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *name,
    int64_t wanted, struct loom_error *err)
{
	int64_t v;

	if (lm_onnx_int(node, name, wanted, &v, err) < 0)
		return -1;
	if (v == wanted)
		return 0;
	return lm_onnx_refuse(r, node, err, "%s is %" PRId64 ", only %" PRId64 " is read", name, v,
	    wanted);
}
