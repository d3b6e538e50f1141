/*
 * gguf_read: the container: counts, values, descriptions of tensors.  Nothing is believed
 * unchecked.
 */
#include <math.h>
#include <string.h>

#include "format/gguf.h"
#include "num/bytes.h"
#include "num/text.h"

enum {
	MOST_VALUES = 65536,
	MOST_TENSORS = 100000,
	MOST_KEY = 65535,
	MOST_STRING = 64 << 20,
	MOST_METADATA = 512 << 20,
	MOST_ALIGNMENT = 1 << 16,
	LEAST_VALUE = 13, /* bytes: an empty key of a byte */
	LEAST_TENSOR = 25
};

static const struct type {
	const char *name;
	unsigned size; /* of an element; 0: it says so itself */
} types[LM_GGUF_TYPES] = {
	[LM_GGUF_U8] = { "uint8", 1 },
	[LM_GGUF_I8] = { "int8", 1 },
	[LM_GGUF_U16] = { "uint16", 2 },
	[LM_GGUF_I16] = { "int16", 2 },
	[LM_GGUF_U32] = { "uint32", 4 },
	[LM_GGUF_I32] = { "int32", 4 },
	[LM_GGUF_F32] = { "float32", 4 },
	[LM_GGUF_BOOL] = { "bool", 1 },
	[LM_GGUF_STRING] = { "string", 0 },
	[LM_GGUF_ARRAY] = { "array", 0 },
	[LM_GGUF_U64] = { "uint64", 8 },
	[LM_GGUF_I64] = { "int64", 8 },
	[LM_GGUF_F64] = { "float64", 8 },
};

const char *
lm_gguf_type_name(unsigned type)
{
	return type < LM_GGUF_TYPES ? types[type].name : "unknown";
}

/* ---- numbers and strings ---- */

static int
get_u32(struct lm_source *s, uint32_t *v, struct loom_error *err)
{
	unsigned char b[4];

	if (lm_source_read(s, b, 4, err) < 0)
		return -1;
	*v = lm_get_u32(b);
	return 0;
}

static int
get_u64(struct lm_source *s, uint64_t *v, struct loom_error *err)
{
	unsigned char b[8];

	if (lm_source_read(s, b, 8, err) < 0)
		return -1;
	*v = lm_get_u64(b);
	return 0;
}

/* The length of a string, which the file can hold. */
static int
get_length(struct lm_source *s, const char *what, uint64_t most, uint64_t *n,
    struct loom_error *err)
{
	if (get_u64(s, n, err) < 0)
		return -1;
	if (*n > most)
		return lm_source_fail(s, err, LOOM_EFORMAT,
		    "%s of %llu bytes, at most %llu are read", what, (unsigned long long)*n,
		    (unsigned long long)most);
	return lm_source_claim(s, *n, err);
}

static int
get_string(struct lm_gguf *g, struct lm_source *s, const char *what, uint64_t most,
    const char **text, uint64_t *n, struct loom_error *err)
{
	char *to;

	if (get_length(s, what, most, n, err) < 0)
		return -1;
	to = lm_arena_alloc(g->arena, (size_t)*n + 1, 1, err);
	if (to == NULL || lm_source_read(s, to, (size_t)*n, err) < 0)
		return -1;
	*text = to;
	return 0;
}

/* A key or a tensor's name: not empty and without NUL. */
static int
get_name(struct lm_gguf *g, struct lm_source *s, const char *what, uint64_t most, const char **name,
    struct loom_error *err)
{
	uint64_t n;

	if (get_string(g, s, what, most, name, &n, err) < 0)
		return -1;
	if (n == 0)
		return lm_source_fail(s, err, LOOM_EFORMAT, "%s is empty", what);
	if (strlen(*name) != n)
		return lm_source_fail(s, err, LOOM_EFORMAT, "%s holds a NUL", what);
	return 0;
}

/* ---- values ---- */

static int
skip_strings(struct lm_source *s, const char *what, uint64_t count, struct loom_error *err)
{
	uint64_t n;

	for (; count > 0; count--)
		if (get_length(s, what, MOST_STRING, &n, err) < 0 || lm_source_skip(s, n, err) < 0)
			return -1;
	return 0;
}

/* Nobody here wants what is in an array: its length is enough. */
static int
skip_array(struct lm_source *s, struct lm_gguf_value *v, const char *what, struct loom_error *err)
{
	uint64_t least;
	uint32_t element;

	if (get_u32(s, &element, err) < 0 || get_u64(s, &v->n, err) < 0)
		return -1;
	if (element >= LM_GGUF_TYPES || element == LM_GGUF_ARRAY)
		return lm_source_fail(s, err, LOOM_EFORMAT, "%s is an array of type %u (%s)", what,
		    (unsigned)element, lm_gguf_type_name(element));
	least = types[element].size > 0 ? types[element].size : 8;
	if (v->n > INT64_MAX / 8)
		return lm_source_fail(s, err, LOOM_EFORMAT, "%s is an array of %llu elements", what,
		    (unsigned long long)v->n);
	if (lm_source_claim(s, v->n * least, err) < 0)
		return -1;
	if (element == LM_GGUF_STRING)
		return skip_strings(s, what, v->n, err);
	return lm_source_skip(s, v->n * least, err);
}

static void
put_number(struct lm_gguf_value *v, const unsigned char b[8])
{
	uint64_t u = lm_get_u64(b);

	switch (v->type) {
	case LM_GGUF_I8:
		v->i = (int8_t)u;
		break;
	case LM_GGUF_I16:
		v->i = (int16_t)u;
		break;
	case LM_GGUF_I32:
		v->i = (int32_t)u;
		break;
	case LM_GGUF_F32:
		v->real = lm_get_f32(b);
		break;
	case LM_GGUF_F64:
		v->real = lm_get_f64(b);
		break;
	default: /* the bytes above are 0 */
		v->i = (int64_t)u;
	}
}

static int
get_value(struct lm_gguf *g, struct lm_source *s, struct lm_gguf_value *v, struct loom_error *err)
{
	char what[LM_SHOWN + 16], shown[LM_SHOWN];
	unsigned char b[8] = { 0 };
	uint32_t type;

	if (get_u32(s, &type, err) < 0)
		return -1;
	(void)snprintf(what, sizeof(what), "key %s", lm_shown(shown, v->key));
	if (type >= LM_GGUF_TYPES)
		return lm_source_fail(s, err, LOOM_EFORMAT, "%s is of type %u, at most %d is known",
		    what, (unsigned)type, LM_GGUF_TYPES - 1);
	v->type = type;
	if (type == LM_GGUF_STRING)
		return get_string(g, s, what, MOST_STRING, &v->text, &v->n, err);
	if (type == LM_GGUF_ARRAY)
		return skip_array(s, v, what, err);
	if (lm_source_read(s, b, types[type].size, err) < 0)
		return -1;
	put_number(v, b);
	if (type == LM_GGUF_BOOL && v->i > 1)
		return lm_source_fail(s, err, LOOM_EFORMAT, "%s is a bool of %d, expected 0 or 1",
		    what, (int)v->i);
	return 0;
}

static int
get_values(struct lm_gguf *g, struct lm_source *s, uint64_t n, struct loom_error *err)
{
	char shown[LM_SHOWN];
	uint64_t i;
	struct lm_gguf_value *v;

	g->values = lm_arena_alloc(g->arena, (size_t)n, sizeof(*g->values), err);
	if (g->values == NULL)
		return -1;
	for (i = 0; i < n; i++) {
		v = &g->values[i];
		if (get_name(g, s, "a key", MOST_KEY, &v->key, err) < 0)
			return -1;
		if (lm_names_find(&g->keys, v->key) != LM_NO_NAME)
			return lm_source_fail(s, err, LOOM_EFORMAT, "key %s is there twice",
			    lm_shown(shown, v->key));
		if (lm_names_add(&g->keys, g->arena, v->key, (size_t)i, err) < 0 ||
		    get_value(g, s, v, err) < 0)
			return -1;
		if (lm_source_tell(s) > MOST_METADATA)
			return lm_source_fail(s, err, LOOM_EFORMAT,
			    "more than 512 MiB of keys and values");
		g->n_values++;
	}
	return 0;
}

/* ---- tensors ---- */

static const struct kind {
	unsigned code;
	const char *name;
	int dtype; /* -1: in blocks, or not read */
} kinds[] = { { 0, "F32", LM_F32 }, { 1, "F16", LM_F16 }, { 30, "BF16", LM_BF16 },
	{ 28, "F64", LM_F64 }, { 24, "I8", LM_I8 }, { 25, "I16", LM_I16 }, { 26, "I32", LM_I32 },
	{ 27, "I64", LM_I64 }, { 9, "Q8_1", -1 }, { 10, "Q2_K", -1 }, { 11, "Q3_K", -1 },
	{ 13, "Q5_K", -1 }, { 15, "Q8_K", -1 }, { 16, "IQ2_XXS", -1 }, { 17, "IQ2_XS", -1 },
	{ 18, "IQ3_XXS", -1 }, { 19, "IQ1_S", -1 }, { 20, "IQ4_NL", -1 }, { 21, "IQ3_S", -1 },
	{ 22, "IQ2_S", -1 }, { 23, "IQ4_XS", -1 }, { 29, "IQ1_M", -1 }, { 34, "TQ1_0", -1 },
	{ 35, "TQ2_0", -1 }, { 39, "MXFP4", -1 }, { 40, "NVFP4", -1 }, { 41, "Q1_0", -1 },
	{ 42, "Q2_0", -1 } };

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static int
put_kind(struct lm_gguf_tensor *t, struct lm_source *s, unsigned code, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	t->quant = lm_quant_by_code(code);
	t->dtype = lm_dtype_get(LM_F32);
	if (t->quant != NULL)
		return 0;
	for (i = 0; i < KINDS && kinds[i].code != code; i++)
		continue;
	if (i == KINDS)
		return lm_source_fail(s, err, LOOM_EFORMAT,
		    "tensor %s is of type %u, which does not exist", lm_shown(shown, t->name),
		    code);
	if (kinds[i].dtype < 0)
		return lm_source_fail(s, err, LOOM_EUNSUPPORTED,
		    "tensor %s is %s, which is not read: F32 F16 BF16 F64 I8 I16 I32 I64 Q4_0 Q4_1 "
		    "Q5_0 Q5_1 Q8_0 Q4_K Q6_K",
		    lm_shown(shown, t->name), kinds[i].name);
	t->dtype = lm_dtype_get((enum lm_dtype_id)kinds[i].dtype);
	return 0;
}

/* The fastest axis stands first in the file. */
static int
get_dims(struct lm_gguf_tensor *t, struct lm_source *s, struct loom_error *err)
{
	char shown[LM_SHOWN];
	uint64_t product = 1, dim;
	uint32_t rank, i;

	if (get_u32(s, &rank, err) < 0)
		return -1;
	if (rank > LM_GGUF_RANK)
		return lm_source_fail(s, err, LOOM_EFORMAT, "tensor %s has %u axes, at most %d",
		    lm_shown(shown, t->name), (unsigned)rank, LM_GGUF_RANK);
	t->shape.rank = rank;
	for (i = rank; i-- > 0;) {
		if (get_u64(s, &dim, err) < 0)
			return -1;
		if (dim > INT64_MAX || lm_mul64(product, dim > 0 ? dim : 1, &product) < 0 ||
		    product > INT64_MAX)
			return lm_source_fail(s, err, LOOM_EFORMAT,
			    "tensor %s has more than 2^63 elements", lm_shown(shown, t->name));
		t->shape.dim[i] = dim;
	}
	return 0;
}

static int
put_size(struct lm_gguf_tensor *t, struct lm_source *s, struct loom_error *err)
{
	char shown[LM_SHOWN];
	uint64_t count, row = t->shape.rank > 0 ? t->shape.dim[t->shape.rank - 1] : 1;

	if (t->quant != NULL && row % t->quant->values != 0)
		return lm_source_fail(s, err, LOOM_EFORMAT,
		    "tensor %s has rows of %llu values, expected a multiple of %u (%s)",
		    lm_shown(shown, t->name), (unsigned long long)row, t->quant->values,
		    t->quant->name);
	t->shape.dtype = t->dtype;
	if (lm_shape_count(&t->shape, &count) < 0 ||
	    (t->quant != NULL ? lm_quant_bytes(t->quant, count, &t->bytes)
			      : lm_dtype_bytes(t->dtype, count, &t->bytes)) < 0 ||
	    t->bytes > INT64_MAX)
		return lm_source_fail(s, err, LOOM_EFORMAT, "tensor %s has more than 2^63 bytes",
		    lm_shown(shown, t->name));
	return 0;
}

/* *end: where the tensors before it end, padded, from the start of the data. */
static int
get_tensor(struct lm_gguf *g, struct lm_source *s, uint64_t alignment, uint64_t *end,
    struct loom_error *err)
{
	struct lm_gguf_tensor *t = &g->tensors[g->n_tensors];
	char shown[LM_SHOWN];
	uint32_t code;

	if (get_name(g, s, "a tensor's name", LM_GGUF_NAME, &t->name, err) < 0)
		return -1;
	if (lm_names_find(&g->names, t->name) != LM_NO_NAME)
		return lm_source_fail(s, err, LOOM_EFORMAT, "tensor %s is there twice",
		    lm_shown(shown, t->name));
	if (lm_names_add(&g->names, g->arena, t->name, g->n_tensors, err) < 0 ||
	    get_dims(t, s, err) < 0 || get_u32(s, &code, err) < 0 ||
	    put_kind(t, s, code, err) < 0 || put_size(t, s, err) < 0 ||
	    get_u64(s, &t->offset, err) < 0)
		return -1;
	if (t->offset != *end)
		return lm_source_fail(s, err, LOOM_EFORMAT,
		    "tensor %s begins at %llu of the data, expected %llu: behind the one before it",
		    lm_shown(shown, t->name), (unsigned long long)t->offset,
		    (unsigned long long)*end);
	if (__builtin_add_overflow(*end, t->bytes + alignment - 1, end) || *end > INT64_MAX)
		return lm_source_fail(s, err, LOOM_EFORMAT, "tensor %s ends beyond 2^63 bytes",
		    lm_shown(shown, t->name));
	*end &= ~(alignment - 1);
	t->source = s;
	g->n_tensors++;
	return 0;
}

/* Behind all that describes them, at the next multiple. */
static int
place_tensors(struct lm_gguf *g, struct lm_source *s, uint64_t alignment, size_t from,
    struct loom_error *err)
{
	uint64_t start = (lm_source_tell(s) + alignment - 1) & ~(alignment - 1), size = 0;
	struct lm_gguf_tensor *t;
	char shown[LM_SHOWN];
	size_t i;

	(void)lm_source_size(s, &size);
	for (i = from; i < g->n_tensors; i++) {
		t = &g->tensors[i];
		if (start > size || t->offset > size - start || t->bytes > size - start - t->offset)
			return lm_source_fail(s, err, LOOM_ETRUNCATED,
			    "tensor %s is bytes %llu to %llu of a file that has %llu",
			    lm_shown(shown, t->name), (unsigned long long)(start + t->offset),
			    (unsigned long long)(start + t->offset + t->bytes),
			    (unsigned long long)size);
		t->offset += start;
	}
	return 0;
}

static int
get_tensors(struct lm_gguf *g, struct lm_source *s, uint64_t n, uint64_t alignment,
    struct loom_error *err)
{
	size_t from = g->n_tensors;
	struct lm_gguf_tensor *all = lm_arena_alloc(g->arena, from + (size_t)n, sizeof(*all), err);
	uint64_t end = 0, i;

	if (all == NULL)
		return -1;
	if (from > 0)
		memcpy(all, g->tensors, from * sizeof(*all));
	g->tensors = all;
	for (i = 0; i < n; i++)
		if (get_tensor(g, s, alignment, &end, err) < 0)
			return -1;
	return place_tensors(g, s, alignment, from, err);
}

/* ---- the file ---- */

static int
get_counts(struct lm_source *s, uint64_t *tensors, uint64_t *values, struct loom_error *err)
{
	uint64_t size = 0, least;
	uint32_t magic, version;

	if (get_u32(s, &magic, err) < 0 || get_u32(s, &version, err) < 0)
		return -1;
	if ((version & 0xffff) == 0)
		return lm_source_fail(s, err, LOOM_EUNSUPPORTED,
		    "GGUF of a big-endian machine: only little-endian files are read");
	if (version != 2 && version != 3)
		return lm_source_fail(s, err, LOOM_EUNSUPPORTED, "GGUF version %u, expected 2 or 3",
		    (unsigned)version);
	if (get_u64(s, tensors, err) < 0 || get_u64(s, values, err) < 0)
		return -1;
	if (*tensors > MOST_TENSORS || *values > MOST_VALUES)
		return lm_source_fail(s, err, LOOM_EFORMAT,
		    "%llu tensors and %llu keys, at most %d and %d are read",
		    (unsigned long long)*tensors, (unsigned long long)*values, MOST_TENSORS,
		    MOST_VALUES);
	least = *values * LEAST_VALUE + *tensors * LEAST_TENSOR;
	(void)lm_source_size(s, &size);
	if (least > size)
		return lm_source_fail(s, err, LOOM_ETRUNCATED,
		    "%llu tensors and %llu keys in a file of %llu bytes",
		    (unsigned long long)*tensors, (unsigned long long)*values,
		    (unsigned long long)size);
	return 0;
}

static int
get_alignment(const struct lm_gguf *g, struct lm_source *s, uint64_t *alignment,
    struct loom_error *err)
{
	*alignment = LM_GGUF_ALIGN;
	if (lm_gguf_natural(g, "general.alignment", 0, alignment, err) < 0)
		return -1;
	if (*alignment == 0 || *alignment > MOST_ALIGNMENT || (*alignment & (*alignment - 1)) != 0)
		return lm_source_fail(s, err, LOOM_EFORMAT,
		    "general.alignment is %llu, expected a power of two up to %d",
		    (unsigned long long)*alignment, MOST_ALIGNMENT);
	return 0;
}

int
lm_gguf_parse(struct lm_gguf *g, struct lm_source *s, struct loom_error *err)
{
	uint64_t tensors, values, alignment;

	if (get_counts(s, &tensors, &values, err) < 0 || get_values(g, s, values, err) < 0 ||
	    get_alignment(g, s, &alignment, err) < 0)
		return -1;
	return get_tensors(g, s, tensors, alignment, err);
}

/* ---- access ---- */

const struct lm_gguf_value *
lm_gguf_find(const struct lm_gguf *g, const char *key)
{
	size_t i = lm_names_find(&g->keys, key);

	return i != LM_NO_NAME ? &g->values[i] : NULL;
}

/* 1: it is there; 0, or -1 where it is needed. */
static int
look(const struct lm_gguf *g, const char *key, int need, const struct lm_gguf_value **v,
    struct loom_error *err)
{
	*v = lm_gguf_find(g, key);
	if (*v == NULL && need)
		return lm_fail(err, LOOM_EFORMAT, "key %s is missing", key);
	return *v != NULL;
}

static int
wrong_type(const struct lm_gguf_value *v, const char *wanted, struct loom_error *err)
{
	char shown[LM_SHOWN];

	return lm_fail(err, LOOM_EFORMAT, "key %s is %s, expected %s", lm_shown(shown, v->key),
	    lm_gguf_type_name(v->type), wanted);
}

int
lm_gguf_natural(const struct lm_gguf *g, const char *key, int need, uint64_t *out,
    struct loom_error *err)
{
	const struct lm_gguf_value *v;
	int r = look(g, key, need, &v, err);

	if (r != 1)
		return r;
	if (v->type == LM_GGUF_F32 || v->type == LM_GGUF_F64 || v->type == LM_GGUF_BOOL ||
	    v->type == LM_GGUF_STRING || v->type == LM_GGUF_ARRAY)
		return wrong_type(v, "one whole number", err);
	if (v->i < 0)
		return lm_fail(err, LOOM_EFORMAT, "key %s is not a number from 0 to 2^63", key);
	*out = (uint64_t)v->i;
	return 1;
}

int
lm_gguf_real(const struct lm_gguf *g, const char *key, int need, double *out,
    struct loom_error *err)
{
	char text[LM_TEXT_SIZE];
	const struct lm_gguf_value *v;
	int r = look(g, key, need, &v, err);

	if (r != 1)
		return r;
	if (v->type != LM_GGUF_F32 && v->type != LM_GGUF_F64)
		return wrong_type(v, "float32", err);
	if (!isfinite(v->real))
		return lm_fail(err, LOOM_EFORMAT, "key %s is not finite", key);
	*out = v->real;
	if (v->type == LM_GGUF_F32 &&
	    lm_text_parse(text, lm_text_f32(text, (float)v->real), out) < 0)
		return lm_fail(err, LOOM_EFORMAT, "key %s is no number", key);
	return 1;
}

int
lm_gguf_text(const struct lm_gguf *g, const char *key, int need, const char **out,
    struct loom_error *err)
{
	const struct lm_gguf_value *v;
	int r = look(g, key, need, &v, err);

	if (r != 1)
		return r;
	if (v->type != LM_GGUF_STRING)
		return wrong_type(v, "string", err);
	if (strlen(v->text) != v->n)
		return lm_fail(err, LOOM_EFORMAT, "key %s holds a NUL", key);
	*out = v->text;
	return 1;
}

struct lm_gguf_tensor *
lm_gguf_tensor(const struct lm_gguf *g, const char *name)
{
	size_t i = lm_names_find(&g->names, name);

	return i != LM_NO_NAME ? &g->tensors[i] : NULL;
}
