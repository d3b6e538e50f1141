/* onnx_to_recipe: what an operation becomes, where that is a few ONNX nodes, written as text. */
#include <stdlib.h>
#include <string.h>

#include "onnx/onnx_recipe.h"
#include "onnx/onnx_to.h"

struct kitchen {
	struct lm_onnx_writing *w;
	const struct lm_node *n;
};

static const void *
input(void *context, size_t k, struct loom_error *err)
{
	const struct kitchen *c = context;

	(void)err;
	return lm_onnx_input(c->w, c->n, k);
}

/* $alpha is a parameter, @slope a slot, 0i an integer. */
static const void *
constant(void *context, const char *text, struct loom_error *err)
{
	const struct kitchen *c = context;
	char *end;
	int i;

	if (text[0] == '$') {
		i = lm_layer_param(c->n->op, text + 1);
		return i >= 0 ? lm_onnx_param_scalar(c->w, c->n, (size_t)i, err) : NULL;
	}
	if (text[0] == '@') {
		i = lm_layer_slot(c->n->op, text + 1);
		return i >= 0 ? lm_onnx_slot(c->w, c->n, (size_t)i, err) : NULL;
	}
	if (text[strlen(text) - 1] == 'i')
		return lm_onnx_whole(c->w, c->n, text, strtoll(text, &end, 10), err);
	return lm_onnx_scalar(c->w, c->n, text, strtof(text, &end), err);
}

static const void *
make(void *context, const struct lm_recipe_step *s, struct loom_error *err)
{
	const struct kitchen *c = context;
	const char *in[LM_RECIPE_INPUTS];
	struct lm_onnx_node *made;
	size_t i;

	for (i = 0; i < s->n_in; i++)
		in[i] = s->in[i];
	made = s->name[0] != '\0' ? lm_onnx_step(c->w, c->n, s->name, s->op, s->n_in, in, err)
				  : lm_onnx_last(c->w, c->n, s->op, s->n_in, in, err);
	if (made == NULL ||
	    (s->key[0] != '\0' && lm_onnx_add_int(c->w->to, made, s->key, s->value, err) < 0))
		return NULL;
	return made->out[0];
}

int
lm_onnx_recipe(struct lm_onnx_writing *w, const struct lm_node *n, const char *text,
    struct loom_error *err)
{
	struct kitchen kitchen = { w, n };
	const struct lm_cook cook = { &kitchen, input, constant, make };

	return lm_recipe(text, &cook, err);
}
