/* onnx_wire_tensor: reading a TensorProto: what it says, then where its values lie. */
#include <string.h>

#include "onnx/onnx_wire.h"
#include "num/bytes.h"

#define SMALL ((uint64_t)1 << 16) /* bytes that are read at once; more stay in the file */

enum { RAW = 9, STRINGS = 6, EXTERNAL = 13 }; /* fields that hold values, or lead to them */

struct parts {
	struct lm_onnx_tensor *tensor;
	int64_t type, elsewhere, dims[LM_ONNX_RANK];
	size_t n_dims;
	uint64_t entries; /* of the field that holds values */
	uint32_t holds;	  /* its number, or 0 */
	int several, segment;
	struct lm_field run; /* the bytes of raw_data, or of numbers that are packed in one piece */
	size_t n_runs;
	const char *location, *offset, *length;
};

/* ---- what it says ---- */

static int
put_dims(struct parts *p, const struct lm_message *m, const struct lm_field *f,
    struct loom_error *err)
{
	struct lm_numbers numbers;
	uint64_t bits;
	int r;

	if (lm_numbers_open(&numbers, m, f, LM_WIRE_VARINT, err) < 0)
		return -1;
	while ((r = lm_numbers_next(&numbers, &bits, err)) > 0) {
		if (p->n_dims < LM_ONNX_RANK)
			p->dims[p->n_dims] = (int64_t)bits;
		p->n_dims++;
	}
	return r;
}

/* The wire type of a field's numbers. */
static enum lm_wire_type
type_of(uint32_t field)
{
	return field == 4 ? LM_WIRE_FIXED32 : field == 10 ? LM_WIRE_FIXED64 : LM_WIRE_VARINT;
}

static void
holds(struct parts *p, uint32_t field)
{
	p->several |= p->holds != 0 && (p->holds != field || field == RAW);
	p->holds = field;
}

/* How many numbers a field holds. */
static int
count_numbers(const struct lm_message *m, const struct lm_field *f, uint64_t *n,
    struct loom_error *err)
{
	enum lm_wire_type type = type_of(f->number);
	uint64_t bits, size = type == LM_WIRE_FIXED64 ? 8 : 4;
	struct lm_numbers numbers;
	int r;

	*n = 0;
	if (f->type == LM_WIRE_BYTES && type != LM_WIRE_VARINT && f->length % size == 0) {
		*n = f->length / size;
		return 0;
	}
	if (lm_numbers_open(&numbers, m, f, type, err) < 0)
		return -1;
	while ((r = lm_numbers_next(&numbers, &bits, err)) > 0)
		++*n;
	return r;
}

static int
put_numbers(struct parts *p, const struct lm_message *m, const struct lm_field *f,
    struct loom_error *err)
{
	uint64_t n;

	if (count_numbers(m, f, &n, err) < 0)
		return -1;
	if (n == 0)
		return 0;
	holds(p, f->number);
	p->entries += n;
	p->run = *f;
	p->n_runs++;
	return 0;
}

static int
put_raw(struct parts *p, const struct lm_message *m, const struct lm_field *f,
    struct loom_error *err)
{
	holds(p, RAW);
	p->run = *f;
	p->n_runs = 1;
	return lm_field_is(m, f, LM_WIRE_BYTES, err);
}

static int
entry_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	const char **pair = into;

	if (f->number != 1 && f->number != 2)
		return 0;
	return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &pair[f->number - 1], err);
}

static int
put_external(struct lm_onnx_wire *w, struct parts *p, const struct lm_message *m,
    const struct lm_field *f, struct loom_error *err)
{
	const char *pair[2] = { "", "" };

	if (lm_onnx_wire_each(w, m, f, entry_field, pair, err) < 0)
		return -1;
	if (p->location == NULL && p->offset == NULL && p->length == NULL)
		holds(p, EXTERNAL);
	if (strcmp(pair[0], "location") == 0)
		p->location = pair[1];
	else if (strcmp(pair[0], "offset") == 0)
		p->offset = pair[1];
	else if (strcmp(pair[0], "length") == 0)
		p->length = pair[1];
	return 0;
}

static int
tensor_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	struct parts *p = into;

	switch (f->number) {
	case 1:
		return put_dims(p, m, f, err);
	case 2:
		return lm_onnx_wire_int(m, f, &p->type, err);
	case 3:
		p->segment = 1;
		return 0;
	case 4:
	case 5:
	case 7:
	case 10:
	case 11:
		return put_numbers(p, m, f, err);
	case STRINGS:
		holds(p, STRINGS);
		return 0;
	case 8:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &p->tensor->name, err);
	case RAW:
		return put_raw(p, m, f, err);
	case EXTERNAL:
		return put_external(w, p, m, f, err);
	case 14:
		return lm_onnx_wire_int(m, f, &p->elsewhere, err);
	default:
		return 0;
	}
}

/* ---- whether it can be so ---- */

static int
settle_shape(struct parts *p, const char *head, struct loom_error *err)
{
	struct lm_onnx_tensor *t = p->tensor;
	uint64_t bytes;
	size_t i;

	if (p->n_dims > LM_ONNX_RANK)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%s%zu axes, at most %d are read", head,
		    p->n_dims, LM_ONNX_RANK);
	t->rank = (unsigned)p->n_dims;
	t->count = 1;
	for (i = 0; i < p->n_dims; i++) {
		if (p->dims[i] < 0)
			return lm_fail(err, LOOM_EFORMAT, "%saxis %zu has extent %jd", head, i,
			    (intmax_t)p->dims[i]);
		t->dim[i] = (uint64_t)p->dims[i];
		if (lm_mul64(t->count, t->dim[i], &t->count) < 0)
			return lm_fail(err, LOOM_EFORMAT, "%smore values than 64 bits count", head);
	}
	if (lm_mul64(t->count, sizeof(double), &bytes) < 0 || bytes > INT64_MAX)
		return lm_fail(err, LOOM_EFORMAT, "%smore values than 64 bits count", head);
	return 0;
}

/* Text where a graph is cut by the user may hang on what is cut off. */
static int
settle_type(const struct lm_onnx_wire *w, struct parts *p, const char *head, struct loom_error *err)
{
	int text = p->type == LM_ONNX_STRING && w->owner->how.n_outputs > 0;

	if (p->type > 0 && p->type <= LM_ONNX_BFLOAT16 &&
	    (text || lm_onnx_dtype((int)p->type) != NULL)) {
		p->tensor->type = (int)p->type;
		return 0;
	}
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "%stype %jd (%s), expected float16 to float64, bfloat16, int8 to int64, "
	    "uint8 to uint64 or bool",
	    head, (intmax_t)p->type, lm_onnx_type_name(p->type));
}

static int
settle_source(const struct parts *p, const char *head, struct loom_error *err)
{
	if (p->segment)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%sis a segment, which is not read", head);
	if (p->several)
		return lm_fail(err, LOOM_EFORMAT,
		    "%svalues in more than one place: expected one of raw_data, a typed field and "
		    "external_data",
		    head);
	if (p->elsewhere < 0 || p->elsewhere > 1)
		return lm_fail(err, LOOM_EFORMAT, "%sdata_location %jd, expected 0 or 1", head,
		    (intmax_t)p->elsewhere);
	if ((p->elsewhere == 1) != (p->holds == EXTERNAL))
		return lm_fail(err, LOOM_EFORMAT,
		    p->holds == EXTERNAL
			? "%sexternal_data, but a data_location that does not say so"
			: "%sdata_location says external, but there is no external_data",
		    head);
	if (p->holds == 0 && p->tensor->count > 0)
		return lm_fail(err, LOOM_EFORMAT, "%sno values, its shape has %ju", head,
		    (uintmax_t)p->tensor->count);
	return 0;
}

/* ---- where its values lie ---- */

/* So many bytes of a file: small ones are read, others stay there. */
static int
settle_bytes(struct lm_onnx_wire *w, struct lm_onnx_tensor *t, struct lm_source *source,
    uint64_t at, struct loom_error *err)
{
	uint64_t bytes = lm_onnx_tensor_bytes(t);
	struct lm_shape shape = { .rank = t->rank };
	unsigned char *data;

	if (bytes > SMALL) {
		memcpy(shape.dim, t->dim, t->rank * sizeof(*t->dim));
		return lm_view_whole(&t->view, source, at, lm_onnx_dtype(t->type), NULL, &shape,
		    err);
	}
	data = lm_onnx_wire_take(w, bytes, 1, err);
	t->data = data;
	return data != NULL ? lm_source_at(source, at, data, (size_t)bytes, err) : -1;
}

static int
settle_raw(struct lm_onnx_wire *w, struct parts *p, const char *head, struct loom_error *err)
{
	uint64_t bytes = lm_onnx_tensor_bytes(p->tensor);

	if (p->run.length != bytes)
		return lm_fail(err, LOOM_EFORMAT, "%s%ju bytes of raw_data, its shape has %ju",
		    head, (uintmax_t)p->run.length, (uintmax_t)bytes);
	return settle_bytes(w, p->tensor, w->wire.source, p->run.at, err);
}

/* "17": digits alone, below 2^63. */
static int
decimal(const char *s, uint64_t *n)
{
	*n = 0;
	if (*s == '\0')
		return -1;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' || *n > (INT64_MAX - 9) / 10)
			return -1;
		*n = *n * 10 + (uint64_t)(*s - '0');
	}
	return 0;
}

static int
settle_external(struct lm_onnx_wire *w, struct parts *p, const char *head, struct loom_error *err)
{
	uint64_t bytes = lm_onnx_tensor_bytes(p->tensor), at = 0, length = bytes, size = 0;
	struct lm_source *source;
	char shown[LM_SHOWN];

	if (p->location == NULL)
		return lm_fail(err, LOOM_EFORMAT, "%sexternal_data without a location", head);
	if (p->offset != NULL && decimal(p->offset, &at) < 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "%sexternal offset %s is not a whole number from 0", head,
		    lm_shown(shown, p->offset));
	if (p->length != NULL && decimal(p->length, &length) < 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "%sexternal length %s is not a whole number from 0", head,
		    lm_shown(shown, p->length));
	if (length != bytes)
		return lm_fail(err, LOOM_EFORMAT, "%sexternal length %ju, its shape has %ju bytes",
		    head, (uintmax_t)length, (uintmax_t)bytes);
	if (lm_external_file(&w->external, head, p->location, &source, err) < 0)
		return -1;
	(void)lm_source_size(source, &size);
	if (at > size || bytes > size - at)
		return lm_fail(err, LOOM_EFORMAT,
		    "%sexternal file %s has %ju bytes, its values need %ju from byte %ju", head,
		    lm_shown(shown, p->location), (uintmax_t)size, (uintmax_t)bytes, (uintmax_t)at);
	return settle_bytes(w, p->tensor, source, at, err);
}

/* ---- typed fields ---- */

/* The field that numbers of a type stand in. */
static uint32_t
field_of(int type)
{
	switch (type) {
	case LM_ONNX_FLOAT:
		return 4;
	case LM_ONNX_INT64:
		return 7;
	case LM_ONNX_DOUBLE:
		return 10;
	case LM_ONNX_UINT32:
	case LM_ONNX_UINT64:
		return 11;
	default:
		return 5;
	}
}

static const char *
field_name(uint32_t field)
{
	static const char *const names[] = { [4] = "float_data",
		[5] = "int32_data",
		[STRINGS] = "string_data",
		[7] = "int64_data",
		[10] = "double_data",
		[11] = "uint64_data" };

	return names[field];
}

/* The bits of a number as its type stores them; -1 where they do not fit. */
static int
narrow(const struct lm_dtype *dtype, uint64_t *bits)
{
	int64_t v = (int64_t)*bits, most;

	if (dtype->bits == 64 || dtype->kind == LM_FLOATING)
		return dtype->bits == 16 && *bits > UINT16_MAX ? -1 : 0;
	most = dtype->kind == LM_BOOLEAN ? 1
	    : dtype->kind == LM_SIGNED	 ? ((int64_t)1 << (dtype->bits - 1)) - 1
					 : ((int64_t)1 << dtype->bits) - 1;
	if (v > most || v < (dtype->kind == LM_SIGNED ? -most - 1 : 0))
		return -1;
	return 0;
}

struct decoding {
	struct parts *parts;
	const char *head;
	unsigned char *at;
};

static int
decode_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	struct decoding *d = into;
	const struct lm_dtype *dtype = lm_onnx_dtype(d->parts->tensor->type);
	unsigned char bytes[8];
	struct lm_numbers numbers;
	uint64_t bits;
	int r;

	(void)w;
	if (f->number != d->parts->holds)
		return 0;
	if (lm_numbers_open(&numbers, m, f, type_of(f->number), err) < 0)
		return -1;
	for (; (r = lm_numbers_next(&numbers, &bits, err)) > 0; d->at += dtype->bits / 8) {
		if (narrow(dtype, &bits) < 0)
			return lm_fail(err, LOOM_EFORMAT, "%s%jd in %s, which no %s is", d->head,
			    (intmax_t)bits, field_name(f->number), dtype->name);
		lm_put_u64(bytes, bits);
		memcpy(d->at, bytes, dtype->bits / 8);
	}
	return r;
}

static int
settle_typed(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct parts *p, const char *head, struct loom_error *err)
{
	struct lm_onnx_tensor *t = p->tensor;
	struct decoding d = { p, head, NULL };
	uint32_t expected = field_of(t->type);

	if (p->holds != expected)
		return lm_fail(err, LOOM_EFORMAT, "%s%s in %s, expected raw_data or %s", head,
		    lm_onnx_type_name(t->type), field_name(p->holds), field_name(expected));
	if (p->entries != t->count)
		return lm_fail(err, LOOM_EFORMAT, "%s%ju values in %s, its shape has %ju", head,
		    (uintmax_t)p->entries, field_name(expected), (uintmax_t)t->count);
	if (type_of(expected) != LM_WIRE_VARINT && p->n_runs == 1 && p->run.type == LM_WIRE_BYTES)
		return settle_bytes(w, t, w->wire.source, p->run.at, err);
	d.at = lm_onnx_wire_take(w, t->count, lm_onnx_dtype(t->type)->bits / 8, err);
	t->data = d.at;
	return d.at != NULL ? lm_onnx_wire_each(w, m, f, decode_field, &d, err) : -1;
}

/* ---- the whole ---- */

static int
settle_values(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct parts *p, const char *head, struct loom_error *err)
{
	if (settle_shape(p, head, err) < 0 || settle_type(w, p, head, err) < 0 ||
	    settle_source(p, head, err) < 0)
		return -1;
	if (p->tensor->type == LM_ONNX_STRING)
		return 0;
	switch (p->holds) {
	case 0: /* there are none */
		return settle_bytes(w, p->tensor, w->wire.source, 0, err);
	case RAW:
		return settle_raw(w, p, head, err);
	case EXTERNAL:
		return settle_external(w, p, head, err);
	default:
		return settle_typed(w, m, f, p, head, err);
	}
}

int
lm_onnx_wire_tensor(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    const char *head, struct lm_onnx_tensor *t, struct loom_error *err)
{
	struct parts p = { .tensor = t };
	char own[LM_ONNX_HEAD], shown[LM_SHOWN];

	memset(t, 0, sizeof(*t));
	t->name = "";
	if (lm_onnx_wire_each(w, m, f, tensor_field, &p, err) < 0)
		return -1;
	if (head == NULL && t->name[0] == '\0')
		return lm_wire_fail(&w->wire, f->at, err, "an initializer without a name");
	(void)snprintf(own, sizeof(own), "initializer %s: ", lm_shown(shown, t->name));
	return settle_values(w, m, f, &p, head != NULL ? head : own, err);
}
