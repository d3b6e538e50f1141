/*
 * huggingface_rope: scaled rotary frequencies, as the factors that they are divided by.  llama3 is
 * computed as _compute_llama3_parameters of transformers does, each step in binary32.
 */
#include <math.h>
#include <string.h>

#include "format/huggingface.h"
#include "num/rope.h"

#define WHERE "config.json"
#define PI 3.14159265358979323846

/* ---- llama3 ---- */

/* Long waves are divided by the factor, short ones by 1, those between by something between. */
static float
llama3_factor(const struct lm_huggingface_rope *r, float frequency)
{
	float wave = (float)(2 * PI) / frequency, smooth, scaled;

	if (wave > (float)((double)r->original / r->low))
		return (float)r->factor;
	if (wave < (float)((double)r->original / r->high))
		return 1;
	smooth = ((float)r->original / wave - (float)r->low) / (float)(r->high - r->low);
	scaled = (1 - smooth) * frequency / (float)r->factor + smooth * frequency;
	return (float)((double)frequency / (double)scaled);
}

static float *
llama3_factors(const struct lm_huggingface_rope *r, const struct lm_decoder *d,
    struct lm_arena *arena, struct loom_error *err)
{
	size_t n = (size_t)d->head_dim / 2, i;
	double *frequency = lm_arena_alloc(arena, n, sizeof(*frequency), err);
	float *factors = lm_arena_alloc(arena, n, sizeof(*factors), err);

	if (frequency == NULL || factors == NULL)
		return NULL;
	lm_rope_frequencies(frequency, (size_t)d->head_dim, d->rope_base);
	for (i = 0; i < n; i++)
		factors[i] = llama3_factor(r, (float)frequency[i]);
	return factors;
}

/* ---- reading ---- */

struct reading {
	struct lm_decoder *d;
	json_t *root, *rope;
	const char *key, *where; /* the object's, and what begins a message about a member */
	struct lm_arena *arena;
};

static int
no_others(const struct reading *r, const char *const *known, struct loom_error *err)
{
	void *state = NULL;
	const char *key = lm_json_unknown(r->rope, known, &state);
	char shown[LM_SHOWN];

	return key == NULL ? 0
			   : lm_fail(err, LOOM_EUNSUPPORTED, "%s: \"%s\" is not one that is read",
				 r->where, lm_shown(shown, key));
}

static int
read_llama3(const struct reading *r, struct loom_error *err)
{
	static const char *const known[] = { "rope_type", "type", "rope_theta",
		"partial_rotary_factor", "factor", "low_freq_factor", "high_freq_factor",
		"original_max_position_embeddings", NULL };
	struct lm_huggingface_rope rope = { .type = LM_ROPE_LLAMA3 };
	int64_t original = (int64_t)r->d->context;

	if (no_others(r, known, err) < 0 ||
	    lm_json_real(r->rope, r->where, "factor", 1, &rope.factor, err) < 0 ||
	    lm_json_real(r->rope, r->where, "low_freq_factor", 1, &rope.low, err) < 0 ||
	    lm_json_real(r->rope, r->where, "high_freq_factor", 1, &rope.high, err) < 0 ||
	    lm_json_integer(r->rope, r->where, "original_max_position_embeddings", 0, 1, INT32_MAX,
		&original, err) < 0 ||
	    lm_json_integer(r->root, WHERE, "original_max_position_embeddings", 0, 1, INT32_MAX,
		&original, err) < 0)
		return -1;
	if (!(rope.factor >= 1 && rope.factor <= 1e6))
		return lm_fail(err, LOOM_EFORMAT, "%s: \"factor\" is %.9g, expected 1 to 1e6",
		    r->where, rope.factor);
	if (!(rope.low > 0 && rope.low < rope.high && rope.high <= 1e6))
		return lm_fail(err, LOOM_EFORMAT,
		    "%s: \"low_freq_factor\" is %.9g and \"high_freq_factor\" %.9g, expected numbers "
		    "above 0, the second above the first",
		    r->where, rope.low, rope.high);
	rope.original = (uint64_t)original;
	r->d->factors = llama3_factors(&rope, r->d, r->arena, err);
	return r->d->factors != NULL ? 0 : -1;
}

/* A factor for each frequency, for however many positions. */
static int
read_list(const struct reading *r, const char *key, float **out, struct loom_error *err)
{
	size_t n = (size_t)r->d->head_dim / 2, i;
	json_t *list = NULL, *item;

	if (lm_json_array(r->rope, r->where, key, 1, &list, err) < 0)
		return -1;
	if (json_array_size(list) != n)
		return lm_fail(err, LOOM_ESHAPE, "%s: \"%s\" has %zu numbers, expected %zu",
		    r->where, key, json_array_size(list), n);
	*out = lm_arena_alloc(r->arena, n, sizeof(**out), err);
	if (*out == NULL)
		return -1;
	json_array_foreach(list, i, item) {
		if (!json_is_number(item))
			return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\": number %zu is %s", r->where,
			    key, i, lm_json_type(item));
		(*out)[i] = (float)json_number_value(item);
	}
	return 0;
}

static int
read_listed(const struct reading *r, struct loom_error *err)
{
	static const char *const known[] = { "rope_type", "type", "rope_theta",
		"partial_rotary_factor", "short_factor", "long_factor", "attention_factor",
		"factor", "original_max_position_embeddings", NULL };
	float *brief = NULL, *lengthy = NULL;
	double attention = 0;

	if (no_others(r, known, err) < 0 || read_list(r, "short_factor", &brief, err) < 0 ||
	    read_list(r, "long_factor", &lengthy, err) < 0 ||
	    lm_json_real(r->rope, r->where, "attention_factor", 1, &attention, err) < 0)
		return -1;
	if (memcmp(brief, lengthy, (size_t)r->d->head_dim / 2 * sizeof(*brief)) != 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s: \"short_factor\" is not \"long_factor\": frequencies that depend on how long "
		    "the sequence is are not read",
		    r->where);
	if (attention != 1)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s: \"attention_factor\" is %.9g, which is not read: 1 is", r->where,
		    attention);
	r->d->factors = brief;
	return 0;
}

static int
read_default(const struct reading *r, struct loom_error *err)
{
	static const char *const known[] = { "rope_type", "type", "rope_theta",
		"partial_rotary_factor", NULL };

	return no_others(r, known, err);
}

static int
read_type(const struct reading *r, struct loom_error *err)
{
	const char *type = "default";
	double part = 1;
	char shown[LM_SHOWN];

	if (lm_json_string(r->rope, r->where, "type", 0, &type, err) < 0 ||
	    lm_json_string(r->rope, r->where, "rope_type", 0, &type, err) < 0 ||
	    lm_json_real(r->rope, r->where, "partial_rotary_factor", 0, &part, err) < 0)
		return -1;
	if (part != 1)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s: \"partial_rotary_factor\" is %.9g: heads that turn in part are not read",
		    r->where, part);
	if (strcmp(type, "default") == 0)
		return read_default(r, err);
	if (strcmp(type, "llama3") == 0)
		return read_llama3(r, err);
	if (strcmp(type, "longrope") == 0)
		return read_listed(r, err);
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "%s: \"rope_type\" is %s, which is not read: default, llama3 and longrope are",
	    r->where, lm_shown(shown, type));
}

/* transformers 4 has the base beside the object, transformers 5 in it. */
static int
read_base(const struct reading *r, struct loom_error *err)
{
	double beside = 10000, within;
	int said = lm_json_real(r->root, WHERE, "rope_theta", 0, &beside, err), also;

	within = beside;
	also = said >= 0 && r->rope != NULL
	    ? lm_json_real(r->rope, r->where, "rope_theta", 0, &within, err)
	    : 0;
	if (said < 0 || also < 0)
		return -1;
	if (said && also && within != beside)
		return lm_fail(err, LOOM_EFORMAT,
		    WHERE ": \"rope_theta\" is %.9g, but that of \"%s\" is %.9g", beside, r->key,
		    within);
	r->d->rope_base = within;
	if (within >= 1 && within <= 1e300)
		return 0;
	return lm_fail(err, LOOM_EFORMAT, WHERE ": \"rope_theta\" is %.9g, expected 1 to 1e300",
	    within);
}

int
lm_huggingface_read_rope(struct lm_decoder *d, json_t *root, struct lm_arena *arena,
    struct loom_error *err)
{
	struct reading r = { .d = d, .root = root, .arena = arena };
	int there;

	r.key = "rope_scaling"; /* which goes before the other, as in transformers */
	r.where = WHERE ": rope_scaling";
	there = lm_json_object(root, WHERE, r.key, 0, &r.rope, err);
	if (there == 0) {
		r.key = "rope_parameters";
		r.where = WHERE ": rope_parameters";
		there = lm_json_object(root, WHERE, r.key, 0, &r.rope, err);
	}
	if (there < 0 || read_base(&r, err) < 0)
		return -1;
	return r.rope != NULL ? read_type(&r, err) : 0;
}

/* ---- writing ---- */

/* As Llama 3.1 and later have it: contexts of a power of two, and their bounds. */
static int
try_llama3(struct lm_huggingface_rope *rope, const struct lm_decoder *d, struct lm_arena *arena,
    struct loom_error *err)
{
	size_t n = (size_t)d->head_dim / 2;
	const float *made;

	rope->type = LM_ROPE_LLAMA3;
	rope->factor = (double)d->factors[n - 1];
	rope->low = 1;
	rope->high = 4;
	for (rope->original = 16; rope->original <= 1 << 20; rope->original *= 2) {
		made = llama3_factors(rope, d, arena, err);
		if (made == NULL)
			return -1;
		if (memcmp(made, d->factors, n * sizeof(*made)) == 0)
			return 1;
	}
	return 0;
}

int
lm_huggingface_find_rope(struct lm_huggingface_rope *rope, const struct lm_decoder *d,
    struct lm_arena *arena, struct loom_error *err)
{
	int found;

	memset(rope, 0, sizeof(*rope));
	if (d->factors == NULL)
		return 0;
	found = try_llama3(rope, d, arena, err);
	if (found == 0)
		rope->type = LM_ROPE_LISTED;
	return found < 0 ? -1 : 0;
}
