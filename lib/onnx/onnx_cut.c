/*
 * onnx_cut: a graph that is refused for what stands behind its numbers (labels, maps of them) can be cut
 * before that.  Where it can, by trial, is said.
 */
#include <string.h>

#include "onnx/onnx_wire.h"

enum { MOST = 8 }; /* values that are tried */

/* What labels are chosen by: the scores of a classifier, or what an ArgMax reads. */
static size_t
scores(const struct lm_onnx *x, const char *name[MOST])
{
	const struct lm_onnx_node *node;
	size_t n = 0, i;

	for (i = 0; i < x->n_nodes && n < MOST; i++) {
		node = &x->nodes[i];
		if (strcmp(node->op, "LinearClassifier") == 0 && node->n_out > 1)
			name[n++] = node->out[1];
		else if (strcmp(node->op, "ArgMax") == 0 && node->n_in > 0)
			name[n++] = node->in[0];
	}
	return n;
}

/* Values that may be what is wanted: what a ZipMap is made of, and outputs that are float32; else the above. */
static size_t
candidates(const struct lm_onnx *x, const char *name[MOST])
{
	size_t n = 0, i;

	for (i = 0; i < x->n_nodes && n < MOST; i++)
		if (strcmp(x->nodes[i].op, "ZipMap") == 0 && x->nodes[i].n_in > 0)
			name[n++] = x->nodes[i].in[0];
	for (i = 0; i < x->n_outputs && n < MOST && x->n_outputs > 1; i++)
		if (x->outputs[i].type == LM_ONNX_FLOAT)
			name[n++] = x->outputs[i].name;
	return n > 0 ? n : scores(x, name);
}

/* Would the graph be read that ends there? */
static int
ends_at(const struct loom_model *m, struct lm_source *source, const char *name)
{
	struct loom_error quiet = { 0 };
	struct loom_model *trial;
	int found;

	if (lm_model_new(&trial, m->name, &quiet) < 0)
		return 0;
	trial->how = m->how;
	trial->how.outputs = &name;
	trial->how.n_outputs = 1;
	found = lm_onnx_import(trial, source, &quiet) == 0;
	loom_model_free(trial);
	return found;
}

/* The values that can be had, behind the reason; as long as there is room. */
static void
say(const struct loom_model *m, struct lm_source *source, const struct lm_onnx *x,
    struct loom_error *err)
{
	const char *name[MOST];
	size_t n = candidates(x, name), said = 0, i, at;
	char shown[LM_SHOWN];

	for (i = 0; i < n; i++) {
		at = strlen(err->text);
		if (at + strlen(name[i]) + 32 > sizeof(err->text) || !ends_at(m, source, name[i]))
			continue;
		(void)snprintf(err->text + at, sizeof(err->text) - at, "%s --outputs %s",
		    said++ == 0 ? "; what can be read:" : "", lm_shown(shown, name[i]));
	}
}

void
lm_onnx_say_cut(const struct loom_model *m, struct lm_source *source, struct loom_error *err)
{
	const char *any = "";
	struct loom_error quiet = { 0 };
	struct lm_arena arena = { 0 };
	struct lm_onnx x = { .arena = &arena };
	struct loom_model *owner;

	if (err->code != LOOM_EUNSUPPORTED || m->how.n_outputs > 0 || m->how.blind ||
	    lm_model_new(&owner, m->name, &quiet) < 0)
		return;
	owner->how = m->how;
	owner->how.outputs = &any;
	owner->how.n_outputs = 1;
	if (lm_onnx_read(&x, owner, source, &quiet) == 0)
		say(m, source, &x, err);
	loom_model_free(owner);
	lm_arena_release(&arena);
}
