/*
 * facts: what a decoder's file says beside the network: for how many positions it was made, and which
 * tokens begin and end a text.  No result depends on them; they travel in the checkpoint's info, as
 * {"decoder": {"context_length": 2048, "bos_token_id": 1, "eos_token_id": [2, 3]}}.
 */
#ifndef FORMAT_FACTS_H
#define FORMAT_FACTS_H

#include "base/json.h"
#include "model/model.h"

#define LM_FACTS "decoder"

/* Tokens that are called NAME_id: "bos_token", "eos_token", "pad_token"; NULL past the last. */
const char *lm_facts_token_at(size_t i);

/* A new object with what of a config.json, or of another object with such keys, is known; or NULL. */
json_t *lm_facts_of(const json_t *object, uint64_t context, struct loom_error *);
/* Positions that such an object says; 0: none. */
uint64_t lm_facts_positions(const json_t *facts);
/* The model was not read from a checkpoint.  The reference is taken over, whether this fails or not. */
int lm_facts_keep(struct loom_model *, json_t *facts, struct loom_error *) LOOM_MUST_CHECK;

/* All that is known of a model, a new object; or NULL. */
json_t *lm_facts(const struct loom_model *, struct loom_error *);
/* Positions that it was made for; 0: it is not known. */
uint64_t lm_facts_context(const struct loom_model *);
/* The id, or a list of them, borrowed; NULL: it is not known. */
json_t *lm_facts_token(const struct loom_model *, const char *name);

#endif
