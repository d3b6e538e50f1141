/* decoder: what tensors a llama-like decoder has, and what files call them. */
#include "format/decoder.h"

enum { VECTOR, WIDTH, VOCAB, QUERIES, KEYS, HEAD, HIDDEN };
enum { NOBODY, HEADS, KV_HEADS };
enum { MOST_LAYERS = 4096, MOST_HEADS = 1 << 16, MOST_EXTENT = 1 << 24 };

static const struct row {
	int in_blocks;
	const char *names[2];
	int rows, columns, owner;
} roles[] = {
#define ROLE(id, in_blocks, hf, gguf, rows, columns, owner) \
	[LM_ROLE_##id] = { in_blocks, { hf, gguf }, rows, columns, owner },
#include "format/decoder.def"
#undef ROLE
};

int
lm_role_in_blocks(enum lm_decoder_role role)
{
	return roles[role].in_blocks;
}

int
lm_decoder_has(const struct lm_decoder *d, enum lm_decoder_role role)
{
	switch (role) {
	case LM_ROLE_QUERY_BIAS:
	case LM_ROLE_KEY_BIAS:
	case LM_ROLE_VALUE_BIAS:
		return d->qkv_bias;
	case LM_ROLE_OUT_BIAS:
		return d->out_bias;
	case LM_ROLE_QUERY_NORM:
	case LM_ROLE_KEY_NORM:
		return d->norms;
	case LM_ROLE_GATE_BIAS:
	case LM_ROLE_UP_BIAS:
	case LM_ROLE_DOWN_BIAS:
		return d->mlp_bias;
	case LM_ROLE_LOGITS:
		return !d->tied;
	default:
		return 1;
	}
}

static uint64_t
extent(const struct lm_decoder *d, int of)
{
	switch (of) {
	case WIDTH:
		return d->width;
	case VOCAB:
		return d->vocab;
	case QUERIES:
		return d->heads * d->head_dim;
	case KEYS:
		return d->kv_heads * d->head_dim;
	case HEAD:
		return d->head_dim;
	case HIDDEN:
		return d->hidden;
	default:
		return 1;
	}
}

void
lm_decoder_shape(const struct lm_decoder *d, enum lm_decoder_role role, struct lm_shape *s)
{
	s->dtype = lm_dtype_get(LM_F32);
	s->rank = roles[role].columns == VECTOR ? 1 : 2;
	s->dim[0] = extent(d, roles[role].rows);
	s->dim[1] = extent(d, roles[role].columns);
}

uint64_t
lm_decoder_heads(const struct lm_decoder *d, enum lm_decoder_role role)
{
	if (roles[role].owner == NOBODY)
		return 0;
	return roles[role].owner == HEADS ? d->heads : d->kv_heads;
}

const char *
lm_decoder_name(char dst[LM_DECODER_NAME], enum lm_decoder_names names, enum lm_decoder_role role,
    size_t layer)
{
	if (!roles[role].in_blocks)
		(void)snprintf(dst, LM_DECODER_NAME, "%s", roles[role].names[names]);
	else
		(void)snprintf(dst, LM_DECODER_NAME, "%s.%zu.%s",
		    names == LM_NAMES_HF ? "model.layers" : "blk", layer, roles[role].names[names]);
	return dst;
}

/* ---- are the numbers such as a decoder can have? ---- */

static int
check_extent(const char *what, uint64_t n, uint64_t most, struct loom_error *err)
{
	if (n >= 1 && n <= most)
		return 0;
	return lm_fail(err, LOOM_EFORMAT, "%s is %llu, expected 1 to %llu", what,
	    (unsigned long long)n, (unsigned long long)most);
}

static int
check_factors(const struct lm_decoder *d, struct loom_error *err)
{
	uint64_t i;

	for (i = 0; d->factors != NULL && i < d->head_dim / 2; i++)
		if (!(d->factors[i] > 0 && d->factors[i] < 1e30f))
			return lm_fail(err, LOOM_EFORMAT,
			    "factor %llu of the rotary frequencies is %.9g, expected a number "
			    "above 0",
			    (unsigned long long)i, (double)d->factors[i]);
	return 0;
}

int
lm_decoder_check(const struct lm_decoder *d, struct loom_error *err)
{
	if (check_extent("the size of the vocabulary", d->vocab, INT32_MAX, err) < 0 ||
	    check_extent("the width", d->width, MOST_EXTENT, err) < 0 ||
	    check_extent("the number of blocks", d->layers, MOST_LAYERS, err) < 0 ||
	    check_extent("the number of heads", d->heads, MOST_HEADS, err) < 0 ||
	    check_extent("the number of key heads", d->kv_heads, MOST_HEADS, err) < 0 ||
	    check_extent("the size of a head", d->head_dim, MOST_HEADS, err) < 0 ||
	    check_extent("the size of the feed-forward layer", d->hidden, MOST_EXTENT, err) < 0)
		return -1;
	if (d->heads % d->kv_heads != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "%llu heads, expected a multiple of the %llu key heads",
		    (unsigned long long)d->heads, (unsigned long long)d->kv_heads);
	if (d->head_dim % 2 != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "the size of a head is %llu, expected an even one",
		    (unsigned long long)d->head_dim);
	if (!(d->eps >= 0 && d->eps < 1))
		return lm_fail(err, LOOM_EFORMAT, "eps of the norms is %.9g, expected 0 to 1",
		    d->eps);
	if (!(d->rope_base >= 1 && d->rope_base <= 1e300))
		return lm_fail(err, LOOM_EFORMAT,
		    "the base of the rotary frequencies is %.9g, expected 1 to 1e300",
		    d->rope_base);
	return check_factors(d, err);
}

const struct lm_decoder_place *
lm_decoder_at(const struct lm_decoder *d, enum lm_decoder_role role, size_t layer)
{
	return &d->places[(lm_role_in_blocks(role) ? layer : 0) * LM_ROLES + role];
}
