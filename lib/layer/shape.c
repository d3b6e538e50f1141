/* shape: extents of values, and dimensions that are expressions of names. */
#include "layer/shape.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { DEEPEST = 32 }; /* parentheses in an expression */

int
lm_shape_count(const struct lm_shape *s, uint64_t *count)
{
	unsigned i;

	*count = 1;
	for (i = 0; i < s->rank; i++)
		if (lm_mul64(*count, s->dim[i], count) < 0)
			return -1;
	return *count > (uint64_t)SIZE_MAX / 16 ? -1 : 0;
}

int
lm_shape_same(const struct lm_shape *a, const struct lm_shape *b)
{
	return a->rank == b->rank && memcmp(a->dim, b->dim, a->rank * sizeof(a->dim[0])) == 0;
}

const char *
lm_shape_text(char dst[LM_SHAPE_TEXT], const struct lm_shape *s)
{
	size_t used;
	unsigned i;

	used = (size_t)snprintf(dst, LM_SHAPE_TEXT, "%s [", s->dtype != NULL ? s->dtype->name : "");
	for (i = 0; i < s->rank; i++)
		used += (size_t)snprintf(dst + used, LM_SHAPE_TEXT - used, "%s%" PRIu64,
		    i > 0 ? ", " : "", s->dim[i]);
	(void)snprintf(dst + used, LM_SHAPE_TEXT - used, "]");
	return dst;
}

const char *
lm_dims_text(char dst[LM_SHAPE_TEXT], const struct lm_dims *dims)
{
	size_t used = 1, i;
	char shown[24];
	const char *s;

	dst[0] = '[';
	for (i = 0; i < dims->n && used < LM_SHAPE_TEXT - 64; i++) {
		s = dims->dim[i].text;
		if (s == NULL) {
			(void)snprintf(shown, sizeof(shown), "%" PRId64, dims->dim[i].value);
			s = shown;
		}
		used += (size_t)snprintf(dst + used, LM_SHAPE_TEXT - used, "%s%.40s",
		    i > 0 ? ", " : "", s);
	}
	(void)snprintf(dst + used, LM_SHAPE_TEXT - used, i < dims->n ? ", ...]" : "]");
	return dst;
}

/* ---- expressions: sum = product { (+|-) product }; product = atom { (*|//) atom } ---- */

struct reader {
	const char *all, *at;
	const struct lm_sizes *sizes; /* NULL: syntax alone is checked */
	struct loom_error *err;
	int depth;
};

static int sum(struct reader *, int64_t *);

static void
blanks(struct reader *r)
{
	while (*r->at == ' ')
		r->at++;
}

static int
bad(struct reader *r)
{
	char shown[LM_SHOWN];

	return lm_fail(r->err, LOOM_EFORMAT,
	    "dimension \"%s\" is not an integer, a name or an expression of them with + - * //",
	    lm_shown(shown, r->all));
}

static int
lookup(struct reader *r, const char *name, size_t len, int64_t *v)
{
	char shown[LM_SHOWN];
	size_t i;

	*v = 1;
	if (r->sizes == NULL)
		return 0;
	for (i = 0; i < r->sizes->n; i++)
		if (strlen(r->sizes->size[i].name) == len &&
		    memcmp(r->sizes->size[i].name, name, len) == 0) {
			*v = (int64_t)r->sizes->size[i].value;
			return 0;
		}
	return lm_fail(r->err, LOOM_ESHAPE,
	    "dimension \"%s\" uses the name %.*s, which no input's shape declares",
	    lm_shown(shown, r->all), (int)(len < 40 ? len : 40), name);
}

static int
number(struct reader *r, int64_t *v)
{
	for (*v = 0; isdigit((unsigned char)*r->at); r->at++)
		if (__builtin_mul_overflow(*v, 10, v) ||
		    __builtin_add_overflow(*v, *r->at - '0', v))
			return bad(r);
	return 0;
}

static int
atom(struct reader *r, int64_t *v)
{
	const char *start;

	blanks(r);
	start = r->at;
	if (isdigit((unsigned char)*r->at))
		return number(r, v);
	if (isalpha((unsigned char)*r->at) || *r->at == '_') {
		while (isalnum((unsigned char)*r->at) || *r->at == '_')
			r->at++;
		return lookup(r, start, (size_t)(r->at - start), v);
	}
	if (*r->at != '(' || ++r->depth > DEEPEST)
		return bad(r);
	r->at++;
	if (sum(r, v) < 0)
		return -1;
	r->depth--;
	return *r->at++ == ')' ? 0 : bad(r);
}

static int
overflow(struct reader *r)
{
	char shown[LM_SHOWN];

	return lm_fail(r->err, LOOM_ESHAPE, "dimension \"%s\" is beyond 64 bits",
	    lm_shown(shown, r->all));
}

/* Division rounds down, as // does in Python. */
static int
divide(struct reader *r, int64_t a, int64_t b, int64_t *v)
{
	char shown[LM_SHOWN];

	*v = 1;
	if (r->sizes == NULL)
		return 0;
	if (b == 0)
		return lm_fail(r->err, LOOM_ESHAPE, "dimension \"%s\" divides by zero",
		    lm_shown(shown, r->all));
	if (a == INT64_MIN && b == -1)
		return overflow(r);
	*v = a / b - (a % b != 0 && (a < 0) != (b < 0));
	return 0;
}

static int
product(struct reader *r, int64_t *v)
{
	int64_t w;

	if (atom(r, v) < 0)
		return -1;
	for (blanks(r); *r->at == '*' || (r->at[0] == '/' && r->at[1] == '/'); blanks(r)) {
		int times = *r->at == '*';

		r->at += times ? 1 : 2;
		if (atom(r, &w) < 0)
			return -1;
		if (times && __builtin_mul_overflow(*v, w, v))
			return overflow(r);
		if (!times && divide(r, *v, w, v) < 0)
			return -1;
	}
	return 0;
}

static int
sum(struct reader *r, int64_t *v)
{
	int64_t w;

	if (product(r, v) < 0)
		return -1;
	for (blanks(r); *r->at == '+' || *r->at == '-'; blanks(r)) {
		int plus = *r->at++ == '+';

		if (product(r, &w) < 0)
			return -1;
		if (plus ? __builtin_add_overflow(*v, w, v) : __builtin_sub_overflow(*v, w, v))
			return overflow(r);
	}
	return 0;
}

static int
evaluate(const char *text, const struct lm_sizes *sizes, int64_t *v, struct loom_error *err)
{
	struct reader r = { text, text, sizes, err, 0 };

	if (sum(&r, v) < 0)
		return -1;
	return *r.at == '\0' ? 0 : bad(&r);
}

int
lm_dim_check(const char *text, struct loom_error *err)
{
	int64_t v;

	return evaluate(text, NULL, &v, err);
}

int
lm_dim_is_name(const char *text)
{
	if (!isalpha((unsigned char)*text) && *text != '_')
		return 0;
	while (isalnum((unsigned char)*text) || *text == '_')
		text++;
	return *text == '\0';
}

int
lm_dim_eval(const struct lm_dim *dim, const struct lm_sizes *sizes, uint64_t *out,
    struct loom_error *err)
{
	static const struct lm_sizes none;
	int64_t v = dim->value;
	char shown[LM_SHOWN];

	if (dim->text != NULL && evaluate(dim->text, sizes != NULL ? sizes : &none, &v, err) < 0)
		return -1;
	if (v < 0)
		return lm_fail(err, LOOM_ESHAPE,
		    "dimension \"%s\" is %" PRId64 ", less than nothing",
		    lm_shown(shown, dim->text != NULL ? dim->text : ""), v);
	*out = (uint64_t)v;
	return 0;
}
