/*
 * onnx_match: nodes of an ONNX file that together are one operation of ours.  For every node whose
 * operator anchors a row of onnx_match.def the row's function proposes what it may be a part of.  The
 * proposal is written once more, as an export would, and what comes out must stand in the file: operators,
 * attributes, wiring, constants bit for bit, and what is made on the way read by nobody else.  Otherwise
 * those nodes are read one by one.
 */
#ifndef FORMAT_ONNX_MATCH_H
#define FORMAT_ONNX_MATCH_H

#include "onnx/onnx.h"

enum { LM_PROPOSAL_VALUES = 8 };

struct lm_onnx_matching;

/* A node of ours, to be filled in: parameters in node, slots by lm_onnx_propose_slot. */
struct lm_onnx_proposal {
	const struct lm_onnx_matching *file;
	struct lm_arena *arena; /* the model's, for lists that are parameters */
	struct lm_node *node;	/* its op is the row's, its parameters are 0 */
	/* values of the file, NULL: not given; an output is always given */
	size_t n_in, n_out;
	const char *in[LM_PROPOSAL_VALUES], *out[LM_PROPOSAL_VALUES];
	/* what the writer asks of the inputs; 0: it does not */
	unsigned rank[LM_PROPOSAL_VALUES];
	const struct lm_dtype *dtype; /* of all of them; NULL: float32 */
	uint64_t dim[LM_PROPOSAL_VALUES][LOOM_RANK];
	int alike; /* all inputs must turn out to have the same extents */
	/* Where the function is certain by itself: the nodes, and bits of inputs whose values must all be 0. */
	size_t n_taken;
	const struct lm_onnx_node *taken[LM_PROPOSAL_VALUES];
	unsigned zeros;
};

/* ---- the file as proposals see it, before anything is read ---- */

/* Input k of a node, or what it makes; "" where there is none. */
static inline const char *
lm_onnx_arg(const struct lm_onnx_node *n, size_t k)
{
	return k < n->n_in ? n->in[k] : "";
}

static inline const char *
lm_onnx_result(const struct lm_onnx_node *n)
{
	return n->n_out > 0 ? n->out[0] : "";
}

/* The node that makes a value; NULL: an input or an initializer. */
const struct lm_onnx_node *lm_onnx_made_by(const struct lm_onnx_matching *, const char *value);
/* The first node with that operator (NULL: any) that reads a value; NULL: there is none. */
const struct lm_onnx_node *lm_onnx_read_by(const struct lm_onnx_matching *, const char *value,
    const char *op);
/* The node that makes input k of a node (which may be NULL), if it has that operator (NULL: any). */
const struct lm_onnx_node *lm_onnx_before(const struct lm_onnx_matching *,
    const struct lm_onnx_node *, size_t k, const char *op);
/* An initializer, also behind the Cast that makes it float32; NULL: the value is none. */
const struct lm_onnx_tensor *lm_onnx_stored(const struct lm_onnx_matching *, const char *value);
/* The input of a two-sided node that is an initializer (NULL: none), and the other one. */
const struct lm_onnx_tensor *lm_onnx_side(const struct lm_onnx_matching *,
    const struct lm_onnx_node *, const char **other);
/* The only value of a float32 initializer: 1; 0: it is something else; -1: reading failed. */
int lm_onnx_stored_number(const struct lm_onnx_matching *, const char *value, float *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_stored_double(const struct lm_onnx_matching *, const char *value, double *,
    struct loom_error *) LOOM_MUST_CHECK;
/* At most so many values of an int64 initializer: 1 and *n of them; 0; -1. */
int lm_onnx_stored_integers(const struct lm_onnx_matching *, const char *value, int64_t *,
    size_t most, size_t *n, struct loom_error *) LOOM_MUST_CHECK;

/* All bytes of a tensor, in the arena where they are not in memory; NULL on failure. */
const unsigned char *lm_onnx_values(const struct lm_onnx_tensor *, struct lm_arena *,
    struct loom_error *);

/* After the parameters: a slot has a stored tensor's values, in another order (NULL: as they are). */
int lm_onnx_propose_slot(struct lm_onnx_proposal *, size_t slot, const struct lm_onnx_tensor *,
    const struct lm_view *, struct loom_error *) LOOM_MUST_CHECK;
/* A matrix that lies the other way round: [in, out] for a slot [out, in]. */
int lm_onnx_propose_turned(struct lm_onnx_proposal *, size_t slot, const struct lm_onnx_tensor *,
    struct loom_error *) LOOM_MUST_CHECK;
/* A view of all of a tensor, to be transposed or narrowed, for the above. */
void lm_onnx_order(const struct lm_onnx_tensor *, struct lm_view *);

/* ---- rows ---- */

/*
 * 1: proposed, 2: certain, 0: not what it looked like, -1.  named: it counts only where the file's nodes are called as
 * an export calls them ("NODE/what", the maker of the first output "NODE"), which is needed where nothing
 * but ordinary operations and weights make it up, so that a network of those would look the same.  Else
 * its inner constants, initializers, tell: those that are nodes of a network are nodes of the file.
 */
struct lm_onnx_composite {
	const char *op, *anchor;
	int named;
	int (*propose)(struct lm_onnx_proposal *, const struct lm_onnx_node *anchor,
	    struct loom_error *);
};

#define COMPOSITE(op, anchor, named, propose) \
	int propose(struct lm_onnx_proposal *, const struct lm_onnx_node *, struct loom_error *);
#include "onnx/onnx_match.def"
#undef COMPOSITE

/* ---- for the import ---- */

/* Find them all, before nodes are read: earlier rows of the table come first. */
int lm_onnx_match(struct lm_onnx_reading *, struct loom_error *) LOOM_MUST_CHECK;
/* Do nodes that are one begin with this one?  1: a node of the network was made of them and they are
 * taken; 0: it is to be read by itself; -1. */
int lm_onnx_matched(struct lm_onnx_reading *, const struct lm_onnx_node *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
