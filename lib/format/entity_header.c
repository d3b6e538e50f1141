/* entity_header: a checkpoint's fixed header and JSON, as Loom writes them, and the bridge section. */
#include <string.h>

#include "format/entity_plan.h"
#include "format/gotext.h"
#include "format/graph.h"
#include "num/bytes.h"

/* ---- the network ---- */

static int
put_layer(struct lm_buf *buf, const struct lm_node *node, const struct lm_role *role,
    struct loom_error *err)
{
	int i, param;

	if (lm_buf_printf(buf, err,
		"%s{\"z\":0,\"y\":0,\"x\":0,\"l\":%zu,\"type\":\"%s\",\"activation\":\"%s\","
		"\"dtype\":\"%s\"",
		role->cell > 0 ? "," : "", role->cell, role->row->type, role->activation->name,
		node->weight[LM_MAIN_SLOT].dtype->name) < 0)
		return -1;
	for (i = 0; i < LM_CELL_FIELDS && role->row->field[i].param != NULL; i++) {
		param = lm_layer_param(node->op, role->row->field[i].param);
		if (lm_buf_printf(buf, err, ",\"%s\":%lld", role->row->field[i].key,
			(long long)node->param[param].i) < 0)
			return -1;
	}
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
	for (i = 0; i < plan->model->n_nodes; i++)
		if (plan->roles[i].kind == LM_ROLE_LAYER &&
		    put_layer(buf, plan->model->nodes[i], &plan->roles[i], err) < 0)
			return -1;
	return lm_buf_str(buf, "]}", err);
}

/* ---- the index ---- */

static int
put_blob(struct lm_buf *buf, const struct lm_planned *blob, struct loom_error *err)
{
	const struct lm_weight *w = &blob->node->weight[blob->slot];

	if (lm_buf_str(buf, "{\"path\":", err) < 0 || lm_go_string(buf, blob->path, err) < 0 ||
	    lm_buf_printf(buf, err, ",\"offset\":%llu,\"length\":%llu,\"dtype\":\"%s\"",
		(unsigned long long)blob->offset, (unsigned long long)w->bytes, w->dtype->name) < 0)
		return -1;
	if (blob->scaled &&
	    (lm_buf_str(buf, ",\"scale\":", err) < 0 || lm_go_f32(buf, w->scale, err) < 0))
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
add_source(json_t *tensors, const struct lm_planned *blob, struct loom_error *err)
{
	const struct lm_weight *w = &blob->node->weight[blob->slot];
	json_t *of, *name;
	int r;

	if (w->source == NULL && w->digest == NULL)
		return 0;
	name = json_sprintf("%s.%s", blob->node->name, blob->node->op->slots[blob->slot].name);
	of = json_object();
	if (name == NULL || of == NULL) {
		json_decref(name);
		json_decref(of);
		return lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	}
	r = lm_json_set(tensors, json_string_value(name), of, err);
	json_decref(name);
	if (r < 0 || add_text(of, "source", w->source, err) < 0)
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
	for (i = 0; i < plan->n_blobs; i++)
		if (add_source(tensors, &plan->blobs[i], err) < 0) {
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
