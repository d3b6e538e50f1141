/* onnx_from_pad: Pad; places below 0 are cut off first. */
#include "onnx/onnx_reads.h"
#include "onnx/onnx_to.h"

#include <inttypes.h>
#include <string.h>

struct pads {
	struct lm_onnx_known *x;
	size_t n;
	int64_t axes[LM_ONNX_RANK];
	struct lm_dim low[LM_ONNX_RANK], high[LM_ONNX_RANK];
	int mode;
	double value;
};

/* The list of both sides, attribute or input. */
static int
read_both(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct lm_dim **both,
    size_t *n, struct loom_error *err)
{
	const struct lm_onnx_known *k = lm_onnx_in(r, node, 1);
	const int64_t *list;
	struct lm_dim *dims;
	size_t i;

	if (r->opset >= 11 && k == NULL)
		return lm_onnx_refuse(r, node, err, "pads are expected");
	if (r->opset >= 11)
		return lm_onnx_extents(r, k, both, n, err);
	if (lm_onnx_ints(node, "pads", &list, n, err) < 0)
		return -1;
	dims = lm_arena_alloc(&r->arena, *n + 1, sizeof(*dims), err);
	for (i = 0; dims != NULL && i < *n; i++)
		dims[i].value = list[i];
	*both = dims;
	return dims != NULL ? 0 : -1;
}

static int
is_none(const struct lm_dim *d)
{
	return d->text == NULL && d->value == 0;
}

/* Of all axes those with something; of listed ones (opset 18) each, as it is listed. */
static int
read_pads(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct pads *p,
    struct loom_error *err)
{
	const struct lm_onnx_known *listed = r->opset >= 18 ? lm_onnx_in(r, node, 3) : NULL;
	const struct lm_dim *both;
	size_t n, n_axes = 0, i;

	if (read_both(r, node, &both, &n, err) < 0 ||
	    (listed != NULL &&
		lm_onnx_integers(r, listed, p->axes, LM_ONNX_RANK, &n_axes, err) < 0))
		return -1;
	if (n % 2 != 0 || n / 2 > LM_ONNX_RANK || (listed != NULL && n != 2 * n_axes) ||
	    (listed == NULL && p->x->ranked && n != 2 * p->x->dims.n))
		return lm_onnx_refuse(r, node, err, "pads has %zu entries", n);
	for (i = 0; i < n / 2; i++) {
		if (listed == NULL && is_none(&both[i]) && is_none(&both[n / 2 + i]))
			continue;
		if (listed == NULL)
			p->axes[p->n] = (int64_t)i;
		p->low[p->n] = both[i];
		p->high[p->n++] = both[n / 2 + i];
	}
	return 0;
}

static int
read_mode(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct pads *p,
    struct loom_error *err)
{
	static const char *const modes[] = { "constant", "reflect", "edge", "wrap", NULL };
	const struct lm_onnx_known *k = lm_onnx_in(r, node, 2);
	const char *mode;
	float value;

	if (lm_onnx_text(node, "mode", modes[0], &mode, err) < 0 ||
	    lm_onnx_float(node, "value", 0, &value, err) < 0)
		return -1;
	while (modes[p->mode] != NULL && strcmp(mode, modes[p->mode]) != 0)
		p->mode++;
	if (modes[p->mode] == NULL)
		return lm_onnx_refuse(r, node, err, "mode is %.40s", mode);
	p->value = lm_onnx_real(value);
	if (r->opset < 11 || k == NULL)
		return 0;
	if (lm_onnx_number(r, k, &p->value, err) < 0)
		return -1;
	if (k->dtype == lm_dtype_get(LM_F32))
		p->value = lm_onnx_real((float)p->value);
	return 0;
}

/* ---- what is cut off ---- */

/* The extent of x along an axis less some, as the end of a slice. */
static int
less(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const struct lm_dim *extent,
    int64_t by, struct lm_dim *end, struct loom_error *err)
{
	size_t room;
	char *text;

	*end = *extent;
	end->value -= by;
	if (extent->text == NULL || by == 0)
		return extent->text != NULL || end->value >= 0
		    ? 0
		    : lm_onnx_refuse(r, node, err, "pads cut off more than there is");
	room = strlen(extent->text) + 32;
	text = lm_arena_alloc(&r->arena, room, 1, err);
	if (text == NULL)
		return -1;
	(void)snprintf(text, room, "%s-%" PRId64, extent->text, by);
	end->text = text;
	return 0;
}

/* What a number is below 0, which then is 0. */
static int64_t
below(struct lm_dim *d)
{
	int64_t v = d->text == NULL && d->value < 0 ? -d->value : 0;

	if (v > 0)
		d->value = 0;
	return v;
}

/* x without what has places below 0. */
static int
cut(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct pads *p,
    struct loom_error *err)
{
	struct lm_dim start[LM_ONNX_RANK] = { { NULL, 0 } }, end[LM_ONNX_RANK];
	int64_t step[LM_ONNX_RANK], axis, high, any = 0;
	struct lm_node *n;
	size_t i;

	for (i = 0; i < p->n; i++) {
		start[i].value = below(&p->low[i]);
		high = below(&p->high[i]);
		any |= start[i].value | high;
		step[i] = 1;
		if (!p->x->ranked)
			continue;
		if (lm_onnx_axis(r, node, p->x, p->axes[i], &axis, err) < 0 ||
		    less(r, node, &p->x->dims.dim[axis], high, &end[i], err) < 0)
			return -1;
	}
	if (any == 0)
		return 0;
	if (p->mode != 0 || !p->x->ranked)
		return lm_onnx_refuse(r, node, err, "pads below 0");
	n = lm_onnx_begin(r, node, "cut", "slice", 1, &p->x, err);
	if (n == NULL || lm_onnx_set_list(r, n, "axes", p->axes, p->n, err) < 0 ||
	    lm_onnx_set_dims(r, n, "starts", start, p->n, err) < 0 ||
	    lm_onnx_set_dims(r, n, "stops", end, p->n, err) < 0 ||
	    lm_onnx_set_list(r, n, "steps", step, p->n, err) < 0)
		return -1;
	p->x = lm_onnx_ended(r, node, "cut", n, err);
	return p->x != NULL ? 0 : -1;
}

LM_ONNX_READER(pad)
{
	struct pads p = { .x = lm_onnx_in(r, node, 0) };
	struct lm_node *n;

	if (p.x == NULL)
		return lm_onnx_refuse(r, node, err, "an input is expected");
	if (read_pads(r, node, &p, err) < 0 || read_mode(r, node, &p, err) < 0 ||
	    cut(r, node, &p, err) < 0)
		return -1;
	n = lm_onnx_new_node(r, node, "pad", 1, &p.x, err);
	if (n == NULL || lm_onnx_set_list(r, n, "axes", p.axes, p.n, err) < 0 ||
	    lm_onnx_set_dims(r, n, "low", p.low, p.n, err) < 0 ||
	    lm_onnx_set_dims(r, n, "high", p.high, p.n, err) < 0)
		return -1;
	lm_onnx_set(n, "mode", p.mode);
	lm_onnx_set_real(n, "value", p.value);
	return lm_onnx_done(r, node, n, err);
}
