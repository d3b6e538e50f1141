/*
 * recurrent_walk: rnn, lstm and gru along a sequence.  Where few samples walk side by side, what
 * inputs add to the sums is computed for several steps at once, and what the state adds joins it step
 * by step, before anything is rounded; many are rows of inputs and state that are multiplied together.
 */
#include "layer/recurrent.h"

#include <inttypes.h>
#include <string.h>

enum {
	BAND = 64,	/* samples that walk side by side */
	MANY = 8,	/* samples that are */
	TILES = 32,	/* the same for int8 tiles */
	AHEAD = 56,	/* rows of inputs that are multiplied at once: near when their step comes */
	WORK = 1 << 21, /* products that are worth a thread */
	EVERY = -1
};

/* Samples that walk side by side: what they need beside inputs and outputs. */
struct band {
	size_t first, count;
	double *memory; /* [count][hidden] */
	double *sums;	/* [step][count][joint]: of inputs, of gates that go on with the state */
	float *x;	/* [step][count] inputs; behind each its state where many walk */
	float *apart;	/* [step][count][pitch]: the last gate's of inputs alone, if it is split */
	float *state;	/* of each sample */
	float *other;	/* instead of it, if the last gate is late */
	float *z;	/* [count][gates * pitch] */
};

struct walk {
	const struct lm_call *call;
	const struct lm_cell *cell;
	enum lm_last_gate last;
	size_t batch, steps, in, hidden;
	size_t pitch;		/* from one gate's units to the next's */
	size_t gates, joint;	/* of all gates, of those that are one sum of inputs and state */
	size_t most;		/* samples of a band */
	const int64_t *lengths; /* of each sample, or NULL */
	const struct lm_matrix *joined; /* [W, U], where many walk; else NULL */
	size_t x_step, state_step;	/* from one sample's input or state to the next's */
	int worker;			/* who does it; or EVERY: its units are shared out */
	/* the steps whose inputs are multiplied, which of them is the present one, its place in y */
	size_t first, ahead, k, at;
	size_t pass, passes; /* how often units have been through it */
};

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t
most(size_t a, size_t b)
{
	return a > b ? a : b;
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

static struct walk
walk_of(const struct lm_node *n, const struct lm_shape *x)
{
	struct walk w = { .cell = lm_recurrent_cell(n), .batch = samples(x) };

	w.last = lm_recurrent_last(n);
	w.passes = w.last == LM_LAST_LATE ? 2 : 1;
	w.steps = (size_t)x->dim[x->rank - 2];
	w.in = (size_t)n->param[LM_INPUT].i;
	w.hidden = (size_t)n->param[LM_HIDDEN].i;
	w.pitch = lm_recurrent_pitch(n);
	w.gates = w.cell->gates * w.pitch;
	w.joint = w.last == LM_LAST_SPLIT ? w.gates - w.pitch : w.gates;
	w.most = least(w.batch, BAND);
	return w;
}

/* Rows of inputs that a band has room for. */
static size_t
rows_ahead(const struct walk *w)
{
	return most(AHEAD, w->most);
}

/* Bytes of a band: whole lines of a cache. */
static size_t
band_size(const struct walk *w)
{
	size_t rows = rows_ahead(w), doubles = w->most * w->hidden + rows * w->joint;
	size_t floats = rows * (w->in + w->gates - w->joint) +
	    w->most * (w->in + 2 * w->hidden + w->gates);

	return (doubles * sizeof(double) + floats * sizeof(float) + 63) / 64 * 64;
}

int
lm_recurrent_plan(const struct lm_shaping *s, size_t *scratch, struct loom_error *err)
{
	struct walk w = walk_of(s->node, &s->in[LM_SEQ]);

	/* Each extent is below 2^25 and there are at most 2^6 rows, so nothing overflows. */
	if (sizeof(size_t) < 8 && (double)(w.in + 6 * w.gates) > (double)(1 << 23))
		return lm_fail(err, LOOM_ENOMEM, "no memory for the states of %s", s->node->name);
	*scratch = band_size(&w);
	return 0;
}

size_t
lm_recurrent_rows(const struct lm_shaping *s, size_t slot)
{
	struct walk w = walk_of(s->node, &s->in[LM_SEQ]);

	return slot == LM_GATE_W && w.most >= MANY ? w.most : 0;
}

/* The matrix [W, U] if it is there in a form for so many rows. */
static const struct lm_matrix *
joined_for(const struct walk *w, size_t rows)
{
	const struct lm_matrix *m = &w->call->slot[LM_GATE_W].matrix;

	if (m->residues != NULL && rows >= TILES)
		return m;
	return m->panels != NULL && rows >= MANY ? m : NULL;
}

static struct band
band_of(struct walk *w, int worker, size_t first, size_t count)
{
	size_t rows = rows_ahead(w);
	struct band b = { .first = first, .count = count };

	w->joined = joined_for(w, count);
	w->x_step = w->joined != NULL ? w->in + w->hidden : w->in;
	w->state_step = w->joined != NULL ? w->x_step : w->hidden;
	b.sums = (double *)((char *)w->call->scratch + (size_t)worker * band_size(w));
	b.memory = b.sums + rows * w->joint;
	b.z = (float *)(b.memory + w->most * w->hidden);
	b.apart = b.z + w->most * w->gates;
	b.x = b.apart + rows * (w->gates - w->joint);
	b.state = b.x + (w->joined != NULL ? w->in : rows * w->in);
	b.other = b.x + rows * w->in + w->most * w->hidden + w->in;
	return b;
}

/* The step that stands at `at` in y, or in time. */
static size_t
place(const struct walk *w, size_t step, int in_time)
{
	const union lm_value *p = w->call->node->param;
	int backward = p[LM_DIRECTION].i == LM_BACKWARD;

	if (!in_time && p[LM_ORDER].i == LM_REVERSED)
		backward = 0;
	return backward ? w->steps - 1 - step : step;
}

static float *
y_row(const struct walk *w, size_t sample)
{
	return (float *)w->call->out[LM_Y].data + (sample * w->steps + w->at) * w->hidden;
}

/* ---- states ---- */

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
	const float *h0 = given(w->call, LM_H0), *c0 = given(w->call, LM_C0);
	size_t i, j, from;

	for (i = 0; i < b->count; i++)
		for (j = 0; j < w->hidden; j++) {
			from = (b->first + i) * w->hidden + j;
			b->state[i * w->state_step + j] = h0 != NULL ? h0[from] : 0;
			b->memory[i * w->hidden + j] = c0 != NULL ? c0[from] : 0;
		}
}

/* The new states become those before the next step. */
static void
carry(const struct walk *w, const struct band *b)
{
	size_t i;

	for (i = 0; i < b->count; i++)
		memcpy(b->state + i * w->state_step, y_row(w, b->first + i),
		    w->hidden * sizeof(float));
}

static void
end(const struct walk *w, const struct band *b)
{
	const struct lm_call *c = w->call;
	float *h_n = c->node->n_out > LM_H_N ? c->out[LM_H_N].data : NULL;
	float *c_n = c->node->n_out > LM_C_N ? c->out[LM_C_N].data : NULL;
	size_t i, j, to;

	for (i = 0; i < b->count; i++)
		for (j = 0; j < w->hidden; j++) {
			to = (b->first + i) * w->hidden + j;
			if (h_n != NULL)
				h_n[to] = b->state[i * w->state_step + j];
			if (c_n != NULL)
				c_n[to] = (float)b->memory[i * w->hidden + j];
		}
}

/* ---- inputs ---- */

/*
 * The first step and those behind it, as far as there is room; but one alone where inputs stand
 * before the states, which are those of this step.
 */
static void
load(struct walk *w, const struct band *b)
{
	const float *x = w->call->in[LM_SEQ].data, *from;
	size_t i, j, row;

	w->ahead = least(w->joined != NULL ? 1 : rows_ahead(w) / b->count, w->steps - w->first);
	for (i = 0; i < w->ahead; i++)
		for (j = 0; j < b->count; j++) {
			from = x + ((b->first + j) * w->steps + place(w, w->first + i, 1)) * w->in;
			row = (i * b->count + j) * w->x_step;
			memcpy(b->x + row, from, w->in * sizeof(*x));
			if (w->joined != NULL && w->last == LM_LAST_LATE)
				memcpy(b->other - w->in + row, from, w->in * sizeof(*x));
		}
}

/* Columns from..to-1 of each of the gates that begin at gate..end-1. */
static void
multiply(const struct walk *w, const struct lm_product *p, size_t gate, size_t end, int worker,
    size_t from, size_t to)
{
	const struct lm_call *c = w->call;
	size_t step = w->pitch;

	if (from == 0 && to == w->pitch) {
		to = end - gate;
		step = end;
	}
	for (; gate < end; gate += step)
		c->kernels->product(p, 0, p->m, gate + from, gate + to, lm_call_room(c, worker),
		    &c->counts[worker]);
}

static const struct lm_apart *
apart_of(const struct walk *w)
{
	return w->call->slot[LM_GATE_U].raw;
}

/* What inputs, steps of them, add to the sums of the joint gates, from step k on. */
static struct lm_product
input_sums(const struct walk *w, const struct band *b, size_t k, size_t steps)
{
	return (struct lm_product){ .m = steps * b->count,
		.x = b->x + k * b->count * w->in,
		.x_step = w->x_step,
		.w = &apart_of(w)->w,
		.sums = b->sums + k * b->count * w->joint,
		.y_step = w->joint };
}

/* The last gate alone, as a matrix. */
static struct lm_matrix
last_gate(const struct walk *w, struct lm_matrix m)
{
	m.n = w->pitch;
	m.panels += w->joint / LM_PANEL * m.apart;
	m.norm += w->joint;
	return m;
}

static void
feed(const struct walk *w, const struct band *b, int worker, size_t from, size_t to)
{
	const lm_f32u *bias = w->call->slot[LM_GATE_B].f32;
	struct lm_product p = input_sums(w, b, 0, w->ahead);
	struct lm_matrix last;

	if (w->joined == NULL)
		multiply(w, &p, 0, w->joint, worker, from, to);
	if (w->last != LM_LAST_SPLIT)
		return;
	last = last_gate(w, apart_of(w)->w);
	p.w = &last;
	p.bias = bias != NULL ? bias + w->joint : NULL;
	p.sums = NULL;
	p.y = b->apart;
	p.y_step = w->pitch;
	multiply(w, &p, 0, w->pitch, worker, from, to);
}

/* ---- steps ---- */

/* The sums of gates gate..end-1, of inputs and of x, which is the state or what stands for it. */
static void
joint_sums(const struct walk *w, const struct band *b, const float *x, size_t gate, size_t end,
    int worker, size_t from, size_t to)
{
	const struct lm_prepared *slot = w->call->slot;
	struct lm_product begun = input_sums(w, b, w->k, 1);
	struct lm_product p = { .m = b->count,
		.x = w->joined != NULL ? x - w->in : x,
		.x_step = w->state_step,
		.w = w->joined != NULL ? w->joined : &apart_of(w)->u,
		.bias = slot[LM_GATE_B].f32,
		.bias2 = slot[lm_recurrent_second(w->call->node)].f32,
		.y = b->z,
		.y_step = w->gates,
		.begun = w->joined != NULL ? NULL : &begun };

	multiply(w, &p, gate, end, worker, from, to);
}

/* The last gate's sum of the state, where it is one by itself. */
static void
state_sum(const struct walk *w, const struct band *b, int worker, size_t from, size_t to)
{
	const struct lm_prepared *slot = w->call->slot;
	const lm_f32u *second = slot[lm_recurrent_second(w->call->node)].f32;
	struct lm_matrix last = last_gate(w, apart_of(w)->u);
	struct lm_product p = { .m = b->count,
		.x = b->state,
		.x_step = w->state_step,
		.w = &last,
		.bias = second != NULL ? second + w->joint : NULL,
		.y = b->z + w->joint,
		.y_step = w->gates };

	multiply(w, &p, 0, w->pitch, worker, from, to);
}

/* What is beyond a sample's length leaves it as it is. */
static int
is_awake(const struct walk *w, size_t sample, size_t time)
{
	return w->lengths == NULL || time < (size_t)w->lengths[sample];
}

/* A sample's units become its state, or what the late gate makes of it. */
static void
update(const struct walk *w, const struct band *b, size_t i, size_t time, size_t from, size_t to)
{
	struct lm_stepping s = { .z = b->z + i * w->gates,
		.pitch = w->pitch,
		.before = b->state + i * w->state_step,
		.other = b->other + i * w->state_step,
		.h = y_row(w, b->first + i),
		.memory = b->memory + i * w->hidden };

	if (w->last == LM_LAST_SPLIT)
		s.inputs = b->apart + (w->k * b->count + i) * w->pitch;
	if (w->pass + 1 < w->passes)
		w->cell->reset(w->call, &s, from, to);
	else if (is_awake(w, b->first + i, time))
		w->cell->update(w->call, &s, from, to);
	else
		memcpy(s.h + from, s.before + from, (to - from) * sizeof(*s.h));
}

/* Units from..to-1 of all samples; their states go to y when they are through for the last time. */
static void
step(const struct walk *w, const struct band *b, int worker, size_t from, size_t to)
{
	size_t joint = w->last == LM_LAST_LATE ? w->gates - w->pitch : w->joint, i;
	size_t time = place(w, w->first + w->k, 1);

	if (w->pass == 0)
		joint_sums(w, b, b->state, 0, joint, worker, from, to);
	else
		joint_sums(w, b, b->other, joint, w->gates, worker, from, to);
	if (w->last == LM_LAST_SPLIT)
		state_sum(w, b, worker, from, to);
	for (i = 0; i < b->count; i++)
		update(w, b, i, time, from, least(to, w->hidden));
}

/* ---- walks ---- */

typedef void units_fn(const struct walk *, const struct band *, int worker, size_t from, size_t to);

struct sharing {
	const struct walk *walk;
	const struct band *band;
	units_fn *work;
};

static void
work_panels(void *context, int worker, size_t from, size_t to)
{
	const struct sharing *s = context;

	s->work(s->walk, s->band, worker, from * LM_PANEL, to * LM_PANEL);
}

/* All units: by the walk's own worker, or by all, of so many products for each unit. */
static void
share(const struct walk *w, const struct band *b, units_fn *work, size_t products)
{
	struct sharing s = { w, b, work };

	if (w->worker != EVERY)
		work(w, b, w->worker, 0, w->pitch);
	else
		lm_pool_each(w->call->pool, w->pitch / LM_PANEL, WORK / (products * LM_PANEL) + 1,
		    work_panels, &s);
}

static void
walk_band(struct walk *w, const struct band *b)
{
	size_t sums = b->count * w->cell->gates;

	begin(w, b);
	for (w->first = 0; w->first < w->steps; w->first += w->ahead) {
		load(w, b);
		share(w, b, feed, w->ahead * sums * w->in);
		for (w->k = 0; w->k < w->ahead; w->k++) {
			w->at = place(w, w->first + w->k, 0);
			for (w->pass = 0; w->pass < w->passes; w->pass++)
				share(w, b, step, sums * w->hidden);
			carry(w, b);
		}
	}
	end(w, b);
}

/* One worker's samples, band after band. */
static void
walk_samples(void *context, int worker, size_t from, size_t to)
{
	struct walk w = *(const struct walk *)context;
	struct band b;

	w.worker = worker;
	for (; from < to; from += b.count) {
		b = band_of(&w, worker, from, least(to - from, w.most));
		walk_band(&w, &b);
	}
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
	struct walk w = walk_of(c->node, x);
	struct band b;

	w.call = c;
	if (read_lengths(&w, err) < 0)
		return -1;
	if (w.batch == 0 || (w.steps == 0 && c->node->n_out == 1))
		return 0;
	if (w.batch >= (size_t)lm_pool_jobs(c->pool) || w.batch > BAND) {
		lm_pool_each(c->pool, w.batch,
		    WORK / (w.steps * w.cell->gates * (w.in + w.hidden) + 1) + 1, walk_samples, &w);
		return 0;
	}
	w.worker = EVERY;
	b = band_of(&w, 0, 0, w.batch);
	walk_band(&w, &b);
	return 0;
}
