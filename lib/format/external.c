/* external: files that another file names. */
#define _GNU_SOURCE /* syscall */
#include "format/external.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

enum { LONGEST = 4096, COMPONENT = 256, FILES = 1000 }; /* bytes of paths and names; at once */

/* ---- names ---- */

/* Why a location is no name of a file in the directory or below it; NULL: it is one. */
static const char *
wrong(const char *location, int subdirs)
{
	const char *p = location, *end;
	size_t n;

	if (strlen(location) >= LONGEST)
		return "is too long";
	if (location[0] == '/')
		return "is an absolute path";
	if (strpbrk(location, "\\:") != NULL)
		return "has a backslash or a colon";
	if (!subdirs && strchr(location, '/') != NULL)
		return "is not the name of a file in the same directory (--allow-subdirs takes "
		       "those below it)";
	for (;; p = end + 1) {
		end = strchr(p, '/');
		n = end != NULL ? (size_t)(end - p) : strlen(p);
		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return "has an empty, . or .. component";
		if (n >= COMPONENT)
			return "is too long";
		if (end == NULL)
			return NULL;
	}
}

/* ---- opening ---- */

/* What the system said, where it says something about the file and not about the machine. */
static int
refuse(int sys, struct loom_error *err)
{
	switch (sys) {
	case ENOENT:
		return lm_fail(err, LOOM_EFORMAT, "is not there");
	case ENOTDIR:
		return lm_fail(err, LOOM_EFORMAT, "is behind something that is no directory");
	case EXDEV:
		return lm_fail(err, LOOM_EFORMAT, "leads out of the directory");
	case ELOOP:
		return lm_fail(err, LOOM_EFORMAT,
		    "is reached through a symbolic link (--follow-symlinks takes those that stay "
		    "within the directory)");
	default:
		return lm_fail_sys(err, sys, "cannot be opened");
	}
}

int
lm_external_walk(int directory, const char *location, struct loom_error *err)
{
	const int how = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	const char *p = location, *end = location;
	char name[COMPONENT] = "";
	int here = directory, next, sys;
	size_t n;

	for (; end != NULL; p = end + 1, here = next) {
		end = strchr(p, '/');
		n = end != NULL ? (size_t)(end - p) : strlen(p);
		if (n < sizeof(name)) {
			memcpy(name, p, n);
			name[n] = '\0';
			next = openat(here, name, how | (end != NULL ? O_DIRECTORY : 0));
		} else {
			next = -1;
			errno = ENAMETOOLONG;
		}
		sys = errno;
		if (here != directory)
			(void)close(here);
		if (next < 0)
			return refuse(sys, err);
	}
	return here;
}

#ifdef SYS_openat2

enum { NO_MAGICLINKS = 0x02, NO_SYMLINKS = 0x04, BENEATH = 0x08 }; /* of the system's resolve */

static int
resolve(int directory, const char *location, int symlinks)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = { O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0,
		BENEATH | NO_MAGICLINKS | (symlinks ? 0 : NO_SYMLINKS) };

	return (int)syscall(SYS_openat2, directory, location, &how, sizeof(how));
}

#else

static int
resolve(int directory, const char *location, int symlinks)
{
	(void)directory;
	(void)location;
	(void)symlinks;
	errno = ENOSYS;
	return -1;
}

#endif

static int
open_beneath(int directory, const char *location, int symlinks, struct loom_error *err)
{
	int fd = resolve(directory, location, symlinks);

	if (fd >= 0)
		return fd;
	if (errno == ENOSYS || errno == EPERM)
		return lm_external_walk(directory, location, err);
	return refuse(errno, err);
}

static int
check_file(int fd, int hardlinks, struct loom_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return lm_fail_sys(err, errno, "cannot be looked at");
	if (!S_ISREG(st.st_mode))
		return lm_fail(err, LOOM_EFORMAT, "is not a regular file");
	if (st.st_nlink != 1 && !hardlinks)
		return lm_fail(err, LOOM_EFORMAT,
		    "has %ju names, so that it may be a file of somewhere else "
		    "(--allow-hardlinks takes it)",
		    (uintmax_t)st.st_nlink);
	return 0;
}

static int
open_directory(struct lm_external *e, struct loom_error *err)
{
	const char *from = e->owner->how.data_dir, *path = lm_source_path(e->beside), *slash;
	char dir[LONGEST];

	if (from == NULL && path == NULL)
		return lm_fail(err, LOOM_EFORMAT,
		    "lies beside a file, but this one comes from no directory: say where "
		    "(--data-dir DIR)");
	slash = from == NULL ? strrchr(path, '/') : NULL;
	if (slash != NULL) {
		if (slash - path + 1 >= LONGEST)
			return lm_fail_sys(err, ENAMETOOLONG, "cannot open its directory");
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
		from = dir;
	}
	e->directory = open(from != NULL ? from : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return e->directory < 0 ? lm_fail_sys(err, errno, "cannot open its directory") : 0;
}

static int
open_file(struct lm_external *e, const char *location, struct lm_source **out,
    struct loom_error *err)
{
	const struct loom_open_options *how = &e->owner->how;
	const char *why = wrong(location, how->subdirs);
	int fd;

	if (why != NULL)
		return lm_fail(err, LOOM_EFORMAT, "%s", why);
	if (e->directory < 0 && open_directory(e, err) < 0)
		return -1;
	fd = open_beneath(e->directory, location, how->symlinks, err);
	if (fd < 0)
		return -1;
	if (check_file(fd, how->hardlinks, err) < 0) {
		(void)close(fd);
		return -1;
	}
	return lm_source_descriptor(out, fd, location, err);
}

/* ---- the files ---- */

void
lm_external_start(struct lm_external *e, struct loom_model *owner, const struct lm_source *beside)
{
	memset(e, 0, sizeof(*e));
	e->owner = owner;
	e->beside = beside;
	e->directory = -1;
}

void
lm_external_stop(struct lm_external *e)
{
	if (e->directory >= 0)
		(void)close(e->directory);
	lm_free(e->files);
}

/* Kept with its name for the next tensor in it. */
static int
keep(struct lm_external *e, const char *location, struct lm_source *source, struct loom_error *err)
{
	struct lm_external_file *wider;

	if (lm_model_add_file(e->owner, source, err) < 0)
		return -1;
	wider = lm_resize(e->files, e->n + 1, sizeof(*wider), err);
	if (wider == NULL)
		return -1;
	e->files = wider;
	wider[e->n].source = source;
	wider[e->n].location = lm_arena_string(&e->owner->arena, location, err);
	return wider[e->n++].location != NULL ? 0 : -1;
}

int
lm_external_file(struct lm_external *e, const char *head, const char *location,
    struct lm_source **out, struct loom_error *err)
{
	struct loom_error inner = { 0 };
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < e->n; i++)
		if (strcmp(e->files[i].location, location) == 0) {
			*out = e->files[i].source;
			return 0;
		}
	if (e->n == FILES)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%sone external file more than %d", head,
		    FILES);
	if (open_file(e, location, out, &inner) == 0)
		return keep(e, location, *out, err);
	if (err->code == LOOM_OK)
		err->sys = inner.sys;
	return lm_fail(err, inner.code, "%sexternal file %s %s", head, lm_shown(shown, location),
	    inner.text);
}
