/* onnx_wire_value: reading a ValueInfoProto: the name, type and shape of a value. */
#include <string.h>

#include "onnx/onnx_wire.h"

enum {
	TENSOR_TYPE = 1,
	SEQUENCE = 4,
	MAP = 5,
	SPARSE = 8,
	OPTIONAL = 9
}; /* fields of a TypeProto */

static int
dim_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f, void *into,
    struct loom_error *err)
{
	struct lm_onnx_dim *dim = into;

	if (f->number == 2)
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &dim->name, err);
	if (f->number != 1)
		return 0;
	if (lm_onnx_wire_int(m, f, &dim->value, err) < 0)
		return -1;
	dim->name = dim->value < 0 ? "" : NULL; /* some write -1 where they do not know */
	return 0;
}

static int
shape_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	struct lm_onnx_value *v = into;
	struct lm_onnx_dim more = { 0 }, *dim = v->rank < LM_ONNX_RANK ? &v->dim[v->rank] : &more;

	if (f->number != 1)
		return 0;
	dim->name = "";
	v->rank++;
	return lm_onnx_wire_each(w, m, f, dim_field, dim, err);
}

static int
tensor_type_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	struct lm_onnx_value *v = into;
	int64_t type;

	if (f->number == 1) {
		if (lm_onnx_wire_int(m, f, &type, err) < 0)
			return -1;
		v->type = type > 0 && type < INT16_MAX ? (int)type : 0;
	} else if (f->number == 2) {
		v->ranked = 1;
		v->rank = 0;
		return lm_onnx_wire_each(w, m, f, shape_field, v, err);
	}
	return 0;
}

static int
type_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f, void *into,
    struct loom_error *err)
{
	struct lm_onnx_value *v = into;

	switch (f->number) {
	case TENSOR_TYPE:
		return lm_onnx_wire_each(w, m, f, tensor_type_field, v, err);
	case SEQUENCE:
	case MAP:
	case SPARSE:
	case OPTIONAL:
		v->type = LM_ONNX_NO_TENSOR;
		return 0;
	default:
		return 0;
	}
}

static int
value_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	struct lm_onnx_value *v = into;

	if (f->number == 1)
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &v->name, err);
	return f->number == 2 ? lm_onnx_wire_each(w, m, f, type_field, v, err) : 0;
}

int
lm_onnx_wire_value(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct lm_onnx_value **list, size_t *n, struct loom_error *err)
{
	struct lm_onnx_value *wider, *v;
	char shown[LM_SHOWN];

	if (*n == LM_ONNX_MOST)
		return lm_wire_fail(&w->wire, f->at, err, "more than %d values", LM_ONNX_MOST);
	wider = lm_onnx_wire_grow(w, *list, *n, sizeof(*wider), err);
	if (wider == NULL)
		return -1;
	*list = wider;
	v = &wider[*n];
	memset(v, 0, sizeof(*v));
	v->name = "";
	if (lm_onnx_wire_each(w, m, f, value_field, v, err) < 0)
		return -1;
	if (v->name[0] == '\0')
		return lm_wire_fail(&w->wire, f->at, err, "a value without a name");
	if (v->rank > LM_ONNX_RANK)
		return lm_fail(err, LOOM_EUNSUPPORTED, "value %s: %u axes, at most %d are read",
		    lm_shown(shown, v->name), v->rank, LM_ONNX_RANK);
	++*n;
	return 0;
}
