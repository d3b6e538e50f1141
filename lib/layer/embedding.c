/*
 * embedding: y[..., d] = table[ids[...], d].  Ids are int64, or float32 truncated toward zero; one
 * outside the vocabulary (a NaN always is) gives zeros, NaNs or an error, as "outside" says.
 */
#include "layer/layer.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { VOCAB, DIM, OUTSIDE, WRAP };
enum { TABLE };
enum { ZERO, NOT_A_NUMBER, ERROR };
enum { GRAIN = 1024 };

static const char *const outsides[] = { "zero", "nan", "error", NULL };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_shape *ids = &s->in[0];
	struct lm_shape *y = &s->out[0];

	if (ids->dtype != lm_dtype_get(LM_I64) && ids->dtype != lm_dtype_get(LM_F32))
		return lm_fail_input(s, 0, err, "int64 or float32");
	if (ids->rank >= LOOM_RANK)
		return lm_fail_input(s, 0, err, "at most %d axes", LOOM_RANK - 1);
	*y = *ids;
	y->dtype = lm_dtype_get(LM_F32);
	y->dim[y->rank++] = (uint64_t)s->node->param[DIM].i;
	return 0;
}

/* Id i as an integer; 0 where it is none, or none that 64 bits hold. */
static int
whole(const struct lm_array *ids, size_t i, int64_t *id)
{
	float v;

	if (ids->shape->dtype == lm_dtype_get(LM_I64)) {
		*id = ((const int64_t *)ids->data)[i];
		return 1;
	}
	v = ((const float *)ids->data)[i];
	if (!(fabsf(v) < 0x1p63f))
		return 0;
	*id = (int64_t)v;
	return 1;
}

/* The row of the table for id i, or -1. */
static int64_t
row_of(const struct lm_call *c, size_t i)
{
	int64_t id, vocab = c->node->param[VOCAB].i;

	if (!whole(&c->in[0], i, &id))
		return -1;
	if (c->node->param[WRAP].i && id < 0 && id >= -vocab)
		id += vocab;
	return id >= 0 && id < vocab ? id : -1;
}

/* "[1, 3]": where element i of an array of that shape stands. */
static const char *
place(char dst[LM_SHAPE_TEXT], const struct lm_shape *s, size_t i)
{
	struct lm_shape at = { NULL, s->rank, { 0 } };
	unsigned k;

	for (k = s->rank; k-- > 0; i /= (size_t)s->dim[k])
		at.dim[k] = i % s->dim[k];
	return lm_shape_text(dst, &at) + 1; /* without the place of the element type */
}

static void
id_text(char *dst, size_t size, const struct lm_array *ids, size_t i)
{
	double v;

	if (ids->shape->dtype == lm_dtype_get(LM_I64)) {
		(void)snprintf(dst, size, "%" PRId64, ((const int64_t *)ids->data)[i]);
		return;
	}
	v = ((const float *)ids->data)[i];
	(void)snprintf(dst, size, "%.9g", v == v ? v : (double)NAN);
}

static int
refuse(const struct lm_call *c, size_t i, struct loom_error *err)
{
	const struct lm_node *n = c->node;
	const struct lm_array *ids = &c->in[0];
	int64_t vocab = n->param[VOCAB].i;
	char id[32], where[LM_SHAPE_TEXT];

	id_text(id, sizeof(id), ids, i);
	return lm_fail(err, LOOM_ESHAPE,
	    "layer %.80s (%s): id %s at %.120s is outside the vocabulary of %" PRId64
	    " (expected %" PRId64 " to %" PRId64 ")",
	    n->name, n->op->name, id, place(where, ids->shape, i), vocab,
	    n->param[WRAP].i ? -vocab : 0, vocab - 1);
}

static void
fill(float *y, size_t n, float v)
{
	size_t i;

	for (i = 0; i < n; i++)
		y[i] = v;
}

static void
ids(void *context, int worker, size_t from, size_t to)
{
	const struct lm_call *c = context;
	size_t dim = (size_t)c->node->param[DIM].i, i;
	int64_t row;
	float *y;

	(void)worker;
	for (i = from; i < to; i++) {
		y = (float *)c->out[0].data + i * dim;
		row = row_of(c, i);
		if (row >= 0)
			memcpy(y, c->slot[TABLE].f32 + (size_t)row * dim, dim * sizeof(*y));
		else
			fill(y, dim, c->node->param[OUTSIDE].i == ZERO ? 0 : NAN);
	}
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	size_t dim = (size_t)c->node->param[DIM].i, i;
	struct lm_call call = *c;
	uint64_t n;

	if (lm_shape_count(c->in[0].shape, &n) < 0)
		return 0;
	for (i = 0; c->node->param[OUTSIDE].i == ERROR && i < n; i++)
		if (row_of(c, i) < 0)
			return refuse(c, i, err);
	lm_pool_each(c->pool, (size_t)n, GRAIN / dim + 1, ids, &call);
	return 0;
}

static int
pieces(const struct lm_pieces *p)
{
	return !p->varies && p->out_at[0] == p->in_at[0];
}

const struct lm_layer_ops lm_layer_embedding = {
	.name = "embedding",
	.cell = 13,
	.activation = LM_NO_ACTIVATION,
	.in_least = 1,
	.in_most = 1,
	.out_least = 1,
	.out_most = 1,
	.about = "y[..., d] = table[ids[...], d]",
	.params = { [VOCAB] = { "vocab_size", LM_IS_SIZE, 1, INT32_MAX, NULL, 0 },
	    [DIM] = { "embedding_dim", LM_IS_SIZE, 1, 1 << 24, NULL, 0 },
	    [OUTSIDE] = { "outside", LM_IS_ENUM, 0, 2, outsides, 0 },
	    [WRAP] = { "wrap", LM_IS_FLAG, 0, 1, NULL, 0 } },
	.slots = { [TABLE] = { "table", "vd", { VOCAB, DIM }, 0, 0, 0, 0 } },
	.shape = shape,
	.pieces = pieces,
	.forward = forward,
};
