/* files: where the library's arithmetic runs alone there are none, and nothing asks for one. */
#include "base/sink.h"
#include "base/source.h"

static int
none(struct loom_error *err)
{
	return lm_fail(err, LOOM_EUNSUPPORTED, "there are no files here");
}

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
	return none(err);
}

int
lm_source_send(const struct lm_source *s, uint64_t position, uint64_t n, struct lm_sink *to,
    struct loom_error *err)
{
	(void)s;
	(void)position;
	(void)n;
	(void)to;
	return none(err);
}

int
lm_sink_write(struct lm_sink *to, const void *p, size_t n, struct loom_error *err)
{
	(void)to;
	(void)p;
	(void)n;
	return none(err);
}
