/* onnx_strict: within the import: a file that says more than is understood, or what is not so, is refused. */
#ifndef FORMAT_ONNX_STRICT_H
#define FORMAT_ONNX_STRICT_H

#include "onnx/onnx.h"

/* Attributes of a node that its operator does not have; an operator that is not read has any. */
int lm_onnx_check_attributes(struct lm_onnx_reading *, const struct lm_onnx_node *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Types and extents that the file declares of values between and of outputs, against what nodes made. */
int lm_onnx_check_declared(struct lm_onnx_reading *, struct loom_error *) LOOM_MUST_CHECK;

#endif
