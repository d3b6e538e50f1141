/*
 * onnx_to_recurrent: rnn, lstm and gru.  ONNX takes [time, sample, element] and has an axis of directions;
 * what stands around the operator makes ours of that.
 */
#include <string.h>

#include "onnx/onnx_lengths.h"
#include "layer/recurrent.h"

#define TO(op) \
	int lm_onnx_to_##op(struct lm_onnx_writing *, const struct lm_node *, struct loom_error *);
#include "onnx/onnx.def"

enum { RESET_AFTER = LM_RECURRENT_PARAMS, ACTIVATION = LM_RECURRENT_PARAMS }; /* of gru, of rnn */
enum { ONNX_INPUTS = 7 }; /* X, W, R, B, sequence_lens, initial_h, initial_c */

struct frame {
	struct lm_onnx_writing *w;
	const struct lm_node *n;
	struct loom_error *err;
	int rank;			       /* of the sequence: [..., s, i] */
	const char *order;		       /* our gates in the operator's order */
	const struct lm_onnx_lengths *lengths; /* NULL: all samples are as long as the sequence */
	const char *state[2];		       /* [1, sample, h] that steps begin with; "": zeros */
};

static int
is_backward(const struct frame *f)
{
	return f->n->param[LM_DIRECTION].i == LM_BACKWARD;
}

/* ---- what surrounds it ---- */

static const char *
turned(const struct frame *f, const char *what, const char *x)
{
	static const int64_t perm[] = { 1, 0, 2 };
	struct lm_onnx_node *made = lm_onnx_step(f->w, f->n, what, "Transpose", 1, &x, f->err);

	if (made == NULL || lm_onnx_add_ints(f->w->to, made, "perm", perm, 3, f->err) < 0)
		return NULL;
	return made->out[0];
}

/* Axes added or taken away. */
static const char *
axes(const struct frame *f, const char *what, const char *op, const char *x, int64_t first,
    size_t n)
{
	int64_t list[2] = { first, first + 1 };
	char name[32];
	const char *in[2] = { x, NULL };

	(void)snprintf(name, sizeof(name), "%s.axes", what);
	in[1] = lm_onnx_list(f->w, f->n, name, list, n, f->err);
	return lm_onnx_made(f->w, f->n, what, op, 2, in, f->err);
}

/* The extents of x from the axis from to before the axis to, as a list. */
static const char *
extents(const struct frame *f, const char *what, int64_t from, int64_t to)
{
	const char *x = lm_onnx_input(f->w, f->n, LM_SEQ);
	struct lm_onnx_node *made = lm_onnx_step(f->w, f->n, what, "Shape", 1, &x, f->err);

	if (made == NULL || lm_onnx_add_int(f->w->to, made, "start", from, f->err) < 0 ||
	    lm_onnx_add_int(f->w->to, made, "end", to, f->err) < 0)
		return NULL;
	return made->out[0];
}

/* Two lists as one. */
static const char *
joined(const struct frame *f, const char *what, const char *a, const char *b)
{
	const char *in[2] = { a, b };
	struct lm_onnx_node *made = lm_onnx_step(f->w, f->n, what, "Concat", 2, in, f->err);

	if (made == NULL || lm_onnx_add_int(f->w->to, made, "axis", 0, f->err) < 0)
		return NULL;
	return made->out[0];
}

static const char *
list(const struct frame *f, const char *what, size_t n, int64_t a, int64_t b, int64_t c)
{
	int64_t v[3] = { a, b, c };

	return lm_onnx_list(f->w, f->n, what, v, n, f->err);
}

/* [time, sample, element] of [..., s, i]. */
static const char *
in_time(const struct frame *f)
{
	const char *x = lm_onnx_input(f->w, f->n, LM_SEQ), *in[2] = { x, NULL };

	if (f->rank == 2)
		return axes(f, "samples", "Unsqueeze", x, 1, 1);
	if (f->rank == 3)
		return turned(f, "time", x);
	in[1] = joined(f, "flat", list(f, "all", 1, -1, 0, 0),
	    extents(f, "sequence", f->rank - 2, f->rank));
	return turned(f, "time", lm_onnx_made(f->w, f->n, "samples", "Reshape", 2, in, f->err));
}

/* A state [..., h] as [1, sample, h]; "" where none is given. */
static const char *
state_in(const struct frame *f, size_t input, const char *what)
{
	const char *x = lm_onnx_input(f->w, f->n, input), *in[2] = { x, NULL };
	char shape[32];

	if (input >= lm_recurrent_lengths(f->n) || x[0] == '\0')
		return "";
	if (f->rank <= 3)
		return axes(f, what, "Unsqueeze", x, 0, f->rank == 2 ? 2 : 1);
	(void)snprintf(shape, sizeof(shape), "%s.shape", what);
	in[1] = list(f, shape, 3, 1, -1, f->n->param[LM_HIDDEN].i);
	return lm_onnx_made(f->w, f->n, what, "Reshape", 2, in, f->err);
}

/* The node that makes output k of a last value. */
static int
give(const struct frame *f, size_t k, const char *name, const char *op, size_t n_in,
    const char *const *in, const int64_t *perm)
{
	const char *out = lm_onnx_name(f->w, f->n->out[k]);
	struct lm_onnx_node *made;

	if (in[0] == NULL || in[n_in - 1] == NULL)
		return -1;
	made = lm_onnx_add_node(f->w->to, name, op, n_in, in, 1, &out, f->err);
	if (made == NULL)
		return -1;
	return perm != NULL ? lm_onnx_add_ints(f->w->to, made, "perm", perm, 3, f->err) : 0;
}

/* Where ours stand in the order of the steps, though those go back in time. */
static const char *
as_stepped(const struct frame *f, const char *y)
{
	const char *in[5] = { y, NULL, NULL, NULL, NULL };

	if (f->n->param[LM_ORDER].i != LM_REVERSED)
		return y;
	in[1] = list(f, "last", 1, -1, 0, 0);
	in[2] = list(f, "first", 1, INT64_MIN, 0, 0);
	in[3] = list(f, "axis", 1, 0, 0, 0);
	in[4] = list(f, "back", 1, -1, 0, 0);
	return lm_onnx_made(f->w, f->n, "steps", "Slice", 5, in, f->err);
}

/* [time, 1, sample, h] to [..., s, h]. */
static int
sequence_out(const struct frame *f, const char *y)
{
	static const int64_t perm[] = { 1, 0, 2 };
	int64_t both[2] = { 1, 2 };
	const char *in[2] = { as_stepped(f, y), NULL };

	if (f->rank == 2) {
		in[1] = lm_onnx_list(f->w, f->n, "alone", both, 2, f->err);
		return give(f, LM_Y, f->n->name, "Squeeze", 2, in, NULL);
	}
	in[0] = axes(f, "direction", "Squeeze", in[0], 1, 1);
	if (f->rank == 3)
		return give(f, LM_Y, f->n->name, "Transpose", 1, in, perm);
	in[0] = turned(f, "rows", in[0]);
	in[1] = joined(f, "shape", extents(f, "positions", 0, f->rank - 1),
	    list(f, "hidden", 1, f->n->param[LM_HIDDEN].i, 0, 0));
	return give(f, LM_Y, f->n->name, "Reshape", 2, in, NULL);
}

/* [1, sample, h] to [..., h]. */
static int
state_out(const struct frame *f, size_t k, const char *y)
{
	const char *what = k == LM_H_N ? "h_n" : "c_n", *in[2] = { y, NULL };
	char inner[2][32];
	int64_t both[2] = { 0, 1 };

	(void)snprintf(inner[0], sizeof(inner[0]), "%s.axes", what);
	(void)snprintf(inner[1], sizeof(inner[1]), "%s.samples", what);
	if (f->rank <= 3)
		in[1] = lm_onnx_list(f->w, f->n, inner[0], both, f->rank == 2 ? 2 : 1, f->err);
	else
		in[1] = joined(f, inner[0], extents(f, inner[1], 0, f->rank - 2),
		    list(f, what, 1, f->n->param[LM_HIDDEN].i, 0, 0));
	what = lm_onnx_inner(f->w, f->n, what, f->err);
	if (what == NULL)
		return -1;
	return give(f, k, what, f->rank <= 3 ? "Squeeze" : "Reshape", 2, in, NULL);
}

/* ---- weights ---- */

/* What the source called all that a tensor is made of, or NULL. */
static const char *
source_of(const struct lm_outgoing *t)
{
	const char *source = NULL;
	size_t i;

	for (i = 0; i < t->n_strands; i++) {
		if (t->strands[i].weight == NULL)
			continue;
		if (t->strands[i].weight->source == NULL ||
		    (source != NULL && strcmp(t->strands[i].weight->source, source) != 0))
			return NULL;
		source = t->strands[i].weight->source;
	}
	return source;
}

/* Of all gates, one after another; what is LM_GATE_W or LM_GATE_U. */
static const char *
matrices(const struct frame *f, size_t what, const char *name)
{
	uint64_t hidden = (uint64_t)f->n->param[LM_HIDDEN].i;
	uint64_t columns = what == LM_GATE_W ? (uint64_t)f->n->param[LM_INPUT].i : hidden;
	size_t gates = lm_recurrent_cell(f->n)->gates, g;
	struct lm_shape s = { lm_dtype_get(LM_F32), 3, { 1, gates * hidden, columns } };
	struct lm_outgoing *t = lm_arena_alloc(f->w->arena, 1, sizeof(*t), f->err);

	if (t == NULL || lm_outgoing_begin(t, f->w->arena, name, s.dtype, &s, gates, f->err) < 0)
		return NULL;
	for (g = 0; g < gates; g++)
		if (lm_outgoing_add(t, f->n, (size_t)(f->order[g] - '0') * LM_PER_GATE + what,
			f->err) == NULL)
			return NULL;
	return lm_onnx_weight(f->w, f->n, source_of(t), t, f->err);
}

/* A bias that is not there is -0, which changes no sum: so one bias is told from two of which one is 0. */
static int
add_biases(const struct frame *f, struct lm_outgoing *t, int second)
{
	size_t gates = lm_recurrent_cell(f->n)->gates, g, slot;
	struct lm_strand *none;

	for (g = 0; g < gates; g++) {
		slot = (size_t)(f->order[g] - '0');
		slot = second ? lm_recurrent_second(f->n) + slot : slot * LM_PER_GATE + LM_GATE_B;
		if (lm_slot_wanted(f->n, slot)) {
			if (lm_outgoing_add(t, f->n, slot, f->err) == NULL)
				return -1;
			continue;
		}
		none = &t->strands[t->n_strands++];
		none->value = -0.0f;
		none->count = (uint64_t)f->n->param[LM_HIDDEN].i;
	}
	return 0;
}

/* "" where there is none. */
static const char *
biases(const struct frame *f)
{
	size_t gates = lm_recurrent_cell(f->n)->gates;
	struct lm_shape s = { lm_dtype_get(LM_F32), 2,
		{ 1, 2 * gates * (uint64_t)f->n->param[LM_HIDDEN].i } };
	struct lm_outgoing *t;

	if (f->n->param[LM_BIASES].i == 0)
		return "";
	t = lm_arena_alloc(f->w->arena, 1, sizeof(*t), f->err);
	if (t == NULL ||
	    lm_outgoing_begin(t, f->w->arena, "B", s.dtype, &s, 2 * gates, f->err) < 0 ||
	    add_biases(f, t, 0) < 0 || add_biases(f, t, 1) < 0)
		return NULL;
	return lm_onnx_weight(f->w, f->n, source_of(t), t, f->err);
}

/* ---- the operator ---- */

/* NULL on failure; the caller adds attributes of its own. */
static struct lm_onnx_node *
walk(const struct frame *f, const char *op, const char *const *in, const char **out)
{
	static const char *const names[] = { "y", "y_h", "y_c" };
	const char *name = lm_onnx_inner(f->w, f->n, "steps", f->err);
	struct lm_onnx_node *made;
	size_t n_in = ONNX_INPUTS, i;

	for (i = 0; i < ONNX_INPUTS; i++)
		if (in[i] == NULL)
			return NULL;
	for (i = 0; i < f->n->n_out; i++) {
		out[i] = lm_onnx_inner(f->w, f->n, names[i], f->err);
		if (out[i] == NULL)
			return NULL;
	}
	while (in[n_in - 1][0] == '\0')
		n_in--;
	made = name != NULL
	    ? lm_onnx_add_node(f->w->to, name, op, n_in, in, f->n->n_out, out, f->err)
	    : NULL;
	if (made == NULL ||
	    lm_onnx_add_int(f->w->to, made, "hidden_size", f->n->param[LM_HIDDEN].i, f->err) < 0)
		return NULL;
	if (is_backward(f) && f->lengths == NULL &&
	    lm_onnx_add_string(f->w->to, made, "direction", "reverse", f->err) < 0)
		return NULL;
	return made;
}

/* Does it go from each sample's own end to its own? */
static int
has_lengths(const struct lm_node *n)
{
	size_t lengths = lm_recurrent_lengths(n);

	return lengths < n->n_in && n->in[lengths] != LM_ABSENT;
}

/* What the operator makes with lengths: as ours have it, in time and [1, sample, h]. */
static int
settle(const struct frame *f, const char **out)
{
	const char *y = out[LM_Y], *h = NULL;

	if (is_backward(f)) {
		y = lm_onnx_lengths_turned(f->lengths, "turned",
		    axes(f, "alone", "Squeeze", y, 1, 1));
		y = axes(f, "directed", "Unsqueeze", y, 1, 1);
	}
	if (!is_backward(f) || f->n->n_out > LM_H_N)
		h = lm_onnx_lengths_state(f->lengths, "h_n.state",
		    lm_onnx_lengths_last(f->lengths, out[LM_Y]), f->state[0]);
	if (f->n->n_out > LM_H_N && h == NULL)
		return -1;
	out[LM_Y] = lm_onnx_lengths_filled(f->lengths, y, is_backward(f) ? f->state[0] : h);
	if (f->n->n_out > LM_H_N)
		out[LM_H_N] = h;
	if (f->n->n_out > LM_C_N)
		out[LM_C_N] = lm_onnx_lengths_state(f->lengths, "c_n.state", out[LM_C_N],
		    f->state[1]);
	return out[LM_Y] != NULL ? 0 : -1;
}

/* The inputs; those that are not given are "". */
static void
inputs(struct frame *f, const char *in[ONNX_INPUTS])
{
	in[0] = in_time(f);
	if (f->lengths != NULL && is_backward(f))
		in[0] = lm_onnx_lengths_turned(f->lengths, "own", in[0]);
	in[1] = matrices(f, LM_GATE_W, "W");
	in[2] = matrices(f, LM_GATE_U, "R");
	in[3] = biases(f);
	in[4] = f->lengths != NULL ? lm_onnx_lengths_narrow(f->lengths) : "";
	in[5] = f->state[0] = state_in(f, LM_H0, "h_0");
	in[6] = f->state[1] = state_in(f, LM_C0, "c_0");
}

static int
write(struct lm_onnx_writing *w, const struct lm_node *n, const char *op, const char *order,
    int (*more)(const struct frame *, struct lm_onnx_node *), struct loom_error *err)
{
	struct frame f = { .w = w, .n = n, .err = err, .order = order };
	struct lm_onnx_lengths lengths = { .w = w, .n = n, .err = err };
	const char *in[ONNX_INPUTS], *out[3];
	struct lm_onnx_node *made;
	size_t k;

	f.rank = lm_onnx_input_rank(w, n, LM_SEQ);
	if (f.rank < 2)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s (%s): onnx wants to know how many axes its input has", n->name,
		    n->op->name);
	if (has_lengths(n)) {
		f.lengths = &lengths;
		if (lm_onnx_lengths_begin(&lengths, f.rank) < 0)
			return -1;
	}
	inputs(&f, in);
	made = walk(&f, op, in, out);
	if (made == NULL || (more != NULL && more(&f, made) < 0) ||
	    (f.lengths != NULL && settle(&f, out) < 0) || sequence_out(&f, out[LM_Y]) < 0)
		return -1;
	for (k = LM_H_N; k < n->n_out; k++)
		if (state_out(&f, k, out[k]) < 0)
			return -1;
	return 0;
}

int
lm_onnx_to_lstm(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	return write(w, n, "LSTM", "0312", NULL, err); /* i o f c of our i f g o */
}

static int
add_reset(const struct frame *f, struct lm_onnx_node *made)
{
	return lm_onnx_add_int(f->w->to, made, "linear_before_reset", f->n->param[RESET_AFTER].i,
	    f->err);
}

int
lm_onnx_to_gru(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	return write(w, n, "GRU", "102", add_reset, err); /* z r h of our r z n */
}

static int
add_activation(const struct frame *f, struct lm_onnx_node *made)
{
	static const char *const names[] = { "Tanh", "Relu" };

	return lm_onnx_add_strings(f->w->to, made, "activations", &names[f->n->param[ACTIVATION].i],
	    1, f->err);
}

int
lm_onnx_to_rnn(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	return write(w, n, "RNN", "0", add_activation, err);
}
