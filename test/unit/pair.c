/* pair: functions of two numbers against exact rational arithmetic. */
#include "num/pair.h"
#include "vectors.h"

static float
apply(const char *name, float x, float y)
{
	if (strcmp(name, "minimum") == 0)
		return lm_minimum(x, y);
	if (strcmp(name, "maximum") == 0)
		return lm_maximum(x, y);
	if (strcmp(name, "floor_divide") == 0)
		return lm_floor_divide(x, y);
	assert(strcmp(name, "remainder") == 0);
	return lm_remainder(x, y);
}

int
main(void)
{
	static struct vectors v;
	size_t cases = 0, wrong = 0;
	const char *name;
	float x, y, z;
	uint64_t want;

	vectors_open(&v, "pairs.txt");
	for (; vectors_next(&v); cases++) {
		name = vectors_word(&v);
		x = lm_from_bits32((uint32_t)vectors_hex(&v));
		y = lm_from_bits32((uint32_t)vectors_hex(&v));
		want = vectors_hex(&v);
		z = apply(name, x, y);
		if (shown32(z) != want && wrong++ < 10)
			fprintf(stderr, "%s of %a and %a is %a, not %08x\n", name, (double)x,
			    (double)y, (double)z, (unsigned)want);
	}
	assert(cases == 1384 && wrong == 0);
	printf("pair: %zu cases\n", cases);
	return 0;
}
