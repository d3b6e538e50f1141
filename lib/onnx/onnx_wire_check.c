/*
 * onnx_wire_check: whether the names of a graph hold together: each value is made once, and before it is
 * read (so that nothing runs in circles).
 */
#include <string.h>

#include "onnx/onnx_wire.h"

struct check {
	struct lm_onnx_wire *wire;
	const struct lm_onnx *x;
	struct lm_arena arena;
	struct lm_names made; /* values so far */
};

/* "node N (Op): ". */
static const char *
heading(char head[LM_ONNX_HEAD], const struct lm_onnx_node *node)
{
	char name[LM_SHOWN], op[LM_SHOWN];

	(void)snprintf(head, LM_ONNX_HEAD,
	    "node %s (%s): ", lm_shown(name, lm_onnx_node_name(node)), lm_shown(op, node->op));
	return head;
}

static int
make(struct check *c, const char *head, const char *name, struct loom_error *err)
{
	char shown[LM_SHOWN];

	if (lm_names_find(&c->made, name) != LM_NO_NAME)
		return lm_fail(err, LOOM_EFORMAT, "%s%s is the name of two values", head,
		    lm_shown(shown, name));
	return lm_names_add(&c->made, &c->arena, name, 0, err);
}

/* ---- what is there before the first node ---- */

static int
make_tensors(struct check *c, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < c->x->n_tensors; i++)
		if (make(c, "initializer: ", c->x->tensors[i].name, err) < 0)
			return -1;
	return 0;
}

/* An input that is an initializer, too, is one. */
static int
make_inputs(struct check *c, struct loom_error *err)
{
	struct lm_names inputs = { 0 };
	const struct lm_onnx_value *v;
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < c->x->n_inputs; i++) {
		v = &c->x->inputs[i];
		if (lm_names_find(&inputs, v->name) != LM_NO_NAME)
			return lm_fail(err, LOOM_EFORMAT, "input %s is there twice",
			    lm_shown(shown, v->name));
		if (lm_names_add(&inputs, &c->arena, v->name, i, err) < 0)
			return -1;
		if (lm_names_find(&c->made, v->name) != LM_NO_NAME)
			continue;
		if (v->type == LM_ONNX_NO_TENSOR)
			return lm_fail(err, LOOM_EUNSUPPORTED,
			    "input %s is a sequence, a map, an optional or sparse value: only "
			    "tensors are read",
			    lm_shown(shown, v->name));
		if (v->type != 0 && lm_onnx_dtype(v->type) == NULL)
			return lm_fail(err, LOOM_EUNSUPPORTED, "input %s: type %d (%s) is not read",
			    lm_shown(shown, v->name), v->type, lm_onnx_type_name(v->type));
		if (make(c, "input: ", v->name, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- nodes ---- */

/* A name that nothing before the node makes: does a node behind it? */
static int
fail_unmade(struct check *c, const char *head, size_t at, const char *name, struct loom_error *err)
{
	char shown[LM_SHOWN], other[LM_SHOWN];
	const struct lm_onnx_node *node;
	size_t i, k;

	for (i = at; i < c->x->n_nodes; i++) {
		node = &c->x->nodes[i];
		for (k = 0; k < node->n_out; k++)
			if (strcmp(node->out[k], name) == 0)
				return lm_fail(err, LOOM_EFORMAT,
				    "%sreads %s, which only node %s makes: nodes out of order, or "
				    "in a circle",
				    head, lm_shown(shown, name),
				    lm_shown(other, lm_onnx_node_name(node)));
	}
	return lm_fail(err, LOOM_EFORMAT, "%sreads %s, which nothing makes", head,
	    lm_shown(shown, name));
}

static int
check_node(struct check *c, size_t at, struct loom_error *err)
{
	const struct lm_onnx_node *node = &c->x->nodes[at];
	char head[LM_ONNX_HEAD];
	size_t k;

	(void)heading(head, node);
	for (k = 0; k < node->n_in; k++)
		if (node->in[k][0] != '\0' && lm_names_find(&c->made, node->in[k]) == LM_NO_NAME)
			return fail_unmade(c, head, at, node->in[k], err);
	for (k = 0; k < node->n_out; k++)
		if (node->out[k][0] != '\0' && make(c, head, node->out[k], err) < 0)
			return -1;
	return 0;
}

/* ---- what comes out ---- */

static int
check_output(struct check *c, const struct lm_onnx_value *v, struct loom_error *err)
{
	char shown[LM_SHOWN];

	if (lm_names_find(&c->made, v->name) == LM_NO_NAME)
		return lm_fail(err, LOOM_EFORMAT, "output %s is made by nothing",
		    lm_shown(shown, v->name));
	if (c->wire->owner->how.n_outputs > 0)
		return 0;
	if (v->type == LM_ONNX_NO_TENSOR)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "output %s is a sequence, a map, an optional or sparse value: name what is "
		    "wanted instead (--outputs)",
		    lm_shown(shown, v->name));
	if (v->type != 0 && lm_onnx_dtype(v->type) == NULL)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "output %s: type %d (%s) is not read: name what is wanted instead (--outputs)",
		    lm_shown(shown, v->name), v->type, lm_onnx_type_name(v->type));
	return 0;
}

static int
check_outputs(struct check *c, struct loom_error *err)
{
	struct lm_names outputs = { 0 };
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < c->x->n_outputs; i++) {
		if (lm_names_find(&outputs, c->x->outputs[i].name) != LM_NO_NAME)
			return lm_fail(err, LOOM_EFORMAT, "output %s is there twice",
			    lm_shown(shown, c->x->outputs[i].name));
		if (lm_names_add(&outputs, &c->arena, c->x->outputs[i].name, i, err) < 0 ||
		    check_output(c, &c->x->outputs[i], err) < 0)
			return -1;
	}
	if (c->x->n_outputs == 0)
		return lm_fail(err, LOOM_EFORMAT, "the graph has no output");
	return 0;
}

static int
check_all(struct check *c, struct loom_error *err)
{
	size_t i;

	if (make_tensors(c, err) < 0 || make_inputs(c, err) < 0)
		return -1;
	for (i = 0; i < c->x->n_nodes; i++)
		if (check_node(c, i, err) < 0)
			return -1;
	return check_outputs(c, err);
}

int
lm_onnx_wire_check(struct lm_onnx_wire *w, struct loom_error *err)
{
	struct check c = { .wire = w, .x = w->x };
	int r = check_all(&c, err);

	lm_arena_release(&c.arena);
	return r;
}
