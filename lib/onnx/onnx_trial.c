/* onnx_trial: extents in trials, where names stand for numbers. */
#include "onnx/onnx_trial.h"

#include <inttypes.h>
#include <string.h>

/*
 * Name k is first + k step.  The first sizes can be halved often, the middle ones are each one more than
 * the one before, so that every remainder of a small stride is met; then all names are alike, since some
 * networks go for one size only, and in the last ones all but the first, which most often is the batch.
 */
static const struct {
	uint64_t first, step, rest; /* rest: instead, of all names but the first */
} trials[LM_ONNX_TRIALS] = { { 64, 32, 0 }, { 192, 64, 0 }, { 6720, 6720, 0 }, { 37, 6, 0 },
	{ 38, 6, 0 }, { 39, 6, 0 }, { 40, 6, 0 }, { 41, 6, 0 }, { 5, 2, 0 }, { 2, 1, 0 },
	{ 2, 0, 0 }, { 1, 0, 0 }, { 64, 0, 0 }, { 6720, 0, 0 }, { 3, 0, 0 }, { 4, 0, 0 },
	{ 6, 0, 0 }, { 7, 0, 0 }, { 8, 0, 0 }, { 16, 0, 0 }, { 32, 0, 0 }, { 3, 0, 1 }, { 5, 0, 2 },
	{ 7, 0, 3 }, { 3, 0, 4 }, { 5, 0, 8 } };

int
lm_onnx_trials_begin(struct lm_onnx_reading *r, const char *const *names, size_t n,
    struct loom_error *err)
{
	struct lm_onnx_trials *t = lm_arena_alloc(&r->arena, 1, sizeof(*t), err);
	struct lm_sizes *s;
	size_t i, k;

	if (t == NULL)
		return -1;
	r->trials = t;
	t->n = n > 0 ? LM_ONNX_TRIALS : 1;
	for (i = 0; i < t->n; i++) {
		t->alive[i] = 1;
		s = &t->sizes[i];
		s->n = n;
		s->size = lm_arena_alloc(&r->arena, n > 0 ? n : 1, sizeof(*s->size), err);
		if (s->size == NULL)
			return -1;
		for (k = 0; k < n; k++) {
			s->size[k].name = names[k];
			s->size[k].value = k > 0 && trials[i].rest > 0
			    ? trials[i].rest
			    : trials[i].first + k * trials[i].step;
		}
	}
	return 0;
}

size_t
lm_onnx_alive(const struct lm_onnx_reading *r)
{
	size_t t;

	for (t = 0; t + 1 < r->trials->n && !r->trials->alive[t]; t++)
		;
	return t;
}

int
lm_onnx_tried(struct lm_onnx_reading *r, struct lm_onnx_known *k, struct loom_error *err)
{
	if (k->tried == NULL)
		k->tried = lm_arena_alloc(&r->arena, 1, sizeof(*k->tried), err);
	return k->tried != NULL ? 0 : -1;
}

int
lm_onnx_try_dims(struct lm_onnx_reading *r, struct lm_onnx_known *k, struct loom_error *err)
{
	struct loom_error quiet = { 0 };
	struct lm_shape *s;
	size_t t, i;

	if (lm_onnx_tried(r, k, err) < 0)
		return -1;
	for (t = 0; t < r->trials->n; t++) {
		s = &k->tried->shape[t];
		s->dtype = k->dtype;
		s->rank = (unsigned)k->dims.n;
		for (i = 0; i < k->dims.n; i++)
			if (lm_dim_eval(&k->dims.dim[i], &r->trials->sizes[t], &s->dim[i], &quiet) <
			    0)
				r->trials->alive[t] = 0;
	}
	return 0;
}

/* ---- from numbers to expressions ---- */

struct fit {
	struct lm_onnx_reading *r;
	const int64_t *value;
	struct lm_dim *out;
	struct loom_error *err;
};

/* 1: found; -1: no memory. */
static int
found(struct fit *f, const char *text)
{
	f->out->value = 0;
	f->out->text = lm_arena_string(&f->r->arena, text, f->err);
	return f->out->text != NULL ? 1 : -1;
}

#define EACH(f, t)                              \
	for (t = 0; t < (f)->r->trials->n; t++) \
		if ((f)->r->trials->alive[t])

static int
is_term(const struct fit *f, const struct lm_onnx_term *e)
{
	size_t t;

	EACH(f, t)
	if (f->value[t] != e->value[t])
		return 0;
	return 1;
}

/* Trials differ at all: an extent that is the same in all of them depends on no name. */
static int
varied(const struct fit *f)
{
	const struct lm_onnx_trials *all = f->r->trials;
	size_t first = lm_onnx_alive(f->r), t;

	EACH(f, t)
	if (all->sizes[t].n == 0 || all->sizes[t].size[0].value != all->sizes[first].size[0].value)
		return 1;
	return all->n == 1;
}

static int
is_same(const struct fit *f)
{
	size_t first = lm_onnx_alive(f->r), t;

	EACH(f, t)
	if (f->value[t] != f->value[first])
		return 0;
	return 1;
}

/* "e" or "(e)": what can stand before an operator that binds. */
static const char *
tight(char *dst, size_t size, const char *text)
{
	(void)snprintf(dst, size, lm_dim_is_name(text) ? "%s" : "(%s)", text);
	return dst;
}

enum { TEXT = 512 };

static void
scaled(char dst[TEXT], const char *text, int64_t times, int64_t plus)
{
	char e[TEXT], sum[32] = "", product[32] = "";

	if (plus != 0)
		(void)snprintf(sum, sizeof(sum), "%+" PRId64, plus);
	if (times != 1)
		(void)snprintf(product, sizeof(product), "*%" PRId64, times);
	(void)snprintf(dst, TEXT, "%.400s%s%s", times != 1 ? tight(e, sizeof(e), text) : text,
	    product, sum);
}

/* The trials in which a term is least and most. */
static void
ends(const struct fit *f, const struct lm_onnx_term *e, size_t *low, size_t *high)
{
	size_t t;

	*low = *high = lm_onnx_alive(f->r);
	EACH(f, t)
	{
		if (e->value[t] < e->value[*low])
			*low = t;
		if (e->value[t] > e->value[*high])
			*high = t;
	}
}

/* value = a e + b */
static int
is_linear(struct fit *f, const struct lm_onnx_term *e)
{
	size_t low, high, t;
	int64_t wide, rise, a, b;
	char text[TEXT];

	ends(f, e, &low, &high);
	wide = e->value[high] - e->value[low];
	rise = f->value[high] - f->value[low];
	if (wide == 0 || rise == 0 || rise % wide != 0)
		return 0;
	a = rise / wide;
	b = f->value[low] - a * e->value[low];
	EACH(f, t)
	if (f->value[t] != a * e->value[t] + b)
		return 0;
	if (a < 0)
		return 0;
	scaled(text, e->text, a, b);
	return found(f, text);
}

/* value = (e + b) // c: those b that each trial leaves. */
static int
is_quotient(struct fit *f, const struct lm_onnx_term *e)
{
	int64_t least = -(INT64_C(1) << 40), most = -least, c, b;
	char text[TEXT], sum[TEXT];
	size_t low, high, t;

	ends(f, e, &low, &high);
	if (f->value[high] <= f->value[low])
		return 0;
	c = (e->value[high] - e->value[low] + (f->value[high] - f->value[low]) / 2) /
	    (f->value[high] - f->value[low]);
	if (c < 2)
		return 0;
	EACH(f, t)
	{
		b = f->value[t] * c - e->value[t];
		least = b > least ? b : least;
		most = b + c - 1 < most ? b + c - 1 : most;
	}
	if (least > most)
		return 0;
	b = least <= 0 && most >= 0 ? 0 : least <= c - 1 && most >= c - 1 ? c - 1 : least;
	scaled(sum, e->text, 1, b);
	(void)snprintf(text, sizeof(text), "%s%.400s%s//%" PRId64, lm_dim_is_name(sum) ? "" : "(",
	    sum, lm_dim_is_name(sum) ? "" : ")", c);
	return found(f, text);
}

/* value = c times the product of neighbours among the terms */
static int
is_product(struct fit *f, const struct lm_onnx_term *e, size_t n)
{
	size_t first = lm_onnx_alive(f->r), used = 0, i, t;
	char text[TEXT] = "", one[TEXT];
	int64_t product, c = 0;

	EACH(f, t)
	{
		for (product = 1, i = 0; i < n; i++)
			if (__builtin_mul_overflow(product, e[i].value[t], &product))
				return 0;
		if (product == 0 || f->value[t] % product != 0)
			return 0;
		if (t == first)
			c = f->value[t] / product;
		if (f->value[t] / product != c)
			return 0;
	}
	for (i = 0; i < n && used < TEXT; i++)
		used += (size_t)snprintf(text + used, TEXT - used, "%s%s", i > 0 ? "*" : "",
		    tight(one, sizeof(one), e[i].text));
	if (c != 1 && used < TEXT)
		used += (size_t)snprintf(text + used, TEXT - used, "*%" PRId64, c);
	return used < TEXT ? found(f, text) : 0;
}

/* value = one term + what is linear in another */
static int
is_sum(struct fit *f, const struct lm_onnx_term *e, const struct lm_onnx_term *other)
{
	int64_t rest[LM_ONNX_TRIALS] = { 0 };
	struct fit inner = *f;
	struct lm_dim dim;
	char text[TEXT];
	size_t t;
	int r;

	EACH(f, t)
	rest[t] = f->value[t] - e->value[t];
	inner.value = rest;
	inner.out = &dim;
	r = is_linear(&inner, other);
	if (r <= 0)
		return r;
	(void)snprintf(text, sizeof(text), "%.240s+%.240s", e->text, dim.text);
	return found(f, text);
}

/* ---- which of them ---- */

static int
among(struct fit *f, const struct lm_onnx_term *e, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (is_term(f, &e[i]))
			return found(f, e[i].text);
	return 0;
}

static int
of_one(struct fit *f, const struct lm_onnx_term *e, size_t n)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n && r == 0; i++)
		r = is_linear(f, &e[i]);
	for (i = 0; i < n && r == 0; i++)
		r = is_quotient(f, &e[i]);
	return r;
}

static int
of_several(struct fit *f, const struct lm_onnx_term *e, size_t n)
{
	size_t i, k;
	int r = 0;

	for (i = 0; i < n && r == 0; i++)
		for (k = i + 2; k <= n && r == 0; k++)
			r = is_product(f, e + i, k - i);
	for (i = 0; i < n && r == 0; i++)
		for (k = i + 1; k < n && r == 0; k++)
			r = is_sum(f, &e[i], &e[k]);
	return r;
}

static struct lm_onnx_term *
names(struct fit *f, size_t *n)
{
	const struct lm_onnx_trials *all = f->r->trials;
	struct lm_onnx_term *e;
	size_t i, t;

	*n = all->sizes[0].n;
	e = lm_arena_alloc(&f->r->arena, *n > 0 ? *n : 1, sizeof(*e), f->err);
	for (i = 0; e != NULL && i < *n; i++) {
		e[i].text = all->sizes[0].size[i].name;
		for (t = 0; t < all->n; t++)
			e[i].value[t] = (int64_t)all->sizes[t].size[i].value;
	}
	return e;
}

/* Do only trials live in which names are alike? */
static int
alike(const struct fit *f)
{
	const struct lm_onnx_trials *all = f->r->trials;
	size_t t;

	EACH(f, t)
	if (all->sizes[t].n > 1 && all->sizes[t].size[0].value != all->sizes[t].size[1].value)
		return 0;
	return 1;
}

int
lm_onnx_fit(struct lm_onnx_reading *r, const int64_t value[LM_ONNX_TRIALS],
    const struct lm_onnx_term *near, size_t n_near, struct lm_dim *out, struct loom_error *err)
{
	struct fit f = { r, value, out, err };
	struct lm_onnx_term *e;
	size_t n;
	int got = 0;

	out->text = NULL;
	out->value = value[lm_onnx_alive(r)];
	if (is_same(&f) && varied(&f))
		return 0;
	e = names(&f, &n);
	if (e == NULL)
		return -1;
	if (!alike(&f))
		got = among(&f, e, n);
	if (got == 0)
		got = among(&f, near, n_near);
	if (got == 0)
		got = among(&f, e, n);
	if (got == 0 && is_same(&f))
		return 0;
	if (got == 0)
		got = of_one(&f, e, n);
	if (got == 0)
		got = of_one(&f, near, n_near);
	if (got == 0)
		got = of_several(&f, near, n_near);
	if (got == 0)
		got = of_several(&f, e, n);
	return got == 0 ? (found(&f, "?") < 0 ? -1 : 0) : got < 0 ? -1 : 0;
}

/* ---- nodes ---- */

size_t
lm_onnx_terms(const struct lm_onnx_known *k, struct lm_onnx_term *e)
{
	size_t i, t, n = 0;

	for (i = 0; k->tried != NULL && i < k->dims.n; i++) {
		if (k->dims.dim[i].text == NULL || k->dims.dim[i].text[0] == '?')
			continue;
		e[n].text = k->dims.dim[i].text;
		for (t = 0; t < LM_ONNX_TRIALS; t++)
			e[n].value[t] = (int64_t)k->tried->shape[t].dim[i];
		n++;
	}
	return n;
}

/* The value of the network with that number, as it is known. */
static struct lm_onnx_known *
of_value(struct lm_onnx_reading *r, size_t value)
{
	return lm_onnx_find(r, r->model->values[value].name);
}

/* Extents of a node's inputs that are no integers: those of axis first. */
static size_t
near_terms(struct lm_onnx_reading *r, const struct lm_node *n, size_t axis, struct lm_onnx_term *e,
    size_t room)
{
	struct lm_onnx_term some[LOOM_RANK];
	struct lm_onnx_known *k;
	size_t i, j, got, used = 0;

	for (i = 0; i < n->n_in && used + LOOM_RANK + 1 < room; i++) {
		k = n->in[i] != LM_ABSENT ? of_value(r, n->in[i]) : NULL;
		if (k == NULL)
			continue;
		got = lm_onnx_terms(k, some);
		for (j = 0; used == 0 && axis < k->dims.n && j < got; j++)
			if (some[j].text == k->dims.dim[axis].text)
				e[used++] = some[j];
		for (j = 0; j < got; j++)
			e[used++] = some[j];
	}
	return used;
}

enum { NEAR = 4 * LOOM_RANK };

static int
fit_dims(struct lm_onnx_reading *r, const struct lm_node *n, struct lm_onnx_known *k,
    struct loom_error *err)
{
	struct lm_onnx_term *near = lm_alloc(NEAR, sizeof(*near), err);
	size_t first = lm_onnx_alive(r), t, i, n_near;
	int64_t value[LM_ONNX_TRIALS] = { 0 };
	struct lm_dim *dim;
	int rc = near != NULL ? 0 : -1;

	k->ranked = 1;
	k->dtype = k->tried->shape[first].dtype;
	k->dims.n = k->tried->shape[first].rank;
	dim = lm_arena_alloc(&r->arena, k->dims.n > 0 ? k->dims.n : 1, sizeof(*dim), err);
	k->dims.dim = dim;
	for (i = 0; dim != NULL && rc == 0 && i < k->dims.n; i++) {
		for (t = 0; t < r->trials->n; t++)
			value[t] = (int64_t)k->tried->shape[t].dim[i];
		n_near = r->trials->n > 1 ? near_terms(r, n, i, near, NEAR) : 0;
		rc = lm_onnx_fit(r, value, near, n_near, &dim[i], err);
	}
	lm_free(near);
	return dim != NULL ? rc : -1;
}

/* One trial of a node. */
static int
try_once(struct lm_onnx_reading *r, const struct lm_node *n, size_t t, struct lm_shape *in,
    struct lm_shape *out, struct loom_error *err)
{
	struct lm_shaping s = { n, in, out, &r->trials->sizes[t] };
	struct lm_onnx_known *k;
	uint64_t count, extent;
	size_t i, j;

	for (i = 0; i < n->n_in; i++) {
		memset(&in[i], 0, sizeof(in[i]));
		k = n->in[i] != LM_ABSENT ? of_value(r, n->in[i]) : NULL;
		if (k != NULL)
			in[i] = k->tried->shape[t];
	}
	for (i = 0; i < LM_PARAMS && n->op->params[i].key != NULL; i++)
		for (j = 0; n->op->params[i].kind == LM_IS_DIMS && j < n->param[i].dims.n; j++)
			if (lm_dim_eval(&n->param[i].dims.dim[j], s.sizes, &extent, err) < 0)
				return -1;
	if (n->op->shape(&s, err) < 0)
		return -1;
	for (i = 0; i < n->n_out; i++)
		if (lm_shape_count(&out[i], &count) < 0)
			return lm_fail(err, LOOM_ESHAPE, "layer %s (%s): its output is too large",
			    n->name, n->op->name);
	return 0;
}

int
lm_onnx_try_node(struct lm_onnx_reading *r, const struct lm_node *n,
    struct lm_onnx_known *const *out, struct loom_error *err)
{
	struct lm_shape *in = lm_alloc(n->n_in + n->n_out + 1, sizeof(*in), err);
	struct loom_error first = { 0 }, now;
	size_t t, i, living = 0;
	int rc = 0;

	if (in == NULL)
		return -1;
	for (i = 0; i < n->n_out && rc == 0; i++)
		rc = lm_onnx_tried(r, out[i], err);
	for (t = 0; rc == 0 && t < r->trials->n; t++) {
		if (!r->trials->alive[t])
			continue;
		memset(&now, 0, sizeof(now));
		if (try_once(r, n, t, in, in + n->n_in, &now) < 0) {
			first = first.code == LOOM_OK ? now : first;
			r->trials->alive[t] = 0;
			continue;
		}
		living++;
		for (i = 0; i < n->n_out; i++)
			out[i]->tried->shape[t] = in[n->n_in + i];
	}
	lm_free(in);
	if (rc == 0 && living == 0)
		return lm_fail(err, first.code, "%s", first.text);
	for (i = 0; i < n->n_out && rc == 0; i++)
		rc = fit_dims(r, n, out[i], err);
	return rc;
}
