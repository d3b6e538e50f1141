/*
 * quant: arrays of numbers in blocks that share a scale, as ggml quantises them: how they are read,
 * and the table.  A product is rounded to binary32 before the next step, as ggml's plain C has it.
 */
#include "num/quant.h"

#include <string.h>

#include "num/bytes.h"
#include "num/dtype.h"
#include "num/quant_encode.h"

static float
half(const unsigned char *src)
{
	return lm_f16_decode(lm_get_u16(src));
}

/* ---- blocks of 32: element j in a low half byte, j + 16 in the high one ---- */

static void
decode_q4_0(float *dst, const unsigned char *src, size_t blocks)
{
	float d;
	size_t j;

	for (; blocks > 0; blocks--, src += 18, dst += 32) {
		d = half(src);
		for (j = 0; j < 16; j++) {
			dst[j] = (float)((src[2 + j] & 15) - 8) * d;
			dst[j + 16] = (float)((src[2 + j] >> 4) - 8) * d;
		}
	}
}

static void
decode_q4_1(float *dst, const unsigned char *src, size_t blocks)
{
	float d, m, low, high;
	size_t j;

	for (; blocks > 0; blocks--, src += 20, dst += 32) {
		d = half(src);
		m = half(src + 2);
		for (j = 0; j < 16; j++) {
			low = (float)(src[4 + j] & 15) * d;
			high = (float)(src[4 + j] >> 4) * d;
			dst[j] = low + m;
			dst[j + 16] = high + m;
		}
	}
}

/* Five bits: four from half a byte, the fifth from a word that has one for each element. */
static int
five(const unsigned char *nibbles, uint32_t fifth, size_t i)
{
	int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;

	return low | (int)(fifth >> i & 1) << 4;
}

static void
decode_q5_0(float *dst, const unsigned char *src, size_t blocks)
{
	uint32_t fifth;
	float d;
	size_t i;

	for (; blocks > 0; blocks--, src += 22, dst += 32) {
		d = half(src);
		fifth = lm_get_u32(src + 2);
		for (i = 0; i < 32; i++)
			dst[i] = (float)(five(src + 6, fifth, i) - 16) * d;
	}
}

static void
decode_q5_1(float *dst, const unsigned char *src, size_t blocks)
{
	uint32_t fifth;
	float d, m, v;
	size_t i;

	for (; blocks > 0; blocks--, src += 24, dst += 32) {
		d = half(src);
		m = half(src + 2);
		fifth = lm_get_u32(src + 4);
		for (i = 0; i < 32; i++) {
			v = (float)five(src + 8, fifth, i) * d;
			dst[i] = v + m;
		}
	}
}

static void
decode_q8_0(float *dst, const unsigned char *src, size_t blocks)
{
	float d;
	size_t i;

	for (; blocks > 0; blocks--, src += 34) {
		d = half(src);
		for (i = 0; i < 32; i++)
			*dst++ = (float)(int8_t)src[2 + i] * d;
	}
}

/* ---- blocks of 256, whose parts have scales of their own ---- */

/*
 * Six bits each, of part j of 8: of the last four the two highest stand with those of the first
 * four.
 */
static void
scale_and_least(const unsigned char s[12], size_t j, int *scale, int *least)
{
	if (j < 4) {
		*scale = s[j] & 63;
		*least = s[j + 4] & 63;
	} else {
		*scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
		*least = (s[j + 4] >> 4) | (s[j] >> 6) << 4;
	}
}

static void
decode_q4_k(float *dst, const unsigned char *src, size_t blocks)
{
	const unsigned char *nibbles;
	float d, least, v;
	size_t j, i;
	int s, m;

	for (; blocks > 0; blocks--, src += 144)
		for (j = 0; j < 8; j++) {
			scale_and_least(src + 4, j, &s, &m);
			d = half(src) * (float)s;
			least = half(src + 2) * (float)m;
			nibbles = src + 16 + 32 * (j / 2);
			for (i = 0; i < 32; i++) {
				v = d * (float)(j % 2 == 0 ? nibbles[i] & 15 : nibbles[i] >> 4);
				*dst++ = v - least;
			}
		}
}

static void
decode_q6_k(float *dst, const unsigned char *src, size_t blocks)
{
	const unsigned char *low, *high;
	size_t i, g, l;
	int low4, q;
	float d;

	for (; blocks > 0; blocks--, src += 210)
		for (i = 0; i < 256; i++) {
			low = src + 64 * (i / 128);
			high = src + 128 + 32 * (i / 128);
			g = i % 128 / 32;
			l = i % 32;
			low4 = low[32 * (g % 2) + l];
			low4 = g < 2 ? low4 & 15 : low4 >> 4;
			q = (low4 | (high[l] >> 2 * g & 3) << 4) - 32;
			d = half(src + 208) * (float)(int8_t)src[192 + i / 16];
			*dst++ = d * (float)q;
		}
}

/* ---- the table ---- */

static const struct lm_quant table[] = {
	{ "q4_0", 2, 32, 18, decode_q4_0, lm_quant_encode_q4_0 },
	{ "q4_1", 3, 32, 20, decode_q4_1, lm_quant_encode_q4_1 },
	{ "q5_0", 6, 32, 22, decode_q5_0, lm_quant_encode_q5_0 },
	{ "q5_1", 7, 32, 24, decode_q5_1, lm_quant_encode_q5_1 },
	{ "q8_0", 8, 32, 34, decode_q8_0, lm_quant_encode_q8_0 },
	{ "q4_k", 12, 256, 144, decode_q4_k, NULL },
	{ "q6_k", 14, 256, 210, decode_q6_k, NULL },
};

enum { ROWS = sizeof(table) / sizeof(*table) };

const struct lm_quant *
lm_quant_at(size_t i)
{
	return i < ROWS ? &table[i] : NULL;
}

const struct lm_quant *
lm_quant_find(const char *name)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

const struct lm_quant *
lm_quant_by_code(unsigned code)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (table[i].code == code)
			return &table[i];
	return NULL;
}

int
lm_quant_bytes(const struct lm_quant *b, uint64_t count, uint64_t *bytes)
{
	if (count % b->values != 0)
		return -1;
	return __builtin_mul_overflow(count / b->values, (uint64_t)b->bytes, bytes) ? -1 : 0;
}
