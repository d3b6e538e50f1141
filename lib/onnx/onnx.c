/* onnx: the format's row: networks of ONNX files. */
#include "onnx/onnx.h"

enum { HIGHEST = 64 }; /* versions of the format that are at all likely */

/* There is no magic number: a file begins with its version, then comes another field of a model. */
static int
sniff(const unsigned char *head, size_t len)
{
	static const unsigned char tags[] = { 0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72 };
	size_t i;

	if (len < 3 || head[0] != 0x08 || head[1] == 0 || head[1] > HIGHEST)
		return 0;
	for (i = 0; i < sizeof(tags); i++)
		if (head[2] == tags[i])
			return 40;
	return 0;
}

const struct lm_format_ops lm_format_onnx = {
	.name = "onnx",
	.about = "an ONNX file",
	.holds = LM_HOLDS_MODEL,
	.can = LM_READ | LM_EXPORT,
	.takes = LM_TAKES_OUTPUTS | LM_TAKES_DATA_DIR | LM_TAKES_LINKED | LM_TAKES_DTYPE |
	    LM_TAKES_OPSET,
	.sniff = sniff,
	.read = lm_onnx_import,
	.export = lm_onnx_export,
};
