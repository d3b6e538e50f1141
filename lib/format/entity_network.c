/* entity_network: the header's version, grid and layer specs. */
#include <string.h>
#include <strings.h>

#include "format/entity_parts.h"

/* ---- keys ---- */

int
lm_entity_exact_keys(json_t *object, const char *where, const char *const *known,
    struct loom_error *err)
{
	const char *key;
	char shown[LM_SHOWN];
	void *state = NULL;
	size_t i;

	while ((key = lm_json_unknown(object, known, &state)) != NULL)
		for (i = 0; known[i] != NULL; i++)
			if (strcasecmp(key, known[i]) == 0)
				return lm_fail(err, LOOM_EFORMAT,
				    "%s: the key \"%s\" must be written \"%s\"", where,
				    lm_shown(shown, key), known[i]);
	return 0;
}

/* ---- the fields of a layer spec ---- */

enum field_kind { INTEGER, REAL, TEXT, FLAG, LIST, OBJECT };

static const struct field {
	const char *key;
	enum field_kind kind;
} fields[] = { { "z", INTEGER }, { "y", INTEGER }, { "x", INTEGER }, { "l", INTEGER },
	{ "type", TEXT }, { "activation", TEXT }, { "dtype", TEXT }, { "input_height", INTEGER },
	{ "input_width", INTEGER }, { "input_depth", INTEGER }, { "output_height", INTEGER },
	{ "output_width", INTEGER }, { "output_depth", INTEGER }, { "input_channels", INTEGER },
	{ "filters", INTEGER }, { "kernel_size", INTEGER }, { "stride", INTEGER },
	{ "padding", INTEGER }, { "output_padding", INTEGER }, { "num_heads", INTEGER },
	{ "num_kv_heads", INTEGER }, { "head_dim", INTEGER }, { "query_dim", INTEGER },
	{ "d_model", INTEGER }, { "seq_length", INTEGER }, { "rope_freq_base", REAL },
	{ "vocab_size", INTEGER }, { "embedding_dim", INTEGER }, { "num_clusters", INTEGER },
	{ "kmeans_temperature", REAL }, { "output_mode", TEXT }, { "softmax_type", TEXT },
	{ "temperature", REAL }, { "softmax_rows", INTEGER }, { "softmax_cols", INTEGER },
	{ "entmax_alpha", REAL }, { "gumbel_noise", FLAG }, { "weights", TEXT }, { "native", FLAG },
	{ "scale", REAL }, { "parallel_branches", LIST }, { "combine_mode", TEXT },
	{ "sequential_layers", LIST }, { "use_tiling", FLAG }, { "tile_size", INTEGER },
	{ "is_disabled", FLAG }, { "meta_rules", LIST }, { "meta_observed_layer", OBJECT } };

enum { FIELDS = sizeof(fields) / sizeof(*fields) };

const char *
lm_entity_key(size_t i)
{
	return i < FIELDS ? fields[i].key : NULL;
}

static int
check_field(json_t *spec, const char *where, const struct field *field, struct loom_error *err)
{
	const char *text;
	int64_t integer;
	double real;
	json_t *value;
	int flag;

	switch (field->kind) {
	case INTEGER:
		return lm_json_integer(spec, where, field->key, 0, INT64_MIN, INT64_MAX, &integer,
		    err);
	case REAL:
		return lm_json_real(spec, where, field->key, 0, &real, err);
	case TEXT:
		return lm_json_string(spec, where, field->key, 0, &text, err);
	case FLAG:
		return lm_json_flag(spec, where, field->key, 0, &flag, err);
	case LIST:
		return lm_json_array(spec, where, field->key, 0, &value, err);
	case OBJECT:
		return lm_json_object(spec, where, field->key, 0, &value, err);
	}
	return 0;
}

/* Every field has Loom's type, whether we use it or not. */
static int
check_fields(json_t *spec, const char *where, struct loom_error *err)
{
	static const char *const inline_keys[] = { "weights", "native", "scale" };
	const char *known[FIELDS + 1] = { NULL };
	size_t i;

	for (i = 0; i < FIELDS; i++)
		known[i] = fields[i].key;
	if (lm_entity_exact_keys(spec, where, known, err) < 0)
		return -1;
	for (i = 0; i < FIELDS; i++)
		if (check_field(spec, where, &fields[i], err) < 0)
			return -1;
	for (i = 0; i < 3; i++)
		if (json_object_get(spec, inline_keys[i]) != NULL)
			return lm_fail(err, LOOM_EFORMAT,
			    "%s: \"%s\" belongs into model.json, not into a checkpoint's header",
			    where, inline_keys[i]);
	return 0;
}

/* ---- one layer ---- */

static int
read_type(struct lm_entity_cell *cell, struct loom_error *err)
{
	const char *name, *type;
	char shown[LM_SHOWN], list[300];

	if (lm_json_string(cell->spec, cell->name, "type", 1, &name, err) < 0)
		return -1;
	type = lm_cell_type(name);
	if (type == NULL)
		return lm_fail(err, LOOM_EFORMAT, "%s: unknown layer type \"%s\"", cell->name,
		    lm_shown(shown, name));
	cell->row = lm_cell_by_type(type);
	cell->container = lm_container_by_type(type);
	if (cell->row == NULL && cell->container == NULL)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s is a %s, which cannot be run yet "
		    "(supported: %s)",
		    cell->name, type, lm_cell_types(list, sizeof(list)));
	return 0;
}

static int
read_activation(struct lm_entity_cell *cell, struct loom_error *err)
{
	const char *name, *softmax = NULL;
	char shown[LM_SHOWN];

	if (lm_json_string(cell->spec, cell->name, "activation", 1, &name, err) < 0 ||
	    lm_json_string(cell->spec, cell->name, "softmax_type", 0, &softmax, err) < 0)
		return -1;
	cell->activation = lm_activation_by_name(name);
	if (cell->activation == NULL)
		return lm_fail(err, LOOM_EFORMAT, "%s: unknown activation \"%s\"", cell->name,
		    lm_shown(shown, name));
	if (softmax != NULL && !lm_softmax_known(softmax))
		return lm_fail(err, LOOM_EFORMAT, "%s: unknown softmax type \"%s\"", cell->name,
		    lm_shown(shown, softmax));
	return 0;
}

static int
read_dtype(struct lm_entity_cell *cell, struct loom_error *err)
{
	const char *name;
	char shown[LM_SHOWN];

	if (lm_json_string(cell->spec, cell->name, "dtype", 1, &name, err) < 0)
		return -1;
	cell->dtype = lm_dtype_parse(name);
	if (cell->dtype == NULL || cell->dtype->loom < 0)
		return lm_fail(err, LOOM_EFORMAT, "%s: unknown dtype \"%s\"", cell->name,
		    lm_shown(shown, name));
	return 0;
}

/* What makes a layer another container, or one at all, has no meaning in it. */
static int
no_other_children(const struct lm_entity_cell *cell, struct loom_error *err)
{
	static const char *const keys[] = { "parallel_branches", "sequential_layers",
		"meta_observed_layer" };
	size_t i;
	json_t *value;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		value = json_object_get(cell->spec, keys[i]);
		if (cell->container != NULL && strcmp(cell->container->key, keys[i]) == 0)
			continue;
		if (json_is_object(value) || json_array_size(value) > 0)
			return lm_fail(err, LOOM_EUNSUPPORTED, "%s: a %s with \"%s\"", cell->name,
			    cell->row != NULL ? cell->row->type : cell->container->type, keys[i]);
	}
	return 0;
}

static int
read_spec(struct lm_entity_cell *cell, json_t *spec, struct loom_error *err)
{
	cell->spec = spec;
	if (read_type(cell, err) < 0 || read_activation(cell, err) < 0 ||
	    read_dtype(cell, err) < 0 || no_other_children(cell, err) < 0 ||
	    lm_json_flag(spec, cell->name, "is_disabled", 0, &cell->disabled, err) < 0)
		return -1;
	return 0;
}

static int
name_child(struct lm_entity *entity, const struct lm_entity_cell *parent, size_t i,
    struct lm_entity_cell *cell, struct loom_error *err)
{
	size_t room = strlen(parent->name) + strlen(parent->container->key) + 24;
	char *name = lm_arena_alloc(&entity->model->arena, room, 1, err);

	if (name == NULL)
		return -1;
	(void)snprintf(name, room, "%s.%s.%zu", parent->name, parent->container->key, i);
	cell->name = name;
	return 0;
}

static int read_children(struct lm_entity *, struct lm_entity_cell *, struct loom_error *);

/* A layer that has its name, and what it is made of; JSON bounds how deep that goes. */
static int
read_cell(struct lm_entity *entity, struct lm_entity_cell *cell, json_t *spec,
    struct loom_error *err)
{
	if (read_spec(cell, spec, err) < 0)
		return -1;
	return cell->container != NULL ? read_children(entity, cell, err) : 0;
}

static int
read_children(struct lm_entity *entity, struct lm_entity_cell *cell, struct loom_error *err)
{
	json_t *list = NULL, *spec;
	size_t i;

	if (lm_json_array(cell->spec, cell->name, cell->container->key, 0, &list, err) < 0)
		return -1;
	cell->n_child = json_array_size(list);
	cell->child = lm_arena_alloc(&entity->model->arena, cell->n_child, sizeof(*cell->child),
	    err);
	if (cell->child == NULL)
		return -1;
	json_array_foreach(list, i, spec) {
		if (name_child(entity, cell, i, &cell->child[i], err) < 0)
			return -1;
		if (!json_is_object(spec))
			return lm_fail(err, LOOM_EFORMAT, "%s is %s, not an object",
			    cell->child[i].name, lm_json_type(spec));
		if (check_fields(spec, cell->child[i].name, err) < 0 ||
		    read_cell(entity, &cell->child[i], spec, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the grid ---- */

struct grid {
	int64_t size[4]; /* depth, rows, cols, layers_per_cell */
	size_t total;
};

static int
read_grid(json_t *network, struct grid *grid, struct loom_error *err)
{
	static const char *const keys[] = { "depth", "rows", "cols", "layers_per_cell" };
	int64_t total = 1;
	size_t i;

	for (i = 0; i < 4; i++) {
		if (lm_json_integer(network, "network", keys[i], 1, 0, LM_ENTITY_MOST,
			&grid->size[i], err) < 0)
			return -1;
		total *= grid->size[i];
		if (total > LM_ENTITY_MOST)
			return lm_fail(err, LOOM_EFORMAT, "network: a grid of more than %d layers",
			    LM_ENTITY_MOST);
	}
	grid->total = (size_t)total;
	return 0;
}

/* The flat index: z outermost, l innermost. */
static int
place_layer(json_t *spec, const char *where, const struct grid *grid, size_t *index,
    struct loom_error *err)
{
	static const char *const keys[] = { "z", "y", "x", "l" };
	size_t i;
	int64_t at;

	*index = 0;
	for (i = 0; i < 4; i++) {
		at = 0;
		if (grid->size[i] == 0)
			return lm_fail(err, LOOM_EFORMAT,
			    "%s: there is no place for it in a grid of "
			    "%lld x %lld x %lld x %lld",
			    where, (long long)grid->size[0], (long long)grid->size[1],
			    (long long)grid->size[2], (long long)grid->size[3]);
		if (lm_json_integer(spec, where, keys[i], 0, 0, grid->size[i] - 1, &at, err) < 0)
			return -1;
		*index = *index * (size_t)grid->size[i] + (size_t)at;
	}
	return 0;
}

static int
read_layers(struct lm_entity *entity, json_t *layers, const struct grid *grid,
    struct loom_error *err)
{
	char where[40];
	json_t *spec;
	size_t i, index;

	json_array_foreach(layers, i, spec) {
		snprintf(where, sizeof(where), "layers[%zu]", i);
		if (!json_is_object(spec))
			return lm_fail(err, LOOM_EFORMAT, "%s is %s, not an object", where,
			    lm_json_type(spec));
		if (check_fields(spec, where, err) < 0 ||
		    place_layer(spec, where, grid, &index, err) < 0)
			return -1;
		if (entity->cells[index].spec != NULL)
			return lm_fail(err, LOOM_EFORMAT,
			    "%s: another entry has its place in the grid", where);
		snprintf(where, sizeof(where), "layers.%zu", index);
		entity->cells[index].name = lm_arena_string(&entity->model->arena, where, err);
		if (entity->cells[index].name == NULL ||
		    read_cell(entity, &entity->cells[index], spec, err) < 0)
			return -1;
	}
	return 0;
}

static int
read_network(struct lm_entity *entity, json_t *network, struct loom_error *err)
{
	static const char *const known[] = { "id", "depth", "rows", "cols", "layers_per_cell",
		"layers", NULL };
	struct grid grid;
	json_t *layers = NULL;
	const char *id;

	if (lm_entity_exact_keys(network, "network", known, err) < 0 ||
	    lm_json_string(network, "network", "id", 0, &id, err) < 0 ||
	    read_grid(network, &grid, err) < 0 ||
	    lm_json_array(network, "network", "layers", 0, &layers, err) < 0)
		return -1;
	/*
	 * A place that no entry mentions is a layer to Loom, of default kind and without weights.  With
	 * as many entries as places, none of them twice, there is no such place, and no memory is
	 * asked for that the header did not pay for.
	 */
	if (json_array_size(layers) != grid.total)
		return lm_fail(err, LOOM_EFORMAT,
		    "network: %zu entries in \"layers\" for a grid of %zu", json_array_size(layers),
		    grid.total);
	entity->n_cells = grid.total;
	entity->cells = lm_arena_alloc(&entity->model->arena, grid.total, sizeof(*entity->cells),
	    err);
	if (entity->cells == NULL)
		return -1;
	return read_layers(entity, layers, &grid, err);
}

int
lm_entity_read_network(struct lm_entity *entity, struct loom_error *err)
{
	static const char *const known[] = { "format_version", "network", "transformer", "blobs",
		"bridge", NULL };
	json_t *network, *transformer = NULL;
	int64_t version;

	if (!json_is_object(entity->root))
		return lm_fail(err, LOOM_EFORMAT, "the header is %s, not an object",
		    lm_json_type(entity->root));
	if (lm_entity_exact_keys(entity->root, "header", known, err) < 0 ||
	    lm_json_integer(entity->root, "header", "format_version", 1, 1, 1, &version, err) < 0 ||
	    lm_json_object(entity->root, "header", "network", 1, &network, err) < 0 ||
	    lm_json_object(entity->root, "header", "transformer", 0, &transformer, err) < 0 ||
	    lm_json_object(entity->root, "header", "bridge", 0, &entity->bridge, err) < 0)
		return -1;
	if (transformer != NULL)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "a transformer section, which cannot be run yet");
	return read_network(entity, network, err);
}
