/* err: record the first failure. */
#include "base/err.h"

#include <stdarg.h>
#include <string.h>

static void record(struct loom_error *, enum loom_code, const char *, va_list) LM_PRINTF(3, 0);

static void
record(struct loom_error *err, enum loom_code code, const char *fmt, va_list ap)
{
	char *p;

	err->code = code;
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	for (p = err->text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

int
lm_fail(struct loom_error *err, enum loom_code code, const char *fmt, ...)
{
	va_list ap;

	if (err->code != LOOM_OK)
		return -1;
	va_start(ap, fmt);
	record(err, code, fmt, ap);
	va_end(ap);
	return -1;
}

int
lm_fail_sys(struct loom_error *err, int sys, const char *fmt, ...)
{
	va_list ap;
	size_t used;

	if (err->code != LOOM_OK)
		return -1;
	va_start(ap, fmt);
	record(err, LOOM_EIO, fmt, ap);
	va_end(ap);
	err->sys = sys;
	used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof(err->text) - used, "%s%s", used > 0 ? ": " : "",
	    strerror(sys));
	return -1;
}

void
lm_tail(char *dst, size_t size, const char *s)
{
	size_t n = strlen(s);
	char *p;

	if (n < size)
		memcpy(dst, s, n + 1);
	else {
		memcpy(dst, "...", 3);
		memcpy(dst + 3, s + n - (size - 4), size - 3);
	}
	for (p = dst; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

const char *
lm_shown(char dst[LM_SHOWN], const char *s)
{
	lm_tail(dst, LM_SHOWN, s);
	return dst;
}

int
lm_fail_in(struct loom_error *err, const char *source)
{
	if (err->source[0] == '\0')
		lm_tail(err->source, sizeof(err->source), *source != '\0' ? source : "''");
	return -1;
}

int
lm_fail_at(struct loom_error *err, const char *source, uint64_t offset)
{
	if (err->source[0] == '\0' && !err->placed) {
		err->placed = 1;
		err->offset = offset;
	}
	return lm_fail_in(err, source);
}
