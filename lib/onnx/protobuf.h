/*
 * protobuf: the wire format of protocol buffers.  Reading: fields of a message one after another, from a
 * file by windows, so that payloads stay where they are.  Writing: fields in the caller's order, to a sink;
 * a message is counted before it is written, so that it goes out in one pass.
 */
#ifndef FORMAT_PROTOBUF_H
#define FORMAT_PROTOBUF_H

#include "base/mem.h"
#include "base/sink.h"
#include "base/source.h"

enum { LM_WIRE_DEPTH = 8 }; /* of messages within messages */
enum lm_wire_type { LM_WIRE_VARINT, LM_WIRE_FIXED64, LM_WIRE_BYTES, LM_WIRE_FIXED32 = 5 };

/* ---- reading ---- */

struct lm_wire { /* a file and the piece of it that is in memory */
	struct lm_source *source;
	unsigned char *window;
	uint64_t base;
	size_t len;
};

struct lm_message {
	struct lm_wire *wire;
	uint64_t at, end; /* of what is left of it, in the file */
	unsigned depth;
};

struct lm_field {
	uint32_t number;
	enum lm_wire_type type;
	uint64_t value;	 /* of a varint or fixed type: its bits */
	uint64_t at;	 /* where its value lies in the file */
	uint64_t length; /* of bytes */
};

/* The whole of a seekable source is one message. */
int lm_wire_open(struct lm_wire *, struct lm_source *, struct lm_message *,
    struct loom_error *) LOOM_MUST_CHECK;
void lm_wire_close(struct lm_wire *);
/* Record a failure at a place of the file.  Always -1. */
int lm_wire_fail(const struct lm_wire *, uint64_t at, struct loom_error *, const char *fmt, ...)
    LM_PRINTF(4, 5);

/* The next field: 1; 0 at the end of the message.  All of it lies within the message. */
int lm_message_next(struct lm_message *, struct lm_field *, struct loom_error *) LOOM_MUST_CHECK;
/* A field that must be of that type. */
int lm_field_is(const struct lm_message *, const struct lm_field *, enum lm_wire_type,
    struct loom_error *) LOOM_MUST_CHECK;
/* A field that must be a message: to be read by lm_message_next. */
int lm_message_enter(const struct lm_message *, const struct lm_field *, struct lm_message *inner,
    struct loom_error *) LOOM_MUST_CHECK;
/* All bytes of a field that must have such, into memory of its length. */
int lm_field_read(const struct lm_message *, const struct lm_field *, void *dst,
    struct loom_error *) LOOM_MUST_CHECK;

/* The numbers of a field that may be repeated: one of the type, or many packed into bytes. */
struct lm_numbers {
	struct lm_message in;
	enum lm_wire_type type;
	int single;
	uint64_t value;
};

int lm_numbers_open(struct lm_numbers *, const struct lm_message *, const struct lm_field *,
    enum lm_wire_type, struct loom_error *) LOOM_MUST_CHECK;
/* 1 and the next one's bits; 0 at the end. */
int lm_numbers_next(struct lm_numbers *, uint64_t *bits, struct loom_error *) LOOM_MUST_CHECK;

/* ---- writing ---- */

struct lm_wire_out {
	struct lm_sink *sink; /* NULL: only counts */
	uint64_t size;	      /* so far */
};

typedef int lm_wire_writer(struct lm_wire_out *, const void *, struct loom_error *);

int lm_wire_put_int(struct lm_wire_out *, uint32_t field, int64_t,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_wire_put_float(struct lm_wire_out *, uint32_t field, float,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_wire_put_bytes(struct lm_wire_out *, uint32_t field, const void *, size_t,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_wire_put_text(struct lm_wire_out *, uint32_t field, const char *,
    struct loom_error *) LOOM_MUST_CHECK;
/* What stands before so many bytes, which the caller writes to the sink, or adds to size. */
int lm_wire_put_length(struct lm_wire_out *, uint32_t field, uint64_t length,
    struct loom_error *) LOOM_MUST_CHECK;
/* A message that the function writes; it is called twice. */
int lm_wire_put_message(struct lm_wire_out *, uint32_t field, lm_wire_writer *, const void *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
