/*
 * gguf: any bytes as a GGUF file; of a network that opens, every weight is read, and whether it is
 * a decoder is found out.
 */
#include <stdint.h>
#include <stdlib.h>

#include "format/decoder.h"
#include "format/format.h"
#include "layer/weight.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { MOST = 1 << 22 }; /* bytes of a weight that are worth reading */

static void
read_weights(const struct lm_node *n)
{
	struct loom_error err = { 0 };
	struct lm_arena arena = { 0 };
	size_t i;

	for (i = 0; i < lm_layer_slots(n->op); i++)
		if (n->weight[i].dtype != NULL && n->weight[i].bytes < MOST &&
		    lm_weight_bytes(&n->weight[i], &arena, &err) == NULL)
			abort();
	lm_arena_release(&arena);
}

static void
match(const struct loom_model *m)
{
	struct loom_error err = { 0 };
	struct lm_arena arena = { 0 };
	struct lm_decoder d;
	const char *why;

	if (lm_decoder_match(m, &d, &arena, &why, &err) == 0 && why == NULL)
		abort();
	lm_arena_release(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	struct loom_model *m;
	size_t i;

	if (lm_format_find("gguf")->sniff(data, size) == 0)
		return 0;
	if (loom_model_open_memory(&m, data, size, "fuzz", &err) < 0) {
		if (err.code == LOOM_OK || err.text[0] == '\0')
			abort();
		return 0;
	}
	for (i = 0; i < m->n_nodes; i++)
		read_weights(m->nodes[i]);
	match(m);
	loom_model_free(m);
	return 0;
}
