/* protobuf: the wire format of protocol buffers. */
#include "onnx/protobuf.h"

#include <stdarg.h>
#include <string.h>

#include "num/bytes.h"

enum {
	WINDOW = 1 << 16,
	VARINT = 10, /* bytes at most */
	GROUP = 3,
	GROUP_END = 4, /* types that are not read */
	LAST_FIELD = (1 << 29) - 1
};

int
lm_wire_open(struct lm_wire *wire, struct lm_source *source, struct lm_message *whole,
    struct loom_error *err)
{
	memset(wire, 0, sizeof(*wire));
	memset(whole, 0, sizeof(*whole));
	wire->source = source;
	wire->window = lm_alloc(WINDOW, 1, err);
	whole->wire = wire;
	(void)lm_source_size(source, &whole->end);
	return wire->window != NULL ? 0 : -1;
}

void
lm_wire_close(struct lm_wire *wire)
{
	lm_free(wire->window);
	wire->window = NULL;
}

static int fail(const struct lm_wire *, uint64_t, struct loom_error *, enum loom_code, const char *,
    va_list) LM_PRINTF(5, 0);

static int
fail(const struct lm_wire *wire, uint64_t at, struct loom_error *err, enum loom_code code,
    const char *fmt, va_list ap)
{
	char text[sizeof(err->text)];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	(void)lm_fail(err, code, "%s", text);
	return lm_fail_at(err, lm_source_name(wire->source), at);
}

int
lm_wire_fail(const struct lm_wire *wire, uint64_t at, struct loom_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fail(wire, at, err, LOOM_EFORMAT, fmt, ap);
	va_end(ap);
	return -1;
}

/* ---- bytes ---- */

/* Something reaches beyond its message: of the whole file that means that the file is cut short. */
static int LM_PRINTF(4, 5) fail_short(const struct lm_message *m, uint64_t at,
    struct loom_error *err, const char *fmt, ...)
{
	enum loom_code code = m->depth == 0 ? LOOM_ETRUNCATED : LOOM_EFORMAT;
	va_list ap;

	va_start(ap, fmt);
	(void)fail(m->wire, at, err, code, fmt, ap);
	va_end(ap);
	return -1;
}

/* The window's bytes from at on: at least one, unless it fails. */
static const unsigned char *
look(struct lm_wire *wire, uint64_t at, size_t *n, struct loom_error *err)
{
	uint64_t size = 0;

	if (at < wire->base || at - wire->base >= wire->len) {
		(void)lm_source_size(wire->source, &size);
		wire->base = at;
		wire->len = size - at < WINDOW ? (size_t)(size - at) : WINDOW;
		if (lm_source_at(wire->source, at, wire->window, wire->len, err) < 0) {
			wire->len = 0;
			return NULL;
		}
	}
	*n = wire->len - (size_t)(at - wire->base);
	return wire->window + (at - wire->base);
}

static int
take(struct lm_message *m, unsigned char *dst, size_t n, struct loom_error *err)
{
	const unsigned char *p;
	size_t have;

	if (n > m->end - m->at)
		return fail_short(m, m->at, err, "a number that ends beyond its message");
	for (; n > 0; n -= have) {
		p = look(m->wire, m->at, &have, err);
		if (p == NULL)
			return -1;
		have = have < n ? have : n;
		memcpy(dst, p, have);
		dst += have;
		m->at += have;
	}
	return 0;
}

static int
take_varint(struct lm_message *m, uint64_t *value, struct loom_error *err)
{
	uint64_t start = m->at;
	unsigned char byte = 0x80;
	unsigned i;

	*value = 0;
	for (i = 0; byte & 0x80; i++) {
		if (i == VARINT)
			return lm_wire_fail(m->wire, start, err, "a number of more than %d bytes",
			    VARINT);
		if (take(m, &byte, 1, err) < 0)
			return -1;
		if (i == VARINT - 1 && (byte & 0x7f) > 1)
			return lm_wire_fail(m->wire, start, err, "a number of more than 64 bits");
		*value |= (uint64_t)(byte & 0x7f) << (7 * i);
	}
	return 0;
}

static int
take_fixed(struct lm_message *m, size_t n, uint64_t *value, struct loom_error *err)
{
	unsigned char bytes[8] = { 0 };

	if (take(m, bytes, n, err) < 0)
		return -1;
	*value = lm_get_u64(bytes);
	return 0;
}

/* ---- fields ---- */

static int
take_number(struct lm_message *m, enum lm_wire_type type, uint64_t *value, struct loom_error *err)
{
	if (type == LM_WIRE_VARINT)
		return take_varint(m, value, err);
	return take_fixed(m, type == LM_WIRE_FIXED64 ? 8 : 4, value, err);
}

static int
take_length(struct lm_message *m, struct lm_field *f, struct loom_error *err)
{
	uint64_t start = m->at;

	if (take_varint(m, &f->length, err) < 0)
		return -1;
	f->at = m->at;
	if (f->length > m->end - m->at)
		return fail_short(m, start, err,
		    "field %u has %ju bytes, of which its message holds %ju", (unsigned)f->number,
		    (uintmax_t)f->length, (uintmax_t)(m->end - m->at));
	m->at += f->length;
	return 0;
}

int
lm_message_next(struct lm_message *m, struct lm_field *f, struct loom_error *err)
{
	uint64_t start = m->at, tag;
	int r;

	memset(f, 0, sizeof(*f));
	if (m->at == m->end)
		return 0;
	if (take_varint(m, &tag, err) < 0)
		return -1;
	if (tag >> 3 == 0 || tag >> 3 > LAST_FIELD)
		return lm_wire_fail(m->wire, start, err, "field number %ju, which no message has",
		    (uintmax_t)(tag >> 3));
	f->number = (uint32_t)(tag >> 3);
	switch (tag & 7) {
	case LM_WIRE_VARINT:
	case LM_WIRE_FIXED64:
	case LM_WIRE_FIXED32:
		f->type = (enum lm_wire_type)(tag & 7);
		f->at = m->at;
		r = take_number(m, f->type, &f->value, err);
		break;
	case LM_WIRE_BYTES:
		f->type = LM_WIRE_BYTES;
		r = take_length(m, f, err);
		break;
	case GROUP:
	case GROUP_END:
		return lm_wire_fail(m->wire, start, err, "field %u is a group, which is not read",
		    (unsigned)f->number);
	default:
		return lm_wire_fail(m->wire, start, err,
		    "field %u has wire type %u, which none has", (unsigned)f->number,
		    (unsigned)(tag & 7));
	}
	return r < 0 ? -1 : 1;
}

int
lm_field_is(const struct lm_message *m, const struct lm_field *f, enum lm_wire_type type,
    struct loom_error *err)
{
	if (f->type == type)
		return 0;
	return lm_wire_fail(m->wire, f->at, err, "field %u has wire type %u, expected %u",
	    (unsigned)f->number, (unsigned)f->type, (unsigned)type);
}

int
lm_message_enter(const struct lm_message *m, const struct lm_field *f, struct lm_message *inner,
    struct loom_error *err)
{
	if (lm_field_is(m, f, LM_WIRE_BYTES, err) < 0)
		return -1;
	if (m->depth + 1 >= LM_WIRE_DEPTH)
		return lm_wire_fail(m->wire, f->at, err, "messages more than %d deep",
		    LM_WIRE_DEPTH);
	inner->wire = m->wire;
	inner->at = f->at;
	inner->end = f->at + f->length;
	inner->depth = m->depth + 1;
	return 0;
}

int
lm_field_read(const struct lm_message *m, const struct lm_field *f, void *dst,
    struct loom_error *err)
{
	struct lm_message bytes = { m->wire, f->at, f->at + f->length, m->depth + 1 };

	if (lm_field_is(m, f, LM_WIRE_BYTES, err) < 0)
		return -1;
	if (f->length >= WINDOW)
		return lm_source_at(m->wire->source, f->at, dst, (size_t)f->length, err);
	return take(&bytes, dst, (size_t)f->length, err);
}

int
lm_numbers_open(struct lm_numbers *n, const struct lm_message *m, const struct lm_field *f,
    enum lm_wire_type type, struct loom_error *err)
{
	memset(n, 0, sizeof(*n));
	n->type = type;
	if (f->type == LM_WIRE_BYTES)
		return lm_message_enter(m, f, &n->in, err);
	n->single = 1;
	n->value = f->value;
	return lm_field_is(m, f, type, err);
}

int
lm_numbers_next(struct lm_numbers *n, uint64_t *bits, struct loom_error *err)
{
	if (n->in.wire == NULL) {
		*bits = n->value;
		return n->single-- > 0;
	}
	if (n->in.at == n->in.end)
		return 0;
	return take_number(&n->in, n->type, bits, err) < 0 ? -1 : 1;
}

/* ---- writing ---- */

static int
put(struct lm_wire_out *out, const void *p, size_t n, struct loom_error *err)
{
	out->size += n;
	return out->sink != NULL ? lm_sink_write(out->sink, p, n, err) : 0;
}

static int
put_varint(struct lm_wire_out *out, uint64_t value, struct loom_error *err)
{
	unsigned char bytes[VARINT];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (unsigned char)(value | 0x80);
	bytes[n++] = (unsigned char)value;
	return put(out, bytes, n, err);
}

static int
put_tag(struct lm_wire_out *out, uint32_t field, enum lm_wire_type type, struct loom_error *err)
{
	return put_varint(out, (uint64_t)field << 3 | type, err);
}

int
lm_wire_put_int(struct lm_wire_out *out, uint32_t field, int64_t value, struct loom_error *err)
{
	if (put_tag(out, field, LM_WIRE_VARINT, err) < 0)
		return -1;
	return put_varint(out, (uint64_t)value, err);
}

int
lm_wire_put_float(struct lm_wire_out *out, uint32_t field, float value, struct loom_error *err)
{
	unsigned char bytes[4];

	lm_put_f32(bytes, value);
	if (put_tag(out, field, LM_WIRE_FIXED32, err) < 0)
		return -1;
	return put(out, bytes, sizeof(bytes), err);
}

int
lm_wire_put_length(struct lm_wire_out *out, uint32_t field, uint64_t length, struct loom_error *err)
{
	if (put_tag(out, field, LM_WIRE_BYTES, err) < 0)
		return -1;
	return put_varint(out, length, err);
}

int
lm_wire_put_bytes(struct lm_wire_out *out, uint32_t field, const void *p, size_t n,
    struct loom_error *err)
{
	return lm_wire_put_length(out, field, n, err) < 0 ? -1 : put(out, p, n, err);
}

int
lm_wire_put_text(struct lm_wire_out *out, uint32_t field, const char *s, struct loom_error *err)
{
	return lm_wire_put_bytes(out, field, s, strlen(s), err);
}

int
lm_wire_put_message(struct lm_wire_out *out, uint32_t field, lm_wire_writer *write,
    const void *what, struct loom_error *err)
{
	struct lm_wire_out count = { NULL, 0 };

	if (write(&count, what, err) < 0 || lm_wire_put_length(out, field, count.size, err) < 0)
		return -1;
	if (out->sink != NULL)
		return write(out, what, err);
	out->size += count.size;
	return 0;
}
