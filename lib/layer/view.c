/* view: where the values of a slot lie in a file that is read by windows, in whatever order. */
#include "layer/view.h"

#include <string.h>

static void
pack(struct lm_view *v)
{
	uint64_t step = 1;
	unsigned i;

	for (i = v->rank; i-- > 0; step *= v->extent[i])
		v->stride[i] = (int64_t)step;
}

int
lm_view_whole(struct lm_view *v, struct lm_source *source, uint64_t offset,
    const struct lm_dtype *dtype, const struct lm_quant *quant, const struct lm_shape *shape,
    struct loom_error *err)
{
	uint64_t count, bytes, size = 0;
	char text[LM_SHAPE_TEXT];

	memset(v, 0, sizeof(*v));
	v->source = source;
	v->offset = offset;
	v->dtype = dtype;
	v->quant = quant;
	if (shape->rank > LM_VIEW_RANK)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%u axes, at most %d are read", shape->rank,
		    LM_VIEW_RANK);
	v->rank = shape->rank;
	memcpy(v->extent, shape->dim, shape->rank * sizeof(*v->extent));
	if (lm_shape_count(shape, &count) < 0 ||
	    (quant != NULL ? lm_quant_bytes(quant, count, &bytes)
			   : lm_dtype_bytes(dtype, count, &bytes)) < 0)
		return lm_fail(err, LOOM_EFORMAT, "%s is too large", lm_shape_text(text, shape));
	if (lm_source_size(source, &size) && (offset > size || bytes > size - offset))
		return lm_fail(err, LOOM_ETRUNCATED, "bytes %llu to %llu of a file that has %llu",
		    (unsigned long long)offset, (unsigned long long)(offset + bytes),
		    (unsigned long long)size);
	pack(v);
	return 0;
}

void
lm_view_transpose(struct lm_view *v, const unsigned *perm)
{
	struct lm_view old = *v;
	unsigned i;

	for (i = 0; i < v->rank; i++) {
		v->extent[i] = old.extent[perm[i]];
		v->stride[i] = old.stride[perm[i]];
	}
}

void
lm_view_reshape(struct lm_view *v, unsigned rank, const uint64_t *extent)
{
	v->rank = rank;
	memcpy(v->extent, extent, rank * sizeof(*extent));
	pack(v);
}

void
lm_view_narrow(struct lm_view *v, unsigned axis, uint64_t start, uint64_t n)
{
	v->first += start * (uint64_t)v->stride[axis];
	v->extent[axis] = n;
}

uint64_t
lm_view_count(const struct lm_view *v)
{
	uint64_t count = 1;
	unsigned i;

	for (i = 0; i < v->rank; i++)
		count *= v->extent[i];
	return count;
}

int
lm_view_packed(const struct lm_view *v)
{
	uint64_t step = 1;
	unsigned i;

	for (i = v->rank; i-- > 0; step *= v->extent[i])
		if (v->extent[i] != 1 && v->stride[i] != (int64_t)step)
			return 0;
	return 1;
}

/* ---- reading ---- */

/* The elements that a view reaches: so many, below of them before first. */
static uint64_t
reach(const struct lm_view *v, uint64_t *below)
{
	uint64_t above = 0;
	unsigned i;

	*below = 0;
	for (i = 0; i < v->rank; i++) {
		if (v->extent[i] == 0)
			return 0;
		if (v->stride[i] < 0)
			*below += (v->extent[i] - 1) * (0 - (uint64_t)v->stride[i]);
		else
			above += (v->extent[i] - 1) * (uint64_t)v->stride[i];
	}
	return *below + above + 1;
}

/* n whole blocks from block on, as float32. */
static int
read_blocks(const struct lm_view *v, uint64_t block, uint64_t n, float *dst, struct loom_error *err)
{
	const struct lm_quant *b = v->quant;
	unsigned char *stored = lm_alloc((size_t)n, b->bytes, err);
	int r;

	if (stored == NULL)
		return -1;
	r = lm_source_at(v->source, v->offset + block * b->bytes, stored, (size_t)(n * b->bytes),
	    err);
	if (r == 0)
		b->decode(dst, stored, (size_t)n);
	lm_free(stored);
	return r;
}

/* n elements from element on, packed. */
static int
read_run(const struct lm_view *v, uint64_t element, uint64_t n, unsigned char *dst,
    struct loom_error *err)
{
	uint64_t first, last;
	float *values;
	int r;

	if (v->quant == NULL)
		return lm_source_at(v->source, v->offset + element * v->dtype->bits / 8, dst,
		    (size_t)((n * v->dtype->bits + 7) / 8), err);
	first = element / v->quant->values;
	last = (element + n + v->quant->values - 1) / v->quant->values;
	values = lm_alloc((size_t)(last - first), v->quant->values * sizeof(*values), err);
	if (values == NULL)
		return -1;
	r = read_blocks(v, first, last - first, values, err);
	if (r == 0)
		memcpy(dst, values + (element - first * v->quant->values),
		    (size_t)n * sizeof(*values));
	lm_free(values);
	return r;
}

int
lm_view_run(const struct lm_view *v, uint64_t from, uint64_t n, void *dst, struct loom_error *err)
{
	return read_run(v, v->first + from, n, dst, err);
}

/* n elements, from is step elements apart; float32 is what it is as a rule. */
static void
gather_row(unsigned char *dst, const unsigned char *from, uint64_t n, uint64_t step, uint64_t size)
{
	uint64_t i;

	if (step == 1)
		memcpy(dst, from, (size_t)(n * size));
	else if (size == sizeof(float))
		for (i = 0; i < n; i++)
			memcpy(dst + i * sizeof(float), from + i * step * sizeof(float),
			    sizeof(float));
	else
		for (i = 0; i < n; i++)
			memcpy(dst + i * size, from + i * step * size, size);
}

void
lm_view_gather(const struct lm_view *v, const unsigned char *from, unsigned char *dst)
{
	/* Modulo 2^64: a negative stride goes back. */
	uint64_t at[LM_VIEW_RANK] = { 0 }, size = v->dtype->bits / 8, place = v->first;
	uint64_t inner = v->rank > 0 ? v->extent[v->rank - 1] : 1;
	uint64_t step = v->rank > 0 ? (uint64_t)v->stride[v->rank - 1] : 1;
	uint64_t rows = lm_view_count(v) / (inner > 0 ? inner : 1);
	unsigned k;

	for (; rows > 0; rows--, dst += inner * size) {
		gather_row(dst, from + place * size, inner, step, size);
		for (k = v->rank; k-- > 1;) {
			place += (uint64_t)v->stride[k - 1];
			if (++at[k - 1] < v->extent[k - 1])
				break;
			place -= at[k - 1] * (uint64_t)v->stride[k - 1];
			at[k - 1] = 0;
		}
	}
}

int
lm_view_read(const struct lm_view *v, void *dst, struct loom_error *err)
{
	uint64_t below, n = reach(v, &below);
	struct lm_view near = *v; /* within what was read */
	unsigned char *from;
	int r;

	if (n == 0)
		return 0;
	if (lm_view_packed(v))
		return read_run(v, v->first, n, dst, err);
	from = lm_alloc((size_t)n, v->dtype->bits / 8, err);
	if (from == NULL)
		return -1;
	r = read_run(v, v->first - below, n, from, err);
	if (r == 0) {
		near.first = below;
		lm_view_gather(&near, from, dst);
	}
	lm_free(from);
	return r;
}
