/* compare: measure each pair of tensors in blocks, judge. */
#include "model/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"

enum { ROUND = 2 }; /* blocks for each thread that are read at a time */

/* What comparing one pair after another needs. */
struct work {
	struct loom_comparison *c;
	struct loom_tensors *a, *b;
	struct lm_pool *pool;
	size_t round;			/* values read at a time */
	unsigned char *data_a, *data_b; /* round values of the widest type */
	unsigned char *turned;		/* all of a's, where its axes are permuted; else NULL */
	struct lm_measure *blocks;
	struct lm_measuring with;
	size_t now;	      /* values of the present round */
	uint64_t done, total; /* bytes */
};

const char *
lm_label_name(enum loom_label label)
{
	static const char *const names[] = { "EXACT", "PASS", "DIFF", "MISSING", "EXTRA",
		"SKIPPED" };

	return names[label];
}

void
lm_compare_place(const struct loom_tensor *t, uint64_t at, uint64_t place[LOOM_RANK])
{
	unsigned axis;

	for (axis = t->rank; axis-- > 0; at /= t->shape[axis])
		place[axis] = at % t->shape[axis];
}

/* ---- measuring ---- */

static void
measure_blocks(void *context, int worker, size_t from, size_t to)
{
	struct work *w = context;
	size_t size_a = w->with.a->bits / 8, size_b = w->with.b->bits / 8, i, at, n;

	(void)worker;
	for (i = from; i < to; i++) {
		at = i * LM_BLOCK;
		n = w->now - at < LM_BLOCK ? w->now - at : LM_BLOCK;
		lm_measure_block(&w->with, w->data_a + at * size_a, w->data_b + at * size_b, n,
		    &w->blocks[i]);
	}
}

static void
show_progress(struct work *w, uint64_t bytes)
{
	const struct loom_compare_options *o = &w->c->options;

	w->done += bytes;
	if (o->progress != NULL)
		o->progress(o->context, w->done, w->total);
}

/* The next values of a's tensor, from `first` on. */
static int
read_a(struct work *w, const struct lm_pair *p, uint64_t first, struct loom_error *err)
{
	size_t size = w->with.a->bits / 8;

	if (w->turned == NULL)
		return loom_tensors_read(w->a, p->index_a, w->data_a, w->now, err);
	memcpy(w->data_a, w->turned + (size_t)first * size, w->now * size);
	return 0;
}

static int
measure(struct work *w, struct lm_pair *p, uint64_t count, struct loom_error *err)
{
	size_t blocks, i;
	uint64_t first;

	for (first = 0; first < count; first += w->now) {
		w->now = count - first < w->round ? (size_t)(count - first) : w->round;
		if (read_a(w, p, first, err) < 0 ||
		    loom_tensors_read(w->b, p->index_b, w->data_b, w->now, err) < 0)
			return -1;
		blocks = (w->now + LM_BLOCK - 1) / LM_BLOCK;
		lm_pool_each(w->pool, blocks, 1, measure_blocks, w);
		for (i = 0; i < blocks; i++)
			lm_measure_add(&p->measure, &w->blocks[i], first + i * LM_BLOCK);
		show_progress(w, w->now * (uint64_t)(w->with.a->bits + w->with.b->bits) / 8);
	}
	return 0;
}

/* Integers are not rounded: a greater one is no reason for a greater tolerance. */
static int
scaled(const struct lm_pair *p)
{
	return p->bound.scale_max &&
	    lm_measure_unit(lm_dtype_find(p->a.dtype), lm_dtype_find(p->b.dtype)) != NULL;
}

/* With a relative part the rule needs S before any value can be judged: b is read once more. */
static int
find_scale(struct work *w, struct lm_pair *p, uint64_t count, struct loom_error *err)
{
	uint64_t first;
	double most = 1;

	if (loom_tensors_rewindable(w->b, err) < 0)
		return -1;
	for (first = 0; first < count; first += w->now) {
		w->now = count - first < w->round ? (size_t)(count - first) : w->round;
		if (loom_tensors_read(w->b, p->index_b, w->data_b, w->now, err) < 0)
			return -1;
		most = fmax(most, lm_measure_greatest(w->with.b, w->data_b, w->now));
	}
	p->scale = most;
	return 0;
}

/* ---- judging ---- */

static void
conclude(struct lm_pair *p)
{
	const struct lm_measure *m = &p->measure;
	double n = (double)(m->values - m->no_difference), v[LM_SUMS];
	int i;

	for (i = 0; i < LM_SUMS; i++)
		v[i] = m->sum[i] + m->rest[i];
	p->mean_abs = n > 0 ? v[LM_SUM_ABS] / n : 0;
	p->rms = n > 0 ? sqrt(v[LM_SUM_DD] / n) : 0;
	p->snr = v[LM_SUM_DD] > 0 ? 10 * log10(v[LM_SUM_BB] / v[LM_SUM_DD]) : INFINITY;
	if (v[LM_SUM_AA] == 0 || v[LM_SUM_BB] == 0)
		p->cosine = v[LM_SUM_AA] == v[LM_SUM_BB];
	else
		p->cosine = v[LM_SUM_AB] / v[LM_SUM_BB] / sqrt(v[LM_SUM_AA] / v[LM_SUM_BB]);
	/* Sums beyond binary64 give a NaN, whose sign is the processor's and would be printed. */
	if (isnan(p->snr))
		p->snr = NAN;
	if (isnan(p->cosine))
		p->cosine = NAN;
	if (fabs(p->cosine) > 1)
		p->cosine = p->cosine > 0 ? 1 : -1;
}

static void
judge(struct lm_pair *p)
{
	const struct lm_bound *o = &p->bound;
	struct lm_measure *m = &p->measure;
	int within;

	if (scaled(p) && m->max_b > p->scale)
		p->scale = m->max_b;
	p->tolerance = o->atol * p->scale;
	within = o->rtol > 0 ? m->beyond == 0 : m->max_abs <= p->tolerance;
	p->label = m->unlike == 0	      ? LOOM_EXACT
	    : within && m->no_difference == 0 ? LOOM_PASS
					      : LOOM_DIFF;
	p->vacuous = p->label != LOOM_DIFF && m->values > 0 && m->alike == 0 &&
	    m->max_b <= p->tolerance + o->rtol * m->max_b;
	if (p->vacuous)
		p->label = LOOM_PASS;
	if (lm_measure_unit(lm_dtype_find(p->a.dtype), lm_dtype_find(p->b.dtype)) == NULL)
		m->max_ulp = m->max_abs < 0x1p64 ? (uint64_t)m->max_abs : UINT64_MAX;
	conclude(p);
}

static uint64_t
values_of(const struct loom_tensor *t)
{
	uint64_t n = 1;
	unsigned i;

	for (i = 0; i < t->rank; i++)
		n *= t->shape[i];
	return n;
}

static int
same_shape(const struct loom_tensor *a, const struct loom_tensor *b)
{
	return a->rank == b->rank && memcmp(a->shape, b->shape, a->rank * sizeof(*a->shape)) == 0;
}

/* The values of a's tensor in the order of its permuted axes, whose shape p->a has by now. */
static void
turn(unsigned char *to, const unsigned char *from, const struct lm_pair *p, size_t size)
{
	uint64_t place[LOOM_RANK] = { 0 }, step[LOOM_RANK], stride[LOOM_RANK], at,
		 n = values_of(&p->a), i;
	const struct lm_order *o = p->order;
	unsigned axis;

	for (axis = o->rank, at = 1; axis-- > 0; at *= step[axis])
		for (i = 0; i < o->rank; i++)
			if (o->axis[i] == axis)
				step[axis] = p->a.shape[i], stride[i] = at;
	for (i = 0, at = 0; i < n; i++) {
		memcpy(to + i * size, from + at * size, size);
		for (axis = o->rank; axis-- > 0;) {
			at += stride[axis];
			if (++place[axis] < p->a.shape[axis])
				break;
			at -= stride[axis] * p->a.shape[axis];
			place[axis] = 0;
		}
	}
}

/* Read a's tensor whole and turn it; w->turned is the caller's to free. */
static int
read_turned(struct work *w, const struct lm_pair *p, struct loom_error *err)
{
	uint64_t count = values_of(&p->a);
	size_t size = lm_dtype_find(p->a.dtype)->bits / 8;
	unsigned char *plain;
	int r = -1;

	if (count > SIZE_MAX / size)
		return lm_fail(err, LOOM_ENOMEM, "tensor %.200s is larger than memory", p->name);
	plain = lm_alloc((size_t)count + 1, size, err);
	w->turned = lm_alloc((size_t)count + 1, size, err);
	if (plain != NULL && w->turned != NULL &&
	    loom_tensors_read(w->a, p->index_a, plain, (size_t)count, err) == 0) {
		turn(w->turned, plain, p, size);
		r = 0;
	}
	lm_free(plain);
	return r;
}

static int
compare_values(struct work *w, struct lm_pair *p, struct loom_error *err)
{
	uint64_t count = values_of(&p->b);

	if (p->order != NULL && read_turned(w, p, err) < 0)
		return -1;
	p->scale = 1;
	w->with.a = lm_dtype_find(p->a.dtype);
	w->with.b = lm_dtype_find(p->b.dtype);
	if (p->bound.rtol > 0 && scaled(p) && find_scale(w, p, count, err) < 0)
		return -1;
	w->with.limit = p->bound.atol * p->scale;
	w->with.rtol = p->bound.rtol;
	w->with.equal_nan = w->c->options.equal_nan;
	if (measure(w, p, count, err) < 0)
		return -1;
	judge(p);
	return 0;
}

static int
compare_pair(struct work *w, struct lm_pair *p, struct loom_error *err)
{
	int r;

	p->same_shape = same_shape(&p->a, &p->b);
	p->label = LOOM_DIFF;
	if (!p->same_shape)
		return 0;
	r = compare_values(w, p, err);
	lm_free(w->turned);
	w->turned = NULL;
	return r;
}

/* Rows are what the first axis counts; a tensor without values has none. */
static uint64_t
rows_of(const struct lm_pair *p)
{
	const struct loom_tensor *t = p->in_b ? &p->b : &p->a;

	if (values_of(t) == 0)
		return 0;
	return t->rank > 0 ? t->shape[0] : 1;
}

static void
count(struct loom_comparison *c, const struct lm_pair *p)
{
	c->labels[p->label]++;
	c->vacuous += (size_t)p->vacuous;
	c->rows += rows_of(p);
	if (p->label > LOOM_DIFF)
		return;
	c->compared++;
	if (p->same_shape)
		c->rows_compared += rows_of(p);
}

static void
conclude_all(struct loom_comparison *c)
{
	const struct loom_compare_options *o = &c->options;
	size_t i;

	for (i = 0; i < c->n; i++)
		count(c, &c->pairs[i]);
	c->same = c->rows_compared > 0 && c->labels[LOOM_DIFF] == 0 &&
	    (c->vacuous == 0 || o->allow_vacuous) &&
	    (c->labels[LOOM_MISSING] == 0 || o->allow_missing) &&
	    (c->labels[LOOM_EXTRA] == 0 || o->allow_extra);
}

/* ---- all pairs ---- */

static int
compare_all(struct work *w, struct loom_error *err)
{
	struct lm_pair *p;
	size_t i;

	for (i = 0; i < w->c->n; i++) {
		p = &w->c->pairs[i];
		if (p->label == LOOM_SKIPPED)
			continue;
		if (!p->in_a || !p->in_b)
			p->label = p->in_b ? LOOM_MISSING : LOOM_EXTRA;
		else if (compare_pair(w, p, err) < 0)
			return -1;
	}
	if (loom_tensors_finish(w->a, err) < 0 || loom_tensors_finish(w->b, err) < 0)
		return -1;
	conclude_all(w->c);
	return 0;
}

static uint64_t
bytes_of(const struct loom_tensor *t)
{
	return values_of(t) * lm_dtype_find(t->dtype)->bits / 8;
}

static int
prepare(struct work *w, const struct loom_compare_options *o, struct loom_error *err)
{
	size_t blocks = (size_t)o->jobs * ROUND, i;
	const struct lm_pair *p;

	if (lm_match(w->c, w->a, w->b, o, err) < 0 || lm_pool_new(&w->pool, o->jobs, err) < 0)
		return -1;
	for (i = 0; i < w->c->n; i++) {
		p = &w->c->pairs[i];
		if (p->label != LOOM_SKIPPED && p->in_a && p->in_b)
			w->total += bytes_of(&p->a) + bytes_of(&p->b);
	}
	w->round = blocks * LM_BLOCK;
	w->data_a = lm_alloc(w->round, sizeof(double), err);
	w->data_b = lm_alloc(w->round, sizeof(double), err);
	w->blocks = lm_alloc(blocks, sizeof(*w->blocks), err);
	return w->data_a != NULL && w->data_b != NULL && w->blocks != NULL ? 0 : -1;
}

int
loom_compare(struct loom_comparison **out, struct loom_tensors *a, struct loom_tensors *b,
    const struct loom_compare_options *o, struct loom_error *err)
{
	struct loom_comparison *c = lm_alloc(1, sizeof(*c), err);
	struct work w = { .c = c, .a = a, .b = b };
	int r = -1;

	*out = c;
	if (c == NULL)
		return -1;
	lm_buf_init(&c->report, SIZE_MAX / 4);
	c->options = *o;
	c->options.skip = c->options.only = c->options.ignore = c->options.permute = NULL;
	c->options.n_skip = c->options.n_only = c->options.n_ignore = c->options.n_permute = 0;
	if (prepare(&w, o, err) == 0)
		r = compare_all(&w, err);
	lm_pool_free(w.pool);
	lm_free(w.data_a);
	lm_free(w.data_b);
	lm_free(w.blocks);
	if (r < 0) {
		loom_comparison_free(c);
		*out = NULL;
	}
	return r;
}

void
loom_comparison_free(struct loom_comparison *c)
{
	if (c == NULL)
		return;
	lm_buf_release(&c->report);
	lm_arena_release(&c->arena);
	lm_free(c);
}

int
loom_comparison_same(const struct loom_comparison *c)
{
	return c->same;
}
