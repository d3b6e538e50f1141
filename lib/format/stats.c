/* stats: the least, the greatest and the mean value of a tensor, and how many are no numbers. */
#include "format/stats.h"

#include <math.h>
#include <string.h>

#include "num/bytes.h"

enum { PIECE = 512 };

void
lm_stats_init(struct lm_stats *s, const struct lm_dtype *dtype, float scale)
{
	memset(s, 0, sizeof(*s));
	s->dtype = dtype;
	s->scale = scale;
	s->least = INFINITY;
	s->most = -INFINITY;
	s->low = INT64_MAX;
	s->high = INT64_MIN;
	s->ulow = UINT64_MAX;
}

static void
add_value(struct lm_stats *s, double v)
{
	if (isnan(v))
		s->nans++;
	else if (isinf(v))
		s->infinities++;
	else {
		s->least = v < s->least ? v : s->least;
		s->most = v > s->most ? v : s->most;
		s->sum += v;
	}
}

/* binary64 does not hold these, so their extremes are kept beside it. */
static void
add_wide(struct lm_stats *s, const unsigned char *p, size_t n)
{
	uint64_t u;
	int64_t v;
	size_t i;

	for (i = 0; i < n; i++) {
		u = lm_get_u64(p + 8 * i);
		memcpy(&v, &u, sizeof(v));
		s->low = v < s->low ? v : s->low;
		s->high = v > s->high ? v : s->high;
		s->ulow = u < s->ulow ? u : s->ulow;
		s->uhigh = u > s->uhigh ? u : s->uhigh;
		add_value(s, s->dtype->kind == LM_SIGNED ? (double)v : (double)u);
	}
}

static int
is_wide(const struct lm_stats *s)
{
	return s->dtype->bits == 64 && s->scale == 1 &&
	    (s->dtype->kind == LM_SIGNED || s->dtype->kind == LM_UNSIGNED);
}

static void
add_piece(struct lm_stats *s, const unsigned char *p, size_t first, size_t n)
{
	double wide[PIECE];
	float values[PIECE];
	int exact = s->dtype->to_f64 != NULL && (!s->dtype->scaled || s->scale == 1);
	size_t i;

	if (exact)
		s->dtype->to_f64(wide, p, first, n);
	else
		s->dtype->to_f32(values, p, first, n, s->scale);
	for (i = 0; i < n; i++)
		add_value(s, exact ? wide[i] : (double)values[i]);
}

void
lm_stats_add(struct lm_stats *s, const unsigned char *p, size_t n)
{
	size_t at, piece;

	s->count += n;
	if (is_wide(s)) {
		add_wide(s, p, n);
		return;
	}
	for (at = 0; at < n; at += piece) {
		piece = n - at < PIECE ? n - at : PIECE;
		add_piece(s, p, at, piece);
	}
}

/* ---- as JSON ---- */

static json_t *
extreme(const struct lm_stats *s, double v, int64_t i, uint64_t u)
{
	if (is_wide(s) && s->dtype->kind == LM_SIGNED)
		return json_integer(i);
	return is_wide(s) && u <= INT64_MAX ? json_integer((json_int_t)u) : json_real(v);
}

int
lm_stats_json(const struct lm_stats *s, json_t *object, struct loom_error *err)
{
	uint64_t finite = s->count - s->nans - s->infinities;

	if (finite > 0 &&
	    (lm_json_set(object, "min", extreme(s, s->least, s->low, s->ulow), err) < 0 ||
		lm_json_set(object, "max", extreme(s, s->most, s->high, s->uhigh), err) < 0))
		return -1;
	if (finite > 0 && isfinite(s->sum) &&
	    lm_json_set(object, "mean", json_real(s->sum / (double)finite), err) < 0)
		return -1;
	if (s->nans > 0 && lm_json_set(object, "nan", json_integer((json_int_t)s->nans), err) < 0)
		return -1;
	if (s->infinities > 0 &&
	    lm_json_set(object, "inf", json_integer((json_int_t)s->infinities), err) < 0)
		return -1;
	return 0;
}
