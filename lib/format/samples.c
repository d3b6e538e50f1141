/* samples: the inputs of the run that answers a version-1 request: its own, or those of a fixture. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "format/request_kinds.h"
#include "num/bytes.h"

/* ---- shapes ---- */

static void
set_shape(struct lm_shape *s, unsigned rank, const uint64_t *dim)
{
	memset(s, 0, sizeof(*s));
	s->dtype = lm_dtype_get(LM_F32);
	s->rank = rank;
	memcpy(s->dim, dim, rank * sizeof(*dim));
}

int
lm_samples_shape(struct lm_samples *samples, const struct lm_request_kind *kind,
    const struct lm_request *q, struct loom_error *err)
{
	uint64_t dim[LM_KIND_AXES] = { 0 }, count;
	unsigned n = lm_request_axes(kind), i;
	int64_t extent;

	memset(samples, 0, sizeof(*samples));
	for (i = 0; i < n; i++) {
		if (lm_request_extent(q, &kind->extent[i], &extent, err) < 0)
			return -1;
		dim[i] = (uint64_t)extent;
	}
	for (i = 0; i < LM_KIND_INPUTS && kind->input[i] != NULL; i++)
		set_shape(&samples->shape[i], n, dim);
	samples->n = i;
	if (kind->op == NULL)
		lm_request_mixer_shapes(samples->shape);
	if (lm_shape_count(&samples->shape[0], &count) < 0)
		return lm_fail(err, LOOM_ESHAPE, "a sample is too large for this machine");
	return 0;
}

static size_t
width(const struct lm_samples *s, size_t i)
{
	uint64_t count;

	return lm_shape_count(&s->shape[i], &count) == 0 ? (size_t)count : 0;
}

static int
make(struct lm_samples *s, size_t i, size_t rows, struct loom_error *err)
{
	s->of[i].rows = rows;
	s->of[i].cols = width(s, i);
	s->of[i].v = lm_alloc(rows, s->of[i].cols * sizeof(float), err);
	return s->of[i].v != NULL ? 0 : -1;
}

/* ---- of the request ---- */

/* What follows the first tensor may be left out where the protocol lets a fixture leave it out. */
int
lm_samples_given(struct lm_samples *s, const struct lm_request_kind *kind,
    const struct lm_request *q, struct loom_error *err)
{
	const struct lm_rows *rows = &q->envelope[LM_REQ_INPUTS].rows;
	size_t least = width(s, 0), all = least, i, k, from, n;

	if (s->n > 1)
		all += width(s, 1);
	if (kind->op != NULL)
		least = all;
	for (k = 0; k < s->n; k++)
		if (make(s, k, rows->n, err) < 0)
			return -1;
	for (i = 0; i < rows->n; i++) {
		if (rows->row[i].n < least)
			return lm_fail(err, LOOM_ESHAPE,
			    "\"inputs\": row %zu has %zu numbers, fewer than the %zu of a sample",
			    i, rows->row[i].n, least);
		for (k = 0, from = 0; k < s->n; from += s->of[k++].cols) {
			n = rows->row[i].n < from + s->of[k].cols ? 0 : s->of[k].cols;
			if (n > 0)
				memcpy(s->of[k].v + i * n, rows->row[i].v + from,
				    n * sizeof(float));
		}
	}
	return 0;
}

/* ---- of a fixture ---- */

struct reading {
	struct loom_tensors *set;
	size_t index;
	struct loom_tensor t;
	const struct lm_dtype *dtype;
	const struct lm_shape *shape; /* of a sample */
	const char *name;
	struct loom_error *err;
};

static int
check(const struct reading *r)
{
	char found[400], wanted[LM_SHAPE_TEXT];
	int fits = r->t.rank == r->shape->rank + 1;
	unsigned i;

	loom_tensor_describe(&r->t, found, sizeof(found));
	if (r->dtype == NULL || r->dtype->kind == LM_CODED || r->dtype->bits < 8)
		return lm_fail(r->err, LOOM_EUNSUPPORTED, "%s is %s, which has no plain values",
		    r->name, found);
	for (i = 0; fits && i < r->shape->rank; i++)
		fits = r->t.shape[i + 1] >= r->shape->dim[i];
	if (!fits)
		return lm_fail(r->err, LOOM_ESHAPE, "%s is %s, but a sample of the request is %s",
		    r->name, found, lm_shape_text(wanted, r->shape));
	return 0;
}

/* From a whole sample of the array its leading corner. */
static void
corner(const struct reading *r, float *dst, const unsigned char *sample)
{
	const struct lm_shape *s = r->shape;
	size_t run = (size_t)s->dim[s->rank - 1], left = 1, place;
	uint64_t at[LOOM_RANK] = { 0 };
	unsigned k;

	for (k = 0; k + 1 < s->rank; k++)
		left *= (size_t)s->dim[k];
	for (; left > 0; left--, dst += run) {
		for (place = 0, k = 0; k < s->rank; k++)
			place = place * (size_t)r->t.shape[k + 1] + (size_t)at[k];
		r->dtype->to_f32(dst, sample, place, run, 1);
		for (k = s->rank - 1; k-- > 0 && ++at[k] == s->dim[k];)
			at[k] = 0;
	}
}

static int
read_array(struct reading *r, struct lm_request_matrix *m)
{
	size_t count = 1, bytes, i;
	unsigned char *sample;
	int status = 0;

	for (i = 1; i < r->t.rank; i++)
		if (lm_mul(count, (size_t)r->t.shape[i], &count) < 0)
			return lm_fail(r->err, LOOM_ENOMEM, "%s is too wide", r->name);
	if (lm_mul(count, r->dtype->bits / 8, &bytes) < 0)
		return lm_fail(r->err, LOOM_ENOMEM, "%s is too wide", r->name);
	sample = lm_alloc(bytes, 1, r->err);
	if (sample == NULL)
		return -1;
	for (i = 0; status == 0 && i < m->rows; i++) {
		status = loom_tensors_read(r->set, r->index, sample, count, r->err);
		if (status == 0)
			corner(r, m->v + i * m->cols, sample);
	}
	lm_free(sample);
	return status;
}

static int
find(struct reading *r)
{
	for (r->index = 0; r->index < loom_tensors_count(r->set); r->index++) {
		r->t = loom_tensors_at(r->set, r->index);
		if (strcmp(r->t.name, r->name) == 0)
			return 1;
	}
	return 0;
}

/* All arrays have the samples of the first, or more; one of a mixer may be missing, and is zero. */
static int
read_one(struct lm_samples *s, size_t i, int optional, struct reading *r)
{
	size_t rows;

	if (!find(r)) {
		if (optional)
			return make(s, i, s->of[0].rows, r->err);
		return lm_fail(r->err, LOOM_EFORMAT, "it has no %s.npy", r->name);
	}
	r->dtype = lm_dtype_find(r->t.dtype);
	r->shape = &s->shape[i];
	if (check(r) < 0)
		return -1;
	rows = i == 0 ? (size_t)r->t.shape[0] : s->of[0].rows;
	if (r->t.shape[0] < rows)
		return lm_fail(r->err, LOOM_ESHAPE, "%s has %" PRIu64 " samples, expected %zu",
		    r->name, r->t.shape[0], rows);
	return make(s, i, rows, r->err) < 0 ? -1 : read_array(r, &s->of[i]);
}

int
lm_samples_fixture(struct lm_samples *s, const struct lm_request_kind *kind, const char *dir,
    const char *version, struct loom_error *err)
{
	struct reading r = { .err = err };
	struct lm_buf path;
	size_t i;
	int status;

	lm_buf_init(&path, 65536);
	status = lm_buf_printf(&path, err, "%s/%s.npz", dir, version);
	if (status == 0)
		status = loom_tensors_open(&r.set, path.data, err);
	for (i = 0; status == 0 && i < s->n; i++) {
		r.name = kind->fixture[i];
		status = read_one(s, i, kind->op == NULL && i > 0, &r);
		if (status < 0)
			status = lm_fail_in(err, path.data);
	}
	loom_tensors_free(r.set);
	lm_buf_release(&path);
	return status;
}

void
lm_samples_release(struct lm_samples *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		lm_matrix_release(&s->of[i]);
}

/* ---- results ---- */

int
lm_matrix_copy(struct lm_request_matrix *m, const struct loom_tensor *t, size_t cols,
    struct loom_error *err)
{
	const unsigned char *p = t->data;
	size_t i, k, wide = 1;

	for (i = 1; i < t->rank; i++)
		wide *= (size_t)t->shape[i];
	m->rows = (size_t)t->shape[0];
	m->cols = cols > 0 ? cols : wide;
	m->v = lm_alloc(m->rows, m->cols * sizeof(*m->v), err);
	for (i = 0; m->v != NULL && i < m->rows; i++)
		for (k = 0; k < m->cols && k < wide; k++)
			m->v[i * m->cols + k] = lm_get_f32(p + 4 * (i * wide + k));
	return m->v != NULL ? 0 : -1;
}

void
lm_matrix_release(struct lm_request_matrix *m)
{
	lm_free(m->v);
	memset(m, 0, sizeof(*m));
}
