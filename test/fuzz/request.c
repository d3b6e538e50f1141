/* request: any bytes as a request of version 1, as far as a network and an answer; no file is touched. */
#include "format/entity.h"
#include "format/request_kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
build(struct lm_request *q, struct loom_model **model, struct lm_samples *samples,
    struct lm_buf *notes, struct loom_error *err)
{
	const char *id = lm_request_detect(q, err);
	const struct lm_request_kind *kind = id != NULL ? lm_request_kind(id) : NULL;

	if (kind == NULL || lm_request_check(kind, q, err) < 0 ||
	    lm_request_build(kind, q, model, notes, err) < 0)
		return -1;
	(void)lm_request_weights(kind, q, *model);
	if (lm_samples_shape(samples, kind, q, err) < 0)
		return -1;
	return lm_samples_given(samples, kind, q, err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	struct lm_request q = { 0 };
	struct loom_model *model = NULL;
	struct lm_samples samples = { 0 };
	struct lm_response response = { .entity_path = "x", .outputs = &samples.of[0] };
	struct lm_sink *sink = NULL;
	struct lm_buf text;

	lm_buf_init(&text, 1 << 24);
	if (lm_request_decode(&q, (const char *)data, size, &err) == 0 &&
	    build(&q, &model, &samples, &text, &err) == 0 &&
	    lm_response_write(&text, &response, &err) == 0 && lm_sink_memory(&sink, &err) == 0)
		(void)!lm_entity_save(model, sink, 1, &err);
	lm_sink_free(sink);
	lm_samples_release(&samples);
	loom_model_free(model);
	lm_buf_release(&text);
	lm_request_release(&q);
	return 0;
}
