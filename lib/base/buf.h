/* buf: bytes that grow, up to a limit given at birth. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"

struct lm_buf {
	char *data; /* always followed by a NUL once something was added */
	size_t len, room, most;
};

void lm_buf_init(struct lm_buf *, size_t most);
void lm_buf_release(struct lm_buf *);
void lm_buf_clear(struct lm_buf *); /* keeps the memory */
int lm_buf_add(struct lm_buf *, const void *, size_t, struct loom_error *) LOOM_MUST_CHECK;
int lm_buf_str(struct lm_buf *, const char *, struct loom_error *) LOOM_MUST_CHECK;
int lm_buf_printf(struct lm_buf *, struct loom_error *, const char *fmt, ...)
    LM_PRINTF(3, 4) LOOM_MUST_CHECK;
/* Room for n more bytes, to be filled at data + len; the caller then adds to len. */
int lm_buf_reserve(struct lm_buf *, size_t n, struct loom_error *) LOOM_MUST_CHECK;

#endif
