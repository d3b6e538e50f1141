/* quote: text as a JSON string. */
#include "format/quote.h"

#include <string.h>

/* Length of the UTF-8 sequence at p, or 0: overlong forms, surrogates and what is too large are none. */
static size_t
sequence(const unsigned char *p)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1
	    : p[0] < 0xc0      ? 0
	    : p[0] < 0xe0      ? 2
	    : p[0] < 0xf0      ? 3
	    : p[0] < 0xf8      ? 4
			       : 0;
	uint32_t code;
	size_t i;

	if (n < 2)
		return n;
	code = p[0] & (0x7fu >> n);
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return n;
}

int
lm_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n;

	for (; *p != '\0'; p += n) {
		n = sequence(p);
		if (n == 0)
			return 0;
	}
	return 1;
}

int
lm_quote(struct lm_buf *buf, const char *s, struct loom_error *err)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n;
	int r = lm_buf_str(buf, "\"", err);

	for (; *p != '\0' && r == 0; p += n > 0 ? n : 1) {
		n = sequence(p);
		if (n == 0)
			r = lm_buf_str(buf, "\xef\xbf\xbd", err);
		else if (*p == '"' || *p == '\\')
			r = lm_buf_printf(buf, err, "\\%c", *p);
		else if (*p < ' ' || *p == 0x7f)
			r = lm_buf_printf(buf, err, "\\u%04x", *p);
		else
			r = lm_buf_add(buf, p, n, err);
	}
	return r == 0 ? lm_buf_str(buf, "\"", err) : -1;
}
