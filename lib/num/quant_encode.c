/*
 * quant_encode: numbers to blocks, byte for byte as ggml's reference quantisers: the first of
 * equally great numbers decides, what is divided is multiplied by the inverse of the scale before
 * it was rounded to half precision, and each product and sum is rounded to binary32.
 */
#include "num/quant_encode.h"

#include <math.h>
#include <stdint.h>

#include "num/bytes.h"
#include "num/dtype.h"

enum { BLOCK = 32 };

static void
put_half(unsigned char *dst, float v)
{
	lm_put_u16(dst, lm_f16_encode(v));
}

/* The number of greatest magnitude with its sign, the first of several. */
static float
greatest(const float *x)
{
	float most = 0, v = 0;
	size_t i;

	for (i = 0; i < BLOCK; i++)
		if (most < fabsf(x[i])) {
			most = fabsf(x[i]);
			v = x[i];
		}
	return v;
}

static void
range(const float *x, float *least, float *most)
{
	size_t i;

	*least = *most = x[0];
	for (i = 1; i < BLOCK; i++) {
		if (x[i] < *least)
			*least = x[i];
		if (x[i] > *most)
			*most = x[i];
	}
}

static float
inverse(float d)
{
	return d != 0 ? 1.0f / d : 0.0f;
}

/*
 * Cut to an integer; 0 where none can hold it, which a scale too small to have an inverse leads to.
 */
static int
cut(double v)
{
	return fabs(v) < 0x1p31 ? (int)v : 0;
}

/* x d + offset, cut; above most only where rounding got it there. */
static unsigned
code(float x, float d, float offset, int most)
{
	float scaled = x * d;
	int q = cut(scaled + offset);

	return (unsigned)(q < most ? q : most) & 31;
}

/* Of five bits the four low ones stand in half a byte; the fifths come back as a word. */
static uint32_t
put_nibbles(unsigned char *dst, const unsigned q[BLOCK])
{
	uint32_t fifth = 0;
	size_t j;

	for (j = 0; j < 16; j++) {
		dst[j] = (unsigned char)((q[j] & 15) | (q[j + 16] & 15) << 4);
		fifth |= (q[j] >> 4) << j | (q[j + 16] >> 4) << (j + 16);
	}
	return fifth;
}

/* The codes of numbers that are multiples of d, counted from the middle of 2 half codes. */
static float
centred(unsigned q[BLOCK], const float *x, int half)
{
	float d = greatest(x) / (float)-half, id = inverse(d);
	size_t i;

	for (i = 0; i < BLOCK; i++)
		q[i] = code(x[i], id, (float)half + 0.5f, 2 * half - 1);
	return d;
}

/* The codes of numbers that are multiples of d above the least. */
static float
ranged(unsigned q[BLOCK], const float *x, int most, float *least)
{
	float high, d, id;
	size_t i;

	range(x, least, &high);
	d = (high - *least) / (float)most;
	id = inverse(d);
	for (i = 0; i < BLOCK; i++)
		q[i] = code(x[i] - *least, id, 0.5f, most);
	return d;
}

void
lm_quant_encode_q4_0(unsigned char *dst, const float *src, size_t blocks)
{
	unsigned q[BLOCK];

	for (; blocks > 0; blocks--, src += BLOCK, dst += 18) {
		put_half(dst, centred(q, src, 8));
		(void)put_nibbles(dst + 2, q);
	}
}

void
lm_quant_encode_q4_1(unsigned char *dst, const float *src, size_t blocks)
{
	unsigned q[BLOCK];
	float least;

	for (; blocks > 0; blocks--, src += BLOCK, dst += 20) {
		put_half(dst, ranged(q, src, 15, &least));
		put_half(dst + 2, least);
		(void)put_nibbles(dst + 4, q);
	}
}

void
lm_quant_encode_q5_0(unsigned char *dst, const float *src, size_t blocks)
{
	unsigned q[BLOCK];

	for (; blocks > 0; blocks--, src += BLOCK, dst += 22) {
		put_half(dst, centred(q, src, 16));
		lm_put_u32(dst + 2, put_nibbles(dst + 6, q));
	}
}

void
lm_quant_encode_q5_1(unsigned char *dst, const float *src, size_t blocks)
{
	unsigned q[BLOCK];
	float least;

	for (; blocks > 0; blocks--, src += BLOCK, dst += 24) {
		put_half(dst, ranged(q, src, 31, &least));
		put_half(dst + 2, least);
		lm_put_u32(dst + 4, put_nibbles(dst + 8, q));
	}
}

void
lm_quant_encode_q8_0(unsigned char *dst, const float *src, size_t blocks)
{
	float d, id, scaled;
	size_t i;

	for (; blocks > 0; blocks--, src += BLOCK, dst += 34) {
		d = fabsf(greatest(src)) / 127.0f;
		id = inverse(d);
		put_half(dst, d);
		for (i = 0; i < BLOCK; i++) {
			scaled = src[i] * id;
			dst[2 + i] = (unsigned char)cut(scaled + copysign(0.5, scaled));
		}
	}
}
