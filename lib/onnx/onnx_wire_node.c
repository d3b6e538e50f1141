/* onnx_wire_node: reading a NodeProto with its attributes, and a ValueInfoProto. */
#include <string.h>

#include "onnx/onnx_wire.h"
#include "num/bytes.h"

/* ---- attributes ---- */

/* The types of attributes that fields hold, by field; 0: none. */
static const unsigned char types[] = { [2] = LM_ONNX_IS_FLOAT,
	[3] = LM_ONNX_IS_INT,
	[4] = LM_ONNX_IS_STRING,
	[5] = LM_ONNX_IS_TENSOR,
	[6] = LM_ONNX_IS_GRAPH,
	[7] = LM_ONNX_IS_FLOATS,
	[8] = LM_ONNX_IS_INTS,
	[9] = LM_ONNX_IS_STRINGS,
	[10] = 9,
	[11] = 10,
	[14] = 13,
	[15] = 14,
	[22] = 11,
	[23] = 12 };

enum { FIELDS = sizeof(types) / sizeof(*types), ATTRIBUTES = 1000 }; /* of a node */

struct attribute {
	struct lm_onnx_attribute *a;
	const struct lm_onnx_node *node;
	int64_t type;
	int found; /* the type of the field that is there, or 0 */
};

/* "node N (Op): attribute A: ". */
static const char *
heading(char head[LM_ONNX_HEAD], const struct attribute *in)
{
	char node[LM_SHOWN], op[LM_SHOWN], attribute[LM_SHOWN];

	(void)snprintf(head, LM_ONNX_HEAD,
	    "node %s (%s): attribute %s: ", lm_shown(node, lm_onnx_node_name(in->node)),
	    lm_shown(op, in->node->op), lm_shown(attribute, in->a->name));
	return head;
}

static int
put_string(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct lm_onnx_attribute *a, struct loom_error *err)
{
	char *s;

	if (lm_field_is(m, f, LM_WIRE_BYTES, err) < 0)
		return -1;
	if (f->length > LM_ONNX_TEXT)
		return lm_wire_fail(&w->wire, f->at, err, "text of %ju bytes, at most %d are read",
		    (uintmax_t)f->length, LM_ONNX_TEXT);
	s = lm_onnx_wire_take(w, f->length + 1, 1, err);
	a->s = s;
	a->n = (size_t)f->length;
	return s != NULL ? lm_field_read(m, f, s, err) : -1;
}

static int
put_strings(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct lm_onnx_attribute *a, struct loom_error *err)
{
	const char **list = lm_onnx_wire_grow(w, a->strings, a->n, sizeof(*list), err);

	if (list == NULL)
		return -1;
	a->strings = list;
	return lm_onnx_wire_text(w, m, f, LM_ONNX_TEXT, &list[a->n++], err);
}

static int
put_floats(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct lm_onnx_attribute *a, struct loom_error *err)
{
	struct lm_numbers numbers;
	uint64_t bits;
	float *list;
	int r;

	if (lm_numbers_open(&numbers, m, f, LM_WIRE_FIXED32, err) < 0)
		return -1;
	while ((r = lm_numbers_next(&numbers, &bits, err)) > 0) {
		list = lm_onnx_wire_grow(w, a->floats, a->n, sizeof(*list), err);
		if (list == NULL)
			return -1;
		a->floats = list;
		list[a->n++] = lm_from_bits32((uint32_t)bits);
	}
	return r;
}

static int
put_ints(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct lm_onnx_attribute *a, struct loom_error *err)
{
	struct lm_numbers numbers;
	uint64_t bits;
	int64_t *list;
	int r;

	if (lm_numbers_open(&numbers, m, f, LM_WIRE_VARINT, err) < 0)
		return -1;
	while ((r = lm_numbers_next(&numbers, &bits, err)) > 0) {
		list = lm_onnx_wire_grow(w, a->ints, a->n, sizeof(*list), err);
		if (list == NULL)
			return -1;
		a->ints = list;
		list[a->n++] = (int64_t)bits;
	}
	return r;
}

static int
put_tensor(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct attribute *in, struct loom_error *err)
{
	struct lm_onnx_tensor *t = lm_onnx_wire_take(w, 1, sizeof(*t), err);
	char head[LM_ONNX_HEAD];

	in->a->tensor = t;
	return t != NULL ? lm_onnx_wire_tensor(w, m, f, heading(head, in), t, err) : -1;
}

/* What a field holds; a graph within a node is not looked into. */
static int
put_value(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct attribute *in, struct loom_error *err)
{
	switch (f->number) {
	case 2:
		in->a->f = lm_from_bits32((uint32_t)f->value);
		return lm_field_is(m, f, LM_WIRE_FIXED32, err);
	case 3:
		return lm_onnx_wire_int(m, f, &in->a->i, err);
	case 4:
		return put_string(w, m, f, in->a, err);
	case 5:
		return put_tensor(w, m, f, in, err);
	case 7:
		return put_floats(w, m, f, in->a, err);
	case 8:
		return put_ints(w, m, f, in->a, err);
	case 9:
		return put_strings(w, m, f, in->a, err);
	default:
		return 0;
	}
}

static int
attribute_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	struct attribute *in = into;
	char head[LM_ONNX_HEAD];
	int type = f->number < FIELDS ? types[f->number] : 0;

	if (f->number == 1)
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &in->a->name, err);
	if (f->number == 20)
		return lm_onnx_wire_int(m, f, &in->type, err);
	if (f->number == 21 && f->length > 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%srefers to one of a function, which is not read", heading(head, in));
	if (type == 0)
		return 0;
	if (in->found != 0 && in->found != type)
		return lm_fail(err, LOOM_EFORMAT, "%svalues of two types", heading(head, in));
	in->found = type;
	return put_value(w, m, f, in, err);
}

static int
read_attribute(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct lm_onnx_node *node, struct loom_error *err)
{
	struct attribute in = { .node = node, .a = &node->attributes[node->n_attributes] };
	char head[LM_ONNX_HEAD];
	size_t i;

	in.a->name = "";
	if (lm_onnx_wire_each(w, m, f, attribute_field, &in, err) < 0)
		return -1;
	if (in.a->name[0] == '\0')
		return lm_fail(err, LOOM_EFORMAT, "%sit has no name", heading(head, &in));
	for (i = 0; i < node->n_attributes; i++)
		if (strcmp(node->attributes[i].name, in.a->name) == 0)
			return lm_fail(err, LOOM_EFORMAT, "%sis there twice", heading(head, &in));
	if (in.type == 0)
		in.type = in.found;
	if (in.type <= 0 || in.type > UINT8_MAX || (in.found != 0 && in.found != in.type) ||
	    (in.type == LM_ONNX_IS_TENSOR && in.found == 0))
		return lm_fail(err, LOOM_EFORMAT, "%stype %jd, but a value of type %d",
		    heading(head, &in), (intmax_t)in.type, in.found);
	if (in.type == LM_ONNX_IS_STRING && in.a->s == NULL)
		in.a->s = "";
	in.a->type = (int)in.type;
	node->n_attributes++;
	return 0;
}

/* ---- nodes ---- */

struct node {
	struct lm_onnx_node *node;
	size_t n_attributes;
};

static int
add_name(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    const char ***list, size_t *n, struct loom_error *err)
{
	const char **wider = lm_onnx_wire_grow(w, *list, *n, sizeof(*wider), err);

	if (wider == NULL)
		return -1;
	*list = wider;
	if (*n == LM_ONNX_WIDEST)
		return lm_wire_fail(&w->wire, f->at, err, "a node with more than %d values",
		    LM_ONNX_WIDEST);
	return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &wider[(*n)++], err);
}

/* All but the attributes, whose messages begin with the node's name. */
static int
node_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f, void *into,
    struct loom_error *err)
{
	struct node *in = into;
	struct lm_onnx_node *node = in->node;

	switch (f->number) {
	case 1:
		return add_name(w, m, f, &node->in, &node->n_in, err);
	case 2:
		return add_name(w, m, f, &node->out, &node->n_out, err);
	case 3:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &node->name, err);
	case 4:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &node->op, err);
	case 5:
		in->n_attributes++;
		return 0;
	case 7:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &node->domain, err);
	default:
		return 0;
	}
}

static int
node_attribute(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	return f->number == 5 ? read_attribute(w, m, f, into, err) : 0;
}

static int
read_attributes(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct node *in, struct loom_error *err)
{
	struct lm_onnx_node *node = in->node;
	char shown[LM_SHOWN];

	if (node->op[0] == '\0')
		return lm_fail(err, LOOM_EFORMAT, "node %s: does not say its operator (op_type)",
		    lm_shown(shown, lm_onnx_node_name(node)));
	if (in->n_attributes > ATTRIBUTES)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "node %s: %zu attributes, at most %d are read",
		    lm_shown(shown, lm_onnx_node_name(node)), in->n_attributes, ATTRIBUTES);
	if (strcmp(node->domain, "ai.onnx") == 0)
		node->domain = "";
	node->attributes = lm_onnx_wire_take(w, in->n_attributes, sizeof(*node->attributes), err);
	return node->attributes != NULL ? lm_onnx_wire_each(w, m, f, node_attribute, node, err)
					: -1;
}

int
lm_onnx_wire_node(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct loom_error *err)
{
	struct lm_onnx *x = w->x;
	struct lm_onnx_node *wider;
	struct node in = { 0 };

	if (x->n_nodes == LM_ONNX_MOST)
		return lm_wire_fail(&w->wire, f->at, err, "more than %d nodes", LM_ONNX_MOST);
	wider = lm_onnx_wire_grow(w, x->nodes, x->n_nodes, sizeof(*wider), err);
	if (wider == NULL)
		return -1;
	x->nodes = wider;
	in.node = &wider[x->n_nodes];
	memset(in.node, 0, sizeof(*in.node));
	in.node->name = in.node->op = in.node->domain = "";
	if (lm_onnx_wire_each(w, m, f, node_field, &in, err) < 0 ||
	    read_attributes(w, m, f, &in, err) < 0)
		return -1;
	x->n_nodes++;
	return 0;
}
