/*
 * quant: blocks as ggml writes them and as the gguf package reads them
 * (fixtures/numerics/make_quant.py); the table; and sizes.
 */
#include "num/quant.h"
#include "vectors.h"

enum { MOST_VALUES = 256, MOST_BYTES = 256 };

/* So many hexadecimal digits of a word, as a number. */
static uint32_t
digits(const char *word, size_t n)
{
	char text[9] = "";

	memcpy(text, word, n);
	return (uint32_t)strtoul(text, NULL, 16);
}

static void
floats(const char *word, float *v, size_t n)
{
	size_t i;

	assert(strlen(word) == 8 * n);
	for (i = 0; i < n; i++)
		v[i] = lm_from_bits32(digits(word + 8 * i, 8));
}

static void
bytes(const char *word, unsigned char *v, size_t n)
{
	size_t i;

	assert(strlen(word) == 2 * n);
	for (i = 0; i < n; i++)
		v[i] = (unsigned char)digits(word + 2 * i, 2);
}

static void
compare_bits(const float *a, const float *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		assert(shown32(a[i]) == shown32(b[i]));
}

static void
against_ggml(void)
{
	unsigned char block[MOST_BYTES], made[MOST_BYTES];
	float x[MOST_VALUES], want[MOST_VALUES], back[MOST_VALUES];
	const struct lm_quant *q;
	const char *numbers;
	struct vectors v;
	size_t encoded = 0, decoded = 0;

	vectors_open(&v, "quant.txt");
	while (vectors_next(&v)) {
		q = lm_quant_find(vectors_word(&v));
		assert(q != NULL);
		numbers = vectors_word(&v);
		bytes(vectors_word(&v), block, q->bytes);
		floats(vectors_word(&v), want, q->values);
		if (strcmp(numbers, "-") != 0) {
			floats(numbers, x, q->values);
			q->encode(made, x, 1);
			assert(memcmp(made, block, q->bytes) == 0);
			encoded++;
		}
		q->decode(back, block, 1);
		compare_bits(back, want, q->values);
		decoded++;
	}
	assert(encoded == 60 && decoded == 67);
}

/* Several blocks are what they are one by one. */
static void
many(void)
{
	enum { BLOCKS = 3 };
	unsigned char all[BLOCKS * MOST_BYTES], one[MOST_BYTES];
	float x[BLOCKS * MOST_VALUES], back[BLOCKS * MOST_VALUES], alone[MOST_VALUES];
	const struct lm_quant *q;
	uint64_t seed = 1;
	size_t i, k;

	for (i = 0; i < BLOCKS * MOST_VALUES; i++)
		x[i] = draw(&seed);
	for (i = 0; (q = lm_quant_at(i)) != NULL; i++) {
		for (k = 0; k < BLOCKS * (size_t)q->bytes; k++)
			all[k] = (unsigned char)(draw_bits(&seed) & 0x3b);
		if (q->encode != NULL)
			q->encode(all, x, BLOCKS);
		q->decode(back, all, BLOCKS);
		for (k = 0; k < BLOCKS; k++) {
			if (q->encode != NULL) {
				q->encode(one, x + k * q->values, 1);
				assert(memcmp(one, all + k * q->bytes, q->bytes) == 0);
			}
			q->decode(alone, all + k * q->bytes, 1);
			compare_bits(back + k * q->values, alone, q->values);
		}
	}
	assert(i == 7);
}

static void
sizes(void)
{
	const struct lm_quant *q = lm_quant_by_code(14);
	uint64_t n;

	assert(q == lm_quant_find("q6_k") && q->encode == NULL);
	assert(lm_quant_bytes(q, 512, &n) == 0 && n == 420);
	assert(lm_quant_bytes(q, 0, &n) == 0 && n == 0);
	assert(lm_quant_bytes(q, 511, &n) < 0);
	assert(lm_quant_bytes(lm_quant_find("q8_0"), UINT64_MAX / 32 * 32, &n) < 0);
	assert(lm_quant_find("q8_1") == NULL && lm_quant_by_code(0) == NULL);
}

int
main(void)
{
	against_ggml();
	many();
	sizes();
	return 0;
}
