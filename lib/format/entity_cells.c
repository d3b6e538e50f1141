/* entity_cells: Loom's names of layer types and activations, and the operations that they are. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "format/entity_parts.h"

const char lm_cell_sequence[] = "seq_length";

/* The rows of one kind at a time: those of all others are nothing. */
#define CONTAINER(...)
#define COMBINE(...)
#define NEUTRAL(...)
#define ACTIVATION(...)
#define FIELD(param_, ...) .param = param_, .key = __VA_ARGS__
#define FIXED(param_, ...) .param = param_, __VA_ARGS__
#define CELL(type_, op_, main_, ...) { .type = type_, .op = op_, .main = main_, __VA_ARGS__ },
static const struct lm_cell_row cells[] = {
#include "format/entity_cells.def"
};
#undef CELL
#define CELL(...)

#undef CONTAINER
#define CONTAINER(type, key, parallel) { type, key, parallel },
static const struct lm_container_row containers[] = {
#include "format/entity_cells.def"
};
#undef CONTAINER
#define CONTAINER(...)

#undef COMBINE
#define COMBINE(mode, op, mean) { mode, op, mean },
static const struct lm_combine_row combines[] = {
#include "format/entity_cells.def"
};
#undef COMBINE
#define COMBINE(...)

#undef NEUTRAL
#define NEUTRAL(op) op,
static const char *const neutrals[] = {
#include "format/entity_cells.def"
};
#undef NEUTRAL
#define NEUTRAL(...)

#undef ACTIVATION
#define ACTIVATION(value, name, op, param, word, real) { value, name, op, param, word, real },
static const struct lm_activation_row activations[] = {
#include "format/entity_cells.def"
};
#undef CELL
#undef CONTAINER
#undef COMBINE
#undef NEUTRAL
#undef ACTIVATION

enum {
	CELLS = sizeof(cells) / sizeof(*cells),
	CONTAINERS = sizeof(containers) / sizeof(*containers),
	COMBINES = sizeof(combines) / sizeof(*combines),
	NEUTRALS = sizeof(neutrals) / sizeof(*neutrals),
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

const struct lm_container_row *
lm_container_by_type(const char *type)
{
	size_t i;

	for (i = 0; i < CONTAINERS; i++)
		if (strcasecmp(containers[i].type, type) == 0)
			return &containers[i];
	return NULL;
}

const struct lm_combine_row *
lm_combine_by_mode(const char *mode)
{
	size_t i;

	for (i = 0; i < COMBINES; i++)
		if (strcmp(combines[i].mode, mode) == 0)
			return &combines[i];
	return NULL;
}

int
lm_cell_neutral(const char *op)
{
	size_t i;

	for (i = 0; i < NEUTRALS; i++)
		if (strcmp(neutrals[i], op) == 0)
			return 1;
	return 0;
}

/* One more name of a list. */
static size_t
add_name(char *dst, size_t size, size_t used, const char *name)
{
	if (used >= size)
		return used;
	return used + (size_t)snprintf(dst + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

const char *
lm_cell_types(char *dst, size_t size)
{
	size_t i, used = 0;

	dst[0] = '\0';
	for (i = 0; i < CELLS; i++)
		used = add_name(dst, size, used, cells[i].type);
	for (i = 0; i < CONTAINERS; i++)
		used = add_name(dst, size, used, containers[i].type);
	return dst;
}

const char *
lm_combine_modes(char *dst, size_t size)
{
	size_t i, used = 0;

	dst[0] = '\0';
	for (i = 0; i < COMBINES; i++)
		if (combines[i].mode[0] != '\0')
			used = add_name(dst, size, used, combines[i].mode);
	return dst;
}

const char *
lm_sidecar_path(char dst[LM_SIDECAR_PATH], const struct lm_cell_row *row, size_t index)
{
	(void)snprintf(dst, LM_SIDECAR_PATH, "bridge.%s.%zu.%s", row->side.family, index,
	    row->side.what);
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

int64_t
lm_param_word(const struct lm_param *param, const char *word)
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
	return row->word != NULL
	    ? node->param[i].i == lm_param_word(&node->op->params[i], row->word)
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

const struct lm_activation_row *
lm_activation_by_op(const char *op)
{
	size_t i;

	for (i = 0; i < ACTIVATIONS; i++)
		if (strcmp(activations[i].op, op) == 0)
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
		node->param[i].i = lm_param_word(&node->op->params[i], row->word);
	else
		node->param[i].real = row->real;
	return 0;
}

/* The word is the activation's operation. */
const char *
lm_activation_inside(const struct lm_cell_row *row, const struct lm_node *node)
{
	int p = lm_layer_param(node->op, row->activation);
	size_t i;

	for (i = 0; i < ACTIVATIONS; i++)
		if (strcmp(activations[i].op, node->op->params[p].names[node->param[p].i]) == 0)
			return activations[i].name;
	return row->idle;
}
