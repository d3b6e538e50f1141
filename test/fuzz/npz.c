/* npz: any bytes as .npz. */
#include "tensors.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return read_all(lm_format_find("npz"), data, size);
}
