/* stream: any bytes as a layer stream of version 2. */
#include "format/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loom_stream_options options = { .output = "/dev/null" };
	struct loom_error err = { 0 };
	struct lm_source *source;
	struct lm_buf notes;

	options.plain = size % 2 != 0;
	options.keep_dtype = size % 3 == 0;
	options.lower = size % 5 == 0;
	lm_buf_init(&notes, 4096);
	if (lm_source_memory(&source, data, size, "fuzz", &err) == 0)
		(void)!lm_stream_convert(source, &options, &notes, &err);
	lm_source_free(source);
	lm_buf_release(&notes);
	return 0;
}
