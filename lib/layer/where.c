/* where: z = condition ? x : y, three values that broadcast as NumPy's do. */
#include "layer/broadcast.h"
#include "layer/pieces.h"

enum { CONDITION, X, Y };

static int
shape(const struct lm_shaping *s, struct loom_error *err)
{
	if (s->in[CONDITION].dtype != lm_dtype_get(LM_BOOL))
		return lm_fail_input(s, CONDITION, err, "bool");
	if (s->in[Y].dtype != s->in[X].dtype)
		return lm_fail_input(s, Y, err, "%s as input 1 has", s->in[X].dtype->name);
	s->out[0].dtype = s->in[X].dtype;
	return lm_broadcast_shape(s, &s->out[0], err);
}

#define LINE(TYPE)                                                            \
	static size_t line_##TYPE(void *out, const void *const in[LM_WALKED], \
	    const size_t step[LM_WALKED], size_t n)                           \
	{                                                                     \
		const unsigned char *c = in[CONDITION];                       \
		const TYPE *x = in[X], *y = in[Y];                            \
		size_t i, dc = step[CONDITION], dx = step[X], dy = step[Y];   \
		TYPE *z = out;                                                \
		for (i = 0; i < n; i++)                                       \
			z[i] = c[i * dc] ? x[i * dx] : y[i * dy];             \
		return n;                                                     \
	}
LINE(uint8_t)
LINE(uint32_t)
LINE(uint64_t)

static int
forward(const struct lm_call *c, struct loom_error *err)
{
	unsigned bits = c->out[0].shape->dtype->bits;
	size_t none[LM_WALKED];

	(void)err;
	return lm_broadcast(c,
	    bits == 8	     ? line_uint8_t
		: bits == 32 ? line_uint32_t
			     : line_uint64_t,
	    none);
}

const struct lm_layer_ops lm_layer_where = {
	.name = "where",
	.cell = -1,
	.activation = LM_NO_ACTIVATION,
	.in_least = 3,
	.in_most = 3,
	.out_least = 1,
	.out_most = 1,
	.about = "z = condition ? x : y, broadcasting",
	.shape = shape,
	.plan = lm_broadcast_plan,
	.pieces = lm_pieces_each,
	.forward = forward,
};
