/* run: what one execution of a model consists of. */
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "base/pool.h"
#include "model/past.h"

struct loom_run {
	const struct loom_model *model;
	const struct lm_kernels *kernels;
	struct lm_pool *pool;
	struct lm_counts *counts;      /* one per worker */
	struct lm_prepared **prepared; /* one array per node */
	struct loom_tensor *given;     /* one per input; data NULL: not set */
	struct lm_shape *wanted;       /* shapes of the given inputs */
	struct loom_tensor *feeds;     /* one per value, data NULL: not fed; NULL: none is */
	const char *from;	       /* where inputs come from, for messages; NULL: nobody said */
	int keep;
	struct lm_past past;
	/* of the last sequence that was cut into pieces: whole outputs, while whole */
	struct lm_arena pieces;
	struct loom_tensor *outputs;
	int whole;
	uint64_t plans;
	struct lm_arena arena;
	/* Weights are read for each node when its turn comes, into here, and not kept. */
	int passing;
	struct lm_arena turn;
	/* the present plan */
	struct lm_arena memory;
	struct lm_shape *planned; /* input shapes that it is for; NULL: no plan */
	int settled;		  /* it has been used more than once */
	struct lm_shape *shapes;
	struct lm_sizes sizes;
	struct lm_array *values;
	struct lm_array *fed;	   /* what nodes read instead of a value; shape NULL: the value */
	struct lm_array *in, *out; /* of the node that runs */
	void *room;		   /* of each worker, for products */
	struct lm_needs *needs;	   /* of each node */
	void *work;
};

/* Room for each fed value beside the value itself, which is still computed. */
int lm_run_place_fed(struct loom_run *, struct loom_error *) LOOM_MUST_CHECK;
/* Inputs and fed values, in the forms of a run. */
int lm_run_convert(struct loom_run *, struct loom_error *) LOOM_MUST_CHECK;
/* What is said of inputs comes to name where they are from; always -1. */
int lm_run_fail_inputs(const struct loom_run *, struct loom_error *);
/* What is said of a value comes to name whose it is; always -1. */
int lm_run_fail_value(const char *what, const char *name, struct loom_error *);

#endif
