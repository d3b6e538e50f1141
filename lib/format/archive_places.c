/*
 * archive_places: where the data of a ZIP archive's members begin (APPNOTE 4.3).  The archive has been found
 * consistent by libzip before; here every number is checked against the file's length again.
 */
#include "base/mem.h"
#include "format/archive.h"
#include "num/bytes.h"

enum { END = 22, END64 = 56, LOCATOR = 20, ENTRY = 46, LOCAL = 30, COMMENT = 0xffff };

#define MOST32 0xffffffffu

static int
broken(struct loom_error *err)
{
	return lm_fail(err, LOOM_EFORMAT, "the archive's directory is not where it should be");
}

/* The last record that looks like the end of the directory and reaches the end of the file. */
static int
find_end(const struct lm_source *s, uint64_t size, uint64_t *at, struct loom_error *err)
{
	size_t n = size < END + COMMENT ? (size_t)size : END + COMMENT, i;
	unsigned char *tail = lm_alloc(n, 1, err);
	int r = tail != NULL ? lm_source_at(s, size - n, tail, n, err) : -1;

	for (i = n; r == 0 && i >= END; i--)
		if (lm_get_u32(tail + i - END) == 0x06054b50 &&
		    (uint64_t)i + lm_get_u16(tail + i - 2) == n)
			break;
	lm_free(tail);
	if (r == 0 && i < END)
		return broken(err);
	*at = size - n + i - END;
	return r;
}

static int
find_directory(const struct lm_source *s, uint64_t *at, struct loom_error *err)
{
	unsigned char end[END64];
	uint64_t size = 0, here = 0;

	if (!lm_source_size(s, &size) || size < END || find_end(s, size, &here, err) < 0 ||
	    lm_source_at(s, here, end, END, err) < 0)
		return err->code != LOOM_OK ? -1 : broken(err);
	*at = lm_get_u32(end + 16);
	if (*at != MOST32)
		return 0;
	if (here < LOCATOR || lm_source_at(s, here - LOCATOR, end, LOCATOR, err) < 0 ||
	    lm_get_u32(end) != 0x07064b50 ||
	    lm_source_at(s, lm_get_u64(end + 8), end, END64, err) < 0 ||
	    lm_get_u32(end) != 0x06064b50)
		return err->code != LOOM_OK ? -1 : broken(err);
	*at = lm_get_u64(end + 48);
	return 0;
}

/* The offset of the local header, which stands in the extra field where 32 bits do not hold it. */
static int
local_of(const struct lm_source *s, uint64_t at, const unsigned char *entry, uint64_t *local,
    struct loom_error *err)
{
	uint64_t extra = at + ENTRY + lm_get_u16(entry + 28), end = extra + lm_get_u16(entry + 30);
	unsigned char field[28];
	size_t skip;

	*local = lm_get_u32(entry + 42);
	for (; *local == MOST32 && extra + 4 <= end; extra += 4 + lm_get_u16(field + 2)) {
		if (lm_source_at(s, extra, field, 4, err) < 0)
			return -1;
		if (lm_get_u16(field) != 1)
			continue;
		skip = (lm_get_u32(entry + 24) == MOST32 ? 8 : 0) +
		    (lm_get_u32(entry + 20) == MOST32 ? 8 : 0);
		if (lm_get_u16(field + 2) < skip + 8 ||
		    lm_source_at(s, extra + 4 + skip, field, 8, err) < 0)
			return err->code != LOOM_OK ? -1 : broken(err);
		*local = lm_get_u64(field);
		return 0;
	}
	return *local == MOST32 ? broken(err) : 0;
}

int
lm_archive_places(const struct lm_source *s, uint64_t *place, size_t n, struct loom_error *err)
{
	unsigned char entry[ENTRY], local[LOCAL];
	uint64_t at, here = 0;
	size_t i;

	if (find_directory(s, &at, err) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (lm_source_at(s, at, entry, ENTRY, err) < 0)
			return -1;
		if (lm_get_u32(entry) != 0x02014b50)
			return broken(err);
		if (local_of(s, at, entry, &here, err) < 0 ||
		    lm_source_at(s, here, local, LOCAL, err) < 0)
			return -1;
		if (lm_get_u32(local) != 0x04034b50)
			return broken(err);
		place[i] = here + LOCAL + lm_get_u16(local + 26) + lm_get_u16(local + 28);
		at += ENTRY + lm_get_u16(entry + 28) + lm_get_u16(entry + 30) +
		    lm_get_u16(entry + 32);
	}
	return 0;
}
