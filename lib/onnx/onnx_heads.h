/* onnx_heads: what the writer and the reader of attention agree on. */
#ifndef FORMAT_ONNX_HEADS_H
#define FORMAT_ONNX_HEADS_H

#include "layer/heads.h"

/* Parameters and slots of attention, in the order of its table. */
enum {
	LM_ATTENTION_MODEL,
	LM_ATTENTION_KEY_FEATURES,
	LM_ATTENTION_VALUE_FEATURES,
	LM_ATTENTION_OUT_FEATURES,
	LM_ATTENTION_HEADS,
	LM_ATTENTION_KV_HEADS,
	LM_ATTENTION_HEAD_DIM,
	LM_ATTENTION_VALUE_DIM,
	LM_ATTENTION_Q_BIAS,
	LM_ATTENTION_K_BIAS,
	LM_ATTENTION_V_BIAS,
	LM_ATTENTION_O_BIAS,
	LM_ATTENTION_CAUSAL,
	LM_ATTENTION_ROPE,
	LM_ATTENTION_ROPE_BASE,
	LM_ATTENTION_SCALE,
	LM_ATTENTION_MASK,
	LM_ATTENTION_FILL,
	LM_ATTENTION_EMPTY
};
enum {
	LM_ATTENTION_WQ,
	LM_ATTENTION_WK,
	LM_ATTENTION_WV,
	LM_ATTENTION_WO,
	LM_ATTENTION_BQ,
	LM_ATTENTION_BK,
	LM_ATTENTION_BV,
	LM_ATTENTION_BO
};

/* Where attention, and scaled_dot_product_attention, have the parameters that say what a query sees. */
static const struct lm_seeing lm_onnx_seeing_attention = { LM_ATTENTION_CAUSAL, LM_ATTENTION_SCALE,
	LM_ATTENTION_MASK, LM_ATTENTION_FILL, LM_ATTENTION_EMPTY };
static const struct lm_seeing lm_onnx_seeing_alone = { 0, 1, 2, 3, 4 };

enum { LM_ONNX_IDLE_FILL = 3 }; /* what fill counts among parameters that make no difference */

#endif
