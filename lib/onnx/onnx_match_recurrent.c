/* onnx_match_recurrent: what onnx_to_recurrent.c writes, proposed from the operator in its middle. */
#include <string.h>

#include "onnx/onnx_match.h"
#include "layer/recurrent.h"

enum { RESET_AFTER = LM_RECURRENT_PARAMS, ACTIVATION = LM_RECURRENT_PARAMS }; /* of gru, of rnn */
enum { X, W, R, B, LENGTHS, H_0, C_0 };

/* The operator, and the order of its gates in terms of ours. */
struct middle {
	struct lm_onnx_proposal *p;
	const struct lm_onnx_node *at;
	const char *order;
	uint64_t hidden, in;
	int lengths; /* samples have their own */
};

static int
is(const struct lm_onnx_node *n, const char *op)
{
	return n != NULL && strcmp(n->op, op) == 0;
}

/* ---- weights ---- */

/* Part k of the second axis of a tensor, of hidden entries. */
static int
put_part(const struct middle *m, size_t slot, const struct lm_onnx_tensor *t, uint64_t k,
    struct loom_error *err)
{
	struct lm_view v;
	unsigned i;

	lm_onnx_order(t, &v);
	lm_view_narrow(&v, 1, k * m->hidden, m->hidden);
	for (i = 1; i < v.rank; i++) {
		v.extent[i - 1] = v.extent[i];
		v.stride[i - 1] = v.stride[i];
	}
	v.rank--;
	return lm_onnx_propose_slot(m->p, slot, t, &v, err);
}

/* Are all values of the second half -0: is there one bias only? */
static int
is_single(const struct lm_onnx_tensor *t, struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	const unsigned char *from = lm_onnx_values(t, &arena, err);
	uint64_t i, n = from != NULL ? t->count : 0;
	size_t size = t->type == LM_ONNX_FLOAT ? 4 : 2, k;
	int single = from != NULL ? 1 : -1;

	/* Of all three types -0 is a sign and zeros. */
	for (i = n / 2; i < n; i++)
		for (k = 0; k < size; k++)
			single &= from[i * size + k] == (k + 1 == size ? 0x80 : 0);
	lm_arena_release(&arena);
	return single;
}

/* How many there are, or -1. */
static int
count_biases(const struct middle *m, const struct lm_onnx_tensor *t, struct loom_error *err)
{
	size_t gates = lm_recurrent_cell(m->p->node)->gates;
	int single;

	if (t == NULL)
		return 0;
	if ((t->type != LM_ONNX_FLOAT && t->type != LM_ONNX_FLOAT16 &&
		t->type != LM_ONNX_BFLOAT16) ||
	    t->rank != 2 || t->dim[0] != 1 || t->dim[1] != 2 * gates * m->hidden)
		return 2;
	single = is_single(t, err);
	return single < 0 ? -1 : 2 - single;
}

static int
put_biases(const struct middle *m, const struct lm_onnx_tensor *t, struct loom_error *err)
{
	const struct lm_node *n = m->p->node;
	size_t gates = lm_recurrent_cell(n)->gates, g, slot;

	for (g = 0; g < gates * (size_t)n->param[LM_BIASES].i; g++) {
		slot = (size_t)(m->order[g % gates] - '0');
		slot = g < gates ? slot * LM_PER_GATE + LM_GATE_B : lm_recurrent_second(n) + slot;
		if (put_part(m, slot, t, g, err) < 0)
			return -1;
	}
	return 0;
}

/* 1, 0 where the file's operator is no single one with stored weights, -1. */
static int
put_weights(struct middle *m, struct loom_error *err)
{
	const struct lm_onnx_matching *f = m->p->file;
	const struct lm_onnx_tensor *w = lm_onnx_stored(f, lm_onnx_arg(m->at, W));
	const struct lm_onnx_tensor *u = lm_onnx_stored(f, lm_onnx_arg(m->at, R)), *b = NULL;
	struct lm_node *n = m->p->node;
	size_t gates = lm_recurrent_cell(n)->gates, g;
	struct loom_error quiet = { 0 };
	int64_t hidden;

	if (m->at->n_in > B && lm_onnx_arg(m->at, B)[0] != '\0') {
		b = lm_onnx_stored(f, lm_onnx_arg(m->at, B));
		if (b == NULL)
			return 0;
	}
	if (w == NULL || u == NULL || w->rank != 3 || u->rank != 3 || w->dim[0] != 1 ||
	    u->dim[0] != 1 || w->dim[1] % gates != 0 || u->dim[1] != w->dim[1] ||
	    u->dim[2] != w->dim[1] / gates)
		return 0;
	m->hidden = w->dim[1] / gates;
	m->in = w->dim[2];
	if (lm_onnx_int(m->at, "hidden_size", (int64_t)m->hidden, &hidden, &quiet) < 0 ||
	    hidden != (int64_t)m->hidden)
		return 0;
	if (b != NULL && (b->rank != 2 || b->dim[0] != 1 || b->dim[1] != 2 * w->dim[1]))
		return 0;
	n->param[LM_INPUT].i = (int64_t)m->in;
	n->param[LM_HIDDEN].i = (int64_t)m->hidden;
	n->param[LM_BIASES].i = count_biases(m, b, err);
	if (n->param[LM_BIASES].i < 0)
		return -1;
	for (g = 0; g < gates; g++)
		if (put_part(m, (size_t)(m->order[g] - '0') * LM_PER_GATE + LM_GATE_W, w, g, err) <
			0 ||
		    put_part(m, (size_t)(m->order[g] - '0') * LM_PER_GATE + LM_GATE_U, u, g, err) <
			0)
			return -1;
	return b != NULL && put_biases(m, b, err) < 0 ? -1 : 1;
}

/* ---- what surrounds it ---- */

/* The rank of the input, which it is behind Unsqueeze, Transpose, or Reshape and Transpose. */
static int
find_input(const struct middle *m)
{
	const struct lm_onnx_matching *f = m->p->file;
	const struct lm_onnx_node *first = lm_onnx_before(f, m->at, X, NULL), *flat, *shape;
	struct loom_error quiet = { 0 };
	int64_t rank = 3;

	if (m->lengths && is(first, "ReverseSequence"))
		first = lm_onnx_before(f, first, 0, NULL);
	if (!is(first, "Unsqueeze") && !is(first, "Transpose"))
		return 0;
	m->p->in[0] = lm_onnx_arg(first, 0);
	if (is(first, "Unsqueeze"))
		rank = 2;
	flat = lm_onnx_before(f, first, 0, "Reshape");
	shape = flat != NULL ? lm_onnx_before(f, flat, 1, "Concat") : NULL;
	shape = shape != NULL ? lm_onnx_before(f, shape, 1, "Shape") : NULL;
	if (rank == 3 && shape != NULL &&
	    strcmp(lm_onnx_arg(shape, 0), lm_onnx_arg(flat, 0)) == 0) {
		if (lm_onnx_int(shape, "end", 0, &rank, &quiet) < 0 || rank < 4)
			rank = 3;
		m->p->in[0] = rank > 3 ? lm_onnx_arg(flat, 0) : lm_onnx_arg(first, 0);
	}
	m->p->rank[0] = (unsigned)rank;
	return rank <= LOOM_RANK;
}

/* A state [..., h] on its way in, or out. */
static int
find_state(const struct middle *m, size_t input)
{
	const struct lm_onnx_node *before;
	size_t k = H_0 + (input - LM_H0);

	if (k >= m->at->n_in || lm_onnx_arg(m->at, k)[0] == '\0')
		return 1;
	before = lm_onnx_before(m->p->file, m->at, k, m->p->rank[0] > 3 ? "Reshape" : "Unsqueeze");
	if (before == NULL)
		return 0;
	m->p->in[input] = lm_onnx_arg(before, 0);
	if (m->p->n_in <= input)
		m->p->n_in = input + 1;
	return 1;
}

/* The lengths, behind Cast, and Reshape where samples are not one axis. */
static int
find_lengths(const struct middle *m)
{
	const struct lm_onnx_node *cast = lm_onnx_before(m->p->file, m->at, LENGTHS, "Cast");
	size_t input = lm_recurrent_lengths(m->p->node);

	if (!m->lengths)
		return 1;
	if (cast != NULL && m->p->rank[0] != 3)
		cast = lm_onnx_before(m->p->file, cast, 0, "Reshape");
	if (cast == NULL)
		return 0;
	m->p->in[input] = lm_onnx_arg(cast, 0);
	m->p->n_in = input + 1;
	return 1;
}

/* A state before axes are taken away: where samples have lengths, it is chosen. */
static const char *
state_of(const struct middle *m, size_t k)
{
	const struct lm_onnx_matching *f = m->p->file;
	const struct lm_onnx_node *n;

	if (!m->lengths)
		return m->at->out[k];
	if (k == LM_H_N) {
		n = lm_onnx_read_by(f, lm_onnx_result(m->at), "GatherElements");
		n = n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), "Squeeze") : NULL;
		n = n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), "Where") : NULL;
	} else {
		n = lm_onnx_read_by(f, m->at->out[k], "Where");
	}
	return n != NULL ? lm_onnx_result(n) : "";
}

static int
find_states_out(const struct middle *m)
{
	const struct lm_onnx_node *after;
	size_t k;

	for (k = LM_H_N; k < m->at->n_out; k++) {
		after = lm_onnx_read_by(m->p->file, state_of(m, k),
		    m->p->rank[0] > 3 ? "Reshape" : "Squeeze");
		if (after == NULL)
			return 0;
		m->p->out[k] = lm_onnx_result(after);
		m->p->n_out++;
	}
	return 1;
}

/* The sequence in time, with what stands behind the samples' ends; NULL: none has an end of its own. */
static const struct lm_onnx_node *
find_filled(const struct middle *m)
{
	const struct lm_onnx_matching *f = m->p->file;
	static const char *const back[] = { "Squeeze", "ReverseSequence", "Unsqueeze" };
	const struct lm_onnx_node *n = m->at;
	size_t i;

	if (!m->lengths)
		return n;
	for (i = 0; i < 3 && m->p->node->param[LM_DIRECTION].i == LM_BACKWARD && n != NULL; i++)
		n = lm_onnx_read_by(f, lm_onnx_result(n), back[i]);
	return n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), "Where") : NULL;
}

static int
find_output(const struct middle *m)
{
	const struct lm_onnx_matching *f = m->p->file;
	const struct lm_onnx_node *n = find_filled(m);

	n = n != NULL ? lm_onnx_read_by(f, lm_onnx_result(n), NULL) : NULL;
	m->p->node->param[LM_ORDER].i = is(n, "Slice");
	if (is(n, "Slice"))
		n = lm_onnx_read_by(f, lm_onnx_result(n), NULL);
	if (is(n, "Squeeze") && m->p->rank[0] > 2)
		n = lm_onnx_read_by(f, lm_onnx_result(n), "Transpose");
	if (n != NULL && m->p->rank[0] > 3)
		n = lm_onnx_read_by(f, lm_onnx_result(n), "Reshape");
	if (n == NULL)
		return 0;
	m->p->out[0] = lm_onnx_result(n);
	m->p->n_out = 1;
	return find_states_out(m);
}

/* ---- as other exporters write it ---- */

/* Is that list, an attribute or an input that is stored, these n? */
static int
is_list(const struct lm_onnx_matching *f, const struct lm_onnx_node *n, const char *attribute,
    size_t input, const int64_t *want, size_t count)
{
	const struct lm_onnx_tensor *t = lm_onnx_stored(f, lm_onnx_arg(n, input));
	const struct lm_onnx_node *made = lm_onnx_before(f, n, input, "Constant");
	const struct lm_onnx_attribute *value = made != NULL ? lm_onnx_attribute(made, "value")
							     : NULL;
	struct loom_error quiet = { 0 };
	struct lm_arena arena = { 0 };
	const unsigned char *from;
	const int64_t *list;
	size_t found;
	int same;

	if (attribute != NULL && lm_onnx_ints(n, attribute, &list, &found, &quiet) == 0 &&
	    found > 0)
		return found == count && memcmp(list, want, count * sizeof(*want)) == 0;
	if (value != NULL && value->type == LM_ONNX_IS_TENSOR)
		t = value->tensor;
	if (t == NULL || t->type != LM_ONNX_INT64 || t->count != count)
		return 0;
	from = lm_onnx_values(t, &arena, &quiet);
	same = from != NULL && memcmp(from, want, count * sizeof(*want)) == 0;
	lm_arena_release(&arena);
	return same;
}

static int
is_turn(const struct lm_onnx_matching *f, const struct lm_onnx_node *n)
{
	static const int64_t perm[] = { 1, 0, 2 };

	return is(n, "Transpose") && is_list(f, n, "perm", 1, perm, 3);
}

/* The operator without anything that is not usual. */
static int
is_usual(const struct lm_onnx_node *n)
{
	static const char *const usual[] = { "hidden_size", "direction", "linear_before_reset" };
	size_t i, k, known = 0;

	for (i = 0; i < n->n_attributes; i++)
		for (k = 0; k < 3; k++)
			known += strcmp(n->attributes[i].name, usual[k]) == 0;
	return known == n->n_attributes && n->n_in <= C_0 + 1 &&
	    (n->n_in <= LENGTHS || n->in[LENGTHS][0] == '\0');
}

/* Behind Transpose, and before Squeeze and Transpose, so that samples come first: states are zeros. */
static int
propose_turned(struct lm_onnx_proposal *p, const struct lm_onnx_node *at)
{
	static const int64_t one[] = { 1 };
	const struct lm_onnx_node *first = lm_onnx_before(p->file, at, X, NULL);
	const struct lm_onnx_node *squeeze = lm_onnx_read_by(p->file, lm_onnx_result(at),
	    "Squeeze");
	const struct lm_onnx_node *last;
	size_t k;

	last = squeeze != NULL ? lm_onnx_read_by(p->file, lm_onnx_result(squeeze), NULL) : NULL;
	if (!is_usual(at) || !is_turn(p->file, first) || last == NULL || !is_turn(p->file, last) ||
	    !is_list(p->file, squeeze, "axes", 1, one, 1))
		return 0;
	p->rank[0] = 3;
	p->in[0] = lm_onnx_arg(first, 0);
	p->n_in = 1;
	for (k = H_0; k < at->n_in; k++)
		if (at->in[k][0] != '\0') {
			p->in[LM_H0 + (k - H_0)] = at->in[k];
			p->n_in = LM_H0 + (k - H_0) + 1;
			p->zeros |= 1u << (LM_H0 + (k - H_0));
		}
	p->out[0] = lm_onnx_result(last);
	p->n_out = 1;
	p->taken[p->n_taken++] = first;
	p->taken[p->n_taken++] = at;
	p->taken[p->n_taken++] = squeeze;
	p->taken[p->n_taken++] = last;
	return 2;
}

/* ---- from the operator ---- */

static int
propose(struct lm_onnx_proposal *p, const struct lm_onnx_node *at, const char *order, int foreign,
    struct loom_error *err)
{
	struct middle m = { .p = p, .at = at, .order = order };
	struct loom_error quiet = { 0 };
	const char *direction;
	size_t k;
	int r;

	if (at->n_in <= R || at->n_out == 0 ||
	    lm_onnx_text(at, "direction", "forward", &direction, &quiet) < 0)
		return 0;
	m.lengths = lm_onnx_arg(at, LENGTHS)[0] != '\0';
	p->node->param[LM_DIRECTION].i = m.lengths
	    ? is(lm_onnx_before(p->file, at, X, NULL), "ReverseSequence")
	    : strcmp(direction, "reverse") == 0;
	r = put_weights(&m, err);
	if (r != 1)
		return r;
	if (foreign)
		return propose_turned(p, at);
	if (!find_input(&m))
		return 0;
	p->n_in = 1;
	for (k = LM_H0; k < lm_recurrent_lengths(p->node); k++)
		if (!find_state(&m, k))
			return 0;
	return find_lengths(&m) ? find_output(&m) : 0;
}

static int
propose_gru(struct lm_onnx_proposal *p, const struct lm_onnx_node *at, int foreign,
    struct loom_error *err)
{
	struct loom_error quiet = { 0 };

	if (lm_onnx_int(at, "linear_before_reset", 0, &p->node->param[RESET_AFTER].i, &quiet) < 0)
		return 0;
	return propose(p, at, "102", foreign, err);
}

int
lm_onnx_propose_lstm(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	return propose(p, at, "0312", 0, err);
}

int
lm_onnx_propose_lstm_turned(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	return propose(p, at, "0312", 1, err);
}

int
lm_onnx_propose_gru(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	return propose_gru(p, at, 0, err);
}

int
lm_onnx_propose_gru_turned(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	return propose_gru(p, at, 1, err);
}

int
lm_onnx_propose_rnn(struct lm_onnx_proposal *p, const struct lm_onnx_node *at,
    struct loom_error *err)
{
	const struct lm_onnx_attribute *a = lm_onnx_attribute(at, "activations");

	p->node->param[ACTIVATION].i = a != NULL && a->type == LM_ONNX_IS_STRINGS && a->n > 0 &&
	    strcmp(a->strings[0], "Relu") == 0;
	return propose(p, at, "0", 0, err);
}
