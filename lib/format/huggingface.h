/*
 * huggingface: llama-like decoders as directories: config.json and .safetensors, one or several with
 * an index, as transformers reads and writes them.
 */
#ifndef FORMAT_HUGGINGFACE_H
#define FORMAT_HUGGINGFACE_H

#include "base/json.h"
#include "format/decoder.h"
#include "format/format.h"

#define LM_HUGGINGFACE_CONFIG "config.json"
#define LM_HUGGINGFACE_WEIGHTS "model.safetensors"
#define LM_HUGGINGFACE_INDEX "model.safetensors.index.json"

/* How rotary frequencies are scaled; the values are those of config.json. */
struct lm_huggingface_rope {
	enum lm_huggingface_scaling { LM_ROPE_DEFAULT, LM_ROPE_LLAMA3, LM_ROPE_LISTED } type;
	double factor, low, high; /* of llama3 */
	uint64_t original;	  /* positions before it was scaled, of llama3 */
};

/* config.json but for what only the tensors say.  *tied: 1 or 0 as it says; -1: it does not. */
int lm_huggingface_config(struct lm_decoder *, int *tied, json_t *root, struct lm_arena *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The directory of a transformers model class for such a decoder; NULL with a message. */
struct lm_huggingface_family {
	const char *model_type, *architecture;
	enum lm_decoder_family family;
	uint64_t context; /* where config.json does not say it */
};
const struct lm_huggingface_family *lm_huggingface_family(const struct lm_decoder *,
    struct loom_error *);

/* What "rope_parameters" or "rope_scaling" of config.json mean: fills the base and the factors. */
int lm_huggingface_read_rope(struct lm_decoder *, json_t *root, struct lm_arena *,
    struct loom_error *) LOOM_MUST_CHECK;
/* What gives the factors of this decoder, bit for bit. */
int lm_huggingface_find_rope(struct lm_huggingface_rope *, const struct lm_decoder *,
    struct lm_arena *, struct loom_error *) LOOM_MUST_CHECK;

int lm_huggingface_export(struct lm_export *, struct loom_error *) LOOM_MUST_CHECK;
/* The same with shards of so many bytes of tensors at the most. */
int lm_huggingface_write(struct lm_export *, uint64_t most, struct loom_error *) LOOM_MUST_CHECK;

#endif
