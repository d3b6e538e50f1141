/*
 * model: a network as a graph of nodes in execution order.  Inputs, the tensors between nodes and the
 * weights all live in one arena; a model is read-only once it is open.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/names.h"
#include "base/source.h"
#include "layer/layer.h"

struct lm_input {
	const char *name;
	const struct lm_dtype *dtype;
	int any;	     /* any leading axes may stand before dims (files of plain Loom) */
	struct lm_dims dims; /* declared extents */
	size_t tensor;
};

struct lm_value_info { /* one name space: inputs and what nodes make */
	const char *name;
	size_t node; /* that makes it; LM_ABSENT for an input */
};

struct loom_model {
	struct lm_arena arena;
	struct loom_open_options how; /* it was opened: strings are the caller's meanwhile */
	const char *name;	      /* where it came from, for messages */
	const char *title;	      /* the network's own name, or NULL */
	const char *planet;	      /* or NULL */
	size_t n_inputs, n_values, n_nodes, n_outputs;
	struct lm_input *inputs;
	struct lm_value_info *values;
	struct lm_node **nodes;
	size_t *outputs; /* values */
	/* The header of the checkpoint that it was made from, where a file of another kind has it. */
	const char *restore;
	size_t restore_size;
	size_t n_findings;
	const char **findings;	  /* what loads but is not sound, a line each */
	struct lm_source *source; /* the bytes that weights point into, or NULL; owned */
	size_t n_files;
	struct lm_source **files; /* more of them; owned */
	/* The document it was read from, of a format that keeps what it does not understand. */
	void *document;
	void (*document_free)(void *);
	struct lm_names value_names, node_names;
};

int lm_model_new(struct loom_model **, const char *name, struct loom_error *) LOOM_MUST_CHECK;

/* Strings are copied into the arena; dims must already live there. */
int lm_model_add_input(struct loom_model *, const char *name, const struct lm_dtype *, int any,
    struct lm_dims, struct loom_error *) LOOM_MUST_CHECK;
/* A node without inputs, outputs, parameters or weights yet; NULL on failure (a repeated name). */
struct lm_node *lm_model_add_node(struct loom_model *, const char *name,
    const struct lm_layer_ops *, struct loom_error *);
/* Append an input by the tensor's name, which must exist already; NULL: absent. */
int lm_node_add_in(struct loom_model *, struct lm_node *, const char *tensor,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_node_add_out(struct loom_model *, struct lm_node *, const char *tensor,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * After inputs, outputs and parameters are set (none set: the previous node's first output, the
 * node's own name): check counts and parameters.  Before weights are put.
 */
int lm_node_check(struct loom_model *, struct lm_node *, struct loom_error *) LOOM_MUST_CHECK;
/* Describe a weight: fills count and bytes from the slot's shape.  data may follow later. */
int lm_node_put(struct lm_node *, size_t slot, const struct lm_dtype *, float scale,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_model_add_output(struct loom_model *, const char *tensor,
    struct loom_error *) LOOM_MUST_CHECK;
/* The value of that name, or LM_ABSENT. */
size_t lm_model_value(const struct loom_model *, const char *name);
struct lm_node *lm_model_find(const struct loom_model *, const char *node);
/*
 * All nodes are there: every wanted slot is present, something comes out, and the shapes of
 * neighbours meet (tried with a few sizes for the names).
 */
int lm_model_check(struct loom_model *, struct loom_error *) LOOM_MUST_CHECK;
int lm_model_finding(struct loom_model *, struct loom_error *, const char *fmt, ...)
    LM_PRINTF(3, 4) LOOM_MUST_CHECK;

/* The model takes the source over, also on failure: weights may point into it. */
int lm_model_add_file(struct loom_model *, struct lm_source *, struct loom_error *) LOOM_MUST_CHECK;

/* The most inputs or outputs that a node has, at least 1. */
size_t lm_model_widest(const struct loom_model *);

/* What the names of dimensions stand for with given input shapes; the list is the arena's. */
int lm_model_sizes(const struct loom_model *, const struct lm_shape *inputs, struct lm_arena *,
    struct lm_sizes *, struct loom_error *) LOOM_MUST_CHECK;
/* What a node wants for given shapes. */
struct lm_needs {
	size_t positions;      /* given: sequences of at most so many come in pieces; 0: whole */
	size_t scratch;	       /* bytes for each worker */
	size_t kept;	       /* bytes from piece to piece */
	size_t rows[LM_SLOTS]; /* that the matrix of a slot meets; 0: it is none */
};

/*
 * Shapes of all values for given input shapes (n_inputs of them): fills shapes[n_values], and
 * needs[n_nodes] unless that is NULL.
 */
int lm_model_shapes(const struct loom_model *, const struct lm_shape *inputs,
    struct lm_shape *shapes, struct lm_needs *needs, struct loom_error *) LOOM_MUST_CHECK;

/*
 * Shapes of all values where every name in the inputs' declarations is size, and lead axes of size
 * stand before the extents of inputs that may have any.
 */
int lm_model_try(const struct loom_model *, uint64_t size, unsigned lead, struct lm_shape *shapes,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
