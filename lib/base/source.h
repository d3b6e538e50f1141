/* source: one stream of bytes to read, from a file, a pipe or memory; peek, claim, count. */
#ifndef BASE_SOURCE_H
#define BASE_SOURCE_H

#include "base/buf.h"
#include "base/sink.h"

struct lm_source;

/* "-" is standard input, named "<stdin>" in messages. */
int lm_source_open(struct lm_source **, const char *path, struct loom_error *) LOOM_MUST_CHECK;
/* The memory is borrowed until the source is freed. */
int lm_source_memory(struct lm_source **, const void *, size_t size, const char *name,
    struct loom_error *) LOOM_MUST_CHECK;
/* A descriptor of a file that is open for reading, which the source takes over, also on failure. */
int lm_source_descriptor(struct lm_source **, int descriptor, const char *name,
    struct loom_error *) LOOM_MUST_CHECK;
void lm_source_free(struct lm_source *);

const char *lm_source_name(const struct lm_source *);
/* The path that a regular file was opened by; NULL: it is none, standard input or memory. */
const char *lm_source_path(const struct lm_source *);
uint64_t lm_source_tell(const struct lm_source *); /* bytes consumed, or the position sought */
/* 1 and *size where the whole length is known, 0 on a pipe. */
int lm_source_size(const struct lm_source *, uint64_t *size);

/* Record a failure at the present position, in this source.  Always -1. */
int lm_source_fail(struct lm_source *, struct loom_error *, enum loom_code, const char *fmt, ...)
    LM_PRINTF(4, 5);

/* Look at up to n <= 65536 bytes without consuming; *got is less than n only at the end. */
int lm_source_peek(struct lm_source *, const unsigned char **, size_t n, size_t *got,
    struct loom_error *) LOOM_MUST_CHECK;
/* All n bytes, or LOOM_ETRUNCATED.  dst may be NULL to skip. */
int lm_source_read(struct lm_source *, void *dst, size_t n, struct loom_error *) LOOM_MUST_CHECK;
int lm_source_skip(struct lm_source *, uint64_t n, struct loom_error *) LOOM_MUST_CHECK;
/* Up to n bytes; *got is 0 only at the end. */
int lm_source_some(struct lm_source *, void *dst, size_t n, size_t *got,
    struct loom_error *) LOOM_MUST_CHECK;
/* The next line into buf without its LF: 1; 0 at the end.  A line longer than most is a failure,
 * and so is a last line without LF. */
int lm_source_line(struct lm_source *, struct lm_buf *, size_t most,
    struct loom_error *) LOOM_MUST_CHECK;
/* Can n more bytes come?  LOOM_ETRUNCATED when the length is known and they cannot. */
int lm_source_claim(struct lm_source *, uint64_t n, struct loom_error *) LOOM_MUST_CHECK;

/* 1 when the source can be read at any place: a regular file or memory. */
int lm_source_seekable(const struct lm_source *);
int lm_source_seek(struct lm_source *, uint64_t position, struct loom_error *) LOOM_MUST_CHECK;
/*
 * n bytes from position on, of a seekable source, whatever is read besides and by whichever thread; or
 * LOOM_ETRUNCATED.
 */
int lm_source_at(const struct lm_source *, uint64_t position, void *dst, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
/* The same into a sink. */
int lm_source_send(const struct lm_source *, uint64_t position, uint64_t n, struct lm_sink *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Make a pipe seekable by copying what is left of it to an unnamed temporary file (in TMPDIR). */
int lm_source_spool(struct lm_source *, struct loom_error *) LOOM_MUST_CHECK;
/*
 * Everything from the present position to the end as one piece of memory that lives as long as the
 * source: mapped where the file allows it, else read.  Nothing can be read afterwards.
 */
int lm_source_all(struct lm_source *, const unsigned char **, size_t *size,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
