/* unary: what operations share that make each float32 value from one. */
#ifndef LAYER_UNARY_H
#define LAYER_UNARY_H

#include "layer/layer.h"

/* y[0..n-1] from x[0..n-1]; y may be x. */
typedef void lm_unary_fn(const struct lm_call *c, float *y, const float *x, size_t n);

/* An operation's row. */
struct lm_unary {
	lm_unary_fn *apply;
};

int lm_unary_shape(const struct lm_shaping *, struct loom_error *) LOOM_MUST_CHECK;
int lm_unary_forward(const struct lm_call *, struct loom_error *) LOOM_MUST_CHECK;

/* By a function of one value. */
void lm_unary_each(float (*f)(float), float *y, const float *x, size_t n);

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
		.forward = lm_unary_forward,                         \
		__VA_ARGS__ }

#endif
