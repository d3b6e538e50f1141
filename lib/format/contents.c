/* contents: what is in a checkpoint or a file of tensors, as one JSON object. */
#include "format/contents.h"

#include <string.h>

#include "base/hash.h"
#include "format/entity.h"
#include "format/flat.h"
#include "format/graph.h"
#include "format/origin.h"
#include "format/stats.h"
#include "format/tensors.h"
#include "layer/weight.h"

enum { PIECE = 1 << 17 }; /* values */

/* What is being described. */
struct describing {
	json_t *findings;
	int values; /* they are read: statistics and digests */
};

static int
set_text(json_t *object, const char *key, const char *value, struct loom_error *err)
{
	return value == NULL ? 0 : lm_json_set(object, key, json_string(value), err);
}

/* A list under a key of the object; borrowed from it. */
static json_t *
new_list(json_t *object, const char *key, struct loom_error *err)
{
	json_t *list = json_array();

	return lm_json_set(object, key, list, err) < 0 ? NULL : list;
}

static int
set_shape(json_t *object, const uint64_t *dim, unsigned rank, struct loom_error *err)
{
	json_t *list = new_list(object, "shape", err);
	unsigned i;

	if (list == NULL)
		return -1;
	for (i = 0; i < rank; i++)
		if (lm_json_append(list, json_integer((json_int_t)dim[i]), err) < 0)
			return -1;
	return 0;
}

/* NaN and infinities are kept apart in the numbers, and found fault with. */
static int
set_stats(json_t *object, json_t *findings, const char *what, const struct lm_stats *stats,
    struct loom_error *err)
{
	char text[512], shown[LM_SHOWN];

	if (lm_stats_json(stats, object, err) < 0)
		return -1;
	if (stats->nans == 0 && stats->infinities == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%s holds %llu NaN and %llu infinite values of %llu",
	    lm_shown(shown, what), (unsigned long long)stats->nans,
	    (unsigned long long)stats->infinities, (unsigned long long)stats->count);
	return lm_json_append(findings, json_string(text), err);
}

/* ---- networks ---- */

static int
describe_bytes(json_t *object, json_t *findings, const struct lm_node *node, size_t slot,
    const unsigned char *bytes, struct loom_error *err)
{
	const struct lm_weight *w = &node->weight[slot];
	char what[LM_SHOWN + 40], hex[LM_HEX], shown[LM_SHOWN];
	struct lm_stats stats;

	lm_stats_init(&stats, w->dtype, w->scale);
	lm_stats_add(&stats, bytes, (size_t)w->count);
	(void)snprintf(what, sizeof(what), "%s.%s", lm_shown(shown, node->name),
	    node->op->slots[slot].name);
	if (set_stats(object, findings, what, &stats, err) < 0 ||
	    lm_hash_of(bytes, (size_t)w->bytes, hex, err) < 0)
		return -1;
	return set_text(object, "sha256", hex, err);
}

static int
describe_values(json_t *object, json_t *findings, const struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	const unsigned char *bytes = lm_weight_bytes(&node->weight[slot], &arena, err);
	int r = bytes != NULL ? describe_bytes(object, findings, node, slot, bytes, err) : -1;

	lm_arena_release(&arena);
	return r;
}

static int
describe_weight(json_t *object, const struct describing *d, const struct lm_node *node, size_t slot,
    struct loom_error *err)
{
	const struct lm_weight *w = &node->weight[slot];
	struct lm_shape shape;

	if (lm_slot_shape(node, slot, &shape, err) < 0 ||
	    set_text(object, "dtype", w->dtype->name, err) < 0 ||
	    set_shape(object, shape.dim, shape.rank, err) < 0 ||
	    (w->dtype->scaled && lm_json_set(object, "scale", json_real(w->scale), err) < 0) ||
	    (d->values && describe_values(object, d->findings, node, slot, err) < 0))
		return -1;
	return lm_origin_write(object, w, err);
}

/* The node's list of tensors holds the ties; all others stand between them. */
static int
describe_weights(json_t *object, const struct describing *d, const struct lm_node *node,
    struct loom_error *err)
{
	json_t *ties = json_incref(json_object_get(object, "tensors")), *list, *tensor;
	size_t i, tie = 0;
	int r = 0;

	list = new_list(object, "tensors", err);
	if (list == NULL)
		r = -1;
	for (i = 0; r == 0 && i < lm_layer_slots(node->op); i++) {
		if (node->weight[i].same != NULL) {
			tensor = json_array_get(ties, tie++);
			r = lm_json_append(list, json_incref(tensor), err);
		} else if (node->weight[i].dtype != NULL) {
			tensor = json_object();
			r = lm_json_append(list, tensor, err);
			if (r == 0)
				r = set_text(tensor, "slot", node->op->slots[i].name, err);
			if (r == 0)
				r = describe_weight(tensor, d, node, i, err);
		}
	}
	json_decref(ties);
	return r;
}

static int
add_node(json_t *nodes, const struct describing *d, const struct loom_model *m,
    const struct lm_node *node, struct loom_error *err)
{
	json_t *object = lm_graph_write_node(m, node, node->cell, err);

	if (object == NULL || lm_json_append(nodes, object, err) < 0)
		return -1;
	return describe_weights(object, d, node, err);
}

static int
add_lines(json_t *list, const char *lines, struct loom_error *err)
{
	const char *end;

	for (; lines != NULL && *lines != '\0'; lines = end + 1) {
		end = strchr(lines, '\n');
		if (lm_json_append(list, json_stringn(lines, (size_t)(end - lines)), err) < 0)
			return -1;
	}
	return 0;
}

static int
add_differences(json_t *object, const struct loom_model *m, struct loom_error *err)
{
	struct lm_buf lines;
	json_t *list;
	int r;

	lm_buf_init(&lines, SIZE_MAX / 4);
	r = lm_entity_differences(m, &lines, err);
	if (r == 0)
		r = set_text(object, "loom",
		    lines.len > 0 && lm_entity_bridged(m) ? "Loom + bridge" : "plain Loom", err);
	list = r == 0 ? new_list(object, "differences", err) : NULL;
	r = list != NULL ? add_lines(list, lines.data, err) : -1;
	lm_buf_release(&lines);
	return r;
}

static int
add_inputs(json_t *object, const struct loom_model *m, struct loom_error *err)
{
	json_t *list = new_list(object, "inputs", err), *input;
	size_t i;

	if (list == NULL)
		return -1;
	for (i = 0; i < m->n_inputs; i++) {
		input = lm_graph_write_input(&m->inputs[i], err);
		if (input == NULL || lm_json_append(list, input, err) < 0)
			return -1;
	}
	return 0;
}

static int
is_checkpoint(const json_t *object)
{
	const char *format = json_string_value(json_object_get(object, "format"));

	return format != NULL && strcmp(format, "entity") == 0;
}

static int
describe_model(json_t *object, const struct loom_model *m, struct describing *d,
    struct loom_error *err)
{
	json_t *nodes, *outputs;
	size_t i;

	/* Only a checkpoint is something that Loom reads. */
	if (set_text(object, "holds", "network", err) < 0 ||
	    (is_checkpoint(object) && add_differences(object, m, err) < 0) ||
	    set_text(object, "planet", m->planet, err) < 0 ||
	    set_text(object, "model", m->title, err) < 0 || add_inputs(object, m, err) < 0)
		return -1;
	nodes = new_list(object, "nodes", err);
	outputs = nodes != NULL ? lm_graph_write_outputs(m, err) : NULL;
	if (outputs == NULL || lm_json_set(object, "outputs", outputs, err) < 0)
		return -1;
	d->findings = new_list(object, "findings", err);
	if (d->findings == NULL)
		return -1;
	for (i = 0; i < m->n_findings; i++)
		if (lm_json_append(d->findings, json_string(m->findings[i]), err) < 0)
			return -1;
	for (i = 0; i < m->n_nodes; i++)
		if (add_node(nodes, d, m, m->nodes[i], err) < 0)
			return -1;
	return 0;
}

/* ---- files of tensors ---- */

static int
read_values(struct loom_tensors *t, size_t i, struct lm_stats *stats, struct lm_hash *hash,
    unsigned char *piece, struct loom_error *err)
{
	const struct lm_entry *entry = &t->entries[i];
	uint64_t left = entry->count, bytes;
	size_t n;

	for (; left > 0; left -= n) {
		n = left < PIECE ? (size_t)left : PIECE;
		if (loom_tensors_read(t, i, piece, n, err) < 0 ||
		    lm_dtype_bytes(entry->dtype, n, &bytes) < 0)
			return -1;
		lm_stats_add(stats, piece, n);
		if (lm_hash_add(hash, piece, (size_t)bytes, err) < 0)
			return -1;
	}
	return 0;
}

static int
describe_read(json_t *object, json_t *findings, struct loom_tensors *t, size_t i,
    struct lm_hash *hash, unsigned char *piece, struct loom_error *err)
{
	const struct loom_tensor *tensor = &t->entries[i].tensor;
	struct lm_stats stats;
	char hex[LM_HEX];

	lm_stats_init(&stats, t->entries[i].dtype, 1);
	if (read_values(t, i, &stats, hash, piece, err) < 0 ||
	    set_stats(object, findings, tensor->name, &stats, err) < 0 ||
	    lm_hash_end(hash, hex, err) < 0)
		return -1;
	return set_text(object, "sha256", hex, err);
}

static int
describe_tensor(json_t *object, const struct loom_tensor *tensor, struct loom_error *err)
{
	if (set_text(object, "name", tensor->name, err) < 0 ||
	    set_text(object, "dtype", tensor->dtype, err) < 0)
		return -1;
	return set_shape(object, tensor->shape, tensor->rank, err);
}

static int
describe_each(json_t *object, struct loom_tensors *t, struct describing *d, struct lm_hash *hash,
    unsigned char *piece, struct loom_error *err)
{
	json_t *list = new_list(object, "tensors", err), *tensor;
	size_t i;

	d->findings = list != NULL ? new_list(object, "findings", err) : NULL;
	if (d->findings == NULL)
		return -1;
	for (i = 0; i < t->n; i++) {
		tensor = json_object();
		if (lm_json_append(list, tensor, err) < 0 ||
		    describe_tensor(tensor, &t->entries[i].tensor, err) < 0 ||
		    (d->values && describe_read(tensor, d->findings, t, i, hash, piece, err) < 0))
			return -1;
	}
	return 0;
}

static int
describe_tensors(json_t *object, struct loom_tensors *t, struct describing *d,
    struct loom_error *err)
{
	unsigned char *piece = lm_alloc(PIECE, 8, err);
	struct lm_hash *hash = NULL;
	int r = -1;

	if (piece != NULL && lm_hash_new(&hash, err) == 0 &&
	    set_text(object, "holds", "tensors", err) == 0)
		r = describe_each(object, t, d, hash, piece, err);
	if (r == 0 && d->values)
		r = loom_tensors_finish(t, err);
	lm_hash_free(hash);
	lm_free(piece);
	return r;
}

/* ---- either ---- */

/* What a file of either kind says that it holds. */
static int
open_either(struct loom_model **model, struct loom_tensors **tensors, struct lm_source *source,
    struct loom_error *err)
{
	struct loom_tensors *t;

	if (lm_tensors_open(&t, source, err) < 0)
		return -1;
	if (t->topology != NULL)
		return lm_flat_open(model, t, err);
	*tensors = t;
	return 0;
}

static int
describe(json_t *object, struct lm_source *source, const struct lm_format_ops *format, int values,
    struct loom_error *err)
{
	struct describing d = { NULL, values };
	struct loom_model *model = NULL;
	struct loom_tensors *tensors = NULL;
	int r;

	if ((format->holds & LM_HOLDS_TENSORS) == 0)
		r = lm_checkpoint_open(&model, source, NULL, err);
	else
		r = open_either(&model, &tensors, source, err);
	if (model != NULL)
		r = describe_model(object, model, &d, err);
	else if (tensors != NULL)
		r = describe_tensors(object, tensors, &d, err);
	loom_tensors_free(tensors);
	loom_model_free(model);
	return r;
}

json_t *
lm_contents(struct lm_source *source, int values, struct loom_error *err)
{
	const struct lm_format_ops *format = lm_format_sniff(source,
	    LM_HOLDS_MODEL | LM_HOLDS_TENSORS, err);
	json_t *object = json_object();

	if (object == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	if (format == NULL || object == NULL || set_text(object, "format", format->name, err) < 0)
		lm_source_free(source);
	else if (describe(object, source, format, values, err) == 0)
		return object;
	json_decref(object);
	return NULL;
}

json_t *
lm_contents_directory(const char *path, int values, struct loom_error *err)
{
	const struct lm_format_ops *format = lm_format_directory(path);
	struct describing d = { NULL, values };
	struct loom_model *model;
	json_t *object;

	if (loom_model_open(&model, path, err) < 0)
		return NULL;
	object = json_object();
	if (object == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	if (object == NULL ||
	    set_text(object, "format", format != NULL ? format->name : NULL, err) < 0 ||
	    describe_model(object, model, &d, err) < 0) {
		json_decref(object);
		object = NULL;
	}
	loom_model_free(model);
	return object;
}
