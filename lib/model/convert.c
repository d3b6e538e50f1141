/* convert: values on their way into a run and out of it. */
#include "model/convert.h"

#include <math.h>
#include <string.h>

#include "num/bytes.h"
#include "num/text.h"

enum { PIECE = 256 };

static int
changed(const struct lm_dtype *to, const struct lm_dtype *from, size_t at, const char *value,
    struct loom_error *err)
{
	return lm_fail(err, LOOM_ESHAPE, "expected %s, found %s whose value %zu is %s", to->name,
	    from->name, at, value);
}

static const char *
value_text(char text[LM_TEXT_SIZE], double v)
{
	if (isnan(v))
		return "nan";
	if (isinf(v))
		return v < 0 ? "-inf" : "inf";
	(void)lm_text_f64(text, v);
	return text;
}

/* Integers of 64 bits: the only ones that binary64 does not hold. */
static int
from_wide(int64_t *dst, const struct lm_dtype *to, const struct lm_dtype *from,
    const unsigned char *src, size_t count, struct loom_error *err)
{
	char text[32];
	uint64_t v;
	size_t i;

	for (i = 0; i < count; i++) {
		v = lm_get_u64(src + 8 * i);
		if (from->kind == LM_UNSIGNED && v > INT64_MAX) {
			(void)snprintf(text, sizeof(text), "%ju", (uintmax_t)v);
			return changed(to, from, i, text, err);
		}
		dst[i] = (int64_t)v;
	}
	return 0;
}

static int
from_narrow(int64_t *dst, const struct lm_dtype *to, const struct lm_dtype *from,
    const unsigned char *src, size_t count, struct loom_error *err)
{
	double v[PIECE];
	char text[LM_TEXT_SIZE];
	size_t at, i, n;

	for (at = 0; at < count; at += n) {
		n = count - at < PIECE ? count - at : PIECE;
		from->to_f64(v, src, at, n);
		for (i = 0; i < n; i++) {
			if (!(v[i] >= -0x1p63 && v[i] < 0x1p63) || v[i] != (double)(int64_t)v[i])
				return changed(to, from, at + i, value_text(text, v[i]), err);
			dst[at + i] = (int64_t)v[i];
		}
	}
	return 0;
}

static int
to_integers(int64_t *dst, const struct lm_dtype *to, const struct lm_dtype *from,
    const unsigned char *src, size_t count, struct loom_error *err)
{
	if (from->to_f64 == NULL)
		return from_wide(dst, to, from, src, count, err);
	return from_narrow(dst, to, from, src, count, err);
}

static int
to_flags(unsigned char *dst, const struct lm_dtype *to, const struct lm_dtype *from,
    const unsigned char *src, size_t count, struct loom_error *err)
{
	size_t at, i, n, size = from->bits / 8;
	int64_t v[PIECE];
	char text[32];

	for (at = 0; at < count; at += n) {
		n = count - at < PIECE ? count - at : PIECE;
		if (to_integers(v, to, from, src + at * size, n, err) < 0)
			return -1;
		for (i = 0; i < n; i++) {
			if (v[i] != 0 && v[i] != 1) {
				(void)snprintf(text, sizeof(text), "%jd", (intmax_t)v[i]);
				return changed(to, from, at + i, text, err);
			}
			dst[at + i] = (unsigned char)v[i];
		}
	}
	return 0;
}

int
lm_convert(const struct lm_dtype *to, void *dst, const struct lm_dtype *from, const void *src,
    size_t count, struct loom_error *err)
{
	if (from->kind == LM_CODED || from->bits < 8)
		return lm_fail(err, LOOM_ESHAPE, "expected %s, found %s, which no input takes",
		    to->name, from->name);
	if (to == lm_dtype_get(LM_I64))
		return to_integers(dst, to, from, src, count, err);
	if (to == lm_dtype_get(LM_BOOL))
		return to_flags(dst, to, from, src, count, err);
	from->to_f32(dst, src, 0, count, 1.0f);
	return 0;
}

void
lm_seal(const struct lm_functions *fn, const struct lm_dtype *dtype, void *data, size_t count)
{
	unsigned char *p = data;
	uint64_t wide;
	uint32_t narrow;
	size_t i;

	if (dtype == lm_dtype_get(LM_F32) && fn->has_nan(data, count))
		lm_canonical_nans_f32(data, count);
	if (lm_little_endian())
		return;
	for (i = 0; dtype->bits == 32 && i < count; i++, p += 4) {
		memcpy(&narrow, p, 4);
		lm_put_u32(p, narrow);
	}
	for (i = 0; dtype->bits == 64 && i < count; i++, p += 8) {
		memcpy(&wide, p, 8);
		lm_put_u64(p, wide);
	}
}
