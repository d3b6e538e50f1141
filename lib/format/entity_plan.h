/* entity_plan: which nodes become layers of Loom in a checkpoint, and which blobs it will have. */
#ifndef FORMAT_ENTITY_PLAN_H
#define FORMAT_ENTITY_PLAN_H

#include "format/entity_parts.h"

enum lm_role_kind {
	LM_ROLE_OWN,	 /* a node that only the bridge section describes */
	LM_ROLE_LAYER,	 /* a layer of Loom */
	LM_ROLE_FUNCTION /* the activation of the layer whose number it has */
};

struct lm_role {
	enum lm_role_kind kind;
	const struct lm_cell_row *row;		    /* of a layer */
	const struct lm_activation_row *activation; /* of a layer */
	size_t cell;
};

struct lm_planned {
	const struct lm_node *node;
	size_t slot;
	const char *path;
	int native, scaled; /* "native"; whether "scale" is written */
	int late;	    /* its bytes stand behind all others */
	uint64_t offset, done;
	unsigned char *held; /* bytes of a late one */
};

struct lm_entity_plan {
	const struct loom_model *model;
	struct lm_arena arena;
	int plain;
	struct lm_role *roles; /* by node */
	size_t n_cells, n_blobs;
	struct lm_planned *blobs; /* in the order of nodes and slots */
};

/* plain: leave the bridge section out if possible; plan->plain says whether it was. */
int lm_entity_plan(struct lm_entity_plan *, const struct loom_model *, int plain,
    struct loom_error *) LOOM_MUST_CHECK;
/* The fixed header and the JSON. */
int lm_entity_header(const struct lm_entity_plan *, struct lm_buf *, int info,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
