/* entity_parts: what the files that read and write checkpoints share. */
#ifndef FORMAT_ENTITY_PARTS_H
#define FORMAT_ENTITY_PARTS_H

#include "base/names.h"
#include "format/entity.h"

enum {
	LM_ENTITY_FIXED = 20,	    /* bytes before the header's JSON */
	LM_ENTITY_HEADER = 1 << 28, /* the longest JSON */
	LM_ENTITY_MOST = 1 << 20,   /* of cells, and of blobs */
	LM_CELL_FIELDS = 4
};

extern const char lm_entity_magic[8];

/* ---- vocabulary: rows of entity_cells.def ---- */

struct lm_cell_row {
	const char *type, *op, *family, *what, *flag;
	struct {
		const char *param, *key;
	} field[LM_CELL_FIELDS];
};

struct lm_activation_row {
	int value;
	const char *name, *op, *param, *word;
	double real;
};

enum { LM_MAIN_SLOT, LM_SIDECAR_SLOT, LM_SIDECAR_PATH = 80 };

/* The path of the blob that holds the second slot of layer index; returns dst. */
const char *lm_sidecar_path(char dst[LM_SIDECAR_PATH], const struct lm_cell_row *, size_t index);

const struct lm_cell_row *lm_cell_by_type(const char *type); /* in any case */
const struct lm_cell_row *lm_cell_by_op(const char *op);
const struct lm_activation_row *lm_activation_by_name(const char *name); /* or an alias, any case */
/* The activation that a node computes, its parameters included; NULL. */
const struct lm_activation_row *lm_activation_of(const struct lm_node *);
/* Give a node of the row's op the row's parameter. */
int lm_activation_set(const struct lm_activation_row *, struct lm_node *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The name of one of Loom's layer types, of those that cannot be run too; NULL: it is none. */
const char *lm_cell_type(const char *name);
/* "Dense, ...": what can be run. */
const char *lm_cell_types(char *dst, size_t size);
int lm_softmax_known(const char *name);

/* ---- a checkpoint that is being read ---- */

enum lm_blob_kind { LM_BLOB_MAIN, LM_BLOB_SIDECAR, LM_BLOB_NODE, LM_BLOB_OTHER };

struct lm_entity_blob {
	const char *path;
	uint64_t offset, length; /* within the payload */
	const struct lm_dtype *dtype;
	float scale;
	int native, used;
	enum lm_blob_kind kind;
	size_t cell; /* of a main or sidecar blob */
};

struct lm_entity_cell {
	json_t *spec;
	const struct lm_cell_row *row;
	const struct lm_activation_row *activation;
	const struct lm_dtype *dtype;
	int disabled;
	struct lm_entity_blob *main, *sidecar;
	struct lm_node *node, *function; /* in the graph: the layer, and its activation */
};

struct lm_entity {
	struct loom_model *model;
	json_t *root, *bridge; /* bridge: NULL where there is none */
	const unsigned char *payload;
	size_t payload_size;
	size_t n_cells, n_blobs;
	struct lm_entity_cell *cells; /* by flat index */
	struct lm_entity_blob *blobs; /* in the file's order */
	struct lm_names paths;	      /* of blobs */
};

/*
 * What a model read from a checkpoint keeps: the bytes before the payload, and the payload.  A model
 * from elsewhere may have the info alone.
 */
struct lm_entity_document {
	json_t *info;
	int bridge; /* it has the section */
	unsigned char *head;
	size_t head_size;
	const unsigned char *payload;
	size_t payload_size;
};

/* The document of a model that came from a checkpoint or was given an info; NULL. */
struct lm_entity_document *lm_entity_document(const struct loom_model *);
/* A new one, owned by the model. */
struct lm_entity_document *lm_entity_document_new(struct loom_model *, struct loom_error *);

/* The header: version, grid, layer specs; then the index of blobs against the payload. */
int lm_entity_read_network(struct lm_entity *, struct loom_error *) LOOM_MUST_CHECK;
int lm_entity_read_blobs(struct lm_entity *, struct loom_error *) LOOM_MUST_CHECK;
/* Cells to nodes, of a file without the bridge section and of one with it. */
int lm_entity_read_plain(struct lm_entity *, struct loom_error *) LOOM_MUST_CHECK;
int lm_bridge_read(struct lm_entity *, struct loom_error *) LOOM_MUST_CHECK;

/* A key that Loom takes for a known one because it ignores case is refused; others are not ours. */
int lm_entity_exact_keys(json_t *object, const char *where, const char *const *known,
    struct loom_error *) LOOM_MUST_CHECK;

struct lm_entity_blob *lm_entity_blob(const struct lm_entity *, const char *path);
/* Describe a node's slot by a blob and point it to the bytes. */
int lm_entity_attach(struct lm_entity *, struct lm_node *, size_t slot, struct lm_entity_blob *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Parameters of a cell's node from its spec. */
int lm_entity_cell_params(const struct lm_entity_cell *, size_t index, struct lm_node *,
    struct loom_error *) LOOM_MUST_CHECK;

/* The index that text writes in canonical decimal, below most; or -1. */
int lm_entity_index(const char *text, size_t len, size_t most, size_t *out);

#endif
