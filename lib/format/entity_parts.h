/* entity_parts: what the files that read and write checkpoints share. */
#ifndef FORMAT_ENTITY_PARTS_H
#define FORMAT_ENTITY_PARTS_H

#include "base/names.h"
#include "format/entity.h"

enum {
	LM_ENTITY_FIXED = 20,	    /* bytes before the header's JSON */
	LM_ENTITY_HEADER = 1 << 28, /* the longest JSON */
	LM_ENTITY_MOST = 1 << 20,   /* of cells, and of blobs */
	LM_CELL_FIELDS = 14,
	LM_CELL_FIXED = 11,
	LM_CELL_AXES = 5,
	LM_CELL_EXTENT = 1 << 24 /* the greatest that a spec may state */
};

extern const char lm_entity_magic[8];

/* ---- vocabulary: rows of entity_cells.def ---- */

/* A parameter of the operation and the key of the spec that holds it. */
struct lm_cell_field {
	const char *param, *key;
	const char *instead; /* the key that holds it where this one is 0 or absent; or NULL */
	const char *per;     /* by which that one is divided */
	const char *times;   /* no value of its own: the key must be param times this parameter */
	double usual;	     /* of a real that is not positive; it is not written */
	int echo;	     /* written for Loom's sake, not read */
};

/* What a parameter is in Loom, which has no place for it. */
struct lm_cell_fixed {
	const char *param, *word;
	double number;
	const char *with; /* it matters only where this parameter is not Loom's either; or NULL */
};

enum lm_cell_rows {
	LM_ROWS_ALL,	/* Loom computes all rows, wherever they stand */
	LM_ROWS_SAMPLE, /* Loom computes one block of extents for each index of the first axis */
	LM_ROWS_LEAK	/* Loom lets the samples of a batch see those before them */
};

/* How far windows reach follows from the extents that a spec states. */
enum lm_cell_window {
	LM_CELL_NO_WINDOW,
	LM_CELL_CONVOLVES, /* beyond the input there are zeros */
	LM_CELL_TRANSPOSES /* results that nothing reaches are zeros */
};

struct lm_cell_row {
	const char *type, *op;
	size_t main; /* slots in the layer's blob */
	struct {
		const char *family, *what;
		size_t slot;
	} side;			/* a slot that Loom lacks, in bridge.<family>.<index>.<what> */
	const char *idle;	/* what stands for an activation where the layer has none */
	const char *activation; /* the parameter that is the activation; Loom's is its first word */
	const char *ones; /* a slot by which values are multiplied; all others add something */
	int keeps;	  /* what comes out has the extents of what comes in */
	enum lm_cell_window window; /* the extents that come out are stated, not computed */
	int floats; /* Loom computes nothing where its weights are of another kind */
	int full;   /* Loom keeps its weights in float32, whatever the spec says */
	int skip;   /* in a sequence it adds what the layer before it took */
	/* Trailing extents: a parameter, else a key of the spec. */
	const char *reads[LM_CELL_AXES], *makes[LM_CELL_AXES];
	enum lm_cell_rows rows;
	int row;    /* Loom makes one row of each sample */
	int merges; /* Loom makes one axis of all before the last */
	struct lm_cell_field field[LM_CELL_FIELDS];
	struct lm_cell_fixed fixed[LM_CELL_FIXED];
};

struct lm_container_row {
	const char *type, *key;
	int parallel;
};

struct lm_combine_row {
	const char *mode, *op;
	int mean;
};

struct lm_activation_row {
	int value;
	const char *name, *op, *param, *word;
	double real;
};

/* The length of a sequence: a key that no parameter has. */
extern const char lm_cell_sequence[];

/* The path of the blob that holds the second slot of layer index; returns dst. */
enum { LM_SIDECAR_PATH = 80 };
const char *lm_sidecar_path(char dst[LM_SIDECAR_PATH], const struct lm_cell_row *, size_t index);

const struct lm_cell_row *lm_cell_by_type(const char *type); /* in any case */
const struct lm_cell_row *lm_cell_by_op(const char *op);
const struct lm_container_row *lm_container_by_type(const char *type);
const struct lm_combine_row *lm_combine_by_mode(const char *mode);
int lm_cell_neutral(const char *op);
const struct lm_activation_row *lm_activation_by_name(const char *name); /* or an alias, any case */
/* The activation that a node computes, its parameters included; NULL. */
const struct lm_activation_row *lm_activation_of(const struct lm_node *);
/* Give a node of the row's op the row's parameter. */
int lm_activation_set(const struct lm_activation_row *, struct lm_node *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The name that a layer's spec has for the activation which is one of the layer's parameters. */
const char *lm_activation_inside(const struct lm_cell_row *, const struct lm_node *);
/* The name of one of Loom's layer types, of those that cannot be run too; NULL: it is none. */
const char *lm_cell_type(const char *name);
/* "Dense, ...": what can be run. */
const char *lm_cell_types(char *dst, size_t size);
const char *lm_combine_modes(char *dst, size_t size);
int lm_softmax_known(const char *name);

/* The activation that is this operation, whatever its parameters; NULL. */
const struct lm_activation_row *lm_activation_by_op(const char *op);

/* The index of word among the names of an enumeration, or -1. */
int64_t lm_param_word(const struct lm_param *, const char *word);
/*
 * Can this parameter change what node computes, where another like it is the same but for such
 * parameters?  What becomes of a hidden score does not matter where there is no mask.
 */
int lm_cell_matters(const struct lm_cell_row *, const struct lm_node *, const struct lm_node *other,
    size_t param);
int lm_param_same(const struct lm_param *, const union lm_value *, const union lm_value *);
/* The element type of a node's weights where Loom's layer computes nothing with it; or NULL. */
const char *lm_cell_wrong_weights(const struct lm_cell_row *, const struct lm_node *);
/* "Loom computes with KEY A, not B". */
int lm_param_difference(struct lm_buf *, const struct lm_param *, const union lm_value *theirs,
    const union lm_value *ours, struct loom_error *) LOOM_MUST_CHECK;

/* ---- a checkpoint that is being read ---- */

enum lm_blob_kind { LM_BLOB_MAIN, LM_BLOB_SIDECAR, LM_BLOB_NODE, LM_BLOB_OTHER };

struct lm_entity_blob {
	const char *path;
	uint64_t offset, length; /* within the payload */
	const struct lm_dtype *dtype;
	float scale;
	int native, used;
	enum lm_blob_kind kind;
};

/* Values of one kind in a layer's blob, where the node has no such slot. */
struct lm_entity_filling {
	struct lm_entity_filling *next;
	uint64_t at; /* bytes into the payload */
	struct lm_weight weight;
};

struct lm_entity_cell {
	const char *name; /* "layers.3.sequential_layers.1" */
	json_t *spec;
	const struct lm_cell_row *row;		  /* or else */
	const struct lm_container_row *container; /* of its children */
	const struct lm_activation_row *activation;
	const struct lm_dtype *dtype;
	int disabled;
	struct lm_entity_cell *child;
	size_t n_child;
	struct lm_entity_blob *main, *sidecar;
	struct lm_node *node, *function; /* in the graph: the layer, and its activation */
};

struct lm_entity {
	struct loom_model *model;
	json_t *root, *bridge; /* bridge: NULL where there is none */
	const unsigned char *payload;
	int bare;   /* the header alone is read: no weight has data */
	int placed; /* ... but a view of where in the payload it would be */
	struct lm_entity_filling
	    *fillings; /* and what a layer's blob has for slots that a node lacks */
	/* payload is NULL: it is read by windows, from start on */
	struct lm_source *source;
	uint64_t start;
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
	const unsigned char *payload; /* or NULL: in source, from start on */
	size_t payload_size;
	struct lm_source *source;
	uint64_t start;
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

/* The keys of a layer's spec in Loom's order; NULL past the end. */
const char *lm_entity_key(size_t i);

struct lm_entity_blob *lm_entity_blob(const struct lm_entity *, const char *path);
/*
 * The layer that text ("3.sequential_layers.1", whatever follows) names: *rest is what follows.  NULL,
 * and *most how many there are where the number that is wrong stands.
 */
struct lm_entity_cell *lm_entity_cell_at(const struct lm_entity *, const char *text,
    const char **rest, size_t *most);
/* Describe a node's slot by a blob and point it to the bytes. */
int lm_entity_attach(struct lm_entity *, struct lm_node *, size_t slot, struct lm_entity_blob *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Those slots of a layer's node that its own blob holds. */
int lm_entity_attach_main(struct lm_entity *, const struct lm_entity_cell *, struct lm_node *,
    struct loom_error *) LOOM_MUST_CHECK;

/* Parameters of a layer's node from its spec: all of them. */
int lm_cell_read(struct lm_arena *, const struct lm_entity_cell *, struct lm_node *,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * Of a node whose parameters are known: an extent that reads or makes names, from the spec where it is
 * no parameter; 0 where it is not stated and need not be.
 */
int lm_cell_extent(const struct lm_entity_cell *, const struct lm_node *, const char *name,
    int64_t *, struct loom_error *) LOOM_MUST_CHECK;
/* What plain Loom makes of a node: the same one with the parameters that a spec would give it. */
int lm_cell_twin(struct lm_arena *, const struct lm_cell_row *, const struct lm_node *,
    struct lm_node *twin, struct loom_error *) LOOM_MUST_CHECK;
/* The parameter only says whether slots of the layer's blob are there, which can be written as others. */
int lm_cell_filled(const struct lm_cell_row *, const struct lm_node *, size_t param);
/* The slots of the layer's blob in both, wanted or not, have the same shapes. */
int lm_cell_same_layout(const struct lm_cell_row *, const struct lm_node *, const struct lm_node *,
    struct loom_error *) LOOM_MUST_CHECK;

/* The index that text writes in canonical decimal, below most; or -1. */
int lm_entity_index(const char *text, size_t len, size_t most, size_t *out);

#endif
