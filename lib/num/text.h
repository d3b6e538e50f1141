/* text: binary floating point as decimal text and back, in any locale. */
#ifndef NUM_TEXT_H
#define NUM_TEXT_H

#include <stddef.h>

enum { LM_TEXT_SIZE = 32 }; /* room for any number and its NUL */

/*
 * The shortest digits that read back to the same number at its width; of equally short ones the
 * nearest, of equally near ones the even one.  Laid out as Go's encoding/json does: positional
 * from 1e-6 up to below 1e21, else like 1.5e-9.  Returns the length.  v must be finite.
 */
size_t lm_text_f64(char dst[LM_TEXT_SIZE], double v);
size_t lm_text_f32(char dst[LM_TEXT_SIZE], float v);

/*
 * The binary64 nearest to the number that text[0..len-1] writes: an optional sign, digits with an
 * optional point, an optional exponent, and nothing else.  Too large is an infinity, too small a
 * zero with its sign.  -1 if the text is not of this form.
 */
int lm_text_parse(const char *text, size_t len, double *value) __attribute__((warn_unused_result));

#endif
