/*
 * lines: the values under a block of windows, copied so that a tap of neighbouring windows of a row
 * has its values side by side.  Padding is values as well there, all alike.
 */
#ifndef LAYER_LINES_H
#define LAYER_LINES_H

#include "layer/window.h"
#include "num/windows.h"

/*
 * Windows of some images, in rows: an image is a sample's channels at one place along the first
 * axis.  Several images are whole, several rows are, but the row of a block may be a part of one.
 */
struct lm_block {
	size_t image, row, column;
	size_t images, rows, columns;
};

/* How all windows are cut into blocks. */
struct lm_blocks {
	const struct lm_window *window;
	struct lm_block most;		  /* of a block: so many images, rows and columns */
	size_t images, count[LM_SPATIAL]; /* blocks by images, by rows, by columns */
};

struct lm_lines {
	const struct lm_window *window;
	size_t channels;      /* at the most */
	struct lm_block most; /* so many images, rows and columns */
	/* Of each axis: whether a tap's values stand by themselves, or among those of all taps. */
	int apart[LM_SPATIAL];
	size_t places[LM_SPATIAL]; /* lines of an image and channel along the first two axes */
	size_t parts, length;	   /* of a line: of as many values each */
	size_t channel, image;	   /* from one to the next */
	size_t row;		   /* from a row of windows to the next */
};

/* Blocks of about so many windows, on the images of so many samples. */
void lm_blocks_plan(struct lm_blocks *, const struct lm_window *, size_t samples, size_t windows);
/* How many there are. */
size_t lm_blocks_count(const struct lm_blocks *);
struct lm_block lm_blocks_at(const struct lm_blocks *, size_t number);

/* Lines for blocks of so many images, rows and columns. */
void lm_lines_plan(struct lm_lines *, const struct lm_window *, size_t channels,
    const struct lm_block *most);
/* Values, with what is read behind them. */
size_t lm_lines_size(const struct lm_lines *);
/* Where taps are from a window's first: one for each tap of so many channels. */
void lm_lines_taps(const struct lm_lines *, size_t channels, size_t *tap);
/* What the parts of a block's lines consist of, with pad beside what is inside: one for each part. */
void lm_lines_stretches(const struct lm_lines *, const struct lm_block *, float pad,
    struct lm_stretch *);
/* The lines of one image of a block; x: so many channels of its sample. */
void lm_lines_fill(const struct lm_lines *, const struct lm_block *, size_t image, const float *x,
    size_t channels, const struct lm_windowing *, const struct lm_stretch *, float *to);
/* The pieces that windows at..at+LM_PANEL-1 of a block consist of, LM_PANEL at the most. */
size_t lm_lines_pieces(const struct lm_lines *, const struct lm_block *, size_t at,
    struct lm_piece *);

/* Windows of a block. */
static inline size_t
lm_block_windows(const struct lm_block *b)
{
	return b->images * b->rows * b->columns;
}

#endif
