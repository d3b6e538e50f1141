/* run_pieces: sequences that come in pieces, or are cut into some. */
#include "model/run.h"

#include <inttypes.h>
#include <string.h>

#include "model/convert.h"
#include "num/fpenv.h"

int
loom_run_cache(struct loom_run *run, uint64_t positions, struct loom_error *err)
{
	if (positions == 0 || positions > SIZE_MAX / 64)
		return lm_fail(err, LOOM_EARG, "a cache of %" PRIu64 " positions", positions);
	run->past.most = positions;
	run->planned = NULL;
	loom_run_forget(run);
	return 0;
}

void
loom_run_forget(struct loom_run *run)
{
	lm_past_forget(&run->past);
}

/* ---- cutting and joining ---- */

/* A tensor, and the axis along which positions lie; rank: there is none. */
struct strip {
	struct lm_shape shape;
	unsigned axis;
	char *data;
};

/* Bytes of so many positions at one place of the axes before; all axes if there are no positions. */
static size_t
line(const struct strip *s, uint64_t positions)
{
	size_t n = s->shape.dtype->bits / 8;
	unsigned i;

	for (i = s->axis; i < s->shape.rank; i++)
		n *= (size_t)(i == s->axis ? positions : s->shape.dim[i]);
	return n;
}

static size_t
lines(const struct strip *s)
{
	size_t n = 1;
	unsigned i;

	for (i = 0; i < s->axis; i++)
		n *= (size_t)s->shape.dim[i];
	return n;
}

/* n positions from the first on, out of the whole tensor into data, or back. */
static void
copy(const struct strip *whole, char *data, uint64_t first, uint64_t n, int back)
{
	size_t all = lines(whole), bytes = line(whole, n), i;
	uint64_t positions = whole->axis < whole->shape.rank ? whole->shape.dim[whole->axis] : 1;
	char *at = whole->data + (whole->axis < whole->shape.rank ? line(whole, first) : 0);

	for (i = 0; i < all && bytes > 0; i++, at += line(whole, positions), data += bytes)
		memcpy(back ? at : data, back ? data : at, bytes);
}

/* ---- a whole sequence ---- */

struct whole {
	struct loom_run *run;
	struct strip *in, *out;
	char **piece; /* of each input */
	uint64_t positions;
};

static void *
room(struct whole *w, const struct lm_shape *s, struct loom_error *err)
{
	uint64_t count, bytes;

	if (lm_shape_count(s, &count) < 0 || lm_dtype_bytes(s->dtype, count, &bytes) < 0 ||
	    bytes > SIZE_MAX) {
		(void)lm_fail(err, LOOM_ENOMEM, "a sequence too large for this machine");
		return NULL;
	}
	return lm_arena_alloc(&w->run->pieces, (size_t)bytes, 1, err);
}

/* Inputs as the network takes them, whole. */
static int
read_inputs(struct whole *w, struct loom_error *err)
{
	struct loom_run *run = w->run;
	const struct loom_model *m = run->model;
	uint64_t count;
	size_t i;

	for (i = 0; i < m->n_inputs; i++) {
		struct strip *s = &w->in[i];

		s->shape = run->wanted[i];
		s->axis = lm_past_axis(m, i, s->shape.rank);
		s->data = room(w, &s->shape, err);
		w->piece[i] = room(w, &s->shape, err);
		if (s->data == NULL || w->piece[i] == NULL || lm_shape_count(&s->shape, &count) < 0)
			return -1;
		if (lm_convert(s->shape.dtype, s->data, lm_dtype_find(run->given[i].dtype),
			run->given[i].data, (size_t)count, err) < 0) {
			(void)lm_run_fail_value("input", m->inputs[i].name, err);
			return lm_run_fail_inputs(run, err);
		}
	}
	return 0;
}

static int
give_piece(struct whole *w, uint64_t first, uint64_t n, struct loom_error *err)
{
	struct loom_tensor t = { 0 };
	size_t i;

	for (i = 0; i < w->run->model->n_inputs; i++) {
		const struct strip *s = &w->in[i];

		copy(s, w->piece[i], first, n, 0);
		t.dtype = s->shape.dtype->name;
		t.rank = s->shape.rank;
		memcpy(t.shape, s->shape.dim, sizeof(t.shape));
		t.shape[s->axis] = n;
		t.data = w->piece[i];
		if (loom_run_set(w->run, i, &t, err) < 0)
			return -1;
	}
	return 0;
}

/* Room for whole outputs, when a piece shows what they look like. */
static int
place_outputs(struct whole *w, struct loom_error *err)
{
	const struct loom_run *run = w->run;
	size_t i;

	for (i = 0; i < run->model->n_outputs; i++) {
		struct strip *s = &w->out[i];
		struct loom_tensor *t = &run->outputs[i];

		s->shape = *run->values[run->model->outputs[i]].shape;
		s->axis = run->past.at[run->model->outputs[i]];
		if (s->axis < s->shape.rank)
			s->shape.dim[s->axis] = w->positions;
		else
			s->axis = s->shape.rank;
		*t = loom_run_output(run, i);
		memcpy(t->shape, s->shape.dim, sizeof(t->shape));
		t->data = s->data = room(w, &s->shape, err);
		if (t->data == NULL)
			return -1;
	}
	return 0;
}

static int
run_piece(struct whole *w, uint64_t first, uint64_t n, struct loom_error *err)
{
	size_t i;

	if (give_piece(w, first, n, err) < 0 || loom_run_forward(w->run, err) < 0 ||
	    (first == 0 && place_outputs(w, err) < 0))
		return -1;
	for (i = 0; i < w->run->model->n_outputs; i++)
		copy(&w->out[i], w->run->values[w->run->model->outputs[i]].data, first, n, 1);
	return 0;
}

/* Positions of all inputs, which the cache takes then. */
static int
start(struct whole *w, struct loom_error *err)
{
	struct loom_run *run = w->run;
	const struct loom_model *m = run->model;
	struct lm_arena *a = &run->pieces;

	if (loom_run_cache(run, SIZE_MAX / 64, err) < 0)
		return -1;
	if (lm_past_go_on(&run->past, m, run->wanted, err) < 0)
		return lm_run_fail_inputs(run, err);
	w->positions = run->past.piece;
	lm_arena_release(a);
	w->in = lm_arena_alloc(a, m->n_inputs, sizeof(*w->in), err);
	w->out = lm_arena_alloc(a, m->n_outputs, sizeof(*w->out), err);
	w->piece = lm_arena_alloc(a, m->n_inputs, sizeof(*w->piece), err);
	run->outputs = lm_arena_alloc(a, m->n_outputs, sizeof(*run->outputs), err);
	if (w->in == NULL || w->out == NULL || w->piece == NULL || run->outputs == NULL)
		return -1;
	return loom_run_cache(run, w->positions > 0 ? w->positions : 1, err);
}

static int
run_pieces(struct whole *w, uint64_t piece, struct loom_error *err)
{
	uint64_t first = 0, n;

	if (start(w, err) < 0 || read_inputs(w, err) < 0)
		return -1;
	do {
		n = w->positions - first < piece ? w->positions - first : piece;
		if (run_piece(w, first, n, err) < 0)
			return -1;
		first += n;
	} while (first < w->positions);
	return 0;
}

/* What the caller had set is set again, and sequences come whole as before. */
static void
restore(struct loom_run *run, const struct loom_tensor *given, const struct lm_shape *wanted)
{
	size_t n = run->model->n_inputs;

	memcpy(run->given, given, n * sizeof(*given));
	memcpy(run->wanted, wanted, n * sizeof(*wanted));
	run->past.most = 0;
	run->planned = NULL;
}

static int
in_pieces(struct loom_run *run, uint64_t piece, struct loom_error *err)
{
	size_t n = run->model->n_inputs, i;
	struct whole w = { .run = run };
	struct lm_arena arena = { 0 };
	struct loom_tensor *given = lm_arena_alloc(&arena, n, sizeof(*given), err);
	struct lm_shape *wanted = lm_arena_alloc(&arena, n, sizeof(*wanted), err);
	int r = -1;

	if (given == NULL || wanted == NULL)
		goto out;
	for (i = 0; i < n; i++) {
		if (run->given[i].data == NULL) {
			r = lm_fail(err, LOOM_EARG, "input %s is not given",
			    run->model->inputs[i].name);
			goto out;
		}
		given[i] = run->given[i];
		wanted[i] = run->wanted[i];
	}
	r = run_pieces(&w, piece, err);
	restore(run, given, wanted);
	run->whole = r == 0;
out:
	lm_arena_release(&arena);
	return r;
}

int
loom_run_in_pieces(struct loom_run *run, uint64_t piece, struct loom_error *err)
{
	struct lm_fpenv saved;
	int r;

	if (piece == 0 || run->model->n_inputs == 0)
		return lm_fail(err, LOOM_EARG,
		    piece == 0 ? "pieces of 0 positions" : "the network has no input to cut");
	lm_fpenv_set(&saved);
	r = in_pieces(run, piece, err);
	lm_fpenv_restore(&saved);
	return r < 0 ? lm_fail_in(err, run->model->name) : 0;
}
