/*
 * dtype: element types, a row each in dtypes.def: what they are called, how they are packed, and
 * how they become numbers.
 */
#ifndef NUM_DTYPE_H
#define NUM_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/* LM_F64, LM_F32, LM_F16, LM_BF16, LM_I64 ... LM_BOOL, and how many there are */
enum lm_dtype_id {
#define DTYPE(id, ...) LM_##id,
#include "num/dtypes.def"
#undef DTYPE
	LM_DTYPES
};

enum lm_kind {
	LM_FLOATING, /* an IEEE format or bfloat16 */
	LM_SIGNED,   /* an integer, two's complement */
	LM_UNSIGNED,
	LM_BOOLEAN, /* a byte: 0 is false, all else true */
	LM_CODED    /* a code that means a number only together with its scale */
};

struct lm_dtype {
	const char *name; /* canonical: lower case, in checkpoints, streams, messages */
	int loom;	  /* value in a checkpoint, or -1 */
	unsigned bits;	  /* of an element; below 8 several share a byte */
	enum lm_kind kind;
	int scaled;		    /* whether to_f32 multiplies by the scale */
	const char *const *aliases; /* ends with NULL; compared in any case */

	/*
	 * Elements first..first+n-1 of a packed little-endian array, as binary32; dst has room for
	 * n.  A scaled type is its code rounded to binary32, times scale; fp4 takes scale 0 as 1.
	 */
	void (*to_f32)(float *dst, const unsigned char *src, size_t first, size_t n, float scale);

	/* The same elements, exact and unscaled; NULL where binary64 does not hold them all. */
	void (*to_f64)(double *dst, const unsigned char *src, size_t first, size_t n);
};

const struct lm_dtype *lm_dtype_get(enum lm_dtype_id id);
const struct lm_dtype *lm_dtype_at(size_t i);		 /* NULL past the last */
const struct lm_dtype *lm_dtype_find(const char *name);	 /* the canonical name, exactly; or NULL */
const struct lm_dtype *lm_dtype_parse(const char *name); /* or an alias, in any case */
const struct lm_dtype *lm_dtype_by_loom(int value);	 /* or NULL */
enum lm_dtype_id lm_dtype_id(const struct lm_dtype *);

/* Bytes that count elements take; -1 if that exceeds 64 bits. */
int lm_dtype_bytes(const struct lm_dtype *, uint64_t count, uint64_t *bytes)
    __attribute__((warn_unused_result));

/* IEEE half and bfloat16: exact one way, to nearest even the other; NaN becomes the quiet one. */
float lm_f16_decode(uint16_t h);
uint16_t lm_f16_encode(float v);
float lm_bf16_decode(uint16_t h);
uint16_t lm_bf16_encode(float v);
/* The same of n of them, as files have them. */
void lm_f16_to_f32(float *dst, const unsigned char *src, size_t n);
void lm_f16_from_f32(unsigned char *dst, const float *src, size_t n);
void lm_bf16_to_f32(float *dst, const unsigned char *src, size_t n);
void lm_bf16_from_f32(unsigned char *dst, const float *src, size_t n);

/* Every NaN becomes 7fc00000, 7ff8000000000000: what leaves the program has one NaN. */
void lm_canonical_nans_f32(float *v, size_t n);
void lm_canonical_nans_f64(double *v, size_t n);

#endif
