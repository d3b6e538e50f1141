/* recurrent: what rnn, lstm and gru share: parameters, shapes, weights side by side. */
#include "layer/recurrent.h"

#include <math.h>
#include <string.h>

#include "num/product.h"

const char *const lm_directions[] = { "forward", "backward", NULL };
const char *const lm_orders[] = { "time", "reversed", NULL };

const struct lm_cell *
lm_recurrent_cell(const struct lm_node *n)
{
	return n->op->row;
}

enum lm_last_gate
lm_recurrent_last(const struct lm_node *n)
{
	return lm_recurrent_cell(n)->last != NULL ? lm_recurrent_cell(n)->last(n) : LM_LAST_JOINT;
}

size_t
lm_recurrent_lengths(const struct lm_node *n)
{
	return n->op->in_most - 1;
}

int
lm_recurrent_check(const struct lm_node *n, struct loom_error *err)
{
	if (n->param[LM_ORDER].i == LM_REVERSED && n->param[LM_DIRECTION].i != LM_BACKWARD)
		return lm_fail(err, LOOM_EFORMAT,
		    "node %s (%s): order is reversed, which goes with direction backward only",
		    n->name, n->op->name);
	return 0;
}

/* ---- shapes ---- */

/* [..., h] of a sequence [..., s, i]. */
static struct lm_shape
state_shape(const struct lm_shaping *s)
{
	struct lm_shape state = s->in[LM_SEQ];

	state.rank--;
	state.dim[state.rank] = 0;
	state.dim[state.rank - 1] = (uint64_t)s->node->param[LM_HIDDEN].i;
	return state;
}

/* An int64 for each sample. */
static int
check_lengths(const struct lm_shaping *s, struct loom_error *err)
{
	size_t k = lm_recurrent_lengths(s->node);
	struct lm_shape batch = s->in[LM_SEQ];
	char text[LM_SHAPE_TEXT];

	if (k >= s->node->n_in || s->node->in[k] == LM_ABSENT)
		return 0;
	batch.rank -= 2;
	batch.dtype = lm_dtype_get(LM_I64);
	batch.dim[batch.rank] = batch.dim[batch.rank + 1] = 0;
	if (s->in[k].dtype != batch.dtype || !lm_shape_same(&s->in[k], &batch))
		return lm_fail_input(s, k, err, "lengths %s", lm_shape_text(text, &batch));
	return 0;
}

int
lm_recurrent_shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_node *n = s->node;
	const struct lm_shape *x = &s->in[LM_SEQ];
	struct lm_shape state;
	char text[LM_SHAPE_TEXT];
	size_t k;

	if (lm_want_f32(s, LM_SEQ, err) < 0)
		return -1;
	if (x->rank < 2 || x->dim[x->rank - 1] != (uint64_t)n->param[LM_INPUT].i)
		return lm_fail_input(s, LM_SEQ, err, "a sequence [..., s, %lld]",
		    (long long)n->param[LM_INPUT].i);
	state = state_shape(s);
	for (k = LM_H0; k < n->n_in && k < lm_recurrent_lengths(n); k++)
		if (n->in[k] != LM_ABSENT &&
		    (s->in[k].dtype != x->dtype || !lm_shape_same(&s->in[k], &state)))
			return lm_fail_input(s, k, err, "%s", lm_shape_text(text, &state));
	if (check_lengths(s, err) < 0)
		return -1;
	s->out[LM_Y] = *x;
	s->out[LM_Y].dim[x->rank - 1] = (uint64_t)n->param[LM_HIDDEN].i;
	for (k = LM_H_N; k < n->n_out; k++)
		s->out[k] = state;
	return 0;
}

/* ---- weights ---- */

size_t
lm_recurrent_pitch(const struct lm_node *n)
{
	return ((size_t)n->param[LM_HIDDEN].i + LM_PANEL - 1) / LM_PANEL * LM_PANEL;
}

size_t
lm_recurrent_second(const struct lm_node *n)
{
	return LM_PER_GATE * lm_recurrent_cell(n)->gates;
}

/* W or U of all gates, k values to a row, as panels. */
static int
pack(struct lm_preparing *p, size_t what, size_t k, struct lm_matrix *to, struct loom_error *err)
{
	size_t gates = lm_recurrent_cell(p->node)->gates, pitch = lm_recurrent_pitch(p->node), g;
	float *panels = lm_arena_alloc(p->arena, gates * pitch, k * sizeof(*panels), err);
	double *norm = lm_arena_alloc(p->arena, gates * pitch, sizeof(*norm), err);
	struct lm_matrix m;

	if (panels == NULL || norm == NULL)
		return -1;
	for (g = 0; g < gates; g++) {
		m = lm_matrix_of(p->slot[g * LM_PER_GATE + what].f32, k,
		    (size_t)p->node->param[LM_HIDDEN].i, k);
		lm_matrix_pack(&m, panels + g * pitch * k, norm + g * pitch);
	}
	*to = (struct lm_matrix){ .n = gates * pitch,
		.k = k,
		.panels = panels,
		.stride = LM_PANEL,
		.apart = LM_PANEL * k,
		.norm = norm };
	return 0;
}

/* The norms of rows of [W, U], of the gates whose sums are of inputs and state. */
static int
join_norms(struct lm_preparing *p, struct lm_apart *apart, struct loom_error *err)
{
	size_t split = lm_recurrent_last(p->node) == LM_LAST_SPLIT, r;
	size_t joint = (lm_recurrent_cell(p->node)->gates - split) * lm_recurrent_pitch(p->node);
	const double *w = apart->w.norm, *u = apart->u.norm;
	double *norm = lm_arena_alloc(p->arena, apart->u.n, sizeof(*norm), err);

	if (norm == NULL)
		return -1;
	for (r = 0; r < apart->u.n; r++)
		norm[r] = r < joint ? sqrt(w[r] * w[r] + u[r] * u[r]) : u[r];
	apart->u.norm = norm;
	return 0;
}

/* Rows [W, U] of all gates: what form of them pays is found out when shapes are known. */
static int
join_weights(struct lm_preparing *p, size_t in, size_t hidden, struct loom_error *err)
{
	size_t gates = lm_recurrent_cell(p->node)->gates, pitch = lm_recurrent_pitch(p->node), g, r;
	size_t k = in + hidden;
	float *rows = lm_arena_alloc(p->arena, gates * pitch, k * sizeof(*rows), err), *row;

	if (rows == NULL)
		return -1;
	for (g = 0; g < gates; g++)
		for (r = 0; r < hidden; r++) {
			row = rows + (g * pitch + r) * k;
			memcpy(row, p->slot[g * LM_PER_GATE + LM_GATE_W].f32 + r * in,
			    in * sizeof(*row));
			memcpy(row + in, p->slot[g * LM_PER_GATE + LM_GATE_U].f32 + r * hidden,
			    hidden * sizeof(*row));
		}
	p->slot[LM_GATE_W].f32 = rows;
	lm_prepare_matrix(p, LM_GATE_W, gates * pitch, k);
	return 0;
}

static int
prepare_weights(struct lm_preparing *p, struct loom_error *err)
{
	size_t in = (size_t)p->node->param[LM_INPUT].i;
	size_t hidden = (size_t)p->node->param[LM_HIDDEN].i;
	struct lm_apart *apart = lm_arena_alloc(p->arena, 1, sizeof(*apart), err);

	if (apart == NULL || pack(p, LM_GATE_W, in, &apart->w, err) < 0 ||
	    pack(p, LM_GATE_U, hidden, &apart->u, err) < 0 || join_norms(p, apart, err) < 0 ||
	    join_weights(p, in, hidden, err) < 0)
		return -1;
	p->slot[LM_GATE_U].raw = apart;
	return 0;
}

/* The biases of all gates, in the first's place. */
static int
join_biases(struct lm_preparing *p, size_t first, size_t step, struct loom_error *err)
{
	size_t hidden = (size_t)p->node->param[LM_HIDDEN].i, pitch = lm_recurrent_pitch(p->node);
	size_t gates = lm_recurrent_cell(p->node)->gates, g;
	float *joined;

	if (p->slot[first].f32 == NULL)
		return 0;
	joined = lm_arena_alloc(p->arena, gates * pitch, sizeof(*joined), err);
	if (joined == NULL)
		return -1;
	for (g = 0; g < gates; g++)
		memcpy(joined + g * pitch, p->slot[first + g * step].f32, hidden * sizeof(*joined));
	p->slot[first].f32 = joined;
	return 0;
}

int
lm_recurrent_prepare(struct lm_preparing *p, struct loom_error *err)
{
	if (lm_prepare_slots(p, err) < 0 || prepare_weights(p, err) < 0 ||
	    join_biases(p, LM_GATE_B, LM_PER_GATE, err) < 0)
		return -1;
	return join_biases(p, lm_recurrent_second(p->node), 1, err);
}
