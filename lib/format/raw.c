/* raw: the bare values, little-endian and in C order, one tensor after another; written only. */
#include "format/tensors.h"

static int
write_tensors(struct lm_sink *sink, const struct loom_tensor *t, size_t n, struct loom_error *err)
{
	const struct lm_dtype *dtype;
	uint64_t bytes;
	size_t i;

	for (i = 0; i < n; i++)
		if (lm_tensor_size(&t[i], &dtype, &bytes, err) < 0 ||
		    lm_sink_write(sink, t[i].data, (size_t)bytes, err) < 0)
			return -1;
	return 0;
}

const struct lm_format_ops lm_format_raw = {
	.name = "raw",
	.about = "bare values",
	.holds = LM_HOLDS_TENSORS,
	.can = LM_WRITE | LM_PIPE,
	.write_tensors = write_tensors,
};
