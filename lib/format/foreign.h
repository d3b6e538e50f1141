/*
 * foreign: files of other engines that are known and not read: what they are, and how their network gets
 * here.  A row each in foreign.def.
 */
#ifndef FORMAT_FOREIGN_H
#define FORMAT_FOREIGN_H

#include "base/source.h"

struct lm_foreign {
	const char *name;   /* "tflite" */
	const char *about;  /* "a TensorFlow Lite model" */
	const char *advice; /* how to get the network out of it */
	/* The bytes at the start of such a file, from at on; or a file that such a directory holds. */
	const char *magic;
	size_t magic_size, at;
	const char *member;
	/* Or a closer look: 1 if it is one. */
	int (*look)(const struct lm_source *, const unsigned char *head, size_t len);
};

const struct lm_foreign *lm_foreign_at(size_t i); /* NULL: past the end */
/* What the source, or the directory, is; NULL: none of these. */
const struct lm_foreign *lm_foreign_file(const struct lm_source *, const unsigned char *head,
    size_t len);
const struct lm_foreign *lm_foreign_directory(const char *path);
/* "is a TensorFlow Lite model, which is not read: ..."; always -1. */
int lm_foreign_fail(const struct lm_foreign *, const char *source, struct loom_error *);

#endif
