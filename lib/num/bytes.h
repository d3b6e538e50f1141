/* bytes: integers and floats from and to little-endian bytes, at any alignment, on any machine. */
#ifndef NUM_BYTES_H
#define NUM_BYTES_H

#include <stdint.h>
#include <string.h>

/* Whether numbers lie in memory as they do in files. */
static inline int
lm_little_endian(void)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
}

static inline uint16_t
lm_get_u16(const unsigned char *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t
lm_get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t
lm_get_u64(const unsigned char *p)
{
	return (uint64_t)lm_get_u32(p) | (uint64_t)lm_get_u32(p + 4) << 32;
}

static inline void
lm_put_u16(unsigned char *p, uint16_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
}

static inline void
lm_put_u32(unsigned char *p, uint32_t v)
{
	lm_put_u16(p, (uint16_t)v);
	lm_put_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void
lm_put_u64(unsigned char *p, uint64_t v)
{
	lm_put_u32(p, (uint32_t)v);
	lm_put_u32(p + 4, (uint32_t)(v >> 32));
}

/* The bit pattern of a number, and the number of a bit pattern. */
static inline uint32_t
lm_bits32(float v)
{
	uint32_t u;

	memcpy(&u, &v, sizeof u);
	return u;
}

static inline uint64_t
lm_bits64(double v)
{
	uint64_t u;

	memcpy(&u, &v, sizeof u);
	return u;
}

static inline float
lm_from_bits32(uint32_t u)
{
	float v;

	memcpy(&v, &u, sizeof v);
	return v;
}

static inline double
lm_from_bits64(uint64_t u)
{
	double v;

	memcpy(&v, &u, sizeof v);
	return v;
}

static inline float
lm_get_f32(const unsigned char *p)
{
	return lm_from_bits32(lm_get_u32(p));
}

static inline double
lm_get_f64(const unsigned char *p)
{
	return lm_from_bits64(lm_get_u64(p));
}

static inline void
lm_put_f32(unsigned char *p, float v)
{
	lm_put_u32(p, lm_bits32(v));
}

static inline void
lm_put_f64(unsigned char *p, double v)
{
	lm_put_u64(p, lm_bits64(v));
}

#endif
