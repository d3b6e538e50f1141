/*
 * external: files that another file names, which may have been made to lead elsewhere.  Only a regular file
 * within one directory is opened: by one name without directories, symbolic links or further hard links,
 * unless the user allows them.
 */
#ifndef FORMAT_EXTERNAL_H
#define FORMAT_EXTERNAL_H

#include "base/source.h"
#include "model/model.h"

struct lm_external {
	struct loom_model *owner;	/* of the files; its how says what is allowed */
	const struct lm_source *beside; /* what names them */
	int directory;			/* -1 until it is needed */
	size_t n;
	struct lm_external_file *files;
};

struct lm_external_file {
	const char *location;
	struct lm_source *source;
};

/* Files lie in the user's data_dir, else in the directory of the source that names them. */
void lm_external_start(struct lm_external *, struct loom_model *owner,
    const struct lm_source *beside);
void lm_external_stop(struct lm_external *);
/*
 * The file of that name, which belongs to the model; one that was opened before is the same source.
 * A message begins with head.
 */
int lm_external_file(struct lm_external *, const char *head, const char *location,
    struct lm_source **, struct loom_error *) LOOM_MUST_CHECK;

/* A descriptor of the file by steps through its directories, which no link leads through: a system
 * that cannot look a name up within a directory has it so. */
int lm_external_walk(int directory, const char *location, struct loom_error *) LOOM_MUST_CHECK;

#endif
