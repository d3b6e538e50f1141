/*
 * recurrent: rnn, lstm and gru by every kernel set against their definitions written as they read, with
 * sums by the exact accumulator: each sum is of inputs and state together, also where the two cancel.
 */
#include <math.h>

#include "num/func.h"
#include "rig.h"

enum { MOST = 4 }; /* gates */

struct tried {
	const char *op;
	size_t samples, steps, in, hidden;
	int biases, backward, after; /* after: reset_after of gru, relu of rnn */
	int cancelled;		     /* the first step's inputs and states cancel but for biases */
	int special;		     /* infinities and NaNs among the inputs */
};

/* What the definition needs of a node, gate by gate. */
struct weights {
	size_t gates, in, hidden;
	const float *w[MOST], *u[MOST], *b[MOST], *b2[MOST];
};

static const char *const gates[3][MOST + 1] = { { "" }, { "_i", "_f", "_g", "_o" },
	{ "_r", "_z", "_n" } };

/* ---- the definition ---- */

/* [x, h] times a row of [W, U], and those of the biases that are wanted. */
static float
joint(const struct weights *w, size_t gate, size_t unit, const float *x, const float *h, int first,
    int second)
{
	float left[512], right[512], bias[2];
	size_t k = 0, i, n = 0;

	for (i = 0; x != NULL && i < w->in; i++) {
		left[k] = x[i];
		right[k++] = w->w[gate][unit * w->in + i];
	}
	for (i = 0; h != NULL && i < w->hidden; i++) {
		left[k] = h[i];
		right[k++] = w->u[gate][unit * w->hidden + i];
	}
	if (first && w->b[gate] != NULL)
		bias[n++] = w->b[gate][unit];
	if (second && w->b2[gate] != NULL)
		bias[n++] = w->b2[gate][unit];
	return lm_xdot_exact(left, right, k, bias, n, 1);
}

static float
gate(const struct weights *w, size_t g, size_t unit, const float *x, const float *h)
{
	return joint(w, g, unit, x, h, 1, 1);
}

static void
lstm_step(const struct weights *w, const float *x, float *h, double *c)
{
	float next[256];
	size_t j;

	for (j = 0; j < w->hidden; j++) {
		float i = lm_sigmoid(gate(w, 0, j, x, h)), f = lm_sigmoid(gate(w, 1, j, x, h));
		float g = lm_tanh(gate(w, 2, j, x, h)), o = lm_sigmoid(gate(w, 3, j, x, h));
		double kept = f * c[j];

		c[j] = kept + (double)i * g;
		next[j] = o * lm_tanh((float)c[j]);
	}
	memcpy(h, next, w->hidden * sizeof *h);
}

static void
rnn_step(const struct weights *w, int relu, const float *x, float *h)
{
	float next[256];
	size_t j;

	for (j = 0; j < w->hidden; j++)
		next[j] = relu ? lm_relu(gate(w, 0, j, x, h)) : lm_tanh(gate(w, 0, j, x, h));
	memcpy(h, next, w->hidden * sizeof *h);
}

static void
gru_step(const struct weights *w, int after, const float *x, float *h)
{
	float next[256], m[256];
	size_t j;

	for (j = 0; j < w->hidden; j++)
		m[j] = lm_sigmoid(gate(w, 0, j, x, h)) * h[j];
	for (j = 0; j < w->hidden; j++) {
		float z = lm_sigmoid(gate(w, 1, j, x, h)), n = gate(w, 2, j, x, m);
		double kept;

		if (after)
			n = (float)(joint(w, 2, j, x, NULL, 1, 0) +
			    (double)lm_sigmoid(gate(w, 0, j, x, h)) *
				joint(w, 2, j, NULL, h, 0, 1));
		kept = (1 - (double)z) * lm_tanh(n);
		next[j] = (float)(kept + (double)z * h[j]);
	}
	memcpy(h, next, w->hidden * sizeof *h);
}

/* One sample's sequence; y and the last states. */
static void
define(const struct tried *t, const struct weights *w, const float *x, float *h, float *y)
{
	double c[256] = { 0 };
	size_t s, at;

	for (s = 0; s < t->steps; s++) {
		at = t->backward ? t->steps - 1 - s : s;
		if (strcmp(t->op, "lstm") == 0)
			lstm_step(w, x + at * t->in, h, c);
		else if (strcmp(t->op, "gru") == 0)
			gru_step(w, t->after, x + at * t->in, h);
		else
			rnn_step(w, t->after, x + at * t->in, h);
		memcpy(y + at * t->hidden, h, t->hidden * sizeof *y);
	}
}

/* ---- cases ---- */

static const float *
slot_values(const struct rig *r, const char *what, const char *gate_name)
{
	char name[8];
	int i;

	(void)snprintf(name, sizeof name, "%s%s", what, gate_name);
	i = lm_layer_slot(r->node.op, name);
	return i >= 0 ? (const float *)(const void *)r->node.weight[i].data : NULL;
}

static struct weights
weights_of(const struct rig *r, const struct tried *t)
{
	int kind = strcmp(t->op, "lstm") == 0 ? 1 : strcmp(t->op, "gru") == 0 ? 2 : 0;
	struct weights w = { .in = t->in, .hidden = t->hidden };
	size_t g;

	for (g = 0; gates[kind][g] != NULL; g++) {
		w.w[g] = slot_values(r, "W", gates[kind][g]);
		w.u[g] = slot_values(r, "U", gates[kind][g]);
		w.b[g] = slot_values(r, "b", gates[kind][g]);
		w.b2[g] = slot_values(r, "b2", gates[kind][g]);
	}
	w.gates = g;
	return w;
}

/*
 * Inputs of the first step that are the states turned about, and weights that are the states' so, but
 * for the sign: the two halves of a sum have the same terms in another order.
 */
static void
cancel(const struct tried *t, const struct weights *w, float *x, const float *h0)
{
	size_t first = t->backward ? t->steps - 1 : 0, n = t->in, i, j, g;

	assert(t->in == t->hidden);
	for (g = 0; g < w->gates; g++)
		for (i = 0; i < n * n; i++)
			((float *)(uintptr_t)w->w[g])[i] = -w->u[g][i - i % n + (n - 1 - i % n)];
	for (i = 0; i < t->samples; i++)
		for (j = 0; j < n; j++)
			x[(i * t->steps + first) * n + j] = h0[i * n + n - 1 - j];
}

static size_t
compare(const struct tried *t, const struct rig *r, const float *expected, int jobs)
{
	size_t n = t->samples * t->steps * t->hidden, i;
	const float *y = r->result[0];

	for (i = 0; i < n; i++) {
		if (lm_bits32(y[i]) == lm_bits32(expected[i]) ||
		    (isnan(y[i]) && isnan(expected[i])))
			continue;
		fprintf(stderr,
		    "%s, %s: %zu samples, %zu steps, %zu in, %zu units, %d threads: "
		    "[%zu] is %a, not %a\n",
		    rig_kernels->name, t->op, t->samples, t->steps, t->in, t->hidden, jobs, i,
		    (double)y[i], (double)expected[i]);
		exit(1);
	}
	return n;
}

/* Numbers of 24 bits of one size have sums without any rounding: these are of many sizes. */
static void
spread(struct rig *r, uint64_t *seed)
{
	size_t i, k;

	for (i = 0; i < LM_SLOTS; i++)
		for (k = 0; r->node.weight[i].data != NULL && k < r->node.weight[i].count; k++)
			((float *)(uintptr_t)r->node.weight[i].data)[k] *= ldexpf(1,
			    -(int)(draw_bits(seed) % 16));
}

static void
start(struct rig *r, const struct tried *t, uint64_t *seed)
{
	rig_init(r, t->op, 2, 1);
	set(r, "input_size", (int64_t)t->in);
	set(r, "hidden_size", (int64_t)t->hidden);
	set(r, "biases", t->biases);
	set(r, "direction", t->backward);
	if (strcmp(t->op, "gru") == 0)
		set(r, "reset_after", t->after);
	if (strcmp(t->op, "rnn") == 0)
		set(r, "activation", t->after);
	draw_weights(r, seed);
	spread(r, seed);
}

static size_t
try_all(const struct tried *t, uint64_t seed)
{
	size_t rows = t->samples * t->steps, checked = 0, i;
	float *x, *h0, *expected;
	struct weights w;
	struct rig r;

	start(&r, t, &seed);
	w = weights_of(&r, t);
	x = drawn(&r, &seed, rows * t->in + 1);
	h0 = drawn(&r, &seed, t->samples * t->hidden);
	expected = drawn(&r, &seed, rows * t->hidden + 1);
	if (t->cancelled)
		cancel(t, &w, x, h0);
	for (i = 0; t->special && i < 3; i++)
		x[draw_bits(&seed) % (rows * t->in)] = i == 0 ? HUGE_VALF
		    : i == 1				      ? NAN
							      : -HUGE_VALF;
	for (i = 0; i < t->samples; i++) {
		float h[256];

		memcpy(h, h0 + i * t->hidden, t->hidden * sizeof *h);
		define(t, &w, x + i * t->steps * t->in, h, expected + i * t->steps * t->hidden);
	}
	input(&r, 0, x, (const int[]){ (int)t->samples, (int)t->steps, (int)t->in, NONE });
	input(&r, 1, h0, (const int[]){ (int)t->samples, (int)t->hidden, NONE });
	for (i = 0; lm_kernels_at(i) != NULL; i++) {
		rig_kernels = lm_kernels_at(i);
		rig_run(&r, 1 + 2 * (int)(i % 2));
		checked += compare(t, &r, expected, 1 + 2 * (int)(i % 2));
	}
	rig_release(&r);
	return checked;
}

int
main(void)
{
	static const struct tried tries[] = {
		/* units about a panel's, steps beyond those whose inputs are multiplied at once */
		{ "lstm", 1, 60, 5, 17, 2, 0, 0, 0, 0 },
		{ "lstm", 3, 25, 33, 16, 1, 1, 0, 0, 0 },
		{ "lstm", 70, 2, 3, 15, 0, 0, 0, 0, 0 },
		{ "gru", 2, 30, 7, 18, 2, 0, 1, 0, 0 },
		{ "gru", 5, 20, 4, 33, 2, 1, 0, 0, 0 },
		{ "gru", 2, 3, 20, 16, 1, 0, 1, 0, 0 },
		{ "rnn", 1, 130, 3, 9, 1, 1, 0, 0, 0 },
		{ "rnn", 4, 6, 40, 31, 2, 0, 1, 0, 0 },
		/* so many samples that inputs and states are multiplied together */
		{ "lstm", 20, 3, 9, 19, 2, 1, 0, 0, 0 },
		{ "gru", 13, 3, 6, 20, 1, 0, 0, 0, 0 },
		{ "gru", 14, 3, 6, 15, 2, 1, 1, 0, 0 },
		{ "rnn", 12, 4, 5, 33, 2, 0, 0, 0, 0 },
		{ "gru", 15, 3, 6, 20, 1, 1, 0, 0, 1 },
		/* sums whose first stage says nothing, as one of inputs and state */
		{ "lstm", 3, 2, 40, 40, 2, 0, 0, 1, 0 },
		{ "gru", 2, 2, 37, 37, 1, 1, 0, 1, 0 },
		{ "gru", 2, 2, 37, 37, 2, 0, 1, 1, 0 },
		{ "rnn", 5, 2, 19, 19, 0, 0, 1, 1, 0 },
		{ "lstm", 3, 7, 6, 20, 1, 0, 0, 0, 1 },
		{ "gru", 3, 7, 6, 20, 2, 1, 0, 0, 1 },
		{ "rnn", 3, 7, 6, 20, 2, 0, 1, 0, 1 },
	};
	size_t checked = 0, i;

	for (i = 0; i < sizeof tries / sizeof *tries; i++)
		checked += try_all(&tries[i], 100 + i);
	printf("recurrent: %zu states\n", checked);
	return 0;
}
