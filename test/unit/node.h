/* node: one operation alone, its parameters set by key, called as a run calls it. */
#ifndef UNIT_NODE_H
#define UNIT_NODE_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer/layer.h"

struct alone {
	struct lm_node node;
	struct lm_dim list[LM_PARAMS][LOOM_RANK];
	struct lm_prepared slot[LM_SLOTS];
	const struct lm_kernels *kernels; /* NULL: plain C */
	struct lm_counts counts;	  /* of the last run */
	struct lm_arena arena;
	struct loom_error err;
};

static inline void
alone_start(struct alone *o, const char *op, size_t inputs)
{
	enum lm_param_kind kind;
	size_t i;

	memset(o, 0, sizeof(*o));
	o->node.name = "y";
	o->node.op = lm_layer_find(op);
	assert(o->node.op != NULL);
	o->node.n_in = inputs;
	o->node.n_out = 1;
	for (i = 0; i < lm_layer_params(o->node.op); i++) {
		kind = o->node.op->params[i].kind;
		if (kind == LM_IS_INTS || kind == LM_IS_DIMS)
			o->node.param[i].dims.dim = o->list[i];
	}
}

static inline size_t
alone_param(const struct alone *o, const char *key)
{
	int i = lm_layer_param(o->node.op, key);

	assert(i >= 0);
	return (size_t)i;
}

static inline void
alone_int(struct alone *o, const char *key, int64_t v)
{
	o->node.param[alone_param(o, key)].i = v;
}

static inline void
alone_list(struct alone *o, const char *key, size_t n, const int *v)
{
	size_t param = alone_param(o, key), i;

	for (i = 0; i < n; i++)
		o->list[param][i] = (struct lm_dim){ NULL, v[i] };
	o->node.param[param].dims = (struct lm_dims){ n, o->list[param] };
}

/* A float32 slot, in the memory of a machine that keeps numbers as files do. */
static inline void
alone_weight(struct alone *o, const char *name, const float *v, size_t n)
{
	int i = lm_layer_slot(o->node.op, name);

	assert(i >= 0);
	o->node.weight[i] = (struct lm_weight){ .dtype = lm_dtype_get(LM_F32),
		.data = (const unsigned char *)v,
		.count = n,
		.bytes = n * sizeof(*v),
		.scale = 1 };
}

/* The shape of the result, 0, or -1 and a message in o->err. */
static inline int
alone_shape(struct alone *o, const struct lm_shape *in, struct lm_shape *y)
{
	struct lm_shaping s = { &o->node, in, y, NULL };
	size_t i;

	memset(&o->err, 0, sizeof(o->err));
	for (i = 0; i < lm_layer_params(o->node.op); i++)
		if (lm_param_check(&o->node, i, &o->err) < 0)
			return -1;
	if (o->node.op->check != NULL && o->node.op->check(&o->node, &o->err) < 0)
		return -1;
	return o->node.op->shape(&s, &o->err);
}

/* With the inner loops of the i-th set that this machine has, or of the first ones again. */
static inline void
alone_use(struct alone *o, size_t i)
{
	size_t n;

	for (n = 0; lm_kernels_at(n) != NULL; n++)
		;
	lm_arena_release(&o->arena);
	o->kernels = lm_kernels_at(i % n);
}

/* y must have room for the result.  Weights are prepared by the first run. */
static inline int
alone_run(struct alone *o, const struct lm_array *in, const struct lm_shape *shape, void *y,
    int jobs)
{
	struct lm_shape out;
	struct lm_array result = { &out, y };
	struct lm_shaping s = { &o->node, shape, &out, NULL };
	const struct lm_kernels *kernels = o->kernels != NULL ? o->kernels : &lm_kernels_scalar;
	struct lm_preparing p = { &o->node, o->slot, kernels, &o->arena };
	struct lm_counts counts[8] = { 0 };
	struct lm_call call = { .node = &o->node, .in = in, .out = &result, .slot = o->slot };
	size_t scratch = 0, i;
	int r;

	if (alone_shape(o, shape, &out) < 0)
		return -1;
	if (o->arena.blocks == NULL && o->node.op->prepare != NULL)
		assert(o->node.op->prepare(&p, &o->err) == 0);
	if (o->node.op->plan != NULL)
		assert(o->node.op->plan(&s, &scratch, &o->err) == 0);
	call.kernels = kernels;
	call.room = aligned_alloc(64, (kernels->room * (size_t)jobs + 63) / 64 * 64);
	call.counts = counts;
	call.scratch = malloc(scratch * (size_t)jobs + 1);
	assert(call.room != NULL && call.scratch != NULL &&
	    lm_pool_new(&call.pool, jobs, &o->err) == 0);
	memset(call.scratch, 0xff, scratch * (size_t)jobs); /* NaNs, should somebody read them */
	r = o->node.op->forward(&call, &o->err);
	memset(&o->counts, 0, sizeof(o->counts));
	for (i = 0; i < 3 * (size_t)jobs; i++)
		o->counts.stage[i % 3] += counts[i / 3].stage[i % 3];
	lm_pool_free(call.pool);
	free(call.room);
	free(call.scratch);
	return r;
}

/* The operation refuses inputs of these shapes, and says so in these words. */
static inline void
alone_refuses(struct alone *o, const struct lm_shape *in, const char *text)
{
	struct lm_shape y;

	if (alone_shape(o, in, &y) < 0 && strcmp(o->err.text, text) == 0)
		return;
	fprintf(stderr, "%s: \"%s\", not \"%s\"\n", o->node.op->name, o->err.text, text);
	exit(1);
}

#endif
