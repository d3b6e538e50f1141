/* err: record the first failure. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "loom.h"

#if defined(__GNUC__)
#define LM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define LM_PRINTF(f, a)
#endif

/* Record code and message unless err holds a failure already.  Always -1. */
int lm_fail(struct loom_error *err, enum loom_code code, const char *fmt, ...) LM_PRINTF(3, 4);

/* The same with errno's meaning appended to the message. */
int lm_fail_sys(struct loom_error *err, int sys, const char *fmt, ...) LM_PRINTF(3, 4);

/* Say where, if the failure does not say so yet: the source keeps its end when it is too long. */
int lm_fail_in(struct loom_error *err, const char *source);
int lm_fail_at(struct loom_error *err, const char *source, uint64_t offset);

/* Copy s into dst, keeping its end: "...tail" when it does not fit.  Unprintable bytes become '?'. */
void lm_tail(char *dst, size_t size, const char *s);

/* At most 80 characters of an untrusted name for a message, kept at its end.  Uses dst; returns it. */
#define LM_SHOWN 84
const char *lm_shown(char dst[LM_SHOWN], const char *s);

#endif
