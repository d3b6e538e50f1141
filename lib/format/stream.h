/*
 * stream: layer streams of version 2 (layer-stream(5)): lines of JSON, then bytes, read once from
 * front to end and written as a checkpoint on the way.  stream.c reads lines, stream_copy.c bytes.
 */
#ifndef FORMAT_STREAM_H
#define FORMAT_STREAM_H

#include "base/buf.h"
#include "base/json.h"
#include "base/source.h"
#include "format/entity.h"
#include "format/format.h"
#include "format/graph.h"

enum { LM_STREAM_LINE = 1 << 20, LM_STREAM_NODES = 1 << 20 };

/* A tensor with bytes: where it belongs and how it travels. */
struct lm_moved {
	struct lm_node *node;
	struct lm_travel travel;
};

struct lm_stream {
	struct lm_source *source;
	const struct loom_stream_options *options;
	struct loom_model *model;
	struct lm_buf line;
	uint64_t line_at; /* of the line at hand */
	json_t *head;
	int64_t nodes, bytes; /* as the head says */
	struct lm_moved *moved;
	size_t n_moved, room;
	struct lm_entity_writer *writer;
	uint64_t done;	   /* bytes of tensors so far */
	uint64_t narrowed; /* tensors of float64 that became float32 */
	double loss;	   /* the largest relative error of that */
};

/* The row of version 2. */
extern const struct lm_format_ops lm_format_layer_stream;

/* The whole way from source to a committed checkpoint.  notes gets lines for standard error. */
int lm_stream_convert(struct lm_source *, const struct loom_stream_options *, struct lm_buf *notes,
    struct loom_error *) LOOM_MUST_CHECK;

/* The bytes of all tensors from the source to the writer (stream_copy.c). */
int lm_stream_copy(struct lm_stream *, struct loom_error *) LOOM_MUST_CHECK;

/* Where the stream turns float64 into float32, it does. */
int lm_stream_narrows(const struct lm_stream *, const struct lm_dtype *);

/* How the checkpoint is to be written; usual: where the options do not say. */
enum lm_entity_how lm_stream_how(const struct loom_stream_options *, enum lm_entity_how usual);

/* A sink for options->output, standard output being announced to the caller first. */
int lm_stream_sink(const struct loom_stream_options *, struct lm_sink **,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
