/*
 * request: layer streams of version 1, one JSON document: an envelope, or a bare body that plays both
 * roles.  request_decode.c reads it by the table request.def, as Go's encoding/json would, numbers
 * straight into binary32; request.c makes a model of it; response.c answers.
 */
#ifndef FORMAT_REQUEST_H
#define FORMAT_REQUEST_H

#include "base/buf.h"
#include "model/model.h"

enum lm_field_kind {
	LM_TAKES_TEXT,
	LM_TAKES_INT,
	LM_TAKES_BOOL,
	LM_TAKES_FLOATS, /* an array; so are the next two */
	LM_TAKES_ROWS,
	LM_TAKES_LAYERS,
	LM_TAKES_BODY
};

enum lm_field_id {
#define FIELD(scope, id, key, kind) LM_REQ_##id,
#define BEDROCK(name)
#include "format/request.def"
#undef FIELD
#undef BEDROCK
	LM_REQ_FIELDS
};

/*
 * Numbers of an array.  What a repeated key leaves beyond n stays up to high: an array that is read
 * over it and holds nulls shows it again, as Go's decoder does.
 */
struct lm_floats {
	float *v;
	size_t n, high, room;
};

struct lm_rows {
	struct lm_floats *row;
	size_t n, high, room;
};

/* The first value of a wrong type; at is 0 where there is none, else 1 + its offset. */
struct lm_fault {
	uint64_t at;
	int found; /* as lm_walk_kind says; '1': a number that does not fit; 0: a string with a NUL */
	size_t layer, item, inner; /* SIZE_MAX: not within one */
};

union lm_field {
	const char *text; /* NULL or empty: blank */
	int64_t integer;  /* and booleans */
	struct lm_floats floats;
	struct lm_rows rows;
};

/* The fields of layers stand last in the table. */
enum { LM_LAYER_FIRST = LM_REQ_KIND, LM_LAYERS_MOST = 100000 };

struct lm_request_layer {
	union lm_field field[LM_REQ_FIELDS - LM_LAYER_FIRST];
};

#define LM_LAYER_FIELD(layer, id) ((layer)->field + (-LM_LAYER_FIRST + (id)))

struct lm_request_body {
	union lm_field field[LM_REQ_FIELDS];
	struct lm_fault fault[LM_REQ_FIELDS];
	struct lm_request_layer *layer;
	size_t n, high, made, room; /* of layer; made of them own memory */
};

struct lm_request {
	struct lm_arena arena;
	union lm_field envelope[LM_REQ_FIELDS];
	struct lm_fault fault[LM_REQ_FIELDS];
	struct lm_request_body *body; /* bare or payload: what counts */
	struct lm_request_body bare, payload;
	int has_payload;
};

/*
 * Zeroed before; released afterwards in any case.  -1 only where the text is no JSON, or no object or
 * null, or there is no memory; values of wrong types are faults.
 */
int lm_request_decode(struct lm_request *, const char *text, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
void lm_request_release(struct lm_request *);

/* Fails with the fault that came first, of the fields that are marked in used, if there is one. */
int lm_request_fault(const struct lm_fault fault[LM_REQ_FIELDS],
    const unsigned char used[LM_REQ_FIELDS], struct loom_error *) LOOM_MUST_CHECK;

/* ---- kinds of request (request_kinds.c, request.c) ---- */

struct lm_request_kind;

const struct lm_request_kind *lm_request_kind(const char *id); /* NULL: there is none */
/*
 * Which bedrock the body says it is, in lower case, from its "bedrock" or its first layer's "kind";
 * NULL: it does not say, or says it in a wrong way.
 */
const char *lm_request_detect(struct lm_request *, struct loom_error *);
int lm_request_check(const struct lm_request_kind *, const struct lm_request *,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * The network; weights stay in the request.  notes gets a line for each thing that the protocol
 * lets pass in silence.
 */
int lm_request_build(const struct lm_request_kind *, const struct lm_request *,
    struct loom_model **, struct lm_buf *notes, struct loom_error *) LOOM_MUST_CHECK;
/* Bytes of the weights that Loom has a place for, as the reference counts them. */
uint64_t lm_request_weights(const struct lm_request_kind *, const struct lm_request *,
    const struct loom_model *);

/* ---- inputs of the response's run ---- */

/* Rows of numbers, all of cols, in C order. */
struct lm_request_matrix {
	float *v;
	size_t rows, cols;
};

/* What a run of a request's network is fed: samples of one or two tensors. */
struct lm_samples {
	size_t n;			/* tensors */
	struct lm_shape shape[2];	/* of one sample */
	struct lm_request_matrix of[2]; /* a row per sample; v NULL: none were given */
};

/* The extents of a sample, by the request. */
int lm_samples_shape(struct lm_samples *, const struct lm_request_kind *, const struct lm_request *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Of each row of the request's inputs its first numbers, tensor after tensor. */
int lm_samples_given(struct lm_samples *, const struct lm_request_kind *, const struct lm_request *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The leading corner of each sample of the arrays in <dir>/<version>.npz. */
int lm_samples_fixture(struct lm_samples *, const struct lm_request_kind *, const char *dir,
    const char *version, struct loom_error *) LOOM_MUST_CHECK;
void lm_samples_release(struct lm_samples *);

/* A float32 tensor whose first axis is the rows; of each row cols numbers, zeros after its own. */
int lm_matrix_copy(struct lm_request_matrix *, const struct loom_tensor *, size_t cols,
    struct loom_error *) LOOM_MUST_CHECK;
void lm_matrix_release(struct lm_request_matrix *);

/* ---- the response ---- */

struct lm_response {
	const char *entity_path, *message; /* NULL: left out */
	uint64_t layer_count, weight_bytes;
	const struct lm_request_matrix *outputs; /* may be NULL */
};

/* status is "error" where there is a message, else "ok".  -1 also where a number is not finite. */
int lm_response_write(struct lm_buf *, const struct lm_response *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
