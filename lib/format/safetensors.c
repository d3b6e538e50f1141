/* safetensors: a JSON header with the place of every tensor, then their bytes without gaps. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "format/flat.h"
#include "format/quote.h"
#include "format/tensors.h"
#include "num/bytes.h"

enum { LONGEST = 100000000, ALIGN = 8 }; /* of a header; the reference reader's limit */

#define METADATA "__metadata__"	 /* a member of the header that is no tensor */
#define TOPOLOGY "loom.topology" /* members of it that are ours */
#define CHECKPOINT "loom.checkpoint"

static const struct row {
	const char *name;
	enum lm_dtype_id id;
} dtypes[] = {
	{ "F64", LM_F64 },
	{ "F32", LM_F32 },
	{ "F16", LM_F16 },
	{ "BF16", LM_BF16 },
	{ "I64", LM_I64 },
	{ "I32", LM_I32 },
	{ "I16", LM_I16 },
	{ "I8", LM_I8 },
	{ "U64", LM_U64 },
	{ "U32", LM_U32 },
	{ "U16", LM_U16 },
	{ "U8", LM_U8 },
	{ "BOOL", LM_BOOL },
};

enum { DTYPES = sizeof(dtypes) / sizeof(*dtypes) };

static int
sniff(const unsigned char *head, size_t len)
{
	return len > 8 && head[8] == '{' && lm_get_u64(head) <= LONGEST ? 80 : 0;
}

/* ---- an entry of the header ---- */

/* What a message about the tensor starts with. */
static const char *
heading(char dst[LM_SHOWN + 16], const char *name)
{
	char shown[LM_SHOWN];

	(void)snprintf(dst, LM_SHOWN + 16, "tensor %s: ", lm_shown(shown, name));
	return dst;
}

static int
put_dtype(struct lm_entry *e, const json_t *value, const char *head, struct loom_error *err)
{
	const char *name = json_string_value(value);
	char shown[LM_SHOWN];
	size_t i;

	if (name == NULL)
		return lm_fail(err, LOOM_EFORMAT, "%sdtype is not a string", head);
	for (i = 0; i < DTYPES && strcmp(dtypes[i].name, name) != 0; i++)
		continue;
	if (i == DTYPES)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%sdtype %s is not one that is read: "
		    "F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL",
		    head, lm_shown(shown, name));
	e->dtype = lm_dtype_get(dtypes[i].id);
	return 0;
}

static int
natural(const json_t *value, uint64_t *n)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -1;
	*n = (uint64_t)json_integer_value(value);
	return 0;
}

static int
put_shape(struct lm_entry *e, const json_t *value, const char *head, struct loom_error *err)
{
	size_t rank = json_array_size(value), i;

	if (!json_is_array(value))
		return lm_fail(err, LOOM_EFORMAT, "%sshape is not a list", head);
	if (rank > LOOM_RANK)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%s%zu axes: at most %d are read", head,
		    rank, LOOM_RANK);
	for (i = 0; i < rank; i++)
		if (natural(json_array_get(value, i), &e->tensor.shape[i]) < 0)
			return lm_fail(err, LOOM_EFORMAT,
			    "%sextent %zu of the shape is not a whole number from 0", head, i);
	e->tensor.rank = (unsigned)rank;
	return 0;
}

/* For now offset is relative to the end of the header. */
static int
put_place(struct lm_entry *e, const json_t *value, const char *head, struct loom_error *err)
{
	uint64_t begin, end;

	if (json_array_size(value) != 2 || natural(json_array_get(value, 0), &begin) < 0 ||
	    natural(json_array_get(value, 1), &end) < 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "%sdata_offsets is not a pair of whole numbers from 0", head);
	if (end < begin || end - begin != e->bytes)
		return lm_fail(err, LOOM_EFORMAT,
		    "%sdata_offsets [%ju, %ju] do not hold its %ju bytes", head, (uintmax_t)begin,
		    (uintmax_t)end, (uintmax_t)e->bytes);
	e->offset = begin;
	return 0;
}

static int
put_entry(struct loom_tensors *t, const char *name, const json_t *value, struct loom_error *err)
{
	char head[LM_SHOWN + 16];
	struct lm_entry *e;

	(void)heading(head, name);
	if (strlen(name) > LM_TENSOR_NAME)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%sa name of more than %d bytes", head,
		    LM_TENSOR_NAME);
	if (json_object_size(value) != 3 || json_object_get(value, "dtype") == NULL ||
	    json_object_get(value, "shape") == NULL ||
	    json_object_get(value, "data_offsets") == NULL)
		return lm_fail(err, LOOM_EFORMAT,
		    "%sexpected exactly the keys dtype, shape and data_offsets", head);
	e = lm_tensors_add(t, name, err);
	if (e == NULL || put_dtype(e, json_object_get(value, "dtype"), head, err) < 0 ||
	    put_shape(e, json_object_get(value, "shape"), head, err) < 0 ||
	    lm_entry_size(e, head, err) < 0)
		return -1;
	return put_place(e, json_object_get(value, "data_offsets"), head, err);
}

/* A member of the metadata that is ours, kept as long as the tensors. */
static int
keep(struct loom_tensors *t, const char **to, json_t *value, struct loom_error *err)
{
	if (json_string_value(value) == NULL)
		return 0;
	*to = lm_arena_string(&t->arena, json_string_value(value), err);
	return *to != NULL ? 0 : -1;
}

static int
read_metadata(struct loom_tensors *t, json_t *value, struct loom_error *err)
{
	const char *key;
	char shown[LM_SHOWN];
	json_t *item;

	if (!json_is_object(value))
		return lm_fail(err, LOOM_EFORMAT, "__metadata__ is not an object");
	json_object_foreach(value, key, item)
		if (!json_is_string(item))
			return lm_fail(err, LOOM_EFORMAT, "__metadata__: %s is not a string",
			    lm_shown(shown, key));
	if (keep(t, &t->topology, json_object_get(value, TOPOLOGY), err) < 0)
		return -1;
	return keep(t, &t->checkpoint, json_object_get(value, CHECKPOINT), err);
}

static int
put_header(struct loom_tensors *t, json_t *root, struct loom_error *err)
{
	const char *name;
	json_t *value;
	int r = 0;

	if (!json_is_object(root))
		return lm_fail(err, LOOM_EFORMAT, "the header is not a JSON object");
	json_object_foreach(root, name, value) {
		if (strcmp(name, METADATA) == 0)
			r = read_metadata(t, value, err);
		else
			r = put_entry(t, name, value, err);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int
parse_header(struct loom_tensors *t, const char *text, size_t len, struct loom_error *err)
{
	json_t *root;
	int r;

	if (lm_json_parse(&root, text, len, err) < 0) {
		err->offset += 8; /* what stands before the text */
		return lm_fail_in(err, lm_source_name(t->source));
	}
	r = put_header(t, root, err);
	json_decref(root);
	return r;
}

/* ---- the whole ---- */

static int
by_place(const void *a, const void *b)
{
	const struct lm_entry *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	return strcmp(x->tensor.name, y->tensor.name);
}

/* Each tensor begins where the one before it ended: no gaps, no overlaps, nothing left over. */
static int
settle_places(struct loom_tensors *t, uint64_t start, struct loom_error *err)
{
	uint64_t here = 0, size = 0, left;
	char head[LM_SHOWN + 16];
	size_t i;

	if (t->n > 0)
		qsort(t->entries, t->n, sizeof(*t->entries), by_place);
	for (i = 0; i < t->n; i++) {
		if (t->entries[i].offset != here)
			return lm_fail(err, LOOM_EFORMAT,
			    "%sits data begin at %ju, where %ju was expected (%s)",
			    heading(head, t->entries[i].tensor.name),
			    (uintmax_t)t->entries[i].offset, (uintmax_t)here,
			    t->entries[i].offset < here ? "tensors overlap" : "there is a gap");
		here += t->entries[i].bytes;
		if (here > INT64_MAX)
			return lm_fail(err, LOOM_EFORMAT, "%sends beyond 63 bits",
			    heading(head, t->entries[i].tensor.name));
		t->entries[i].offset += start;
	}
	(void)lm_source_size(t->source, &size);
	left = size - start;
	if (left < here)
		return lm_source_fail(t->source, err, LOOM_ETRUNCATED,
		    "holds %ju bytes of data, the header says %ju", (uintmax_t)left,
		    (uintmax_t)here);
	if (left > here)
		return lm_source_fail(t->source, err, LOOM_EFORMAT,
		    "%ju bytes follow the data of the last tensor", (uintmax_t)(left - here));
	return 0;
}

static int
index_all(struct loom_tensors *t, struct loom_error *err)
{
	unsigned char length[8];
	char *text;
	size_t n;
	int r;

	if (lm_source_read(t->source, length, 8, err) < 0)
		return -1;
	n = (size_t)lm_get_u64(length); /* at most LONGEST: sniffed */
	if (lm_source_claim(t->source, n, err) < 0)
		return -1;
	text = lm_alloc(n, 1, err);
	if (text == NULL)
		return -1;
	r = lm_source_read(t->source, text, n, err);
	if (r == 0)
		r = parse_header(t, text, n, err);
	lm_free(text);
	if (r < 0 || lm_tensors_unique(t, err) < 0)
		return -1;
	return settle_places(t, 8 + (uint64_t)n, err);
}

/* ---- writing ---- */

static const char *
code_of(const struct lm_dtype *dtype)
{
	size_t i;

	for (i = 0; i < DTYPES; i++)
		if (lm_dtype_get(dtypes[i].id) == dtype)
			return dtypes[i].name;
	return NULL;
}

static int
put_description(struct lm_buf *buf, const struct loom_tensor *t, uint64_t *place,
    struct loom_error *err)
{
	const struct lm_dtype *dtype;
	char shown[LM_SHOWN];
	const char *code;
	uint64_t bytes;
	unsigned i;

	if (lm_tensor_size(t, &dtype, &bytes, err) < 0)
		return -1;
	code = code_of(dtype);
	if (code == NULL)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "tensor %s is %s, which .safetensors cannot hold", lm_shown(shown, t->name),
		    dtype->name);
	if (strcmp(t->name, METADATA) == 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "a tensor called %s, which .safetensors cannot hold", METADATA);
	if (lm_quote(buf, t->name, err) < 0 ||
	    lm_buf_printf(buf, err, ":{\"dtype\":\"%s\",\"shape\":[", code) < 0)
		return -1;
	for (i = 0; i < t->rank; i++)
		if (lm_buf_printf(buf, err, "%s%ju", i > 0 ? "," : "", (uintmax_t)t->shape[i]) < 0)
			return -1;
	if (lm_buf_printf(buf, err, "],\"data_offsets\":[%ju,%ju]}", (uintmax_t)*place,
		(uintmax_t)(*place + bytes)) < 0)
		return -1;
	*place += bytes;
	return 0;
}

/* The header with its length before it, padded so that the data are aligned; first: a member of it. */
static int
make_header(struct lm_buf *buf, const char *first, const struct loom_tensor *t, size_t n,
    struct loom_error *err)
{
	uint64_t place = 0;
	size_t i;

	if (lm_buf_add(buf, "\0\0\0\0\0\0\0\0{", 9, err) < 0 || lm_buf_str(buf, first, err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (((i > 0 || first[0] != '\0') && lm_buf_str(buf, ",", err) < 0) ||
		    put_description(buf, &t[i], &place, err) < 0)
			return -1;
	if (lm_buf_str(buf, "}", err) < 0)
		return -1;
	while (buf->len % ALIGN != 0)
		if (lm_buf_str(buf, " ", err) < 0)
			return -1;
	lm_put_u64((unsigned char *)buf->data, buf->len - 8);
	return 0;
}

static int
write_tensors(struct lm_sink *sink, const struct loom_tensor *t, size_t n, struct loom_error *err)
{
	const struct lm_dtype *dtype;
	struct lm_buf header;
	uint64_t bytes;
	size_t i;
	int r;

	lm_buf_init(&header, LONGEST);
	r = make_header(&header, "", t, n, err);
	if (r == 0)
		r = lm_sink_write(sink, header.data, header.len, err);
	lm_buf_release(&header);
	for (i = 0; i < n && r == 0; i++) {
		r = lm_tensor_size(&t[i], &dtype, &bytes, err);
		if (r == 0)
			r = lm_sink_write(sink, t[i].data, (size_t)bytes, err);
	}
	return r;
}

/* ---- networks ---- */

/* "__metadata__" with what makes a network of the tensors; transformers wants to know whose they are. */
static int
put_metadata(struct lm_buf *buf, const struct lm_flat *f, struct loom_error *err)
{
	if (lm_buf_str(buf, "\"" METADATA "\":{\"format\":\"pt\"", err) < 0)
		return -1;
	if (f->topology.len > 0 &&
	    (lm_buf_str(buf, ",\"" TOPOLOGY "\":", err) < 0 ||
		lm_quote(buf, f->topology.data, err) < 0))
		return -1;
	if (f->checkpoint.len > 0 &&
	    (lm_buf_str(buf, ",\"" CHECKPOINT "\":", err) < 0 ||
		lm_quote(buf, f->checkpoint.data, err) < 0))
		return -1;
	return lm_buf_str(buf, "}", err);
}

static struct loom_tensor
describe(const struct lm_outgoing *from)
{
	struct loom_tensor t = { .name = from->name,
		.dtype = from->dtype->name,
		.rank = from->rank };

	memcpy(t.shape, from->shape, sizeof(t.shape));
	return t;
}

static int
put_network(struct lm_buf *header, const struct lm_flat *f, struct lm_export *e,
    struct loom_error *err)
{
	struct loom_tensor *t = lm_arena_alloc(e->arena, f->n, sizeof(*t), err);
	struct lm_buf metadata;
	size_t i;
	int r;

	if (t == NULL)
		return -1;
	for (i = 0; i < f->n; i++)
		t[i] = describe(&f->tensors[i]);
	lm_buf_init(&metadata, LONGEST);
	r = put_metadata(&metadata, f, err);
	if (r == 0)
		r = make_header(header, metadata.data, t, f->n, err);
	lm_buf_release(&metadata);
	return r;
}

int
lm_safetensors_write(struct lm_sink *sink, const struct lm_flat *f, struct lm_export *e,
    struct loom_error *err)
{
	struct lm_buf header;
	size_t i;
	int r;

	lm_buf_init(&header, LONGEST);
	r = put_network(&header, f, e, err);
	if (r == 0)
		r = lm_sink_write(sink, header.data, header.len, err);
	lm_buf_release(&header);
	for (i = 0; i < f->n && r == 0; i++)
		r = lm_flat_write(f, i, e, sink, err);
	return r;
}

static int
export_network(struct lm_export *e, struct loom_error *err)
{
	return lm_flat_export(e, 1, lm_safetensors_write, err);
}

const struct lm_format_ops lm_format_safetensors = {
	.name = "safetensors",
	.about = "tensors with a JSON header",
	.holds = LM_HOLDS_TENSORS | LM_HOLDS_MODEL,
	.can = LM_READ | LM_WRITE | LM_EXPORT,
	.takes = LM_TAKES_TEMPLATE | LM_TAKES_DTYPE,
	.read = lm_flat_read,
	.export = export_network,
	.sniff = sniff,
	.index = index_all,
	.write_tensors = write_tensors,
};
