/* npz: a ZIP archive of .npy members, stored or deflated; read by libzip, written by zip.c. */
#include <string.h>
#include <zip.h>

#include "format/archive.h"
#include "format/flat.h"
#include "format/tensors.h"

/* Deflate makes at most 1032 bytes of one. */
enum { MOST_DEFLATED = 1032, SUFFIX = 4 };

/* Members of bytes that are ours, beside a network's weights. */
#define TOPOLOGY "__loom_topology__"
#define CHECKPOINT "__loom_checkpoint__"

struct npz {
	struct lm_source *source;
	zip_t *zip;
	zip_error_t problem; /* of the source, as libzip wants it kept */
	uint64_t position;   /* libzip's, in the source */
	zip_file_t *file;    /* the member that is open, or NULL */
	const struct lm_entry *open;
	uint64_t at; /* how much of its data was fetched */
	size_t members;
	uint64_t *places;      /* of the members' data, once somebody asked */
	struct loom_error *io; /* where a failure of the source goes while libzip works */
};

/* ---- libzip's view of a source ---- */

static zip_int64_t
seek_to(struct npz *z, void *data, zip_uint64_t len)
{
	uint64_t size = 0;
	zip_int64_t to;

	(void)lm_source_size(z->source, &size);
	to = zip_source_seek_compute_offset(z->position, size, data, len, &z->problem);
	if (to < 0)
		return -1;
	z->position = (uint64_t)to;
	return 0;
}

static zip_int64_t
read_some(struct npz *z, void *data, zip_uint64_t len)
{
	struct loom_error ignored = { 0 }, *err = z->io != NULL ? z->io : &ignored;
	size_t got = 0;

	if (lm_source_seek(z->source, z->position, err) < 0 ||
	    lm_source_some(z->source, data, (size_t)len, &got, err) < 0) {
		zip_error_set(&z->problem, ZIP_ER_READ, err->sys);
		return -1;
	}
	z->position += got;
	return (zip_int64_t)got;
}

static zip_int64_t
put_stat(const struct npz *z, void *data)
{
	zip_stat_t *st = data;
	uint64_t size = 0;

	(void)lm_source_size(z->source, &size);
	zip_stat_init(st);
	st->size = size;
	st->valid |= ZIP_STAT_SIZE;
	return sizeof(*st);
}

static zip_int64_t
answer(void *state, void *data, zip_uint64_t len, zip_source_cmd_t command)
{
	struct npz *z = state;

	switch (command) {
	case ZIP_SOURCE_OPEN:
		z->position = 0;
		return 0;
	case ZIP_SOURCE_READ:
		return read_some(z, data, len);
	case ZIP_SOURCE_SEEK:
		return seek_to(z, data, len);
	case ZIP_SOURCE_TELL:
		return (zip_int64_t)z->position;
	case ZIP_SOURCE_STAT:
		return put_stat(z, data);
	case ZIP_SOURCE_ERROR:
		return zip_error_to_data(&z->problem, data, len);
	case ZIP_SOURCE_SUPPORTS:
		return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ,
		    ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
		    ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
	default: /* close, free: nothing to do */
		return 0;
	}
}

/* ---- failures ---- */

static int
fail_zip(struct loom_error *err, const char *what, zip_error_t *why)
{
	enum loom_code code = zip_error_code_zip(why) == ZIP_ER_MEMORY ? LOOM_ENOMEM : LOOM_EFORMAT;

	return lm_fail(err, code, "%s%s", what, zip_error_strerror(why));
}

/* "member y.npy: " for messages. */
static const char *
heading(char dst[LM_SHOWN + 32], const struct lm_entry *e)
{
	char shown[LM_SHOWN];

	(void)snprintf(dst, LM_SHOWN + 32, "member %s.npy: ", lm_shown(shown, e->tensor.name));
	return dst;
}

static int
open_zip(struct npz *z, struct loom_error *err)
{
	zip_error_t why;
	zip_source_t *source;

	zip_error_init(&why);
	source = zip_source_function_create(answer, z, &why);
	if (source != NULL)
		z->zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &why);
	if (z->zip == NULL) {
		if (zip_error_code_zip(&why) == ZIP_ER_EXISTS)
			(void)lm_fail(err, LOOM_EFORMAT, "two members have the same name");
		(void)fail_zip(err, "the archive cannot be read: ", &why);
		zip_source_free(source);
	}
	zip_error_fini(&why);
	return z->zip != NULL ? 0 : -1;
}

/* ---- members ---- */

static void
close_member(struct npz *z)
{
	if (z->file != NULL)
		(void)zip_fclose(z->file);
	z->file = NULL;
	z->open = NULL;
}

static int
open_member(struct npz *z, const struct lm_entry *e, const char *what, struct loom_error *err)
{
	close_member(z);
	z->file = zip_fopen_index(z->zip, e->member, 0);
	if (z->file == NULL)
		return fail_zip(err, what, zip_get_error(z->zip));
	z->open = e;
	z->at = 0;
	return 0;
}

static int
read_member(struct npz *z, void *dst, size_t n, const char *what, struct loom_error *err)
{
	unsigned char *p = dst;
	zip_int64_t got;

	for (; n > 0; p += got, n -= (size_t)got) {
		got = zip_fread(z->file, p, n);
		if (got < 0)
			return fail_zip(err, what, zip_file_get_error(z->file));
		if (got == 0)
			return lm_fail(err, LOOM_ETRUNCATED, "%sends %zu bytes early", what, n);
	}
	return 0;
}

/* libzip compares the checksum when the end has been read. */
static int
end_member(struct npz *z, const char *what, struct loom_error *err)
{
	zip_int64_t got;
	char more;

	got = zip_fread(z->file, &more, 1);
	if (got < 0)
		return fail_zip(err, what, zip_file_get_error(z->file));
	if (got > 0)
		return lm_fail(err, LOOM_EFORMAT, "%sgoes on after the end of its data", what);
	close_member(z);
	return 0;
}

static int
skip_member(struct npz *z, uint64_t n, const char *what, struct loom_error *err)
{
	unsigned char scratch[4096];
	size_t piece;

	for (; n > 0; n -= piece) {
		piece = n < sizeof(scratch) ? (size_t)n : sizeof(scratch);
		if (read_member(z, scratch, piece, what, err) < 0)
			return -1;
	}
	return 0;
}

static int
fetch(struct loom_tensors *t, struct lm_entry *e, uint64_t at, void *dst, size_t n,
    struct loom_error *err)
{
	struct npz *z = t->state;
	char what[LM_SHOWN + 32];

	(void)heading(what, e);
	z->io = err;
	if (z->open != e || z->at != at) {
		if (open_member(z, e, what, err) < 0 ||
		    skip_member(z, e->offset + at, what, err) < 0)
			return -1;
		z->at = at;
	}
	if (read_member(z, dst, n, what, err) < 0)
		return -1;
	z->at += n;
	return z->at == e->bytes ? end_member(z, what, err) : 0;
}

/* ---- the index ---- */

struct member_reader {
	struct npz *z;
	const char *what;
};

static int
from_member(void *from, void *dst, size_t n, struct loom_error *err)
{
	struct member_reader *r = from;

	return read_member(r->z, dst, n, r->what, err);
}

/* What the archive says of a member must be something we read, and possible. */
static int
check_member(const zip_stat_t *st, const char *what, struct loom_error *err)
{
	if (st->encryption_method != ZIP_EM_NONE)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%sis encrypted", what);
	if (st->comp_method != ZIP_CM_STORE && st->comp_method != ZIP_CM_DEFLATE)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "%scompression method %u: expected 0 (stored) or 8 (deflate)", what,
		    st->comp_method);
	if (st->comp_method == ZIP_CM_STORE ? st->comp_size != st->size
					    : st->size / MOST_DEFLATED > st->comp_size)
		return lm_fail(err, LOOM_EFORMAT, "%s%ju bytes cannot hold the %ju it claims", what,
		    (uintmax_t)st->comp_size, (uintmax_t)st->size);
	return 0;
}

static int
index_member(struct loom_tensors *t, struct lm_entry *e, const zip_stat_t *st,
    struct loom_error *err)
{
	struct npz *z = t->state;
	char what[LM_SHOWN + 32];
	struct member_reader reader = { z, what };

	(void)heading(what, e);
	if (check_member(st, what, err) < 0 || open_member(z, e, what, err) < 0 ||
	    lm_npy_header(from_member, &reader, what, e, err) < 0)
		return -1;
	if (st->size < e->offset || st->size - e->offset != e->bytes)
		return lm_fail(err, LOOM_EFORMAT, "%sholds %ju bytes, its header says %ju", what,
		    (uintmax_t)st->size, (uintmax_t)(e->offset + e->bytes));
	if (e->bytes == 0)
		return end_member(z, what, err);
	close_member(z);
	return 0;
}

/* A new entry named as the member, without its ".npy". */
static struct lm_entry *
add_member(struct loom_tensors *t, uint64_t i, const zip_stat_t *st, struct loom_error *err)
{
	char name[LM_TENSOR_NAME + 1], shown[LM_SHOWN];
	size_t n = strlen(st->name);
	struct lm_entry *e;

	if (n < SUFFIX || strcmp(st->name + n - SUFFIX, ".npy") != 0) {
		(void)lm_fail(err, LOOM_EUNSUPPORTED, "member %s is not an .npy",
		    lm_shown(shown, st->name));
		return NULL;
	}
	if (n - SUFFIX > LM_TENSOR_NAME) {
		(void)lm_fail(err, LOOM_EUNSUPPORTED, "member %s: a name of more than %d bytes",
		    lm_shown(shown, st->name), LM_TENSOR_NAME);
		return NULL;
	}
	memcpy(name, st->name, n - SUFFIX);
	name[n - SUFFIX] = '\0';
	e = lm_tensors_add(t, name, err);
	if (e != NULL)
		e->member = i;
	return e;
}

/* Stored members lie in the file as they are. */
static int
place(struct loom_tensors *t, const struct lm_entry *e, uint64_t *offset, struct loom_error *err)
{
	struct npz *z = t->state;
	zip_stat_t st;

	if (z->places == NULL) {
		z->places = lm_arena_alloc(&t->arena, z->members, sizeof(*z->places), err);
		if (z->places == NULL ||
		    lm_archive_places(z->source, z->places, z->members, err) < 0)
			return -1;
	}
	if (zip_stat_index(z->zip, e->member, 0, &st) < 0)
		return fail_zip(err, "", zip_get_error(z->zip));
	*offset = z->places[e->member] + e->offset;
	return st.comp_method == ZIP_CM_STORE && !e->fortran && !e->swap;
}

/* A member of bytes that is a text of ours; NULL on failure. */
static const char *
read_text(struct loom_tensors *t, struct lm_entry *e, struct loom_error *err)
{
	char *text = lm_arena_alloc(&t->arena, (size_t)e->bytes + 1, 1, err);

	return text != NULL && fetch(t, e, 0, text, (size_t)e->bytes, err) == 0 ? text : NULL;
}

/* Texts that stand beside a network's weights are kept, and are no tensors. */
static int
take_texts(struct loom_tensors *t, struct loom_error *err)
{
	const char **to;
	size_t i, k = 0;

	for (i = 0; i < t->n; i++) {
		to = strcmp(t->entries[i].tensor.name, TOPOLOGY) == 0	 ? &t->topology
		    : strcmp(t->entries[i].tensor.name, CHECKPOINT) == 0 ? &t->checkpoint
									 : NULL;
		if (to == NULL || t->entries[i].dtype != lm_dtype_get(LM_U8)) {
			t->entries[k++] = t->entries[i];
			continue;
		}
		*to = read_text(t, &t->entries[i], err);
		if (*to == NULL)
			return -1;
	}
	t->n = k;
	return 0;
}

static int
index_members(struct loom_tensors *t, struct npz *z, struct loom_error *err)
{
	enum {
		WANTED = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
		    ZIP_STAT_ENCRYPTION_METHOD
	};
	zip_int64_t n = zip_get_num_entries(z->zip, 0), i;
	struct lm_entry *e;
	zip_stat_t st;

	for (i = 0; i < n; i++) {
		if (zip_stat_index(z->zip, (zip_uint64_t)i, 0, &st) < 0)
			return fail_zip(err, "", zip_get_error(z->zip));
		if ((st.valid & WANTED) != WANTED)
			return lm_fail(err, LOOM_EFORMAT, "member %jd is not described",
			    (intmax_t)i);
		e = add_member(t, (uint64_t)i, &st, err);
		if (e == NULL || index_member(t, e, &st, err) < 0)
			return -1;
	}
	return 0;
}

static void
close_all(struct loom_tensors *t)
{
	struct npz *z = t->state;

	z->io = NULL;
	close_member(z);
	if (z->zip != NULL)
		zip_discard(z->zip);
	zip_error_fini(&z->problem);
}

static int
index_all(struct loom_tensors *t, struct loom_error *err)
{
	struct npz *z = lm_arena_alloc(&t->arena, 1, sizeof(*z), err);

	if (z == NULL)
		return -1;
	z->source = t->source;
	z->io = err;
	zip_error_init(&z->problem);
	t->state = z;
	t->close = close_all;
	t->fetch = fetch;
	t->place = place;
	if (open_zip(z, err) < 0 || index_members(t, z, err) < 0 || lm_tensors_unique(t, err) < 0)
		return -1;
	z->members = t->n;
	return take_texts(t, err);
}

static int
sniff(const unsigned char *head, size_t len)
{
	return len >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0) ? 50
											      : 0;
}

/* ---- writing ---- */

static int
write_member(struct lm_archive *zip, const struct loom_tensor *t, struct loom_error *err)
{
	unsigned char header[LM_NPY_HEADER];
	const struct lm_dtype *dtype;
	uint64_t bytes;
	size_t len;

	if (lm_npy_make(t, header, &len, err) < 0 || lm_tensor_size(t, &dtype, &bytes, err) < 0)
		return -1;
	return lm_archive_add(zip, t->name, ".npy",
	    (struct lm_part[]){ { header, len }, { t->data, (size_t)bytes } }, 2, err);
}

static int
write_tensors(struct lm_sink *sink, const struct loom_tensor *t, size_t n, struct loom_error *err)
{
	struct lm_archive zip;
	size_t i;
	int r = 0;

	lm_archive_init(&zip, sink);
	for (i = 0; i < n && r == 0; i++)
		r = write_member(&zip, &t[i], err);
	if (r == 0)
		r = lm_archive_end(&zip, err);
	lm_archive_release(&zip);
	return r;
}

/* ---- networks ---- */

static int
write_text(struct lm_archive *zip, const char *name, const struct lm_buf *text,
    struct loom_error *err)
{
	struct loom_tensor t = { .name = name,
		.dtype = "uint8",
		.rank = 1,
		.shape = { text->len },
		.data = text->data };

	return text->len > 0 ? write_member(zip, &t, err) : 0;
}

static int
write_weight(struct lm_archive *zip, const struct lm_flat *f, size_t i, struct lm_export *e,
    struct loom_error *err)
{
	const struct lm_outgoing *from = &f->tensors[i];
	struct loom_tensor t = { .name = from->name,
		.dtype = from->dtype->name,
		.rank = from->rank };
	struct lm_arena arena = { 0 };
	void *data = lm_arena_alloc(&arena, (size_t)from->bytes, 1, err);
	int r = -1;

	memcpy(t.shape, from->shape, sizeof(t.shape));
	t.data = data;
	if (data != NULL && lm_flat_copy(f, i, e, data, err) == 0)
		r = write_member(zip, &t, err);
	lm_arena_release(&arena);
	return r;
}

static int
write_network(struct lm_sink *sink, const struct lm_flat *f, struct lm_export *e,
    struct loom_error *err)
{
	struct lm_archive zip;
	size_t i;
	int r;

	lm_archive_init(&zip, sink);
	r = write_text(&zip, TOPOLOGY, &f->topology, err);
	if (r == 0)
		r = write_text(&zip, CHECKPOINT, &f->checkpoint, err);
	for (i = 0; i < f->n && r == 0; i++)
		r = write_weight(&zip, f, i, e, err);
	if (r == 0)
		r = lm_archive_end(&zip, err);
	lm_archive_release(&zip);
	return r;
}

static int
export_network(struct lm_export *e, struct loom_error *err)
{
	return lm_flat_export(e, 0, write_network, err);
}

const struct lm_format_ops lm_format_npz = {
	.name = "npz",
	.about = "a ZIP archive of NumPy arrays",
	.holds = LM_HOLDS_TENSORS | LM_HOLDS_MODEL,
	.can = LM_READ | LM_WRITE | LM_EXPORT,
	.takes = LM_TAKES_TEMPLATE | LM_TAKES_DTYPE,
	.read = lm_flat_read,
	.export = export_network,
	.sniff = sniff,
	.index = index_all,
	.write_tensors = write_tensors,
};
