/* onnx_wire: what the files that read ONNX's messages share. */
#ifndef FORMAT_ONNX_WIRE_H
#define FORMAT_ONNX_WIRE_H

#include "format/external.h"
#include "onnx/onnx.h"
#include "onnx/protobuf.h"

/* More than these is refused: entries of a list of the graph, of a list of a node, bytes of a name and of
 * other text. */
enum {
	LM_ONNX_MOST = 1000000,
	LM_ONNX_WIDEST = 65536,
	LM_ONNX_NAME = 4096,
	LM_ONNX_TEXT = 1 << 26
};

/* What a message about a tensor, a node or an attribute starts with. */
#define LM_ONNX_HEAD (3 * LM_SHOWN + 64)

struct lm_onnx_wire {
	struct lm_onnx *x;
	struct loom_model *owner;
	struct lm_wire wire;
	struct lm_external external;
	uint64_t left; /* bytes of memory that may still be taken */
};

typedef int lm_onnx_field(struct lm_onnx_wire *, const struct lm_message *, const struct lm_field *,
    void *into, struct loom_error *);

/* The fields of a message within a message, one after another. */
int lm_onnx_wire_each(struct lm_onnx_wire *, const struct lm_message *, const struct lm_field *,
    lm_onnx_field *, void *into, struct loom_error *) LOOM_MUST_CHECK;
/* Memory of the graph's arena, as much as may be taken; room for one more behind n of a list. */
void *lm_onnx_wire_take(struct lm_onnx_wire *, uint64_t count, size_t size, struct loom_error *);
void *lm_onnx_wire_grow(struct lm_onnx_wire *, const void *list, size_t n, size_t size,
    struct loom_error *);
int lm_onnx_wire_int(const struct lm_message *, const struct lm_field *, int64_t *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Text of at most so many bytes, UTF-8 without NUL. */
int lm_onnx_wire_text(struct lm_onnx_wire *, const struct lm_message *, const struct lm_field *,
    size_t most, const char **, struct loom_error *) LOOM_MUST_CHECK;

/* A TensorProto; head NULL: an initializer, called by its name. */
int lm_onnx_wire_tensor(struct lm_onnx_wire *, const struct lm_message *, const struct lm_field *,
    const char *head, struct lm_onnx_tensor *, struct loom_error *) LOOM_MUST_CHECK;
/* A NodeProto, a ValueInfoProto behind those of the graph. */
int lm_onnx_wire_node(struct lm_onnx_wire *, const struct lm_message *, const struct lm_field *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_onnx_wire_value(struct lm_onnx_wire *, const struct lm_message *, const struct lm_field *,
    struct lm_onnx_value **list, size_t *n, struct loom_error *) LOOM_MUST_CHECK;
/* Names, order and types of a whole graph. */
int lm_onnx_wire_check(struct lm_onnx_wire *, struct loom_error *) LOOM_MUST_CHECK;

#endif
