/*
 * onnx_to_norm: the norms, softmax and log_softmax.  Where ours has no gamma or beta and the operator
 * demands one, a node Constant holds ones or zeros below 0, which change no bit.
 */
#include "onnx/onnx_frame.h"

/* The slot, or so many times v where the node has none. */
static const char *
slot_or(struct lm_onnx_writing *w, const struct lm_node *n, size_t slot, float v, uint64_t count,
    struct loom_error *err)
{
	if (lm_slot_wanted(n, slot))
		return lm_onnx_slot(w, n, slot, err);
	return lm_onnx_filling(w, n, n->op->slots[slot].name, v, count, err);
}

static int
add_int(struct lm_onnx_writing *w, struct lm_onnx_node *to, const char *name, int64_t v,
    struct loom_error *err)
{
	return to != NULL ? lm_onnx_add_int(w->to, to, name, v, err) : -1;
}

/* ---- over the last axis ---- */

enum { DIM, EPS, SCALE, OFFSET };
enum { GAMMA, BETA };

LM_ONNX_WRITER(layernorm)
{
	const char *in[3] = { lm_onnx_input(w, n, 0), NULL, NULL };
	struct lm_onnx_node *at;

	in[1] = slot_or(w, n, GAMMA, 1, (uint64_t)n->param[DIM].i, err);
	if (n->param[OFFSET].i)
		in[2] = lm_onnx_slot(w, n, BETA, err);
	at = lm_onnx_last(w, n, "LayerNormalization", n->param[OFFSET].i ? 3 : 2, in, err);
	if (add_int(w, at, "axis", -1, err) < 0)
		return -1;
	return lm_onnx_add_real(w, at, "epsilon", n, EPS, err);
}

/* The mean along the last axis, which stays: its number is an attribute before opset 18, then an input. */
static const char *
last_mean(struct lm_onnx_writing *w, const struct lm_node *n, const char *x, struct loom_error *err)
{
	static const int64_t last = -1;
	struct lm_onnx_node *at;

	if (w->opset < 18) {
		at = LM_ONNX_STEP(w, n, "mean", "ReduceMean", err, x);
		if (at != NULL && lm_onnx_add_ints(w->to, at, "axes", &last, 1, err) < 0)
			return NULL;
	} else {
		at = LM_ONNX_STEP(w, n, "mean", "ReduceMean", err, x,
		    lm_onnx_list(w, n, "axes", &last, 1, err));
	}
	return add_int(w, at, "keepdims", 1, err) == 0 ? at->out[0] : NULL;
}

static int
rmsnorm_in_steps(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const char *x = lm_onnx_input(w, n, 0), *v, *eps, *y, *gamma;

	v = LM_ONNX_MADE(w, n, "square", "Mul", err, x, x);
	v = last_mean(w, n, v, err);
	eps = lm_onnx_param_scalar(w, n, EPS, err);
	v = LM_ONNX_MADE(w, n, "shifted", "Add", err, v, eps);
	v = LM_ONNX_MADE(w, n, "root", "Sqrt", err, v);
	y = LM_ONNX_MADE(w, n, "normal", "Div", err, x, v);
	gamma = slot_or(w, n, GAMMA, 1, (uint64_t)n->param[DIM].i, err);
	return LM_ONNX_LAST(w, n, "Mul", err, y, gamma) != NULL ? 0 : -1;
}

LM_ONNX_WRITER(rmsnorm)
{
	struct lm_onnx_node *at;

	if (w->opset < 23)
		return rmsnorm_in_steps(w, n, err);
	at = LM_ONNX_LAST(w, n, "RMSNormalization", err, lm_onnx_input(w, n, 0),
	    slot_or(w, n, GAMMA, 1, (uint64_t)n->param[DIM].i, err));
	if (add_int(w, at, "axis", -1, err) < 0)
		return -1;
	return lm_onnx_add_real(w, at, "epsilon", n, EPS, err);
}

/* ---- over a batch ---- */

enum { BATCH_DIM, BATCH_AXIS, BATCH_EPS, BATCH_SCALE, BATCH_OFFSET };
enum { BATCH_GAMMA, BATCH_BETA, BATCH_MEAN, BATCH_VAR };

/* The operator's channels are axis 1: all that is before another one is made one axis. */
LM_ONNX_WRITER(batchnorm)
{
	uint64_t dim = (uint64_t)n->param[BATCH_DIM].i;
	static const int64_t any = -1;
	const char *in[5], *last, *shape;
	struct lm_onnx_node *at;
	int framed = n->param[BATCH_AXIS].i != 1;

	in[0] = lm_onnx_input(w, n, 0);
	if (framed) {
		last = lm_onnx_extents_from(w, n, "last", in[0], n->param[BATCH_AXIS].i, err);
		at = LM_ONNX_STEP(w, n, "flat_shape", "Concat", err,
		    lm_onnx_list(w, n, "any", &any, 1, err), last);
		shape = add_int(w, at, "axis", 0, err) == 0 ? at->out[0] : NULL;
		in[0] = LM_ONNX_MADE(w, n, "flat", "Reshape", err, in[0], shape);
	}
	in[1] = slot_or(w, n, BATCH_GAMMA, 1, dim, err);
	in[2] = slot_or(w, n, BATCH_BETA, -0.0f, dim, err);
	in[3] = lm_onnx_slot(w, n, BATCH_MEAN, err);
	in[4] = lm_onnx_slot(w, n, BATCH_VAR, err);
	at = framed ? lm_onnx_step(w, n, "norm", "BatchNormalization", 5, in, err)
		    : lm_onnx_last(w, n, "BatchNormalization", 5, in, err);
	if (lm_onnx_add_real(w, at, "epsilon", n, BATCH_EPS, err) < 0)
		return -1;
	return framed ? lm_onnx_as_input(w, n, lm_onnx_input(w, n, 0), at->out[0], err) : 0;
}

/* ---- over groups of channels ---- */

enum { CHANNELS, GROUP_EPS, GROUP_SCALE, GROUP_OFFSET, GROUPS };

LM_ONNX_WRITER(instancenorm)
{
	static const int64_t flat[] = { 0, 0, -1 };
	uint64_t channels = (uint64_t)n->param[CHANNELS].i;
	int framed = lm_onnx_input_rank(w, n, 0) < 3;
	struct lm_onnx_node *at;
	const char *in[3];

	in[0] = lm_onnx_input(w, n, 0);
	if (framed)
		in[0] = LM_ONNX_MADE(w, n, "flat", "Reshape", err, in[0],
		    lm_onnx_list(w, n, "flat_shape", flat, 3, err));
	in[1] = slot_or(w, n, GAMMA, 1, channels, err);
	in[2] = slot_or(w, n, BETA, -0.0f, channels, err);
	at = framed ? lm_onnx_step(w, n, "norm", "InstanceNormalization", 3, in, err)
		    : lm_onnx_last(w, n, "InstanceNormalization", 3, in, err);
	if (lm_onnx_add_real(w, at, "epsilon", n, GROUP_EPS, err) < 0)
		return -1;
	return framed ? lm_onnx_as_input(w, n, lm_onnx_input(w, n, 0), at->out[0], err) : 0;
}

/* gamma or beta as [channels, 1]. */
static const char *
by_channel(struct lm_onnx_writing *w, const struct lm_node *n, size_t slot, struct loom_error *err)
{
	struct lm_shape shape = { NULL, 2, { (uint64_t)n->param[CHANNELS].i, 1 } };

	return lm_onnx_ordered(w, n, slot, &shape, NULL, err);
}

/* A group is an instance of [batch, groups, values]; gamma and beta come to [batch, channels, values]. */
static int
groupnorm_in_steps(struct lm_onnx_writing *w, const struct lm_node *n, struct loom_error *err)
{
	const int64_t grouped[] = { 0, n->param[GROUPS].i, -1 };
	const int64_t channels[] = { 0, n->param[CHANNELS].i, -1 };
	uint64_t groups = (uint64_t)n->param[GROUPS].i;
	const char *x = lm_onnx_input(w, n, 0), *y, *ones, *zeros;
	struct lm_onnx_node *at;

	y = LM_ONNX_MADE(w, n, "grouped", "Reshape", err, x,
	    lm_onnx_list(w, n, "groups", grouped, 3, err));
	ones = lm_onnx_inner_filling(w, n, "ones", 1, groups, err);
	zeros = lm_onnx_inner_filling(w, n, "zeros", -0.0f, groups, err);
	at = LM_ONNX_STEP(w, n, "norm", "InstanceNormalization", err, y, ones, zeros);
	if (lm_onnx_add_real(w, at, "epsilon", n, GROUP_EPS, err) < 0)
		return -1;
	y = at->out[0];
	y = LM_ONNX_MADE(w, n, "by_channel", "Reshape", err, y,
	    lm_onnx_list(w, n, "channels", channels, 3, err));
	if (n->param[GROUP_SCALE].i)
		y = LM_ONNX_MADE(w, n, "scaled", "Mul", err, y, by_channel(w, n, GAMMA, err));
	if (n->param[GROUP_OFFSET].i)
		y = LM_ONNX_MADE(w, n, "offset", "Add", err, y, by_channel(w, n, BETA, err));
	return lm_onnx_as_input(w, n, x, y, err);
}

/* Before opset 21 the operator had a gamma and a beta for each group, not for each channel. */
LM_ONNX_WRITER(groupnorm)
{
	uint64_t channels = (uint64_t)n->param[CHANNELS].i;
	const char *in[3] = { lm_onnx_input(w, n, 0), NULL, NULL };
	struct lm_onnx_node *at;

	if (w->opset < 21)
		return groupnorm_in_steps(w, n, err);
	in[1] = slot_or(w, n, GAMMA, 1, channels, err);
	in[2] = slot_or(w, n, BETA, -0.0f, channels, err);
	at = lm_onnx_last(w, n, "GroupNormalization", 3, in, err);
	if (add_int(w, at, "num_groups", n->param[GROUPS].i, err) < 0)
		return -1;
	return lm_onnx_add_real(w, at, "epsilon", n, GROUP_EPS, err);
}

/* ---- softmax ---- */

enum { AXIS };

static int
along_axis(struct lm_onnx_writing *w, const struct lm_node *n, const char *op,
    struct loom_error *err)
{
	struct lm_onnx_node *at = lm_onnx_alone(w, n, op, err);

	return add_int(w, at, "axis", n->param[AXIS].i, err);
}

LM_ONNX_WRITER(softmax)
{
	return along_axis(w, n, "Softmax", err);
}

LM_ONNX_WRITER(log_softmax)
{
	return along_axis(w, n, "LogSoftmax", err);
}
