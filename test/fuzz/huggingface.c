/*
 * huggingface: any text as a config.json, whose decoder must be one that can be and be written again, and
 * as an index of shards, none of which is there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/huggingface.h"
#include "format/shards.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must_say(const struct loom_error *err)
{
	if (err->code == LOOM_OK || err->text[0] == '\0')
		abort();
}

/* What scales the frequencies is found again, or there is no list of factors. */
static void
read_config(json_t *root)
{
	struct loom_error err = { 0 };
	struct lm_arena arena = { 0 };
	struct lm_huggingface_rope rope;
	struct lm_decoder d;
	int tied;

	if (lm_huggingface_config(&d, &tied, root, &arena, &err) < 0)
		must_say(&err);
	else if (lm_decoder_check(&d, &err) < 0 ||
	    lm_huggingface_find_rope(&rope, &d, &arena, &err) < 0 ||
	    (rope.type == LM_ROPE_DEFAULT) != (d.factors == NULL) || tied < -1 || tied > 1)
		abort();
	lm_arena_release(&arena);
}

static void
read_index(const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	struct lm_external files;
	struct lm_source *beside;
	struct loom_tensors *t;
	struct loom_model *m;
	struct lm_buf text;

	lm_buf_init(&text, SIZE_MAX / 4);
	if (lm_buf_add(&text, data, size, &err) < 0 || lm_model_new(&m, "fuzz", &err) < 0 ||
	    lm_source_memory(&beside, data, size, "fuzz", &err) < 0)
		abort();
	lm_external_start(&files, m, beside);
	if (lm_shards_all(&t, &files, "index", &text, &err) < 0)
		must_say(&err);
	else if (t->n != 0)
		abort();
	loom_tensors_free(t);
	lm_external_stop(&files);
	lm_source_free(beside);
	loom_model_free(m);
	lm_buf_release(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	json_t *root;

	if (lm_json_parse(&root, (const char *)data, size, &err) < 0)
		return 0;
	read_config(root);
	json_decref(root);
	read_index(data, size);
	return 0;
}
