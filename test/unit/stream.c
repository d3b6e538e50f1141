/* stream: whichever allocation fails, both versions of layer streams say so and leave nothing alive. */
#include "format/stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/request_answer.h"

static struct {
	long left;  /* allocations until one fails; below 0: none does */
	long alive; /* blocks */
} heap;

static void *
counting(void *context, void *p, size_t size)
{
	(void)context;
	if (size == 0) {
		heap.alive -= p != NULL;
		free(p);
		return NULL;
	}
	if (heap.left == 0)
		return NULL;
	heap.left--;
	heap.alive += p == NULL;
	return realloc(p, size);
}

static const char two[] =
    "{\"loom_stream\":2,\"planet\":\"t\",\"versions\":{\"t\":\"1\"},\"model\":\"m\",\"mode\":\"eval\","
    "\"nodes\":3,\"bytes\":48,\"inputs\":[{\"name\":\"x\",\"dtype\":\"float32\",\"shape\":[\"b\",2]}],"
    "\"outputs\":[\"z\"]}\n"
    "{\"name\":\"y\",\"op\":\"dense\",\"params\":{\"in_features\":2,\"out_features\":2,\"bias\":true},"
    "\"tensors\":[{\"slot\":\"weight\",\"dtype\":\"float64\",\"shape\":[2,2],\"axes\":[\"i\",\"o\"],"
    "\"source\":\"s\"},{\"slot\":\"bias\",\"dtype\":\"float64\",\"shape\":[2],\"axes\":[\"o\"],"
    "\"sha256\":\"374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb\"}]}\n"
    "{\"name\":\"t\",\"op\":\"dense\",\"params\":{\"in_features\":2,\"out_features\":2,\"bias\":false},"
    "\"tensors\":[{\"slot\":\"weight\",\"same\":\"y.weight\"}]}\n"
    "{\"name\":\"z\",\"op\":\"relu\",\"params\":{},\"tensors\":[]}\n"
    "................................\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    "{\"end\":true,\"bytes\":48}\n";

static const char one[] =
    "{\"planet\":\"p\",\"model_id\":\"m\",\"input_dim\":2,\"inputs\":[[1,2],[3,null]],\"layers\":[{"
    "\"index\":0,\"input_dim\":2,\"output_dim\":2,\"activation\":\"tanh\",\"weights\":[1,2,3,4],"
    "\"bias\":[5,null]},{\"index\":1,\"input_dim\":2,\"output_dim\":1,\"activation\":\"none\","
    "\"weights\":[0.5,0.25]}]}";

static int
try(const char *text, size_t size, struct loom_error *err)
{
	struct loom_stream_options options = { .output = "/dev/null" };
	struct loom_streamed done = { 0 };
	struct lm_buf notes, response;
	struct lm_source *source;
	int r;

	lm_buf_init(&notes, 4096);
	lm_buf_init(&response, 4096);
	r = lm_source_memory(&source, text, size, "memory", err);
	if (r == 0)
		r = text == two
		    ? lm_stream_convert(source, &options, &notes, err)
		    : lm_request_answer(source, &options, &done, &response, &notes, err);
	lm_source_free(source);
	lm_buf_release(&notes);
	lm_buf_release(&response);
	return r;
}

static void
every_allocation(const char *text, size_t size)
{
	struct loom_error err;
	long n;
	int r = -1;

	for (n = 0; r < 0; n++) {
		memset(&err, 0, sizeof(err));
		heap.left = n;
		heap.alive = 0;
		r = try(text, size, &err);
		if (heap.alive != 0 || (r < 0 && err.code != LOOM_ENOMEM)) {
			fprintf(stderr, "allocation %ld: %s, %ld alive\n", n, err.text, heap.alive);
			abort();
		}
		assert(n < 10000);
	}
	assert(n > 20);
}

int
main(void)
{
	loom_set_alloc(counting, NULL);
	every_allocation(two, sizeof(two) - 1);
	every_allocation(one, sizeof(one) - 1);
	loom_set_alloc(NULL, NULL);
	return 0;
}
