/*
 * request_text: a walk over JSON text by the rules of Go's encoding/json, by which clients of version
 * 1 write: repeated keys are the caller's matter, bytes that are no UTF-8 and lone surrogates become
 * U+FFFD, numbers that nobody asks for may have any size.  All else is strict JSON.
 */
#ifndef FORMAT_REQUEST_TEXT_H
#define FORMAT_REQUEST_TEXT_H

#include "base/buf.h"
#include "num/scan.h"

enum { LM_WALK_DEPTH = 10000 };

struct lm_walk {
	struct lm_scan at;
	const char *text; /* its beginning */
	struct loom_error *err;
};

/* The text is malformed at its present place; err->offset is the place.  Always -1. */
int lm_walk_fail(struct lm_walk *, const char *expected);

/* What the value here begins with: one of { [ " 0 t f n; -1 if there is none. */
int lm_walk_kind(struct lm_walk *);

/* Past a whole value, which is checked. */
int lm_walk_skip(struct lm_walk *) LOOM_MUST_CHECK;

/* A string, decoded.  *nul says that it holds a NUL, which then reads as U+FFFD too. */
int lm_walk_string(struct lm_walk *, struct lm_buf *, int *nul,
    struct loom_error *) LOOM_MUST_CHECK;

/*
 * The members of an object and the items of an array, *n = 0 before the first: 1 when the walk
 * stands before the value of one, with *n counting; 0 after the end.
 */
int lm_walk_member(struct lm_walk *, size_t *n, struct lm_buf *key) LOOM_MUST_CHECK;
int lm_walk_item(struct lm_walk *, size_t *n) LOOM_MUST_CHECK;

/* Nothing but white space is left. */
int lm_walk_end(struct lm_walk *) LOOM_MUST_CHECK;

#endif
