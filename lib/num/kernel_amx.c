/* kernel_amx: products of large matrices on the int8 tiles of AMX, by residues (num/residues.h). */
#define _GNU_SOURCE /* madvise, syscall */
#include "num/kernel_amx.h"

/* gcc and younger clangs have the first name. */
#if (defined(__AMX_INT8__) || defined(__AMXINT8__)) && defined(__AVX512VNNI__) && defined(__linux__)
#define LM_AMX
#endif

#ifdef LM_AMX

#include <cpuid.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "num/residues_rows.h"
#include "num/residues_sums.h"

enum {
	LEAST = 24,	  /* rows that a product must have: for fewer, tiles are mostly empty */
	BAND = 32,	  /* rows, and columns, that are done together: two tiles each way */
	ROWS = 1024,	  /* rows that share one pass over w: their F stays in the second cache */
	GROUP = 6,	  /* bands of columns whose residues of a block fill that cache */
	TILE = 1024,	  /* bytes of residues, and sums */
	AHEAD = 4 * TILE, /* bytes of w that are fetched before they are used */
	X_BYTES = 32 << 20,
	LARGE_PAGE = 2 << 20 /* bytes of a large page */
};

/* What a product works in; what a small one does not touch is at the end. */
struct room {
	int32_t sums[LM_MODULI][GROUP][TILE];
	struct lm_residue_row rows[ROWS];
	double part[ROWS / BAND][GROUP][TILE]; /* F */
	int8_t x[X_BYTES];		       /* residues of rows, in the order of use */
	float column[LM_RESIDUE_LONGEST];      /* of w, where it is in panels alone */
};

_Static_assert(sizeof(struct room) <= LM_AMX_ROOM, "the room is too small");

/* A product of some rows, at most ROWS, with some columns. */
struct job {
	const struct lm_product *p;
	const struct lm_residues *w;
	struct room *room;
	size_t m0, m1, n0, n1;
	double error; /* of F, in M */
	struct lm_counts *counts;
};

/*
 * Residues are stored in the order of use.  Those of x are
 *	[band of 32 rows][block of 512 terms][modulus][chunk of 64 terms][row][term],
 * those of w, as the tiles want four terms side by side,
 *	[group of bands][block][modulus][band][chunk][half of the band][quad of terms][column][term],
 * where the last block and the last group may be short.
 */
static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Chunks of the block that begins at k. */
static size_t
chunks_of(size_t k, size_t end)
{
	return least(end - k, LM_RESIDUE_BLOCK) / LM_RESIDUE_CHUNK;
}

static size_t
bands_of(size_t n)
{
	return (n + BAND - 1) / BAND;
}

/* Where a block's residues begin: those of a band of x, */
static size_t
x_block(const struct lm_residues *w, size_t band, size_t k)
{
	return (size_t)w->plan.moduli * BAND * (band * w->k + k);
}

/* and those of a group of so many bands of w. */
static size_t
w_block(const struct lm_residues *w, size_t group, size_t bands, size_t k)
{
	return (size_t)w->plan.moduli * BAND * (group * GROUP * w->k + bands * k);
}

/* Large pages are asked for; without them everything is the same, but slower. */
static void
want_large_pages(void *p, size_t size)
{
	uintptr_t from = ((uintptr_t)p + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
	uintptr_t to = ((uintptr_t)p + size) / LARGE_PAGE * LARGE_PAGE;

	if (from < to)
		(void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}

/* ---- the form of a matrix ---- */

/* n values of row c from k on; buffer is for those that stand in panels alone. */
static const lm_f32u *
values(const struct lm_matrix *w, size_t c, size_t k, size_t n, float *buffer)
{
	const float *from;
	size_t i;

	if (w->rows != NULL)
		return w->rows + c * w->step + k;
	from = w->panels + c / LM_PANEL * w->apart + k * w->stride + c % LM_PANEL;
	for (i = 0; i < n; i++)
		buffer[i] = from[i * w->stride];
	return buffer;
}

/* 16 rows of w while they are made. */
struct half {
	struct lm_residue_sums sums[16];
	double norm[16], scale[16];
	int8_t bytes[LM_MODULI][16][LM_RESIDUE_CHUNK] __attribute__((aligned(64)));
};

/*
 * 16 rows of 64 bytes as a tile of w: a transposition of quads of bytes.  Each step exchanges the
 * upper right quarters of squares of 2*s with their lower left ones.
 */
static void
transpose(int8_t *to, int8_t from[16][LM_RESIDUE_CHUNK])
{
	__m512i v[16],
	    lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	int i, s;

	for (i = 0; i < 16; i++)
		v[i] = _mm512_load_si512((const void *)from[i]);
	for (s = 8; s > 0; s /= 2) {
		__m512i by = _mm512_set1_epi32(s), add = _mm512_set1_epi32(16 - s), a;
		__mmask16 upper = _mm512_test_epi32_mask(lane, by);
		__m512i low = _mm512_mask_add_epi32(lane, upper, lane, add);
		__m512i high = _mm512_add_epi32(low, by);

		for (i = 0; i < 16; i++) {
			if ((i & s) != 0)
				continue;
			a = v[i];
			v[i] = _mm512_permutex2var_epi32(a, low, v[i + s]);
			v[i + s] = _mm512_permutex2var_epi32(a, high, v[i + s]);
		}
	}
	for (i = 0; i < 16; i++)
		_mm512_store_si512((void *)(to + 64 * i), v[i]);
}

/* A chunk of the rows from n on, those behind the last being zeros. */
static void
make_chunk(struct half *h, const struct lm_matrix *w, const struct lm_residue_bytes *bytes,
    struct lm_residues *r, size_t n, size_t k)
{
	size_t some = least(w->k - k, LM_RESIDUE_CHUNK), end = least(w->n - n, 16), i;
	size_t block = k / LM_RESIDUE_BLOCK * LM_RESIDUE_BLOCK, chunks = chunks_of(block, r->k);
	size_t group = n / BAND / GROUP, bands = least(bands_of(w->n) - group * GROUP, GROUP);
	size_t chunk = n / BAND % GROUP * chunks + (k - block) / LM_RESIDUE_CHUNK;
	int8_t *to = r->tiles + w_block(r, group, bands, block) + (chunk * 2 + n / 16 % 2) * TILE;
	float buffer[LM_RESIDUE_CHUNK];

	for (i = 0; i < end; i++)
		lm_residue_chunk(h->bytes[0][i], sizeof h->bytes[0],
		    values(w, n + i, k, some, buffer), some, h->scale[i], r->plan.moduli, bytes,
		    &h->sums[i]);
	for (i = 0; i < (size_t)r->plan.moduli; i++)
		transpose(to + i * bands * chunks * 2 * TILE, h->bytes[i]);
}

static void
make_half(struct half *h, const struct lm_matrix *w, const struct lm_residue_bytes *bytes,
    struct lm_residues *r, size_t n)
{
	size_t i, k;

	memset(h, 0, sizeof *h);
	for (i = 0; i < 16 && n + i < w->n; i++) {
		if (w->rows != NULL)
			h->norm[i] = lm_residue_norm(w->rows + (n + i) * w->step, w->k);
		else
			h->norm[i] = w->norm[n + i];
		h->scale[i] = lm_residue_scale(h->norm[i], r->plan.bits_w);
	}
	for (k = 0; k < w->k; k += LM_RESIDUE_CHUNK)
		make_chunk(h, w, bytes, r, n, k);
	for (i = 0; i < 16 && n + i < w->n; i++) {
		struct lm_residue_row row = lm_residue_row(h->norm[i], h->scale[i], &h->sums[i]);

		r->unit[n + i] = row.unit;
		r->rest[n + i] = row.rest;
		r->norm[n + i] = row.norm;
		r->grid[n + i] = row.grid;
		r->bad[n + i] = (unsigned char)row.bad;
	}
}

/* A matrix of longer rows stays without. */
int
lm_amx_residues(struct lm_matrix *w, struct lm_arena *arena, struct loom_error *err)
{
	size_t rows = bands_of(w->n) * BAND, n;
	struct lm_residues *r = lm_arena_alloc(arena, 1, sizeof(*r), err);
	double *known = lm_arena_alloc(arena, rows, 4 * sizeof(*known), err);
	struct lm_residue_bytes bytes;
	struct half half;

	if (r == NULL || known == NULL)
		return -1;
	if (w->k == 0 || w->k > LM_RESIDUE_LONGEST)
		return 0;
	r->plan = lm_residue_plan(w->k);
	r->x = lm_residue_bytes(&r->plan, 0);
	r->k = (w->k + LM_RESIDUE_CHUNK - 1) / LM_RESIDUE_CHUNK * LM_RESIDUE_CHUNK;
	r->unit = known;
	r->rest = known + rows;
	r->norm = known + 2 * rows;
	r->grid = known + 3 * rows;
	r->bad = lm_arena_alloc(arena, rows, 1, err);
	r->tiles = lm_arena_alloc(arena, rows * r->k, (size_t)r->plan.moduli, err);
	if (r->bad == NULL || r->tiles == NULL)
		return -1;
	want_large_pages(r->tiles, rows * r->k * (size_t)r->plan.moduli);
	bytes = lm_residue_bytes(&r->plan, 1);
	for (n = 0; n < w->n; n += 16)
		make_half(&half, w, &bytes, r, n);
	w->residues = r;
	return 0;
}

/* ---- a product ---- */

static const struct {
	uint8_t palette, start, reserved[14];
	uint16_t bytes[16]; /* of each row of a tile */
	uint8_t rows[16];
} tiles = { 1, 0, { 0 }, { 64, 64, 64, 64, 64, 64, 64, 64 }, { 16, 16, 16, 16, 16, 16, 16, 16 } };

/* A band of x as residues, and what is known of its rows. */
static void
convert(const struct job *j, size_t band)
{
	size_t m = j->m0 + band * BAND, rows = least(j->m1 - m, BAND), i, k;
	const struct lm_residues *w = j->w;
	struct lm_residue_row *known = j->room->rows + band * BAND;
	struct lm_residue_sums sums[BAND];
	double norm[BAND], scale[BAND];

	memset(sums, 0, sizeof sums);
	for (i = 0; i < rows; i++) {
		norm[i] = lm_residue_norm(j->p->x + (m + i) * j->p->x_step, j->p->w->k);
		scale[i] = lm_residue_scale(norm[i], w->plan.bits);
	}
	for (k = 0; k < j->p->w->k; k += LM_RESIDUE_CHUNK) {
		size_t block = k / LM_RESIDUE_BLOCK * LM_RESIDUE_BLOCK;
		int8_t *to = j->room->x + x_block(w, band, block) + (k - block) * BAND;

		for (i = 0; i < rows; i++)
			lm_residue_chunk(to + i * LM_RESIDUE_CHUNK,
			    chunks_of(block, w->k) * 2 * TILE, j->p->x + (m + i) * j->p->x_step + k,
			    least(j->p->w->k - k, LM_RESIDUE_CHUNK), scale[i], w->plan.moduli,
			    &w->x, &sums[i]);
	}
	for (i = 0; i < rows; i++) {
		known[i] = lm_residue_row(norm[i], scale[i], &sums[i]);
		known[i].unit *= w->plan.product;
		known[i].whole *= LM_SLACK;
		known[i].rest *= LM_SLACK;
	}
}

/* 32 x 32 sums over the chunks of a block; of next, 6 lines for each chunk will be used soon. */
static inline void
multiply(int32_t *sums, const int8_t *x, const int8_t *w, size_t chunks, const int8_t *next)
{
	size_t c;
	int i;

	_tile_zero(0);
	_tile_zero(1);
	_tile_zero(2);
	_tile_zero(3);
	for (c = 0; c < chunks; c++, x += 2 * TILE, w += 2 * TILE, next += 6 * 64) {
		_tile_loadd(6, w, 64);
		_tile_loadd(4, x, 64);
		_tile_loadd(7, w + TILE, 64);
		_tile_loadd(5, x + TILE, 64);
		_tile_dpbssd(0, 4, 6);
		_tile_dpbssd(1, 4, 7);
		_tile_dpbssd(2, 5, 6);
		_tile_dpbssd(3, 5, 7);
#pragma GCC unroll 6
		for (i = 0; i < 6; i++)
			_mm_prefetch((const char *)next + 64 * i, _MM_HINT_T0);
#pragma GCC unroll 32
		for (i = 0; i < 2 * TILE / 64; i++)
			_mm_prefetch((const char *)w + AHEAD + 64 * i, _MM_HINT_T0);
	}
	_tile_stored(0, sums, 64);
	_tile_stored(1, sums + TILE / 4, 64);
	_tile_stored(2, sums + TILE / 2, 64);
	_tile_stored(3, sums + 3 * TILE / 4, 64);
}

/* An output that the test does not decide. */
static float
undecided(const struct job *j, const struct lm_residue_row *row, size_t m, size_t n, double part)
{
	const struct lm_product *p = j->p;
	double scale = row->unit * j->w->unit[n], grid = row->grid * j->w->grid[n];
	float bias[2] = { p->bias != NULL ? p->bias[n] : 0, p->bias2 != NULL ? p->bias2[n] : 0 }, y;

	if (!lm_residue_exact(&y, part * scale, j->error * scale, grid, bias))
		return lm_xdot_undecided(p->x + m * p->x_step,
		    values(p->w, n, 0, p->w->k, j->room->column), p->w->k, bias, 2, 1,
		    lm_kernels_avx512.pairs, j->counts);
	if (j->counts != NULL)
		j->counts->stage[0]++;
	return y;
}

/* Those outputs of a row; apart from the loop over rows, which keeps what it needs in registers. */
static __attribute__((noinline)) void
finish_some(const struct job *j, size_t m, size_t n, const double *part, unsigned some)
{
	const struct lm_residue_row *row = &j->room->rows[m - j->m0];
	float *y = j->p->y + m * j->p->y_step + n;
	size_t at;

	for (; some != 0; some &= some - 1) {
		at = (size_t)__builtin_ctz(some);
		y[at] = undecided(j, row, m, n + at, part[at]);
	}
}

/* The results of a tile of rows from m on and columns from n on. */
static void
finish(const struct job *j, size_t m, size_t n, const double *part)
{
	struct lm_residue_columns c = lm_residue_columns(j->w, j->p, n, j->n1);
	size_t rows = least(j->m1 - m, 16), decided = rows * (size_t)__builtin_popcount(c.there), i;
	const struct lm_residue_row *row = &j->room->rows[m - j->m0];
	float *y = j->p->y + m * j->p->y_step + n;
	unsigned left;

	for (i = 0; i < rows; i++, part += 16, y += j->p->y_step) {
		left = lm_residue_results(y, part, &row[i], j->error, &c);
		if (left == 0)
			continue;
		decided -= (size_t)__builtin_popcount(left);
		finish_some(j, m + i, n, part, left);
	}
	if (j->counts != NULL)
		j->counts->stage[0] += decided;
}

/* A block of terms from k on, of a band of rows and bands from..to-1 of columns, of one group. */
static void
block(const struct job *j, size_t band, size_t from, size_t to, size_t k)
{
	struct room *room = j->room;
	size_t group = from / GROUP, bands = least(bands_of(j->p->w->n) - group * GROUP, GROUP);
	size_t chunks = chunks_of(k, j->w->k), size = chunks * 2 * TILE, c, i, m, n;
	const int8_t *x = room->x + x_block(j->w, band, k);
	const int8_t *w = j->w->tiles + w_block(j->w, group, bands, k);
	int tile;

	for (i = 0; i < (size_t)j->w->plan.moduli; i++)
		for (c = from; c < to; c++)
			multiply(room->sums[i][c % GROUP], x + i * size,
			    w + (i * bands + c % GROUP) * size, chunks,
			    x + (i + 1) * size + c % GROUP * chunks * 6 * 64);
	for (c = from; c < to; c++)
		for (tile = 0; tile < 4; tile++) {
			double *part = room->part[band][c % GROUP] + tile * LM_RESIDUE_OUTPUTS;

			m = j->m0 + band * BAND + (size_t)tile / 2 * 16;
			n = c * BAND + (size_t)tile % 2 * 16;
			if (m >= j->m1 || n < j->n0 || n >= j->n1)
				continue;
			lm_residue_add(part, room->sums[0][c % GROUP] + tile * LM_RESIDUE_OUTPUTS,
			    sizeof room->sums[0] / sizeof(int32_t), &j->w->plan, k == 0);
			if (k + LM_RESIDUE_BLOCK >= j->w->k)
				finish(j, m, n, part);
		}
}

static void
some_rows(const struct job *j)
{
	size_t bands = bands_of(j->m1 - j->m0), end = bands_of(j->n1), first, last, band, k;

	for (band = 0; band < bands; band++)
		convert(j, band);
	for (first = j->n0 / BAND; first < end; first = last) {
		last = least(end, (first / GROUP + 1) * GROUP);
		for (k = 0; k < j->w->k; k += LM_RESIDUE_BLOCK)
			for (band = 0; band < bands; band++)
				block(j, band, first, last, k);
	}
}

/* Whether tiles gain from it and can do it. */
static int
suits(const struct lm_product *p, size_t rows)
{
	return p->w->residues != NULL && rows >= LEAST && p->y != NULL && p->tiles == NULL &&
	    p->scale == NULL && p->row_bias == NULL;
}

void
lm_amx_product(const struct lm_product *p, size_t m0, size_t m1, size_t n0, size_t n1, void *room,
    struct lm_counts *counts)
{
	const struct lm_residues *w = p->w->residues;
	struct job j = { p, w, room, m0, m1, n0, n1, 0, counts };
	size_t rows, blocks;

	if (!suits(p, m1 - m0) || n0 >= n1) {
		lm_kernels_avx512.product(p, m0, m1, n0, n1, room, counts);
		return;
	}
	want_large_pages(room, sizeof *j.room);
	blocks = (w->k + LM_RESIDUE_BLOCK - 1) / LM_RESIDUE_BLOCK;
	j.error = (double)(blocks + 2) * LM_UNIT;
	rows = least(ROWS, X_BYTES / (w->k * (size_t)w->plan.moduli) / BAND * BAND);
	_tile_loadconfig(&tiles);
	for (; j.m0 < m1; j.m0 = j.m1) {
		j.m1 = j.m0 + least(rows, m1 - j.m0);
		some_rows(&j);
	}
	_tile_release();
}

int
lm_amx_here(void)
{
	enum { AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 }; /* in edx of leaf 7 */
	enum { PERMIT = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
	unsigned a, b, c, d;

	if (!__builtin_cpu_supports("avx512vnni") || !__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
	    (d & AMX_TILE) == 0 || (d & AMX_INT8) == 0)
		return 0;
	return syscall(SYS_arch_prctl, PERMIT, TILE_DATA) == 0;
}

#elif defined(__x86_64__)

/* The compiler knows no tiles. */
int
lm_amx_here(void)
{
	return 0;
}

int
lm_amx_residues(struct lm_matrix *w, struct lm_arena *arena, struct loom_error *err)
{
	(void)w;
	(void)arena;
	(void)err;
	return 0;
}

void
lm_amx_product(const struct lm_product *p, size_t m0, size_t m1, size_t n0, size_t n1, void *room,
    struct lm_counts *counts)
{
	lm_kernels_avx512.product(p, m0, m1, n0, n1, room, counts);
}

#endif
