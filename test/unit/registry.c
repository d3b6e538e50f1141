/* Every row of the tables is sound; no row is named here. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "layer/layer.h"

static void
check_params(const struct lm_layer_ops *op)
{
	size_t i, k, n = lm_layer_params(op);

	for (i = 0; i < n; i++) {
		const struct lm_param *p = &op->params[i];

		assert(lm_layer_param(op, p->key) == (int)i);
		if (p->kind == LM_IS_SIZE || p->kind == LM_IS_INT)
			assert(p->least < p->most);
		if (p->kind == LM_IS_ENUM) {
			for (k = 0; p->names[k] != NULL; k++)
				;
			assert(k >= 2);
		}
	}
	assert(lm_layer_param(op, "no such parameter") == -1);
}

static void
check_slots(const struct lm_layer_ops *op)
{
	size_t i, k, n = lm_layer_slots(op);

	for (i = 0; i < n; i++) {
		const struct lm_slot *s = &op->slots[i];

		assert(lm_layer_slot(op, s->name) == (int)i);
		assert(strchr(s->name, '.') == NULL); /* a blob's slot follows the last dot */
		for (k = 0; s->axes[k] != '\0' && op->slot_shape == NULL; k++)
			assert(op->params[s->size[k]].kind == LM_IS_SIZE);
		if (s->when > 0)
			assert(op->params[s->when - 1].kind == LM_IS_FLAG ||
			    op->params[s->when - 1].kind == LM_IS_SIZE);
		if (s->whole > 0)
			assert(op->params[s->whole - 1].kind == LM_IS_INTS);
	}
}

int
main(void)
{
	const struct lm_layer_ops *op;
	size_t i, k;
	char names[4096];

	for (i = 0; (op = lm_layer_at(i)) != NULL; i++) {
		assert(lm_layer_find(op->name) == op);
		assert(op->about != NULL && op->shape != NULL && op->forward != NULL);
		assert(op->in_least <= op->in_most && op->out_least <= op->out_most);
		assert(op->out_least >= 1);
		if (op->cell >= 0)
			assert(lm_layer_cell(op->cell) == op);
		if (op->activation != LM_NO_ACTIVATION)
			assert(lm_layer_activation(op->activation) == op);
		for (k = 0; k < i; k++)
			assert(strcmp(lm_layer_at(k)->name, op->name) != 0);
		check_params(op);
		check_slots(op);
	}
	assert(i > 0 && lm_layer_at(i) == NULL);
	assert(lm_layer_find("no such operation") == NULL);
	assert(strstr(lm_layer_names(names, sizeof(names)), lm_layer_at(i - 1)->name) != NULL);
	printf("%zu operations\n", i);
	return 0;
}
