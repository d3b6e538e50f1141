/* sink: one stream of bytes to write. */
#define _GNU_SOURCE /* O_TMPFILE: a file without a name, which nothing can leave behind */
#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

#define WINDOW ((size_t)1 << 18)

/* Temporary names that exist now, for loom_abandon: more files at once are not worth a signal's while. */
static char *volatile doomed[1024];

/* The place that holds `from` holds `to` from now on; threads may do so at once. */
void
lm_sink_doom(char *from, char *to)
{
	char *expected;
	size_t i;

	for (i = 0; i < sizeof(doomed) / sizeof(doomed[0]); i++) {
		expected = from;
		if (__atomic_compare_exchange_n(&doomed[i], &expected, to, 0, __ATOMIC_SEQ_CST,
			__ATOMIC_SEQ_CST))
			return;
	}
}

void
loom_abandon(void)
{
	size_t i;

	for (i = 0; i < sizeof(doomed) / sizeof(doomed[0]); i++)
		if (doomed[i] != NULL)
			(void)unlink(doomed[i]);
	for (i = 0; i < sizeof(doomed) / sizeof(doomed[0]); i++)
		if (doomed[i] != NULL)
			(void)rmdir(doomed[i]);
}

struct lm_sink {
	char name[256];	 /* for messages */
	char *path;	 /* the name to take, or NULL */
	char *temporary; /* the name it has meanwhile, or NULL */
	int fd;		 /* -1: memory */
	int named;	 /* temporary exists */
	int unsynced;	 /* someone else waits until it is on the disk */
	uint64_t total;
	struct lm_buf buf;
};

/* The directory of path, with its slash, then ".name" and the pattern that mkstemp wants. */
static char *
temporary_name(const char *path, struct loom_error *err)
{
	const char *slash = strrchr(path, '/');
	size_t dir = slash != NULL ? (size_t)(slash - path) + 1 : 0;
	size_t room = strlen(path) + sizeof("..XXXXXX");
	char *name = lm_alloc(room, 1, err);

	if (name != NULL)
		(void)snprintf(name, room, "%.*s.%s.XXXXXX", (int)dir, path, path + dir);
	return name;
}

static int
open_unnamed(const char *path)
{
#if defined(O_TMPFILE) && !defined(LM_NAMED_SINKS)
	const char *slash = strrchr(path, '/');
	char dir[4096];
	size_t n = slash != NULL ? (size_t)(slash - path) + 1 : 1;

	if (n >= sizeof(dir))
		return -1;
	memcpy(dir, slash != NULL ? path : ".", n);
	dir[n] = '\0';
	return open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
#else
	(void)path;
	return -1;
#endif
}

/* The mode of the file that is replaced, else what the user's umask says. */
static void
usual_mode(int fd, const char *path)
{
	struct stat old;
	mode_t mask = umask(0);

	(void)umask(mask);
	(void)fchmod(fd, stat(path, &old) == 0 ? old.st_mode & 0777 : 0666 & ~mask);
}

static void
name(struct lm_sink *s)
{
	s->named = 1;
	lm_sink_doom(NULL, s->temporary);
}

static int
open_regular(struct lm_sink *s, const char *path, struct loom_error *err)
{
	size_t n = strlen(path) + 1;

	if (n == 1)
		return lm_fail_sys(err, ENOENT, "cannot make it");
	s->path = lm_alloc(n, 1, err);
	s->temporary = temporary_name(path, err);
	if (s->path == NULL || s->temporary == NULL)
		return -1;
	memcpy(s->path, path, n);
	s->fd = open_unnamed(path);
	if (s->fd < 0) {
		s->fd = mkstemp(s->temporary);
		if (s->fd < 0)
			return lm_fail_sys(err, errno, "cannot make it");
		name(s);
	}
	usual_mode(s->fd, path);
	return 0;
}

static int
open_path(struct lm_sink *s, const char *path, struct loom_error *err)
{
	struct stat st;

	if (path == NULL) {
		s->fd = STDOUT_FILENO;
		return 0;
	}
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return open_regular(s, path, err);
	s->fd = open(path, O_WRONLY | O_CLOEXEC);
	return s->fd < 0 ? lm_fail_sys(err, errno, "cannot write to it") : 0;
}

int
lm_sink_open(struct lm_sink **out, const char *path, struct loom_error *err)
{
	struct lm_sink *s = lm_alloc(1, sizeof(*s), err);

	*out = NULL;
	if (s == NULL)
		return -1;
	s->fd = -1;
	lm_tail(s->name, sizeof(s->name), path != NULL ? path : "standard output");
	lm_buf_init(&s->buf, WINDOW);
	if (open_path(s, path, err) < 0) {
		(void)lm_fail_in(err, s->name);
		lm_sink_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

void
lm_sink_call(struct lm_sink *s, const char *name)
{
	lm_tail(s->name, sizeof(s->name), name);
}

int
lm_sink_memory(struct lm_sink **out, struct loom_error *err)
{
	struct lm_sink *s = lm_alloc(1, sizeof(*s), err);

	*out = s;
	if (s == NULL)
		return -1;
	s->fd = -1;
	lm_tail(s->name, sizeof(s->name), "<memory>");
	lm_buf_init(&s->buf, SIZE_MAX / 4);
	return 0;
}

static int
push(struct lm_sink *s, const void *data, size_t n, struct loom_error *err)
{
	const char *p = data;
	ssize_t w;

	for (; n > 0; p += w, n -= (size_t)w) {
		w = write(s->fd, p, n);
		if (w < 0 && errno == EINTR)
			w = 0;
		if (w < 0) {
			(void)lm_fail_sys(err, errno, "cannot write it");
			return lm_fail_in(err, s->name);
		}
	}
	return 0;
}

static int
flush(struct lm_sink *s, struct loom_error *err)
{
	int r = 0;

	if (s->fd >= 0) {
		r = push(s, s->buf.data, s->buf.len, err);
		lm_buf_clear(&s->buf);
	}
	return r;
}

int
lm_sink_write(struct lm_sink *s, const void *data, size_t n, struct loom_error *err)
{
	s->total += n;
	if (s->fd >= 0 && n > WINDOW - s->buf.len && flush(s, err) < 0)
		return -1;
	if (s->fd >= 0 && n >= WINDOW)
		return push(s, data, n, err);
	return lm_buf_add(&s->buf, data, n, err);
}

uint64_t
lm_sink_tell(const struct lm_sink *s)
{
	return s->total;
}

void
lm_sink_leave_unsynced(struct lm_sink *s)
{
	s->unsynced = 1;
}

/* Give an unnamed file its temporary name, so that a rename can put it in place. */
static int
name_it(struct lm_sink *s, struct loom_error *err)
{
	char self[64];
	int fd = mkstemp(s->temporary); /* a name nobody has */

	if (fd < 0)
		return lm_fail_sys(err, errno, "cannot make a temporary name");
	(void)close(fd);
	(void)unlink(s->temporary);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", s->fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, s->temporary, AT_SYMLINK_FOLLOW) < 0)
		return lm_fail_sys(err, errno, "cannot name it");
	name(s);
	return 0;
}

static int
take_name(struct lm_sink *s, struct loom_error *err)
{
	if (!s->unsynced && fsync(s->fd) < 0)
		return lm_fail_sys(err, errno, "cannot sync it");
	if (!s->named && name_it(s, err) < 0)
		return -1;
	if (rename(s->temporary, s->path) < 0)
		return lm_fail_sys(err, errno, "cannot rename it into place");
	s->named = 0;
	lm_sink_doom(s->temporary, NULL);
	return 0;
}

int
lm_sink_commit(struct lm_sink *s, struct loom_error *err)
{
	if (flush(s, err) < 0)
		return -1;
	if (s->path != NULL && take_name(s, err) < 0)
		return lm_fail_in(err, s->name);
	return 0;
}

void *
lm_sink_take(struct lm_sink *s, size_t *size)
{
	void *data = s->buf.data;

	*size = s->buf.len;
	lm_buf_init(&s->buf, s->buf.most);
	return data;
}

void
lm_sink_free(struct lm_sink *s)
{
	if (s == NULL)
		return;
	if (s->fd > STDERR_FILENO)
		(void)close(s->fd);
	if (s->named) {
		(void)unlink(s->temporary);
		lm_sink_doom(s->temporary, NULL);
	}
	lm_buf_release(&s->buf);
	lm_free(s->path);
	lm_free(s->temporary);
	lm_free(s);
}

int
loom_file_write(const char *path, const void *data, size_t n, struct loom_error *err)
{
	struct lm_sink *s;
	int r;

	if (lm_sink_open(&s, path, err) < 0)
		return -1;
	r = lm_sink_write(s, data, n, err);
	if (r == 0)
		r = lm_sink_commit(s, err);
	lm_sink_free(s);
	return r;
}
