/* onnx_strict: a file that says more than is understood, or what is not so, is refused. */
#include "onnx/onnx_strict.h"

#include <inttypes.h>
#include <string.h>

#include "onnx/onnx_known.h"

/* ---- attributes ---- */

struct attributes {
	const char *op, *domain, *names;
};

#define ATTRIBUTES(op, domain, names) { #op, domain, names },
static const struct attributes table[] = {
#include "onnx/onnx_attributes.def"
};
#undef ATTRIBUTES

/* Is it one of the words? */
static int
is_among(const char *names, const char *name)
{
	size_t len = strlen(name);
	const char *at;

	for (at = names; *at != '\0'; at += strcspn(at, " "), at += *at == ' ')
		if (strcspn(at, " ") == len && memcmp(at, name, len) == 0)
			return 1;
	return 0;
}

int
lm_onnx_check_attributes(struct lm_onnx_reading *r, const struct lm_onnx_node *node,
    struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i, k;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strcmp(table[i].op, node->op) == 0 &&
		    strcmp(table[i].domain, node->domain) == 0)
			break;
	for (k = 0; i < sizeof(table) / sizeof(*table) && k < node->n_attributes; k++)
		if (!is_among(table[i].names, node->attributes[k].name))
			return lm_onnx_refuse(r, node, err,
			    "attribute %s, which this operator does not have",
			    lm_shown(shown, node->attributes[k].name));
	return 0;
}

/* ---- what is declared ---- */

enum { TEXT = 256 }; /* bytes of a type with its extents */

/* What a run has instead of a type: int64 for all integers; NULL: it is not known here. */
static const struct lm_dtype *
kind_of(int type)
{
	const struct lm_dtype *dtype = lm_onnx_dtype(type);

	if (dtype != NULL && dtype->kind == LM_FLOATING)
		return lm_dtype_get(LM_F32);
	return dtype != NULL ? lm_onnx_run_dtype(type) : NULL;
}

static int
is_same_type(const struct lm_onnx_value *v, const struct lm_onnx_known *k)
{
	return v->type <= 0 || k->dtype == NULL || kind_of(v->type) == k->dtype;
}

/* A name, or an extent that has to be computed, contradicts nothing. */
static int
is_same_shape(const struct lm_onnx_value *v, const struct lm_onnx_known *k)
{
	unsigned i;

	if (!v->ranked || !k->ranked)
		return 1;
	if (v->rank != k->dims.n)
		return 0;
	for (i = 0; i < v->rank; i++)
		if (v->dim[i].name == NULL && k->dims.dim[i].text == NULL &&
		    v->dim[i].value != k->dims.dim[i].value)
			return 0;
	return 1;
}

/* One extent more of "float32 [batch, 3"; text NULL: a number. */
static void
add_extent(char text[TEXT], size_t i, const char *name, int64_t value)
{
	size_t at = strlen(text);

	if (name != NULL)
		(void)snprintf(text + at, TEXT - at, "%s%.40s", i == 0 ? " [" : ", ",
		    name[0] != '\0' ? name : "?");
	else
		(void)snprintf(text + at, TEXT - at, "%s%" PRId64, i == 0 ? " [" : ", ", value);
}

static void
end_extents(char text[TEXT], size_t n)
{
	size_t at = strlen(text);

	(void)snprintf(text + at, TEXT - at, "%s", n > 0 ? "]" : " []");
}

static int
check_value(struct lm_onnx_reading *r, const char *what, const struct lm_onnx_value *v,
    struct loom_error *err)
{
	const struct lm_onnx_known *k = lm_onnx_find(r, v->name);
	char declared[TEXT], found[TEXT], shown[LM_SHOWN];
	size_t i;

	if (k == NULL || !k->made || (is_same_type(v, k) && is_same_shape(v, k)))
		return 0;
	(void)snprintf(declared, TEXT, "%s", v->type > 0 ? lm_onnx_type_name(v->type) : "");
	(void)snprintf(found, TEXT, "%s", k->dtype != NULL ? k->dtype->name : "");
	for (i = 0; v->ranked && i < v->rank; i++)
		add_extent(declared, i, v->dim[i].name, v->dim[i].value);
	for (i = 0; k->ranked && i < k->dims.n; i++)
		add_extent(found, i, k->dims.dim[i].text, k->dims.dim[i].value);
	if (v->ranked)
		end_extents(declared, v->rank);
	if (k->ranked)
		end_extents(found, k->dims.n);
	return lm_fail(err, LOOM_EFORMAT, "%s %s: declared as %s, the graph gives %s", what,
	    lm_shown(shown, v->name), declared, found);
}

int
lm_onnx_check_declared(struct lm_onnx_reading *r, struct loom_error *err)
{
	const struct lm_onnx *x = r->from;
	size_t i;

	for (i = 0; i < x->n_values; i++)
		if (check_value(r, "value", &x->values[i], err) < 0)
			return -1;
	for (i = 0; i < x->n_outputs; i++)
		if (check_value(r, "output", &x->outputs[i], err) < 0)
			return -1;
	return 0;
}
