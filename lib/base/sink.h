/* sink: one stream of bytes to write, to a file that appears whole or not at all, or to a descriptor. */
#ifndef BASE_SINK_H
#define BASE_SINK_H

#include "base/err.h"

struct lm_sink;

/*
 * path NULL is standard output.  A regular file is written under no name, or a temporary one, in the
 * same directory, and takes its name in lm_sink_commit; devices and pipes are written directly.
 */
int lm_sink_open(struct lm_sink **, const char *path, struct loom_error *) LOOM_MUST_CHECK;
/* What messages call it, where its path is not what the user knows. */
void lm_sink_call(struct lm_sink *, const char *name);
/* lm_sink_commit does not wait until the bytes are on the disk: the caller will, before anybody knows the name. */
void lm_sink_leave_unsynced(struct lm_sink *);
/* Bytes appended to memory that the caller frees with lm_free after lm_sink_take. */
int lm_sink_memory(struct lm_sink **, struct loom_error *) LOOM_MUST_CHECK;
int lm_sink_write(struct lm_sink *, const void *, size_t, struct loom_error *) LOOM_MUST_CHECK;
uint64_t lm_sink_tell(const struct lm_sink *);
/* Flush, sync and rename. */
int lm_sink_commit(struct lm_sink *, struct loom_error *) LOOM_MUST_CHECK;
void *lm_sink_take(struct lm_sink *, size_t *size);
/*
 * For files that are named elsewhere: loom_abandon removes `to`, a file or an empty directory, from now
 * on, and no longer `from`; either may be NULL.  The caller keeps the strings meanwhile.
 */
void lm_sink_doom(char *from, char *to);
/* Without a commit before it, nothing was written.  Takes NULL. */
void lm_sink_free(struct lm_sink *);

#endif
