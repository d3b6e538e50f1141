/*
 * onnx_from_recurrent: LSTM, GRU and RNN of any producer: one of our nodes for each direction, which takes
 * [sample, time, element], between nodes that bring values into the operator's order and back.
 */
#include <string.h>
#include <strings.h>

#include "onnx/onnx_reads.h"
#include "layer/recurrent.h"

#define FROM(op, domain, least, most, reader)                                            \
	int lm_onnx_from_##reader(struct lm_onnx_reading *, const struct lm_onnx_node *, \
	    struct loom_error *);
#include "onnx/onnx.def"

enum { X, W, R, B, LENGTHS, H_0, C_0, PEEPHOLES };
enum { RESET_AFTER = LM_RECURRENT_PARAMS, ACTIVATION = LM_RECURRENT_PARAMS }; /* of gru, of rnn */

struct sequence {
	struct lm_onnx_reading *r;
	const struct lm_onnx_node *node;
	struct loom_error *err;
	const char *op, *order; /* ours, and where its gates stand */
	int64_t directions, layout, hidden;
	int backward; /* the first direction is */
	struct lm_onnx_known *x, *w, *u, *b, *state[2];
	struct lm_onnx_known *y[2][3]; /* of each direction: sequence, states */
};

/* ---- what there is nothing for ---- */

static int
refuse_attributes(const struct sequence *o)
{
	static const char *const none[] = { "clip", "activation_alpha", "activation_beta" };
	int64_t forget;
	size_t i;

	for (i = 0; i < 3; i++)
		if (lm_onnx_attribute(o->node, none[i]) != NULL)
			return lm_onnx_refuse(o->r, o->node, o->err, "%s", none[i]);
	if (lm_onnx_int(o->node, "input_forget", 0, &forget, o->err) < 0)
		return -1;
	return forget != 0 ? lm_onnx_refuse(o->r, o->node, o->err, "input_forget is 1") : 0;
}

/* Is activation k of each direction that one, or not said? */
static int
is_activation(const struct sequence *o, size_t per, size_t k, const char *name)
{
	const struct lm_onnx_attribute *a = lm_onnx_attribute(o->node, "activations");
	size_t d;

	for (d = 0; a != NULL && d < (size_t)o->directions; d++)
		if (a->type != LM_ONNX_IS_STRINGS || d * per + k >= a->n ||
		    strcasecmp(a->strings[d * per + k], name) != 0)
			return 0;
	return 1;
}

static int
refuse_activations(const struct sequence *o)
{
	static const char *const usual[] = { "Sigmoid", "Tanh", "Tanh" };
	size_t per = strcmp(o->op, "lstm") == 0 ? 3 : 2, k;

	if (strcmp(o->op, "rnn") == 0)
		return is_activation(o, 1, 0, "Tanh") || is_activation(o, 1, 0, "Relu")
		    ? 0
		    : lm_onnx_refuse(o->r, o->node, o->err,
			  "activations other than Tanh, or Relu, in all directions");
	for (k = 0; k < per; k++)
		if (!is_activation(o, per, k, usual[k]))
			return lm_onnx_refuse(o->r, o->node, o->err,
			    "activations other than Sigmoid and Tanh");
	return 0;
}

/* Is every sample as long as the sequence, whose extent is a number? */
static int
are_whole(const struct sequence *o, struct lm_onnx_known *lengths)
{
	struct lm_onnx_known *x = lm_onnx_in(o->r, o->node, X);
	int64_t steps = -1;

	if (x != NULL && x->ranked && x->dims.n == 3)
		steps = lm_onnx_fixed(&x->dims.dim[o->layout]);
	return steps >= 0 ? lm_onnx_all(o->r, lengths, (double)steps, o->err) : 0;
}

static int
refuse_inputs(const struct sequence *o)
{
	struct lm_onnx_known *lengths = lm_onnx_in(o->r, o->node, LENGTHS);
	struct lm_onnx_known *peepholes = lm_onnx_in(o->r, o->node, PEEPHOLES);
	int zero = peepholes != NULL ? lm_onnx_all(o->r, peepholes, 0, o->err) : 1;
	int whole = lengths != NULL ? are_whole(o, lengths) : 1;

	if (whole < 0)
		return -1;
	if (!whole)
		return lm_onnx_refuse(o->r, o->node, o->err,
		    "sequence_lens: here samples of a batch are equally long");
	if (zero == 0)
		return lm_onnx_refuse(o->r, o->node, o->err, "peepholes (input P)");
	return zero < 0 ? -1 : 0;
}

/* ---- what it is ---- */

static int
look_at_direction(struct sequence *o)
{
	const char *direction;

	if (lm_onnx_text(o->node, "direction", "forward", &direction, o->err) < 0 ||
	    lm_onnx_int(o->node, "layout", 0, &o->layout, o->err) < 0)
		return -1;
	o->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
	o->backward = strcmp(direction, "reverse") == 0;
	if (o->directions == 1 && !o->backward && strcmp(direction, "forward") != 0)
		return lm_onnx_refuse(o->r, o->node, o->err, "direction %.40s", direction);
	return 0;
}

static int
has_dims(const struct lm_onnx_known *k, unsigned rank, uint64_t first, uint64_t second)
{
	return k->tensor->rank == rank && k->tensor->dim[0] == first && k->tensor->dim[1] == second;
}

static int
look_at_weights(struct sequence *o, uint64_t gates)
{
	uint64_t d = (uint64_t)o->directions, h;
	int64_t hidden;

	o->x = lm_onnx_in(o->r, o->node, X);
	o->w = lm_onnx_in(o->r, o->node, W);
	o->u = lm_onnx_in(o->r, o->node, R);
	o->b = lm_onnx_in(o->r, o->node, B);
	if (o->x == NULL || o->w == NULL || o->u == NULL)
		return lm_onnx_refuse(o->r, o->node, o->err, "X, W or R is not given");
	if (!lm_onnx_is_weight(o->w) || !lm_onnx_is_weight(o->u) ||
	    (o->b != NULL && !lm_onnx_is_weight(o->b)))
		return lm_onnx_refuse(o->r, o->node, o->err, "W, R or B is no constant");
	h = o->u->tensor->rank == 3 ? o->u->tensor->dim[2] : 0;
	o->hidden = (int64_t)h;
	if (lm_onnx_int(o->node, "hidden_size", o->hidden, &hidden, o->err) < 0)
		return -1;
	if (hidden != o->hidden)
		return lm_onnx_refuse(o->r, o->node, o->err,
		    "hidden_size is %lld, but R has columns for %lld", (long long)hidden,
		    (long long)o->hidden);
	if (!has_dims(o->u, 3, d, gates * h) || !has_dims(o->w, 3, d, gates * h) ||
	    (o->b != NULL && !has_dims(o->b, 2, d, 2 * gates * h)))
		return lm_onnx_refuse(o->r, o->node, o->err,
		    "W, R and B are not [%d, %d hidden, ...]", (int)d, (int)gates);
	return 0;
}

/* Initial states; NULL: zeros. */
static int
look_at_states(struct sequence *o)
{
	size_t i, n = strcmp(o->op, "lstm") == 0 ? 2 : 1;
	int zero;

	for (i = 0; i < n; i++) {
		o->state[i] = lm_onnx_in(o->r, o->node, H_0 + i);
		zero = o->state[i] != NULL ? lm_onnx_all(o->r, o->state[i], 0, o->err) : 0;
		if (zero < 0)
			return -1;
		if (zero)
			o->state[i] = NULL;
	}
	return 0;
}

/* ---- values in our order ---- */

/* "what" and a direction's number, where there are two. */
static const char *
word(const struct sequence *o, const char *what, size_t d)
{
	char *text;

	if (o->directions == 1)
		return what;
	text = lm_arena_alloc(&o->r->arena, strlen(what) + 24, 1, o->err);
	if (text == NULL)
		return what;
	(void)snprintf(text, strlen(what) + 24, "%s.%zu", what, d);
	return text;
}

static struct lm_onnx_known *
with_list(const struct sequence *o, const char *what, const char *op, const char *param,
    struct lm_onnx_known *x, const int64_t *list, size_t n)
{
	struct lm_node *made = lm_onnx_begin(o->r, o->node, what, op, 1, &x, o->err);

	if (made == NULL || lm_onnx_set_list(o->r, made, param, list, n, o->err) < 0)
		return NULL;
	return lm_onnx_ended(o->r, o->node, what, made, o->err);
}

static struct lm_onnx_known *
turned(const struct sequence *o, const char *what, struct lm_onnx_known *x)
{
	static const int64_t perm[] = { 1, 0, 2 };

	return with_list(o, what, "transpose", "perm", x, perm, 3);
}

/* Entry d of an axis, which goes. */
static struct lm_onnx_known *
entry(const struct sequence *o, const char *what, struct lm_onnx_known *x, int64_t axis, size_t d)
{
	int64_t one = 1;
	struct lm_dim from = { NULL, (int64_t)d }, to = { NULL, (int64_t)d + 1 };
	const char *part = word(o, what, d);
	struct lm_node *made;

	if (o->directions > 1) {
		made = lm_onnx_begin(o->r, o->node, word(o, "state", d), "slice", 1, &x, o->err);
		if (made == NULL || lm_onnx_set_list(o->r, made, "axes", &axis, 1, o->err) < 0 ||
		    lm_onnx_set_dims(o->r, made, "starts", &from, 1, o->err) < 0 ||
		    lm_onnx_set_dims(o->r, made, "stops", &to, 1, o->err) < 0 ||
		    lm_onnx_set_list(o->r, made, "steps", &one, 1, o->err) < 0)
			return NULL;
		x = lm_onnx_ended(o->r, o->node, word(o, "state", d), made, o->err);
		if (x == NULL)
			return NULL;
	}
	return with_list(o, part, "squeeze", "axes", x, &axis, 1);
}

/* ---- weights ---- */

/* Part k of hidden entries of direction d. */
static int
put(const struct sequence *o, struct lm_node *n, size_t slot, const struct lm_onnx_known *k,
    size_t d, size_t part)
{
	struct lm_view v;
	unsigned i;

	if (lm_onnx_view(o->r, k, &v, o->err) < 0)
		return -1;
	lm_view_narrow(&v, 0, d, 1);
	lm_view_narrow(&v, 1, part * (uint64_t)o->hidden, (uint64_t)o->hidden);
	for (i = 1; i < v.rank; i++) {
		v.extent[i - 1] = v.extent[i];
		v.stride[i - 1] = v.stride[i];
	}
	v.rank--;
	return lm_onnx_put(o->r, n, slot, k, &v, o->err);
}

static int
put_all(const struct sequence *o, struct lm_node *n, size_t d)
{
	size_t gates = lm_recurrent_cell(n)->gates, g, gate;

	for (g = 0; g < gates; g++) {
		gate = (size_t)(o->order[g] - '0');
		if (put(o, n, gate * LM_PER_GATE + LM_GATE_W, o->w, d, g) < 0 ||
		    put(o, n, gate * LM_PER_GATE + LM_GATE_U, o->u, d, g) < 0)
			return -1;
		if (o->b != NULL &&
		    (put(o, n, gate * LM_PER_GATE + LM_GATE_B, o->b, d, g) < 0 ||
			put(o, n, lm_recurrent_second(n) + gate, o->b, d, gates + g) < 0))
			return -1;
	}
	return 0;
}

/* ---- nodes ---- */

static int
set_params(const struct sequence *o, struct lm_node *n, size_t d)
{
	n->param[LM_INPUT].i = (int64_t)o->w->tensor->dim[2];
	n->param[LM_HIDDEN].i = o->hidden;
	n->param[LM_BIASES].i = o->b != NULL ? 2 : 0;
	n->param[LM_DIRECTION].i = o->backward || d == 1 ? LM_BACKWARD : LM_FORWARD;
	if (strcmp(o->op, "gru") == 0)
		return lm_onnx_int(o->node, "linear_before_reset", 0, &n->param[RESET_AFTER].i,
		    o->err);
	if (strcmp(o->op, "rnn") == 0)
		n->param[ACTIVATION].i = !is_activation(o, 1, 0, "Tanh");
	return 0;
}

/* Does anybody read output k? */
static int
is_read(const struct sequence *o, size_t k)
{
	struct lm_onnx_known *out = k < o->node->n_out && o->node->out[k][0] != '\0'
	    ? lm_onnx_find(o->r, o->node->out[k])
	    : NULL;

	return out != NULL && out->users > 0;
}

/* One direction. */
static int
walk(struct sequence *o, size_t d, struct lm_onnx_known *x)
{
	static const char *const names[] = { "y", "h_n", "c_n" };
	struct lm_onnx_known *in[3] = { x, NULL, NULL };
	const char *out[3];
	size_t n_in = 1, n_out = 1, i;
	struct lm_node *n;

	for (i = 0; i < 2; i++) {
		if (o->state[i] == NULL)
			continue;
		in[1 + i] = entry(o, i == 0 ? "h_0" : "c_0", o->state[i], o->layout, d);
		if (in[1 + i] == NULL)
			return -1;
		n_in = 2 + i;
	}
	for (i = 1; i < 3; i++)
		n_out = is_read(o, i) ? i + 1 : n_out;
	n = lm_onnx_new_node(o->r, o->node, o->op, n_in, in, o->err);
	if (n == NULL || set_params(o, n, d) < 0)
		return -1;
	for (i = 0; i < n_out; i++) {
		out[i] = lm_onnx_between(o->r, o->node, word(o, names[i], d), o->err);
		if (out[i] == NULL)
			return -1;
	}
	if (put_all(o, n, d) < 0 || lm_onnx_end_node(o->r, n, out, n_out, o->err) < 0)
		return -1;
	for (i = 0; i < n_out; i++)
		o->y[d][i] = lm_onnx_find(o->r, out[i]);
	return 0;
}

/* Output k: that of each direction with an axis more, joined along it; under the file's name. */
static int
give(const struct sequence *o, size_t k, int64_t axis)
{
	struct lm_onnx_known *part[2];
	const char *name = o->node->out[k];
	struct lm_node *made;
	size_t d;

	if (!is_read(o, k))
		return 0;
	for (d = 0; d < (size_t)o->directions; d++) {
		part[d] = o->y[d][k];
		if (k == 0 && o->layout == 0)
			part[d] = turned(o, word(o, "time", d), part[d]);
		if (part[d] == NULL)
			return -1;
		if (o->directions > 1)
			part[d] = with_list(o,
			    word(o,
				k == 0	     ? "stack"
				    : k == 1 ? "h"
					     : "c",
				d),
			    "unsqueeze", "axes", part[d], &axis, 1);
		if (part[d] == NULL)
			return -1;
	}
	made = lm_onnx_new_node(o->r, o->node, o->directions > 1 ? "concat" : "unsqueeze",
	    (size_t)o->directions, part, o->err);
	if (made == NULL)
		return -1;
	if (o->directions > 1)
		lm_onnx_set(made, "axis", axis);
	else if (lm_onnx_set_list(o->r, made, "axes", &axis, 1, o->err) < 0)
		return -1;
	return lm_onnx_end_node(o->r, made, &name, 1, o->err);
}

static int
read(struct lm_onnx_reading *r, const struct lm_onnx_node *node, const char *op, const char *order,
    struct loom_error *err)
{
	struct sequence o = { .r = r, .node = node, .err = err, .op = op, .order = order };
	struct lm_onnx_known *x;
	size_t d, k;

	if (look_at_direction(&o) < 0 || refuse_attributes(&o) < 0 || refuse_activations(&o) < 0 ||
	    refuse_inputs(&o) < 0 || look_at_weights(&o, strlen(order)) < 0 ||
	    look_at_states(&o) < 0)
		return -1;
	x = o.layout == 0 ? turned(&o, "batch", o.x) : o.x;
	for (d = 0; d < (size_t)o.directions; d++)
		if (x == NULL || walk(&o, d, x) < 0)
			return -1;
	for (k = 0; k < node->n_out; k++)
		if (give(&o, k, k == 0 ? (o.layout ? 2 : 1) : o.layout) < 0)
			return -1;
	return 0;
}

int
lm_onnx_from_lstm(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct loom_error *err)
{
	return read(r, node, "lstm", "0312", err);
}

int
lm_onnx_from_gru(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	return read(r, node, "gru", "102", err);
}

int
lm_onnx_from_rnn(struct lm_onnx_reading *r, const struct lm_onnx_node *node, struct loom_error *err)
{
	return read(r, node, "rnn", "0", err);
}
