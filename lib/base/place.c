/* place: files that appear together, or not at all. */
#define _GNU_SOURCE /* mkdtemp */
#include "base/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/source.h"

enum { MOST = 10000, PIECE = 1 << 16 }; /* files */

struct lm_place {
	struct lm_arena arena;
	char shown[256];
	const char *final; /* the caller's or ours; NULL: standard output */
	const char *name;  /* the last component of final, or what stands for it */
	char *room;	   /* the directory meanwhile */
	char *path;	   /* the output within it, or the same */
	int directory, made, synced;
	int through; /* final is standard output, a device or a pipe: it is written, not replaced */
	size_t n;
	char **files; /* paths within room, n of them */
};

static char *
join(struct lm_place *p, const char *a, const char *between, const char *b, struct loom_error *err)
{
	size_t n = strlen(a) + strlen(between) + strlen(b) + 1;
	char *s = lm_arena_alloc(&p->arena, n, 1, err);

	if (s != NULL)
		(void)snprintf(s, n, "%s%s%s", a, between, b);
	return s;
}

/* The directory that path stands in, with its slash, or "". */
static char *
parent(struct lm_place *p, const char *path, struct loom_error *err)
{
	const char *slash = strrchr(path, '/');
	char *s = lm_arena_string(&p->arena, path, err);

	if (s != NULL)
		s[slash != NULL ? slash - path + 1 : 0] = '\0';
	return s;
}

/* 1: somebody has put something into the directory. */
static int
is_used(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int used = 0;

	while (dir != NULL && !used && (entry = readdir(dir)) != NULL)
		used = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (dir != NULL)
		(void)closedir(dir);
	return used;
}

static int
check_free(const struct lm_place *p, struct loom_error *err)
{
	struct stat st;

	if (stat(p->final, &st) < 0)
		return 0;
	if (p->directory && S_ISDIR(st.st_mode))
		return !is_used(p->final)
		    ? 0
		    : lm_fail_sys(err, ENOTEMPTY, "cannot make it, name another or remove it");
	if (p->directory)
		return lm_fail_sys(err, ENOTDIR, "cannot make it");
	return S_ISDIR(st.st_mode) ? lm_fail_sys(err, EISDIR, "cannot write it") : 0;
}

static char *
without_slashes(struct lm_place *p, const char *path, struct loom_error *err)
{
	char *s = lm_arena_string(&p->arena, path, err);
	size_t n;

	for (n = s != NULL ? strlen(s) : 0; n > 1 && s[n - 1] == '/'; n--)
		s[n - 1] = '\0';
	return s;
}

/* A device, a pipe: something that is there and is neither a file nor a directory. */
static int
is_node(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int
settle_names(struct lm_place *p, const char *path, struct loom_error *err)
{
	const char *slash, *dir = getenv("TMPDIR");

	if (p->directory && path == NULL)
		return lm_fail(err, LOOM_EARG,
		    "cannot be the directory that this format is: name one with -o");
	p->through = !p->directory && (path == NULL || is_node(path));
	if (p->through) {
		p->final = path;
		p->name = "output";
		p->room = join(p, dir != NULL && dir[0] != '\0' ? dir : "/tmp", "/", "loom.XXXXXX",
		    err);
		return p->room != NULL ? 0 : -1;
	}
	p->final = without_slashes(p, path, err);
	if (p->final == NULL)
		return -1;
	slash = strrchr(p->final, '/');
	p->name = slash != NULL ? slash + 1 : p->final;
	dir = parent(p, p->final, err);
	if (dir == NULL)
		return -1;
	dir = join(p, dir, ".", p->name, err);
	p->room = dir != NULL ? join(p, dir, "", ".XXXXXX", err) : NULL;
	if (p->room == NULL)
		return -1;
	if (p->name[0] == '\0' || strcmp(p->name, ".") == 0 || strcmp(p->name, "..") == 0)
		return lm_fail_sys(err, ENOENT, "cannot make it");
	return check_free(p, err);
}

static int
open_place(struct lm_place *p, const char *path, struct loom_error *err)
{
	if (settle_names(p, path, err) < 0)
		return -1;
	p->files = lm_arena_alloc(&p->arena, MOST, sizeof(*p->files), err);
	if (p->files == NULL)
		return -1;
	if (mkdtemp(p->room) == NULL)
		return lm_fail_sys(err, errno, "cannot make a directory for it");
	p->made = 1;
	lm_sink_doom(NULL, p->room);
	p->path = p->directory ? p->room : join(p, p->room, "/", p->name, err);
	return p->path != NULL ? 0 : -1;
}

int
lm_place_open(struct lm_place **out, const char *path, int directory, struct loom_error *err)
{
	struct lm_place *p = lm_alloc(1, sizeof(*p), err);

	*out = NULL;
	if (p == NULL)
		return -1;
	p->directory = directory;
	lm_tail(p->shown, sizeof(p->shown), path != NULL ? path : "standard output");
	if (open_place(p, path, err) < 0) {
		(void)lm_fail_in(err, p->shown);
		lm_place_free(p);
		return -1;
	}
	*out = p;
	return 0;
}

int
lm_place_file(struct lm_place *p, const char *name, struct lm_sink **out, struct loom_error *err)
{
	char *path;

	*out = NULL;
	if (p->n == MOST)
		return lm_fail(err, LOOM_EUNSUPPORTED, "more than %d files", MOST);
	if (p->through && name[0] != '\0')
		return lm_fail(err, LOOM_EARG,
		    "takes more than one file: standard output, a pipe and a device hold one, use -o FILE");
	path = p->directory ? join(p, p->room, "/", name, err) : join(p, p->path, "", name, err);
	if (path == NULL || lm_sink_open(out, path, err) < 0)
		return -1;
	lm_sink_leave_unsynced(*out);
	lm_sink_doom(NULL, path);
	p->files[p->n++] = path;
	path = join(p, p->shown, p->directory ? "/" : "", name, err);
	if (path == NULL)
		return -1;
	lm_sink_call(*out, path);
	return 0;
}

const char *
lm_place_name(struct lm_place *p, const char *suffix, struct loom_error *err)
{
	return p->directory ? suffix : join(p, p->name, "", suffix, err);
}

const char *
lm_place_path(const struct lm_place *p)
{
	return p->path;
}

/* ---- the end ---- */

static int
sync_file(const char *path, struct loom_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return lm_fail_sys(err, errno, "cannot open it again");
	r = fsync(fd) < 0 ? lm_fail_sys(err, errno, "cannot sync it") : 0;
	(void)close(fd);
	return r;
}

int
lm_place_sync(struct lm_place *p, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < p->n && !p->through && !p->synced; i++)
		if (sync_file(p->files[i], err) < 0)
			return lm_fail_in(err, p->shown);
	p->synced = 1;
	return 0;
}

static int
copy_out(const struct lm_place *p, struct loom_error *err)
{
	struct lm_source *from;
	struct lm_sink *to = NULL;
	char piece[PIECE];
	size_t got = 1;
	int r;

	if (lm_source_open(&from, p->path, err) < 0)
		return -1;
	r = lm_sink_open(&to, p->final, err);
	while (r == 0 && got > 0) {
		r = lm_source_some(from, piece, sizeof(piece), &got, err);
		if (r == 0)
			r = lm_sink_write(to, piece, got, err);
	}
	if (r == 0)
		r = lm_sink_commit(to, err);
	lm_sink_free(to);
	lm_source_free(from);
	return r;
}

/* The directory itself takes the name; one that is there must be empty. */
static int
rename_directory(struct lm_place *p, struct loom_error *err)
{
	mode_t mask = umask(0);

	(void)umask(mask);
	(void)chmod(p->room, 0777 & ~mask);
	if (rename(p->room, p->final) < 0)
		return lm_fail_sys(err, errno, "cannot put the directory in place");
	lm_sink_doom(p->room, NULL);
	p->made = 0;
	return 0;
}

/* In the order in which they were made but the output itself, which is last. */
static int
rename_files(struct lm_place *p, struct loom_error *err)
{
	size_t base = strlen(p->path), i;
	const char *to;
	int last;

	for (last = 0; last < 2; last++)
		for (i = 0; i < p->n; i++) {
			if ((p->files[i][base] == '\0') != last)
				continue;
			to = join(p, p->final, "", p->files[i] + base, err);
			if (to == NULL)
				return -1;
			if (rename(p->files[i], to) < 0)
				return lm_fail_sys(err, errno, "cannot rename it into place");
		}
	return 0;
}

int
lm_place_commit(struct lm_place *p, struct loom_error *err)
{
	int r;

	if (p->through)
		return copy_out(p, err);
	if (lm_place_sync(p, err) < 0)
		return -1;
	r = p->directory ? rename_directory(p, err) : rename_files(p, err);
	return r < 0 ? lm_fail_in(err, p->shown) : 0;
}

void
lm_place_free(struct lm_place *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n; i++) {
		if (p->made)
			(void)unlink(p->files[i]);
		lm_sink_doom(p->files[i], NULL);
	}
	if (p->made) {
		(void)rmdir(p->room);
		lm_sink_doom(p->room, NULL);
	}
	lm_arena_release(&p->arena);
	lm_free(p);
}
