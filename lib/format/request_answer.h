/* request_answer: what becomes of a version-1 request: a checkpoint, and an answer if it wants one. */
#ifndef FORMAT_REQUEST_ANSWER_H
#define FORMAT_REQUEST_ANSWER_H

#include "base/buf.h"
#include "base/source.h"

/*
 * With a destination (in the request or the options) the checkpoint goes there and response gets the
 * answer, "ok" or "error", unless what failed has none in the reference either: then -1.  Without
 * one the checkpoint goes where options say, and response stays empty.
 */
int lm_request_answer(struct lm_source *, const struct loom_stream_options *,
    struct loom_streamed *, struct lm_buf *response, struct lm_buf *notes,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
