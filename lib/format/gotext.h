/* gotext: JSON text as Go's encoding/json writes it, compact: what checkpoints are made of. */
#ifndef FORMAT_GOTEXT_H
#define FORMAT_GOTEXT_H

#include "base/buf.h"
#include "base/json.h"

/* A string in its quotes; < > & and U+2028, U+2029 are escaped, as Go does. */
int lm_go_string(struct lm_buf *, const char *, struct loom_error *) LOOM_MUST_CHECK;
/* The shortest digits that read back at the width. */
int lm_go_f32(struct lm_buf *, float, struct loom_error *) LOOM_MUST_CHECK;
int lm_go_f64(struct lm_buf *, double, struct loom_error *) LOOM_MUST_CHECK;
/* A whole value; members in the order in which they were added, reals at binary64. */
int lm_go_json(struct lm_buf *, json_t *, struct loom_error *) LOOM_MUST_CHECK;

#endif
