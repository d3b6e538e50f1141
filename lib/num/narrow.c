/* narrow: binary32 to and from 16-bit floating point, and the one NaN that leaves the program. */
#include "num/bytes.h"
#include "num/dtype.h"
#include "num/fpenv.h"

float
lm_f16_decode(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t exponent = h >> 10 & 31, fraction = h & 0x3ff;
	float tiny;

	if (exponent == 31)
		return lm_from_bits32(sign | 0x7f800000 | fraction << 13);
	if (exponent != 0)
		return lm_from_bits32(sign | (exponent + 112) << 23 | fraction << 13);
	tiny = (float)fraction * 0x1p-24f;
	return lm_from_bits32(sign | lm_bits32(tiny));
}

/* v / 2^shift to the nearest integer, ties to even. */
static uint32_t
shift_rounding(uint32_t v, unsigned shift)
{
	uint32_t half = (uint32_t)1 << (shift - 1), rest = v & (2 * half - 1);
	uint32_t q = v >> shift;

	return q + (rest > half || (rest == half && (q & 1)));
}

uint16_t
lm_f16_encode(float v)
{
	uint32_t u = lm_bits32(v), sign = u >> 16 & 0x8000, exponent;

	u &= 0x7fffffff;
	exponent = u >> 23;
	if (u > 0x7f800000)
		return 0x7e00;
	if (exponent >= 143) /* 2^16 and more, and infinity */
		return (uint16_t)(sign | 0x7c00);
	if (exponent >= 113) /* a carry runs into the exponent, as far as infinity */
		return (uint16_t)(sign | (shift_rounding(u, 13) - (112 << 10)));
	if (exponent < 102) /* below half of the least subnormal */
		return (uint16_t)sign;
	return (uint16_t)(sign | shift_rounding((u & 0x7fffff) | 0x800000, 126 - exponent));
}

float
lm_bf16_decode(uint16_t h)
{
	return lm_from_bits32((uint32_t)h << 16);
}

uint16_t
lm_bf16_encode(float v)
{
	uint32_t u = lm_bits32(v);

	if ((u & 0x7fffffff) > 0x7f800000)
		return 0x7fc0;
	return (uint16_t)shift_rounding(u, 16);
}

/* ---- many ---- */

/*
 * As the functions above, without branches: all that a value could become is worked out, and one of it
 * chosen, which compilers do for many values at a time.
 */
static inline uint16_t
f16_of(float v)
{
	uint32_t u = lm_bits32(v), sign = u >> 16 & 0x8000, size = u & 0x7fffffff;
	uint32_t normal = (size - (112u << 23) + 0xfff + (size >> 13 & 1)) >> 13;
	/* Subnormals: what is added has their unit in its last place, and rounds. */
	uint32_t small = lm_bits32(lm_from_bits32(size) + 0.5f) - lm_bits32(0.5f);
	uint32_t special = size > 0x7f800000 ? 0x7e00 : 0x7c00;
	uint32_t code = size < 113u << 23 ? small : normal;

	code = size >= 143u << 23 ? special : code;
	return (uint16_t)(code | (size > 0x7f800000 ? 0 : sign));
}

static inline float
f32_of_f16(uint32_t h)
{
	uint32_t sign = (h & 0x8000) << 16, size = (h & 0x7fff) << 13;
	uint32_t normal = size + (112u << 23), special = size + (224u << 23);
	uint32_t small = lm_bits32(lm_from_bits32(size + (113u << 23)) - 0x1p-14f);
	uint32_t u = size < 1u << 23 ? small : normal;

	return lm_from_bits32(sign | (size >= 31u << 23 ? special : u));
}

static inline uint16_t
bf16_of(float v)
{
	uint32_t u = lm_bits32(v), code = (u + 0x7fff + (u >> 16 & 1)) >> 16;

	return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : code);
}

void
lm_f16_from_f32(unsigned char *dst, const float *src, size_t n)
{
	struct lm_fpenv saved;
	size_t i;

	lm_fpenv_set(&saved);
	for (i = 0; i < n; i++)
		lm_put_u16(dst + 2 * i, f16_of(src[i]));
	lm_fpenv_restore(&saved);
}

void
lm_f16_to_f32(float *dst, const unsigned char *src, size_t n)
{
	struct lm_fpenv saved;
	size_t i;

	lm_fpenv_set(&saved);
	for (i = 0; i < n; i++)
		dst[i] = f32_of_f16(lm_get_u16(src + 2 * i));
	lm_fpenv_restore(&saved);
}

void
lm_bf16_from_f32(unsigned char *dst, const float *src, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		lm_put_u16(dst + 2 * i, bf16_of(src[i]));
}

void
lm_bf16_to_f32(float *dst, const unsigned char *src, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		dst[i] = lm_from_bits32((uint32_t)lm_get_u16(src + 2 * i) << 16);
}

void
lm_canonical_nans_f32(float *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i] != v[i])
			v[i] = lm_from_bits32(0x7fc00000);
}

void
lm_canonical_nans_f64(double *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i] != v[i])
			v[i] = lm_from_bits64((uint64_t)0x7ff8 << 48);
}
