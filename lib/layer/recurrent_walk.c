/* recurrent_walk: rnn, lstm and gru along a sequence. */
#include "layer/recurrent.h"

#include <inttypes.h>
#include <string.h>

#include "num/product.h"

enum {
	BAND = 64,     /* samples of a band */
	WORK = 1 << 16 /* products that are worth a thread */
};

/* Samples that walk side by side: what they need beside inputs and outputs. */
struct band {
	size_t first, count;
	double *memory; /* [count][hidden] */
	float *xh;	/* [count][in + hidden]: an input and the state before it */
	float *z;	/* [count][sums * hidden] */
	/* For the last gate: split, [count][in] and [count][hidden]; late, as xh. */
	float *other;
};

struct walk {
	const struct lm_call *call;
	const struct lm_cell *cell;
	enum lm_last_gate last;
	size_t batch, steps, in, hidden;
	size_t sums;		/* of a unit */
	size_t most;		/* samples of a band */
	const int64_t *lengths; /* of each sample, or NULL */
	/* the band that all workers walk together */
	const struct band *band;
	/* of the present step: its time, its place in y, and how often units have been through */
	size_t time, at, pass, passes;
};

static size_t
sums_of(const struct lm_node *n)
{
	return lm_recurrent_cell(n)->gates + (lm_recurrent_last(n) == LM_LAST_SPLIT);
}

/* binary64 words for one sample of a band. */
static size_t
sample_words(const struct lm_node *n)
{
	size_t in = (size_t)n->param[LM_INPUT].i, hidden = (size_t)n->param[LM_HIDDEN].i;
	size_t rows = lm_recurrent_last(n) == LM_LAST_JOINT ? 1 : 2;

	return hidden + (rows * (in + hidden) + sums_of(n) * hidden + 1) / 2;
}

static size_t
samples(const struct lm_shape *x)
{
	size_t batch = 1;
	unsigned i;

	for (i = 0; i + 2 < x->rank; i++)
		batch *= (size_t)x->dim[i];
	return batch;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

int
lm_recurrent_plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	size_t words = sample_words(s->node) * sizeof(double);

	if (lm_mul(least(samples(&s->in[LM_SEQ]), BAND), words, scratch) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for the states of %s", s->node->name);
	return 0;
}

static struct band
band_of(const struct walk *w, int worker, size_t first, size_t count)
{
	size_t words = w->most * sample_words(w->call->node);
	struct band b = { .first = first, .count = count };

	b.memory = (double *)w->call->scratch + (size_t)worker * words;
	b.xh = (float *)(b.memory + w->most * w->hidden);
	b.z = b.xh + w->most * (w->in + w->hidden);
	b.other = b.z + w->most * w->sums * w->hidden;
	return b;
}

/* The step that stands at `at` in y, or in time. */
static size_t
place(const struct lm_call *c, size_t steps, size_t step, int in_time)
{
	int backward = c->node->param[LM_DIRECTION].i == LM_BACKWARD;

	if (!in_time && c->node->param[LM_ORDER].i == LM_REVERSED)
		backward = 0;
	return backward ? steps - 1 - step : step;
}

static float *
y_row(const struct walk *w, size_t sample, size_t at)
{
	return (float *)w->call->out[LM_Y].data + (sample * w->steps + at) * w->hidden;
}

/* A state that goes in, or NULL. */
static const float *
given(const struct lm_call *c, size_t input)
{
	return input < c->node->n_in && input < lm_recurrent_lengths(c->node) ? c->in[input].data
									      : NULL;
}

/* Initial states: zero where none are given. */
static void
begin(const struct walk *w, const struct band *b)
{
	const struct lm_call *c = w->call;
	const float *h0 = given(c, LM_H0), *c0 = given(c, LM_C0);
	size_t i, j, from;

	for (i = 0; i < b->count; i++) {
		from = (b->first + i) * w->hidden;
		for (j = 0; j < w->hidden; j++) {
			b->xh[i * (w->in + w->hidden) + w->in + j] = h0 != NULL ? h0[from + j] : 0;
			b->memory[i * w->hidden + j] = c0 != NULL ? c0[from + j] : 0;
		}
	}
}

/* The inputs of the present step beside the states. */
static void
load(const struct walk *w, const struct band *b)
{
	const float *x = w->call->in[LM_SEQ].data;
	size_t wide = w->in + w->hidden, i;
	float *own;

	for (i = 0; i < b->count; i++) {
		own = b->xh + i * wide;
		memcpy(own, x + ((b->first + i) * w->steps + w->time) * w->in, w->in * sizeof(*x));
		if (w->last == LM_LAST_LATE)
			memcpy(b->other + i * wide, own, w->in * sizeof(*x));
		if (w->last != LM_LAST_SPLIT)
			continue;
		memcpy(b->other + i * w->in, own, w->in * sizeof(*x));
		memcpy(b->other + b->count * w->in + i * w->hidden, own + w->in,
		    w->hidden * sizeof(*x));
	}
}

/* Sums of inputs and state, of gates gate..end-1 and units from..to-1; x is as xh. */
static void
joint_sums(const struct walk *w, const struct band *b, const float *x, size_t gate, size_t end,
    int worker, size_t from, size_t to)
{
	const struct lm_call *c = w->call;
	size_t h = w->hidden;
	struct lm_product p = { .m = b->count,
		.x = x,
		.x_step = w->in + h,
		.w = &c->slot[LM_GATE_W].matrix,
		.bias = c->slot[LM_GATE_B].f32,
		.bias2 = c->slot[lm_recurrent_second(c->node)].f32,
		.y = b->z,
		.y_step = w->sums * h };

	for (; gate < end; gate++)
		c->kernels->product(&p, 0, p.m, gate * h + from, gate * h + to,
		    lm_call_room(c, worker), &c->counts[worker]);
}

/* Half of the last gate: its sum of the inputs, or of the state. */
static void
half_sum(const struct walk *w, const struct band *b, int of_state, int worker, size_t from,
    size_t to)
{
	const struct lm_call *c = w->call;
	size_t h = w->hidden, gate = w->cell->gates - 1;
	const struct lm_prepared *slot =
	    &c->slot[lm_recurrent_slot(gate, of_state ? LM_GATE_U : LM_GATE_W)];
	const lm_f32u *biases = c->slot[of_state ? lm_recurrent_second(c->node) : LM_GATE_B].f32;
	struct lm_product p = { .m = b->count,
		.x = of_state ? b->other + b->count * w->in : b->other,
		.x_step = of_state ? h : w->in,
		.w = &slot->matrix,
		.bias = biases != NULL ? biases + gate * h : NULL,
		.y = b->z + (of_state ? gate + 1 : gate) * h,
		.y_step = w->sums * h };

	c->kernels->product(&p, 0, p.m, from, to, lm_call_room(c, worker), &c->counts[worker]);
}

/* What is beyond a sample's length leaves it as it is. */
static int
is_awake(const struct walk *w, size_t sample)
{
	return w->lengths == NULL || w->time < (size_t)w->lengths[sample];
}

/* Units from..to-1 of all samples; their states go to y when they are through for the last time. */
static void
step(const struct walk *w, const struct band *b, int worker, size_t from, size_t to)
{
	const struct lm_call *c = w->call;
	size_t gates = w->cell->gates, wide = w->in + w->hidden, i;
	size_t joint = w->last == LM_LAST_JOINT ? gates : gates - 1;
	struct lm_stepping s;

	if (w->pass == 0)
		joint_sums(w, b, b->xh, 0, joint, worker, from, to);
	else
		joint_sums(w, b, b->other, joint, gates, worker, from, to);
	for (i = 0; i < 2 && w->last == LM_LAST_SPLIT; i++)
		half_sum(w, b, i == 1, worker, from, to);
	for (i = 0; i < b->count; i++) {
		s.z = b->z + i * w->sums * w->hidden;
		s.before = b->xh + i * wide + w->in;
		s.other = w->last == LM_LAST_LATE ? b->other + i * wide + w->in : NULL;
		s.h = y_row(w, b->first + i, w->at);
		s.memory = b->memory + i * w->hidden;
		if (w->pass + 1 < w->passes)
			w->cell->reset(c, &s, from, to);
		else if (is_awake(w, b->first + i))
			w->cell->update(c, &s, from, to);
		else
			memcpy(s.h + from, s.before + from, (to - from) * sizeof(*s.h));
	}
}

/* The new states beside the inputs to come. */
static void
carry(const struct walk *w, const struct band *b)
{
	size_t i;

	for (i = 0; i < b->count; i++)
		memcpy(b->xh + i * (w->in + w->hidden) + w->in, y_row(w, b->first + i, w->at),
		    w->hidden * sizeof(float));
}

static void
end(const struct walk *w, const struct band *b)
{
	const struct lm_call *c = w->call;
	float *h_n = c->node->n_out > LM_H_N ? c->out[LM_H_N].data : NULL;
	float *c_n = c->node->n_out > LM_C_N ? c->out[LM_C_N].data : NULL;
	size_t i, j, to;

	for (i = 0; i < b->count; i++) {
		to = (b->first + i) * w->hidden;
		for (j = 0; j < w->hidden && h_n != NULL; j++)
			h_n[to + j] = b->xh[i * (w->in + w->hidden) + w->in + j];
		for (j = 0; j < w->hidden && c_n != NULL; j++)
			c_n[to + j] = (float)b->memory[i * w->hidden + j];
	}
}

/* Step k, at the inputs of its time. */
static void
start_step(struct walk *w, const struct band *b, size_t k)
{
	w->at = place(w->call, w->steps, k, 0);
	w->time = place(w->call, w->steps, k, 1);
	load(w, b);
}

/* One worker's samples, band after band. */
static void
walk_samples(void *context, int worker, size_t from, size_t to)
{
	struct walk w = *(const struct walk *)context;
	struct band b;
	size_t k;

	for (; from < to; from += b.count) {
		b = band_of(&w, worker, from, least(to - from, w.most));
		begin(&w, &b);
		for (k = 0; k < w.steps; k++) {
			start_step(&w, &b, k);
			for (w.pass = 0; w.pass < w.passes; w.pass++)
				step(&w, &b, worker, 0, w.hidden);
			carry(&w, &b);
		}
		end(&w, &b);
	}
}

static void
step_units(void *context, int worker, size_t from, size_t to)
{
	const struct walk *w = context;

	step(w, w->band, worker, from, to);
}

/* All samples as one band, whose units are shared out at each step. */
static void
walk_units(struct walk *w)
{
	struct band b = band_of(w, 0, 0, w->batch);
	size_t work = w->batch * w->cell->gates * (w->in + w->hidden), k;

	w->band = &b;
	begin(w, &b);
	for (k = 0; k < w->steps; k++) {
		start_step(w, &b, k);
		for (w->pass = 0; w->pass < w->passes; w->pass++)
			lm_pool_each(w->call->pool, w->hidden, WORK / work + 1, step_units, w);
		carry(w, &b);
	}
	end(w, &b);
}

/* ---- lengths ---- */

static int
read_lengths(struct walk *w, struct loom_error *err)
{
	const struct lm_node *n = w->call->node;
	int64_t length;
	size_t i;

	if (lm_recurrent_lengths(n) >= n->n_in || w->call->in[lm_recurrent_lengths(n)].data == NULL)
		return 0;
	w->lengths = w->call->in[lm_recurrent_lengths(n)].data;
	for (i = 0; i < w->batch; i++) {
		length = w->lengths[i];
		if (length < 0 || (uint64_t)length > w->steps)
			return lm_fail(err, LOOM_ESHAPE,
			    "layer %s (%s): the length of sample %zu is %" PRId64
			    ", expected 0 to %zu",
			    n->name, n->op->name, i, length, w->steps);
	}
	return 0;
}

int
lm_recurrent_forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[LM_SEQ].shape;
	struct walk w = { .call = c, .cell = lm_recurrent_cell(c->node), .batch = samples(x) };

	w.last = lm_recurrent_last(c->node);
	w.passes = w.last == LM_LAST_LATE ? 2 : 1;
	w.sums = sums_of(c->node);
	w.steps = (size_t)x->dim[x->rank - 2];
	w.in = (size_t)c->node->param[LM_INPUT].i;
	w.hidden = (size_t)c->node->param[LM_HIDDEN].i;
	w.most = least(w.batch, BAND);
	if (read_lengths(&w, err) < 0)
		return -1;
	if (w.batch == 0 || (w.steps == 0 && c->node->n_out == 1))
		return 0;
	if (w.batch < (size_t)lm_pool_jobs(c->pool) && w.batch <= BAND)
		walk_units(&w);
	else
		lm_pool_each(c->pool, w.batch, 1, walk_samples, &w);
	return 0;
}
