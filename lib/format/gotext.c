/* gotext: JSON text as Go's encoding/json writes it. */
#include "format/gotext.h"

#include <string.h>

#include "num/text.h"

/* What Go writes for the character at s; "" where it stands for itself.  *used: its bytes. */
static const char *
escape(char dst[8], const char *s, size_t *used)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const char *found = strchr(plain, *s);
	unsigned char c = (unsigned char)*s;

	*used = 1;
	dst[0] = '\0';
	if (found != NULL)
		snprintf(dst, 8, "\\%c", letter[found - plain]);
	else if (c < 0x20 || c == '<' || c == '>' || c == '&')
		snprintf(dst, 8, "\\u%04x", (unsigned)c);
	else if (memcmp(s, "\xe2\x80", strnlen(s, 2) < 2 ? 1 : 2) == 0 && s[1] != '\0' &&
	    ((unsigned char)s[2] & 0xfe) == 0xa8) {
		*used = 3;
		snprintf(dst, 8, "\\u20%02x", (unsigned)(unsigned char)s[2] - 0x80u);
	}
	return dst;
}

int
lm_go_string(struct lm_buf *buf, const char *s, struct loom_error *err)
{
	char text[8];
	size_t used;

	if (lm_buf_add(buf, "\"", 1, err) < 0)
		return -1;
	for (; *s != '\0'; s += used) {
		escape(text, s, &used);
		if ((text[0] != '\0' ? lm_buf_str(buf, text, err) : lm_buf_add(buf, s, used, err)) <
		    0)
			return -1;
	}
	return lm_buf_add(buf, "\"", 1, err);
}

int
lm_go_f32(struct lm_buf *buf, float v, struct loom_error *err)
{
	char text[LM_TEXT_SIZE];

	return lm_buf_add(buf, text, lm_text_f32(text, v), err);
}

int
lm_go_f64(struct lm_buf *buf, double v, struct loom_error *err)
{
	char text[LM_TEXT_SIZE];

	return lm_buf_add(buf, text, lm_text_f64(text, v), err);
}

static int
put_array(struct lm_buf *buf, json_t *array, struct loom_error *err)
{
	json_t *item;
	size_t i;

	if (lm_buf_add(buf, "[", 1, err) < 0)
		return -1;
	json_array_foreach(array, i, item)
		if ((i > 0 && lm_buf_add(buf, ",", 1, err) < 0) || lm_go_json(buf, item, err) < 0)
			return -1;
	return lm_buf_add(buf, "]", 1, err);
}

static int
put_object(struct lm_buf *buf, json_t *object, struct loom_error *err)
{
	const char *separator = "{", *key;
	json_t *item;

	json_object_foreach(object, key, item) {
		if (lm_buf_str(buf, separator, err) < 0 || lm_go_string(buf, key, err) < 0 ||
		    lm_buf_add(buf, ":", 1, err) < 0 || lm_go_json(buf, item, err) < 0)
			return -1;
		separator = ",";
	}
	return lm_buf_str(buf, *separator == '{' ? "{}" : "}", err);
}

int
lm_go_json(struct lm_buf *buf, json_t *value, struct loom_error *err)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return put_object(buf, value, err);
	case JSON_ARRAY:
		return put_array(buf, value, err);
	case JSON_STRING:
		return lm_go_string(buf, json_string_value(value), err);
	case JSON_INTEGER:
		return lm_buf_printf(buf, err, "%lld", (long long)json_integer_value(value));
	case JSON_REAL:
		return lm_go_f64(buf, json_real_value(value), err);
	case JSON_TRUE:
		return lm_buf_str(buf, "true", err);
	case JSON_FALSE:
		return lm_buf_str(buf, "false", err);
	case JSON_NULL:
		break;
	}
	return lm_buf_str(buf, "null", err);
}
