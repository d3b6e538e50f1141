/* tensors: open a file of named arrays, and walk over the values of one of them. */
#include "format/tensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define PIECE ((uint64_t)1 << 20) /* memory for values that are still to come grows from this */

/* ---- what formats use ---- */

struct lm_entry *
lm_tensors_add(struct loom_tensors *t, const char *name, struct loom_error *err)
{
	size_t room = t->room > 0 ? t->room * 2 : 16;
	struct lm_entry *grown;

	if (t->n >= LM_TENSORS) {
		(void)lm_fail(err, LOOM_EUNSUPPORTED, "more than %d tensors", LM_TENSORS);
		return NULL;
	}
	if (t->n == t->room) {
		grown = lm_resize(t->entries, room, sizeof(*grown), err);
		if (grown == NULL)
			return NULL;
		memset(grown + t->n, 0, (room - t->n) * sizeof(*grown));
		t->entries = grown;
		t->room = room;
	}
	t->entries[t->n].tensor.name = lm_arena_string(&t->arena, name, err);
	return t->entries[t->n].tensor.name != NULL ? &t->entries[t->n++] : NULL;
}

/* A zero among the extents makes any product fit, so the others are multiplied without it. */
static int
count_values(const struct loom_tensor *t, uint64_t *count)
{
	uint64_t n = 1;
	int empty = 0;
	unsigned i;

	for (i = 0; i < t->rank; i++) {
		empty |= t->shape[i] == 0;
		if (t->shape[i] > INT64_MAX ||
		    lm_mul64(n, t->shape[i] > 0 ? t->shape[i] : 1, &n) < 0)
			return -1;
	}
	*count = empty ? 0 : n;
	return 0;
}

int
lm_entry_size(struct lm_entry *e, const char *what, struct loom_error *err)
{
	char text[LM_SHOWN * 4];

	e->tensor.dtype = e->dtype->name;
	if (count_values(&e->tensor, &e->count) < 0 ||
	    lm_dtype_bytes(e->dtype, e->count, &e->bytes) < 0 || e->bytes > INT64_MAX)
		return lm_fail(err, LOOM_EFORMAT, "%sthe size of %s does not fit in 63 bits", what,
		    loom_tensor_describe(&e->tensor, text, sizeof(text)));
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
lm_tensors_unique(struct loom_tensors *t, struct loom_error *err)
{
	const char **names = lm_alloc(t->n + 1, sizeof(*names), err);
	char shown[LM_SHOWN];
	size_t i;

	if (names == NULL)
		return -1;
	for (i = 0; i < t->n; i++)
		names[i] = t->entries[i].tensor.name;
	qsort(names, t->n, sizeof(*names), by_name);
	for (i = 1; i < t->n && strcmp(names[i - 1], names[i]) != 0; i++)
		continue;
	if (i < t->n)
		(void)lm_fail(err, LOOM_EFORMAT, "tensor %s stands there twice",
		    lm_shown(shown, names[i]));
	lm_free(names);
	return i < t->n ? -1 : 0;
}

int
lm_tensors_fetch(struct loom_tensors *t, struct lm_entry *e, uint64_t at, void *dst, size_t n,
    struct loom_error *err)
{
	char shown[LM_SHOWN];

	if (lm_source_seekable(t->source)) {
		if (lm_source_seek(t->source, e->offset + at, err) < 0)
			return -1;
	} else if (lm_source_tell(t->source) != e->offset + at)
		return lm_source_fail(t->source, err, LOOM_EARG,
		    "tensor %s comes from a pipe, which can be read only once",
		    lm_shown(shown, e->tensor.name));
	return lm_source_read(t->source, dst, n, err);
}

int
lm_tensors_end(struct lm_source *s, struct loom_error *err)
{
	const unsigned char *p;
	size_t got;

	if (lm_source_peek(s, &p, 1, &got, err) < 0)
		return -1;
	if (got > 0)
		return lm_source_fail(s, err, LOOM_EFORMAT, "goes on after the end of its data");
	return 0;
}

int
lm_tensor_size(const struct loom_tensor *t, const struct lm_dtype **dtype, uint64_t *bytes,
    struct loom_error *err)
{
	char shown[LM_SHOWN];
	uint64_t count;

	*dtype = lm_dtype_find(t->dtype);
	if (*dtype == NULL)
		return lm_fail(err, LOOM_EARG, "tensor %s: %s is no element type",
		    lm_shown(shown, t->name), t->dtype);
	if (t->rank > LOOM_RANK || count_values(t, &count) < 0 ||
	    lm_dtype_bytes(*dtype, count, bytes) < 0 || *bytes > SIZE_MAX / 2)
		return lm_fail(err, LOOM_EARG, "tensor %s is too large", lm_shown(shown, t->name));
	return 0;
}

/* ---- open ---- */

static int
start(struct loom_tensors *t, struct loom_error *err)
{
	t->format = lm_format_sniff(t->source, LM_HOLDS_TENSORS, err);
	if (t->format == NULL)
		return -1;
	if (!(t->format->can & LM_PIPE) && lm_source_spool(t->source, err) < 0)
		return -1;
	return t->format->index(t, err);
}

int
lm_tensors_open(struct loom_tensors **out, struct lm_source *source, struct loom_error *err)
{
	struct loom_tensors *t = lm_alloc(1, sizeof(*t), err);

	*out = NULL;
	if (t == NULL) {
		lm_source_free(source);
		return -1;
	}
	t->source = source;
	t->fetch = lm_tensors_fetch;
	if (start(t, err) < 0) {
		(void)lm_fail_in(err, lm_source_name(source));
		loom_tensors_free(t);
		return -1;
	}
	*out = t;
	return 0;
}

int
loom_tensors_open(struct loom_tensors **out, const char *path, struct loom_error *err)
{
	struct lm_source *source;

	*out = NULL;
	if (lm_source_open(&source, path, err) < 0)
		return -1;
	return lm_tensors_open(out, source, err);
}

void
loom_tensors_free(struct loom_tensors *t)
{
	size_t i;

	if (t == NULL)
		return;
	if (t->close != NULL)
		t->close(t);
	for (i = 0; i < t->n; i++) {
		lm_free(t->entries[i].ordered);
		lm_free(t->entries[i].loaded);
	}
	lm_free(t->entries);
	lm_source_free(t->source);
	lm_arena_release(&t->arena);
	lm_free(t);
}

const char *
loom_tensors_format(const struct loom_tensors *t)
{
	return t->format->name;
}

size_t
loom_tensors_count(const struct loom_tensors *t)
{
	return t->n;
}

struct loom_tensor
loom_tensors_at(const struct loom_tensors *t, size_t i)
{
	return t->entries[i].tensor;
}

/* ---- values ---- */

/* From big-endian, in place. */
static void
swap_bytes(unsigned char *p, size_t n, size_t size)
{
	size_t i, j;
	unsigned char c;

	for (i = 0; i < n; i++, p += size)
		for (j = 0; j < size / 2; j++) {
			c = p[j];
			p[j] = p[size - 1 - j];
			p[size - 1 - j] = c;
		}
}

/* All bytes of an entry as stored, in memory that grows as they come. */
static unsigned char *
fetch_all(struct loom_tensors *t, struct lm_entry *e, struct loom_error *err)
{
	uint64_t done = 0, room = 0;
	unsigned char *all = NULL, *grown;

	do {
		room = room > 0 ? room * 2 : PIECE;
		room = room < e->bytes ? room : e->bytes;
		grown = room <= SIZE_MAX / 2 ? lm_resize(all, (size_t)room, 1, err) : NULL;
		if (grown == NULL) {
			(void)lm_fail(err, LOOM_ENOMEM, "no memory for %ju bytes", (uintmax_t)room);
			goto fail;
		}
		all = grown;
		if (t->fetch(t, e, done, all + done, (size_t)(room - done), err) < 0)
			goto fail;
		done = room;
	} while (done < e->bytes);
	if (e->swap)
		swap_bytes(all, (size_t)e->count, e->dtype->bits / 8);
	return all;
fail:
	lm_free(all);
	return NULL;
}

/* The elements of src, whose first axis is fastest, in C order. */
static void
reorder(unsigned char *dst, const unsigned char *src, const struct lm_entry *e)
{
	size_t size = e->dtype->bits / 8, stride[LOOM_RANK], i, from = 0;
	uint64_t at[LOOM_RANK] = { 0 };
	unsigned axis, rank = e->tensor.rank;

	for (axis = 0, stride[0] = size; axis + 1 < rank; axis++)
		stride[axis + 1] = stride[axis] * (size_t)e->tensor.shape[axis];
	for (i = 0; i < e->count; i++) {
		memcpy(dst + i * size, src + from, size);
		for (axis = rank; axis-- > 0;) {
			from += stride[axis];
			if (++at[axis] < e->tensor.shape[axis])
				break;
			from -= stride[axis] * (size_t)at[axis];
			at[axis] = 0;
		}
	}
}

/* All values in C order and little-endian. */
static unsigned char *
load_values(struct loom_tensors *t, struct lm_entry *e, struct loom_error *err)
{
	unsigned char *all = fetch_all(t, e, err), *ordered;

	if (all == NULL || !e->fortran || e->count == 0)
		return all;
	ordered = lm_alloc((size_t)e->bytes, 1, err);
	if (ordered != NULL)
		reorder(ordered, all, e);
	lm_free(all);
	return ordered;
}

static int
read_values(struct loom_tensors *t, struct lm_entry *e, unsigned char *dst, size_t n,
    struct loom_error *err)
{
	size_t size = e->dtype->bits / 8;

	if (e->fortran && e->ordered == NULL) {
		e->ordered = load_values(t, e, err);
		if (e->ordered == NULL)
			return -1;
	}
	if (e->fortran) {
		memcpy(dst, e->ordered + e->done * size, n * size);
		return 0;
	}
	if (t->fetch(t, e, e->done * size, dst, n * size, err) < 0)
		return -1;
	if (e->swap)
		swap_bytes(dst, n, size);
	return 0;
}

static int
end_of_pipe(struct loom_tensors *t, struct loom_error *err)
{
	return lm_source_seekable(t->source) ? 0 : lm_tensors_end(t->source, err);
}

int
loom_tensors_read(struct loom_tensors *t, size_t i, void *dst, size_t n, struct loom_error *err)
{
	struct lm_entry *e = &t->entries[i];
	char shown[LM_SHOWN];

	if (e->done == e->count)
		e->done = 0;
	if (n > e->count - e->done)
		return lm_fail(err, LOOM_EARG, "tensor %s has no %zu more values",
		    lm_shown(shown, e->tensor.name), n);
	if (n > 0 && read_values(t, e, dst, n, err) < 0)
		return lm_fail_in(err, lm_source_name(t->source));
	e->done += n;
	if (e->done < e->count)
		return 0;
	lm_free(e->ordered);
	e->ordered = NULL;
	return end_of_pipe(t, err);
}

int
loom_tensors_load(struct loom_tensors *t, size_t i, struct loom_tensor *tensor,
    struct loom_error *err)
{
	struct lm_entry *e = &t->entries[i];

	if (e->loaded == NULL) {
		e->loaded = load_values(t, e, err);
		if (e->loaded == NULL || end_of_pipe(t, err) < 0)
			return lm_fail_in(err, lm_source_name(t->source));
	}
	*tensor = e->tensor;
	tensor->data = e->loaded;
	return 0;
}

int
loom_tensors_rewindable(struct loom_tensors *t, struct loom_error *err)
{
	if (lm_source_seekable(t->source))
		return 0;
	/* Only a single array is read from a pipe: what is left of it is its data. */
	if (lm_source_spool(t->source, err) < 0)
		return -1;
	t->entries[0].offset = 0;
	if (lm_source_claim(t->source, t->entries[0].bytes, err) < 0)
		return -1;
	if (lm_source_skip(t->source, t->entries[0].bytes, err) < 0)
		return -1;
	return lm_tensors_end(t->source, err);
}

int
loom_tensors_finish(struct loom_tensors *t, struct loom_error *err)
{
	struct lm_entry *e = t->entries;
	uint64_t end;

	if (lm_source_seekable(t->source) || t->n == 0)
		return 0;
	end = e->offset + e->bytes;
	if (lm_source_tell(t->source) < end &&
	    lm_source_skip(t->source, end - lm_source_tell(t->source), err) < 0)
		return -1;
	return lm_tensors_end(t->source, err);
}

/* ---- one tensor ---- */

int
loom_tensor_hash(const struct loom_tensor *t, char hex[65], struct loom_error *err)
{
	const struct lm_dtype *dtype;
	uint64_t bytes;

	if (lm_tensor_size(t, &dtype, &bytes, err) < 0)
		return -1;
	return lm_hash_of(t->data, (size_t)bytes, hex, err);
}

char *
loom_tensor_describe(const struct loom_tensor *t, char *dst, size_t size)
{
	size_t used;
	unsigned i;

	(void)snprintf(dst, size, "%s [", t->dtype);
	for (i = 0; i < t->rank; i++) {
		used = strlen(dst);
		(void)snprintf(dst + used, size - used, "%s%ju", i > 0 ? ", " : "",
		    (uintmax_t)t->shape[i]);
	}
	used = strlen(dst);
	(void)snprintf(dst + used, size - used, "]");
	return dst;
}

/* ---- writing ---- */

static int
write_all(struct lm_sink *sink, const struct lm_format_ops *f, const struct loom_tensor *t,
    size_t n, struct loom_error *err)
{
	if (f->write_tensors(sink, t, n, err) < 0)
		return -1;
	return lm_sink_commit(sink, err);
}

int
loom_tensors_writes(const char *format, struct loom_error *err)
{
	const struct lm_format_ops *f = lm_format_find(format);
	char names[256] = "", shown[LM_SHOWN];
	size_t i, used = 0;

	if (f != NULL && f->write_tensors != NULL)
		return 0;
	for (i = 0; (f = lm_format_at(i)) != NULL && used < sizeof(names); i++)
		if (f->write_tensors != NULL)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
			    used > 0 ? ", " : "", f->name);
	return lm_fail(err, LOOM_EARG,
	    "format %s is not one that tensors are written in (expected one of: %s)",
	    lm_shown(shown, format), names);
}

int
loom_tensors_write(const char *path, const char *format, const struct loom_tensor *t, size_t n,
    struct loom_error *err)
{
	const struct lm_format_ops *f = lm_format_find(format);
	struct lm_sink *sink;
	int r;

	if (loom_tensors_writes(format, err) < 0 || lm_sink_open(&sink, path, err) < 0)
		return -1;
	r = write_all(sink, f, t, n, err);
	lm_sink_free(sink);
	return r;
}
