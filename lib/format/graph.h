/*
 * graph: inputs, nodes and their tensors between JSON and a model: the one vocabulary that streams of
 * version 2 and the bridge section of checkpoints share (stream(5), entity(5)).
 */
#ifndef FORMAT_GRAPH_H
#define FORMAT_GRAPH_H

#include "base/json.h"
#include "model/model.h"

/* Where a line stands decides which of the keys it may have. */
enum lm_graph_form { LM_GRAPH_STREAM, LM_GRAPH_BRIDGE };

int lm_graph_read_input(struct loom_model *, json_t *, enum lm_graph_form,
    struct loom_error *) LOOM_MUST_CHECK;

/* A node of the model, checked, without its weights; its inputs must exist already. */
int lm_graph_read_node(struct loom_model *, json_t *, enum lm_graph_form, struct lm_node **,
    struct loom_error *) LOOM_MUST_CHECK;

/* The names of outputs, a list of strings. */
int lm_graph_read_outputs(struct loom_model *, json_t *, struct loom_error *) LOOM_MUST_CHECK;

/* A tensor as it travels. */
struct lm_travel {
	size_t slot;
	const struct lm_dtype *dtype; /* NULL: tied to another one, there are no bytes */
	unsigned rank;
	uint64_t shape[LOOM_RANK]; /* as it travels */
	unsigned axis[LOOM_RANK];  /* the canonical axis k is its axis[k] */
	uint64_t bytes;
};

/*
 * The tensors of a node of a stream: all that the node needs, in the slots' order, nothing else.
 * Each is put into the node (dtype as it travels, source, digest; a tied one as its twin is, so the
 * twin must have been put) and described in travel.
 */
int lm_graph_read_tensors(struct loom_model *, struct lm_node *, json_t *tensors,
    struct lm_travel travel[LM_SLOTS], size_t *n, struct loom_error *) LOOM_MUST_CHECK;

/* The tied tensors of a node of the bridge section; tensors may be NULL. */
int lm_graph_read_tied(struct loom_model *, struct lm_node *, json_t *tensors,
    struct loom_error *) LOOM_MUST_CHECK;

/*
 * The way back, in the bridge section's form; cell is the node's, or NULL.  NULL on failure; what
 * comes back is the caller's to json_decref.
 */
json_t *lm_graph_write_input(const struct lm_input *, struct loom_error *);
json_t *lm_graph_write_node(const struct loom_model *, const struct lm_node *, const char *cell,
    struct loom_error *);
json_t *lm_graph_write_value(const struct lm_param *, const union lm_value *, struct loom_error *);
json_t *lm_graph_write_outputs(const struct loom_model *, struct loom_error *);

#endif
