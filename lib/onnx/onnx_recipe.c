/* onnx_recipe: a few nodes as text. */
#include "onnx/onnx_recipe.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 20 };

struct reader {
	const struct lm_cook *cook;
	const char *at;
	struct loom_error *err;
	size_t n;
	char name[STEPS][LM_RECIPE_WORD];
	const void *value[STEPS];
};

/* The text stands in this program: what is wrong with it is wrong with the program. */
static int
bad(const struct reader *r)
{
	return lm_fail(r->err, LOOM_EARG, "recipe: cannot read \"%.60s\"", r->at);
}

static void
blanks(struct reader *r)
{
	while (*r->at == ' ')
		r->at++;
}

static void
word(struct reader *r, char dst[LM_RECIPE_WORD])
{
	size_t n = 0;

	blanks(r);
	while (n < LM_RECIPE_WORD - 1 && *r->at != '\0' &&
	    (isalnum((unsigned char)*r->at) || strchr("_.$@#-", *r->at) != NULL))
		dst[n++] = *r->at++;
	dst[n] = '\0';
	blanks(r);
}

/* Is this character next?  Then it is passed over. */
static int
next(struct reader *r, char c)
{
	if (*r->at != c)
		return 0;
	r->at++;
	return 1;
}

static const void *
argument(struct reader *r, const char *text)
{
	size_t i;

	if (text[0] >= 'x' && text[0] < 'x' + LM_RECIPE_INPUTS && text[1] == '\0')
		return r->cook->input(r->cook->context, (size_t)(text[0] - 'x'), r->err);
	for (i = 0; i < r->n; i++)
		if (strcmp(r->name[i], text) == 0)
			return r->value[i];
	return r->cook->constant(r->cook->context, text, r->err);
}

/* "name = ", or nothing where the last statement begins. */
static void
label(struct reader *r, char name[LM_RECIPE_WORD])
{
	const char *begin = r->at;

	word(r, name);
	if (next(r, '='))
		return;
	r->at = begin;
	name[0] = '\0';
}

/* "<to=11>", or nothing. */
static int
attribute(struct reader *r, struct lm_recipe_step *s)
{
	char number[LM_RECIPE_WORD];

	s->key[0] = '\0';
	if (!next(r, '<'))
		return 0;
	word(r, s->key);
	if (!next(r, '='))
		return bad(r);
	word(r, number);
	s->value = strtoll(number, NULL, 10);
	return next(r, '>') ? 0 : bad(r);
}

static int
arguments(struct reader *r, struct lm_recipe_step *s)
{
	char text[LM_RECIPE_WORD];

	s->n_in = 0;
	if (!next(r, '('))
		return bad(r);
	do {
		word(r, text);
		if (s->n_in == LM_RECIPE_INPUTS)
			return bad(r);
		s->in[s->n_in] = argument(r, text);
		if (s->in[s->n_in++] == NULL)
			return -1;
	} while (next(r, ','));
	return next(r, ')') ? 0 : bad(r);
}

static int
statement(struct reader *r)
{
	struct lm_recipe_step s = { .value = 0 };
	const void *made;

	label(r, s.name);
	word(r, s.op);
	if (attribute(r, &s) < 0 || arguments(r, &s) < 0)
		return -1;
	if (r->n == STEPS)
		return bad(r);
	made = r->cook->make(r->cook->context, &s, r->err);
	if (made == NULL)
		return -1;
	memcpy(r->name[r->n], s.name, sizeof(s.name));
	r->value[r->n++] = made;
	return 0;
}

int
lm_recipe(const char *text, const struct lm_cook *cook, struct loom_error *err)
{
	struct reader r = { .cook = cook, .at = text, .err = err };

	do {
		if (statement(&r) < 0)
			return -1;
	} while (next(&r, ';'));
	return *r.at == '\0' ? 0 : bad(&r);
}
