/*
 * sequences: rnn, lstm, gru and attention against the specification's cases, which go through the whole
 * operation; a sample's bits alone, in a batch and with any number of threads; and every refusal.
 */
#include <math.h>

#include "rig.h"

/* ---- the specification's cases ---- */

static void
check_result(const struct rig *r, struct vectors *v, size_t finals)
{
	size_t n = count_of(&r->out[0]), last = finals > 0 ? count_of(&r->out[finals]) : 0, i;
	float *all = malloc((n + last) * sizeof *all);

	assert(all != NULL);
	memcpy(all, r->result[0], n * sizeof *all);
	if (last > 0)
		memcpy(all + n, r->result[finals], last * sizeof *all);
	for (i = 0; i < 4; i++)
		assert(shown32(all[i]) == vectors_hex(v));
	assert(shown32(all[n + last - 1]) == vectors_hex(v));
	assert(hash32(all, n + last) == vectors_hex(v));
	free(all);
}

/* Drawn in the order all W, all U, all b, all second b. */
static void
draw_gates(struct rig *r, uint64_t *seed, const char *const *gates, size_t kinds)
{
	static const char *const names[4] = { "W", "U", "b", "b2" };
	struct lm_shape s;
	size_t k, g;
	char name[8];

	for (k = 0; k < kinds; k++)
		for (g = 0; gates[g] != NULL; g++) {
			(void)snprintf(name, sizeof name, "%s%s", names[k], gates[g]);
			assert(lm_slot_shape(&r->node, (size_t)lm_layer_slot(r->node.op, name), &s,
				   &none) == 0);
			(void)weight(r, name, drawn(r, seed, (size_t)count_of(&s)));
		}
}

/* x is drawn before the weights. */
static void
check_recurrent(struct vectors *v, const char *op)
{
	static const char *const gates[3][5] = { { "" }, { "_i", "_f", "_g", "_o" },
		{ "_r", "_z", "_n" } };
	size_t is_lstm = strcmp(op, "lstm") == 0, is_gru = strcmp(op, "gru") == 0;
	int t = (int)vectors_count(v), x = (int)vectors_count(v), h = (int)vectors_count(v);
	uint64_t seed;
	struct rig r;

	rig_init(&r, op, 1, 2 + is_lstm);
	set(&r, "input_size", x);
	set(&r, "hidden_size", h);
	set(&r, "biases", is_gru ? 2 : 1);
	if (is_gru)
		set(&r, "reset_after", (int64_t)vectors_count(v));
	seed = vectors_count(v);
	input(&r, 0, drawn(&r, &seed, (size_t)(t * x)), (const int[]){ t, x, NONE });
	draw_gates(&r, &seed, gates[is_lstm + 2 * is_gru], is_gru ? 4 : 3);
	rig_run(&r, is_gru ? 3 : 1);
	check_result(&r, v, is_lstm ? 2 : 0);
	assert(memcmp(r.result[1], r.result[0] + (t - 1) * h, (size_t)h * sizeof(float)) == 0);
	rig_release(&r);
}

static const float *
identity(struct rig *r, size_t n)
{
	float *v = lm_arena_alloc(&r->arena, n * n, sizeof *v, &none);
	size_t i;

	assert(v != NULL);
	for (i = 0; i < n; i++)
		v[i * n + i] = 1;
	return v;
}

static void
attention_sizes(struct rig *r, int model, int features, int heads, int kv_heads, int d)
{
	set(r, "d_model", model);
	set(r, "key_features", features);
	set(r, "value_features", features);
	set(r, "out_features", model);
	set(r, "num_heads", heads);
	set(r, "num_kv_heads", kv_heads);
	set(r, "head_dim", d);
	set(r, "value_dim", d);
	param(r, "scale")->real = NAN;
	param(r, "rope_base")->real = NAN;
}

/* The cases have no projections: these are identities. */
static void
check_attention(struct vectors *v)
{
	int t = (int)vectors_count(v), hq = (int)vectors_count(v), hk = (int)vectors_count(v);
	int d = (int)vectors_count(v), causal = (int)vectors_count(v), i;
	const char *rope = vectors_word(v);
	double base = vectors_number(v);
	uint64_t seed = vectors_count(v);
	struct rig r;

	rig_init(&r, "attention", 3, 1);
	attention_sizes(&r, hq * d, hk * d, hq, hk, d);
	set(&r, "causal", causal);
	set(&r, "rope", strcmp(rope, "half") == 0 ? 1 : strcmp(rope, "none") == 0 ? 0 : 2);
	if (strcmp(rope, "none") != 0)
		param(&r, "rope_base")->real = base;
	input(&r, 0, drawn(&r, &seed, (size_t)(t * hq * d)), (const int[]){ t, hq * d, NONE });
	for (i = 1; i < 3; i++)
		input(&r, (size_t)i, drawn(&r, &seed, (size_t)(t * hk * d)),
		    (const int[]){ t, hk * d, NONE });
	(void)weight(&r, "Wq", identity(&r, (size_t)(hq * d)));
	(void)weight(&r, "Wk", identity(&r, (size_t)(hk * d)));
	(void)weight(&r, "Wv", identity(&r, (size_t)(hk * d)));
	(void)weight(&r, "Wo", identity(&r, (size_t)(hq * d)));
	rig_run(&r, 3);
	check_result(&r, v, 0);
	rig_release(&r);
}

static size_t
check_cases(void)
{
	static struct vectors v;
	size_t cases = 0;

	vectors_open(&v, "sequences.txt");
	for (; vectors_next(&v); cases++) {
		const char *op = vectors_word(&v);

		if (strcmp(op, "attention") == 0)
			check_attention(&v);
		else
			check_recurrent(&v, op);
	}
	vectors_open(&v, "gru.txt");
	for (; vectors_next(&v); cases++)
		check_recurrent(&v, "gru");
	return cases;
}

/* ---- alone, in a batch, with threads ---- */

/* Rows of a batch that must be those of each sample alone. */
static void
same_rows(const struct rig *batch, const struct rig *alone, size_t sample)
{
	size_t i, n;

	for (i = 0; i < batch->node.n_out; i++) {
		n = count_of(&alone->out[i]);
		assert(memcmp(batch->result[i] + sample * n, alone->result[i], n * sizeof(float)) ==
		    0);
	}
}

/* batch has samples along its first axis; results must not depend on them or on jobs. */
static void
check_alone(struct rig *batch)
{
	static const int jobs[3] = { 1, 2, 7 };
	size_t samples = (size_t)batch->in[0].dim[0], i, k, j;
	size_t step = samples > 8 ? samples - 1 : 1; /* the first and the last of many */
	struct rig one = *batch;

	for (i = 0; i < batch->node.n_in; i++)
		if (batch->in_index[i] != LM_ABSENT)
			one.in[i].dim[0] = 1;
	memset(one.result, 0, sizeof one.result);
	for (j = 0; j < 3; j++) {
		rig_run(batch, jobs[j]);
		for (k = 0; k < samples; k += step) {
			for (i = 0; i < batch->node.n_in; i++)
				one.data[i] = batch->data[i] == NULL ? NULL
								     : (char *)batch->data[i] +
					k * count_of(&one.in[i]) * one.in[i].dtype->bits / 8;
			one.arena.blocks = NULL;
			rig_run(&one, jobs[j]);
			lm_arena_release(&one.arena);
			same_rows(batch, &one, k);
		}
	}
	for (i = 0; i < TENSORS; i++)
		free(one.result[i]);
}

/* Few samples and many units are cut by units, many samples by samples, in bands. */
static void
check_recurrent_alone(const char *op, int samples, int steps, int x, int h, uint64_t seed)
{
	size_t most = strcmp(op, "lstm") == 0 ? 3 : 2, i;
	int64_t lengths[200];
	struct rig r;

	rig_init(&r, op, most + seed / 2 % 2, most);
	for (i = 0; i < (size_t)samples; i++)
		lengths[i] = (int64_t)((i * 7 + seed) % (size_t)(steps + 1));
	set(&r, "input_size", x);
	set(&r, "hidden_size", h);
	set(&r, "biases", (int64_t)(seed % 3));
	set(&r, "direction", (int64_t)(seed % 2));
	set(&r, "order", (int64_t)(seed / 2 % 2 * (seed % 2)));
	if (strcmp(op, "gru") == 0)
		set(&r, "reset_after", (int64_t)(seed / 3 % 2));
	draw_weights(&r, &seed);
	input(&r, 0, drawn(&r, &seed, (size_t)(samples * steps * x)),
	    (const int[]){ samples, steps, x, NONE });
	for (i = 1; i < most; i++)
		input(&r, i, drawn(&r, &seed, (size_t)(samples * h)),
		    (const int[]){ samples, h, NONE });
	if (r.node.n_in > most) {
		input(&r, most, lengths, (const int[]){ samples, NONE });
		r.in[most].dtype = lm_dtype_get(LM_I64);
	}
	check_alone(&r);
	rig_release(&r);
}

static void
check_attention_alone(int samples, int sq, int sk, int value_dim, int rope, uint64_t seed)
{
	struct rig r;

	rig_init(&r, "attention", 4, 1);
	attention_sizes(&r, 5, 4, 3, 1, 7 - rope / 2);
	set(&r, "value_dim", value_dim);
	set(&r, "out_features", 2);
	set(&r, "q_bias", 1);
	set(&r, "v_bias", 1);
	set(&r, "rope", rope);
	if (rope != 0)
		param(&r, "rope_base")->real = 100;
	set(&r, "mask", 3);
	draw_weights(&r, &seed);
	input(&r, 0, drawn(&r, &seed, (size_t)(samples * sq * 5)),
	    (const int[]){ samples, sq, 5, NONE });
	input(&r, 1, drawn(&r, &seed, (size_t)(samples * sk * 4)),
	    (const int[]){ samples, sk, 4, NONE });
	input(&r, 3, drawn(&r, &seed, (size_t)(samples * 3 * sq * sk)),
	    (const int[]){ samples, 3, sq, sk, NONE });
	check_alone(&r);
	rig_release(&r);
}

static void
check_independence(void)
{
	uint64_t seed;

	for (seed = 0; seed < 6; seed++) {
		check_recurrent_alone("rnn", 3, 4, 5, 90, 40 + seed);
		check_recurrent_alone("lstm", 2, 3, 70, 80, 50 + seed);
		check_recurrent_alone("rnn", 150, 3, 4, 6, 60 + seed);
		check_recurrent_alone("lstm", 200, 3, 3, 5, 70 + seed);
		check_recurrent_alone("gru", 3, 3, 5, 90, 80 + seed);
		check_recurrent_alone("gru", 150, 3, 4, 6, 90 + seed);
	}
	check_attention_alone(3, 30, 40, 6, 0, 80);
	check_attention_alone(2, 70, 80, 9, 1, 81);
	check_attention_alone(40, 3, 5, 4, 2, 82);
	check_attention_alone(3, 1, 2, 1 << 17, 0, 83); /* more than is worked on together */
}

/* ---- refusals ---- */

/* What check says, or shape where check says nothing. */
static void
refused(struct rig *r, const char *message)
{
	static const struct lm_sizes no_names;
	struct lm_shaping shaping = { &r->node, r->in, r->out, &no_names };
	struct loom_error err = { 0 };
	int failed = r->node.op->check(&r->node, &err) < 0 || r->node.op->shape(&shaping, &err) < 0;

	if (!failed || strcmp(err.text, message) != 0) {
		fprintf(stderr, "not: %s\nbut: %s\n", message, failed ? err.text : "nothing");
		exit(1);
	}
}

static void
check_recurrent_refusals(void)
{
	float x[24] = { 0 };
	struct rig r;

	rig_init(&r, "lstm", 3, 3);
	set(&r, "input_size", 3);
	set(&r, "hidden_size", 4);
	set(&r, "order", 1);
	refused(&r, "node n (lstm): order is reversed, which goes with direction backward only");
	set(&r, "direction", 1);
	input(&r, 0, x, (const int[]){ 2, 2, 4, NONE });
	refused(&r,
	    "layer n (lstm): input 0: expected a sequence [..., s, 3], found float32 [2, 2, 4]");
	input(&r, 0, x, (const int[]){ 3, NONE });
	refused(&r, "layer n (lstm): input 0: expected a sequence [..., s, 3], found float32 [3]");
	input(&r, 0, x, (const int[]){ 2, 2, 3, NONE });
	input(&r, 2, x, (const int[]){ 2, 3, NONE });
	refused(&r, "layer n (lstm): input 2: expected float32 [2, 4], found float32 [2, 3]");
	input(&r, 2, x, (const int[]){ 2, 4, NONE });
	input(&r, 1, x, (const int[]){ 1, 2, 4, NONE });
	refused(&r, "layer n (lstm): input 1: expected float32 [2, 4], found float32 [1, 2, 4]");
	r.in[0].dtype = lm_dtype_get(LM_I64);
	refused(&r, "layer n (lstm): input 0: expected float32, found int64 [2, 2, 3]");
	rig_release(&r);
}

static void
length_refused(struct rig *r, int jobs, int64_t *length, int64_t wrong, const char *message)
{
	int64_t right = *length;
	struct loom_error err = { 0 };

	*length = wrong;
	assert(rig_try(r, jobs, &err) < 0 && strcmp(err.text, message) == 0);
	*length = right;
	assert(rig_try(r, jobs, &err) == 0);
}

static void
check_lengths_refused(void)
{
	float x[24] = { 0 };
	int64_t lengths[2] = { 0, 3 };
	uint64_t seed = 5;
	struct rig r;

	rig_init(&r, "gru", 3, 1);
	set(&r, "input_size", 2);
	set(&r, "hidden_size", 4);
	draw_weights(&r, &seed);
	input(&r, 0, x, (const int[]){ 2, 3, 2, NONE });
	input(&r, 2, lengths, (const int[]){ 2, NONE });
	refused(&r, "layer n (gru): input 2: expected lengths int64 [2], found float32 [2]");
	r.in[2].dtype = lm_dtype_get(LM_I64);
	r.in[2].dim[0] = 3;
	refused(&r, "layer n (gru): input 2: expected lengths int64 [2], found int64 [3]");
	r.in[2].rank = 2;
	r.in[2].dim[0] = r.in[2].dim[1] = 2;
	refused(&r, "layer n (gru): input 2: expected lengths int64 [2], found int64 [2, 2]");
	r.in[2].rank = 1;
	length_refused(&r, 1, &lengths[1], 4,
	    "layer n (gru): the length of sample 1 is 4, expected 0 to 3");
	length_refused(&r, 7, &lengths[0], -1,
	    "layer n (gru): the length of sample 0 is -1, expected 0 to 3");
	length_refused(&r, 1, &lengths[0], INT64_MIN,
	    "layer n (gru): the length of sample 0 is -9223372036854775808, expected 0 to 3");
	rig_release(&r);
}

static void
attention_rig(struct rig *r, float *x)
{
	rig_init(r, "attention", 4, 1);
	attention_sizes(r, 4, 3, 4, 2, 5);
	input(r, 0, x, (const int[]){ 2, 6, 4, NONE });
	input(r, 1, x, (const int[]){ 2, 7, 3, NONE });
}

static void
check_attention_params(void)
{
	float x[64] = { 0 };
	struct rig r;

	attention_rig(&r, x);
	set(&r, "num_kv_heads", 3);
	refused(&r, "node n (attention): num_heads is 4, expected a multiple of num_kv_heads 3");
	set(&r, "num_kv_heads", 2);
	param(&r, "scale")->real = 0;
	refused(&r, "node n (attention): scale is 0, expected 2^-500 to 2^500 in magnitude");
	param(&r, "scale")->real = NAN;
	param(&r, "rope_base")->real = 10000;
	refused(&r, "node n (attention): rope is none and rope_base is 10000, expected null");
	set(&r, "rope", 2);
	refused(&r,
	    "node n (attention): head_dim is 5, expected an even one, since interleaved rope takes pairs");
	set(&r, "rope", 1);
	param(&r, "rope_base")->real = 0.5;
	refused(&r,
	    "node n (attention): rope is half and rope_base is 0.5, expected a number from 1 to 1e300");
	param(&r, "rope_base")->real = NAN;
	refused(&r,
	    "node n (attention): rope is half and rope_base is null, expected a number from 1 to 1e300");
	rig_release(&r);
}

static void
check_attention_shapes(void)
{
	float x[64] = { 0 };
	struct rig r;

	attention_rig(&r, x);
	input(&r, 1, x, (const int[]){ 2, 7, 4, NONE });
	refused(&r,
	    "layer n (attention): input 1: expected [..., s, 3], the last key_features, "
	    "found float32 [2, 7, 4]");
	input(&r, 1, x, (const int[]){ 3, 7, 3, NONE });
	refused(&r,
	    "layer n (attention): input 1: expected the leading axes of the query, "
	    "found float32 [3, 7, 3]");
	input(&r, 1, x, (const int[]){ 2, 0, 3, NONE });
	refused(&r,
	    "layer n (attention): input 1: expected at least one position, found float32 [2, 0, 3]");
	input(&r, 1, x, (const int[]){ 2, 7, 3, NONE });
	input(&r, 2, x, (const int[]){ 2, 6, 3, NONE });
	refused(&r,
	    "layer n (attention): input 2: expected 7 positions, as the key has, "
	    "found float32 [2, 6, 3]");
	r.in_index[2] = LM_ABSENT;
	set(&r, "causal", 1);
	refused(&r,
	    "layer n (attention): input 1: expected 6 positions, as the query has, since it "
	    "is causal, found float32 [2, 7, 3]");
	r.in_index[1] = LM_ABSENT;
	refused(&r,
	    "layer n (attention): input 0: expected [..., s, 3], the last key_features, "
	    "found float32 [2, 6, 4]");
	rig_release(&r);
}

static void
check_attention_masks(void)
{
	float x[64] = { 0 };
	struct rig r;

	attention_rig(&r, x);
	set(&r, "mask", 1);
	refused(&r, "layer n (attention): mask is keep, but no mask is given");
	set(&r, "mask", 0);
	input(&r, 3, x, (const int[]){ 6, 7, NONE });
	refused(&r, "layer n (attention): mask is none, but a mask is given");
	set(&r, "mask", 1);
	refused(&r, "layer n (attention): input 3: expected bool, found float32 [6, 7]");
	r.in[3].dtype = lm_dtype_get(LM_BOOL);
	set(&r, "mask", 3);
	refused(&r, "layer n (attention): input 3: expected float32, found bool [6, 7]");
	set(&r, "mask", 2);
	input(&r, 3, x, (const int[]){ 3, 1, 7, NONE });
	r.in[3].dtype = lm_dtype_get(LM_BOOL);
	refused(&r,
	    "layer n (attention): input 3: expected a shape that broadcasts to "
	    "[..., 4, 6, 7], found bool [3, 1, 7]");
	input(&r, 3, x, (const int[]){ 1, 2, 4, 6, 7, NONE });
	r.in[3].dtype = lm_dtype_get(LM_BOOL);
	refused(&r,
	    "layer n (attention): input 3: expected a shape that broadcasts to "
	    "[..., 4, 6, 7], found bool [1, 2, 4, 6, 7]");
	rig_release(&r);
}

/* Query 2 of head 1 in the second sample sees nothing, then only the last key. */
static void
check_attention_unseen(void)
{
	unsigned char keep[2 * 4 * 6 * 7];
	uint64_t seed = 90;
	struct loom_error err = { 0 };
	struct rig r;

	attention_rig(&r, NULL);
	r.data[0] = drawn(&r, &seed, 48);
	r.data[1] = drawn(&r, &seed, 42);
	draw_weights(&r, &seed);
	memset(keep, 1, sizeof keep);
	memset(keep + ((1 * 4 + 1) * 6 + 2) * 7, 0, 7);
	set(&r, "mask", 1);
	set(&r, "empty", 2);
	input(&r, 3, keep, (const int[]){ 2, 4, 6, 7, NONE });
	r.in[3].dtype = lm_dtype_get(LM_BOOL);
	assert(rig_try(&r, 7, &err) < 0);
	assert(strcmp(err.text,
		   "layer n (attention): query 2 of head 1 in sample 1 sees no key, and "
		   "empty is error") == 0);
	keep[((1 * 4 + 1) * 6 + 2) * 7 + 6] = 1;
	rig_run(&r, 1);
	rig_release(&r);
}

int
main(void)
{
	size_t cases = 0, sets;

	for (sets = 0; lm_kernels_at(sets) != NULL; sets++) {
		rig_kernels = lm_kernels_at(sets);
		cases = check_cases();
		assert(cases == 15);
		check_independence();
	}
	check_recurrent_refusals();
	check_lengths_refused();
	check_attention_params();
	check_attention_shapes();
	check_attention_masks();
	check_attention_unseen();
	printf("sequences: %zu cases by %zu sets of kernels\n", cases, sets);
	return 0;
}
