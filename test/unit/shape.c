/* Dimensions: what is an expression, and what it comes to.  Values worked out by hand and by Python's //. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "layer/shape.h"

static struct lm_size known[] = { { "batch", 6 }, { "s", 5 }, { "zero", 0 }, { "_x1", 2 } };
static const struct lm_sizes sizes = { 4, known };

static const struct {
	const char *text;
	uint64_t value;
} good[] = {
	{ "batch", 6 },
	{ "12", 12 },
	{ "batch*s", 30 },
	{ "s-1", 4 },
	{ "2 + 3*4", 14 },
	{ "(2+3)*4", 20 },
	{ "batch//4", 1 },
	{ "(1-batch)//4+2", 0 }, /* -5//4 is -2 */
	{ "(s-batch)*(s-batch)", 1 },
	{ "10-3-2", 5 },
	{ "24//2//3", 4 },
	{ "_x1*((s))", 10 },
	{ " s ", 5 },
};

static const struct {
	const char *text, *message;
} bad[] = {
	{ "", "dimension \"\" is not an integer, a name or an expression of them with + - * //" },
	{ "2*",
	    "dimension \"2*\" is not an integer, a name or an expression of them with + - * //" },
	{ "a b",
	    "dimension \"a b\" is not an integer, a name or an expression of them with + - * //" },
	{ "s/2",
	    "dimension \"s/2\" is not an integer, a name or an expression of them with + - * //" },
	{ "(s",
	    "dimension \"(s\" is not an integer, a name or an expression of them with + - * //" },
	{ "-1",
	    "dimension \"-1\" is not an integer, a name or an expression of them with + - * //" },
	{ "99999999999999999999",
	    "dimension \"99999999999999999999\" is not an integer, a name or an expression of them "
	    "with + - * //" },
	{ "((((((((((((((((((((((((((((((((((s))))))))))))))))))))))))))))))))))",
	    "dimension \"((((((((((((((((((((((((((((((((((s))))))))))))))))))))))))))))))))))\" is not "
	    "an integer, a name or an expression of them with + - * //" },
};

static const struct {
	const char *text, *message;
} wrong[] = {
	{ "t", "dimension \"t\" uses the name t, which no input's shape declares" },
	{ "s//zero", "dimension \"s//zero\" divides by zero" },
	{ "s-batch", "dimension \"s-batch\" is -1, less than nothing" },
	{ "s*9223372036854775807", "dimension \"s*9223372036854775807\" is beyond 64 bits" },
	{ "9223372036854775803+s", "dimension \"9223372036854775803+s\" is beyond 64 bits" },
};

static void
check_good(void)
{
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct loom_error err = { 0 };
		struct lm_dim d = { good[i].text, 0 };
		uint64_t v;

		assert(lm_dim_check(good[i].text, &err) == 0);
		assert(lm_dim_eval(&d, &sizes, &v, &err) == 0 && v == good[i].value);
	}
}

static void
check_bad(void)
{
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct loom_error err = { 0 };

		assert(lm_dim_check(bad[i].text, &err) == -1);
		assert(err.code == LOOM_EFORMAT && strcmp(err.text, bad[i].message) == 0);
	}
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct loom_error err = { 0 };
		struct lm_dim d = { wrong[i].text, 0 };
		uint64_t v;

		assert(lm_dim_check(wrong[i].text, &err) == 0);
		assert(lm_dim_eval(&d, &sizes, &v, &err) == -1);
		assert(err.code == LOOM_ESHAPE && strcmp(err.text, wrong[i].message) == 0);
	}
}

static void
check_counts(void)
{
	struct lm_shape s = { .rank = 2, .dim = { 1ull << 40, 1ull << 40 } };
	char text[LM_SHAPE_TEXT];
	uint64_t n;

	assert(lm_shape_count(&s, &n) == -1);
	s.dim[1] = 0;
	assert(lm_shape_count(&s, &n) == 0 && n == 0);
	s.rank = 0;
	assert(lm_shape_count(&s, &n) == 0 && n == 1);
	s.rank = 2;
	s.dtype = lm_dtype_get(LM_F32);
	assert(strcmp(lm_shape_text(text, &s), "float32 [1099511627776, 0]") == 0);
	assert(lm_dim_is_name("batch") && !lm_dim_is_name("2b") && !lm_dim_is_name("b+1"));
}

int
main(void)
{
	check_good();
	check_bad();
	check_counts();
	return 0;
}
