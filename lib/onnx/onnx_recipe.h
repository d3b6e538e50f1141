/*
 * onnx_recipe: a few nodes as text: "exp = Exp(x); Sub(exp, 1)".  x, y, z are inputs, other words values
 * made before; what is neither is a constant.  Cast<to=11>(x) has an integer attribute.  The last node has
 * no name of its own.  Values are whatever the cook makes of them, NULL where it failed.
 */
#ifndef FORMAT_ONNX_RECIPE_H
#define FORMAT_ONNX_RECIPE_H

#include "base/err.h"

enum { LM_RECIPE_WORD = 32, LM_RECIPE_INPUTS = 3 };

struct lm_recipe_step {
	char name[LM_RECIPE_WORD]; /* "": the last one */
	char op[LM_RECIPE_WORD];
	char key[LM_RECIPE_WORD]; /* of the attribute; "": there is none */
	int64_t value;
	size_t n_in;
	const void *in[LM_RECIPE_INPUTS];
};

struct lm_cook {
	void *context;
	const void *(*input)(void *context, size_t k, struct loom_error *);
	const void *(*constant)(void *context, const char *text, struct loom_error *);
	const void *(*make)(void *context, const struct lm_recipe_step *, struct loom_error *);
};

int lm_recipe(const char *text, const struct lm_cook *, struct loom_error *) LOOM_MUST_CHECK;

#endif
