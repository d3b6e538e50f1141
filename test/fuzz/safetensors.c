/* safetensors: any bytes as .safetensors. */
#include "tensors.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return read_all(lm_format_find("safetensors"), data, size);
}
