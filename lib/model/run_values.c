/* run_values: what a run is given: its inputs, and values that nodes read instead of what was computed. */
#include <string.h>

#include "model/convert.h"
#include "model/run.h"
#include "num/bytes.h"

/* ---- inputs ---- */

int
loom_run_set(struct loom_run *run, size_t i, const struct loom_tensor *t, struct loom_error *err)
{
	const struct loom_model *m = run->model;
	struct lm_shape *s;

	if (i >= m->n_inputs)
		return lm_fail(err, LOOM_EARG, "input %zu of %zu", i, m->n_inputs);
	if (t->rank > LOOM_RANK || lm_dtype_find(t->dtype) == NULL)
		return lm_fail(err, LOOM_EARG, "input %s: no such tensor", m->inputs[i].name);
	run->given[i] = *t;
	s = &run->wanted[i];
	memset(s, 0, sizeof(*s));
	s->dtype = m->inputs[i].dtype;
	s->rank = t->rank;
	memcpy(s->dim, t->shape, t->rank * sizeof(s->dim[0]));
	return 0;
}

int
lm_run_fail_value(const char *what, const char *name, struct loom_error *err)
{
	struct loom_error found = *err;

	memset(err, 0, sizeof(*err));
	return lm_fail(err, found.code, "%s %.80s: %.300s", what, name, found.text);
}

static int
is_fed(const struct loom_run *run, size_t value)
{
	return run->feeds != NULL && run->feeds[value].data != NULL;
}

/* Whether nodes can read an input where the caller has it: none writes, and it does not come out. */
static int
is_borrowed(const struct loom_run *run, size_t i, const struct lm_dtype *from)
{
	const struct loom_model *m = run->model;
	size_t value = m->inputs[i].tensor, k;

	if (!lm_little_endian() || from != m->inputs[i].dtype || from == lm_dtype_get(LM_BOOL) ||
	    is_fed(run, value) || (uintptr_t)run->given[i].data % sizeof(int64_t) != 0)
		return 0;
	for (k = 0; k < m->n_outputs; k++)
		if (m->outputs[k] == value)
			return 0;
	return 1;
}

static int
convert_inputs(struct loom_run *run, struct loom_error *err)
{
	const struct loom_model *m = run->model;
	const struct lm_dtype *from;
	struct lm_array *read;
	uint64_t count;
	size_t i;

	for (i = 0; i < m->n_inputs; i++) {
		from = lm_dtype_find(run->given[i].dtype);
		read = &run->fed[m->inputs[i].tensor];
		if (is_borrowed(run, i, from)) {
			*read = run->values[m->inputs[i].tensor];
			read->data = (void *)run->given[i].data;
			continue;
		}
		if (!is_fed(run, m->inputs[i].tensor))
			read->shape = NULL;
		if (lm_shape_count(&run->wanted[i], &count) < 0 ||
		    lm_convert(m->inputs[i].dtype, run->values[m->inputs[i].tensor].data, from,
			run->given[i].data, (size_t)count, err) < 0) {
			(void)lm_run_fail_value("input", m->inputs[i].name, err);
			return lm_run_fail_inputs(run, err);
		}
	}
	return 0;
}

/* ---- what is fed ---- */

int
loom_run_feed(struct loom_run *run, const struct loom_tensor *t, struct loom_error *err)
{
	const struct loom_model *m = run->model;
	size_t value = lm_model_value(m, t->name);
	char shown[LM_SHOWN];

	if (value == LM_ABSENT)
		return lm_fail(err, LOOM_ESHAPE,
		    "the network has no input and no node's output called %s",
		    lm_shown(shown, t->name));
	if (t->rank > LOOM_RANK || lm_dtype_find(t->dtype) == NULL)
		return lm_fail(err, LOOM_EARG, "fed value %s: no such tensor",
		    lm_shown(shown, t->name));
	if (run->feeds == NULL)
		run->feeds = lm_arena_alloc(&run->arena, m->n_values, sizeof(*run->feeds), err);
	if (run->feeds == NULL)
		return -1;
	if ((run->feeds[value].data == NULL) != (t->data == NULL))
		run->planned = NULL;
	run->feeds[value] = *t;
	return 0;
}

int
lm_run_place_fed(struct loom_run *run, struct loom_error *err)
{
	uint64_t count, bytes;
	const struct lm_shape *s;
	size_t i;

	for (i = 0; run->feeds != NULL && i < run->model->n_values; i++) {
		if (run->feeds[i].data == NULL)
			continue;
		s = &run->shapes[i];
		if (lm_shape_count(s, &count) < 0 || lm_dtype_bytes(s->dtype, count, &bytes) < 0)
			return lm_fail(err, LOOM_ESHAPE, "value %s is too large",
			    run->model->values[i].name);
		run->fed[i].shape = s;
		run->fed[i].data = lm_arena_alloc(&run->memory, (size_t)bytes, 1, err);
		if (run->fed[i].data == NULL)
			return -1;
	}
	return 0;
}

/* "fed value h of node h (dense)": what is fed has the shape that the network gives the value. */
static int
fail_fed(const struct loom_run *run, size_t value, const struct lm_shape *found,
    struct loom_error *err)
{
	const struct lm_value_info *info = &run->model->values[value];
	char want[LM_SHAPE_TEXT], got[LM_SHAPE_TEXT], maker[200] = "";
	const struct lm_node *n;

	if (info->node != LM_ABSENT) {
		n = run->model->nodes[info->node];
		(void)snprintf(maker, sizeof(maker), " of node %.80s (%s)", n->name, n->op->name);
	}
	return lm_fail(err, LOOM_ESHAPE, "fed value %.80s%s: expected %.120s, found %.120s",
	    info->name, maker, lm_shape_text(want, &run->shapes[value]), lm_shape_text(got, found));
}

static int
convert_fed(struct loom_run *run, struct loom_error *err)
{
	const struct loom_tensor *t;
	struct lm_shape found;
	uint64_t count;
	size_t i;

	for (i = 0; run->feeds != NULL && i < run->model->n_values; i++) {
		t = &run->feeds[i];
		if (t->data == NULL)
			continue;
		found.dtype = lm_dtype_find(t->dtype);
		found.rank = t->rank;
		memcpy(found.dim, t->shape, sizeof(found.dim));
		if (!lm_shape_same(&found, run->fed[i].shape))
			return fail_fed(run, i, &found, err);
		if (lm_shape_count(&found, &count) < 0 ||
		    lm_convert(run->fed[i].shape->dtype, run->fed[i].data, found.dtype, t->data,
			(size_t)count, err) < 0)
			return lm_run_fail_value("fed value", run->model->values[i].name, err);
	}
	return 0;
}

int
lm_run_convert(struct loom_run *run, struct loom_error *err)
{
	return convert_inputs(run, err) < 0 ? -1 : convert_fed(run, err);
}
