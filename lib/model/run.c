/*
 * run: one execution of a model.  Weights are prepared when the run is made, or one node's at a time
 * where the model is read by windows; shapes are planned when they first appear, and memory for values
 * is reused as soon as their last reader is done.
 */
#include "model/run.h"

#include <string.h>

#include "layer/weight.h"
#include "model/convert.h"
#include "num/bytes.h"
#include "num/fpenv.h"

enum { ONCE = 16 }; /* rows that a form of weights does not pay for that is used but once */

struct buffer {
	void *data;
	size_t size;
	size_t free_at; /* the first node that may reuse it; LM_ABSENT: none */
};

/* ---- birth ---- */

static int
prepare_node(struct loom_run *run, size_t i, struct lm_arena *arena, struct loom_error *err)
{
	const struct lm_node *n = run->model->nodes[i];
	struct lm_preparing p = { n, NULL, run->kernels, arena };
	size_t k;

	for (k = 0; k < LM_SLOTS; k++)
		if (n->weight[k].dtype != NULL && !lm_weight_there(&n->weight[k]))
			return lm_fail(err, LOOM_EFORMAT, "node %s (%s): %s has no data", n->name,
			    n->op->name, n->op->slots[k].name);
	p.slot = lm_arena_alloc(arena, LM_SLOTS, sizeof(*p.slot), err);
	if (p.slot == NULL)
		return -1;
	run->prepared[i] = p.slot;
	return n->op->prepare != NULL ? n->op->prepare(&p, err) : lm_prepare_slots(&p, err);
}

static int
prepare(struct loom_run *run, int jobs, struct loom_error *err)
{
	const struct loom_model *m = run->model;
	size_t i;

	if (lm_pool_new(&run->pool, jobs, err) < 0)
		return -1;
	run->counts = lm_arena_alloc(&run->arena, (size_t)jobs, sizeof(*run->counts), err);
	run->room = lm_arena_alloc(&run->arena, (size_t)jobs, run->kernels->room, err);
	run->prepared = lm_arena_alloc(&run->arena, m->n_nodes, sizeof(*run->prepared), err);
	run->given = lm_arena_alloc(&run->arena, m->n_inputs, sizeof(*run->given), err);
	run->wanted = lm_arena_alloc(&run->arena, m->n_inputs, sizeof(*run->wanted), err);
	if (run->counts == NULL || run->room == NULL || run->prepared == NULL ||
	    run->given == NULL || run->wanted == NULL)
		return -1;
	for (i = 0; i < m->n_nodes && !run->passing; i++)
		if (prepare_node(run, i, &run->arena, err) < 0)
			return -1;
	return 0;
}

/* What has nothing to do with the model. */
static int
look_at_machine(struct loom_run *run, struct loom_error *err)
{
	if (lm_numeric_check(err) < 0)
		return -1;
	run->kernels = lm_kernels_pick(err);
	return run->kernels != NULL ? 0 : -1;
}

int
loom_run_new(struct loom_run **out, const struct loom_model *m, int jobs, struct loom_error *err)
{
	struct loom_run *run;
	struct lm_fpenv saved;
	int fit, r;

	*out = NULL;
	if (jobs < 1 || jobs > 1024)
		return lm_fail(err, LOOM_EARG, "%d threads: expected 1 to 1024", jobs);
	run = lm_alloc(1, sizeof(*run), err);
	if (run == NULL)
		return -1;
	run->model = m;
	run->passing = m->how.windows;
	lm_fpenv_set(&saved); /* threads inherit it */
	fit = look_at_machine(run, err);
	r = fit < 0 ? -1 : prepare(run, jobs, err);
	lm_fpenv_restore(&saved);
	if (r < 0) {
		loom_run_free(run);
		return fit < 0 ? -1 : lm_fail_in(err, m->name);
	}
	*out = run;
	return 0;
}

void
loom_run_free(struct loom_run *run)
{
	if (run == NULL)
		return;
	lm_pool_free(run->pool);
	lm_past_release(&run->past);
	lm_arena_release(&run->pieces);
	lm_arena_release(&run->turn);
	lm_arena_release(&run->memory);
	lm_arena_release(&run->arena);
	lm_free(run);
}

void
loom_run_keep(struct loom_run *run)
{
	run->keep = 1;
	run->planned = NULL;
}

void
loom_run_from(struct loom_run *run, const char *source)
{
	run->from = source;
}

int
lm_run_fail_inputs(const struct loom_run *run, struct loom_error *err)
{
	return run->from != NULL ? lm_fail_in(err, run->from) : -1;
}

/* ---- the plan ---- */

/* The last node that reads a value; the number of nodes when it must outlive the run. */
static void
last_uses(const struct loom_run *run, size_t *last)
{
	const struct loom_model *m = run->model;
	size_t i, k;

	memset(last, 0, m->n_values * sizeof(*last));
	for (i = 0; i < m->n_nodes; i++) {
		for (k = 0; k < m->nodes[i]->n_out; k++)
			last[m->nodes[i]->out[k]] = run->keep ? m->n_nodes : i;
		for (k = 0; k < m->nodes[i]->n_in; k++)
			if (m->nodes[i]->in[k] != LM_ABSENT)
				last[m->nodes[i]->in[k]] = run->keep ? m->n_nodes : i;
	}
	for (i = 0; i < m->n_outputs; i++)
		last[m->outputs[i]] = m->n_nodes;
}

/* The smallest free buffer that is large enough, or a new one. */
static struct buffer *
take(struct loom_run *run, struct buffer *list, size_t *n, size_t node, size_t size,
    struct loom_error *err)
{
	struct buffer *best = NULL;
	size_t i;

	for (i = 0; i < *n; i++)
		if (list[i].free_at <= node && list[i].size >= size &&
		    (best == NULL || list[i].size < best->size))
			best = &list[i];
	if (best != NULL)
		return best;
	best = &list[*n];
	best->data = lm_arena_alloc(&run->memory, size, 1, err);
	best->size = size;
	if (best->data == NULL)
		return NULL;
	(*n)++;
	return best;
}

static int
place(struct loom_run *run, size_t value, size_t node, const size_t *last, struct buffer *list,
    size_t *n, struct loom_error *err)
{
	const struct lm_shape *s = &run->shapes[value];
	struct buffer *b;
	uint64_t count, bytes;

	if (lm_shape_count(s, &count) < 0 || lm_dtype_bytes(s->dtype, count, &bytes) < 0)
		return lm_fail(err, LOOM_ESHAPE, "value %s is too large",
		    run->model->values[value].name);
	b = take(run, list, n, node, (size_t)bytes, err);
	if (b == NULL)
		return -1;
	b->free_at = last[value] + 1;
	run->values[value].shape = s;
	run->values[value].data = b->data;
	return 0;
}

/* Inputs keep their buffers: they are filled before the first node and borrowed by nobody else. */
static int
place_all(struct loom_run *run, size_t *last, struct buffer *list, struct loom_error *err)
{
	const struct loom_model *m = run->model;
	size_t i, k, n = 0;

	last_uses(run, last);
	for (i = 0; i < m->n_inputs; i++)
		if (place(run, m->inputs[i].tensor, 0, last, list, &n, err) < 0)
			return -1;
	for (i = 0; i < m->n_nodes; i++)
		for (k = 0; k < m->nodes[i]->n_out; k++)
			if (place(run, m->nodes[i]->out[k], i, last, list, &n, err) < 0)
				return -1;
	return 0;
}

static int
place_scratch(struct loom_run *run, struct loom_error *err)
{
	size_t i, most = 0;

	for (i = 0; i < run->model->n_nodes; i++)
		most = run->needs[i].scratch > most ? run->needs[i].scratch : most;
	run->work = lm_arena_alloc(&run->memory, most, (size_t)lm_pool_jobs(run->pool), err);
	return run->work != NULL ? 0 : -1;
}

/* Forms of a node's weights that pay for these shapes; they stay when shapes change. */
static int
suit_node(struct loom_run *run, size_t i, struct lm_arena *arena, struct loom_error *err)
{
	struct lm_matrix *w;
	size_t k;

	for (k = 0; k < LM_SLOTS; k++) {
		w = &run->prepared[i][k].matrix;
		if (w->rows != NULL && run->needs[i].rows[k] > (run->passing ? ONCE : 0) &&
		    lm_matrix_suit(w, run->needs[i].rows[k], run->kernels, arena, err) < 0)
			return -1;
	}
	return 0;
}

static int
suit_weights(struct loom_run *run, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < run->model->n_nodes && !run->passing; i++)
		if (suit_node(run, i, &run->arena, err) < 0)
			return -1;
	return 0;
}

/* What pays from the second time on that a plan is used. */
static int
settle(struct loom_run *run, struct loom_error *err)
{
	struct lm_matrix *w;
	size_t i, k;

	for (i = 0; i < run->model->n_nodes && !run->settled && !run->passing; i++)
		for (k = 0; k < LM_SLOTS; k++) {
			w = &run->prepared[i][k].matrix;
			if (w->rows != NULL && run->needs[i].rows[k] > 0 &&
			    lm_matrix_settle(w, &run->arena, err) < 0)
				return -1;
		}
	run->settled = 1;
	return 0;
}

static int
plan(struct loom_run *run, struct loom_error *err)
{
	const struct loom_model *m = run->model;
	struct lm_arena *a = &run->memory;
	struct lm_shape *planned;
	struct buffer *list;
	size_t *last, i;
	int begins;

	run->planned = NULL;
	lm_arena_release(a);
	planned = lm_arena_alloc(a, m->n_inputs, sizeof(*planned), err);
	run->shapes = lm_arena_alloc(a, m->n_values, sizeof(*run->shapes), err);
	run->values = lm_arena_alloc(a, m->n_values, sizeof(*run->values), err);
	run->fed = lm_arena_alloc(a, m->n_values, sizeof(*run->fed), err);
	run->in = lm_arena_alloc(a, lm_model_widest(m), sizeof(*run->in), err);
	run->out = lm_arena_alloc(a, lm_model_widest(m), sizeof(*run->out), err);
	run->needs = lm_arena_alloc(a, m->n_nodes, sizeof(*run->needs), err);
	last = lm_arena_alloc(a, m->n_values, sizeof(*last), err);
	list = lm_arena_alloc(a, m->n_values, sizeof(*list), err);
	if (planned == NULL || run->shapes == NULL || run->values == NULL || run->fed == NULL ||
	    run->in == NULL || run->out == NULL || run->needs == NULL || last == NULL ||
	    list == NULL)
		return -1;
	begins = run->past.most > 0 && run->past.before == 0;
	if (begins && lm_past_begin(&run->past, m, run->wanted, err) < 0)
		return -1;
	if (lm_model_sizes(m, run->wanted, a, &run->sizes, err) < 0)
		return lm_run_fail_inputs(run, err);
	for (i = 0; i < m->n_nodes; i++)
		run->needs[i].positions = (size_t)run->past.most;
	if (lm_model_shapes(m, run->wanted, run->shapes, run->needs, err) < 0 ||
	    (begins && lm_past_keep(&run->past, m, run->needs, err) < 0) ||
	    place_all(run, last, list, err) < 0 || lm_run_place_fed(run, err) < 0 ||
	    place_scratch(run, err) < 0 || suit_weights(run, err) < 0)
		return -1;
	if (m->n_inputs > 0)
		memcpy(planned, run->wanted, m->n_inputs * sizeof(*planned));
	run->planned = planned;
	run->settled = 0;
	run->plans++;
	return 0;
}

/* ---- the run ---- */

/* What a node reads for an input. */
static struct lm_array
read_value(const struct loom_run *run, size_t value)
{
	static const struct lm_array absent;

	if (value == LM_ABSENT)
		return absent;
	return run->fed[value].shape != NULL ? run->fed[value] : run->values[value];
}

static int
run_node(struct loom_run *run, size_t i, struct loom_error *err)
{
	const struct lm_node *n = run->model->nodes[i];
	struct lm_call call = { n, run->in, run->out, run->prepared[i], run->kernels, run->pool,
		run->counts, run->work, run->room, &run->sizes, NULL, 0, 0 };
	size_t k;

	if (run->past.most > 0) {
		call.kept = run->past.kept[i];
		call.positions = (size_t)run->past.most;
		call.before = (size_t)run->past.before;
	}

	for (k = 0; k < n->n_in; k++)
		run->in[k] = read_value(run, n->in[k]);
	for (k = 0; k < n->n_out; k++)
		run->out[k] = run->values[n->out[k]];
	return n->op->forward(&call, err);
}

/* The same with weights that are there only meanwhile. */
static int
take_turn(struct loom_run *run, size_t i, struct loom_error *err)
{
	int r;

	if (!run->passing)
		return run_node(run, i, err);
	r = prepare_node(run, i, &run->turn, err);
	if (r == 0)
		r = suit_node(run, i, &run->turn, err);
	if (r == 0)
		r = run_node(run, i, err);
	run->prepared[i] = NULL;
	lm_arena_reuse(&run->turn);
	return r;
}

static void
seal(struct loom_run *run, size_t value)
{
	const struct lm_array *a = &run->values[value];
	uint64_t count;

	if (lm_shape_count(a->shape, &count) == 0)
		lm_seal(run->kernels->fn, a->shape->dtype, a->data, (size_t)count);
}

/* Results take the form in which they leave; once, because a value may be looked at twice. */
static void
seal_results(struct loom_run *run)
{
	const struct loom_model *m = run->model;
	size_t i;

	for (i = 0; i < m->n_outputs; i++)
		if (!run->keep || m->outputs[i] < m->n_inputs)
			seal(run, m->outputs[i]);
	for (i = m->n_inputs; run->keep && i < m->n_values; i++)
		seal(run, i);
}

static int
forward(struct loom_run *run, struct loom_error *err)
{
	const struct loom_model *m = run->model;
	size_t i, inputs = m->n_inputs * sizeof(*run->wanted);
	int r;

	for (i = 0; i < m->n_inputs; i++)
		if (run->given[i].data == NULL)
			return lm_fail(err, LOOM_EARG, "input %s is not given", m->inputs[i].name);
	if (run->past.most > 0 && lm_past_go_on(&run->past, m, run->wanted, err) < 0)
		return lm_run_fail_inputs(run, err);
	if (run->planned == NULL || (inputs > 0 && memcmp(run->planned, run->wanted, inputs) != 0))
		r = plan(run, err);
	else
		r = settle(run, err);
	if (r < 0)
		return -1;
	if (lm_run_convert(run, err) < 0)
		return -1;
	for (i = 0; i < m->n_nodes; i++)
		if (take_turn(run, i, err) < 0)
			return -1;
	lm_arena_release(&run->turn);
	run->past.before += run->past.piece;
	seal_results(run);
	return 0;
}

int
loom_run_forward(struct loom_run *run, struct loom_error *err)
{
	struct lm_fpenv saved;
	int r;

	run->whole = 0;
	lm_fpenv_set(&saved);
	r = forward(run, err);
	lm_fpenv_restore(&saved);
	return r < 0 ? lm_fail_in(err, run->model->name) : 0;
}

/* ---- results ---- */

static struct loom_tensor
view(const struct loom_run *run, size_t value)
{
	const struct lm_array *a = &run->values[value];
	struct loom_tensor t = { 0 };

	t.name = run->model->values[value].name;
	t.dtype = a->shape->dtype->name;
	t.rank = a->shape->rank;
	memcpy(t.shape, a->shape->dim, sizeof(t.shape));
	t.data = a->data;
	return t;
}

struct loom_tensor
loom_run_output(const struct loom_run *run, size_t i)
{
	return run->whole ? run->outputs[i] : view(run, run->model->outputs[i]);
}

size_t
loom_run_taps(const struct loom_run *run)
{
	return run->model->n_values - run->model->n_inputs;
}

struct loom_tensor
loom_run_tap(const struct loom_run *run, size_t i)
{
	return view(run, run->model->n_inputs + i);
}

void
loom_run_stages(const struct loom_run *run, uint64_t stages[3])
{
	int w, k;

	memset(stages, 0, 3 * sizeof(*stages));
	for (w = 0; w < lm_pool_jobs(run->pool); w++)
		for (k = 0; k < 3; k++)
			stages[k] += run->counts[w].stage[k];
}

uint64_t
loom_run_plans(const struct loom_run *run)
{
	return run->plans;
}
