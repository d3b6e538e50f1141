/* gguf_tokenizer: a tokenizer as Hugging Face's files have it. */
#ifndef FORMAT_GGUF_TOKENIZER_H
#define FORMAT_GGUF_TOKENIZER_H

#include "base/json.h"
#include "format/gguf.h"

enum { LM_GGUF_PATH = 4096 };

/* tokenizer.json and what may stand beside it; members are NULL where there is no such file. */
struct lm_tokenizer {
	char path[LM_GGUF_PATH]; /* of tokenizer.json, for messages */
	json_t *root, *config, *model_config, *generation;
	char *template; /* chat_template.jinja */
};

/* From a tokenizer.json, or the directory it is in. */
int lm_tokenizer_open(struct lm_tokenizer *, const char *path, struct loom_error *) LOOM_MUST_CHECK;
void lm_tokenizer_release(struct lm_tokenizer *);
/* How llama.cpp calls the way in which text is cut before pairs are merged; NULL with a message. */
const char *lm_tokenizer_cut(const struct lm_tokenizer *, struct loom_error *);

#endif
