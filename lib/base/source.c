/* source: one stream of bytes to read, from a file, a pipe or memory. */
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include "base/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define WINDOW ((size_t)1 << 18) /* of the buffer; peeks are at most a quarter of it */
#define PIECE ((size_t)1 << 20)	 /* memory for a pipe grows by as much, and files are copied so */

struct lm_source {
	char name[256];
	char *path; /* of a regular file, or NULL */
	int fd;	    /* -1: memory alone */
	int seekable;
	uint64_t size; /* where seekable */
	uint64_t base; /* position of buf[0] */
	const unsigned char *buf;
	size_t at, len;	       /* next byte and end within buf */
	unsigned char *window; /* our own buffer, or NULL */
	struct lm_buf whole;   /* what lm_source_all read from a pipe */
	void *map;
	size_t map_len;
};

/* More room in a pipe, where there is such a thing, for both sides to work at once; it does without. */
static void
widen_pipe(int fd)
{
#ifdef F_SETPIPE_SZ
	(void)fcntl(fd, F_SETPIPE_SZ, (int)PIECE);
#else
	(void)fd;
#endif
}

static int
start(struct lm_source *s, struct loom_error *err)
{
	struct stat st;
	off_t here;

	if (fstat(s->fd, &st) < 0)
		return lm_fail_sys(err, errno, "cannot look at it");
	if (S_ISDIR(st.st_mode))
		return lm_fail_sys(err, EISDIR, "cannot read it");
	if (S_ISFIFO(st.st_mode))
		widen_pipe(s->fd);
	here = S_ISREG(st.st_mode) ? lseek(s->fd, 0, SEEK_CUR) : -1;
	if (here == 0) {
		s->seekable = 1;
		s->size = (uint64_t)st.st_size;
	}
	s->window = lm_alloc(WINDOW, 1, err);
	s->buf = s->window;
	return s->window != NULL ? 0 : -1;
}

int
lm_source_descriptor(struct lm_source **out, int descriptor, const char *name,
    struct loom_error *err)
{
	struct lm_source *s;

	*out = NULL;
	s = lm_alloc(1, sizeof(*s), err);
	if (s == NULL) {
		if (descriptor > STDIN_FILENO)
			(void)close(descriptor);
		return -1;
	}
	lm_tail(s->name, sizeof(s->name), name);
	lm_buf_init(&s->whole, SIZE_MAX / 4);
	s->fd = descriptor;
	if (start(s, err) < 0) {
		(void)lm_fail_in(err, s->name);
		lm_source_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

static int
keep_path(struct lm_source *s, const char *path, struct loom_error *err)
{
	size_t n = strlen(path) + 1;

	s->path = lm_alloc(n, 1, err);
	if (s->path == NULL)
		return -1;
	memcpy(s->path, path, n);
	return 0;
}

int
lm_source_open(struct lm_source **out, const char *path, struct loom_error *err)
{
	char name[sizeof((*out)->name)];
	int fd;

	*out = NULL;
	if (strcmp(path, "-") == 0)
		return lm_source_descriptor(out, STDIN_FILENO, "<stdin>", err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		(void)lm_fail_sys(err, errno, "cannot open it");
		lm_tail(name, sizeof(name), path);
		return lm_fail_in(err, name);
	}
	if (lm_source_descriptor(out, fd, path, err) < 0)
		return -1;
	if (!(*out)->seekable || keep_path(*out, path, err) == 0)
		return 0;
	lm_source_free(*out);
	*out = NULL;
	return -1;
}

int
lm_source_memory(struct lm_source **out, const void *p, size_t size, const char *name,
    struct loom_error *err)
{
	struct lm_source *s = lm_alloc(1, sizeof(*s), err);

	*out = s;
	if (s == NULL)
		return -1;
	lm_tail(s->name, sizeof(s->name), name);
	lm_buf_init(&s->whole, SIZE_MAX / 4);
	s->fd = -1;
	s->seekable = 1;
	s->size = s->len = size;
	s->buf = p;
	return 0;
}

void
lm_source_free(struct lm_source *s)
{
	if (s == NULL)
		return;
	if (s->fd > STDIN_FILENO)
		(void)close(s->fd);
	if (s->map != NULL)
		(void)munmap(s->map, s->map_len);
	lm_buf_release(&s->whole);
	lm_free(s->window);
	lm_free(s->path);
	lm_free(s);
}

const char *
lm_source_name(const struct lm_source *s)
{
	return s->name;
}

const char *
lm_source_path(const struct lm_source *s)
{
	return s->path;
}

uint64_t
lm_source_tell(const struct lm_source *s)
{
	return s->base + s->at;
}

int
lm_source_size(const struct lm_source *s, uint64_t *size)
{
	if (s->seekable)
		*size = s->size;
	return s->seekable;
}

int
lm_source_fail(struct lm_source *s, struct loom_error *err, enum loom_code code, const char *fmt,
    ...)
{
	char text[sizeof(err->text)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)lm_fail(err, code, "%s", text);
	return lm_fail_at(err, s->name, lm_source_tell(s));
}

/* Read once from the descriptor; *got is 0 at the end. */
static int
pull(struct lm_source *s, void *dst, size_t n, size_t *got, struct loom_error *err)
{
	ssize_t r = 0;

	*got = 0;
	if (s->fd < 0)
		return 0;
	do
		r = read(s->fd, dst, n);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		(void)lm_fail_sys(err, errno, "cannot read it");
		return lm_fail_at(err, s->name, s->base + s->len);
	}
	*got = (size_t)r;
	return 0;
}

/* Have at least n bytes in the window if they exist. */
static int
fill(struct lm_source *s, size_t n, struct loom_error *err)
{
	size_t got = 1;

	if (s->len - s->at >= n || s->window == NULL)
		return 0;
	if (s->at > 0) {
		memmove(s->window, s->window + s->at, s->len - s->at);
		s->base += s->at;
		s->len -= s->at;
		s->at = 0;
	}
	while (s->len < n && got > 0) {
		if (pull(s, s->window + s->len, WINDOW - s->len, &got, err) < 0)
			return -1;
		s->len += got;
	}
	return 0;
}

int
lm_source_peek(struct lm_source *s, const unsigned char **p, size_t n, size_t *got,
    struct loom_error *err)
{
	if (fill(s, n, err) < 0)
		return -1;
	*p = s->buf + s->at;
	*got = s->len - s->at < n ? s->len - s->at : n;
	return 0;
}

int
lm_source_some(struct lm_source *s, void *dst, size_t n, size_t *got, struct loom_error *err)
{
	size_t have = s->len - s->at;

	if (have == 0 && n >= WINDOW && s->window != NULL) { /* past the window */
		s->base += s->len;
		s->at = s->len = 0;
		if (pull(s, dst, n, got, err) < 0)
			return -1;
		s->base += *got;
		return 0;
	}
	if (have == 0 && fill(s, 1, err) < 0)
		return -1;
	have = s->len - s->at;
	*got = have < n ? have : n;
	if (dst != NULL && *got > 0)
		memcpy(dst, s->buf + s->at, *got);
	s->at += *got;
	return 0;
}

int
lm_source_read(struct lm_source *s, void *dst, size_t n, struct loom_error *err)
{
	unsigned char *p = dst;
	size_t done, got;

	for (done = 0; done < n; done += got) {
		if (lm_source_some(s, p + done, n - done, &got, err) < 0)
			return -1;
		if (got == 0)
			return lm_source_fail(s, err, LOOM_ETRUNCATED, "ends %zu bytes early",
			    n - done);
	}
	return 0;
}

int
lm_source_skip(struct lm_source *s, uint64_t n, struct loom_error *err)
{
	size_t got, piece;

	if (lm_source_claim(s, n, err) < 0)
		return -1;
	if (s->seekable)
		return lm_source_seek(s, lm_source_tell(s) + n, err);
	for (; n > 0; n -= got) {
		piece = n < WINDOW / 2 ? (size_t)n : WINDOW / 2;
		if (lm_source_some(s, NULL, piece, &got, err) < 0)
			return -1;
		if (got == 0)
			return lm_source_fail(s, err, LOOM_ETRUNCATED, "ends %ju bytes early",
			    (uintmax_t)n);
	}
	return 0;
}

int
lm_source_line(struct lm_source *s, struct lm_buf *buf, size_t most, struct loom_error *err)
{
	const unsigned char *p, *end = NULL;
	size_t have;

	lm_buf_clear(buf);
	while (end == NULL) {
		if (fill(s, 1, err) < 0)
			return -1;
		p = s->buf + s->at;
		have = s->len - s->at;
		if (have == 0 && buf->len == 0)
			return 0;
		if (have == 0)
			return lm_source_fail(s, err, LOOM_ETRUNCATED, "ends within a line");
		end = memchr(p, '\n', have);
		if (end != NULL)
			have = (size_t)(end - p);
		if (have > most - buf->len)
			return lm_source_fail(s, err, LOOM_EFORMAT, "line of more than %zu bytes",
			    most);
		if (lm_buf_add(buf, p, have, err) < 0)
			return -1;
		s->at += have + (end != NULL);
	}
	return 1;
}

int
lm_source_claim(struct lm_source *s, uint64_t n, struct loom_error *err)
{
	uint64_t here = lm_source_tell(s), left = here < s->size ? s->size - here : 0;

	if (!s->seekable || n <= left)
		return 0;
	return lm_source_fail(s, err, LOOM_ETRUNCATED, "ends %ju bytes early",
	    (uintmax_t)(n - left));
}

int
lm_source_seekable(const struct lm_source *s)
{
	return s->seekable;
}

int
lm_source_seek(struct lm_source *s, uint64_t position, struct loom_error *err)
{
	if (position >= s->base && position - s->base <= s->len) {
		s->at = (size_t)(position - s->base);
		return 0;
	}
	if (s->fd < 0 || !s->seekable)
		return lm_source_fail(s, err, LOOM_ETRUNCATED, "cannot go to byte %ju",
		    (uintmax_t)position);
	if (lseek(s->fd, (off_t)position, SEEK_SET) < 0) {
		(void)lm_fail_sys(err, errno, "cannot go to byte %ju", (uintmax_t)position);
		return lm_fail_in(err, s->name);
	}
	s->base = position;
	s->at = s->len = 0;
	return 0;
}

/* From the descriptor at a place of its own. */
static int
pread_all(const struct lm_source *s, uint64_t position, unsigned char *dst, size_t n,
    struct loom_error *err)
{
	ssize_t r;

	for (; n > 0; dst += r, position += (uint64_t)r, n -= (size_t)r) {
		r = pread(s->fd, dst, n, (off_t)position);
		if (r < 0 && errno == EINTR)
			r = 0;
		else if (r < 0) {
			(void)lm_fail_sys(err, errno, "cannot read it");
			return lm_fail_at(err, s->name, position);
		} else if (r == 0) {
			(void)lm_fail(err, LOOM_ETRUNCATED, "ends %zu bytes early", n);
			return lm_fail_at(err, s->name, position);
		}
	}
	return 0;
}

int
lm_source_at(const struct lm_source *s, uint64_t position, void *dst, size_t n,
    struct loom_error *err)
{
	if (n == 0)
		return 0;
	if (!s->seekable || position > s->size || n > s->size - position) {
		(void)lm_fail(err, LOOM_ETRUNCATED, "no %zu bytes at %ju", n, (uintmax_t)position);
		return lm_fail_at(err, s->name, position);
	}
	if (s->fd >= 0)
		return pread_all(s, position, dst, n, err);
	memcpy(dst, s->buf + position, n);
	return 0;
}

/* By pieces that stay in a cache, which no way of the system to copy files by itself is faster than. */
int
lm_source_send(const struct lm_source *s, uint64_t position, uint64_t n, struct lm_sink *sink,
    struct loom_error *err)
{
	size_t some = n < PIECE ? (size_t)n : PIECE;
	unsigned char *piece = lm_alloc(some, 1, err);
	int r = piece != NULL ? 0 : -1;

	for (; r == 0 && n > 0; n -= some, position += some) {
		some = n < PIECE ? (size_t)n : PIECE;
		r = lm_source_at(s, position, piece, some, err);
		if (r == 0)
			r = lm_sink_write(sink, piece, some, err);
	}
	lm_free(piece);
	return r;
}

static int
write_all(int fd, const unsigned char *p, size_t n)
{
	ssize_t w;

	for (; n > 0; p += w, n -= (size_t)w) {
		w = write(fd, p, n);
		if (w < 0 && errno == EINTR)
			w = 0;
		if (w < 0)
			return -1;
	}
	return 0;
}

static int
temporary(struct loom_error *err)
{
	const char *dir = getenv("TMPDIR");
	char path[4096];
	int fd, n;

	n = snprintf(path, sizeof(path), "%s/loom.XXXXXX",
	    dir != NULL && dir[0] != '\0' ? dir : "/tmp");
	if (n < 0 || (size_t)n >= sizeof(path))
		return lm_fail(err, LOOM_EARG, "TMPDIR is too long");
	fd = mkstemp(path);
	if (fd < 0)
		return lm_fail_sys(err, errno, "cannot make the temporary file %s", path);
	(void)unlink(path);
	return fd;
}

static int
spool_into(struct lm_source *s, int fd, struct loom_error *err)
{
	uint64_t size = 0;

	while (s->len > s->at) {
		if (write_all(fd, s->buf + s->at, s->len - s->at) < 0)
			return lm_fail_sys(err, errno, "cannot write a temporary file");
		size += s->len - s->at;
		s->at = s->len;
		if (fill(s, 1, err) < 0)
			return -1;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return lm_fail_sys(err, errno, "cannot rewind a temporary file");
	s->size = size;
	return 0;
}

int
lm_source_spool(struct lm_source *s, struct loom_error *err)
{
	int fd;

	if (s->seekable)
		return 0;
	fd = temporary(err);
	if (fd < 0)
		return lm_fail_in(err, s->name);
	if (fill(s, 1, err) < 0 || spool_into(s, fd, err) < 0) {
		(void)close(fd);
		return lm_fail_in(err, s->name);
	}
	if (s->fd > STDIN_FILENO)
		(void)close(s->fd);
	s->fd = fd;
	s->seekable = 1;
	s->base = 0;
	s->at = s->len = 0;
	return 0;
}

static int
map(struct lm_source *s, const unsigned char **p, size_t *size)
{
	uint64_t here = lm_source_tell(s);
	void *m;

	if (s->fd < 0 || !s->seekable || here >= s->size || s->size > SIZE_MAX / 2)
		return -1;
	m = mmap(NULL, (size_t)s->size, PROT_READ, MAP_PRIVATE, s->fd, 0);
	if (m == MAP_FAILED)
		return -1;
	s->map = m;
	s->map_len = (size_t)s->size;
	*p = (const unsigned char *)m + here;
	*size = (size_t)(s->size - here);
	return 0;
}

/* What is left of a pipe, in memory that grows as it arrives. */
static int
slurp(struct lm_source *s, struct loom_error *err)
{
	size_t got = 1;

	while (got > 0) {
		if (lm_buf_reserve(&s->whole, PIECE, err) < 0 ||
		    lm_source_some(s, s->whole.data + s->whole.len, PIECE, &got, err) < 0)
			return -1;
		s->whole.len += got;
	}
	return 0;
}

int
lm_source_all(struct lm_source *s, const unsigned char **p, size_t *size, struct loom_error *err)
{
	if (s->fd < 0) {
		*p = s->buf + s->at;
		*size = s->len - s->at;
		s->at = s->len;
		return 0;
	}
	if (map(s, p, size) == 0)
		return 0;
	if (slurp(s, err) < 0)
		return lm_fail_in(err, s->name);
	*p = (const unsigned char *)s->whole.data;
	*size = s->whole.len;
	return 0;
}
