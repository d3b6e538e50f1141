/*
 * onnx_dims: extents that names stand for, as ONNX nodes: each name is read from the shape of an input of
 * the graph, expressions are integer arithmetic on lists of one entry.  What was computed once is used
 * again.  A quotient of numbers that are not negative is one rounded down; so it is meant.
 */
#include <ctype.h>
#include <string.h>

#include "onnx/onnx_to.h"

struct reader {
	struct lm_onnx_writing *w;
	const char *at;
	struct loom_error *err;
};

static const char *sum(struct reader *);

static void
blanks(struct reader *r)
{
	while (*r->at == ' ')
		r->at++;
}

/* Part of the text from start to here. */
static char *
part(struct reader *r, const char *start)
{
	size_t n = (size_t)(r->at - start);
	char *text = lm_arena_alloc(r->w->arena, n + 1, 1, r->err);

	while (n > 0 && start[n - 1] == ' ')
		n--;
	if (text != NULL)
		memcpy(text, start, n);
	return text;
}

/* The name of a value that is the extent which text says: known already, or NULL. */
static const char *
known(const struct reader *r, const char *text)
{
	size_t i = lm_names_find(&r->w->extents, text);

	return i != LM_NO_NAME ? r->w->to->nodes[i].out[0] : NULL;
}

/* A node that computes it is the last of the graph. */
static const char *
remember(struct reader *r, const char *text, const struct lm_onnx_node *made)
{
	if (made == NULL ||
	    lm_names_add(&r->w->extents, r->w->arena, text, r->w->to->n_nodes - 1, r->err) < 0)
		return NULL;
	return made->out[0];
}

static const char *
extent_name(struct reader *r, const char *text)
{
	struct lm_node none = { .name = "extent" };

	return lm_onnx_inner(r->w, &none, text, r->err);
}

/* Where the inputs of the graph declare a name. */
static int
find_axis(const struct lm_onnx_writing *w, const char *name, size_t *input, int64_t *axis)
{
	const struct loom_model *m = w->model;
	size_t i, k;

	for (i = 0; i < m->n_inputs; i++)
		for (k = 0; k < m->inputs[i].dims.n; k++)
			if (m->inputs[i].dims.dim[k].text != NULL &&
			    strcmp(m->inputs[i].dims.dim[k].text, name) == 0) {
				*input = i;
				*axis = (int64_t)(k + (m->inputs[i].any ? w->lead : 0));
				return 0;
			}
	return -1;
}

static const char *
named(struct reader *r, const char *name)
{
	struct lm_onnx_writing *w = r->w;
	struct lm_onnx_node *shape;
	const char *in, *out = known(r, name);
	size_t input;
	int64_t axis;

	if (out != NULL)
		return out;
	if (find_axis(w, name, &input, &axis) < 0) {
		(void)lm_fail(r->err, LOOM_ESHAPE, "no input's shape declares the name %.80s",
		    name);
		return NULL;
	}
	in = w->model->inputs[input].name;
	out = extent_name(r, name);
	shape = out != NULL ? lm_onnx_add_node(w->to, out, "Shape", 1, &in, 1, &out, r->err) : NULL;
	if (shape == NULL || lm_onnx_add_int(w->to, shape, "start", axis, r->err) < 0 ||
	    lm_onnx_add_int(w->to, shape, "end", axis + 1, r->err) < 0)
		return NULL;
	return remember(r, name, shape);
}

static const char *
number(struct reader *r)
{
	struct lm_node none = { .name = "extent" };
	const char *start = r->at, *text;
	int64_t v = 0;

	for (; isdigit((unsigned char)*r->at); r->at++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *r->at - '0', &v)) {
			(void)lm_fail(r->err, LOOM_ESHAPE, "extent %.40s... is beyond 64 bits",
			    start);
			return NULL;
		}
	text = part(r, start);
	return text != NULL ? lm_onnx_list(r->w, &none, text, &v, 1, r->err) : NULL;
}

static const char *
atom(struct reader *r)
{
	const char *start, *v;

	blanks(r);
	start = r->at;
	if (isdigit((unsigned char)*r->at))
		return number(r);
	if (*r->at == '(') {
		r->at++;
		v = sum(r);
		r->at += *r->at == ')';
		return v;
	}
	while (isalnum((unsigned char)*r->at) || *r->at == '_')
		r->at++;
	v = part(r, start);
	return v != NULL ? named(r, v) : NULL;
}

/* a op b, which the text from start to here says. */
static const char *
arithmetic(struct reader *r, const char *start, const char *op, const char *a, const char *b)
{
	const char *const in[] = { a, b };
	const char *text = part(r, start), *out;

	if (a == NULL || b == NULL || text == NULL)
		return NULL;
	out = known(r, text);
	if (out != NULL)
		return out;
	out = extent_name(r, text);
	if (out == NULL)
		return NULL;
	return remember(r, text, lm_onnx_add_node(r->w->to, out, op, 2, in, 1, &out, r->err));
}

static const char *
product(struct reader *r)
{
	const char *start = r->at, *v = atom(r), *op;

	for (blanks(r); v != NULL && (*r->at == '*' || *r->at == '/'); blanks(r)) {
		op = *r->at == '*' ? "Mul" : "Div";
		r->at += *r->at == '*' ? 1 : 2;
		v = arithmetic(r, start, op, v, atom(r));
	}
	return v;
}

static const char *
sum(struct reader *r)
{
	const char *start = r->at, *v = product(r), *op;

	for (blanks(r); v != NULL && (*r->at == '+' || *r->at == '-'); blanks(r)) {
		op = *r->at++ == '+' ? "Add" : "Sub";
		v = arithmetic(r, start, op, v, product(r));
	}
	return v;
}

/* A list of one entry. */
static const char *
computed(struct lm_onnx_writing *w, const char *text, struct loom_error *err)
{
	struct reader r = { w, text, err };

	return sum(&r);
}

/* Numbers from dims[*k] on, as many as follow each other, as one list; or one that is computed. */
static const char *
stretch(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const struct lm_dims *dims, size_t *k, struct loom_error *err)
{
	int64_t *v = lm_arena_alloc(w->arena, dims->n + 1, sizeof(*v), err);
	size_t count = 0;

	if (v == NULL)
		return NULL;
	if (*k < dims->n && dims->dim[*k].text != NULL)
		return computed(w, dims->dim[(*k)++].text, err);
	for (; *k < dims->n && dims->dim[*k].text == NULL; (*k)++)
		v[count++] = dims->dim[*k].value;
	return lm_onnx_list(w, n, what, v, count, err);
}

const char *
lm_onnx_dims(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const struct lm_dims *dims, struct loom_error *err)
{
	const char **parts = lm_arena_alloc(w->arena, dims->n + 1, sizeof(*parts), err);
	struct lm_onnx_node *all;
	size_t k = 0, n_parts = 0;

	if (parts == NULL)
		return NULL;
	do {
		parts[n_parts] = stretch(w, n, what, dims, &k, err);
		if (parts[n_parts++] == NULL)
			return NULL;
	} while (k < dims->n);
	if (n_parts == 1)
		return parts[0];
	all = lm_onnx_step(w, n, what, "Concat", n_parts, parts, err);
	if (all == NULL || lm_onnx_add_int(w->to, all, "axis", 0, err) < 0)
		return NULL;
	return all->out[0];
}

const char *
lm_onnx_dim(struct lm_onnx_writing *w, const struct lm_node *n, const char *what,
    const struct lm_dim *dim, struct loom_error *err)
{
	const int64_t axis = 0;
	const char *in[2];

	if (dim->text == NULL)
		return lm_onnx_whole(w, n, what, dim->value, err);
	in[0] = computed(w, dim->text, err);
	in[1] = lm_onnx_list(w, n, "axes", &axis, 1, err);
	return lm_onnx_made(w, n, what, "Squeeze", 2, in, err);
}
