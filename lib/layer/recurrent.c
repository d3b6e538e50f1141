/* recurrent: what rnn and lstm share: shapes, weights side by side, the walk along a sequence. */
#include "layer/recurrent.h"

#include <string.h>

#include "num/product.h"

enum { X, H0, C0 };   /* inputs */
enum { Y, H_N, C_N }; /* outputs */
enum { FORWARD, BACKWARD };
enum { TIME, REVERSED };
enum { W, U, B, PER_GATE }; /* slots of a gate */
enum { BAND = 64 };	    /* samples of a band */
enum { WORK = 1 << 16 };    /* products that are worth a thread */

const char *const lm_directions[] = { "forward", "backward", NULL };
const char *const lm_orders[] = { "time", "reversed", NULL };

static const struct lm_cell *
cell_of(const struct lm_node *n)
{
	return n->op->row;
}

int
lm_recurrent_check(const struct lm_node *n, struct loom_error *err)
{
	if (n->param[LM_ORDER].i == REVERSED && n->param[LM_DIRECTION].i != BACKWARD)
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
	struct lm_shape state = s->in[X];

	state.rank--;
	state.dim[state.rank] = 0;
	state.dim[state.rank - 1] = (uint64_t)s->node->param[LM_HIDDEN].i;
	return state;
}

int
lm_recurrent_shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_node *n = s->node;
	const struct lm_shape *x = &s->in[X];
	struct lm_shape state;
	char text[LM_SHAPE_TEXT];
	size_t k;

	if (lm_want_f32(s, X, err) < 0)
		return -1;
	if (x->rank < 2 || x->dim[x->rank - 1] != (uint64_t)n->param[LM_INPUT].i)
		return lm_fail_input(s, X, err, "a sequence [..., s, %lld]",
		    (long long)n->param[LM_INPUT].i);
	state = state_shape(s);
	for (k = H0; k < n->n_in; k++)
		if (n->in[k] != LM_ABSENT &&
		    (s->in[k].dtype != x->dtype || !lm_shape_same(&s->in[k], &state)))
			return lm_fail_input(s, k, err, "%s", lm_shape_text(text, &state));
	s->out[Y] = *x;
	s->out[Y].dim[x->rank - 1] = (uint64_t)n->param[LM_HIDDEN].i;
	for (k = H_N; k < n->n_out; k++)
		s->out[k] = state;
	return 0;
}

/* ---- weights ---- */

/* [W, U] of all gates, a row for each unit: inputs and state are then one sum. */
static int
join_weights(struct lm_preparing *p, struct loom_error *err)
{
	const struct lm_node *n = p->node;
	size_t in = (size_t)n->param[LM_INPUT].i, hidden = (size_t)n->param[LM_HIDDEN].i;
	size_t gates = cell_of(n)->gates, k = in + hidden, rows = gates * hidden, r;
	float *joined, *row;
	double *norm = lm_arena_alloc(p->arena, rows, sizeof(*norm), err);

	joined = lm_arena_alloc(p->arena, rows, k * sizeof(*joined), err);
	if (norm == NULL || joined == NULL)
		return -1;
	for (r = 0; r < rows; r++) {
		const struct lm_prepared *slot = p->slot + r / hidden * PER_GATE;
		size_t unit = r % hidden;

		row = joined + r * k;
		memcpy(row, slot[W].f32 + unit * in, in * sizeof(*row));
		memcpy(row + in, slot[U].f32 + unit * hidden, hidden * sizeof(*row));
		norm[r] = lm_norm(row, k);
	}
	p->slot[W].f32 = joined;
	p->slot[W].norm = norm;
	return 0;
}

/* The biases of all gates, one after another, in the first's place. */
static int
join_biases(struct lm_preparing *p, size_t first, size_t step, struct loom_error *err)
{
	size_t hidden = (size_t)p->node->param[LM_HIDDEN].i;
	size_t gates = cell_of(p->node)->gates, g;
	float *joined;

	if (p->slot[first].f32 == NULL)
		return 0;
	joined = lm_arena_alloc(p->arena, gates * hidden, sizeof(*joined), err);
	if (joined == NULL)
		return -1;
	for (g = 0; g < gates; g++)
		memcpy(joined + g * hidden, p->slot[first + g * step].f32,
		    hidden * sizeof(*joined));
	p->slot[first].f32 = joined;
	return 0;
}

/* The slot of the first gate's second bias. */
static size_t
second(const struct lm_node *n)
{
	return PER_GATE * cell_of(n)->gates;
}

int
lm_recurrent_prepare(struct lm_preparing *p, struct loom_error *err)
{
	if (lm_prepare_slots(p, err) < 0 || join_weights(p, err) < 0 ||
	    join_biases(p, B, PER_GATE, err) < 0)
		return -1;
	return join_biases(p, second(p->node), 1, err);
}

/* ---- the walk ---- */

/* Samples that walk side by side: what they need beside inputs and outputs. */
struct band {
	size_t first, count;
	double *memory; /* [count][hidden] */
	float *xh;	/* [count][in + hidden]: an input and the state before it */
	float *z;	/* [count][gates * hidden] */
};

struct walk {
	const struct lm_call *call;
	const struct lm_cell *cell;
	size_t batch, steps, in, hidden;
	size_t most; /* samples of a band */
	/* the band that all workers walk together, and the place in y of its present step */
	const struct band *band;
	size_t at;
};

/* binary64 words for one sample of a band. */
static size_t
sample_words(const struct lm_node *n)
{
	size_t in = (size_t)n->param[LM_INPUT].i, hidden = (size_t)n->param[LM_HIDDEN].i;

	return hidden + (in + hidden + cell_of(n)->gates * hidden + 1) / 2;
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

	if (lm_mul(least(samples(&s->in[X]), BAND), words, scratch) < 0)
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
	return b;
}

/* The step that stands at `at` in y, or in time. */
static size_t
place(const struct lm_call *c, size_t steps, size_t step, int in_time)
{
	int backward = c->node->param[LM_DIRECTION].i == BACKWARD;

	if (!in_time && c->node->param[LM_ORDER].i == REVERSED)
		backward = 0;
	return backward ? steps - 1 - step : step;
}

static float *
y_row(const struct walk *w, size_t sample, size_t at)
{
	return (float *)w->call->out[Y].data + (sample * w->steps + at) * w->hidden;
}

/* Initial states: zero where none are given. */
static void
begin(const struct walk *w, const struct band *b)
{
	const struct lm_call *c = w->call;
	const float *h0 = c->node->n_in > H0 ? c->in[H0].data : NULL;
	const float *c0 = c->node->n_in > C0 ? c->in[C0].data : NULL;
	size_t i, j, from;

	for (i = 0; i < b->count; i++) {
		from = (b->first + i) * w->hidden;
		for (j = 0; j < w->hidden; j++) {
			b->xh[i * (w->in + w->hidden) + w->in + j] = h0 != NULL ? h0[from + j] : 0;
			b->memory[i * w->hidden + j] = c0 != NULL ? c0[from + j] : 0;
		}
	}
}

/* The inputs of time t beside the states. */
static void
load(const struct walk *w, const struct band *b, size_t t)
{
	const float *x = w->call->in[X].data;
	size_t i;

	for (i = 0; i < b->count; i++)
		memcpy(b->xh + i * (w->in + w->hidden), x + ((b->first + i) * w->steps + t) * w->in,
		    w->in * sizeof(*x));
}

/* Units from..to-1 of all samples take one step; their states go to y. */
static void
step(const struct walk *w, const struct band *b, int worker, size_t from, size_t to)
{
	const struct lm_call *c = w->call;
	size_t h = w->hidden, gates = w->cell->gates, g, i;
	struct lm_product p = { .m = b->count,
		.n = gates * h,
		.k = w->in + h,
		.x = b->xh,
		.w = c->slot[W].f32,
		.w_norm = c->slot[W].norm,
		.bias = c->slot[B].f32,
		.bias2 = c->slot[second(c->node)].f32,
		.y = b->z };

	for (g = 0; g < gates; g++)
		c->kernels->product(&p, 0, p.m, g * h + from, g * h + to, &c->counts[worker]);
	for (i = 0; i < b->count; i++)
		w->cell->update(c, b->z + i * gates * h, y_row(w, b->first + i, w->at),
		    b->memory + i * h, from, to);
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
	float *h_n = c->node->n_out > H_N ? c->out[H_N].data : NULL;
	float *c_n = c->node->n_out > C_N ? c->out[C_N].data : NULL;
	size_t i, j, to;

	for (i = 0; i < b->count; i++) {
		to = (b->first + i) * w->hidden;
		for (j = 0; j < w->hidden && h_n != NULL; j++)
			h_n[to + j] = b->xh[i * (w->in + w->hidden) + w->in + j];
		for (j = 0; j < w->hidden && c_n != NULL; j++)
			c_n[to + j] = (float)b->memory[i * w->hidden + j];
	}
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
			w.at = place(w.call, w.steps, k, 0);
			load(&w, &b, place(w.call, w.steps, k, 1));
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
		w->at = place(w->call, w->steps, k, 0);
		load(w, &b, place(w->call, w->steps, k, 1));
		lm_pool_each(w->call->pool, w->hidden, WORK / work + 1, step_units, w);
		carry(w, &b);
	}
	end(w, &b);
}

int
lm_recurrent_forward(const struct lm_call *c, struct loom_error *err)
{
	const struct lm_shape *x = c->in[X].shape;
	struct walk w = { .call = c, .cell = cell_of(c->node), .batch = samples(x) };

	(void)err;
	w.steps = (size_t)x->dim[x->rank - 2];
	w.in = (size_t)c->node->param[LM_INPUT].i;
	w.hidden = (size_t)c->node->param[LM_HIDDEN].i;
	w.most = least(w.batch, BAND);
	if (w.batch == 0 || (w.steps == 0 && c->node->n_out == 1))
		return 0;
	if (w.batch < (size_t)lm_pool_jobs(c->pool) && w.batch <= BAND)
		walk_units(&w);
	else
		lm_pool_each(c->pool, w.batch, 1, walk_samples, &w);
	return 0;
}
