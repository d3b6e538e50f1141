/*
 * onnx_to_lookup: embedding.  Gather wraps ids below 0 and refuses what is
 * outside: an embedding that does the same is one, others look at the ids first.
 */
#include "onnx/onnx_frame.h"

#include <math.h>

enum { VOCAB, DIM, OUTSIDE, WRAP };
enum { TABLE };
enum { ZERO, NOT_A_NUMBER, ERROR };

/* The float32 that is least of those not below v. */
static float
not_below(int64_t v)
{
	float f = (float)v;

	return (double)f < (double)v ? nextafterf(f, INFINITY) : f;
}

/* Ids with a row, as flags; those that are float32 have what is left toward zero. */
static const char *
valid_ids(struct lm_onnx_writing *w, const struct lm_node *n, const char *ids, int real,
    struct loom_error *err)
{
	int64_t vocab = n->param[VOCAB].i, least = n->param[WRAP].i ? -vocab : 0;
	const char *low, *high;

	if (real) {
		low = lm_onnx_scalar(w, n, "below", -not_below(1 - least), err);
		high = lm_onnx_scalar(w, n, "beyond", not_below(vocab), err);
		low = LM_ONNX_MADE(w, n, "not_below", "Greater", err, ids, low);
	} else {
		low = lm_onnx_whole(w, n, "least", least, err);
		high = lm_onnx_whole(w, n, "beyond", vocab, err);
		low = LM_ONNX_MADE(w, n, "not_below", "GreaterOrEqual", err, ids, low);
	}
	high = LM_ONNX_MADE(w, n, "not_beyond", "Less", err, ids, high);
	return LM_ONNX_MADE(w, n, "valid", "And", err, low, high);
}

/* The ids where they are valid, else one instead, as int64. */
static const char *
safe_ids(struct lm_onnx_writing *w, const struct lm_node *n, const char *ids, const char *valid,
    int real, int64_t instead, struct loom_error *err)
{
	struct lm_onnx_node *at;
	const char *other;

	other = real ? lm_onnx_scalar(w, n, "instead", not_below(instead), err)
		     : lm_onnx_whole(w, n, "instead", instead, err);
	ids = LM_ONNX_MADE(w, n, "safe", "Where", err, valid, ids, other);
	if (!real)
		return ids;
	at = LM_ONNX_STEP(w, n, "ids", "Cast", err, ids);
	if (at == NULL || lm_onnx_add_int(w->to, at, "to", LM_ONNX_INT64, err) < 0)
		return NULL;
	return at->out[0];
}

/* Rows of the table, and zeros or NaNs where an id has none. */
static int
masked(struct lm_onnx_writing *w, const struct lm_node *n, const char *table, const char *ids,
    const char *valid, struct loom_error *err)
{
	static const int64_t last = -1;
	const char *rows, *mask, *filling;

	rows = LM_ONNX_MADE(w, n, "rows", "Gather", err, table, ids);
	mask = LM_ONNX_MADE(w, n, "mask", "Unsqueeze", err, valid,
	    lm_onnx_list(w, n, "last", &last, 1, err));
	filling = lm_onnx_scalar(w, n, "filling", n->param[OUTSIDE].i == ZERO ? 0 : (float)NAN,
	    err);
	return LM_ONNX_LAST(w, n, "Where", err, mask, rows, filling) != NULL ? 0 : -1;
}

LM_ONNX_WRITER(embedding)
{
	const struct lm_dtype *dtype = lm_onnx_input_dtype(w, n, 0);
	const char *ids = lm_onnx_input(w, n, 0), *table, *valid;
	int real = dtype == lm_dtype_get(LM_F32), strict = n->param[OUTSIDE].i == ERROR;

	if (w->shapes[0] == NULL)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s (%s): whether its ids are int64 or float32 is not known", n->name,
		    n->op->name);
	table = lm_onnx_slot(w, n, TABLE, err);
	if (!real && strict && n->param[WRAP].i)
		return LM_ONNX_LAST(w, n, "Gather", err, table, ids) != NULL ? 0 : -1;
	valid = valid_ids(w, n, ids, real, err);
	ids = safe_ids(w, n, ids, valid, real, strict ? n->param[VOCAB].i : 0, err);
	if (strict)
		return LM_ONNX_LAST(w, n, "Gather", err, table, ids) != NULL ? 0 : -1;
	return masked(w, n, table, ids, valid, err);
}
