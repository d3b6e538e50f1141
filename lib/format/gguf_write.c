/*
 * gguf_write: values and tensors into a GGUF file of version 3, little-endian, in the order they
 * come.
 */
#include <math.h>
#include <string.h>

#include "format/gguf.h"
#include "num/bytes.h"

/* ---- values ---- */

static int
put_bytes32(struct lm_buf *b, uint64_t v, struct loom_error *err)
{
	unsigned char bytes[4];

	lm_put_u32(bytes, (uint32_t)v);
	return lm_buf_add(b, bytes, 4, err);
}

static int
put_bytes64(struct lm_buf *b, uint64_t v, struct loom_error *err)
{
	unsigned char bytes[8];

	lm_put_u64(bytes, v);
	return lm_buf_add(b, bytes, 8, err);
}

static int
put_string(struct lm_buf *b, const char *text, struct loom_error *err)
{
	size_t n = strlen(text);

	return put_bytes64(b, n, err) < 0 ? -1 : lm_buf_add(b, text, n, err);
}

static int
put_key(struct lm_gguf_writing *w, const char *key, enum lm_gguf_type type, struct loom_error *err)
{
	w->n_values++;
	return put_string(&w->values, key, err) < 0 ? -1 : put_bytes32(&w->values, type, err);
}

int
lm_gguf_put_u32(struct lm_gguf_writing *w, const char *key, uint64_t v, struct loom_error *err)
{
	if (v > UINT32_MAX)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%s is %llu, which 32 bits do not hold", key,
		    (unsigned long long)v);
	return put_key(w, key, LM_GGUF_U32, err) < 0 ? -1 : put_bytes32(&w->values, v, err);
}

int
lm_gguf_put_f32(struct lm_gguf_writing *w, const char *key, double v, struct loom_error *err)
{
	return put_key(w, key, LM_GGUF_F32, err) < 0
	    ? -1
	    : put_bytes32(&w->values, lm_bits32((float)v), err);
}

int
lm_gguf_put_bool(struct lm_gguf_writing *w, const char *key, int v, struct loom_error *err)
{
	return put_key(w, key, LM_GGUF_BOOL, err) < 0
	    ? -1
	    : lm_buf_add(&w->values, v ? "\1" : "\0", 1, err);
}

int
lm_gguf_put_text(struct lm_gguf_writing *w, const char *key, const char *v, struct loom_error *err)
{
	return put_key(w, key, LM_GGUF_STRING, err) < 0 ? -1 : put_string(&w->values, v, err);
}

int
lm_gguf_put_array(struct lm_gguf_writing *w, const char *key, enum lm_gguf_type type, uint64_t n,
    struct loom_error *err)
{
	if (put_key(w, key, LM_GGUF_ARRAY, err) < 0 || put_bytes32(&w->values, type, err) < 0)
		return -1;
	return put_bytes64(&w->values, n, err);
}

int
lm_gguf_put_element_text(struct lm_gguf_writing *w, const char *v, struct loom_error *err)
{
	return put_string(&w->values, v, err);
}

int
lm_gguf_put_element_i32(struct lm_gguf_writing *w, int32_t v, struct loom_error *err)
{
	return put_bytes32(&w->values, (uint32_t)v, err);
}

int
lm_gguf_put_element_u64(struct lm_gguf_writing *w, uint64_t v, struct loom_error *err)
{
	return put_bytes64(&w->values, v, err);
}

int
lm_gguf_put_general(struct lm_gguf_writing *w, const char *architecture, struct loom_error *err)
{
	const char *title = w->e->model->title;

	if (lm_gguf_put_text(w, "general.architecture", architecture, err) < 0)
		return -1;
	return title != NULL ? lm_gguf_put_text(w, "general.name", title, err) : 0;
}

/* ---- tensors ---- */

static const struct type {
	enum lm_dtype_id dtype;
	unsigned code;	    /* of the tensor */
	unsigned file_type; /* of a file whose matrices are such */
} types[] = {
	{ LM_F32, 0, 0 },
	{ LM_F16, 1, 1 },
	{ LM_BF16, 30, 32 },
	{ LM_I64, 27, 0 },
	{ LM_BOOL, 24, 0 },
};

/* ggml's number for a file of such blocks. */
static unsigned
file_type_of(const struct lm_quant *q)
{
	static const unsigned by_code[] = { [2] = 2, [3] = 3, [6] = 8, [7] = 9, [8] = 7 };

	return by_code[q->code];
}

static const struct type *
type_of(const struct lm_dtype *dtype)
{
	size_t i;

	for (i = 0; lm_dtype_get(types[i].dtype) != dtype; i++)
		continue;
	return &types[i];
}

int
lm_gguf_put_room(struct lm_gguf_writing *w, size_t n, struct loom_error *err)
{
	w->tensors = lm_arena_alloc(w->e->arena, n, sizeof(*w->tensors), err);
	return w->tensors != NULL ? 0 : -1;
}

static int
real_number(const struct lm_dtype *dtype)
{
	return dtype != lm_dtype_get(LM_I64) && dtype != lm_dtype_get(LM_BOOL);
}

/* Rows that fill no whole blocks stay what they are, and a line says so. */
static int
note_rows(struct lm_gguf_writing *w, const struct lm_outgoing *t, struct loom_error *err)
{
	char shown[LM_SHOWN];

	return lm_buf_printf(w->e->notes, err,
	    "tensor %s stays %s: rows of %llu values, %s takes %u at a time\n",
	    lm_shown(shown, t->name), t->dtype->name, (unsigned long long)t->shape[t->rank - 1],
	    w->quant->name, w->quant->values);
}

/* Matrices become what was asked for; engines want vectors in float32. */
static int
choose_type(struct lm_gguf_writing *w, struct lm_gguf_outgoing *out, struct loom_error *err)
{
	struct lm_outgoing *t = &out->t;
	const struct lm_dtype *from = t->dtype;

	if (!real_number(from))
		return 0;
	if (t->rank < 2)
		return lm_outgoing_as(t, lm_dtype_get(LM_F32), NULL, err);
	if (w->dtype == NULL || (w->quant == NULL && w->dtype == from))
		return 0;
	if (w->quant != NULL && t->shape[t->rank - 1] % w->quant->values != 0)
		return note_rows(w, t, err);
	out->from = from;
	return lm_outgoing_as(t, w->dtype, w->quant, err);
}

struct lm_strand *
lm_gguf_put_slot(struct lm_gguf_writing *w, const char *name, const struct lm_node *node,
    size_t slot, const struct lm_shape *shape, struct loom_error *err)
{
	struct lm_gguf_outgoing *out = &w->tensors[w->n_tensors];
	struct lm_strand *strand;

	if (lm_outgoing_begin(&out->t, w->e->arena, name, lm_outgoing_dtype(node, slot), shape, 1,
		err) < 0)
		return NULL;
	strand = lm_outgoing_add(&out->t, node, slot, err);
	if (strand == NULL || choose_type(w, out, err) < 0)
		return NULL;
	w->n_tensors++;
	return strand;
}

int
lm_gguf_put_file_type(struct lm_gguf_writing *w, struct loom_error *err)
{
	const struct lm_outgoing *t = NULL;
	size_t i;

	for (i = 0; i < w->n_tensors; i++)
		if (w->tensors[i].t.rank > 1 && (t == NULL || w->tensors[i].t.quant != NULL))
			t = &w->tensors[i].t;
	if (t == NULL)
		return 0;
	if (t->quant != NULL && lm_gguf_put_u32(w, "general.quantization_version", 2, err) < 0)
		return -1;
	return lm_gguf_put_u32(w, "general.file_type",
	    t->quant != NULL ? file_type_of(t->quant) : type_of(t->dtype)->file_type, err);
}

/* ---- the file ---- */

static uint64_t
padded(uint64_t n)
{
	return (n + LM_GGUF_ALIGN - 1) / LM_GGUF_ALIGN * LM_GGUF_ALIGN;
}

static int
describe(struct lm_buf *head, const struct lm_outgoing *t, uint64_t *offset, struct loom_error *err)
{
	unsigned i;

	if (put_string(head, t->name, err) < 0 || put_bytes32(head, t->rank, err) < 0)
		return -1;
	for (i = t->rank; i-- > 0;)
		if (put_bytes64(head, t->shape[i], err) < 0)
			return -1;
	if (put_bytes32(head, t->quant != NULL ? t->quant->code : type_of(t->dtype)->code, err) <
		0 ||
	    put_bytes64(head, *offset, err) < 0)
		return -1;
	*offset += padded(t->bytes);
	return 0;
}

static int
make_head(struct lm_gguf_writing *w, struct lm_buf *head, struct loom_error *err)
{
	uint64_t offset = 0;
	size_t i;

	if (lm_buf_add(head, "GGUF\3\0\0\0", 8, err) < 0 ||
	    put_bytes64(head, w->n_tensors, err) < 0 || put_bytes64(head, w->n_values, err) < 0 ||
	    lm_buf_add(head, w->values.data, w->values.len, err) < 0)
		return -1;
	for (i = 0; i < w->n_tensors; i++)
		if (describe(head, &w->tensors[i].t, &offset, err) < 0)
			return -1;
	return 0;
}

static int
pad(struct lm_sink *sink, struct loom_error *err)
{
	static const unsigned char zeros[LM_GGUF_ALIGN];
	uint64_t at = lm_sink_tell(sink);

	return lm_sink_write(sink, zeros, (size_t)(padded(at) - at), err);
}

static int
write_tensor(struct lm_gguf_writing *w, struct lm_gguf_outgoing *out, struct lm_sink *sink,
    struct loom_error *err)
{
	struct lm_loss loss = { 0 };

	if (lm_outgoing_write(&out->t, sink, out->from != NULL ? &loss : NULL, err) < 0 ||
	    pad(sink, err) < 0)
		return -1;
	return out->from != NULL ? lm_loss_note(&loss, &out->t, out->from, w->e->notes, err) : 0;
}

static int
write_all(struct lm_gguf_writing *w, struct lm_sink *sink, struct loom_error *err)
{
	struct lm_buf head;
	size_t i;
	int r;

	lm_buf_init(&head, SIZE_MAX / 4);
	r = make_head(w, &head, err);
	if (r == 0)
		r = lm_sink_write(sink, head.data, head.len, err);
	lm_buf_release(&head);
	if (r == 0)
		r = pad(sink, err);
	for (i = 0; r == 0 && i < w->n_tensors; i++)
		r = write_tensor(w, &w->tensors[i], sink, err);
	return r;
}

int
lm_gguf_write(struct lm_gguf_writing *w, struct loom_error *err)
{
	struct lm_sink *sink;
	int r;

	if (lm_place_file(w->e->place, "", &sink, err) < 0)
		return -1;
	r = write_all(w, sink, err);
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_sink_free(sink);
	return r;
}
