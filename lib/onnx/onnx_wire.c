/* onnx_wire: reading an ONNX file: the model and its graph; messages are named as in onnx/onnx.proto. */
#include "onnx/onnx_wire.h"

#include <string.h>

#include "format/quote.h"

enum { LEAST_IR = 3, MOST_IR = 13, OPSETS = 100 };

#define MEMORY ((uint64_t)8 << 30) /* that a file may make us take where the user does not say */

/* ---- what all messages need ---- */

int
lm_onnx_wire_each(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    lm_onnx_field *read, void *into, struct loom_error *err)
{
	struct lm_message inner;
	struct lm_field field;
	int r;

	if (lm_message_enter(m, f, &inner, err) < 0)
		return -1;
	while ((r = lm_message_next(&inner, &field, err)) > 0)
		if (read(w, &inner, &field, into, err) < 0)
			return -1;
	return r;
}

static int
charge(struct lm_onnx_wire *w, uint64_t count, uint64_t size, struct loom_error *err)
{
	uint64_t most = w->owner->how.most_memory, bytes;

	if (lm_mul64(count, size, &bytes) < 0 || bytes > w->left)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "needs more than %ju bytes of memory besides its weights (--max-memory)",
		    (uintmax_t)(most > 0 ? most : MEMORY));
	w->left -= bytes;
	return 0;
}

void *
lm_onnx_wire_take(struct lm_onnx_wire *w, uint64_t count, size_t size, struct loom_error *err)
{
	if (charge(w, count > 0 ? count : 1, size, err) < 0)
		return NULL;
	return lm_arena_alloc(w->x->arena, count > 0 ? (size_t)count : 1, size, err);
}

void *
lm_onnx_wire_grow(struct lm_onnx_wire *w, const void *list, size_t n, size_t size,
    struct loom_error *err)
{
	if ((n & (n - 1)) == 0 && charge(w, n > 0 ? 2 * n : 1, size, err) < 0)
		return NULL;
	return lm_onnx_grow(w->x->arena, (void *)list, n, size, err);
}

int
lm_onnx_wire_int(const struct lm_message *m, const struct lm_field *f, int64_t *value,
    struct loom_error *err)
{
	*value = (int64_t)f->value;
	return lm_field_is(m, f, LM_WIRE_VARINT, err);
}

int
lm_onnx_wire_text(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    size_t most, const char **text, struct loom_error *err)
{
	char *s;

	if (lm_field_is(m, f, LM_WIRE_BYTES, err) < 0)
		return -1;
	if (f->length > most)
		return lm_wire_fail(&w->wire, f->at, err, "text of %ju bytes, at most %zu are read",
		    (uintmax_t)f->length, most);
	s = lm_onnx_wire_take(w, f->length + 1, 1, err);
	if (s == NULL || lm_field_read(m, f, s, err) < 0)
		return -1;
	if (memchr(s, '\0', (size_t)f->length) != NULL || !lm_utf8(s))
		return lm_wire_fail(&w->wire, f->at, err, "text that is not UTF-8, or has a NUL");
	*text = s;
	return 0;
}

/* ---- lists of the model ---- */

static int
pair_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f, void *into,
    struct loom_error *err)
{
	struct lm_onnx_pair *p = into;

	switch (f->number) {
	case 1:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_TEXT, &p->key, err);
	case 2:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_TEXT, &p->value, err);
	default:
		return 0;
	}
}

static int
opset_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	struct lm_onnx_pair *p = into;

	switch (f->number) {
	case 1:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &p->key, err);
	case 2:
		return lm_onnx_wire_int(m, f, &p->version, err);
	default:
		return 0;
	}
}

static int
add_pair(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    lm_onnx_field *read, size_t most, struct lm_onnx_pair **list, size_t *n, struct loom_error *err)
{
	struct lm_onnx_pair *wider = lm_onnx_wire_grow(w, *list, *n, sizeof(*wider), err);

	if (wider == NULL)
		return -1;
	*list = wider;
	wider[*n].key = wider[*n].value = "";
	wider[*n].version = 0;
	if (lm_onnx_wire_each(w, m, f, read, &wider[*n], err) < 0)
		return -1;
	if (++*n > most)
		return lm_wire_fail(&w->wire, f->at, err, "field %u more than %zu times",
		    (unsigned)f->number, most);
	return 0;
}

/* ---- what is not read ---- */

struct named {
	uint32_t name, values; /* fields: of the name, of a message that has it in its field 8 */
	const char *text;
};

static int
name_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f, void *into,
    struct loom_error *err)
{
	struct named *named = into, inner = { .name = 8 };

	if (f->number == named->name)
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &named->text, err);
	if (f->number != named->values || named->values == 0)
		return 0;
	if (lm_onnx_wire_each(w, m, f, name_field, &inner, err) < 0)
		return -1;
	named->text = inner.text;
	return 0;
}

/* A message whose name is in field name, or in field 8 of that in field values. */
static int
refuse_named(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    uint32_t name, uint32_t values, const char *what, struct loom_error *err)
{
	struct named named = { name, values, NULL };
	char shown[LM_SHOWN];

	if (lm_onnx_wire_each(w, m, f, name_field, &named, err) < 0)
		return -1;
	return lm_fail(err, LOOM_EUNSUPPORTED, "%s %s: %ss are not read", what,
	    lm_shown(shown, named.text != NULL ? named.text : "without a name"), what);
}

/* ---- GraphProto, ModelProto ---- */

static int
add_tensor(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct loom_error *err)
{
	struct lm_onnx *x = w->x;
	struct lm_onnx_tensor *wider;

	if (x->n_tensors == LM_ONNX_MOST)
		return lm_wire_fail(&w->wire, f->at, err, "more than %d initializers",
		    LM_ONNX_MOST);
	wider = lm_onnx_wire_grow(w, x->tensors, x->n_tensors, sizeof(*wider), err);
	if (wider == NULL)
		return -1;
	x->tensors = wider;
	if (lm_onnx_wire_tensor(w, m, f, NULL, &wider[x->n_tensors], err) < 0)
		return -1;
	x->n_tensors++;
	return 0;
}

static int
graph_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    void *into, struct loom_error *err)
{
	struct lm_onnx *x = w->x;

	(void)into;
	switch (f->number) {
	case 1:
		return lm_onnx_wire_node(w, m, f, err);
	case 2:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &x->graph, err);
	case 5:
		return add_tensor(w, m, f, err);
	case 11:
		return lm_onnx_wire_value(w, m, f, &x->inputs, &x->n_inputs, err);
	case 12:
		return lm_onnx_wire_value(w, m, f, &x->outputs, &x->n_outputs, err);
	case 13:
		return lm_onnx_wire_value(w, m, f, &x->values, &x->n_values, err);
	case 15:
		return refuse_named(w, m, f, 0, 1, "sparse initializer", err);
	default:
		return 0;
	}
}

static int
read_graph(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct loom_error *err)
{
	if (w->x->graph != NULL)
		return lm_wire_fail(&w->wire, f->at, err, "a second graph");
	w->x->graph = "";
	return lm_onnx_wire_each(w, m, f, graph_field, NULL, err);
}

static int
model_field(struct lm_onnx_wire *w, const struct lm_message *m, const struct lm_field *f,
    struct loom_error *err)
{
	struct lm_onnx *x = w->x;

	switch (f->number) {
	case 1:
		return lm_onnx_wire_int(m, f, &x->ir, err);
	case 2:
		return lm_onnx_wire_text(w, m, f, LM_ONNX_NAME, &x->producer, err);
	case 7:
		return read_graph(w, m, f, err);
	case 8:
		return add_pair(w, m, f, opset_field, OPSETS, &x->opsets, &x->n_opsets, err);
	case 14:
		return add_pair(w, m, f, pair_field, LM_ONNX_WIDEST, &x->metadata, &x->n_metadata,
		    err);
	case 20:
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "training_info: only networks for inference are read, export it without");
	case 25:
		return refuse_named(w, m, f, 1, 0, "function", err);
	default:
		return 0;
	}
}

/* ---- the whole ---- */

static int
check_model(const struct lm_onnx *x, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i, k;

	if (x->ir < LEAST_IR || x->ir > MOST_IR)
		return lm_fail(err, LOOM_EUNSUPPORTED, "ir_version %jd: %d to %d are read",
		    (intmax_t)x->ir, LEAST_IR, MOST_IR);
	if (x->graph == NULL)
		return lm_fail(err, LOOM_EFORMAT, "holds no graph");
	if (x->n_opsets == 0)
		return lm_fail(err, LOOM_EFORMAT, "does not say its opset (opset_import)");
	for (i = 0; i < x->n_opsets; i++) {
		if (strcmp(x->opsets[i].key, "ai.onnx") == 0)
			x->opsets[i].key = "";
		for (k = 0; k < i; k++)
			if (strcmp(x->opsets[k].key, x->opsets[i].key) == 0 &&
			    x->opsets[k].version !=
				x->opsets[i].version) /* skl2onnx says some twice */
				return lm_fail(err, LOOM_EFORMAT, "two opsets of the domain \"%s\"",
				    lm_shown(shown, x->opsets[i].key));
	}
	return 0;
}

/* Behind the nodes one that stands for what reads the outputs, in messages. */
static int
add_end(struct lm_onnx_wire *w, struct loom_error *err)
{
	struct lm_onnx *x = w->x;
	struct lm_onnx_node *end;

	x->nodes = lm_onnx_wire_grow(w, x->nodes, x->n_nodes, sizeof(*x->nodes), err);
	if (x->nodes == NULL)
		return -1;
	end = &x->nodes[x->n_nodes];
	memset(end, 0, sizeof(*end));
	end->name = "outputs";
	end->op = "graph";
	end->domain = "";
	return 0;
}

static int
read_all(struct lm_onnx_wire *w, struct lm_message *whole, struct loom_error *err)
{
	struct lm_field f;
	int r;

	while ((r = lm_message_next(whole, &f, err)) > 0)
		if (model_field(w, whole, &f, err) < 0)
			return -1;
	if (r < 0 || check_model(w->x, err) < 0)
		return -1;
	if (w->x->producer == NULL)
		w->x->producer = "";
	return add_end(w, err) < 0 ? -1 : lm_onnx_wire_check(w, err);
}

int
lm_onnx_read(struct lm_onnx *x, struct loom_model *owner, struct lm_source *source,
    struct loom_error *err)
{
	uint64_t most = owner->how.most_memory;
	struct lm_onnx_wire w = { .x = x, .owner = owner, .left = most > 0 ? most : MEMORY };
	struct lm_message whole;
	int r;

	if (lm_source_spool(source, err) < 0)
		return -1;
	lm_external_start(&w.external, owner, source);
	r = lm_wire_open(&w.wire, source, &whole, err);
	if (r == 0)
		r = read_all(&w, &whole, err);
	lm_external_stop(&w.external);
	lm_wire_close(&w.wire);
	return r;
}
