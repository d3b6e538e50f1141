/* binary: z = f(x, y) with NumPy's broadcasting; a row of binary.def each. */
#include "layer/broadcast.h"
#include "layer/pieces.h"

#include <inttypes.h>
#include <string.h>

#include "num/func.h"
#include "num/pair.h"

enum { DTYPES = 3 };
static const enum lm_dtype_id operands[DTYPES] = { LM_F32, LM_I64, LM_BOOL };

struct row {
	lm_line_fn *line[DTYPES]; /* for operands of each dtype; NULL: not for those */
	int truth;		  /* the result is bool; else it is what the operands are */
	const char *why;	  /* integers may have no result */
};

/* "float32 or int64" */
static const char *
wanted(const struct row *row, char dst[40])
{
	size_t used = 0;
	int k;

	for (k = 0; k < DTYPES; k++)
		if (row->line[k] != NULL)
			used += (size_t)snprintf(dst + used, 40 - used, "%s%s",
			    used > 0 ? " or " : "", lm_dtype_get(operands[k])->name);
	return dst;
}

static lm_line_fn *
line_for(const struct row *row, const struct lm_dtype *dtype)
{
	int k;

	for (k = 0; k < DTYPES; k++)
		if (lm_dtype_get(operands[k]) == dtype)
			return row->line[k];
	return NULL;
}

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_dtype *dtype = s->in[0].dtype;
	const struct row *row = s->node->op->row;
	char text[40];

	if (line_for(row, dtype) == NULL)
		return lm_fail_input(s, 0, err, "%s", wanted(row, text));
	if (s->in[1].dtype != dtype)
		return lm_fail_input(s, 1, err, "%s as input 0 has", dtype->name);
	s->out[0].dtype = row->truth ? lm_dtype_get(LM_BOOL) : dtype;
	return lm_broadcast_shape(s, &s->out[0], err);
}

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	const struct row *row = c->node->op->row;
	size_t at[LM_WALKED];

	if (lm_broadcast(c, line_for(row, c->in[0].shape->dtype), at) == 0)
		return 0;
	return lm_fail(err, LOOM_ESHAPE,
	    "layer %s (%s): %" PRId64 " and %" PRId64 " have no int64 result (%s)", c->node->name,
	    c->node->op->name, ((const int64_t *)c->in[0].data)[at[0]],
	    ((const int64_t *)c->in[1].data)[at[1]], row->why);
}

/* ---- integers: exact, or 1 ---- */

static int
no_quotient(int64_t x, int64_t y)
{
	return y == 0 || (x == INT64_MIN && y == -1);
}

static int
exact_quotient(int64_t x, int64_t y, int64_t *z)
{
	if (no_quotient(x, y) || x % y != 0)
		return 1;
	*z = x / y;
	return 0;
}

static int
floor_quotient(int64_t x, int64_t y, int64_t *z)
{
	if (no_quotient(x, y))
		return 1;
	*z = x / y - (x % y != 0 && (x < 0) != (y < 0));
	return 0;
}

static int
floor_remainder(int64_t x, int64_t y, int64_t *z)
{
	if (y == 0)
		return 1;
	*z = y == -1 ? 0 : x % y; /* the least integer % -1 has no quotient */
	if (*z != 0 && (*z < 0) != (y < 0))
		*z += y;
	return 0;
}

/* ---- lines ---- */

#define LINE(NAME, KIND, FROM, TO, HOW)                                         \
	static size_t KIND##_##NAME(void *out, const void *const in[LM_WALKED], \
	    const size_t step[LM_WALKED], size_t n)                             \
	{                                                                       \
		const FROM *px = in[0], *py = in[1];                            \
		size_t i, dx = step[0], dy = step[1];                           \
		TO *pz = out;                                                   \
		for (i = 0; i < n; i++) {                                       \
			FROM x = px[i * dx], y = py[i * dy];                    \
			pz[i] = (TO)(HOW);                                      \
		}                                                               \
		return n;                                                       \
	}

#define CHECKED(NAME, HOW)                                                   \
	static size_t i64_##NAME(void *out, const void *const in[LM_WALKED], \
	    const size_t step[LM_WALKED], size_t n)                          \
	{                                                                    \
		const int64_t *px = in[0], *py = in[1];                      \
		size_t i, dx = step[0], dy = step[1];                        \
		int64_t *z = out;                                            \
		for (i = 0; i < n; i++, z++) {                               \
			int64_t x = px[i * dx], y = py[i * dy];              \
			if (HOW)                                             \
				return i;                                    \
		}                                                            \
		return n;                                                    \
	}

#define BINARY(NAME, ABOUT, F32, I64, FLAG, TRUTH, WHY)                          \
	static const struct row row_##NAME = { { F32, I64, FLAG }, TRUTH, WHY }; \
	const struct lm_layer_ops lm_layer_##NAME = {                            \
		.name = #NAME,                                                   \
		.cell = -1,                                                      \
		.activation = LM_NO_ACTIVATION,                                  \
		.in_least = 2,                                                   \
		.in_most = 2,                                                    \
		.out_least = 1,                                                  \
		.out_most = 1,                                                   \
		.about = ABOUT,                                                  \
		.row = &row_##NAME,                                              \
		.shape = shape,                                                  \
		.plan = lm_broadcast_plan,                                       \
		.pieces = lm_pieces_each,                                        \
		.forward = forward,                                              \
	};

#define ARITHMETIC(NAME, ABOUT, REAL_HOW, WHOLE_HOW, WHY)                                       \
	LINE(NAME, f32, float, float, REAL_HOW)                                                 \
	CHECKED(NAME, WHOLE_HOW)                                                                \
	BINARY(NAME, ABOUT ", broadcasting; int64 is exact or refused", f32_##NAME, i64_##NAME, \
	    NULL, 0, WHY)

#define REAL(NAME, ABOUT, HOW)             \
	LINE(NAME, f32, float, float, HOW) \
	BINARY(NAME, ABOUT ", broadcasting", f32_##NAME, NULL, NULL, 0, "")

#define COMPARE(NAME, ABOUT, HOW)                           \
	LINE(NAME, f32, float, unsigned char, HOW)          \
	LINE(NAME, i64, int64_t, unsigned char, HOW)        \
	LINE(NAME, flag, unsigned char, unsigned char, HOW) \
	BINARY(NAME, ABOUT ", broadcasting, to bool", f32_##NAME, i64_##NAME, flag_##NAME, 1, "")

#define LOGIC(NAME, ABOUT, HOW)                             \
	LINE(NAME, flag, unsigned char, unsigned char, HOW) \
	BINARY(NAME, ABOUT ", broadcasting", NULL, NULL, flag_##NAME, 1, "")

#include "layer/binary.def"
