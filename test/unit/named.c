/*
 * Files that are written under a temporary name, as on systems without unnamed ones: they appear whole or
 * not at all, and a signal handler can remove what is half written.
 */
#define LM_NAMED_SINKS
#include "../../lib/base/sink.c"

#include <assert.h>
#include <dirent.h>

/* Names in the present folder, without "." and "..". */
static int
names(void)
{
	DIR *dir = opendir(".");
	int n = 0;

	assert(dir != NULL);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n - 2;
}

static void
check_abandoned(void)
{
	struct loom_error err = { 0 };
	struct lm_sink *a, *b;

	assert(lm_sink_open(&a, "a", &err) == 0 && lm_sink_open(&b, "b", &err) == 0);
	assert(names() == 2 && access("a", F_OK) == -1);
	loom_abandon();
	assert(names() == 0);
	lm_sink_free(a);
	lm_sink_free(b);
	assert(lm_sink_open(&a, "a", &err) == 0 && names() == 1);
	lm_sink_free(a);
	assert(names() == 0);
}

static void
check_kept(void)
{
	struct loom_error err = { 0 };
	struct stat st;

	assert(loom_file_write("a", "old", 3, &err) == 0 && chmod("a", 0640) == 0);
	assert(loom_file_write("a", "newer", 5, &err) == 0);
	loom_abandon(); /* what is in place stays */
	assert(names() == 1 && stat("a", &st) == 0 && st.st_size == 5);
	assert((st.st_mode & 0777) == 0640);
	assert(unlink("a") == 0);
}

int
main(void)
{
	char folder[] = "/tmp/loom-named.XXXXXX";

	assert(mkdtemp(folder) != NULL && chdir(folder) == 0);
	check_abandoned();
	check_kept();
	assert(chdir("/") == 0 && rmdir(folder) == 0);
	return 0;
}
