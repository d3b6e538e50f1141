/* archive: a ZIP file of stored members, written in one pass and always with the same bytes. */
#ifndef FORMAT_ARCHIVE_H
#define FORMAT_ARCHIVE_H

#include "base/buf.h"
#include "base/sink.h"
#include "base/source.h"

struct lm_archive {
	struct lm_sink *sink;
	struct lm_buf directory;
	uint64_t members;
};

struct lm_part {
	const void *data;
	size_t size;
};

void lm_archive_init(struct lm_archive *, struct lm_sink *);
void lm_archive_release(struct lm_archive *);
/* A member called name and suffix, whose contents are the parts. */
int lm_archive_add(struct lm_archive *, const char *name, const char *suffix,
    const struct lm_part *, size_t parts, struct loom_error *) LOOM_MUST_CHECK;
/* Where the data of the first n members begin in a file that is read, in the directory's order. */
int lm_archive_places(const struct lm_source *, uint64_t *place, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
/* The directory. */
int lm_archive_end(struct lm_archive *, struct loom_error *) LOOM_MUST_CHECK;

#endif
