/* onnx_lengths: samples of several lengths in a batch around LSTM, GRU and RNN. */
#include "onnx/onnx_lengths.h"

#include "onnx/onnx_blocks.h"
#include "onnx/onnx_frame.h"
#include "layer/recurrent.h"

/* x with so many axes of one entry more, from an axis on. */
static const char *
widened(const struct lm_onnx_lengths *l, const char *what, const char *x, int64_t first, size_t n)
{
	int64_t list[3] = { first, first + 1, first + 2 };
	const char *axes = lm_onnx_list(l->w, l->n, lm_onnx_word(l->w, what, "axes", l->err), list,
	    n, l->err);

	return LM_ONNX_MADE(l->w, l->n, what, "Unsqueeze", l->err, x, axes);
}

/* The state, or a number instead where none is given. */
static const char *
state_or_zero(const struct lm_onnx_lengths *l, const char *what, const char *state)
{
	if (state == NULL || state[0] != '\0')
		return state;
	return lm_onnx_scalar(l->w, l->n, lm_onnx_word(l->w, what, "zero", l->err), 0, l->err);
}

int
lm_onnx_lengths_begin(struct lm_onnx_lengths *l, int rank)
{
	const int64_t all = -1;
	const char *one, *none;

	l->given = lm_onnx_input(l->w, l->n, lm_recurrent_lengths(l->n));
	if (rank != 3)
		l->given = LM_ONNX_MADE(l->w, l->n, "lengths", "Reshape", l->err, l->given,
		    lm_onnx_list(l->w, l->n, "lengths.shape", &all, 1, l->err));
	one = lm_onnx_whole(l->w, l->n, "least", 1, l->err);
	l->some = LM_ONNX_MADE(l->w, l->n, "some", "Max", l->err, l->given, one);
	/* Nobody would read what follows: a backward sequence is turned, and has no last step to take. */
	if (l->n->param[LM_DIRECTION].i == LM_BACKWARD && l->n->n_out <= LM_H_N)
		return l->some != NULL ? 0 : -1;
	none = lm_onnx_whole(l->w, l->n, "none", 0, l->err);
	l->stepped = LM_ONNX_MADE(l->w, l->n, "stepped", "Less", l->err, none,
	    widened(l, "lengths.rows", l->given, 1, 1));
	return l->some != NULL && l->stepped != NULL ? 0 : -1;
}

const char *
lm_onnx_lengths_narrow(const struct lm_onnx_lengths *l)
{
	return lm_onnx_made_with(l->w, l->n, "sequence_lens", "Cast", 1, &l->given, "to",
	    LM_ONNX_INT32, l->err);
}

const char *
lm_onnx_lengths_turned(const struct lm_onnx_lengths *l, const char *what, const char *x)
{
	struct lm_onnx_node *made = LM_ONNX_STEP(l->w, l->n, what, "ReverseSequence", l->err, x,
	    l->some);

	if (made == NULL || lm_onnx_add_int(l->w->to, made, "batch_axis", 1, l->err) < 0 ||
	    lm_onnx_add_int(l->w->to, made, "time_axis", 0, l->err) < 0)
		return NULL;
	return made->out[0];
}

const char *
lm_onnx_lengths_filled(const struct lm_onnx_lengths *l, const char *y, const char *state)
{
	const char *times, *ends, *within;

	times = lm_onnx_count(l->w, l->n, "count", y, 0, l->err);
	times = times != NULL ? widened(l, "times", times, 1, 3) : NULL;
	ends = widened(l, "ends", l->given, 1, 1);
	within = LM_ONNX_MADE(l->w, l->n, "within", "Less", l->err, times, ends);
	return LM_ONNX_MADE(l->w, l->n, "filled", "Where", l->err, within, y,
	    state_or_zero(l, "filled", state));
}

const char *
lm_onnx_lengths_state(const struct lm_onnx_lengths *l, const char *what, const char *state,
    const char *otherwise)
{
	return LM_ONNX_MADE(l->w, l->n, what, "Where", l->err, l->stepped, state,
	    state_or_zero(l, what, otherwise));
}

const char *
lm_onnx_lengths_last(const struct lm_onnx_lengths *l, const char *y)
{
	const int64_t shape[] = { 1, 1, 1, l->n->param[LM_HIDDEN].i }, first = 0,
		      rows[] = { 0, 1, 3 };
	const char *at, *one;
	struct lm_onnx_node *taken;

	one = lm_onnx_whole(l->w, l->n, "one", 1, l->err);
	at = LM_ONNX_MADE(l->w, l->n, "last", "Sub", l->err, l->some, one);
	at = at != NULL ? LM_ONNX_MADE(l->w, l->n, "last.rows", "Unsqueeze", l->err, at,
			      lm_onnx_list(l->w, l->n, "last.rows.axes", rows, 3, l->err))
			: NULL;
	at = LM_ONNX_MADE(l->w, l->n, "last.all", "Expand", l->err, at,
	    lm_onnx_list(l->w, l->n, "last.shape", shape, 4, l->err));
	taken = LM_ONNX_STEP(l->w, l->n, "last.steps", "GatherElements", l->err, y, at);
	if (taken == NULL || lm_onnx_add_int(l->w->to, taken, "axis", 0, l->err) < 0)
		return NULL;
	return LM_ONNX_MADE(l->w, l->n, "last.step", "Squeeze", l->err, taken->out[0],
	    lm_onnx_list(l->w, l->n, "last.axis", &first, 1, l->err));
}
