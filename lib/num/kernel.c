/* kernel: which set of inner loops to use. */
#include "num/kernel.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

const struct lm_kernels *
lm_kernels_pick(struct loom_error *err)
{
	static const struct lm_kernels *const sets[] = { &lm_kernels_scalar };
	const char *name = getenv("LOOM_ISA");
	char shown[LM_SHOWN];
	size_t i;

	if (name == NULL || name[0] == '\0')
		return sets[0];
	for (i = 0; i < sizeof sets / sizeof sets[0]; i++)
		if (strcmp(name, sets[i]->name) == 0)
			return sets[i];
	(void)lm_fail(err, LOOM_EARG,
	    "LOOM_ISA is %s, but this build has only scalar kernels; "
	    "unset it or set it to scalar",
	    lm_shown(shown, name));
	return NULL;
}
