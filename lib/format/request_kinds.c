/* request_kinds: the thirteen kinds of version-1 requests, a row each. */
#include "format/request_kinds.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define F(id) LM_REQ_##id
/* Whole kinds and members are written without their braces: all versions of the formatter agree then. */
#define PARAM(id, of) .field = F(id), .name = of
#define SLOTS(id, of, n) .field = F(id), .name = of, .slots = n

static const struct lm_request_kind dense = {
	.id = "dense",
	.mixing = LM_MIX_FLATTENS,
	.op = "dense",
	.fixture = { "x_test" },
	.input = { "x" },
	.extent = { { F(BODY_INPUT_DIM), F(INPUT_DIM), 0 } },
	.advance = LM_WIDENS,
	.activated = 1,
	.named = 1,
	.meaning = { { PARAM(INPUT_DIM, "in_features") }, { PARAM(OUTPUT_DIM, "out_features") },
	    { SLOTS(WEIGHTS, "weight", 1) }, { SLOTS(BIAS, "bias", 1), .apart = 1 } },
};

#define CONVOLUTION(ID, OP, RANK, MIXED0, MIXED1, MIXED2, ...)                                   \
	.id = ID, .op = OP, .fixture = { "x_test" }, .input = { "x" },                           \
	.extent = { { F(BODY_INPUT_CHANNELS), F(IN_CHANNELS), 0 }, __VA_ARGS__ },                \
	.advance = LM_CONVOLVES, .activated = 1, .cut_to_output = 1, .mixing = LM_MIX_THEN_FLAT, \
	.mixed_rank = RANK, .mixed = { MIXED0, MIXED1, MIXED2 },                                 \
	.meaning = { { PARAM(IN_CHANNELS, "in_channels") }, { PARAM(FILTERS, "out_channels") },  \
		{ PARAM(KERNEL_SIZE, "kernel") }, { PARAM(STRIDE, "stride") },                   \
		{ PARAM(PADDING, "pad_low") }, { PARAM(PADDING, "pad_high") },                   \
		{ SLOTS(WEIGHTS, "weight", 1) }, { SLOTS(BIAS, "bias", 1), .apart = 1 } },       \
	.fixed = { { "dilation", 1, 0, NULL }, { "groups", 1, 0, NULL } }

static const struct lm_request_kind cnn1 = { CONVOLUTION("cnn1", "conv1", 2, 1, 8, 0,
    { F(BODY_SEQ_LEN), F(INPUT_LENGTH), 0 }) };
static const struct lm_request_kind cnn2 = { CONVOLUTION("cnn2", "conv2", 3, 1, 2, 4,
    { F(BODY_HEIGHT), F(INPUT_HEIGHT), 0 }, { F(BODY_WIDTH), F(INPUT_WIDTH), 0 }) };
static const struct lm_request_kind cnn3 = { CONVOLUTION("cnn3", "conv3", 0, 0, 0, 0,
    { F(BODY_DEPTH), F(INPUT_DEPTH), 0 }, { F(BODY_HEIGHT), F(INPUT_HEIGHT), 0 },
    { F(BODY_WIDTH), F(INPUT_WIDTH), 0 }) };

static const struct lm_request_kind mha = {
	.id = "mha",
	.mixed_rank = 2,
	.mixed = { 2, 4 },
	.op = "attention",
	.fixture = { "x_test" },
	.input = { "x" },
	.extent = { { F(BODY_SEQ_LEN), F(SEQ_LEN), 0 }, { F(BODY_D_MODEL), F(D_MODEL), 0 } },
	.cut_to_output = 1,
	.meaning = { { PARAM(D_MODEL, "d_model") }, { PARAM(D_MODEL, "key_features") },
	    { PARAM(D_MODEL, "value_features") }, { PARAM(D_MODEL, "out_features") },
	    { PARAM(NUM_HEADS, "num_heads") },
	    { PARAM(NUM_KV_HEADS, "num_kv_heads"), .instead = F(NUM_HEADS) },
	    { PARAM(HEAD_DIM, "head_dim") }, { PARAM(HEAD_DIM, "value_dim") },
	    { SLOTS(Q_WEIGHTS, "Wq", 1) }, { SLOTS(K_WEIGHTS, "Wk", 1) },
	    { SLOTS(V_WEIGHTS, "Wv", 1) }, { SLOTS(O_WEIGHTS, "Wo", 1) },
	    { SLOTS(Q_BIAS, "bq", 1), .filled = 1 }, { SLOTS(K_BIAS, "bk", 1), .filled = 1 },
	    { SLOTS(V_BIAS, "bv", 1), .filled = 1 }, { SLOTS(O_BIAS, "bo", 1), .filled = 1 } },
	.fixed = { { "q_bias", 1, 0, NULL }, { "k_bias", 1, 0, NULL }, { "v_bias", 1, 0, NULL },
	    { "o_bias", 1, 0, NULL }, { "causal", 1, 0, NULL }, { "rope", 0, 0, "half" },
	    { "rope_base", 0, 10000, NULL }, { "scale", 0, NAN, NULL }, { "mask", 0, 0, "none" },
	    { "fill", 0, 0, "-inf" }, { "empty", 0, 0, "zero" } },
};

#define RECURRENT(ID, OP, ...)                                                                   \
	.id = ID, .op = OP, .fixture = { "x_test" }, .input = { "x" },                           \
	.extent = { { F(BODY_SEQ_LEN), F(SEQ_LEN), 0 },                                          \
		{ F(BODY_INPUT_SIZE), F(INPUT_SIZE), 0 } },                                      \
	.same = { { F(HIDDEN_SIZE), F(BODY_HIDDEN_SIZE) } }, .cut_to_output = 1,                 \
	.fixed = { { "biases", 1, 0, NULL }, { "direction", 0, 0, "forward" },                   \
		{ "order", 0, 0, "time" }, { "activation", 0, 0, "tanh" } },                     \
	.meaning = { { PARAM(INPUT_SIZE, "input_size") }, { PARAM(HIDDEN_SIZE, "hidden_size") }, \
		__VA_ARGS__ }

static const struct lm_request_kind lstm = { RECURRENT("lstm", "lstm",
    { SLOTS(I_WEIGHTS, "W_i", 3) }, { SLOTS(F_WEIGHTS, "W_f", 3) }, { SLOTS(G_WEIGHTS, "W_g", 3) },
    { SLOTS(O_WEIGHTS, "W_o", 3) }) };
static const struct lm_request_kind rnn = { RECURRENT("rnn", "rnn", { SLOTS(WEIGHTS, "W", 3) }) };

static const struct lm_request_kind layernorm = {
	.id = "layernorm",
	.mixing = LM_MIX_MARKS,
	.op = "layernorm",
	.fixture = { "x_test" },
	.input = { "x" },
	.extent = { { F(BODY_SEQ_LEN), LM_NO_FIELD, 4 }, { F(BODY_DIM), F(DIM), 0 } },
	.cut_to_output = 1,
	.meaning = { { PARAM(DIM, "dim") }, { SLOTS(WEIGHTS, "gamma", 2) } },
	.fixed = { { "eps", 0, 1e-5, NULL }, { "scale", 1, 0, NULL }, { "offset", 1, 0, NULL } },
};

static const struct lm_request_kind rmsnorm = {
	.id = "rmsnorm",
	.mixing = LM_MIX_MARKS_LASTING,
	.op = "rmsnorm",
	.fixture = { "x_test" },
	.input = { "x" },
	.extent = { { F(BODY_SEQ_LEN), LM_NO_FIELD, 4 }, { F(BODY_DIM), F(DIM), 0 } },
	.cut_to_output = 1,
	.meaning = { { PARAM(DIM, "dim") }, { SLOTS(WEIGHTS, "gamma", 1) } },
	.fixed = { { "eps", 0, 1e-6, NULL }, { "scale", 1, 0, NULL } },
};

static const struct lm_request_kind embedding = {
	.id = "embedding",
	.mixing = LM_MIX_LOOKS_UP | LM_MIX_THEN_ROWS,
	.op = "embedding",
	.fixture = { "x_test" },
	.input = { "x" },
	.extent = { { F(BODY_SEQ_LEN), LM_NO_FIELD, 4 } },
	.same = { { F(VOCAB_SIZE), F(BODY_VOCAB_SIZE) }, { F(EMBEDDING_DIM), F(BODY_EMBED_DIM) } },
	.cut_to_output = 1,
	.meaning = { { PARAM(VOCAB_SIZE, "vocab_size") }, { PARAM(EMBEDDING_DIM, "embedding_dim") },
	    { SLOTS(WEIGHTS, "table", 1) } },
	.fixed = { { "outside", 0, 0, "zero" }, { "wrap", 0, 0, NULL } },
};

static const struct lm_request_kind swiglu = {
	.id = "swiglu",
	.mixing = LM_MIX_THEN_ROWS,
	.op = "swiglu",
	.fixture = { "x_test" },
	.input = { "x" },
	.extent = { { F(BODY_SEQ_LEN), LM_NO_FIELD, 4 }, { F(BODY_INPUT_DIM), F(INPUT_DIM), 0 } },
	.same = { { F(INTERMEDIATE_DIM), F(BODY_INTERMEDIATE_DIM) } },
	.cut_to_output = 1,
	.meaning = { { PARAM(INPUT_DIM, "in_features") },
	    { PARAM(INTERMEDIATE_DIM, "hidden_features") }, { SLOTS(WEIGHTS, "Wg", 6) } },
	.fixed = { { "activation", 0, 0, "silu" }, { "bias", 1, 0, NULL } },
};

/* Each layer adds the same two inputs anew. */
static const struct lm_request_kind residual = {
	.id = "residual",
	.mixing = LM_MIX_ADDS,
	.op = "residual",
	.fixture = { "x_main_test", "x_skip_test" },
	.input = { "main", "skip" },
	.extent = { { F(BODY_SEQ_LEN), LM_NO_FIELD, 4 }, { F(BODY_DIM), F(DIM), 0 } },
	.cut_to_output = 1,
};

static const struct lm_request_kind mixer = {
	.id = "mixer",
	.fixture = { "x_test", "token_ids_test" },
	.input = { "x", "tokens" },
	.cut_to_output = 1,
	.padded = 8,
};

static const struct lm_request_kind *const kinds[] = {
#define FIELD(scope, id, key, kind)
#define BEDROCK(name) &name,
#include "format/request.def"
#undef FIELD
#undef BEDROCK
};

const struct lm_request_kind *
lm_request_kind_at(size_t i)
{
	return i < sizeof(kinds) / sizeof(*kinds) ? kinds[i] : NULL;
}

const struct lm_request_kind *
lm_request_kind(const char *id)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i]->id, id) == 0)
			return kinds[i];
	return NULL;
}

unsigned
lm_request_axes(const struct lm_request_kind *kind)
{
	unsigned n = 0;

	while (n < LM_KIND_AXES && kind->extent[n].body != LM_NO_FIELD)
		n++;
	return n;
}

static void
uses_layers(const struct lm_request_kind *kind, unsigned char used[LM_REQ_FIELDS])
{
	const struct lm_meaning *m;
	size_t i;

	for (i = 0; i < LM_KIND_AXES; i++)
		used[kind->extent[i].layer] = 1;
	for (i = 0; i < LM_KIND_SAME; i++)
		used[kind->same[i].layer] = 1;
	for (m = kind->meaning; m->name != NULL; m++)
		used[m->field] = 1;
	if (kind->activated)
		used[LM_REQ_ACTIVATION] = 1;
	if (!kind->named)
		used[LM_REQ_KIND] = 1;
	used[LM_REQ_INDEX] = 1;
}

void
lm_request_uses(const struct lm_request_kind *kind, unsigned char used[LM_REQ_FIELDS])
{
	static const enum lm_field_id always[] = { F(PAYLOAD), F(PLANET), F(MODEL_ID),
		F(BODY_FIXTURE_VERSION), F(LAYERS) };
	size_t i;

	memset(used, 0, LM_REQ_FIELDS);
	for (i = 0; i < sizeof(always) / sizeof(*always); i++)
		used[always[i]] = 1;
	for (i = 0; i < LM_KIND_AXES; i++)
		used[kind->extent[i].body] = 1;
	for (i = 0; i < LM_KIND_SAME; i++)
		used[kind->same[i].body] = 1;
	if (kind->cut_to_output)
		used[LM_REQ_BODY_OUTPUT_DIM] = 1;
	for (i = 0; kind->op == NULL && i < sizeof(kinds) / sizeof(*kinds); i++)
		uses_layers(kinds[i], used);
	uses_layers(kind, used);
	used[LM_NO_FIELD] = 0;
}

int
lm_request_extent(const struct lm_request *q, const struct lm_extent *extent, int64_t *out,
    struct loom_error *err)
{
	*out = q->body->field[extent->body].integer;
	if (*out == 0)
		*out = extent->otherwise;
	if (*out < 1 || *out > LM_WIDEST)
		return lm_fail(err, LOOM_EFORMAT, "\"%s\" is %" PRId64 ", expected 1 to %d",
		    lm_request_key(extent->body), *out, LM_WIDEST);
	return 0;
}
