/* vectors: what the tests of lib/num share: lines of words from fixtures, and the drawn numbers. */
#ifndef UNIT_VECTORS_H
#define UNIT_VECTORS_H

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/bytes.h"

/* A file of lines of words; lines that begin with # are comments. */
struct vectors {
	FILE *file;
	char line[1 << 16];
	char *rest;
};

static inline void
vectors_open(struct vectors *v, const char *name)
{
	const char *folder = getenv("FIXTURES");
	char path[4096];

	snprintf(path, sizeof path, "%s/numerics/%s", folder != NULL ? folder : "fixtures", name);
	v->file = fopen(path, "r");
	if (v->file == NULL) {
		perror(path);
		exit(4);
	}
}

/* The next line that is no comment; 0 at the end, where the file is closed. */
static inline int
vectors_next(struct vectors *v)
{
	do {
		if (fgets(v->line, sizeof v->line, v->file) == NULL) {
			fclose(v->file);
			return 0;
		}
	} while (v->line[0] == '#');
	v->rest = v->line;
	return 1;
}

/* The next word of the line; "" when there is none. */
static inline const char *
vectors_word(struct vectors *v)
{
	char *word = v->rest + strspn(v->rest, " \n");

	v->rest = word + strcspn(word, " \n");
	if (*v->rest != '\0')
		*v->rest++ = '\0';
	return word;
}

static inline uint64_t
vectors_hex(struct vectors *v)
{
	return strtoull(vectors_word(v), NULL, 16);
}

static inline size_t
vectors_count(struct vectors *v)
{
	return strtoull(vectors_word(v), NULL, 10);
}

/* A number in hexadecimal floating point. */
static inline double
vectors_number(struct vectors *v)
{
	return strtod(vectors_word(v), NULL);
}

/* The sequence that numerics-vectors.json is drawn from: multiples of 2^-23 in [-1, 1). */
static inline uint32_t
draw_bits(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 40);
}

static inline float
draw(uint64_t *seed)
{
	return (float)((double)draw_bits(seed) - 0x1p23) * 0x1p-23f;
}

/* A value's bits, with the one NaN that the vectors know. */
static inline uint32_t
shown32(float v)
{
	return v != v ? 0x7fc00000 : lm_bits32(v);
}

static inline uint64_t
shown64(double v)
{
	return v != v ? (uint64_t)0x7ff8 << 48 : lm_bits64(v);
}

/* FNV-1a over the four bytes of each value, least significant first. */
static inline uint64_t
hash32(const float *v, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;
	size_t i;
	int b;

	for (i = 0; i < n; i++)
		for (b = 0; b < 32; b += 8)
			h = (h ^ (shown32(v[i]) >> b & 0xff)) * 0x100000001b3u;
	return h;
}

#endif
