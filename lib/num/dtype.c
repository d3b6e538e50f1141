/* dtype: element types: the table, and how packed elements become numbers. */
#include "num/dtype.h"

#include <math.h>
#include <string.h>

#include "num/bytes.h"

/* ---- one element ---- */

/* Code i of an array of 1, 2 or 4 bits each; the first is in the highest bits of its byte. */
static inline unsigned
packed_code(const unsigned char *src, size_t i, unsigned bits)
{
	unsigned each = 8 / bits;
	unsigned shift = 8 - bits - (unsigned)(i % each) * bits;

	return src[i / each] >> shift & ((1u << bits) - 1);
}

static inline int
signed_code(const unsigned char *src, size_t i, unsigned bits)
{
	int code = (int)packed_code(src, i, bits);

	return code >> (bits - 1) != 0 ? code - (1 << bits) : code;
}

static inline double
f64_at(const unsigned char *src, size_t i)
{
	return lm_get_f64(src + 8 * i);
}

static inline float
f32_at(const unsigned char *src, size_t i)
{
	return lm_get_f32(src + 4 * i);
}

static inline float
f16_at(const unsigned char *src, size_t i)
{
	return lm_f16_decode(lm_get_u16(src + 2 * i));
}

static inline float
bf16_at(const unsigned char *src, size_t i)
{
	return lm_bf16_decode(lm_get_u16(src + 2 * i));
}

static inline uint64_t
u64_at(const unsigned char *src, size_t i)
{
	return lm_get_u64(src + 8 * i);
}

static inline int64_t
i64_at(const unsigned char *src, size_t i)
{
	return (int64_t)lm_get_u64(src + 8 * i);
}

static inline uint32_t
u32_at(const unsigned char *src, size_t i)
{
	return lm_get_u32(src + 4 * i);
}

static inline int32_t
i32_at(const unsigned char *src, size_t i)
{
	return (int32_t)lm_get_u32(src + 4 * i);
}

static inline uint16_t
u16_at(const unsigned char *src, size_t i)
{
	return lm_get_u16(src + 2 * i);
}

static inline int16_t
i16_at(const unsigned char *src, size_t i)
{
	return (int16_t)lm_get_u16(src + 2 * i);
}

static inline uint8_t
u8_at(const unsigned char *src, size_t i)
{
	return src[i];
}

static inline int8_t
i8_at(const unsigned char *src, size_t i)
{
	return (int8_t)src[i];
}

static inline unsigned
u4_at(const unsigned char *src, size_t i)
{
	return packed_code(src, i, 4);
}

static inline int
i4_at(const unsigned char *src, size_t i)
{
	return signed_code(src, i, 4);
}

static inline unsigned
u2_at(const unsigned char *src, size_t i)
{
	return packed_code(src, i, 2);
}

static inline int
i2_at(const unsigned char *src, size_t i)
{
	return signed_code(src, i, 2);
}

static inline int
binary_at(const unsigned char *src, size_t i)
{
	return packed_code(src, i, 1) != 0 ? 1 : -1;
}

static inline int
bool_at(const unsigned char *src, size_t i)
{
	return src[i] != 0;
}

/*
 * Loom's fp8e4m3: exponent 15 is an exponent like others, so 0x7f is 480 and there is no NaN; a
 * zero exponent gives 2^-10 (1 + m/8), which is not the usual subnormal.
 */
static float
e4m3_at(const unsigned char *src, size_t i)
{
	unsigned c = src[i], exponent = c >> 3 & 15, m = c & 7;
	float v = 1 + (float)m * 0x1p-3f;

	if (exponent == 0)
		v *= m == 0 ? 0 : 0x1p-10f;
	else
		v *= lm_from_bits32((exponent - 7 + 127) << 23);
	return c >> 7 != 0 ? -v : v;
}

/* Loom's fp8e5m2: an infinity is positive whatever its sign bit; subnormals as in e4m3. */
static float
e5m2_at(const unsigned char *src, size_t i)
{
	unsigned c = src[i], exponent = c >> 2 & 31, m = c & 3;
	float v = 1 + (float)m * 0x1p-2f;

	if (exponent == 31)
		return m == 0 ? HUGE_VALF : lm_from_bits32(0x7fc00000);
	if (exponent == 0 && m == 0)
		v = 0;
	else
		v *= lm_from_bits32((exponent - 15 + 127) << 23);
	return c >> 7 != 0 ? -v : v;
}

/* Loom's fp4 is a table, the sign in its highest bit. */
static float
fp4_at(const unsigned char *src, size_t i)
{
	static const uint32_t magnitude[8] = { 0, 0x3f400000, 0x3f800000, 0x3fc00000, 0x40000000,
		0x40400000, 0x7f800000, 0x7fc00000 };
	unsigned c = packed_code(src, i, 4);

	return lm_from_bits32(magnitude[c & 7] | (c >> 3) << 31);
}

/* ---- arrays ---- */

/* Types without a scale. */
#define PLAIN_TO_F32(type)                                                                      \
	static void type##_to_f32(float *dst, const unsigned char *src, size_t first, size_t n, \
	    float scale)                                                                        \
	{                                                                                       \
		size_t i;                                                                       \
                                                                                                \
		(void)scale;                                                                    \
		for (i = 0; i < n; i++)                                                         \
			dst[i] = (float)type##_at(src, first + i);                              \
	}

/* Types of two bytes, many at a time. */
#define HALF_TO_F32(type)                                                                       \
	static void type##_to_f32(float *dst, const unsigned char *src, size_t first, size_t n, \
	    float scale)                                                                        \
	{                                                                                       \
		(void)scale;                                                                    \
		lm_##type##_to_f32(dst, src + 2 * first, n);                                    \
	}

/* Codes: rounded to binary32, then one multiplication. */
#define SCALED_TO_F32(type)                                                                     \
	static void type##_to_f32(float *dst, const unsigned char *src, size_t first, size_t n, \
	    float scale)                                                                        \
	{                                                                                       \
		size_t i;                                                                       \
                                                                                                \
		for (i = 0; i < n; i++)                                                         \
			dst[i] = (float)type##_at(src, first + i) * scale;                      \
	}

#define TO_F64(type)                                                                             \
	static void type##_to_f64(double *dst, const unsigned char *src, size_t first, size_t n) \
	{                                                                                        \
		size_t i;                                                                        \
                                                                                                 \
		for (i = 0; i < n; i++)                                                          \
			dst[i] = type##_at(src, first + i);                                      \
	}

/* Inputs of a network are such: where they lie as they are wanted, nothing has to look at them. */
static void
f32_to_f32(float *dst, const unsigned char *src, size_t first, size_t n, float scale)
{
	(void)scale;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(dst, src + first * sizeof(*dst), n * sizeof(*dst));
#else
	for (size_t i = 0; i < n; i++)
		dst[i] = f32_at(src, first + i);
#endif
}

PLAIN_TO_F32(f64)
HALF_TO_F32(f16)
HALF_TO_F32(bf16)
PLAIN_TO_F32(bool)
SCALED_TO_F32(e4m3)
SCALED_TO_F32(e5m2)
SCALED_TO_F32(i64)
SCALED_TO_F32(i32)
SCALED_TO_F32(i16)
SCALED_TO_F32(i8)
SCALED_TO_F32(u64)
SCALED_TO_F32(u32)
SCALED_TO_F32(u16)
SCALED_TO_F32(u8)
SCALED_TO_F32(i4)
SCALED_TO_F32(u4)
SCALED_TO_F32(i2)
SCALED_TO_F32(u2)
SCALED_TO_F32(binary)
TO_F64(f64)
TO_F64(f32)
TO_F64(f16)
TO_F64(bf16)
TO_F64(i32)
TO_F64(i16)
TO_F64(i8)
TO_F64(u32)
TO_F64(u16)
TO_F64(u8)
TO_F64(i4)
TO_F64(u4)
TO_F64(i2)
TO_F64(u2)
TO_F64(bool)

/* Loom takes the scale 0 of an fp4 array, and of no other, as absent. */
static void
fp4_to_f32(float *dst, const unsigned char *src, size_t first, size_t n, float scale)
{
	size_t i;

	for (i = 0; i < n; i++)
		dst[i] = fp4_at(src, first + i) * (scale == 0 ? 1 : scale);
}

/* ---- the table ---- */

#define DTYPE(id, name, value, bits, kind, scaled, to_f32, to_f64, ...) \
	static const char *const aliases_##id[] = { __VA_ARGS__ };
#include "num/dtypes.def"
#undef DTYPE

static const struct lm_dtype table[] = {
#define DTYPE(id, name, value, bits, kind, scaled, to_f32, to_f64, ...) \
	{ name, value, bits, LM_##kind, scaled, aliases_##id, to_f32, to_f64 },
#include "num/dtypes.def"
#undef DTYPE
};

const struct lm_dtype *
lm_dtype_get(enum lm_dtype_id id)
{
	return &table[id];
}

const struct lm_dtype *
lm_dtype_at(size_t i)
{
	return i < LM_DTYPES ? &table[i] : NULL;
}

enum lm_dtype_id
lm_dtype_id(const struct lm_dtype *t)
{
	return (enum lm_dtype_id)(t - table);
}

const struct lm_dtype *
lm_dtype_find(const char *name)
{
	size_t i;

	for (i = 0; i < LM_DTYPES; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* Compares ASCII letters only: names do not depend on a locale. */
static int
same_letters(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++) {
		int x = *a >= 'A' && *a <= 'Z' ? *a + ('a' - 'A') : *a;
		int y = *b >= 'A' && *b <= 'Z' ? *b + ('a' - 'A') : *b;

		if (x != y)
			return 0;
	}
	return *a == *b;
}

const struct lm_dtype *
lm_dtype_parse(const char *name)
{
	const char *const *alias;
	size_t i;

	for (i = 0; i < LM_DTYPES; i++) {
		if (same_letters(table[i].name, name))
			return &table[i];
		for (alias = table[i].aliases; *alias != NULL; alias++)
			if (same_letters(*alias, name))
				return &table[i];
	}
	return NULL;
}

const struct lm_dtype *
lm_dtype_by_loom(int value)
{
	size_t i;

	for (i = 0; i < LM_DTYPES; i++)
		if (value >= 0 && table[i].loom == value)
			return &table[i];
	return NULL;
}

int
lm_dtype_bytes(const struct lm_dtype *t, uint64_t count, uint64_t *bytes)
{
	unsigned each = t->bits < 8 ? 8 / t->bits : 1;
	unsigned size = t->bits < 8 ? 1 : t->bits / 8;
	uint64_t units = count / each + (count % each != 0);

	if (units > UINT64_MAX / size)
		return -1;
	*bytes = units * size;
	return 0;
}
