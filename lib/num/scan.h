/*
 * scan: numbers and numeric arrays of JSON text, straight into binary32.  A decimal becomes the
 * nearest binary64 first and that the nearest binary32, as with any JSON library and a cast.
 */
#ifndef LM_SCAN_H
#define LM_SCAN_H

#include <stddef.h>

/* Where a walk over text stands; the text needs no NUL after it. */
struct lm_scan {
	const char *p, *end;
};

enum lm_scan_stop {
	LM_SCAN_END,   /* the ']' was consumed */
	LM_SCAN_FULL,  /* another value follows, and dst is full */
	LM_SCAN_OTHER, /* what follows is no number, or one beyond binary64 */
	LM_SCAN_BAD    /* after a value, what follows is neither ',' nor ']' */
};

/* Skip JSON's white space. */
void lm_scan_space(struct lm_scan *);

/*
 * The number that JSON's grammar allows here: 0, and the walk stands after it.  One that is too
 * large is an infinity.  -1, and the walk has not moved, if there is none.
 */
int lm_scan_number(struct lm_scan *, double *value) __attribute__((warn_unused_result));

/*
 * Values of an array from inside it, where a value is due: at most room numbers into dst, *n of
 * them.  After LM_SCAN_FULL and LM_SCAN_OTHER the walk stands at the value that was not read.
 */
enum lm_scan_stop lm_scan_floats(struct lm_scan *, float *dst, size_t room, size_t *n)
    __attribute__((warn_unused_result));

/* How many values an array of numbers can have that starts here, at most: its commas and one. */
size_t lm_scan_count(const struct lm_scan *);

#endif
