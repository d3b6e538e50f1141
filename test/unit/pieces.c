/*
 * pieces: a run that takes sequences in pieces gives the bits of the whole sequence, however it is
 * cut, for every set of kernels; new sequences; and what it refuses, in which words.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>

#include "loom.h"
#include "model/model.h"
#include "vectors.h"

enum { WIDE = 6, LONG = 70, BATCH = 5, WEIGHTS = 1 << 15 };

/* ---- networks of two attention layers with a norm between them ---- */

struct net {
	int heads, kv_heads, head_dim, value_dim, rope;
	struct loom_model *model;
	float weights[WEIGHTS];
};

static void
set(struct lm_node *n, const char *key, int64_t v)
{
	int i = lm_layer_param(n->op, key);

	assert(i >= 0);
	n->param[i].i = v;
}

static void
set_real(struct lm_node *n, const char *key, double v)
{
	n->param[lm_layer_param(n->op, key)].real = v;
}

static void
put_weights(struct net *net, struct lm_node *n)
{
	struct loom_error err = { 0 };
	size_t i;

	for (i = 0; i < lm_layer_slots(n->op); i++) {
		if (!lm_slot_wanted(n, i))
			continue;
		assert(lm_node_put(n, i, lm_dtype_get(LM_F32), 1, &err) == 0);
		assert(n->weight[i].count + i * 7 <= WEIGHTS);
		n->weight[i].data = (const unsigned char *)(net->weights + i * 7);
	}
}

static void
add_attention(struct net *net, const char *name)
{
	struct loom_error err = { 0 };
	struct lm_node *n = lm_model_add_node(net->model, name, lm_layer_find("attention"), &err);

	assert(n != NULL);
	set(n, "d_model", WIDE);
	set(n, "key_features", WIDE);
	set(n, "value_features", WIDE);
	set(n, "out_features", WIDE);
	set(n, "num_heads", net->heads);
	set(n, "num_kv_heads", net->kv_heads);
	set(n, "head_dim", net->head_dim);
	set(n, "value_dim", net->value_dim);
	set(n, "k_bias", 1);
	set(n, "causal", 1);
	set(n, "rope", net->rope);
	set_real(n, "rope_base", net->rope != 0 ? 100 : NAN);
	set_real(n, "scale", NAN);
	assert(lm_node_check(net->model, n, &err) == 0);
	put_weights(net, n);
}

static void
make(struct net *net)
{
	static const struct lm_dim wide[1] = { { NULL, WIDE } };
	struct loom_error err = { 0 };
	struct lm_node *n;
	uint64_t seed = 7;
	size_t i;

	for (i = 0; i < WEIGHTS; i++)
		net->weights[i] = draw(&seed);
	assert(lm_model_new(&net->model, "net", &err) == 0);
	assert(lm_model_add_input(net->model, "x", lm_dtype_get(LM_F32), 1,
		   (struct lm_dims){ 1, wide }, &err) == 0);
	add_attention(net, "first");
	n = lm_model_add_node(net->model, "norm", lm_layer_find("rmsnorm"), &err);
	set(n, "dim", WIDE);
	set(n, "scale", 1);
	set_real(n, "eps", 1e-5);
	assert(lm_node_check(net->model, n, &err) == 0);
	put_weights(net, n);
	add_attention(net, "second");
	assert(lm_model_add_output(net->model, "second", &err) == 0);
	assert(lm_model_check(net->model, &err) == 0);
}

/* ---- pieces ---- */

static float x[BATCH * LONG * WIDE], whole[BATCH * LONG * WIDE];

/* Positions from..from+n-1 of the first samples. */
static int
forward(struct loom_run *run, uint64_t batch, uint64_t from, uint64_t n, struct loom_error *err)
{
	static float piece[BATCH * LONG * WIDE];
	struct loom_tensor t = { "x", "float32", 3, { batch, n, WIDE }, piece };
	size_t i;

	for (i = 0; i < batch; i++)
		memcpy(piece + i * n * WIDE, x + (i * LONG + from) * WIDE, n * WIDE * sizeof(*x));
	memset(err, 0, sizeof(*err));
	return loom_run_set(run, 0, &t, err) < 0 ? -1 : loom_run_forward(run, err);
}

static void
check_piece(struct loom_run *run, uint64_t batch, uint64_t from, uint64_t n)
{
	struct loom_error err;
	const float *y;
	size_t i;

	assert(forward(run, batch, from, n, &err) == 0);
	y = loom_run_output(run, 0).data;
	for (i = 0; i < batch; i++)
		assert(memcmp(y + i * n * WIDE, whole + (i * LONG + from) * WIDE,
			   n * WIDE * sizeof(*y)) == 0);
}

/* The lengths of pieces in turn, until the sequence is over. */
static void
check_cut(struct loom_run *run, uint64_t batch, const uint64_t *pieces)
{
	uint64_t from, n;
	size_t i = 0;

	loom_run_forget(run);
	for (from = 0; from < LONG; from += n) {
		n = pieces[i] < LONG - from ? pieces[i] : LONG - from;
		check_piece(run, batch, from, n);
		i = pieces[i + 1] != 0 ? i + 1 : 0;
	}
}

static void
check_net(const struct net *net, int jobs)
{
	static const uint64_t cuts[][8] = { { LONG, 0 }, { 3, 0 }, { 7, 0 }, { 1, 0 }, { 16, 0 },
		{ 15, 1, 17, 0 }, { 5, 1, 1, 1, 33, 2, 0 }, { 45, 25, 0 } };
	struct loom_error err = { 0 };
	struct loom_run *run;
	size_t i, batch;

	assert(loom_run_new(&run, net->model, jobs, &err) == 0);
	assert(forward(run, BATCH, 0, LONG, &err) == 0);
	memcpy(whole, loom_run_output(run, 0).data, sizeof(whole));
	assert(loom_run_cache(run, LONG, &err) == 0);
	for (batch = 1; batch <= BATCH; batch += BATCH - 1)
		for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
			check_cut(run, batch, cuts[i]);
	loom_run_free(run);
}

/*
 * Grouped keys, one head for all, values whose rows fill panels and others, rope both ways; at the last
 * more in all samples than is worked on together.
 */
static size_t
check_nets(void)
{
	static const int kinds[][5] = { { 4, 2, 4, 3, 1 }, { 2, 2, 6, 16, 2 }, { 3, 1, 5, 32, 0 },
		{ 1, 1, 17, 1, 1 }, { 4, 2, 4, 1100, 1 } };
	const struct lm_kernels *k;
	static struct net net;
	size_t i, set;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		net.heads = kinds[i][0];
		net.kv_heads = kinds[i][1];
		net.head_dim = kinds[i][2];
		net.value_dim = kinds[i][3];
		net.rope = kinds[i][4];
		make(&net);
		for (set = 0; (k = lm_kernels_at(set)) != NULL; set++) {
			assert(setenv("LOOM_ISA", k->name, 1) == 0);
			check_net(&net, set % 2 == 0 ? 1 : 3);
		}
		assert(unsetenv("LOOM_ISA") == 0);
		check_net(&net, 3);
		loom_model_free(net.model);
	}
	return set;
}

/* An infinity among the values of a key makes what sees it NaN, and nothing before it. */
static void
check_infinity(const struct net *net)
{
	float was = x[40 * WIDE];

	x[40 * WIDE] = HUGE_VALF;
	check_net(net, 1);
	assert(isfinite(whole[39 * WIDE]) && isnan(whole[40 * WIDE]));
	x[40 * WIDE] = was;
}

/* ---- what goes wrong ---- */

static void
refused(struct loom_run *run, uint64_t batch, uint64_t from, uint64_t n, const char *text)
{
	struct loom_error err;

	assert(forward(run, batch, from, n, &err) < 0 && err.code == LOOM_ESHAPE);
	assert(strcmp(err.text, text) == 0);
}

static void
check_refusals(const struct net *net)
{
	struct loom_error err = { 0 };
	struct loom_run *run;

	assert(loom_run_new(&run, net->model, 1, &err) == 0);
	assert(loom_run_cache(run, 0, &err) < 0 && err.code == LOOM_EARG);
	assert(strcmp(err.text, "a cache of 0 positions") == 0);
	memset(&err, 0, sizeof(err));
	assert(loom_run_cache(run, 10, &err) == 0);
	refused(run, 1, 0, 11, "11 positions behind 0 are more than the cache's 10");
	check_piece(run, 2, 0, 7);
	refused(run, 2, 7, 4, "4 positions behind 7 are more than the cache's 10");
	refused(run, 3, 7, 2,
	    "input x: expected float32 [2, 2, 6], to go on with what came before, found float32 "
	    "[3, 2, 6]");
	check_piece(run, 2, 7, 3);
	refused(run, 2, 10, 1, "1 positions behind 10 are more than the cache's 10");
	loom_run_forget(run);
	check_piece(run, 3, 0, 2);
	assert(loom_run_cache(run, LONG, &err) == 0);
	check_piece(run, 1, 0, LONG);
	loom_run_free(run);
}

/* A new length is planned, the same one is not. */
static void
check_plans(const struct net *net)
{
	struct loom_error err = { 0 };
	struct loom_run *run;
	uint64_t from;

	assert(loom_run_new(&run, net->model, 1, &err) == 0);
	assert(loom_run_cache(run, LONG, &err) == 0);
	check_piece(run, 1, 0, 9);
	for (from = 9; from < 20; from++)
		check_piece(run, 1, from, 1);
	assert(loom_run_plans(run) == 2);
	loom_run_free(run);
}

/* ---- a sequence that is cut by the run ---- */

static void
check_in_pieces(const struct net *net)
{
	struct loom_tensor t = { "x", "float32", 3, { BATCH, LONG, WIDE }, x };
	struct loom_error err = { 0 };
	struct loom_run *run;
	struct loom_tensor y;
	uint64_t piece;

	assert(loom_run_new(&run, net->model, 1, &err) == 0);
	assert(loom_run_in_pieces(run, 3, &err) < 0);
	assert(strcmp(err.text, "input x is not given") == 0);
	memset(&err, 0, sizeof(err));
	assert(loom_run_set(run, 0, &t, &err) == 0);
	assert(loom_run_in_pieces(run, 0, &err) < 0);
	assert(strcmp(err.text, "pieces of 0 positions") == 0);
	memset(&err, 0, sizeof(err));
	for (piece = 1; piece <= LONG + 1; piece += 6) {
		assert(loom_run_in_pieces(run, piece, &err) == 0);
		y = loom_run_output(run, 0);
		assert(
		    y.rank == 3 && y.shape[0] == BATCH && y.shape[1] == LONG && y.shape[2] == WIDE);
		assert(memcmp(y.data, whole, sizeof(whole)) == 0);
	}
	assert(loom_run_forward(run, &err) == 0); /* whole, of the same inputs */
	assert(memcmp(loom_run_output(run, 0).data, whole, sizeof(whole)) == 0);
	loom_run_free(run);
}

int
main(void)
{
	static struct net net = { .heads = 4, .kv_heads = 2, .head_dim = 4, .value_dim = 3 };
	uint64_t seed = 3;
	size_t i, sets;

	for (i = 0; i < BATCH * LONG * WIDE; i++)
		x[i] = draw(&seed);
	sets = check_nets();
	make(&net);
	check_infinity(&net);
	check_net(&net, 2);
	check_refusals(&net);
	check_plans(&net);
	check_in_pieces(&net);
	loom_model_free(net.model);
	printf("pieces: %zu sets of kernels\n", sets);
	return 0;
}
