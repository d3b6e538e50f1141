/* lower_weights: what the blobs of lowered layers hold. */
#include <math.h>
#include <string.h>

#include "format/lower.h"

int
lm_lower_make_number(const struct lm_lowered *cell, const struct lm_lower_values *v, float *dst,
    struct loom_error *err)
{
	uint64_t i;

	(void)v;
	(void)err;
	for (i = 0; i < cell->values; i++)
		dst[i] = (float)cell->factor;
	return 0;
}

int
lm_lower_make_unit(const struct lm_lowered *cell, const struct lm_lower_values *v, float *dst,
    struct loom_error *err)
{
	uint64_t i;

	(void)v;
	(void)err;
	for (i = 0; i < cell->repeat; i++)
		dst[i * cell->repeat + i] = 1;
	return 0;
}

/* ---- biases ---- */

/* Finite values must stay so. */
static int
scaled(const struct lm_lower_values *v, size_t slot, uint64_t i, double factor, float *out,
    struct loom_error *err)
{
	const struct lm_node *node = v->node;
	float value = v->slot[slot][i];
	char shown[LM_SHOWN];

	*out = (float)((double)value * factor);
	if (isfinite(*out) || !isfinite(value))
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "cannot be lowered: node %s (%s): %.9g times value %llu of its %s, %.9g, is more than "
	    "float32 holds",
	    lm_shown(shown, node->name), node->op->name, factor, (unsigned long long)i,
	    node->op->slots[slot].name, (double)value);
}

static int
twice(const struct lm_lower_values *v, uint64_t i, float *out, struct loom_error *err)
{
	return scaled(v, 1, i, 2, out, err);
}

int
lm_lower_make_biases(const struct lm_lowered *cell, const struct lm_lower_values *v, float *dst,
    struct loom_error *err)
{
	uint64_t i;

	for (i = 0; i < cell->values; i++)
		if (twice(v, i / cell->repeat, &dst[i], err) < 0)
			return -1;
	return 0;
}

int
lm_lower_make_rows(const struct lm_lowered *cell, const struct lm_lower_values *v, float *dst,
    struct loom_error *err)
{
	uint64_t rows = v->node->weight[1].count, width = cell->values / rows, i;

	for (i = 0; i < rows; i++) {
		memcpy(dst + i * width, v->slot[0] + i * (width - 1),
		    (size_t)(width - 1) * sizeof(float));
		if (twice(v, i, &dst[i * width + width - 1], err) < 0)
			return -1;
	}
	return 0;
}

int
lm_lower_make_planes(const struct lm_lowered *cell, const struct lm_lower_values *v, float *dst,
    struct loom_error *err)
{
	uint64_t filters = v->node->weight[1].count, old = v->node->weight[0].count / filters;
	uint64_t size = cell->values / filters, i;

	for (i = 0; i < filters; i++) {
		memcpy(dst + i * size, v->slot[0] + i * old, (size_t)old * sizeof(float));
		if (twice(v, i, &dst[i * size + old + cell->repeat], err) < 0)
			return -1;
	}
	return 0;
}

/* Is a tap one of stride from pad_low on, along every axis? */
static int
in_block(const struct lm_node *node, uint64_t tap)
{
	const struct lm_dims *kernel = &node->param[lm_layer_param(node->op, "kernel")].dims;
	const struct lm_dims *stride = &node->param[lm_layer_param(node->op, "stride")].dims;
	const struct lm_dims *low = &node->param[lm_layer_param(node->op, "pad_low")].dims;
	int64_t at;
	size_t i;

	for (i = kernel->n; i-- > 0;) {
		at = (int64_t)(tap % (uint64_t)kernel->dim[i].value) - low->dim[i].value;
		tap /= (uint64_t)kernel->dim[i].value;
		if (at < 0 || at >= stride->dim[i].value)
			return 0;
	}
	return 1;
}

int
lm_lower_make_blocks(const struct lm_lowered *cell, const struct lm_lower_values *v, float *dst,
    struct loom_error *err)
{
	uint64_t filters = v->node->weight[1].count, old = v->node->weight[0].count / filters;
	uint64_t size = cell->values / filters, i, k;

	for (i = 0; i < filters; i++, dst += size) {
		memcpy(dst, v->slot[0] + i * old, (size_t)old * sizeof(float));
		for (k = old; k < size; k++)
			if (in_block(v->node, k - old) && twice(v, i, &dst[k], err) < 0)
				return -1;
	}
	return 0;
}

int
lm_lower_make_sums(const struct lm_lowered *cell, const struct lm_lower_values *v, float *dst,
    struct loom_error *err)
{
	const struct lm_node *node = v->node;
	size_t slot, other = cell->row->main;
	const float *more;
	char shown[LM_SHOWN];
	uint64_t n, i;

	for (slot = 0; slot < cell->row->main; slot++, dst += n) {
		n = node->weight[slot].count;
		memcpy(dst, v->slot[slot], (size_t)n * sizeof(float));
		if (strlen(node->op->slots[slot].axes) > 1)
			continue;
		more = v->slot[other++];
		for (i = 0; i < n; i++) {
			dst[i] += more[i];
			if (!isfinite(dst[i]) && isfinite(v->slot[slot][i]) && isfinite(more[i]))
				return lm_fail(err, LOOM_EUNSUPPORTED,
				    "cannot be lowered: node %s (%s): the sum of its biases is more "
				    "than float32 holds",
				    lm_shown(shown, node->name), node->op->name);
		}
	}
	return 0;
}

/* ---- attention ---- */

enum { WQ, WK, WV, WO, BQ, BK, BV, BO };

struct heads {
	const struct lm_lowered *cell;
	const struct lm_lower_values *v;
	int interleaved;
	uint64_t old, width; /* of a head */
	struct loom_error *err;
};

/* Where value i of a head goes. */
static uint64_t
place(const struct heads *h, uint64_t i, int turned)
{
	if (h->cell->repeat)
		return h->old + i;
	if (!turned || !h->interleaved)
		return i;
	return i / 2 + (i % 2) * (h->old / 2);
}

/* Rows of a head-major matrix, or a vector where columns is 1; what is not there is 0. */
static int
put_rows(const struct heads *h, size_t slot, uint64_t heads, uint64_t columns, double factor,
    float **dst)
{
	int turned = slot != WV && slot != BV;
	uint64_t head, i, k, from;
	float *to;

	for (head = 0; head < heads && h->v->slot[slot] != NULL; head++)
		for (i = 0; i < h->old; i++) {
			from = (head * h->old + i) * columns;
			to = *dst + (head * h->width + place(h, i, turned)) * columns;
			for (k = 0; k < columns; k++)
				if (scaled(h->v, slot, from + k, factor, &to[k], h->err) < 0)
					return -1;
		}
	*dst += heads * h->width * columns;
	return 0;
}

/* The matrix behind the heads: its columns are theirs. */
static void
put_out(const struct heads *h, uint64_t heads, uint64_t rows, float **dst)
{
	uint64_t r, head, i;

	for (r = 0; r < rows; r++)
		for (head = 0; head < heads; head++)
			for (i = 0; i < h->old; i++)
				(*dst)[(r * heads + head) * h->width + place(h, i, 0)] =
				    h->v->slot[WO][(r * heads + head) * h->old + i];
	*dst += rows * heads * h->width;
}

int
lm_lower_make_heads(const struct lm_lowered *cell, const struct lm_lower_values *v, float *dst,
    struct loom_error *err)
{
	const struct lm_node *n = v->node;
	int rope = lm_layer_param(n->op, "rope");
	uint64_t q = (uint64_t)n->param[lm_layer_param(n->op, "num_heads")].i;
	uint64_t kv = (uint64_t)n->param[lm_layer_param(n->op, "num_kv_heads")].i;
	uint64_t d = (uint64_t)n->param[lm_layer_param(n->op, "d_model")].i;
	struct heads h = { .cell = cell, .v = v, .err = err };

	h.interleaved = n->param[rope].i == lm_param_word(&n->op->params[rope], "interleaved");
	h.old = (uint64_t)n->param[lm_layer_param(n->op, "head_dim")].i;
	h.width = cell->repeat ? 4 * h.old : h.old;
	if (put_rows(&h, WQ, q, d, cell->factor, &dst) < 0 ||
	    put_rows(&h, WK, kv, d, 1, &dst) < 0 || put_rows(&h, WV, kv, d, 1, &dst) < 0)
		return -1;
	put_out(&h, q, d, &dst);
	if (put_rows(&h, BQ, q, 1, cell->factor, &dst) < 0 ||
	    put_rows(&h, BK, kv, 1, 1, &dst) < 0 || put_rows(&h, BV, kv, 1, 1, &dst) < 0)
		return -1;
	if (v->slot[BO] != NULL)
		memcpy(dst, v->slot[BO], (size_t)d * sizeof(float));
	return 0;
}
