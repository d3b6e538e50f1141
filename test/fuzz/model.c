/* model: any bytes as a checkpoint; what opens is run on zeros with each name standing for 2. */
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { MOST = 1 << 16 }; /* values of an input that are worth a run */

static const float zeros[MOST];

/* 1 when the input could be given. */
static int
give(struct loom_run *run, const struct loom_model *m, size_t i, struct loom_error *err)
{
	static struct lm_size names[LOOM_RANK];
	struct lm_sizes sizes = { 0, names };
	const struct lm_input *in = &m->inputs[i];
	struct loom_tensor t = { .name = "x", .dtype = "float32", .data = zeros };
	uint64_t count = 1;
	size_t k;

	for (k = 0; k < in->dims.n; k++)
		if (in->dims.dim[k].text != NULL && lm_dim_is_name(in->dims.dim[k].text)) {
			names[sizes.n].name = in->dims.dim[k].text;
			names[sizes.n++].value = 2;
		}
	for (k = 0; k < in->dims.n; k++) {
		if (lm_dim_eval(&in->dims.dim[k], &sizes, &t.shape[t.rank], err) < 0 ||
		    lm_mul64(count, t.shape[t.rank++], &count) < 0 || count > MOST)
			return 0;
	}
	return loom_run_set(run, i, &t, err) == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loom_error err = { 0 };
	struct loom_model *m;
	struct loom_run *run = NULL;
	size_t i;

	if (loom_model_open_memory(&m, data, size, "fuzz", &err) < 0)
		return 0;
	if (loom_run_new(&run, m, 1, &err) == 0) {
		for (i = 0; i < m->n_inputs && give(run, m, i, &err); i++)
			;
		if (i == m->n_inputs && loom_run_forward(run, &err) < 0 && err.code == LOOM_OK)
			abort();
	}
	loom_run_free(run);
	loom_model_free(m);
	return 0;
}
