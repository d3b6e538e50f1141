/* quant: arrays of numbers in blocks that share a scale, as ggml quantises them. */
#include "num/quant.h"

#include <string.h>

#include "num/bytes.h"
#include "num/dtype.h"

/* ---- q8_0: a half-precision scale, 32 bytes ---- */

static void
decode_q8_0(float *dst, const unsigned char *src, size_t blocks)
{
	float scale;
	size_t i;

	for (; blocks > 0; blocks--, src += 34) {
		scale = lm_f16_decode(lm_get_u16(src));
		for (i = 0; i < 32; i++)
			*dst++ = (float)(int8_t)src[2 + i] * scale;
	}
}

/* ---- the table ---- */

static const struct lm_quant table[] = {
	{ "q8_0", 8, 32, 34, decode_q8_0, NULL },
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
