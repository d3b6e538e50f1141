#include "turns.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double
seconds_of(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The clock is read seldom enough to cost nothing: at most about sixty times. */
static int
run(const struct contestant *c, double seconds)
{
	double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), begun = seconds_of(CLOCK_MONOTONIC);
	double wall, last = 0;
	uint64_t calls = 0, i, step = 1;

	do {
		for (i = 0; i < step; i++)
			if (c->call(c->context) < 0)
				return -1;
		calls += step;
		wall = seconds_of(CLOCK_MONOTONIC) - begun;
		if (wall - last < seconds / 64)
			step *= 2;
		last = wall;
	} while (wall < seconds);
	printf("%ju %.9g %.9g\n", (uintmax_t)calls, seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu,
	    wall);
	return 0;
}

static int
save(const struct contestant *c, const char *path)
{
	size_t bytes, put;
	const void *result = c->result(c->context, &bytes);
	FILE *file = fopen(path, "wb");

	if (file == NULL) {
		perror(path);
		return -1;
	}
	put = fwrite(result, 1, bytes, file);
	if (fclose(file) != 0 || put != bytes) {
		perror(path);
		return -1;
	}
	printf("saved %zu\n", bytes);
	return 0;
}

/* getrusage's is no use: it begins with what the process that started us had. */
static int
peak(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long kilobytes = 0;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmHWM: %lu", &kilobytes) == 1)
			break;
	if (file != NULL)
		(void)fclose(file);
	printf("%ju\n", (uintmax_t)kilobytes * 1024);
	return 0;
}

static int
tell(const struct contestant *c)
{
	if (c->tell != NULL)
		c->tell(c->context);
	printf("\n");
	return 0;
}

static int
obey(const struct contestant *c, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "run ", 4) == 0)
		return run(c, strtod(line + 4, NULL));
	if (strncmp(line, "save ", 5) == 0)
		return save(c, line + 5);
	if (strcmp(line, "peak") == 0)
		return peak();
	if (strcmp(line, "tell") == 0)
		return tell(c);
	fprintf(stderr, "%s: not something that can be asked\n", line);
	return -1;
}

int
turns_obey(const struct contestant *c, const char *about)
{
	char line[4096];

	if (c->call(c->context) < 0)
		return 3;
	printf("ready %s\n", about);
	(void)fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (obey(c, line) < 0)
			return 3;
		(void)fflush(stdout);
	}
	return 0;
}
