/* files: where the library's arithmetic runs alone there are none, and nothing asks for one. */
#include "base/source.h"

int
lm_source_size(const struct lm_source *s, uint64_t *size)
{
	(void)s;
	(void)size;
	return 0;
}

int
lm_source_at(const struct lm_source *s, uint64_t position, void *dst, size_t n,
    struct loom_error *err)
{
	(void)s;
	(void)position;
	(void)dst;
	(void)n;
	return lm_fail(err, LOOM_EUNSUPPORTED, "there are no files here");
}
