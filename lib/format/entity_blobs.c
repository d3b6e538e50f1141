/* entity_blobs: the index of blobs, each entry against the layers and all against the payload. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/entity_parts.h"

#define U(n) ((unsigned long long)(n))

int
lm_entity_index(const char *text, size_t len, size_t most, size_t *out)
{
	size_t i;

	*out = 0;
	if (len == 0 || len > 9 || (len > 1 && text[0] == '0'))
		return -1;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		*out = *out * 10 + (size_t)(text[i] - '0');
	}
	return *out < most ? 0 : -1;
}

struct lm_entity_blob *
lm_entity_blob(const struct lm_entity *entity, const char *path)
{
	size_t i = lm_names_find(&entity->paths, path);

	return i == LM_NO_NAME ? NULL : &entity->blobs[i];
}

struct lm_entity_cell *
lm_entity_cell_at(const struct lm_entity *entity, const char *text, const char **rest, size_t *most)
{
	struct lm_entity_cell *cells = entity->cells, *cell;
	size_t len, index, key;

	*most = entity->n_cells;
	for (;;) {
		len = strcspn(text, ".");
		if (lm_entity_index(text, len, *most, &index) < 0)
			return NULL;
		cell = &cells[index];
		*rest = text + len;
		if (cell->container == NULL || **rest == '\0')
			return cell;
		key = strlen(cell->container->key);
		if (strncmp(*rest + 1, cell->container->key, key) != 0 || (*rest)[1 + key] != '.')
			return cell;
		text = *rest + 1 + key + 1;
		cells = cell->child;
		*most = cell->n_child;
	}
}

/* ---- paths ---- */

static const char *
type_of(const struct lm_entity_cell *cell)
{
	return cell->row != NULL ? cell->row->type : cell->container->type;
}

static int
no_layer(const char *path, size_t most, struct loom_error *err)
{
	char shown[LM_SHOWN];

	return lm_fail(err, LOOM_EFORMAT,
	    "blob %s: no such layer (layers are numbered 0..%lld, without sign or leading zeros)",
	    lm_shown(shown, path), (long long)most - 1);
}

/* layers.N with whatever follows: only layers that have children or packed forms may have more. */
static int
read_main_path(struct lm_entity *entity, struct lm_entity_blob *blob, struct loom_error *err)
{
	struct lm_entity_cell *cell;
	const char *rest;
	char shown[LM_SHOWN];
	size_t most;

	cell = lm_entity_cell_at(entity, blob->path + strlen("layers."), &rest, &most);
	if (cell == NULL)
		return no_layer(blob->path, most, err);
	lm_shown(shown, blob->path);
	if (*rest != '\0')
		return lm_fail(err, LOOM_EFORMAT, "blob %s: a %s has no \"%s\"", shown,
		    type_of(cell), rest + 1);
	if (cell->row == NULL || cell->row->main == 0)
		return lm_fail(err, LOOM_EFORMAT, "blob %s: a %s has no weights of its own", shown,
		    type_of(cell));
	blob->kind = LM_BLOB_MAIN;
	cell->main = blob;
	return 0;
}

/* bridge.<sidecar> with the number of a layer whose type has it. */
static int
read_sidecar_path(struct lm_entity *entity, struct lm_entity_blob *blob, struct loom_error *err)
{
	const char *text = blob->path + strlen("bridge."), *dot = strchr(text, '.');
	char shown[LM_SHOWN], expected[LM_SIDECAR_PATH] = "its weights";
	struct lm_entity_cell *cell;
	size_t index;

	if (dot == NULL ||
	    lm_entity_index(dot + 1, strcspn(dot + 1, "."), LM_ENTITY_MOST, &index) < 0)
		return lm_fail(err, LOOM_EFORMAT, "blob %s: nothing under \"bridge.\" is called so",
		    lm_shown(shown, blob->path));
	if (index >= entity->n_cells)
		return no_layer(blob->path, entity->n_cells, err);
	cell = &entity->cells[index];
	if (cell->row != NULL && cell->row->side.family != NULL)
		lm_sidecar_path(expected, cell->row, index);
	if (strcmp(blob->path, expected) != 0)
		return lm_fail(err, LOOM_EFORMAT, "blob %s: %s is a %s, which has no blob but %s",
		    lm_shown(shown, blob->path), cell->name, type_of(cell), expected);
	blob->kind = LM_BLOB_SIDECAR;
	cell->sidecar = blob;
	return 0;
}

static int
read_path(struct lm_entity *entity, struct lm_entity_blob *blob, struct loom_error *err)
{
	char shown[LM_SHOWN];

	if (strncmp(blob->path, "layers.", 7) == 0)
		return read_main_path(entity, blob, err);
	if (strncmp(blob->path, "bridge.nodes.", 13) == 0) {
		blob->kind = LM_BLOB_NODE;
		return 0;
	}
	if (strncmp(blob->path, "bridge.", 7) == 0)
		return read_sidecar_path(entity, blob, err);
	if (strncmp(blob->path, "transformer.", 12) == 0)
		return lm_fail(err, LOOM_EFORMAT, "blob %s: there is no transformer section",
		    lm_shown(shown, blob->path));
	blob->kind = LM_BLOB_OTHER;
	return lm_model_finding(entity->model, err, "blob %s is of no known kind and is not used",
	    lm_shown(shown, blob->path));
}

/* ---- dtype and scale ---- */

static int
read_scale(struct lm_entity_blob *blob, const json_t *entry, const char *where,
    struct loom_error *err)
{
	double scale = 0;

	if (lm_json_real(entry, where, "scale", 0, &scale, err) < 0)
		return -1;
	blob->scale = fabs(scale) > DBL_MAX ? 0 : (float)scale;
	if (isinf(blob->scale))
		return lm_fail(err, LOOM_EFORMAT, "%s: \"scale\" is %.17g, too large for float32",
		    where, scale);
	if (!blob->dtype->scaled) {
		blob->scale = 1;
		return 0;
	}
	if (blob->scale <= 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "%s: \"scale\" is %.9g; %s needs one greater than 0", where,
		    (double)blob->scale, blob->dtype->name);
	return 0;
}

static int
read_dtype(struct lm_entity_blob *blob, const json_t *entry, const char *where,
    struct loom_error *err)
{
	const char *name;
	char shown[LM_SHOWN];
	int ours = blob->kind == LM_BLOB_NODE;

	if (lm_json_string(entry, where, "dtype", 1, &name, err) < 0)
		return -1;
	blob->dtype = lm_dtype_parse(name);
	if (strcmp(name, "Q4_0") == 0 || strcmp(name, "BITNET_TERNARY") == 0)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%s: dtype %s does not go with this path",
		    where, name);
	if (blob->dtype == NULL || (blob->dtype->loom < 0 && !ours))
		return lm_fail(err, LOOM_EFORMAT, "%s: unknown dtype \"%s\"", where,
		    lm_shown(shown, name));
	if (blob->kind == LM_BLOB_SIDECAR && blob->dtype != lm_dtype_get(LM_F32))
		return lm_fail(err, LOOM_EFORMAT, "%s: dtype %s, not float32", where,
		    blob->dtype->name);
	if (!blob->native && blob->dtype != lm_dtype_get(LM_F32))
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%s: \"native\" is false with dtype %s: float32 values that Loom would quantise "
		    "as it loads them",
		    where, blob->dtype->name);
	return 0;
}

/* ---- one entry ---- */

static int
check_range(const struct lm_entity *entity, const struct lm_entity_blob *blob, const char *where,
    struct loom_error *err)
{
	uint64_t size = entity->payload_size, unit = blob->dtype->bits / 8;

	if (blob->length > size || blob->offset > size - blob->length)
		return lm_fail(err, LOOM_ETRUNCATED,
		    "%s: bytes %llu to %llu of a payload that has %llu", where, U(blob->offset),
		    U(blob->offset) + U(blob->length), U(size));
	if (unit > 1 && blob->length % unit != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "%s: \"length\" is %llu, not a multiple of the %llu bytes of a %s", where,
		    U(blob->length), U(unit), blob->dtype->name);
	return 0;
}

static int
read_entry(struct lm_entity *entity, json_t *entry, size_t i, struct loom_error *err)
{
	static const char *const known[] = { "path", "offset", "length", "dtype", "scale", "native",
		NULL };
	struct lm_entity_blob *blob = &entity->blobs[i];
	char where[LM_SHOWN + 40], shown[LM_SHOWN];
	int64_t offset = 0, length = 0;

	snprintf(where, sizeof(where), "blobs[%zu]", i);
	if (!json_is_object(entry))
		return lm_fail(err, LOOM_EFORMAT, "%s is %s, not an object", where,
		    lm_json_type(entry));
	if (lm_json_string(entry, where, "path", 1, &blob->path, err) < 0)
		return -1;
	snprintf(where, sizeof(where), "blob %s", lm_shown(shown, blob->path));
	if (lm_names_find(&entity->paths, blob->path) != LM_NO_NAME)
		return lm_fail(err, LOOM_EFORMAT, "%s stands twice in the index", where);
	if (lm_names_add(&entity->paths, &entity->model->arena, blob->path, i, err) < 0 ||
	    lm_entity_exact_keys(entry, where, known, err) < 0 ||
	    lm_json_integer(entry, where, "offset", 1, 0, INT64_MAX, &offset, err) < 0 ||
	    lm_json_integer(entry, where, "length", 1, 0, INT64_MAX, &length, err) < 0 ||
	    lm_json_flag(entry, where, "native", 0, &blob->native, err) < 0 ||
	    read_path(entity, blob, err) < 0 || read_dtype(blob, entry, where, err) < 0 ||
	    read_scale(blob, entry, where, err) < 0)
		return -1;
	blob->offset = (uint64_t)offset;
	blob->length = (uint64_t)length;
	return check_range(entity, blob, where, err);
}

/* ---- all of them ---- */

static int
by_offset(const void *a, const void *b)
{
	const struct lm_entity_blob *x = *(const struct lm_entity_blob *const *)a;
	const struct lm_entity_blob *y = *(const struct lm_entity_blob *const *)b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->length > y->length) - (x->length < y->length);
}

/* Overlaps are refused; bytes that no blob claims are a finding. */
static int
check_layout(struct lm_entity *entity, struct lm_entity_blob **sorted, struct loom_error *err)
{
	char shown[LM_SHOWN], other[LM_SHOWN];
	uint64_t end = 0;
	size_t i;

	for (i = 0; i < entity->n_blobs; i++) {
		if (sorted[i]->offset < end)
			return lm_fail(err, LOOM_EFORMAT, "blob %s overlaps blob %s",
			    lm_shown(shown, sorted[i]->path), lm_shown(other, sorted[i - 1]->path));
		if (sorted[i]->offset > end &&
		    lm_model_finding(entity->model, err,
			"blob %s: bytes before it that belong to none: %llu",
			lm_shown(shown, sorted[i]->path), U(sorted[i]->offset - end)) < 0)
			return -1;
		end = sorted[i]->offset + sorted[i]->length;
	}
	if (end < entity->payload_size)
		return lm_model_finding(entity->model, err,
		    "bytes after the last blob that belong to none: %llu",
		    U(entity->payload_size - end));
	return 0;
}

static int
sort_and_check(struct lm_entity *entity, struct loom_error *err)
{
	struct lm_entity_blob **sorted = lm_alloc(entity->n_blobs + 1, sizeof(*sorted), err);
	size_t i;
	int r;

	if (sorted == NULL)
		return -1;
	for (i = 0; i < entity->n_blobs; i++)
		sorted[i] = &entity->blobs[i];
	qsort(sorted, entity->n_blobs, sizeof(*sorted), by_offset);
	r = check_layout(entity, sorted, err);
	lm_free(sorted);
	return r;
}

int
lm_entity_read_blobs(struct lm_entity *entity, struct loom_error *err)
{
	json_t *blobs = NULL, *entry;
	size_t i;

	if (lm_json_array(entity->root, "header", "blobs", 0, &blobs, err) < 0)
		return -1;
	entity->n_blobs = json_array_size(blobs);
	if (entity->n_blobs > LM_ENTITY_MOST)
		return lm_fail(err, LOOM_EFORMAT, "more than %d blobs", LM_ENTITY_MOST);
	entity->blobs = lm_arena_alloc(&entity->model->arena, entity->n_blobs,
	    sizeof(*entity->blobs), err);
	if (entity->blobs == NULL)
		return -1;
	json_array_foreach(blobs, i, entry)
		if (read_entry(entity, entry, i, err) < 0)
			return -1;
	return sort_and_check(entity, err);
}
