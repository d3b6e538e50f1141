/*
 * place: files that appear together, or not at all: one file, a file with others beside it that have its
 * name and a suffix, or a directory.  Until then they stand in a directory of their own beside the
 * output, under their names, where they can be read back.
 */
#ifndef BASE_PLACE_H
#define BASE_PLACE_H

#include "base/sink.h"

struct lm_place;

/*
 * path is the file, or with directory the directory, that is to appear; NULL: one file, which goes to
 * standard output.  A directory that is there and not empty is refused.
 */
int lm_place_open(struct lm_place **, const char *path, int directory,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * A file of it: in a directory its name there, else a suffix of the output's name ("" is the output,
 * ".data" stands beside it).  The caller commits and frees the sink before the next is opened.
 */
int lm_place_file(struct lm_place *, const char *name, struct lm_sink **,
    struct loom_error *) LOOM_MUST_CHECK;
/* The name that a file of it has, without any directory: for references from one to another. */
const char *lm_place_name(struct lm_place *, const char *suffix, struct loom_error *);
/* Where the output stands for now, a file or a directory. */
const char *lm_place_path(const struct lm_place *);
/* Waits until all files are on the disk, which may be done while others read them; commit does it otherwise. */
int lm_place_sync(struct lm_place *, struct loom_error *) LOOM_MUST_CHECK;
/* Each takes its name: those with a suffix first, the output last. */
int lm_place_commit(struct lm_place *, struct loom_error *) LOOM_MUST_CHECK;
/* Without a commit before it nothing is left.  Takes NULL. */
void lm_place_free(struct lm_place *);

#endif
