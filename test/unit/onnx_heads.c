/* onnx_heads: the parameters and slots of attention stand where its ONNX writer and reader look for them. */
#include "onnx/onnx_heads.h"

#include <assert.h>

static const char *const params[] = { "d_model", "key_features", "value_features", "out_features",
	"num_heads", "num_kv_heads", "head_dim", "value_dim", "q_bias", "k_bias", "v_bias",
	"o_bias", "causal", "rope", "rope_base", "scale", "mask", "fill", "empty" };
static const char *const slots[] = { "Wq", "Wk", "Wv", "Wo", "bq", "bk", "bv", "bo" };
static const char *const seeing[] = { "causal", "scale", "mask", "fill", "empty" };

static void
check_seeing(const char *op, const struct lm_seeing *s)
{
	const size_t at[] = { s->causal, s->scale, s->mask, s->fill, s->empty };
	size_t i;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		assert(lm_layer_param(lm_layer_find(op), seeing[i]) == (int)at[i]);
}

int
main(void)
{
	const struct lm_layer_ops *op = lm_layer_find("attention");
	size_t i;

	assert(sizeof(params) / sizeof(params[0]) == LM_ATTENTION_EMPTY + 1);
	assert(lm_layer_params(op) == LM_ATTENTION_EMPTY + 1);
	for (i = 0; i < lm_layer_params(op); i++)
		assert(lm_layer_param(op, params[i]) == (int)i);
	assert(lm_layer_slots(op) == LM_ATTENTION_BO + 1);
	for (i = 0; i < lm_layer_slots(op); i++)
		assert(lm_layer_slot(op, slots[i]) == (int)i);
	check_seeing("attention", &lm_onnx_seeing_attention);
	check_seeing("scaled_dot_product_attention", &lm_onnx_seeing_alone);
	return 0;
}
