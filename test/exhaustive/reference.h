/*
 * reference: the functions of num/func.h computed by others, the C library in binary64 and MPFR,
 * for comparison with ours.
 */
#ifndef EXHAUSTIVE_REFERENCE_H
#define EXHAUSTIVE_REFERENCE_H

#include <mpfr.h>

#include <stddef.h>

/* What a value may be wrong by, relative: far more than a C library's functions are. */
#define NEAR_ERROR 0x1p-42

struct reference {
	const char *name;
	float (*ours)(float);
	size_t map; /* the offset in struct lm_functions */
	double (*near)(double x);
	/* To 320 bits, of a finite x other than 0. */
	void (*exact)(mpfr_t y, const mpfr_t x);
};

extern const struct reference references[];
extern const size_t references_count;

/*
 * f(x) rounded to binary32.  *middle becomes the distance of f(x) from the nearest middle between
 * two values of binary32, relative, where that was asked of MPFR because it is very small.
 */
float reference_of(const struct reference *, float x, double *middle);

#endif
