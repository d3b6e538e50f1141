/*
 * request_kinds: what a kind of version-1 request is, as data: which field of a body is which extent of
 * the input, which field of a layer is which parameter or which weight slots of its operation.
 */
#ifndef FORMAT_REQUEST_KINDS_H
#define FORMAT_REQUEST_KINDS_H

#include "format/request.h"

enum {
	LM_KIND_INPUTS = 2,
	LM_KIND_AXES = 4,
	LM_KIND_SAME = 4,
	LM_KIND_MEANINGS = 24,
	LM_KIND_FIXED = 16,
	LM_WIDEST = 1 << 24 /* extent */
};

struct lm_extent {
	enum lm_field_id body, layer; /* the field of each layer that states it too, or NO_FIELD */
	int64_t otherwise;	      /* what 0 in the body means, if not 0 */
};

struct lm_meaning {
	enum lm_field_id field;
	const char *name; /* of a parameter, or of the first of the slots that the numbers fill */
	unsigned slots;	  /* how many, in their order; 0: a parameter */
	int apart;	  /* Loom has no place for it: it is not counted among the weights */
	int filled;	  /* too few numbers are followed by zeros */
	enum lm_field_id instead; /* the field whose value 0 stands for, or NO_FIELD (0) */
};

/* A parameter that the protocol has no field for; a word where it is an enumeration. */
struct lm_fixed {
	const char *param;
	int64_t value;
	double real;
	const char *word;
};

enum lm_advance {
	LM_STAYS,  /* the layer's output has its input's extents */
	LM_WIDENS, /* extent 0 becomes the layer's output_dim */
	LM_CONVOLVES
};

/* What a mixer does around a layer of this kind. */
enum lm_mixing {
	LM_MIX_FLATTENS = 1,	  /* before it: it reads the first values of a sample */
	LM_MIX_LOOKS_UP = 2,	  /* it reads the tokens, whatever came before */
	LM_MIX_ADDS = 4,	  /* it adds a skip */
	LM_MIX_THEN_FLAT = 8,	  /* after it */
	LM_MIX_THEN_ROWS = 16,	  /* after it: two rows of four */
	LM_MIX_MARKS = 32,	  /* what it gives is the next skip, once */
	LM_MIX_MARKS_LASTING = 64 /* and this, where no other waits */
};

struct lm_request_kind {
	const char *id, *op;		     /* op NULL: layers are of many kinds */
	const char *fixture[LM_KIND_INPUTS]; /* arrays of the fixture, one per input */
	const char *input[LM_KIND_INPUTS];   /* their names in the network */
	struct lm_extent extent[LM_KIND_AXES];
	struct {
		enum lm_field_id layer, body;
	} same[LM_KIND_SAME]; /* of a layer and the request, which must agree */
	enum lm_advance advance;
	int activated;	     /* layers have an activation */
	int named;	     /* planet and model id are required, kind is not looked at */
	int cut_to_output;   /* output_dim of the request cuts rows, or */
	int64_t padded;	     /* cuts or pads them, this being its default */
	unsigned mixing;     /* of enum lm_mixing */
	unsigned mixed_rank; /* in a mixer its input is reshaped so; 0: not */
	int64_t mixed[3];
	struct lm_meaning meaning[LM_KIND_MEANINGS]; /* ends with a NULL name */
	struct lm_fixed fixed[LM_KIND_FIXED];
};

/* Stands for "none" where a field of a layer or a body is named: the envelope's first. */
#define LM_NO_FIELD LM_REQ_BEDROCK

const struct lm_request_kind *lm_request_kind_at(size_t i); /* NULL past the end */
unsigned lm_request_axes(const struct lm_request_kind *);
/* Mark the fields that requests of that kind are read for. */
void lm_request_uses(const struct lm_request_kind *, unsigned char used[LM_REQ_FIELDS]);

/* The kind of a layer of such a request; NULL: it says none, or one that no layer can have. */
const struct lm_request_kind *lm_request_layer_kind(const struct lm_request_kind *,
    const struct lm_request_layer *);
/* An extent of the input, by the request; at least 1. */
int lm_request_extent(const struct lm_request *, const struct lm_extent *, int64_t *,
    struct loom_error *) LOOM_MUST_CHECK;
/* "seq_len": the key of a field. */
const char *lm_request_key(enum lm_field_id);

/* ---- a network that is being built ---- */

struct lm_building {
	const struct lm_request_kind *kind;
	const struct lm_request *q;
	struct loom_model *model;
	const struct lm_request_layer *layer;
	size_t index;
	int64_t extent[LM_KIND_AXES]; /* of what flows, without the batch */
	struct lm_buf *notes;
	struct loom_error *err;
};

int64_t lm_building_integer(const struct lm_building *, enum lm_field_id);
/* The layer at hand as a node called by its number, of one or two inputs (NULL: the last output). */
int lm_building_layer(struct lm_building *, const struct lm_request_kind *,
    const char *const in[2]);
/* Does the layer stand where its index says? */
int lm_building_index(const struct lm_building *);
/* Whole networks whose layers are of many kinds, and their samples' extents (request_mixer.c). */
int lm_request_mixer(struct lm_building *);
void lm_request_mixer_shapes(struct lm_shape shape[2]);

#endif
