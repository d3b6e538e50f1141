/* quote: text as a JSON string. */
#ifndef FORMAT_QUOTE_H
#define FORMAT_QUOTE_H

#include "base/buf.h"

/* s in quotes and escaped; bytes that are not UTF-8 become U+FFFD. */
int lm_quote(struct lm_buf *, const char *s, struct loom_error *) LOOM_MUST_CHECK;

/* Whether all of s is UTF-8. */
int lm_utf8(const char *s);

#endif
