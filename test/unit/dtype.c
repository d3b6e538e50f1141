/*
 * dtype: names and aliases against the checkpoint format's table, decoding against its vectors, the
 * 16-bit encoders against theirs, and any stretch of a packed array against the whole.
 */
#include <math.h>

#include "num/dtype.h"
#include "num/loss.h"
#include "vectors.h"

enum { MOST = 64 }; /* elements or bytes of a vector */

static size_t
unhex(unsigned char *bytes, const char *text)
{
	size_t n;
	unsigned byte;

	for (n = 0; sscanf(text + 2 * n, "%2x", &byte) == 1; n++) {
		assert(n < 8 * MOST);
		bytes[n] = (unsigned char)byte;
	}
	return n;
}

static void
upper(char *dst, const char *src)
{
	while ((*dst++ = (char)(*src >= 'a' && *src <= 'z' ? *src - 32 : *src)) != '\0')
		src++;
}

static size_t
check_names(void)
{
	static struct vectors v;
	char loud[16];
	size_t rows = 0;

	vectors_open(&v, "dtype-names.txt");
	for (; vectors_next(&v); rows++) {
		const char *name = vectors_word(&v);
		int value = (int)strtol(vectors_word(&v), NULL, 10);
		const struct lm_dtype *t = lm_dtype_find(name);
		size_t aliases = 0;

		assert(t != NULL && t == lm_dtype_at(rows) && strcmp(t->name, name) == 0);
		assert(lm_dtype_get(lm_dtype_id(t)) == t && lm_dtype_id(t) == rows);
		assert(t->loom == value && lm_dtype_by_loom(value) == (value < 0 ? NULL : t));
		assert(t->bits == vectors_count(&v));
		upper(loud, name);
		assert(lm_dtype_parse(name) == t && lm_dtype_parse(loud) == t);
		assert(lm_dtype_find(loud) == NULL);
		while (*(name = vectors_word(&v)) != '\0') {
			upper(loud, name);
			assert(lm_dtype_parse(name) == t && lm_dtype_parse(loud) == t);
			assert(lm_dtype_find(name) == NULL);
			assert(strcmp(t->aliases[aliases++], name) == 0);
		}
		assert(t->aliases[aliases] == NULL);
	}
	assert(lm_dtype_at(rows) == NULL && rows == LM_DTYPES);
	assert(lm_dtype_find("float33") == NULL && lm_dtype_parse("") == NULL);
	assert(lm_dtype_parse("float3") == NULL && lm_dtype_parse("float322") == NULL);
	assert(lm_dtype_by_loom(21) == NULL && lm_dtype_by_loom(-1) == NULL);
	assert(lm_dtype_find("int64") == lm_dtype_get(LM_I64));
	return rows;
}

/* Elements first..first+n-1 alone are those of the whole; nothing else is written. */
static void
check_stretches(const struct lm_dtype *t, const unsigned char *bytes, const float *want, size_t n,
    float scale)
{
	float got[MOST + 1];
	double wide[MOST];
	size_t first, count, i;

	for (first = 0; first <= n; first++)
		for (count = 0; first + count <= n; count++) {
			got[count] = 99;
			t->to_f32(got, bytes, first, count, scale);
			assert(got[count] == 99);
			for (i = 0; i < count; i++)
				assert(shown32(got[i]) == shown32(want[first + i]));
			if (t->to_f64 == NULL)
				continue;
			t->to_f64(wide, bytes, first, count);
			for (i = 0; i < count; i++)
				assert(shown32((float)wide[i] * (t->scaled ? scale : 1)) ==
				    shown32(want[first + i]));
		}
}

static size_t
check_vectors(void)
{
	static struct vectors v;
	size_t cases = 0;

	vectors_open(&v, "dtype.txt");
	for (; vectors_next(&v); cases++) {
		const struct lm_dtype *t = lm_dtype_find(vectors_word(&v));
		float scale = (float)vectors_number(&v), want[MOST];
		size_t n = vectors_count(&v), i, bytes;
		unsigned char packed[8 * MOST];
		uint64_t need;

		assert(t != NULL && n <= MOST);
		bytes = unhex(packed, vectors_word(&v));
		for (i = 0; i < n; i++)
			want[i] = lm_from_bits32((uint32_t)vectors_hex(&v));
		assert(lm_dtype_bytes(t, n, &need) == 0 && need == bytes);
		check_stretches(t, packed, want, n, scale);
	}
	return cases;
}

/* What the vectors do not reach. */
static void
check_corners(void)
{
	const unsigned char codes[8] = { 0x00, 0x80, 0x01, 0x81, 0x7f, 0xfc, 0x7c, 0x7d };
	const uint32_t e4m3[8] = { 0, 0x80000000, 0x3a900000, 0xba900000, 0x43f00000, 0xc3c00000,
		0x43c00000, 0x43d00000 };
	const uint32_t e5m2[8] = { 0, 0x80000000, 0x38200000, 0xb8200000, 0x7fc00000, 0x7f800000,
		0x7f800000, 0x7fc00000 };
	const unsigned char long_ints[8] = { 0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x80 };
	const unsigned char fp4[1] = { 0x19 }, bools[3] = { 0, 1, 0x80 };
	float v[8];
	double w[3];
	size_t i;

	lm_dtype_get(LM_E4M3)->to_f32(v, codes, 0, 8, 1);
	for (i = 0; i < 8; i++)
		assert(shown32(v[i]) == e4m3[i]);
	lm_dtype_get(LM_E5M2)->to_f32(v, codes, 0, 8, 1);
	for (i = 0; i < 8; i++)
		assert(shown32(v[i]) == e5m2[i]);
	lm_dtype_get(LM_I64)->to_f32(v, long_ints, 0, 1, 2);
	lm_dtype_get(LM_U64)->to_f32(v + 1, long_ints, 0, 1, 2);
	assert(v[0] == -0x1p64f && v[1] == 0x1p64f);
	lm_dtype_get(LM_FP4)->to_f32(v, fp4, 0, 2, 0); /* no scale: 1 */
	assert(v[0] == 0.75f && v[1] == -0.75f);
	lm_dtype_get(LM_I8)->to_f32(v, codes, 2, 1, 0);
	assert(shown32(v[0]) == 0);
	lm_dtype_get(LM_BOOL)->to_f32(v, bools, 0, 3, 7);
	lm_dtype_get(LM_BOOL)->to_f64(w, bools, 0, 3);
	assert(v[0] == 0 && v[1] == 1 && v[2] == 1 && w[0] == 0 && w[1] == 1 && w[2] == 1);
}

static void
check_sizes(void)
{
	uint64_t bytes;

	assert(lm_dtype_bytes(lm_dtype_get(LM_BINARY), UINT64_MAX, &bytes) == 0);
	assert(bytes == (uint64_t)1 << 61);
	assert(lm_dtype_bytes(lm_dtype_get(LM_U8), UINT64_MAX, &bytes) == 0 && bytes == UINT64_MAX);
	assert(lm_dtype_bytes(lm_dtype_get(LM_F64), UINT64_MAX / 8, &bytes) == 0);
	assert(lm_dtype_bytes(lm_dtype_get(LM_F64), UINT64_MAX / 8 + 1, &bytes) == -1);
	assert(lm_dtype_bytes(lm_dtype_get(LM_F16), (uint64_t)1 << 63, &bytes) == -1);
	assert(lm_dtype_bytes(lm_dtype_get(LM_TERNARY), 0, &bytes) == 0 && bytes == 0);
	assert(lm_dtype_bytes(lm_dtype_get(LM_TERNARY), 5, &bytes) == 0 && bytes == 2);
}

static size_t
check_narrow(void)
{
	static struct vectors v;
	size_t cases = 0;
	uint32_t u;

	vectors_open(&v, "narrow.txt");
	for (; vectors_next(&v); cases++) {
		float x = (float)vectors_number(&v);

		assert(lm_bf16_encode(x) == vectors_hex(&v));
		assert(lm_f16_encode(x) == vectors_hex(&v));
	}
	/* Every 16-bit pattern but the NaNs comes back. */
	for (u = 0; u < 0x10000; u++) {
		float h = lm_f16_decode((uint16_t)u), b = lm_bf16_decode((uint16_t)u);

		assert(lm_f16_encode(h) == (h == h ? u : 0x7e00));
		assert(lm_bf16_encode(b) == (b == b ? u : 0x7fc0));
	}
	return cases;
}

/* Midpoints between neighbours go to the even one, and their neighbours to their own side. */
static void
check_rounding(void)
{
	uint16_t u;

	for (u = 0; u < 0x7c00; u++) {
		double low = lm_f16_decode(u);
		double high = u == 0x7bff ? 0x1p16 : lm_f16_decode((uint16_t)(u + 1));
		float middle = (float)((low + high) / 2);

		assert(lm_f16_encode(middle) == u + (u & 1));
		assert(lm_f16_encode(nextafterf(middle, 0)) == u);
		assert(lm_f16_encode(-nextafterf(middle, HUGE_VALF)) == (u + 1) + 0x8000);
	}
}

/* Many at a time they are what they are one by one: a sample of all patterns, in pieces of odd lengths. */
static void
check_many(void)
{
	static float v[1021], back[1021];
	unsigned char f16[2 * 1021], bf16[2 * 1021];
	uint32_t u = 0;
	size_t i, n, k;

	for (n = 0; n < 4096; n++) {
		for (i = 0; i < 1021; i++, u += 1031)
			v[i] = lm_from_bits32(u);
		k = 1021 - n % 7;
		lm_f16_from_f32(f16, v, k);
		lm_bf16_from_f32(bf16, v, k);
		for (i = 0; i < k; i++) {
			assert(lm_get_u16(f16 + 2 * i) == lm_f16_encode(v[i]));
			assert(lm_get_u16(bf16 + 2 * i) == lm_bf16_encode(v[i]));
		}
	}
	for (u = 0; u < 0x10000; u++) {
		lm_put_u16(f16 + 2 * (u % 1021), (uint16_t)u);
		if (u % 1021 != 1020)
			continue;
		lm_f16_to_f32(v, f16, 1021);
		lm_bf16_to_f32(back, f16, 1021);
		for (i = 0; i < 1021; i++) {
			k = u - 1020 + i;
			assert(lm_bits32(v[i]) == lm_bits32(lm_f16_decode((uint16_t)k)));
			assert(lm_bits32(back[i]) == lm_bits32(lm_bf16_decode((uint16_t)k)));
		}
	}
}

/* Each value with what it costs, by hand. */
static void
check_loss(void)
{
	static const float was[] = { 1, 1 + 0x1p-12f, 65520, 0x1p-26f, 0x1.8p-24f, -0.0f, HUGE_VALF,
		NAN, -(2048 + 1) };
	static const float is[] = { 1, 1, HUGE_VALF, 0, 0x1p-23f, -0.0f, HUGE_VALF, NAN, -2048 };
	struct lm_loss l = { 0 };
	unsigned char codes[2 * 9];
	float back[9];
	size_t i;

	lm_f16_from_f32(codes, was, 9);
	lm_f16_to_f32(back, codes, 9);
	for (i = 0; i < 9; i++)
		assert(back[i] == is[i] || (back[i] != back[i] && is[i] != is[i]));
	lm_loss_count(&l, LM_NARROW_F16, was, back, 9);
	assert(l.count == 9 && l.changed == 5 && l.overflow == 1 && l.underflow == 1);
	assert(l.flushed == 1 && l.most_abs == 1 && l.most_ulp == 0.5);
}

static void
check_canonical(void)
{
	float v[3] = { lm_from_bits32(0xffc00001), -0.0f, lm_from_bits32(0x7f800001) };
	double w[2] = { lm_from_bits64((uint64_t)0xfff << 52 | 1), -HUGE_VAL };

	lm_canonical_nans_f32(v, 3);
	lm_canonical_nans_f64(w, 2);
	assert(lm_bits32(v[0]) == 0x7fc00000 && lm_bits32(v[1]) == 0x80000000 &&
	    lm_bits32(v[2]) == 0x7fc00000);
	assert(lm_bits64(w[0]) == (uint64_t)0x7ff8 << 48 && w[1] == -HUGE_VAL);
}

static void
check_bytes(void)
{
	unsigned char b[8] = { 0 };

	lm_put_u64(b, 0x0123456789abcdef);
	assert(b[0] == 0xef && b[7] == 0x01 && lm_get_u64(b) == 0x0123456789abcdef);
	assert(lm_get_u32(b + 1) == 0x6789abcd && lm_get_u16(b + 3) == 0x6789);
	lm_put_f32(b + 1, -1.5f);
	assert(b[4] == 0xbf && b[3] == 0xc0 && lm_get_f32(b + 1) == -1.5f);
	lm_put_f64(b, 2);
	assert(b[7] == 0x40 && b[6] == 0 && lm_get_f64(b) == 2);
}

int
main(void)
{
	size_t rows = check_names(), cases = check_vectors(), narrow = check_narrow();

	assert(rows == 22 && cases == 66 && narrow == 24);
	check_corners();
	check_sizes();
	check_rounding();
	check_many();
	check_loss();
	check_canonical();
	check_bytes();
	printf("dtype: %zu types, %zu packed arrays, %zu narrow cases\n", rows, cases, narrow);
	return 0;
}
