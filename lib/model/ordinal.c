/* ordinal: the place of a floating-point number among all those of its type. */
#include "model/ordinal.h"

#include <math.h>
#include <string.h>

#include "num/bytes.h"

/* Sign and magnitude become two's complement: neighbours differ by 1 and both zeros are 0. */
#define ORDINAL(u, sign) ((u) & (sign) ? -(int64_t)((u) ^ (sign)) : (int64_t)(u))

static uint64_t
steps64(const unsigned char *a, const unsigned char *b, size_t n)
{
	uint64_t most = 0, d;
	int64_t x, y;
	size_t i;

	for (i = 0; i < n; i++) {
		x = ORDINAL(lm_get_u64(a + 8 * i), (uint64_t)1 << 63);
		y = ORDINAL(lm_get_u64(b + 8 * i), (uint64_t)1 << 63);
		d = x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x;
		most = d > most ? d : most;
	}
	return most;
}

static uint32_t
apart32(uint32_t u, uint32_t v)
{
	int32_t x = (int32_t)ORDINAL(u, (uint32_t)1 << 31),
		y = (int32_t)ORDINAL(v, (uint32_t)1 << 31);

	return x > y ? (uint32_t)x - (uint32_t)y : (uint32_t)y - (uint32_t)x;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
typedef uint32_t v4u __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));

#define V_ORDINAL(u) (((0x7fffffffu & (u)) ^ (v4u)((v4i)(u) >> 31)) - (v4u)((v4i)(u) >> 31))

/* Four pairs at a time, up to a multiple of four; distances are compared as d - 2^31, signed. */
static uint32_t
most32(const unsigned char *a, const unsigned char *b, size_t n)
{
	v4i most = { INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN }, over;
	v4u u, v, below, d;
	int32_t top = INT32_MIN;
	size_t i;

	for (i = 0; i + 4 <= n; i += 4) {
		memcpy(&u, a + 4 * i, sizeof(u));
		memcpy(&v, b + 4 * i, sizeof(v));
		u = V_ORDINAL(u);
		v = V_ORDINAL(v);
		below = (v4u)((v4i)u < (v4i)v);
		d = (((u - v) ^ below) - below) ^ 0x80000000u;
		over = (v4i)d > most;
		most = (over & (v4i)d) | (~over & most);
	}
	for (i = 0; i < 4; i++)
		top = most[i] > top ? most[i] : top;
	return (uint32_t)top ^ 0x80000000u;
}
#endif

static uint64_t
steps32(const unsigned char *a, const unsigned char *b, size_t n)
{
	uint32_t most = 0, d;
	size_t i = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	most = most32(a, b, n);
	i = n / 4 * 4;
#endif
	for (; i < n; i++) {
		d = apart32(lm_get_u32(a + 4 * i), lm_get_u32(b + 4 * i));
		most = d > most ? d : most;
	}
	return most;
}

static uint64_t
steps16(const unsigned char *a, const unsigned char *b, size_t n)
{
	int32_t most = 0, d, u, v;
	size_t i;

	for (i = 0; i < n; i++) {
		u = lm_get_u16(a + 2 * i);
		v = lm_get_u16(b + 2 * i);
		d = (u & 0x8000 ? 0x8000 - u : u) - (v & 0x8000 ? 0x8000 - v : v);
		d = d < 0 ? -d : d;
		most = d > most ? d : most;
	}
	return (uint64_t)most;
}

uint64_t
lm_ordinal_same(const struct lm_dtype *dtype, const unsigned char *a, const unsigned char *b,
    size_t n)
{
	if (dtype->kind != LM_FLOATING)
		return 0;
	return dtype->bits == 64 ? steps64(a, b, n)
	    : dtype->bits == 32	 ? steps32(a, b, n)
				 : steps16(a, b, n);
}

/* Digits, least and greatest exponent of a type's normal numbers. */
struct form {
	int digits, least, most;
};

static struct form
form_of(const struct lm_dtype *dtype)
{
	static const struct form f64 = { 53, -1022, 1023 }, f32 = { 24, -126, 127 },
				 f16 = { 11, -14, 15 }, bf16 = { 8, -126, 127 };

	return dtype->bits == 64	   ? f64
	    : dtype->bits == 32		   ? f32
	    : lm_dtype_id(dtype) == LM_F16 ? f16
					   : bf16;
}

/* With e its exponent, v is q units of the last digit; each exponent has 2^(digits-1) places. */
static int64_t
ordinal(double v, struct form f)
{
	int64_t binade = (int64_t)1 << (f.digits - 1), n;
	int64_t infinite = (f.most - f.least + 2) * binade;
	int e = v == 0 ? f.least : ilogb(v);

	if (e < f.least)
		e = f.least;
	if (isinf(v) || e > f.most)
		n = infinite;
	else
		n = (e - f.least) * binade + (int64_t)nearbyint(ldexp(fabs(v), f.digits - 1 - e));
	return v < 0 ? -n : n;
}

uint64_t
lm_ordinal_mixed(const struct lm_dtype *dtype, const double *a, const double *b, size_t n)
{
	uint64_t most = 0, d;
	int64_t x, y;
	struct form f;
	size_t i;

	if (dtype == NULL)
		return 0;
	f = form_of(dtype);
	for (i = 0; i < n; i++) {
		x = ordinal(a[i], f);
		y = ordinal(b[i], f);
		d = x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x;
		most = d > most ? d : most;
	}
	return most;
}
