/* entity_header: a checkpoint's fixed header and JSON, as Loom writes them, and the bridge section. */
#include <math.h>
#include <string.h>

#include "format/entity_plan.h"
#include "format/gotext.h"
#include "format/graph.h"
#include "format/lower.h"
#include "format/origin.h"
#include "num/bytes.h"

/* ---- the network ---- */

/* A number of a spec; 0 where the layer's type has no such key, or it need not be written. */
struct number {
	int64_t integer;
	double real;
};

static void
field_number(const struct lm_cell_field *f, const struct lm_node *node, struct lm_cell_number *out)
{
	int p = lm_layer_param(node->op, f->param);
	const struct lm_param *param = &node->op->params[p];
	const union lm_value *v = &node->param[p];

	if (param->kind == LM_IS_REAL || param->kind == LM_IS_MAYBE)
		out->real = isnan(v->real) || v->real == f->usual ? 0 : v->real;
	else
		out->integer = param->kind == LM_IS_INTS ? v->dims.dim[0].value : v->i;
	if (f->times != NULL)
		out->integer *= node->param[lm_layer_param(node->op, f->times)].i;
}

/* The extent that the key states, among those of a value's last axes. */
static int64_t
extent_number(const struct lm_entity_plan *plan, const char *const names[LM_CELL_AXES],
    size_t value, const char *key)
{
	uint64_t extent;
	size_t n, i;

	for (n = 0; n < LM_CELL_AXES && names[n] != NULL; n++)
		;
	for (i = 0; i < n; i++)
		if (strcmp(names[i], key) == 0) {
			extent = lm_trials_extent(&plan->trials, value, n - 1 - i);
			if (extent == 0 && strcmp(key, lm_cell_sequence) == 0)
				return 1;
			return extent <= LM_CELL_EXTENT ? (int64_t)extent : 0;
		}
	return 0;
}

/* 0 where the layer's type has no such key, or it need not be written. */
static struct lm_cell_number
find_number(const struct lm_entity_plan *plan, const struct lm_cell_row *row,
    const struct lm_node *node, const char *key)
{
	const struct lm_cell_field *f = row->field;
	struct lm_cell_number found = { key, 0, 0 };

	for (; f < row->field + LM_CELL_FIELDS && f->param != NULL; f++)
		if (strcmp(f->key, key) == 0) {
			field_number(f, node, &found);
			return found;
		}
	found.integer = extent_number(plan, row->reads, node->in[0], key);
	if (found.integer == 0)
		found.integer = extent_number(plan, row->makes, node->out[0], key);
	return found;
}

int
lm_entity_numbers(struct lm_buf *buf, const struct lm_entity_plan *plan,
    const struct lm_cell_row *row, const struct lm_node *node, const struct lm_cell_number *given,
    size_t n, struct loom_error *err)
{
	struct lm_cell_number number;
	const char *key;
	size_t i, k;

	for (i = 0; (key = lm_entity_key(i)) != NULL; i++) {
		for (k = 0; k < n && strcmp(given[k].key, key) != 0; k++)
			;
		memset(&number, 0, sizeof(number));
		if (k < n)
			number = given[k];
		else if (node != NULL)
			number = find_number(plan, row, node, key);
		if (number.integer == 0 && number.real == 0)
			continue;
		if (lm_buf_printf(buf, err, ",\"%s\":", key) < 0)
			return -1;
		if ((number.integer != 0
			    ? lm_buf_printf(buf, err, "%lld", (long long)number.integer)
			    : lm_go_f64(buf, number.real, err)) < 0)
			return -1;
	}
	return 0;
}

static const char *
activation_name(const struct lm_role *role, const struct lm_node *node)
{
	if (role->row->activation != NULL)
		return lm_activation_inside(role->row, node);
	return role->row->idle != NULL ? role->row->idle : role->activation->name;
}

static int
put_layer(struct lm_buf *buf, const struct lm_entity_plan *plan, const struct lm_node *node,
    const struct lm_role *role, struct loom_error *err)
{
	if (lm_buf_printf(buf, err,
		"%s{\"z\":0,\"y\":0,\"x\":0,\"l\":%zu,\"type\":\"%s\",\"activation\":\"%s\","
		"\"dtype\":\"%s\"",
		role->cell > 0 ? "," : "", role->cell, role->row->type, activation_name(role, node),
		role->dtype->name) < 0 ||
	    lm_entity_numbers(buf, plan, role->row, node, NULL, 0, err) < 0)
		return -1;
	return lm_buf_str(buf, ",\"softmax_type\":\"Standard\"}", err);
}

static int
put_network(struct lm_buf *buf, const struct lm_entity_plan *plan, struct loom_error *err)
{
	int one = plan->n_cells > 0;
	size_t i;

	if (lm_buf_printf(buf, err,
		"{\"format_version\":1,\"network\":{\"id\":\"network\",\"depth\":%d,\"rows\":%d,"
		"\"cols\":%d,\"layers_per_cell\":%zu,\"layers\":[",
		one, one, one, plan->n_cells) < 0)
		return -1;
	if (plan->lowered != NULL && lm_lower_specs(plan, buf, err) < 0)
		return -1;
	for (i = 0; plan->lowered == NULL && i < plan->model->n_nodes; i++)
		if (plan->roles[i].kind == LM_ROLE_LAYER &&
		    put_layer(buf, plan, plan->model->nodes[i], &plan->roles[i], err) < 0)
			return -1;
	return lm_buf_str(buf, "]}", err);
}

/* ---- the index ---- */

static int
put_blob(struct lm_buf *buf, const struct lm_planned *blob, struct loom_error *err)
{
	if (lm_buf_str(buf, "{\"path\":", err) < 0 || lm_go_string(buf, blob->path, err) < 0 ||
	    lm_buf_printf(buf, err, ",\"offset\":%llu,\"length\":%llu,\"dtype\":\"%s\"",
		(unsigned long long)blob->offset, (unsigned long long)blob->bytes,
		blob->dtype->name) < 0)
		return -1;
	if (blob->scaled &&
	    (lm_buf_str(buf, ",\"scale\":", err) < 0 || lm_go_f32(buf, blob->scale, err) < 0))
		return -1;
	return lm_buf_printf(buf, err, ",\"native\":%s}", blob->native ? "true" : "false");
}

static int
put_blobs(struct lm_buf *buf, const struct lm_entity_plan *plan, struct loom_error *err)
{
	const char *separator = ",\"blobs\":[";
	size_t i;
	int late;

	if (plan->n_blobs == 0)
		return lm_buf_str(buf, ",\"blobs\":null", err);
	for (late = 0; late < 2; late++)
		for (i = 0; i < plan->n_blobs; i++) {
			if (plan->blobs[i].late != late)
				continue;
			if (lm_buf_str(buf, separator, err) < 0 ||
			    put_blob(buf, &plan->blobs[i], err) < 0)
				return -1;
			separator = ",";
		}
	return lm_buf_str(buf, "]", err);
}

/* ---- the bridge section ---- */

/* One value that the caller has no further use for; NULL came with an error. */
static int
put_json(struct lm_buf *buf, json_t *value, struct loom_error *err)
{
	int r = value != NULL ? lm_go_json(buf, value, err) : -1;

	json_decref(value);
	return r;
}

static int
put_inputs(struct lm_buf *buf, const struct loom_model *m, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < m->n_inputs; i++)
		if ((i > 0 && lm_buf_str(buf, ",", err) < 0) ||
		    put_json(buf, lm_graph_write_input(&m->inputs[i], err), err) < 0)
			return -1;
	return 0;
}

static int
put_nodes(struct lm_buf *buf, const struct lm_entity_plan *plan, struct loom_error *err)
{
	const struct loom_model *m = plan->model;
	char cell[24];
	size_t i;

	for (i = 0; i < m->n_nodes; i++) {
		(void)snprintf(cell, sizeof(cell), "%zu", plan->roles[i].cell);
		if ((i > 0 && lm_buf_str(buf, ",", err) < 0) ||
		    put_json(buf,
			lm_graph_write_node(m, m->nodes[i],
			    plan->roles[i].kind != LM_ROLE_OWN ? cell : NULL, err),
			err) < 0)
			return -1;
	}
	return 0;
}

static int
put_bridge(struct lm_buf *buf, const struct lm_entity_plan *plan, struct loom_error *err)
{
	if (lm_buf_str(buf, ",\"bridge\":{\"version\":1,\"inputs\":[", err) < 0 ||
	    put_inputs(buf, plan->model, err) < 0 || lm_buf_str(buf, "],\"nodes\":[", err) < 0 ||
	    put_nodes(buf, plan, err) < 0 || lm_buf_str(buf, "],\"outputs\":", err) < 0)
		return -1;
	return put_json(buf, lm_graph_write_outputs(plan->model, err), err);
}

/* ---- its info ---- */

static int
add_text(json_t *object, const char *key, const char *value, struct loom_error *err)
{
	if (value == NULL || json_object_get(object, key) != NULL)
		return 0;
	return lm_json_set(object, key, json_string(value), err);
}

static int
add_source(json_t *tensors, const struct lm_piece *piece, struct loom_error *err)
{
	const struct lm_weight *w = &piece->node->weight[piece->slot];
	json_t *of, *name;
	int r;

	if (piece->fill != LM_FILL_NONE || (w->source == NULL && w->digest == NULL))
		return 0;
	name = json_sprintf("%s.%s", piece->node->name, piece->node->op->slots[piece->slot].name);
	of = json_object();
	if (name == NULL || of == NULL) {
		json_decref(name);
		json_decref(of);
		return lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	}
	r = lm_json_set(tensors, json_string_value(name), of, err);
	json_decref(name);
	if (r < 0 || lm_origin_write(of, w, err) < 0)
		return -1;
	return add_text(of, "sha256", w->digest, err);
}

static int
add_sources(json_t *info, const struct lm_entity_plan *plan, struct loom_error *err)
{
	json_t *tensors = json_object();
	size_t i;

	if (tensors == NULL)
		return lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	for (i = 0; i < plan->n_pieces; i++)
		if (add_source(tensors, &plan->pieces[i], err) < 0) {
			json_decref(tensors);
			return -1;
		}
	if (json_object_size(tensors) > 0)
		return lm_json_set(info, "tensors", tensors, err);
	json_decref(tensors);
	return 0;
}

static int
add_info(json_t *info, const struct lm_entity_plan *plan, struct loom_error *err)
{
	const struct lm_entity_document *document = lm_entity_document(plan->model);
	const char *key;
	json_t *value;

	if (add_text(info, "planet", plan->model->planet, err) < 0 ||
	    add_text(info, "model", plan->model->title, err) < 0)
		return -1;
	if (document != NULL)
		json_object_foreach(document->info, key, value)
			if (json_object_set_nocheck(info, key, value) < 0)
				return lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	return add_sources(info, plan, err);
}

static int
put_info(struct lm_buf *buf, const struct lm_entity_plan *plan, struct loom_error *err)
{
	json_t *info = json_object();
	int r = -1;

	if (info == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	else if (add_info(info, plan, err) == 0 && lm_buf_str(buf, ",\"info\":", err) == 0)
		r = lm_go_json(buf, info, err);
	json_decref(info);
	return r;
}

/* ---- all of it ---- */

int
lm_entity_header(const struct lm_entity_plan *plan, struct lm_buf *buf, int info,
    struct loom_error *err)
{
	unsigned char fixed[LM_ENTITY_FIXED] = { 0 };

	memcpy(fixed, lm_entity_magic, sizeof(lm_entity_magic));
	lm_put_u16(fixed + 8, 1);
	if (lm_buf_add(buf, fixed, sizeof(fixed), err) < 0 || put_network(buf, plan, err) < 0 ||
	    put_blobs(buf, plan, err) < 0)
		return -1;
	if (!plan->plain &&
	    (put_bridge(buf, plan, err) < 0 || (info && put_info(buf, plan, err) < 0) ||
		lm_buf_str(buf, "}", err) < 0))
		return -1;
	if (lm_buf_str(buf, "}", err) < 0)
		return -1;
	if (buf->len - sizeof(fixed) > LM_ENTITY_HEADER)
		return lm_fail(err, LOOM_EUNSUPPORTED, "a header of %zu bytes, more than %d",
		    buf->len - sizeof(fixed), LM_ENTITY_HEADER);
	lm_put_u64((unsigned char *)buf->data + 12, buf->len - sizeof(fixed));
	return 0;
}
