/* pieces: whether a network may take a sequence in pieces. */
#include "layer/pieces.h"

/* An expansion's extents may depend on how many positions there are: those of the input do. */
int
lm_pieces_expand(const struct lm_pieces *p)
{
	return p->out_at[0] != LM_NOWHERE;
}

int
lm_pieces_each(const struct lm_pieces *p)
{
	return !p->varies && lm_pieces_expand(p);
}

int
lm_pieces_rows(const struct lm_pieces *p)
{
	return !p->varies && p->in_at[0] + 1 < p->in[0].rank && p->out_at[0] == p->in_at[0];
}

/* Is an entry of a list of axes, which may count from the end, that of positions? */
static int
is_positions(const struct lm_pieces *p, int64_t axis)
{
	return (axis < 0 ? axis + (int64_t)p->in[0].rank : axis) == (int64_t)p->in_at[0];
}

int
lm_pieces_axis(const struct lm_pieces *p)
{
	int key = lm_layer_param(p->node->op, "axis");
	size_t i;

	for (i = 0; i < p->node->n_in; i++)
		if (p->in_at[i] != p->in_at[0] || p->in[i].rank != p->in[0].rank)
			return 0;
	for (i = 0; i < p->node->n_out; i++)
		if (p->out_at[i] == LM_NOWHERE)
			return 0;
	return !p->varies && p->in_at[0] != LM_NOWHERE && !is_positions(p, p->node->param[key].i);
}

int
lm_pieces_axes(const struct lm_pieces *p)
{
	const struct lm_dims *axes = &p->node->param[lm_layer_param(p->node->op, "axes")].dims;
	size_t k;

	for (k = 0; k < axes->n; k++)
		if (is_positions(p, axes->dim[k].value))
			return 0;
	return !p->varies && axes->n > 0 && p->out_at[0] != LM_NOWHERE;
}

/* The elements before an axis. */
static uint64_t
before(const struct lm_shape *s, unsigned at)
{
	uint64_t n = 1;
	unsigned i;

	for (i = 0; i < at; i++)
		n *= s->dim[i];
	return n;
}

/* Positions stay where they are: as many elements as before lie before them, so as many behind. */
int
lm_pieces_reshape(const struct lm_pieces *p)
{
	return p->in_at[0] != LM_NOWHERE && p->out_at[0] != LM_NOWHERE &&
	    before(&p->in[0], p->in_at[0]) == before(&p->out[0], p->out_at[0]);
}

int
lm_pieces_moved(const struct lm_pieces *p)
{
	return !p->varies && p->out_at[0] != LM_NOWHERE;
}

/* What knows nothing of positions goes as it is. */
int
lm_pieces_fit(const struct lm_pieces *p)
{
	int in = 0, out = 0;
	size_t i;

	for (i = 0; i < p->node->n_in; i++)
		in |= p->in_at[i] != LM_NOWHERE;
	for (i = 0; i < p->node->n_out; i++)
		out |= p->out_at[i] != LM_NOWHERE;
	if (!in)
		return !out && !p->varies;
	return p->node->op->pieces != NULL && p->node->op->pieces(p);
}
