/* quant_encode: numbers to blocks that share a scale; the rows of the table in quant.c. */
#ifndef NUM_QUANT_ENCODE_H
#define NUM_QUANT_ENCODE_H

#include <stddef.h>

void lm_quant_encode_q4_0(unsigned char *dst, const float *src, size_t blocks);
void lm_quant_encode_q4_1(unsigned char *dst, const float *src, size_t blocks);
void lm_quant_encode_q5_0(unsigned char *dst, const float *src, size_t blocks);
void lm_quant_encode_q5_1(unsigned char *dst, const float *src, size_t blocks);
void lm_quant_encode_q8_0(unsigned char *dst, const float *src, size_t blocks);

#endif
