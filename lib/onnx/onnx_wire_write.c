/*
 * onnx_wire_write: writing an ONNX file in one pass, fields in the order of their numbers.  The same graph
 * is always the same bytes.
 */
#include <inttypes.h>
#include <string.h>

#include "onnx/onnx.h"
#include "onnx/protobuf.h"

/* Tensors in a file of their own: where they may begin, and from what size on they go there. */
enum { ALIGN = 4096, SMALL = 1024 };
enum { PIECE = 1 << 20 };

#define MOST ((uint64_t)1843 << 20) /* bytes of tensors that one file is given: 1.8 GiB */

struct writing {
	const struct lm_onnx *x;
	const char *location; /* of the file beside this one, or NULL */
	uint64_t place;	      /* of the next tensor in it */
};

/* ---- tensors ---- */

struct tensor {
	const struct lm_onnx_tensor *t;
	const char *location;
	uint64_t place;
};

/* Values that lie in a file, as they were read. */
static int
copy_values(const struct lm_onnx_tensor *t, struct lm_sink *sink, struct loom_error *err)
{
	uint64_t left = lm_onnx_tensor_bytes(t), at = t->view.offset;
	unsigned char *piece = lm_alloc(PIECE, 1, err);
	size_t n;
	int r = piece != NULL ? 0 : -1;

	for (; r == 0 && left > 0; left -= n, at += n) {
		n = left < PIECE ? (size_t)left : PIECE;
		r = lm_source_at(t->view.source, at, piece, n, err);
		if (r == 0)
			r = lm_sink_write(sink, piece, n, err);
	}
	lm_free(piece);
	return r;
}

static int
put_values(const struct lm_onnx_tensor *t, struct lm_sink *sink, struct loom_error *err)
{
	if (t->from != NULL)
		return lm_outgoing_write(t->from, sink, NULL, err);
	if (t->data == NULL)
		return copy_values(t, sink, err);
	return lm_sink_write(sink, t->data, (size_t)lm_onnx_tensor_bytes(t), err);
}

static int
put_raw(struct lm_wire_out *out, const struct tensor *in, struct loom_error *err)
{
	uint64_t bytes = lm_onnx_tensor_bytes(in->t);

	if (lm_wire_put_length(out, 9, bytes, err) < 0)
		return -1;
	out->size += bytes;
	return out->sink != NULL ? put_values(in->t, out->sink, err) : 0;
}

struct entry {
	const char *key, *value;
};

static int
put_entry(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct entry *e = what;

	return lm_wire_put_text(out, 1, e->key, err) < 0 ? -1
							 : lm_wire_put_text(out, 2, e->value, err);
}

static int
put_place(struct lm_wire_out *out, const struct tensor *in, struct loom_error *err)
{
	char offset[32], length[32];
	const struct entry entries[] = { { "location", in->location }, { "offset", offset },
		{ "length", length } };
	size_t i;

	(void)snprintf(offset, sizeof(offset), "%" PRIu64, in->place);
	(void)snprintf(length, sizeof(length), "%" PRIu64, lm_onnx_tensor_bytes(in->t));
	for (i = 0; i < 3; i++)
		if (lm_wire_put_message(out, 13, put_entry, &entries[i], err) < 0)
			return -1;
	return lm_wire_put_int(out, 14, 1, err);
}

static int
put_tensor(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct tensor *in = what;
	unsigned i;

	for (i = 0; i < in->t->rank; i++)
		if (lm_wire_put_int(out, 1, (int64_t)in->t->dim[i], err) < 0)
			return -1;
	if (lm_wire_put_int(out, 2, in->t->type, err) < 0)
		return -1;
	if (in->t->name[0] != '\0' && lm_wire_put_text(out, 8, in->t->name, err) < 0)
		return -1;
	return in->location != NULL ? put_place(out, in, err) : put_raw(out, in, err);
}

/* Whether it goes into the file beside, and where: behind the one before it. */
static int
goes_out(struct writing *w, const struct lm_onnx_tensor *t, uint64_t *place)
{
	uint64_t bytes = lm_onnx_tensor_bytes(t);

	if (w->location == NULL || bytes < SMALL)
		return 0;
	*place = (w->place + ALIGN - 1) / ALIGN * ALIGN;
	w->place = *place + bytes;
	return 1;
}

static int
put_tensors(struct lm_wire_out *out, struct writing w, struct loom_error *err)
{
	struct tensor in = { 0 };
	size_t i;

	w.place = 0;
	for (i = 0; i < w.x->n_tensors; i++) {
		in.t = &w.x->tensors[i];
		in.location = goes_out(&w, in.t, &in.place) ? w.location : NULL;
		if (lm_wire_put_message(out, 5, put_tensor, &in, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- nodes ---- */

static int
put_list(struct lm_wire_out *out, const struct lm_onnx_attribute *a, struct loom_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < a->n && r == 0; i++)
		if (a->type == LM_ONNX_IS_FLOATS)
			r = lm_wire_put_float(out, 7, a->floats[i], err);
		else if (a->type == LM_ONNX_IS_INTS)
			r = lm_wire_put_int(out, 8, a->ints[i], err);
		else
			r = lm_wire_put_text(out, 9, a->strings[i], err);
	return r;
}

static int
put_value(struct lm_wire_out *out, const struct lm_onnx_attribute *a, struct loom_error *err)
{
	struct tensor in = { .t = a->tensor };

	switch (a->type) {
	case LM_ONNX_IS_FLOAT:
		return lm_wire_put_float(out, 2, a->f, err);
	case LM_ONNX_IS_INT:
		return lm_wire_put_int(out, 3, a->i, err);
	case LM_ONNX_IS_STRING:
		return lm_wire_put_bytes(out, 4, a->s, a->n, err);
	case LM_ONNX_IS_TENSOR:
		return lm_wire_put_message(out, 5, put_tensor, &in, err);
	default:
		return put_list(out, a, err);
	}
}

static int
put_attribute(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct lm_onnx_attribute *a = what;

	if (lm_wire_put_text(out, 1, a->name, err) < 0 || put_value(out, a, err) < 0)
		return -1;
	return lm_wire_put_int(out, 20, a->type, err);
}

static int
put_names(struct lm_wire_out *out, uint32_t field, const char *const *names, size_t n,
    struct loom_error *err)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (lm_wire_put_text(out, field, names[i], err) < 0)
			return -1;
	return 0;
}

static int
put_node(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct lm_onnx_node *node = what;
	size_t i;

	if (put_names(out, 1, node->in, node->n_in, err) < 0 ||
	    put_names(out, 2, node->out, node->n_out, err) < 0)
		return -1;
	if (node->name[0] != '\0' && lm_wire_put_text(out, 3, node->name, err) < 0)
		return -1;
	if (lm_wire_put_text(out, 4, node->op, err) < 0)
		return -1;
	for (i = 0; i < node->n_attributes; i++)
		if (lm_wire_put_message(out, 5, put_attribute, &node->attributes[i], err) < 0)
			return -1;
	return node->domain[0] != '\0' ? lm_wire_put_text(out, 7, node->domain, err) : 0;
}

/* ---- values ---- */

static int
put_dim(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct lm_onnx_dim *dim = what;

	if (dim->name == NULL)
		return lm_wire_put_int(out, 1, dim->value, err);
	return dim->name[0] != '\0' ? lm_wire_put_text(out, 2, dim->name, err) : 0;
}

static int
put_shape(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct lm_onnx_value *v = what;
	unsigned i;

	for (i = 0; i < v->rank; i++)
		if (lm_wire_put_message(out, 1, put_dim, &v->dim[i], err) < 0)
			return -1;
	return 0;
}

static int
put_tensor_type(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct lm_onnx_value *v = what;

	if (lm_wire_put_int(out, 1, v->type, err) < 0)
		return -1;
	return v->ranked ? lm_wire_put_message(out, 2, put_shape, v, err) : 0;
}

static int
put_type(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	return lm_wire_put_message(out, 1, put_tensor_type, what, err);
}

static int
put_value_info(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct lm_onnx_value *v = what;

	if (lm_wire_put_text(out, 1, v->name, err) < 0)
		return -1;
	return v->type > 0 ? lm_wire_put_message(out, 2, put_type, v, err) : 0;
}

static int
put_values_of(struct lm_wire_out *out, uint32_t field, const struct lm_onnx_value *v, size_t n,
    struct loom_error *err)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (lm_wire_put_message(out, field, put_value_info, &v[i], err) < 0)
			return -1;
	return 0;
}

/* ---- the whole ---- */

static int
put_graph(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct writing *w = what;
	const struct lm_onnx *x = w->x;
	const char *name = x->graph != NULL && x->graph[0] != '\0' ? x->graph : "network";
	size_t i;

	for (i = 0; i < x->n_nodes; i++)
		if (lm_wire_put_message(out, 1, put_node, &x->nodes[i], err) < 0)
			return -1;
	if (lm_wire_put_text(out, 2, name, err) < 0 || put_tensors(out, *w, err) < 0 ||
	    put_values_of(out, 11, x->inputs, x->n_inputs, err) < 0 ||
	    put_values_of(out, 12, x->outputs, x->n_outputs, err) < 0)
		return -1;
	return put_values_of(out, 13, x->values, x->n_values, err);
}

static int
put_opset(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct lm_onnx_pair *p = what;

	if (lm_wire_put_text(out, 1, p->key, err) < 0)
		return -1;
	return lm_wire_put_int(out, 2, p->version, err);
}

static int
put_metadata(struct lm_wire_out *out, const void *what, struct loom_error *err)
{
	const struct lm_onnx_pair *p = what;
	const struct entry e = { p->key, p->value };

	return put_entry(out, &e, err);
}

static int
put_model(struct lm_wire_out *out, const struct writing *w, struct loom_error *err)
{
	const struct lm_onnx *x = w->x;
	const char *producer = x->producer != NULL ? x->producer : "planetbridging";
	size_t i;

	if (lm_wire_put_int(out, 1, x->ir, err) < 0 ||
	    lm_wire_put_text(out, 2, producer, err) < 0 ||
	    lm_wire_put_message(out, 7, put_graph, w, err) < 0)
		return -1;
	for (i = 0; i < x->n_opsets; i++)
		if (lm_wire_put_message(out, 8, put_opset, &x->opsets[i], err) < 0)
			return -1;
	for (i = 0; i < x->n_metadata; i++)
		if (lm_wire_put_message(out, 14, put_metadata, &x->metadata[i], err) < 0)
			return -1;
	return 0;
}

/* ---- files ---- */

static int
pad(struct lm_sink *sink, uint64_t place, struct loom_error *err)
{
	static const char zeros[ALIGN];

	return lm_sink_write(sink, zeros, (size_t)(place - lm_sink_tell(sink)), err);
}

static int
write_beside(struct lm_sink *sink, struct writing w, struct loom_error *err)
{
	uint64_t place;
	size_t i;

	w.place = 0;
	for (i = 0; i < w.x->n_tensors; i++)
		if (goes_out(&w, &w.x->tensors[i], &place) &&
		    (pad(sink, place, err) < 0 || put_values(&w.x->tensors[i], sink, err) < 0))
			return -1;
	return 0;
}

static int
write_main(struct lm_sink *sink, const struct writing *w, struct loom_error *err)
{
	struct lm_wire_out count = { NULL, 0 }, out = { sink, 0 };

	if (put_model(&count, w, err) < 0)
		return -1;
	if (count.size > INT32_MAX)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "the graph takes %ju bytes: no reader of ONNX takes 2 GiB or more",
		    (uintmax_t)count.size);
	return put_model(&out, w, err);
}

int
lm_onnx_write_sink(const struct lm_onnx *x, struct lm_sink *sink, struct loom_error *err)
{
	const struct writing w = { .x = x };

	return write_main(sink, &w, err);
}

/* One of the place's files, whole. */
static int
write_file(struct lm_place *place, const char *suffix, const struct writing *w,
    struct loom_error *err)
{
	struct lm_sink *sink;
	int r;

	if (lm_place_file(place, suffix, &sink, err) < 0)
		return -1;
	r = suffix[0] != '\0' ? write_beside(sink, *w, err) : write_main(sink, w, err);
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_sink_free(sink);
	return r;
}

int
lm_onnx_write_split(const struct lm_onnx *x, struct lm_place *place, uint64_t most,
    struct loom_error *err)
{
	struct writing w = { .x = x };
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < x->n_tensors; i++)
		bytes += lm_onnx_tensor_bytes(&x->tensors[i]);
	if (bytes >= most) {
		w.location = lm_place_name(place, ".data", err);
		if (w.location == NULL || write_file(place, ".data", &w, err) < 0)
			return -1;
	}
	return write_file(place, "", &w, err);
}

int
lm_onnx_write(const struct lm_onnx *x, struct lm_place *place, struct loom_error *err)
{
	return lm_onnx_write_split(x, place, MOST, err);
}
