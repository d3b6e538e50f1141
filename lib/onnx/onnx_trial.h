/*
 * onnx_trial: shapes of an ONNX file's values without algebra.  Each name of a dimension stands for a
 * number in each of a few trials; the operations' own shape functions, and small integers that the file
 * computes from shapes, are carried along in all of them.  An extent is a constant where it is the same
 * in all trials, else the expression of names that gives its numbers in each of them.
 */
#ifndef FORMAT_ONNX_TRIAL_H
#define FORMAT_ONNX_TRIAL_H

#include "onnx/onnx.h"

enum { LM_ONNX_TRIALS = 26 };

/* What the trials gave for one value. */
struct lm_onnx_tried {
	struct lm_shape shape[LM_ONNX_TRIALS];
	/* Small numbers that the file makes of extents: in each trial a tensor, of one type and dims. */
	const struct lm_onnx_tensor *small[LM_ONNX_TRIALS];
};

struct lm_onnx_trials {
	size_t n;			     /* that there are */
	unsigned char alive[LM_ONNX_TRIALS]; /* no operation refused its sizes */
	struct lm_sizes sizes[LM_ONNX_TRIALS];
};

/* An expression and what it is in each trial. */
struct lm_onnx_term {
	const char *text;
	int64_t value[LM_ONNX_TRIALS];
};

/* Names must be told before anything is tried; at most 1 of each. */
int lm_onnx_trials_begin(struct lm_onnx_reading *, const char *const *names, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
/* A value's shapes where its dims are declared. */
int lm_onnx_try_dims(struct lm_onnx_reading *, struct lm_onnx_known *,
    struct loom_error *) LOOM_MUST_CHECK;
/* A node of the network, whose inputs have been tried: what is known of its outputs. */
int lm_onnx_try_node(struct lm_onnx_reading *, const struct lm_node *,
    struct lm_onnx_known *const *out, struct loom_error *) LOOM_MUST_CHECK;
/*
 * The integer, or the expression, that has these values in the living trials; near are terms that it may
 * be made of, the likeliest first.  "?" where none is found.
 */
int lm_onnx_fit(struct lm_onnx_reading *, const int64_t value[LM_ONNX_TRIALS],
    const struct lm_onnx_term *near, size_t n_near, struct lm_dim *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The extents of a value that are no integers, as terms: at most LOOM_RANK of them; how many. */
size_t lm_onnx_terms(const struct lm_onnx_known *, struct lm_onnx_term *);
/* The first trial that lives. */
size_t lm_onnx_alive(const struct lm_onnx_reading *);
/* Room for what trials give of a value, if there is none yet. */
int lm_onnx_tried(struct lm_onnx_reading *, struct lm_onnx_known *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
