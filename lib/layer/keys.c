/* keys: the keys and values of heads as products want them. */
#include "layer/keys.h"

#include <math.h>
#include <string.h>

/* One head's. */
struct head {
	double *norm;	      /* of each key */
	double *value_norm;   /* of each element over all positions, */
	double *value_square; /* and its square */
	float *panels;
	float *values; /* wide elements each, or none: they are used where they are */
};

static size_t
whole(size_t n)
{
	return (n + LM_PANEL - 1) / LM_PANEL * LM_PANEL;
}

/* Rows of values are panels as they are if those of a row fill some. */
static int
in_place(const struct lm_keys *keys)
{
	return !keys->kept && keys->value_dim % LM_PANEL == 0;
}

static size_t
panels_size(const struct lm_keys *keys)
{
	return keys->rows ? 0 : lm_panels_size(keys->positions, keys->head_dim);
}

size_t
lm_keys_size(const struct lm_keys *keys)
{
	size_t wide = whole(keys->value_dim);
	size_t values = in_place(keys) ? 0 : keys->positions * wide;

	return (whole(keys->positions) + 2 * wide) * sizeof(double) +
	    (panels_size(keys) + values) * sizeof(float);
}

static struct head
head_of(const struct lm_keys *keys, size_t head)
{
	struct head h;

	h.norm = (double *)(keys->memory + head * lm_keys_size(keys));
	h.value_norm = h.norm + whole(keys->positions);
	h.value_square = h.value_norm + whole(keys->value_dim);
	h.panels = (float *)(h.value_square + whole(keys->value_dim));
	h.values = h.panels + panels_size(keys);
	return h;
}

/* ---- keys ---- */

static void
put_key(const struct lm_keys *keys, const struct head *h, size_t at, const float *k)
{
	float *to = h->panels + at / LM_PANEL * LM_PANEL * keys->head_dim + at % LM_PANEL;
	size_t i;

	for (i = 0; i < keys->head_dim; i++)
		to[i * LM_PANEL] = k[i];
	h->norm[at] = lm_norm(k, keys->head_dim);
}

/* Lanes of a panel that is begun, then whole panels. */
static void
add_keys(const struct lm_keys *keys, const struct head *h, const struct lm_incoming *in)
{
	size_t at = in->before, end = in->before + in->n;
	const float *k = in->k;
	struct lm_matrix m;

	for (; at < end && at % LM_PANEL != 0; at++, k += in->k_step)
		put_key(keys, h, at, k);
	if (at == end)
		return;
	m = lm_matrix_of(k, in->k_step, end - at, keys->head_dim);
	lm_matrix_pack(&m, h->panels + at * keys->head_dim, h->norm + at);
}

/* ---- values ---- */

static void
copy_values(const struct lm_keys *keys, const struct head *h, const struct lm_incoming *in)
{
	size_t wide = whole(keys->value_dim), i;
	float *to = h->values + in->before * wide;

	for (i = 0; i < in->n; i++, to += wide) {
		memcpy(to, in->v + i * in->v_step, keys->value_dim * sizeof *to);
		memset(to + keys->value_dim, 0, (wide - keys->value_dim) * sizeof *to);
	}
}

static void
add_values(const struct lm_keys *keys, const struct head *h, const struct lm_incoming *in,
    const struct lm_kernels *kernels)
{
	size_t wide = whole(keys->value_dim), step = in_place(keys) ? in->v_step : wide, d;
	const float *v = in_place(keys) ? in->v : h->values + in->before * wide;

	if (!in_place(keys))
		copy_values(keys, h, in);
	if (keys->along)
		return;
	if (in->before == 0)
		memset(h->value_square, 0, wide * sizeof *h->value_square);
	kernels->squares(h->value_square, v, step, in->n, wide);
	for (d = 0; d < wide; d++)
		h->value_norm[d] = sqrt(h->value_square[d]);
}

void
lm_keys_add(const struct lm_keys *keys, size_t head, const struct lm_incoming *in,
    const struct lm_kernels *kernels)
{
	struct head h = head_of(keys, head);

	if (!keys->rows)
		add_keys(keys, &h, in);
	add_values(keys, &h, in, kernels);
}

/* ---- all of them ---- */

struct lm_matrix
lm_keys_of(const struct lm_keys *keys, size_t head, const struct lm_incoming *last)
{
	size_t n = last->before + last->n;
	struct head h = head_of(keys, head);

	if (keys->rows)
		return lm_matrix_of(last->k, last->k_step, n, keys->head_dim);
	return (struct lm_matrix){ .n = n,
		.k = keys->head_dim,
		.panels = h.panels,
		.stride = LM_PANEL,
		.apart = LM_PANEL * keys->head_dim,
		.norm = h.norm };
}

struct lm_matrix
lm_values_of(const struct lm_keys *keys, size_t head, const struct lm_incoming *last)
{
	struct head h = head_of(keys, head);

	return (struct lm_matrix){ .n = keys->value_dim,
		.k = last->before + last->n,
		.panels = in_place(keys) ? last->v : h.values,
		.stride = in_place(keys) ? last->v_step : whole(keys->value_dim),
		.apart = LM_PANEL,
		.norm = keys->along ? NULL : h.value_norm };
}

double *
lm_keys_norms(const struct lm_keys *keys, size_t head)
{
	return keys->along ? head_of(keys, head).value_norm : NULL;
}
