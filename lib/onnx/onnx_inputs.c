/* onnx_inputs: what an ONNX graph is given: its inputs and the names of their extents. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "onnx/onnx_known.h"

/* Names of extents, in the order in which they appear. */
struct naming {
	struct lm_onnx_reading *r;
	size_t n, fresh;
	const char **name, **text; /* text: what the file calls it; NULL: nothing */
};

/* What some exporters write for an extent of which they know nothing. */
static int
says_nothing(const char *text)
{
	static const char *const words[] = { "", "?", "None", "-1" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(words[i], text) == 0)
			return 1;
	return 0;
}

/* Ours, which lives as long as the network; NULL: the name is not taken. */
static const char *
is_taken(const struct naming *g, const char *name)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (strcmp(g->name[i], name) == 0)
			return g->name[i];
	return NULL;
}

static const char *
add(struct naming *g, const char *name, const char *text, struct loom_error *err)
{
	const char **names = lm_onnx_grow(&g->r->arena, g->name, g->n, sizeof(*names), err);
	const char **texts = lm_onnx_grow(&g->r->arena, g->text, g->n, sizeof(*texts), err);

	name = lm_arena_string(&g->r->model->arena, name, err);
	if (names == NULL || texts == NULL || name == NULL)
		return NULL;
	g->name = names;
	g->text = texts;
	g->name[g->n] = name;
	g->text[g->n++] = text;
	return name;
}

/* An extent without a name: "d0", "d1" ... */
static const char *
fresh(struct naming *g, struct loom_error *err)
{
	char name[32];

	do
		(void)snprintf(name, sizeof(name), "d%zu", g->fresh++);
	while (is_taken(g, name));
	return add(g, name, NULL, err);
}

/* A name that our notation does not have, made one that it has. */
static const char *
spelled(struct naming *g, const char *text, struct loom_error *err)
{
	char name[80];
	size_t i, n = strlen(text);

	for (i = 0; i < g->n; i++)
		if (g->text[i] != NULL && strcmp(g->text[i], text) == 0)
			return g->name[i];
	n = n < 60 ? n : 60;
	name[0] = '_';
	for (i = 0; i < n; i++)
		name[i + 1] = isalnum((unsigned char)text[i]) ? text[i] : '_';
	name[n + 1] = '\0';
	for (i = n + 1; is_taken(g, name) && i < sizeof(name) - 1; i++)
		(void)snprintf(name + i, sizeof(name) - i, "_");
	return add(g, name, text, err);
}

static const char *
name_of(struct naming *g, const char *text, struct loom_error *err)
{
	if (says_nothing(text))
		return fresh(g, err);
	if (!lm_dim_is_name(text))
		return spelled(g, text, err);
	return is_taken(g, text) != NULL ? is_taken(g, text) : add(g, text, text, err);
}

/* An expression of names that other inputs have may stay what it is. */
static int
is_expression(const struct lm_onnx *x, const char *text)
{
	struct loom_error quiet = { 0 };
	struct lm_sizes sizes = { 0 };
	struct lm_size size[64];
	struct lm_dim dim = { text, 0 };
	uint64_t extent;
	size_t i, k;

	if (says_nothing(text) || lm_dim_is_name(text))
		return 0;
	sizes.size = size;
	for (i = 0; i < x->n_inputs; i++)
		for (k = 0; k < x->inputs[i].rank && sizes.n < 64; k++)
			if (x->inputs[i].dim[k].name != NULL &&
			    lm_dim_is_name(x->inputs[i].dim[k].name)) {
				size[sizes.n].name = x->inputs[i].dim[k].name;
				size[sizes.n++].value = 5040;
			}
	return lm_dim_eval(&dim, &sizes, &extent, &quiet) == 0;
}

static int
read_dim(struct naming *g, const struct lm_onnx_dim *from, struct lm_dim *to,
    struct loom_error *err)
{
	if (from->name == NULL && from->value >= 0) {
		to->value = from->value;
		return 0;
	}
	if (from->name != NULL && is_expression(g->r->from, from->name))
		to->text = lm_arena_string(&g->r->model->arena, from->name, err);
	else
		to->text = name_of(g, from->name != NULL ? from->name : "", err);
	return to->text != NULL ? 0 : -1;
}

static int
read_input(struct naming *g, const struct lm_onnx_value *v, struct lm_onnx_known *k,
    struct loom_error *err)
{
	struct lm_onnx_reading *r = g->r;
	const struct lm_dtype *dtype = v->type == LM_ONNX_INT32 ? lm_dtype_get(LM_I64)
								: lm_onnx_dtype(v->type);
	struct lm_dim *dim = lm_arena_alloc(&r->model->arena, v->rank + 1, sizeof(*dim), err);
	size_t i;

	if (dim == NULL)
		return -1;
	if (v->type != LM_ONNX_FLOAT && v->type != LM_ONNX_INT64 && v->type != LM_ONNX_INT32 &&
	    v->type != LM_ONNX_BOOL)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "input %.100s is %s: networks here take float32, int64, int32 and bool",
		    v->name, lm_onnx_type_name(v->type));
	for (i = 0; i < v->rank; i++)
		if (read_dim(g, &v->dim[i], &dim[i], err) < 0)
			return -1;
	k->made = 1;
	k->dtype = dtype;
	k->ranked = v->ranked;
	k->dims.n = v->rank;
	k->dims.dim = dim;
	if (lm_model_add_input(r->model, v->name, dtype, !v->ranked, k->dims, err) < 0)
		return -1;
	k->value = lm_model_value(r->model, v->name);
	return 0;
}

/* An input that only nodes read which are not wanted is none of the network. */
static int
is_wanted(const struct lm_onnx_reading *r, const struct lm_onnx_known *k)
{
	return k->tensor == NULL && (r->model->how.n_outputs == 0 || k->users > 0);
}

int
lm_onnx_read_inputs(struct lm_onnx_reading *r, struct loom_error *err)
{
	struct naming g = { .r = r };
	const struct lm_onnx *x = r->from;
	struct lm_onnx_known *k;
	size_t i;

	for (i = 0; i < x->n_inputs; i++) {
		k = lm_onnx_find(r, x->inputs[i].name);
		if (is_wanted(r, k) && read_input(&g, &x->inputs[i], k, err) < 0)
			return -1;
	}
	if (lm_onnx_trials_begin(r, g.name, g.n, err) < 0)
		return -1;
	for (i = 0; i < x->n_inputs; i++) {
		k = lm_onnx_find(r, x->inputs[i].name);
		if (is_wanted(r, k) && lm_onnx_try_dims(r, k, err) < 0)
			return -1;
	}
	return 0;
}
