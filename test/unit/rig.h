/* rig: one node with its weights and inputs, run as a run does it, without a model. */
#ifndef UNIT_RIG_H
#define UNIT_RIG_H

#include "layer/layer.h"
#include "vectors.h"

enum { TENSORS = 4, NONE = -1 };

/* A node with its weights, and what goes in and comes out. */
struct rig {
	struct lm_node node;
	size_t in_index[TENSORS];
	struct lm_shape in[TENSORS], out[TENSORS];
	void *data[TENSORS];
	float *result[TENSORS];
	struct lm_arena arena;
};

static struct loom_error none;

/* The inner loops of all rigs. */
static const struct lm_kernels *rig_kernels = &lm_kernels_scalar;

static inline union lm_value *
param(struct rig *r, const char *key)
{
	int i = lm_layer_param(r->node.op, key);

	assert(i >= 0);
	return &r->node.param[i];
}

static inline void
set(struct rig *r, const char *key, int64_t value)
{
	param(r, key)->i = value;
}

static inline void
rig_init(struct rig *r, const char *op, size_t n_in, size_t n_out)
{
	size_t i;

	memset(r, 0, sizeof *r);
	r->node.name = "n";
	r->node.op = lm_layer_find(op);
	assert(r->node.op != NULL);
	r->node.n_in = n_in;
	r->node.n_out = n_out;
	r->node.in = r->in_index;
	for (i = 0; i < TENSORS; i++)
		r->in_index[i] = LM_ABSENT;
}

static inline void
rig_release(struct rig *r)
{
	size_t i;

	for (i = 0; i < TENSORS; i++)
		free(r->result[i]);
	lm_arena_release(&r->arena);
}

static inline uint64_t
count_of(const struct lm_shape *s)
{
	uint64_t n;

	assert(lm_shape_count(s, &n) == 0);
	return n;
}

/* A slot takes its values from v; returns how many. */
static inline size_t
weight(struct rig *r, const char *slot, const float *v)
{
	struct lm_shape s;
	int i = lm_layer_slot(r->node.op, slot);

	assert(i >= 0 && lm_slot_wanted(&r->node, (size_t)i));
	assert(lm_slot_shape(&r->node, (size_t)i, &s, &none) == 0);
	r->node.weight[i].dtype = lm_dtype_get(LM_F32);
	r->node.weight[i].data = (const unsigned char *)v;
	r->node.weight[i].count = count_of(&s);
	r->node.weight[i].scale = 1;
	return (size_t)count_of(&s);
}

/* An input of given extents, ended by NONE. */
static inline void
input(struct rig *r, size_t i, void *data, const int *extents)
{
	r->in_index[i] = i;
	r->in[i].dtype = lm_dtype_get(LM_F32);
	for (r->in[i].rank = 0; *extents != NONE; extents++)
		r->in[i].dim[r->in[i].rank++] = (uint64_t)*extents;
	r->data[i] = data;
}

static inline float *
drawn(struct rig *r, uint64_t *seed, size_t n)
{
	float *v = lm_arena_alloc(&r->arena, n, sizeof *v, &none);
	size_t i;

	assert(v != NULL);
	for (i = 0; i < n; i++)
		v[i] = draw(seed);
	return v;
}

/* Draws the weights of all slots that are wanted. */
static inline void
draw_weights(struct rig *r, uint64_t *seed)
{
	size_t i, n = lm_layer_slots(r->node.op);
	struct lm_shape s;

	for (i = 0; i < n; i++)
		if (lm_slot_wanted(&r->node, i)) {
			assert(lm_slot_shape(&r->node, i, &s, &none) == 0);
			(void)weight(r, r->node.op->slots[i].name,
			    drawn(r, seed, (size_t)count_of(&s)));
		}
}

/* Shapes, preparation, plan and forward, as a run does them; returns what forward does. */
static inline int
rig_try(struct rig *r, int jobs, struct loom_error *err)
{
	static const struct lm_sizes no_names;
	struct lm_shaping shaping = { &r->node, r->in, r->out, &no_names };
	struct lm_prepared slots[LM_SLOTS] = { { .f32 = NULL } };
	struct lm_preparing preparing = { &r->node, slots, rig_kernels, &r->arena };
	struct lm_array in[TENSORS] = { { NULL, NULL } }, out[TENSORS] = { { NULL, NULL } };
	struct lm_counts *counts = lm_arena_alloc(&r->arena, (size_t)jobs, sizeof *counts, &none);
	struct lm_call call = { .node = &r->node,
		.in = in,
		.out = out,
		.slot = slots,
		.kernels = rig_kernels,
		.counts = counts };
	size_t i, scratch = 0;
	int answer;

	assert(r->node.op->check(&r->node, &none) == 0 && counts != NULL);
	assert(r->node.op->shape(&shaping, &none) == 0);
	assert(r->node.op->prepare(&preparing, &none) == 0);
	assert(r->node.op->plan(&shaping, &scratch, &none) == 0);
	for (i = 0; i < LM_SLOTS && r->node.op->rows != NULL; i++)
		if (slots[i].matrix.rows != NULL && r->node.op->rows(&shaping, i) > 0)
			assert(lm_matrix_suit(&slots[i].matrix, r->node.op->rows(&shaping, i),
				   rig_kernels, &r->arena, &none) == 0);
	for (i = 0; i < r->node.n_in; i++)
		in[i] = (struct lm_array){ r->in_index[i] == LM_ABSENT ? NULL : &r->in[i],
			r->data[i] };
	for (i = 0; i < r->node.n_out; i++) {
		free(r->result[i]);
		r->result[i] = malloc(count_of(&r->out[i]) * sizeof(float) + 1);
		assert(r->result[i] != NULL);
		out[i] = (struct lm_array){ &r->out[i], r->result[i] };
	}
	call.scratch = lm_arena_alloc(&r->arena, scratch, (size_t)jobs, &none);
	call.room = lm_arena_alloc(&r->arena, (size_t)jobs, rig_kernels->room, &none);
	assert(
	    call.room != NULL && call.scratch != NULL && lm_pool_new(&call.pool, jobs, &none) == 0);
	answer = r->node.op->forward(&call, err);
	lm_pool_free(call.pool);
	return answer;
}

static inline void
rig_run(struct rig *r, int jobs)
{
	assert(rig_try(r, jobs, &none) == 0);
}

#endif
