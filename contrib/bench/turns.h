/*
 * turns: what the contestants of a bench obey, a line each on standard input:
 *
 *	run SECONDS	call until so much time has passed, once at least;
 *			answers "CALLS CPU WALL", the seconds being those of all calls together
 *	save PATH	write the last call's result as it lies in memory; answers "saved BYTES"
 *	peak		answers the most memory that the process had, in bytes
 *	tell		answers what else there is to say, in one line
 *
 * So one who starts several of them can let them work by turns.  CPU is the whole process's.
 */
#ifndef TURNS_H
#define TURNS_H

#include <stddef.h>

struct contestant {
	void *context;
	int (*call)(void *context); /* 0, or -1 with the reason on standard error */
	const void *(*result)(void *context, size_t *bytes);
	void (*tell)(void *context); /* prints, without a newline; NULL: nothing to say */
};

/* After one call that warms up, prints "ready ABOUT" and obeys; the process's exit status. */
int turns_obey(const struct contestant *, const char *about);

#endif
