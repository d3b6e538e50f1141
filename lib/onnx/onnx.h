/*
 * onnx: an ONNX file in memory (onnx/onnx.proto, IR 3 to 13), between the wire format, which onnx_wire.c
 * reads and writes, and a network, to which and from which the rows of onnx.def lead.
 */
#ifndef FORMAT_ONNX_H
#define FORMAT_ONNX_H

#include "format/format.h"
#include "format/outgoing.h"

enum { LM_ONNX_NO_TENSOR = -1 };
enum { LM_ONNX_RANK = 8 }; /* of tensors */
/* That is written unless another is asked for, and the last one that is. */
enum { LM_ONNX_OPSET = 17, LM_ONNX_NEWEST = 23 };

enum lm_onnx_type {
	LM_ONNX_FLOAT = 1,
	LM_ONNX_UINT8,
	LM_ONNX_INT8,
	LM_ONNX_UINT16,
	LM_ONNX_INT16,
	LM_ONNX_INT32,
	LM_ONNX_INT64,
	LM_ONNX_STRING,
	LM_ONNX_BOOL,
	LM_ONNX_FLOAT16,
	LM_ONNX_DOUBLE,
	LM_ONNX_UINT32,
	LM_ONNX_UINT64,
	LM_ONNX_BFLOAT16 = 16
};

struct lm_onnx_tensor {
	const char *name;
	int type;
	unsigned rank;
	uint64_t dim[LM_ONNX_RANK];
	uint64_t count;
	/*
	 * Read: where the values lie, little-endian; data NULL: in a file, as view says.  Of a type without
	 * a dtype, which stands only in a graph that the user cuts (how.outputs), neither.
	 */
	const unsigned char *data;
	struct lm_view view;
	/* Written: instead of data. */
	const struct lm_outgoing *from;
};

enum lm_onnx_attribute_type {
	LM_ONNX_IS_FLOAT = 1,
	LM_ONNX_IS_INT,
	LM_ONNX_IS_STRING,
	LM_ONNX_IS_TENSOR,
	LM_ONNX_IS_GRAPH,
	LM_ONNX_IS_FLOATS,
	LM_ONNX_IS_INTS,
	LM_ONNX_IS_STRINGS
};

struct lm_onnx_attribute {
	const char *name;
	int type;
	float f;
	int64_t i;
	const char *s; /* followed by a NUL, which is not counted in n */
	size_t n;      /* bytes of s, entries of a list */
	const float *floats;
	const int64_t *ints;
	const char *const *strings;
	const struct lm_onnx_tensor *tensor;
};

struct lm_onnx_node {
	const char *name, *op, *domain; /* domain "": the standard's own */
	size_t n_in, n_out, n_attributes;
	const char **in, **out; /* "" is an input that is not given */
	struct lm_onnx_attribute *attributes;
};

struct lm_onnx_dim {
	const char *name; /* or NULL: value; name "": not known */
	int64_t value;
};

struct lm_onnx_value {
	const char *name;
	int type;   /* 0: not said; LM_ONNX_NO_TENSOR: a sequence, map ... of a graph that is cut */
	int ranked; /* the shape is said */
	unsigned rank;
	struct lm_onnx_dim dim[LM_ONNX_RANK];
};

struct lm_onnx_pair {
	const char *key, *value; /* of opset imports: domain; of metadata: both */
	int64_t version;
};

/* Arrays grow by doubling in the arena; use the functions below. */
struct lm_onnx {
	struct lm_arena *arena;
	int64_t ir;
	const char *producer, *graph;
	size_t n_opsets, n_nodes, n_tensors, n_inputs, n_outputs, n_values, n_metadata;
	struct lm_onnx_pair *opsets;
	struct lm_onnx_node *nodes; /* read: behind them one more, which stands for the outputs */
	struct lm_onnx_tensor *tensors; /* initializers */
	struct lm_onnx_value *inputs, *outputs, *values;
	struct lm_onnx_pair *metadata;
};

/* ---- building: strings are copied; NULL or -1 on failure ---- */

struct lm_onnx_node *lm_onnx_add_node(struct lm_onnx *, const char *name, const char *op,
    size_t n_in, const char *const *in, size_t n_out, const char *const *out, struct loom_error *);
int lm_onnx_add_int(struct lm_onnx *, struct lm_onnx_node *, const char *name, int64_t,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_add_float(struct lm_onnx *, struct lm_onnx_node *, const char *name, float,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_add_string(struct lm_onnx *, struct lm_onnx_node *, const char *name, const char *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_add_ints(struct lm_onnx *, struct lm_onnx_node *, const char *name, const int64_t *,
    size_t n, struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_add_strings(struct lm_onnx *, struct lm_onnx_node *, const char *name,
    const char *const *, size_t n, struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_add_tensor_attribute(struct lm_onnx *, struct lm_onnx_node *, const char *name,
    const struct lm_onnx_tensor *, struct loom_error *) LOOM_MUST_CHECK;
/* An initializer; data is copied, or from is kept.  dims of rank; type of data. */
int lm_onnx_add_initializer(struct lm_onnx *, const char *name, int type, unsigned rank,
    const uint64_t *dim, const void *data, const struct lm_outgoing *from,
    struct loom_error *) LOOM_MUST_CHECK;
/* To one of inputs, outputs, values. */
int lm_onnx_add_value(struct lm_onnx *, struct lm_onnx_value **list, size_t *n,
    const struct lm_onnx_value *, struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_add_opset(struct lm_onnx *, const char *domain, int64_t version,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_add_metadata(struct lm_onnx *, const char *key, const char *value,
    struct loom_error *) LOOM_MUST_CHECK;
/* Room for one more behind n of a list; NULL on failure. */
void *lm_onnx_grow(struct lm_arena *, void *list, size_t n, size_t size, struct loom_error *);

/* A node's name, or that of its first output: for messages. */
const char *lm_onnx_node_name(const struct lm_onnx_node *);
/* The dtype that a type is, or NULL; the type that a dtype is, or 0. */
const struct lm_dtype *lm_onnx_dtype(int type);
int lm_onnx_type(const struct lm_dtype *);
/* "float16", of types too that are not read. */
const char *lm_onnx_type_name(int64_t type);
uint64_t lm_onnx_tensor_bytes(const struct lm_onnx_tensor *);

const struct lm_onnx_attribute *lm_onnx_attribute(const struct lm_onnx_node *, const char *name);
/* The value of an attribute that is optional; -1 where it is of another type. */
int lm_onnx_int(const struct lm_onnx_node *, const char *name, int64_t otherwise, int64_t *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_float(const struct lm_onnx_node *, const char *name, float otherwise, float *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_text(const struct lm_onnx_node *, const char *name, const char *otherwise,
    const char **, struct loom_error *) LOOM_MUST_CHECK;
/* *n is 0 where it is not there. */
int lm_onnx_ints(const struct lm_onnx_node *, const char *name, const int64_t **, size_t *n,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- the wire (onnx_wire.c) ---- */

/*
 * A whole file, checked as far as the format itself goes (formats limits, types, counts, names, external
 * data); tensors lie in the source or in files that the model then owns.
 */
int lm_onnx_read(struct lm_onnx *, struct loom_model *owner, struct lm_source *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Into the place's output; tensors beside it in ".data" where they would make it longer than 1.8 GiB. */
int lm_onnx_write(const struct lm_onnx *, struct lm_place *, struct loom_error *) LOOM_MUST_CHECK;
/* The same, beside it where tensors have so many bytes or more. */
int lm_onnx_write_split(const struct lm_onnx *, struct lm_place *, uint64_t most,
    struct loom_error *) LOOM_MUST_CHECK;
/* All in one. */
int lm_onnx_write_sink(const struct lm_onnx *, struct lm_sink *,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- the network's name and planet (onnx_metadata.c) ---- */

int lm_onnx_write_metadata(struct lm_onnx *, const struct loom_model *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Nothing where the model is opened blind. */
int lm_onnx_read_metadata(struct loom_model *, const struct lm_onnx *,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- networks to ONNX (onnx_export.c; a family of operations each in onnx_to_FAMILY.c) ---- */

struct lm_onnx_writing {
	struct lm_onnx *to;
	const struct loom_model *model;
	const struct loom_export_options *options;
	struct lm_arena *arena;
	struct lm_buf *notes;
	int64_t opset;
	const struct lm_shape *shapes[2]; /* of all values, for two sets of sizes; NULL: unknown */
	struct lm_names taken;		  /* names of values and tensors */
	struct lm_names extents; /* expressions of extents, and the nodes that compute them */
	unsigned lead;		 /* axes before those of inputs that may have any */
	int varied;		 /* more than one size went */
	struct lm_sizes apart;	 /* names with a size of their own each, and */
	const struct lm_shape *shapes_apart; /* all values then; NULL: they do not go */
};

/* "NODE/what", a name for a value or node within what one node of the network becomes. */
const char *lm_onnx_inner(struct lm_onnx_writing *, const struct lm_node *, const char *what,
    struct loom_error *);
/* The name that a value has there. */
const char *lm_onnx_name(const struct lm_onnx_writing *, size_t value);
/* A slot as an initializer under its source's name, else "NODE.slot"; its name. */
const char *lm_onnx_slot(struct lm_onnx_writing *, const struct lm_node *, size_t slot,
    struct loom_error *);

struct lm_onnx_to { /* a row of onnx.def: what an operation becomes */
	const char *op;
	int (*write)(struct lm_onnx_writing *, const struct lm_node *, struct loom_error *);
	const char *refused; /* instead of write: why there is none */
};

/* The row for an operation; NULL: there is none. */
const struct lm_onnx_to *lm_onnx_to_find(const char *op);
/* A whole network: model, options, arena and an empty graph are given. */
int lm_onnx_of(struct lm_onnx_writing *, struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_export(struct lm_export *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- ONNX to networks (onnx_import.c; families in onnx_from_FAMILY.c) ---- */

/*
 * What is known of a value.  All names of the file are known from the start, so that nodes that come
 * later can be looked at; `made` says whether it has been read.  Then dims are its extents in the
 * network's notation ("?" where no expression of names was found; settled by trials, onnx_trial.h).
 * A constant has its tensor, stored or folded: its values count as dtype's whatever they are stored as.
 * elements: a list of extents that the file computes (Shape, Gather, Concat ...), of an int64 value of
 * rank 0 or 1.  Neither of these has a value in the network until lm_onnx_value_of makes one.
 */
struct lm_onnx_known {
	const char *name;
	int made;
	size_t value;		      /* of the model; LM_ABSENT: not there (yet) */
	const struct lm_dtype *dtype; /* float32, int64 or bool: what a run has */
	int ranked;
	struct lm_dims dims;
	const struct lm_onnx_tensor *tensor; /* its dims are the value's */
	const struct lm_onnx_tensor
	    *filled; /* all of a value that a node makes are this one number */
	const struct lm_dim *elements;
	size_t n_elements;
	int weight;    /* tensor is an initializer or folded from one; 0: a node Constant made it */
	size_t users;  /* nodes that read it, and 1 more for an output of the graph */
	int is_output; /* of the graph */
	size_t maker, user; /* node that makes it; the first that reads it; LM_ABSENT: none */
	struct lm_onnx_tried *tried; /* what the trials gave */
};

struct lm_onnx_reading {
	struct lm_onnx *from;
	struct loom_model *model;
	struct lm_arena arena; /* for the time of reading; what stays goes to model->arena */
	int64_t opset;	       /* of the standard domain */
	size_t at;	       /* the node at hand */
	struct lm_onnx_known **known;
	size_t n_known;
	struct lm_names names; /* of known */
	unsigned char
	    *done; /* nodes that another one's reader took with it, and what is not wanted */
	unsigned char *wanted;	  /* nodes that the outputs need */
	size_t *origin, n_origin; /* of the network's nodes: the file's */
	struct lm_onnx_trials *trials;
	unsigned char **kept; /* copies of tensors, by where these are */
	size_t n_kept;
	struct lm_names kept_names;
	struct lm_onnx_matching *matching; /* nodes that are one of ours: onnx_match.h */
	int folding; /* the file is one node that is being folded: its constants are values */
};

/* The network of an ONNX file (formats.def). */
int lm_onnx_import(struct loom_model *, struct lm_source *, struct loom_error *) LOOM_MUST_CHECK;
/* Behind the reason why a file is refused: which of its values a graph that is cut could end at. */
void lm_onnx_say_cut(const struct loom_model *, struct lm_source *, struct loom_error *);

/* What is known of input k of a node; NULL: it is not given. */
struct lm_onnx_known *lm_onnx_in(struct lm_onnx_reading *, const struct lm_onnx_node *, size_t k);
struct lm_onnx_known *lm_onnx_find(struct lm_onnx_reading *, const char *name);
/* The only node that reads a value that is no output of the graph; NULL: none, or several. */
const struct lm_onnx_node *lm_onnx_only_user(struct lm_onnx_reading *, const char *value);
/* The node that makes a value; NULL: an input or an initializer. */
const struct lm_onnx_node *lm_onnx_maker(struct lm_onnx_reading *, const char *value);
void lm_onnx_take(struct lm_onnx_reading *, const struct lm_onnx_node *);
/* A value that a node of the network can read: a constant becomes a node constant first. */
int lm_onnx_value_of(struct lm_onnx_reading *, struct lm_onnx_known *, size_t *value,
    struct loom_error *) LOOM_MUST_CHECK;
/* A new node of the network called like the file's node (or its output), with its inputs. */
struct lm_node *lm_onnx_new_node(struct lm_onnx_reading *, const struct lm_onnx_node *,
    const char *op, size_t n_in, struct lm_onnx_known *const *in, struct loom_error *);
/* A name for a value between the nodes that one of the file becomes: "OUTPUT/what". */
const char *lm_onnx_between(struct lm_onnx_reading *, const struct lm_onnx_node *, const char *what,
    struct loom_error *);
/* Its outputs: names of the file's, or from the above; checks the node and settles shapes. */
int lm_onnx_end_node(struct lm_onnx_reading *, struct lm_node *, const char *const *out, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
/* A list of integers as a parameter; the arena is the model's. */
int lm_onnx_set_list(struct lm_onnx_reading *, struct lm_node *, const char *param, const int64_t *,
    size_t n, struct loom_error *) LOOM_MUST_CHECK;
/* The same of dimensions. */
int lm_onnx_set_dims(struct lm_onnx_reading *, struct lm_node *, const char *param,
    const struct lm_dim *, size_t n, struct loom_error *) LOOM_MUST_CHECK;
/* A parameter of an integer, flag, enum (its index) or real kind. */
void lm_onnx_set(struct lm_node *, const char *param, int64_t);
void lm_onnx_set_real(struct lm_node *, const char *param, double);
/* A slot from a constant, whose order may have been changed in view (NULL: as stored). */
int lm_onnx_put(struct lm_onnx_reading *, struct lm_node *, size_t slot,
    const struct lm_onnx_known *, const struct lm_view *, struct loom_error *) LOOM_MUST_CHECK;
/* A view of all of a constant, with the tensor's dims, for the above. */
int lm_onnx_view(struct lm_onnx_reading *, const struct lm_onnx_known *, struct lm_view *,
    struct loom_error *) LOOM_MUST_CHECK;
/* A slot from values made here, as many as the slot has, which are copied. */
int lm_onnx_put_floats(struct lm_onnx_reading *, struct lm_node *, size_t slot, const float *,
    struct loom_error *) LOOM_MUST_CHECK;
/* All values of a constant as float32, in the reading's arena; NULL on failure. */
const float *lm_onnx_floats(struct lm_onnx_reading *, const struct lm_onnx_known *,
    struct loom_error *);
/* A constant's values as int64 (any integer type), at most so many; n of them. */
int lm_onnx_integers(struct lm_onnx_reading *, const struct lm_onnx_known *, int64_t *dst,
    size_t most, size_t *n, struct loom_error *) LOOM_MUST_CHECK;
/* Integers, or extents the file computes, as dimensions (of the reading's arena); n of them. */
int lm_onnx_extents(struct lm_onnx_reading *, const struct lm_onnx_known *, const struct lm_dim **,
    size_t *n, struct loom_error *) LOOM_MUST_CHECK;
/* The only value of a constant as a number. */
int lm_onnx_number(struct lm_onnx_reading *, const struct lm_onnx_known *, double *,
    struct loom_error *) LOOM_MUST_CHECK;
/* 1: all values are this number, of a constant or where it is filled; 0: no; -1: reading failed. */
int lm_onnx_all(struct lm_onnx_reading *, const struct lm_onnx_known *, double,
    struct loom_error *) LOOM_MUST_CHECK;
/* "node NAME (Op, opset N): ...", LOOM_EUNSUPPORTED. */
int lm_onnx_refuse(const struct lm_onnx_reading *, const struct lm_onnx_node *, struct loom_error *,
    const char *fmt, ...) LM_PRINTF(4, 5);

typedef int lm_onnx_read_fn(struct lm_onnx_reading *, const struct lm_onnx_node *,
    struct loom_error *);

struct lm_onnx_from { /* a row of onnx.def: an operator that is read */
	const char *op, *domain;
	int least, most; /* opsets of that domain in which it means what the reader takes it for */
	lm_onnx_read_fn *read;
};

/* The row for an operator in that opset; NULL: there is none. */
const struct lm_onnx_from *lm_onnx_from_find(const char *op, const char *domain, int64_t opset);

#endif
