/* archive: a ZIP file of stored members; ZIP64 where a number needs it (APPNOTE 4.3). */
#include "format/archive.h"

#include <string.h>
#include <zlib.h>

#include "num/bytes.h"

#define MOST32 0xffffffffu
#define MOST16 0xffffu
enum { VERSION = 20, VERSION64 = 45, UTF8 = 0x0800, FIRST_DAY = 0x21 /* 1 January 1980 */ };

struct member {
	size_t name; /* its length */
	uint32_t crc;
	uint64_t size, offset;
	int big; /* needs ZIP64 */
};

/* ---- little-endian fields ---- */

static int
put16(struct lm_buf *b, uint64_t v, struct loom_error *err)
{
	unsigned char p[2];

	lm_put_u16(p, (uint16_t)v);
	return lm_buf_add(b, p, 2, err);
}

static int
put32(struct lm_buf *b, uint64_t v, struct loom_error *err)
{
	unsigned char p[4];

	lm_put_u32(p, (uint32_t)v);
	return lm_buf_add(b, p, 4, err);
}

static int
put64(struct lm_buf *b, uint64_t v, struct loom_error *err)
{
	unsigned char p[8];

	lm_put_u64(p, v);
	return lm_buf_add(b, p, 8, err);
}

/* ---- records ---- */

/* What the local header and the directory have in common: version to checksum, sizes, name's length. */
static int
put_common(struct lm_buf *b, const struct member *m, struct loom_error *err)
{
	uint64_t size = m->big ? MOST32 : m->size;

	if (put16(b, m->big ? VERSION64 : VERSION, err) < 0 || put16(b, UTF8, err) < 0 ||
	    put16(b, 0, err) < 0 || put16(b, 0, err) < 0 || put16(b, FIRST_DAY, err) < 0 ||
	    put32(b, m->crc, err) < 0 || put32(b, size, err) < 0 || put32(b, size, err) < 0)
		return -1;
	return put16(b, m->name, err);
}

static int
put_local(struct lm_buf *b, const struct member *m, const char *name, struct loom_error *err)
{
	if (put32(b, 0x04034b50, err) < 0 || put_common(b, m, err) < 0 ||
	    put16(b, m->big ? 20 : 0, err) < 0 || lm_buf_add(b, name, m->name, err) < 0)
		return -1;
	if (!m->big)
		return 0;
	if (put16(b, 1, err) < 0 || put16(b, 16, err) < 0 || put64(b, m->size, err) < 0)
		return -1;
	return put64(b, m->size, err);
}

static int
put_entry(struct lm_buf *b, const struct member *m, const char *name, struct loom_error *err)
{
	static const unsigned char zeros[10] = { 0 }; /* comment, disk, attributes */

	if (put32(b, 0x02014b50, err) < 0 || put16(b, m->big ? VERSION64 : VERSION, err) < 0 ||
	    put_common(b, m, err) < 0 || put16(b, m->big ? 28 : 0, err) < 0 ||
	    lm_buf_add(b, zeros, sizeof(zeros), err) < 0 ||
	    put32(b, m->big ? MOST32 : m->offset, err) < 0 || lm_buf_add(b, name, m->name, err) < 0)
		return -1;
	if (!m->big)
		return 0;
	if (put16(b, 1, err) < 0 || put16(b, 24, err) < 0 || put64(b, m->size, err) < 0 ||
	    put64(b, m->size, err) < 0)
		return -1;
	return put64(b, m->offset, err);
}

/* ---- the archive ---- */

void
lm_archive_init(struct lm_archive *a, struct lm_sink *sink)
{
	a->sink = sink;
	a->members = 0;
	lm_buf_init(&a->directory, SIZE_MAX / 4);
}

void
lm_archive_release(struct lm_archive *a)
{
	lm_buf_release(&a->directory);
}

static void
measure(struct member *m, const struct lm_part *part, size_t parts)
{
	size_t i;

	m->crc = (uint32_t)crc32_z(0, NULL, 0);
	for (i = 0; i < parts; i++) {
		if (part[i].size > 0)
			m->crc = (uint32_t)crc32_z(m->crc, part[i].data, part[i].size);
		m->size += part[i].size;
	}
	m->big = m->size >= MOST32 || m->offset >= MOST32;
}

static int
write_member(struct lm_archive *a, struct lm_buf *local, const struct lm_part *part, size_t parts,
    struct loom_error *err)
{
	size_t i;

	if (lm_sink_write(a->sink, local->data, local->len, err) < 0)
		return -1;
	for (i = 0; i < parts; i++)
		if (lm_sink_write(a->sink, part[i].data, part[i].size, err) < 0)
			return -1;
	return 0;
}

int
lm_archive_add(struct lm_archive *a, const char *name, const char *suffix,
    const struct lm_part *part, size_t parts, struct loom_error *err)
{
	struct member m = { .offset = lm_sink_tell(a->sink) };
	struct lm_buf full, local;
	char shown[LM_SHOWN];
	int r;

	if (strlen(name) + strlen(suffix) > MOST16)
		return lm_fail(err, LOOM_EARG, "the name %s is too long for an archive",
		    lm_shown(shown, name));
	lm_buf_init(&full, MOST16 + 1);
	lm_buf_init(&local, 2 * MOST16);
	measure(&m, part, parts);
	r = lm_buf_printf(&full, err, "%s%s", name, suffix);
	m.name = full.len;
	if (r == 0)
		r = put_local(&local, &m, full.data, err);
	if (r == 0)
		r = put_entry(&a->directory, &m, full.data, err);
	if (r == 0)
		r = write_member(a, &local, part, parts, err);
	lm_buf_release(&local);
	lm_buf_release(&full);
	a->members++;
	return r;
}

static int
put_end64(struct lm_buf *b, uint64_t members, uint64_t size, uint64_t offset,
    struct loom_error *err)
{
	if (put32(b, 0x06064b50, err) < 0 || put64(b, 44, err) < 0 ||
	    put16(b, VERSION64, err) < 0 || put16(b, VERSION64, err) < 0 || put32(b, 0, err) < 0 ||
	    put32(b, 0, err) < 0 || put64(b, members, err) < 0 || put64(b, members, err) < 0 ||
	    put64(b, size, err) < 0 || put64(b, offset, err) < 0)
		return -1;
	if (put32(b, 0x07064b50, err) < 0 || put32(b, 0, err) < 0 ||
	    put64(b, offset + size, err) < 0)
		return -1;
	return put32(b, 1, err);
}

int
lm_archive_end(struct lm_archive *a, struct loom_error *err)
{
	uint64_t size = a->directory.len, offset = lm_sink_tell(a->sink), n = a->members;
	struct lm_buf *b = &a->directory;
	uint64_t count = n < MOST16 ? n : MOST16;

	if ((n >= MOST16 || size >= MOST32 || offset >= MOST32) &&
	    put_end64(b, n, size, offset, err) < 0)
		return -1;
	if (put32(b, 0x06054b50, err) < 0 || put32(b, 0, err) < 0 || put16(b, count, err) < 0 ||
	    put16(b, count, err) < 0 || put32(b, size < MOST32 ? size : MOST32, err) < 0 ||
	    put32(b, offset < MOST32 ? offset : MOST32, err) < 0 || put16(b, 0, err) < 0)
		return -1;
	return lm_sink_write(a->sink, b->data, b->len, err);
}
