/* entity_cells: Loom's names of layer types and activations, and the operations that they are. */
#include <string.h>
#include <strings.h>

#include "format/entity_parts.h"

static const struct lm_cell_row cells[] = {
#define CELL(type, op, family, what, flag, ...) { type, op, family, what, flag, { __VA_ARGS__ } },
#define ACTIVATION(...)
#include "format/entity_cells.def"
#undef CELL
#undef ACTIVATION
};

static const struct lm_activation_row activations[] = {
#define CELL(...)
#define ACTIVATION(value, name, op, param, word, real) { value, name, op, param, word, real },
#include "format/entity_cells.def"
#undef CELL
#undef ACTIVATION
};

enum {
	CELLS = sizeof(cells) / sizeof(*cells),
	ACTIVATIONS = sizeof(activations) / sizeof(*activations)
};

/* Loom's enumeration of layer types, in its order, and the aliases that it reads. */
static const char *const types[] = { "Dense", "MultiHeadAttention", "SwiGLU", "RMSNorm", "CNN1",
	"CNN2", "CNN3", "RNN", "LSTM", "LayerNorm", "ConvTransposed1D", "ConvTransposed2D",
	"ConvTransposed3D", "Embedding", "KMeans", "Softmax", "Parallel", "Sequential", "Residual",
	"Metacognition" };
static const char *const softmaxes[] = { "Standard", "Grid", "Hierarchical", "Temperature",
	"Gumbel", "Masked", "Sparse", "Adaptive", "Mixture", "Entmax" };

struct alias {
	const char *alias, *name;
};

static const struct alias type_aliases[] = { { "MHA", "MultiHeadAttention" },
	{ "ATTENTION", "MultiHeadAttention" }, { "META", "Metacognition" } };
static const struct alias activation_aliases[] = { { "LEAKY_RELU", "LeakyReLU" },
	{ "6", "ReLU2" } };

static const char *
resolve(const struct alias *aliases, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcasecmp(aliases[i].alias, name) == 0)
			return aliases[i].name;
	return name;
}

const char *
lm_cell_type(const char *name)
{
	size_t i;

	name = resolve(type_aliases, sizeof(type_aliases) / sizeof(*type_aliases), name);
	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcasecmp(types[i], name) == 0)
			return types[i];
	return NULL;
}

const struct lm_cell_row *
lm_cell_by_type(const char *type)
{
	size_t i;

	for (i = 0; i < CELLS; i++)
		if (strcasecmp(cells[i].type, type) == 0)
			return &cells[i];
	return NULL;
}

const struct lm_cell_row *
lm_cell_by_op(const char *op)
{
	size_t i;

	for (i = 0; i < CELLS; i++)
		if (strcmp(cells[i].op, op) == 0)
			return &cells[i];
	return NULL;
}

const char *
lm_cell_types(char *dst, size_t size)
{
	size_t i, used = 0;

	dst[0] = '\0';
	for (i = 0; i < CELLS && used < size; i++)
		used += (size_t)snprintf(dst + used, size - used, "%s%s", i > 0 ? ", " : "",
		    cells[i].type);
	return dst;
}

const char *
lm_sidecar_path(char dst[LM_SIDECAR_PATH], const struct lm_cell_row *row, size_t index)
{
	(void)snprintf(dst, LM_SIDECAR_PATH, "bridge.%s.%zu.%s", row->family, index, row->what);
	return dst;
}

int
lm_softmax_known(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(softmaxes) / sizeof(*softmaxes); i++)
		if (strcmp(softmaxes[i], name) == 0)
			return 1;
	return 0;
}

/* ---- activations ---- */

const struct lm_activation_row *
lm_activation_by_name(const char *name)
{
	size_t i;

	name = resolve(activation_aliases, sizeof(activation_aliases) / sizeof(*activation_aliases),
	    name);
	for (i = 0; i < ACTIVATIONS; i++)
		if (strcasecmp(activations[i].name, name) == 0)
			return &activations[i];
	return NULL;
}

/* The index of word among the names of an enumeration, or -1. */
static int64_t
enumerated(const struct lm_param *param, const char *word)
{
	int64_t i;

	for (i = 0; param->names[i] != NULL; i++)
		if (strcmp(param->names[i], word) == 0)
			return i;
	return -1;
}

static int
fits(const struct lm_activation_row *row, const struct lm_node *node)
{
	int i;

	if (strcmp(row->op, node->op->name) != 0)
		return 0;
	if (row->param == NULL)
		return 1;
	i = lm_layer_param(node->op, row->param);
	if (i < 0)
		return 0;
	return row->word != NULL ? node->param[i].i == enumerated(&node->op->params[i], row->word)
				 : node->param[i].real == row->real;
}

const struct lm_activation_row *
lm_activation_of(const struct lm_node *node)
{
	size_t i;

	for (i = 0; i < ACTIVATIONS; i++)
		if (fits(&activations[i], node))
			return &activations[i];
	return NULL;
}

int
lm_activation_set(const struct lm_activation_row *row, struct lm_node *node, struct loom_error *err)
{
	int i;

	if (row->param == NULL)
		return 0;
	i = lm_layer_param(node->op, row->param);
	if (i < 0)
		return lm_fail(err, LOOM_EUNSUPPORTED, "%s has no parameter %s", row->op,
		    row->param);
	if (row->word != NULL)
		node->param[i].i = enumerated(&node->op->params[i], row->word);
	else
		node->param[i].real = row->real;
	return 0;
}
