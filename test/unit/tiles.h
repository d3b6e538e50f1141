/*
 * tiles: the instructions for int8 tiles that the products by residues use, in plain C, under the
 * names that <immintrin.h> has for them.  For code that is included after this header.
 */
#ifndef UNIT_TILES_H
#define UNIT_TILES_H

#include <assert.h>
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { TILE_COUNT = 8, TILE_ROWS = 16, TILE_BYTES = 64 };

static struct {
	int ready; /* configured, and not released since */
	int8_t tile[TILE_COUNT][TILE_ROWS][TILE_BYTES];
} emulated;

/* Any but eight whole tiles is not wanted. */
static void
emulated_configure(const void *p)
{
	const unsigned char *bytes = p;
	uint16_t width;
	int i;

	assert(bytes[0] == 1 && bytes[1] == 0 && !emulated.ready);
	for (i = 0; i < TILE_COUNT; i++) {
		memcpy(&width, bytes + 16 + 2 * i, sizeof width);
		assert(width == TILE_BYTES && bytes[48 + i] == TILE_ROWS);
	}
	memset(&emulated, 0, sizeof emulated);
	emulated.ready = 1;
}

static void
emulated_release(void)
{
	assert(emulated.ready);
	emulated.ready = 0;
}

static void
emulated_zero(int to)
{
	assert(emulated.ready);
	memset(emulated.tile[to], 0, sizeof emulated.tile[to]);
}

static void
emulated_load(int to, const void *from, size_t step)
{
	int row;

	assert(emulated.ready);
	for (row = 0; row < TILE_ROWS; row++)
		memcpy(emulated.tile[to][row], (const char *)from + (size_t)row * step, TILE_BYTES);
}

static void
emulated_store(int from, void *to, size_t step)
{
	int row;

	assert(emulated.ready);
	for (row = 0; row < TILE_ROWS; row++)
		memcpy((char *)to + (size_t)row * step, emulated.tile[from][row], TILE_BYTES);
}

/* c[m][n] += a[m][4k + i] * b[k][4n + i] over k and i */
static void
emulated_multiply(int to, int a, int b)
{
	int32_t c[TILE_ROWS][TILE_ROWS], wide[TILE_BYTES][TILE_ROWS];
	int m, n, k;

	assert(emulated.ready);
	memcpy(c, emulated.tile[to], sizeof c);
	for (k = 0; k < TILE_BYTES; k++)
		for (n = 0; n < TILE_ROWS; n++)
			wide[k][n] = emulated.tile[b][k / 4][4 * n + k % 4];
	for (m = 0; m < TILE_ROWS; m++)
		for (k = 0; k < TILE_BYTES; k++)
			for (n = 0; n < TILE_ROWS; n++)
				c[m][n] += emulated.tile[a][m][k] * wide[k][n];
	memcpy(emulated.tile[to], c, sizeof c);
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#define _tile_loadconfig emulated_configure
#define _tile_release emulated_release
#define _tile_zero emulated_zero
#define _tile_loadd emulated_load
#define _tile_stored(from, to, step) emulated_store(from, to, step)
#define _tile_dpbssd emulated_multiply

#endif
