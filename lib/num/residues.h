/*
 * residues: sums of products by integers modulo small numbers, which int8 tiles multiply exactly.
 *
 * The rows a of x and b of w are scaled by powers of two s and t and rounded: a' = rint(s a),
 * d = s a - a', b' = rint(t b), e = t b - b', all exact in binary64.  X = sum of a'[i]*b'[i] is an
 * integer, and for the wanted sum S
 *
 *	|s t S - X| = |sum of a'[i]*e[i] + d[i]*t*b[i]| <= |a'| |e| + |d| t |b|,
 *
 * |.| of a row being its norm.  The moduli are coprime, M is the product of as many as are used.
 * s and t make |a'| |b'| <= 2^Q < 0.972 M/2, so that X, whose magnitude is less, is known if it is
 * known modulo M.  A norm n as computed is within 2^-29 of the real one; s is chosen so that
 * n (1 + 2^-8) s < 2^q, and |a'| <= s |a| + sqrt(k)/2 < 2^q (1 - 2^-9), which is less than 2^47: an
 * integer fits 48 bits with its sign.
 *
 * Modulo m, tiles multiply r = a' mod m and r' = b' (M/m)^-1 mod m, both within -128..127, for a
 * block of at most 512 terms: C = sum of r*r' is exact and |C| <= 2^23.  By the Chinese remainder
 * theorem X/M of the block differs from the sum of C/m over the moduli by an integer.  1/m = h + l,
 * h a multiple of 2^-33 and |l| <= 2^-34.
 *	The sum of C*h is exact: a multiple of 2^-33 below 12 2^23/217 < 2^19.  So is its fraction, the
 *	rest to the nearest integer, within -1/2..1/2.
 *	The sum of C*l is below 2^-7.4, and its 12 roundings and those of l are worth 0.08 u, u = 2^-53.
 *	Both together are X/M: else they were off by 1 or more, but |X/M| < 0.486 and 0.486 + 0.508 < 1.
 *	So adding them has one rounding of u/4, of a number below 1/2.
 *	By Cauchy and Schwarz the blocks' |a'| |b'| add up to no more than 2^Q.  So their X/M can be
 *	added: all partial sums are below 1/2, with one rounding of u/4 each.
 * Hence F, the sum, is X/M within u for each block, generously.
 *
 * With M^ the binary64 nearest to M and c = M^/(s t), the value t^ = F*c + biases, by one FMA, and
 *
 *	E = (1 + 2^-20) (|a'|/s |e|/t + |d|/s |b|) + (blocks + 2) u c + 4 u (sum of |biases|):
 *
 * F's error is blocks u c; M^ adds u |F| c <= u c / 2; the FMA and the test's subtraction round by
 * u |t^| <= u (c/2 + sum of |biases|) each; two biases are added first, by one rounding.  That is
 * (blocks + 1.5) u c + 3 u (sum of |biases|); the rest is for the rounding of E and of the norms.
 * Then the test of num/proof.h decides.
 *
 * Coarse data.  If d and e are zeros S = X/(s t), and it is a multiple of g = g_a g_b, g_a being a
 * power of two that divides all of a.  F*c, rounded, is within (blocks + 1) u c of S.  If that is
 * less than g/2, S is the multiple of g nearest to it: then S is known exactly, and ties need no
 * second stage.
 */
#ifndef NUM_RESIDUES_H
#define NUM_RESIDUES_H

#include "num/product.h"

enum {
	LM_MODULI = 12,		    /* at most */
	LM_RESIDUE_BLOCK = 512,	    /* terms of a block */
	LM_RESIDUE_LONGEST = 32768, /* terms of a sum */
	LM_RESIDUE_BITS = 47	    /* of a scaled integer, without its sign */
};

extern const int lm_moduli[LM_MODULI];

/* How sums of so many terms are done. */
struct lm_residue_plan {
	int moduli;		/* how many */
	double product;		/* of them: M^ */
	double high[LM_MODULI]; /* h of each, */
	double low[LM_MODULI];	/* and l */
	int bits, bits_w;	/* q of rows of x and of w; both together are Q */
};

/*
 * A residue of an integer v is that of the sum of bytes of v + 2^47, times these signed bytes, plus
 * less: four bytes in low, two in high.
 */
struct lm_residue_bytes {
	uint32_t low[LM_MODULI], high[LM_MODULI];
	int32_t less[LM_MODULI];
	float inverse[LM_MODULI]; /* of the modulus */
};

/* What is known of a row. */
struct lm_residue_row {
	double unit;  /* of its integers, 1/s; 0 of zeros */
	double whole; /* the norm of its integers, in that unit */
	double rest;  /* the norm of what rounding left, too */
	double norm;  /* its own norm */
	double grid;  /* a power of two that divides all its values; 0: rounding left something */
	int bad;      /* something is not finite, all else is zero */
};

/* The form of a matrix: its residues in the order of use, and what is known of its rows. */
struct lm_residues {
	struct lm_residue_plan plan;
	struct lm_residue_bytes x; /* for rows of x */
	size_t k;		   /* a multiple of 64 */
	int8_t *tiles;
	/* Of each row, then zeros up to a multiple of 32. */
	double *unit, *rest, *norm, *grid;
	unsigned char *bad;
};

/* For sums of k terms, at most LM_RESIDUE_LONGEST. */
struct lm_residue_plan lm_residue_plan(size_t k);
/* For rows of x (0) or of w (1). */
struct lm_residue_bytes lm_residue_bytes(const struct lm_residue_plan *, int w);
/* The power of two that scales a row of that norm to so many bits; 0 if it is 0 or not finite. */
double lm_residue_scale(double norm, int bits);

/*
 * sum is within error of a multiple of grid, a power of two; 0 is no grid.  Returns whether that
 * decides the multiple plus both biases, and stores it.
 */
int lm_residue_exact(float *y, double sum, double error, double grid, const float bias[2]);

#endif
