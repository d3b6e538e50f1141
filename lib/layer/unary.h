/* unary: what operations share that make each float32 value from one. */
#ifndef LAYER_UNARY_H
#define LAYER_UNARY_H

#include "layer/pieces.h"

/* y[0..n-1] from x[0..n-1]; y may be x. */
typedef void lm_unary_fn(const struct lm_call *c, float *y, const float *x, size_t n);

/* An operation's row. */
struct lm_unary {
	lm_unary_fn *apply;
};

int lm_unary_shape(const struct lm_shaping *, struct loom_error *) LOOM_MUST_CHECK;
int lm_unary_forward(const struct lm_call *, struct loom_error *) LOOM_MUST_CHECK;

/* So many values at once where a step between two loops is kept in an array. */
enum { LM_UNARY_STRIP = 256 };

/* The operation NAME, whose apply_NAME stands before; what follows ABOUT are further members. */
#define LM_UNARY(NAME, ACTIVATION, ABOUT, ...)                       \
	static const struct lm_unary row_##NAME = { apply_##NAME };  \
	const struct lm_layer_ops lm_layer_##NAME = { .name = #NAME, \
		.cell = -1,                                          \
		.activation = ACTIVATION,                            \
		.in_least = 1,                                       \
		.in_most = 1,                                        \
		.out_least = 1,                                      \
		.out_most = 1,                                       \
		.about = ABOUT,                                      \
		.row = &row_##NAME,                                  \
		.shape = lm_unary_shape,                             \
		.pieces = lm_pieces_each,                            \
		.forward = lm_unary_forward,                         \
		__VA_ARGS__ }

#endif
