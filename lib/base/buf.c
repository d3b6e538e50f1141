/* buf: bytes that grow, up to a limit given at birth. */
#include "base/buf.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"

void
lm_buf_init(struct lm_buf *buf, size_t most)
{
	memset(buf, 0, sizeof(*buf));
	buf->most = most;
}

void
lm_buf_release(struct lm_buf *buf)
{
	lm_free(buf->data);
	lm_buf_init(buf, buf->most);
}

void
lm_buf_clear(struct lm_buf *buf)
{
	buf->len = 0;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

int
lm_buf_reserve(struct lm_buf *buf, size_t n, struct loom_error *err)
{
	size_t room;
	char *data;

	if (n > buf->most - buf->len)
		return lm_fail(err, LOOM_EFORMAT, "more than %zu bytes", buf->most);
	if (buf->data != NULL && n <= buf->room - buf->len)
		return 0;
	room = buf->room < 128 ? 256 : buf->room * 2;
	if (room < buf->len + n)
		room = buf->len + n;
	if (room > buf->most)
		room = buf->most;
	data = lm_resize(buf->data, room + 1, 1, err);
	if (data == NULL)
		return -1;
	data[buf->len] = '\0';
	buf->data = data;
	buf->room = room;
	return 0;
}

int
lm_buf_add(struct lm_buf *buf, const void *p, size_t n, struct loom_error *err)
{
	if (lm_buf_reserve(buf, n, err) < 0)
		return -1;
	if (n > 0)
		memcpy(buf->data + buf->len, p, n);
	buf->len += n;
	buf->data[buf->len] = '\0';
	return 0;
}

int
lm_buf_str(struct lm_buf *buf, const char *s, struct loom_error *err)
{
	return lm_buf_add(buf, s, strlen(s), err);
}

int
lm_buf_printf(struct lm_buf *buf, struct loom_error *err, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return lm_fail(err, LOOM_EARG, "unprintable format");
	if (lm_buf_reserve(buf, (size_t)n, err) < 0)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)n;
	return 0;
}
