/* quant: arrays of numbers in blocks that share a scale, as ggml quantises them. */
#ifndef NUM_QUANT_H
#define NUM_QUANT_H

#include <stddef.h>
#include <stdint.h>

struct lm_quant {
	const char *name;	/* "q4_0" */
	unsigned code;		/* ggml's number for it */
	unsigned values, bytes; /* of a block */
	void (*decode)(float *dst, const unsigned char *src, size_t blocks);
	/* As ggml's own quantiser, byte for byte; finite values.  NULL: it is only read. */
	void (*encode)(unsigned char *dst, const float *src, size_t blocks);
};

const struct lm_quant *lm_quant_at(size_t i);		/* NULL: past the end */
const struct lm_quant *lm_quant_find(const char *name); /* or NULL */
const struct lm_quant *lm_quant_by_code(unsigned code); /* or NULL */
/* Bytes that count values take; -1 if they fill no whole blocks, or that exceeds 64 bits. */
int lm_quant_bytes(const struct lm_quant *, uint64_t count, uint64_t *bytes)
    __attribute__((warn_unused_result));

#endif
